"""Any layer of any network by name, in one forward pass that stops at the last layer; and passes over images that are shared."""

from ppgn.probe.axes import channel_axis as channel_axis
from ppgn.probe.encoder_pass import EncoderPass as EncoderPass
from ppgn.probe.heads import heads_of as heads_of
from ppgn.probe.layer_list import LayerInfo as LayerInfo
from ppgn.probe.layer_list import list_layers as list_layers
from ppgn.probe.layers import Layer as Layer
from ppgn.probe.layers import Probe as Probe
from ppgn.probe.layers import layer_name as layer_name
from ppgn.probe.outputs import named_tensors as named_tensors
from ppgn.probe.outputs import score_names as score_names
from ppgn.probe.outputs import scores_of as scores_of
from ppgn.probe.passes import Passes as Passes
from ppgn.probe.preprocessed import Preprocessed as Preprocessed
from ppgn.probe.preprocessed import check_eval as check_eval
from ppgn.probe.preprocessed import weights_dtype as weights_dtype
from ppgn.probe.recorder import Side as Side
from ppgn.probe.tokens import Tokens as Tokens
from ppgn.probe.tokens import tokens_of as tokens_of
