"""Conditions: image `[chain, channel, height, width]` -> log-probability `[chain]` in nats; any such function."""

from ppgn.conditions.classes import ClassLogProb as ClassLogProb
from ppgn.conditions.classes import ReleasedClass as ReleasedClass
