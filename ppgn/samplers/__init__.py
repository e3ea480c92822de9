"""Samplers: one step of a chain each, as a pure `init` and `step`."""

from ppgn.samplers.adaptive import Adaptive as Adaptive
from ppgn.samplers.annealed import Annealed as Annealed
from ppgn.samplers.annealed import spaced_levels as spaced_levels
from ppgn.samplers.ascent import Ascent as Ascent
from ppgn.samplers.langevin import Langevin as Langevin
from ppgn.samplers.langevin import update as update
from ppgn.samplers.released import ReleasedLangevin as ReleasedLangevin
