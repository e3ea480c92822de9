"""What the network sees of a picture at a step. To ship a view: a file here and a line in VIEWS.

A view is a function (image, seeds, step) -> all views of the step, `[view, chain, channel, height, width]`, pure and
differentiable, with a property `views`: how many there are, which are averaged.
"""

from typing import Any

from ppgn.views.random_crops import RandomCrop as RandomCrop
from ppgn.views.random_views import RandomViews as RandomViews
from ppgn.views.whole import WholePicture as WholePicture

VIEWS: dict[str, Any] = {"whole": WholePicture, "random": RandomViews, "crop": RandomCrop}
"""Name -> view, for recipes and the command line."""
