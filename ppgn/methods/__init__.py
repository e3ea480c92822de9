"""Methods of several runs through the one loop: DeepDream, style, inversion, multifaceted visualisation."""

from ppgn.methods.dream import Dreamt as Dreamt
from ppgn.methods.dream import dream as dream
from ppgn.methods.inversion import Inverted as Inverted
from ppgn.methods.inversion import invert as invert
from ppgn.methods.multifaceted import Multifaceted as Multifaceted
from ppgn.methods.multifaceted import multifaceted as multifaceted
from ppgn.methods.style import transfer_style as transfer_style
