"""Pictures: pixels in [0, 1], files, sheets, videos, masks, Poisson blending, and tables of labelled pictures.

Images are `[chain, channel, height, width]`, RGB or grey. A size is (height, width); an int is the side of a square.
"""

from ppgn.images.constants import constant as constant
from ppgn.images.files import BROKEN_FILE as BROKEN_FILE
from ppgn.images.files import as_mask as as_mask
from ppgn.images.files import as_picture as as_picture
from ppgn.images.files import check_regular as check_regular
from ppgn.images.files import check_writable as check_writable
from ppgn.images.files import is_whole_picture as is_whole_picture
from ppgn.images.files import load_image as load_image
from ppgn.images.files import make_folder as make_folder
from ppgn.images.files import open_picture as open_picture
from ppgn.images.files import picture_extensions as picture_extensions
from ppgn.images.files import refused_writes as refused_writes
from ppgn.images.files import save_image as save_image
from ppgn.images.files import write_atomically as write_atomically
from ppgn.images.files import write_together as write_together
from ppgn.images.folders import class_folders as class_folders
from ppgn.images.folders import files_under as files_under
from ppgn.images.folders import picture_files as picture_files
from ppgn.images.folders import spread as spread
from ppgn.images.labelled_pictures import Labelled as Labelled
from ppgn.images.labelled_pictures import Merges as Merges
from ppgn.images.labelled_pictures import Table as Table
from ppgn.images.labelled_pictures import held_out as held_out
from ppgn.images.labelled_pictures import read_table as read_table
from ppgn.images.labelled_pictures import split_position as split_position
from ppgn.images.labelled_pictures import table_of as table_of
from ppgn.images.masks import box_mask as box_mask
from ppgn.images.masks import check_known as check_known
from ppgn.images.masks import composite as composite
from ppgn.images.masks import file_mask as file_mask
from ppgn.images.masks import fitted as fitted
from ppgn.images.masks import random_mask as random_mask
from ppgn.images.masks import with_hole as with_hole
from ppgn.images.pixels import Size as Size
from ppgn.images.pixels import cover as cover
from ppgn.images.pixels import covering_size as covering_size
from ppgn.images.pixels import height_and_width as height_and_width
from ppgn.images.pixels import in_unit_range as in_unit_range
from ppgn.images.pixels import normalise as normalise
from ppgn.images.pixels import resize as resize
from ppgn.images.pixels import to_pil as to_pil
from ppgn.images.poisson import seamless as seamless
from ppgn.images.sheets import COMFORTABLE_TILE as COMFORTABLE_TILE
from ppgn.images.sheets import GAP as GAP
from ppgn.images.sheets import RESAMPLERS as RESAMPLERS
from ppgn.images.sheets import grid as grid
from ppgn.images.sheets import grid_size as grid_size
from ppgn.images.sheets import sheet as sheet
from ppgn.images.temporary import alone_in as alone_in
from ppgn.images.temporary import temporary_beside as temporary_beside
from ppgn.images.video import FASTEST as FASTEST
from ppgn.images.video import check_video as check_video
from ppgn.images.video import save_video as save_video
