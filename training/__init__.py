"""Lightning systems that make the weights that `ppgn` samples with: data, losses, one system per network, and the export.

The order of training: encoder, generator, then a denoiser of codes or pixels; a captioner and a class-conditional GAN stand
beside them. The scripts are called after them, `scripts/train_encoder.py`; `scripts/export_bundle.py` makes the bundle.
"""

from training.adopt import adopt as adopt
from training.adversarial import AdversarialSystem as AdversarialSystem
from training.adversarial import Optimisation as Optimisation
from training.adversarial import Step as Step
from training.captioner import CaptionerSystem as CaptionerSystem
from training.captioner import build_captioner as build_captioner
from training.captions import CaptionData as CaptionData
from training.captions import Captioned as Captioned
from training.captions import CaptionedMaps as CaptionedMaps
from training.checkpoints import describe as describe
from training.checkpoints import freeze as freeze
from training.checkpoints import read_checkpoint as read_checkpoint
from training.checkpoints import read_network as read_network
from training.class_generator import ClassGenerator as ClassGenerator
from training.class_generator import ConditionalGan as ConditionalGan
from training.class_generator import one_hot as one_hot
from training.class_generator import read_conditional_gan as read_conditional_gan
from training.commands import TrainingCLI as TrainingCLI
from training.commands import train as train
from training.conditional_gan import ConditionalGanSystem as ConditionalGanSystem
from training.convolutions import Convolution as Convolution
from training.convolutions import UpConvolution as UpConvolution
from training.convolutions import is_faster_as_matrices as is_faster_as_matrices
from training.convolutions import weight_gradient as weight_gradient
from training.convolutions import with_quick_gradients as with_quick_gradients
from training.data import ImageData as ImageData
from training.denoiser import CodeData as CodeData
from training.denoiser import DenoiserSystem as DenoiserSystem
from training.discriminator import DiscriminatorConfig as DiscriminatorConfig
from training.discriminator import ProjectionDiscriminator as ProjectionDiscriminator
from training.discriminator import augment_alike as augment_alike
from training.discriminator import build_discriminator as build_discriminator
from training.discriminator import check_depth as check_depth
from training.discriminator import judge_both as judge_both
from training.encoder import CODE_LAYERS as CODE_LAYERS
from training.encoder import EncoderSystem as EncoderSystem
from training.export import encoder_of as encoder_of
from training.export import export as export
from training.feature_cache import CacheKey as CacheKey
from training.feature_cache import PicturesWithFeatures as PicturesWithFeatures
from training.feature_cache import RealFeatures as RealFeatures
from training.feature_cache import keep_features as keep_features
from training.generator import GeneratorSystem as GeneratorSystem
from training.generator import Noise as Noise
from training.labels import accuracies as accuracies
from training.labels import cross_entropy as cross_entropy
from training.losses import LossWeights as LossWeights
from training.losses import adversarial_loss as adversarial_loss
from training.losses import discriminator_loss as discriminator_loss
from training.losses import distance as distance
from training.losses import mode_seeking_loss as mode_seeking_loss
from training.losses import unit_channels as unit_channels
from training.memory import keep_freed_memory as keep_freed_memory
from training.noise_level import NoiseLevelSystem as NoiseLevelSystem
from training.phrasings import phrasings as phrasings
from training.phrasings import singular as singular
from training.pictures import Pictures as Pictures
from training.pictures import augment as augment
from training.pictures import centre_crop as centre_crop
from training.pixel_denoiser import PixelDenoiserSystem as PixelDenoiserSystem
from training.sources import open_source as open_source
