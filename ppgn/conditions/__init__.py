"""Conditions: image `[chain, channel, height, width]` -> log-probability `[chain]` in nats; any such function."""

from ppgn.conditions.captions import Caption as Caption
from ppgn.conditions.classes import ClassesOfGroups as ClassesOfGroups
from ppgn.conditions.classes import ClassLogit as ClassLogit
from ppgn.conditions.classes import ClassLogProb as ClassLogProb
from ppgn.conditions.classes import ReleasedClass as ReleasedClass
from ppgn.conditions.codes import Match as Match
from ppgn.conditions.codes import Style as Style
from ppgn.conditions.combine import And as And
from ppgn.conditions.combine import Not as Not
from ppgn.conditions.combine import Or as Or
from ppgn.conditions.combine import Region as Region
from ppgn.conditions.combine import Weighted as Weighted
from ppgn.conditions.foreign_captioners import TransformersCaptioner as TransformersCaptioner
from ppgn.conditions.functions import Function as Function
from ppgn.conditions.functions import Score as Score
from ppgn.conditions.likelihoods import BernoulliLikelihood as BernoulliLikelihood
from ppgn.conditions.likelihoods import GaussianLikelihood as GaussianLikelihood
from ppgn.conditions.pixels import InPainted as InPainted
from ppgn.conditions.pixels import KnownPixels as KnownPixels
from ppgn.conditions.processed import Processed as Processed
from ppgn.conditions.similarity import Crops as Crops
from ppgn.conditions.similarity import TextSimilarity as TextSimilarity
from ppgn.conditions.units import Direction as Direction
from ppgn.conditions.units import Unit as Unit
from ppgn.conditions.units import UnitAddress as UnitAddress
from ppgn.conditions.units import Units as Units
