"""Methods of several runs through the one loop: DeepDream, style, inversion, multifaceted visualisation."""

from ppgn.methods.dream import Dreamt as Dreamt
from ppgn.methods.dream import dream as dream
from ppgn.methods.dream import octave_sizes as octave_sizes
from ppgn.methods.inversion import BY_GENERATOR as BY_GENERATOR
from ppgn.methods.inversion import INVERSIONS as INVERSIONS
from ppgn.methods.inversion import Inverted as Inverted
from ppgn.methods.inversion import invert as invert
from ppgn.methods.inversion import usual_layers as usual_layers
from ppgn.methods.multifaceted import MULTIFACETED_STEPS as MULTIFACETED_STEPS
from ppgn.methods.multifaceted import Multifaceted as Multifaceted
from ppgn.methods.multifaceted import in_four_stages as in_four_stages
from ppgn.methods.multifaceted import multifaceted as multifaceted
from ppgn.methods.style import STYLE_WEIGHT as STYLE_WEIGHT
from ppgn.methods.style import relative as relative
from ppgn.methods.style import transfer_style as transfer_style
from ppgn.methods.usual import BUNDLE as BUNDLE
from ppgn.methods.usual import Layers as Layers
from ppgn.methods.usual import layers_of as layers_of
