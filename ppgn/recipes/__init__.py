"""Recipes: how chains run, as values and as JSON, those of the papers by name, and the wiring of all parts."""

from ppgn.recipes.bounds import FixedBounds as FixedBounds
from ppgn.recipes.bounds import NoBounds as NoBounds
from ppgn.recipes.bounds import StatisticsBounds as StatisticsBounds
from ppgn.recipes.build import batch_size as batch_size
from ppgn.recipes.build import objective as objective
from ppgn.recipes.build import prepare as prepare
from ppgn.recipes.build import starting_codes as starting_codes
from ppgn.recipes.fields import FAMILIES as FAMILIES
from ppgn.recipes.fields import coerced as coerced
from ppgn.recipes.fields import flat_name as flat_name
from ppgn.recipes.fields import kind_named as kind_named
from ppgn.recipes.fields import settings_of as settings_of
from ppgn.recipes.fields import type_of as type_of
from ppgn.recipes.papers import PAPERS as PAPERS
from ppgn.recipes.papers import recipe_for as recipe_for
from ppgn.recipes.papers import runnable as runnable
from ppgn.recipes.recipe import PRECISIONS as PRECISIONS
from ppgn.recipes.recipe import REPRODUCIBLE as REPRODUCIBLE
from ppgn.recipes.recipe import Choice as Choice
from ppgn.recipes.recipe import Recipe as Recipe
from ppgn.recipes.recipe import Retries as Retries
from ppgn.recipes.recipe_file import read_recipe as read_recipe
from ppgn.recipes.recipe_file import stored_network_precision as stored_network_precision
from ppgn.recipes.recipe_file import stored_run as stored_run
from ppgn.recipes.setup import Hole as Hole
from ppgn.recipes.setup import Setup as Setup
