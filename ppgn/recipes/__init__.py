"""The named methods of the papers, wired: the one place that knows all parts.

`sample` runs chains and returns what they ended with; `in_turn`, `from_picture` and `in_paint` are its other shapes;
`NAMED` holds the methods by name, `examples` the seven released examples.
"""

from ppgn.recipes import examples as examples
from ppgn.recipes.captions import captioner_of as captioner_of
from ppgn.recipes.classes import class_index as class_index
from ppgn.recipes.collected import Samples as Samples
from ppgn.recipes.collected import Watch as Watch
from ppgn.recipes.haste import running as running
from ppgn.recipes.memory import batch_for as batch_for
from ppgn.recipes.named import NAMED as NAMED
from ppgn.recipes.named import kind_of as kind_of
from ppgn.recipes.named import settings_for as settings_for
from ppgn.recipes.pictures import Filled as Filled
from ppgn.recipes.pictures import from_picture as from_picture
from ppgn.recipes.pictures import in_paint as in_paint
from ppgn.recipes.pictures import picture_code as picture_code
from ppgn.recipes.pictures import repeated as repeated
from ppgn.recipes.runs import run as run
from ppgn.recipes.sampling import in_turn as in_turn
from ppgn.recipes.sampling import sample as sample
from ppgn.recipes.settings import Settings as Settings
from ppgn.recipes.tuning import Trial as Trial
from ppgn.recipes.tuning import Tuning as Tuning
from ppgn.recipes.wiring import Hole as Hole
from ppgn.recipes.wiring import runnable as runnable
