"""Searches without gradients as ask/tell rules (`types.AskTell`). To ship a rule: a file here and a line in RULES."""

from typing import Any

from ppgn.evolution.cma_es import CmaEs as CmaEs
from ppgn.evolution.genetic import Genetic as Genetic
from ppgn.evolution.nes import Nes as Nes
from ppgn.evolution.population import spread_of as spread_of
from ppgn.evolution.pycma import COVARIANCES as COVARIANCES
from ppgn.evolution.random_search import RandomSearch as RandomSearch

RULES: dict[str, Any] = {"cma": CmaEs, "genetic": Genetic, "nes": Nes, "random": RandomSearch}
"""Name -> rule."""
