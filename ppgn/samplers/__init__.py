"""Samplers: one step of a chain each, as a pure `init` and `step`."""

from ppgn.samplers.ascent import Ascent as Ascent
from ppgn.samplers.langevin import Langevin as Langevin
from ppgn.samplers.langevin import update as update
from ppgn.samplers.released import ReleasedLangevin as ReleasedLangevin
