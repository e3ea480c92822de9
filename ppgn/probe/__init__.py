"""Any layer of any network: one forward pass that stops at the last layer asked for; and the network an image adapter feeds."""

from ppgn.probe.encoder import EncoderPass as EncoderPass
from ppgn.probe.layers import Layer as Layer
from ppgn.probe.layers import Probe as Probe
from ppgn.probe.listing import LayerInfo as LayerInfo
from ppgn.probe.listing import list_layers as list_layers
from ppgn.probe.seen import Seen as Seen
