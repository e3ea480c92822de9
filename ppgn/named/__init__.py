"""Strings -> networks and conditions: what `--network` and `--condition` can name."""

from ppgn.named.attributes import attribute as attribute
from ppgn.named.captioners import captioner as captioner
from ppgn.named.conditions import condition as condition
from ppgn.named.conditions import two_images as two_images
from ppgn.named.networks import network as network
from ppgn.named.precisions import quick as quick
from ppgn.named.sources import Built as Built
from ppgn.named.sources import build as build
from ppgn.named.sources import class_names as class_names
from ppgn.named.sources import input_channels as input_channels
from ppgn.named.texts import similarity as similarity
from ppgn.named.weights import load_weights as load_weights
from ppgn.named.weights import read_weights as read_weights
