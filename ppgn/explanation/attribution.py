"""Maps of where in a picture a response comes from: saliency, guided backpropagation, deconvolution and occlusion by captum."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ppgn.errors import required
from ppgn.explanation.study import Tick
from ppgn.explanation.target import AT_ONCE, Target
from ppgn.types import Image

SALIENCY, GUIDED, DECONVOLUTION, OCCLUSION = "saliency", "guided backpropagation", "deconvolution", "occlusion"
METHODS = (SALIENCY, GUIDED, DECONVOLUTION, OCCLUSION)
OF_RELUS = (GUIDED, DECONVOLUTION)
"""Methods that change the backward of ReLUs; without any they are saliency."""
SIGNED = (OCCLUSION,)
"""Methods whose maps have a sign."""
GRADIENT = 3
"""Passes that a gradient counts."""
WINDOW = 5
"""Windows of occlusion along a side, without their overlap of one half."""
GREY = 0.5
"""The colour of a window of occlusion where none is given."""
PERCENTILE = 0.99
"""Of a map's absolute values, that is shown in full colour."""
RED, BLUE = (0.86, 0.08, 0.10), (0.10, 0.30, 0.90)


def maps(
    target: Target,
    image: Image,
    methods: Sequence[str] = METHODS,
    colour: Tensor | None = None,
    tick: Tick = lambda count: None,
) -> dict[str, Tensor]:
    """Maps of where in pictures the target's response comes from: method -> `[picture, height, width]`, float64 on the CPU.

    image: `[picture, channel, height, width]` in [0, 1], on the device of the target's network. methods: of METHODS, which is the
    order of the result. colour: of the window of occlusion, `[channel]` in [0, 1], by default mid-grey. tick: told of passes. By
    captum, with x the picture, r the response:

    saliency: max over channels of |dr / dx| (Simonyan et al. 2013), per unit of a pixel in [0, 1].
    guided backpropagation: the same of a gradient whose negative part each ReLU or ReLU6 drops besides its own part, be it a
    module or a function (Springenberg et al. 2014).
    deconvolution: the same where a ReLU's backward is relu(gradient), whatever came in forward (Zeiler & Fergus 2014, 2.1).
    occlusion: r(x) - r(x under a window of the colour), a window a fifth of the side with a stride of half of it, the mean over
    the windows that cover a pixel (Zeiler & Fergus 2014, 4.2). Positive where hiding the pixel lowers the response.

    Guided backpropagation and deconvolution are left out where the response goes through no ReLU. Raises ValueError for another
    method or shape, and where captum is not installed.
    """
    attribution = captum()
    if unknown := [method for method in methods if method not in METHODS]:
        raise ValueError(f"got the method {unknown[0]!r} of maps, expected {', '.join(METHODS)}: choose among these")
    if image.ndim != 4 or not len(image):
        raise ValueError(
            f"got pictures of shape {tuple(image.shape)}, expected [picture, channel, height, width] with one picture or more: "
            f"pass image[None] for a single one"
        )
    asked = [method for method in METHODS if method in methods]
    if any(method in OF_RELUS for method in asked) and not relus(target, image, tick):
        asked = [method for method in asked if method not in OF_RELUS]
    response = _Response(target, tick)
    if colour is None:
        colour = image.new_full((image.shape[1],), GREY)
    return {method: _parts(_attribute(attribution, response, method, colour), image) for method in asked}


def heat(image: Tensor, values: Tensor, signed: bool) -> Tensor:
    """A map `[height, width]` over the grey picture `[channel, height, width]`, `[3, height, width]` in [0, 1], on the CPU.

    Red above 0 and, where it is signed, blue below. Full colour is the 99th percentile of the map's absolute value.
    """
    values = values.cpu()
    full = float(values.abs().flatten().quantile(PERCENTILE)) or float(values.abs().max()) or 1.0
    strength = (values / full).nan_to_num(0.0).clamp(-1, 1).float()
    grey = image.detach().cpu().float().mean(0).expand(3, -1, -1)
    for colour, part in ((RED, strength.clamp(min=0)), (BLUE, (-strength).clamp(min=0) * signed)):
        grey = grey + part * (torch.tensor(colour)[:, None, None] - grey)
    return grey


def relus(target: Target, image: Image, tick: Tick = lambda count: None) -> int:
    """How many ReLUs and ReLU6s run until the response to the first of the pictures is known."""
    response = _Response(target, tick)
    with torch.no_grad():
        response(image[:1])
    return response.relus.count


def window(side: int) -> tuple[int, int]:
    """The length and stride of a window of occlusion, in pixels."""
    length = max(1, round(side / WINDOW))
    return length, max(1, length // 2)


class _ReLU(nn.ReLU):
    """Every ReLU and ReLU6 of a network as one module, for captum, which guides modules of this type alone.

    count: how many ran in the last pass. function: the one that is applied next.
    """

    count = 0
    function: Callable[[Tensor], Tensor] = staticmethod(functional.relu)

    def forward(self, input: Tensor) -> Tensor:
        self.count += 1
        return self.function(input)


class _AsModule(TorchFunctionMode):
    """Sends calls of `torch.nn.functional.relu` and `relu6`, which modules make too, through a module; none works in place."""

    def __init__(self, module: _ReLU) -> None:
        super().__init__()
        self.module = module

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in ("relu", "relu6") or not args:
            return func(*args, **(kwargs or {}))
        self.module.function = getattr(functional, name)
        return self.module(args[0])


class _Response(nn.Module):
    """The target's response as a module with the one child `relus`, where captum looks for ReLUs."""

    def __init__(self, target: Target, tick: Tick) -> None:
        super().__init__()
        self.target = target
        self.tick = tick
        self.relus = _ReLU()

    def forward(self, image: Image) -> Tensor:
        self.relus.count = 0
        with _AsModule(self.relus):
            response = self.target.response(image)
        self.tick(len(image) * (GRADIENT if response.requires_grad else 1))
        return response


def captum() -> Any:
    """The module of captum's methods. Raises ValueError where it is not installed."""
    return required("captum.attr", "maps of a response need captum", "ppgn[explain]", "leave out the part 'where'")


def _attribute(attribution: Any, response: _Response, method: str, colour: Tensor) -> Callable[[Image], Tensor]:
    """What makes the maps `[picture, height, width]` of pictures by one method."""
    if method == OCCLUSION:
        return lambda image: _occluded(attribution.Occlusion(response), image.detach(), colour)
    kinds = {SALIENCY: "Saliency", GUIDED: "GuidedBackprop", DECONVOLUTION: "Deconvolution"}
    made = getattr(attribution, kinds[method])(response)
    return lambda image: made.attribute(image.detach().requires_grad_()).detach().abs().amax(1)


def _occluded(occlusion: Any, image: Image, colour: Tensor) -> Tensor:
    channels = image.shape[1]
    (lengths, strides) = zip(*(window(side) for side in image.shape[2:]), strict=True)
    return occlusion.attribute(
        image,
        sliding_window_shapes=(channels, *lengths),
        strides=(channels, *strides),
        baselines=colour[None, :, None, None].expand(1, *image.shape[1:]).to(image),
        perturbations_per_eval=max(1, AT_ONCE // len(image)),
    )[:, 0]  # a window covers all channels


def _parts(attribute: Callable[[Image], Tensor], image: Image) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks", category=UserWarning)  # they are removed after it
        return torch.cat([attribute(some).double().cpu() for some in image.split(AT_ONCE)])
