"""Samplers: settings with one step of a chain each, as a pure `init` and `step`.

A sampler is a frozen dataclass whose fields are its settings and its JSON. To ship one: a file here and a line in SAMPLERS.
"""

from typing import Any

from ppgn.samplers.adam import Adam as Adam
from ppgn.samplers.adaptive import Adaptive as Adaptive
from ppgn.samplers.annealed import Annealed as Annealed
from ppgn.samplers.ascent import Ascent as Ascent
from ppgn.samplers.ask_tell import Searched as Searched
from ppgn.samplers.biggan_am import BigGanAm as BigGanAm
from ppgn.samplers.guided import RULES as RULES
from ppgn.samplers.guided import Guided as Guided
from ppgn.samplers.langevin import Langevin as Langevin
from ppgn.samplers.langevin import update as update
from ppgn.samplers.regularised import Regularised as Regularised
from ppgn.samplers.regularised import blurred as blurred
from ppgn.samplers.released import ReleasedLangevin as ReleasedLangevin
from ppgn.samplers.schedules import Linear as Linear
from ppgn.samplers.schedules import Scale as Scale
from ppgn.samplers.schedules import Spaced as Spaced
from ppgn.samplers.schedules import bound as bound
from ppgn.samplers.schedules import is_number as is_number
from ppgn.samplers.schedules import levels_from as levels_from
from ppgn.samplers.schedules import scale_at as scale_at
from ppgn.samplers.schedules import scale_from as scale_from

SAMPLERS: dict[str, Any] = {
    "langevin": Langevin,
    "released": ReleasedLangevin,
    "ascent": Ascent,
    "adaptive": Adaptive,
    "annealed": Annealed,
    "guided": Guided,
    "adam": Adam,
    "regularised": Regularised,
    "biggan_am": BigGanAm,
}
"""Name -> sampler, for recipes and the command line."""
