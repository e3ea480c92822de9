"""Names -> networks, conditions, captioners and bundles. Nothing is downloaded and nothing unpickled without permission."""

from ppgn.loaders.biggan import biggan as biggan
from ppgn.loaders.biggan import class_conditional as class_conditional
from ppgn.loaders.bundles import bundle as bundle
from ppgn.loaders.callables import import_callable as import_callable
from ppgn.loaders.captioners import captioner as captioner
from ppgn.loaders.conditions import condition as condition
from ppgn.loaders.layers import layers as layers
from ppgn.loaders.lite import lite_file as lite_file
from ppgn.loaders.networks import network as network
from ppgn.loaders.precision import in_precision as in_precision
from ppgn.loaders.presets import Preset as Preset
from ppgn.loaders.presets import preset as preset
from ppgn.loaders.renderer import renderer as renderer
from ppgn.loaders.sources import BUNDLE_CLASSIFIER as BUNDLE_CLASSIFIER
from ppgn.loaders.sources import NetworkSource as NetworkSource
from ppgn.loaders.sources import build as build
from ppgn.loaders.sources import class_names as class_names
from ppgn.loaders.sources import input_channels as input_channels
from ppgn.loaders.texts import similarity as similarity
from ppgn.loaders.trial import two_codes as two_codes
from ppgn.loaders.trial import two_images as two_images
from ppgn.loaders.trunks import trunk as trunk
from ppgn.loaders.trunks import trunk_source as trunk_source
from ppgn.loaders.weights import of_file as of_file
from ppgn.loaders.weights import read_weights as read_weights
