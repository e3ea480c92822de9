"""Priors: (code, image = G(code)) -> direction `[chain, *code]`, about sigma^2 * d log p(code) / d code.

The objective calls them without gradient, after the conditions, with the very image tensor that the conditions saw. To ship
one: a file here and a line in PRIORS.
"""

from typing import Any

from ppgn.priors.networks import Denoiser as Denoiser
from ppgn.priors.networks import DenoiserPrior as DenoiserPrior
from ppgn.priors.networks import NoiseLevel as NoiseLevel
from ppgn.priors.networks import NoiseLevelPrior as NoiseLevelPrior
from ppgn.priors.networks import PixelDenoiserPrior as PixelDenoiserPrior
from ppgn.priors.networks import Reconstruction as Reconstruction
from ppgn.priors.networks import ReconstructionPrior as ReconstructionPrior
from ppgn.priors.patches import Mixture as Mixture
from ppgn.priors.patches import Patches as Patches
from ppgn.priors.patches import mixture as mixture
from ppgn.priors.pixels import HandMade as HandMade
from ppgn.priors.pixels import total_variation as total_variation
from ppgn.priors.simple import Bounds as Bounds
from ppgn.priors.simple import Decay as Decay
from ppgn.priors.simple import Gaussian as Gaussian
from ppgn.priors.simple import NoPrior as NoPrior
from ppgn.priors.simple import SumOfPriors as SumOfPriors
from ppgn.priors.spherical import Spherical as Spherical

PRIORS: dict[str, Any] = {
    "reconstruction": ReconstructionPrior,
    "denoiser": DenoiserPrior,
    "pixel_denoiser": PixelDenoiserPrior,
    "noise_level": NoiseLevelPrior,
    "hand_made": HandMade,
    "patches": Patches,
    "spherical": Spherical,
    "none": NoPrior,
}
"""Name -> settings of a prior, for recipes and the command line."""
