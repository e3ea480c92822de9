"""Networks of the library diffusers: autoencoders as generator and encoder, score models as prior.

Codes are latents as a pipeline's score model sees them, shifted and scaled to a standard deviation of about 1.
"""

from ppgn.latent_diffusion.autoencoders import AUTOENCODERS as AUTOENCODERS
from ppgn.latent_diffusion.autoencoders import LatentEncoder as LatentEncoder
from ppgn.latent_diffusion.autoencoders import LatentEncoderConfig as LatentEncoderConfig
from ppgn.latent_diffusion.autoencoders import LatentGenerator as LatentGenerator
from ppgn.latent_diffusion.autoencoders import LatentGeneratorConfig as LatentGeneratorConfig
from ppgn.latent_diffusion.autoencoders import described as described
from ppgn.latent_diffusion.autoencoders import downsampling as downsampling
from ppgn.latent_diffusion.library import KNOWN as KNOWN
from ppgn.latent_diffusion.library import load as load
from ppgn.latent_diffusion.library import read_config as read_config
from ppgn.latent_diffusion.library import scheduler as scheduler
from ppgn.latent_diffusion.parametrisation import Parametrisation as Parametrisation
from ppgn.latent_diffusion.score import SCORES as SCORES
from ppgn.latent_diffusion.score import LatentScore as LatentScore
from ppgn.latent_diffusion.score import LatentScoreConfig as LatentScoreConfig
