"""Generators that we did not train: code -> image. Pixels, Fourier coefficients, and phases under natural magnitudes."""

from ppgn.generators.colours import correlated as correlated
from ppgn.generators.colours import decorrelated as decorrelated
from ppgn.generators.fourier import FourierGenerator as FourierGenerator
from ppgn.generators.fourier import FourierGeneratorConfig as FourierGeneratorConfig
from ppgn.generators.fourier import PhaseGenerator as PhaseGenerator
from ppgn.generators.fourier import PhaseGeneratorConfig as PhaseGeneratorConfig
from ppgn.generators.pixels import IdentityGenerator as IdentityGenerator
from ppgn.generators.pixels import IdentityGeneratorConfig as IdentityGeneratorConfig
