"""A renderer as a generator: pose, light and camera as the code, Mitsuba 3 (`pip install "ppgn[render]"`) as G."""

from ppgn.renderer.files import KINDS as KINDS
from ppgn.renderer.files import read_mesh as read_mesh
from ppgn.renderer.generator import GRADIENTS as GRADIENTS
from ppgn.renderer.generator import MeshGenerator as MeshGenerator
from ppgn.renderer.mesh import Mesh as Mesh
from ppgn.renderer.objects import OBJECTS as OBJECTS
from ppgn.renderer.pose import LAMP as LAMP
from ppgn.renderer.pose import NAMES as NAMES
from ppgn.renderer.pose import ROTATION as ROTATION
from ppgn.renderer.pose import STANDARD as STANDARD
from ppgn.renderer.pose import UNITS as UNITS
from ppgn.renderer.pose import PoseStart as PoseStart
from ppgn.renderer.pose import Unit as Unit
from ppgn.renderer.pose import check_names as check_names
from ppgn.renderer.pose import pose as pose
from ppgn.renderer.pose import random_poses as random_poses
from ppgn.renderer.pose import values_of as values_of
from ppgn.renderer.pose import view_of as view_of
from ppgn.renderer.scene import LEAST_LLVM as LEAST_LLVM
from ppgn.renderer.scene import Scene as Scene
from ppgn.renderer.scene import variant as variant
