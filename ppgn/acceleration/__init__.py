"""The same networks, faster: folded, in another precision, in batches that fit. It knows networks and functions, no bundles."""

from ppgn.acceleration.conversion import DTYPES as DTYPES
from ppgn.acceleration.conversion import Converted as Converted
from ppgn.acceleration.conversion import cast_layers as cast_layers
from ppgn.acceleration.conversion import to_channels_last as to_channels_last
from ppgn.acceleration.copies import cached_copy as cached_copy
from ppgn.acceleration.copies import converted as converted
from ppgn.acceleration.folding import FOLDED as FOLDED
from ppgn.acceleration.folding import folded as folded
from ppgn.acceleration.machine import device_of as device_of
from ppgn.acceleration.machine import devices_here as devices_here
from ppgn.acceleration.machine import facts_of_run as facts_of_run
from ppgn.acceleration.machine import one_thread as one_thread
from ppgn.acceleration.memory import BEYOND_KEPT as BEYOND_KEPT
from ppgn.acceleration.memory import FEW as FEW
from ppgn.acceleration.memory import MOST as MOST
from ppgn.acceleration.memory import SHARE as SHARE
from ppgn.acceleration.memory import batch_size as batch_size
from ppgn.acceleration.memory import check_room as check_room
from ppgn.acceleration.memory import free_bytes as free_bytes
from ppgn.acceleration.memory import kept_bytes as kept_bytes
from ppgn.acceleration.precision import AGREEMENT as AGREEMENT
from ppgn.acceleration.precision import agreement as agreement
from ppgn.acceleration.precision import choose_precision as choose_precision
from ppgn.acceleration.precision import gradient as gradient
from ppgn.acceleration.precision import has_bfloat16_units as has_bfloat16_units
from ppgn.acceleration.precision import network_precision as network_precision
