"""Generators that we did not train: code -> image. Pixels, Fourier coefficients, and phases under natural magnitudes."""

from typing import Any

from ppgn.generators.class_conditional import BigGanGenerator as BigGanGenerator
from ppgn.generators.class_conditional import ClassStart as ClassStart
from ppgn.generators.class_conditional import FirstLayerGenerator as FirstLayerGenerator
from ppgn.generators.colours import correlated as correlated
from ppgn.generators.colours import decorrelated as decorrelated
from ppgn.generators.fourier import FourierGenerator as FourierGenerator
from ppgn.generators.fourier import FourierGeneratorConfig as FourierGeneratorConfig
from ppgn.generators.fourier import PhaseGenerator as PhaseGenerator
from ppgn.generators.fourier import PhaseGeneratorConfig as PhaseGeneratorConfig
from ppgn.generators.pixels import IdentityGenerator as IdentityGenerator
from ppgn.generators.pixels import IdentityGeneratorConfig as IdentityGeneratorConfig

PICTURE_GENERATORS: dict[str, tuple[Any, Any]] = {
    "pixels": (IdentityGenerator, IdentityGeneratorConfig),
    "fourier": (FourierGenerator, FourierGeneratorConfig),
    "phase": (PhaseGenerator, PhaseGeneratorConfig),
}
"""Name -> a generator without weights, for pictures of any size, and its config (channels, height, width)."""
