"""Generators that we did not train: code -> image. So far pixels, where the code is the image."""

from ppgn.generators.pixels import IdentityGenerator as IdentityGenerator
from ppgn.generators.pixels import IdentityGeneratorConfig as IdentityGeneratorConfig
