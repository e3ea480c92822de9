"""Runs of chains: samples, walks, chains from a picture or into a hole, retries, files, and the released examples."""

from ppgn.sampling import examples as examples
from ppgn.sampling.batches import Begin as Begin
from ppgn.sampling.batches import check_room as check_room
from ppgn.sampling.batches import evaluations as evaluations
from ppgn.sampling.batches import run_batches as run_batches
from ppgn.sampling.files import write_fillings as write_fillings
from ppgn.sampling.folder import FILE as FILE
from ppgn.sampling.folder import SampleFolder as SampleFolder
from ppgn.sampling.folder import quantity_key as quantity_key
from ppgn.sampling.folder import read_rows as read_rows
from ppgn.sampling.inpainting import INPAINTING as INPAINTING
from ppgn.sampling.inpainting import INPAINTING_START_NOISE as INPAINTING_START_NOISE
from ppgn.sampling.inpainting import INPAINTING_TEXTURE as INPAINTING_TEXTURE
from ppgn.sampling.inpainting import Inpainted as Inpainted
from ppgn.sampling.inpainting import check_scales as check_scales
from ppgn.sampling.inpainting import in_paint as in_paint
from ppgn.sampling.inpainting import inpainting_recipe as inpainting_recipe
from ppgn.sampling.into import sample_into as sample_into
from ppgn.sampling.pictures import from_picture as from_picture
from ppgn.sampling.pictures import picture_code as picture_code
from ppgn.sampling.pictures import repeated as repeated
from ppgn.sampling.sample import sample as sample
from ppgn.sampling.samples import OnStep as OnStep
from ppgn.sampling.samples import Samples as Samples
from ppgn.sampling.samples import seeds_of as seeds_of
from ppgn.sampling.walk import walk as walk
