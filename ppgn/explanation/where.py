"""Where in a picture a response comes from: saliency, guided backpropagation and occlusion by captum."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ppgn import images
from ppgn.explanation.study import Part, Pictures, Study, Tick
from ppgn.explanation.target import AT_ONCE, Target
from ppgn.types import Image

SALIENCY, GUIDED, OCCLUSION = "saliency", "guided backpropagation", "occlusion"
METHODS = (SALIENCY, GUIDED, OCCLUSION)
GRADIENT = 3
"""Passes that a gradient counts."""
WINDOW = 5
"""Windows of occlusion along a side, without their overlap of one half."""
PERCENTILE = 0.99
"""Of a map's absolute values, that is shown in full colour."""
RED, BLUE = (0.86, 0.08, 0.10), (0.10, 0.30, 0.90)


def passes(study: Study, groups: int = 2) -> int:
    """Passes of a picture through a network for `options.where` pictures of each group: real and synthetic ones."""
    height, width = study.bundle.image.size
    windows = 1
    for side in (height, width):
        window, stride = _window(side)
        windows *= -(-(side - window) // stride) + 1
    return groups * study.options.where * (1 + 2 * GRADIENT + 1 + windows)


def where(study: Study, shown: Mapping[str, Image], tick: Tick) -> Part:
    """Maps of the target's response over at most `options.where` pictures of each group, as heat over the grey picture.

    shown: name of a group -> `[picture, channel, height, width]` in [0, 1]. By captum, with x the picture, r the response:

    saliency: max over channels of |dr / dx| (Simonyan et al. 2013). Red: a small change of the pixel changes the response.
    guided backpropagation: the same of a gradient whose negative part each ReLU or ReLU6 drops, be it a module or a function
    (Springenberg et al. 2014). Left out where none runs.
    occlusion: r(x) - r(x under a window of the real pictures' mean colour), a window a fifth of the side with a stride of half of
    it, the mean over the windows that cover a pixel (Zeiler & Fergus 2014). Red raises the response: it falls where the pixel is
    hidden. Blue lowers it.

    Full colour is the 99th percentile of each map's absolute value. `relus`: how many run until the response is known. Raises
    ValueError where captum is not installed.
    """
    attribution = captum()
    picked = {name: some[: study.options.where].to(study.bundle.device) for name, some in shown.items()}
    picked = {name: some for name, some in picked.items() if len(some)}
    response = _Response(study.target, tick)
    colour = _mean_colour(study.pictures).to(study.bundle.device)
    rows: list[dict[str, Any]] = []
    pictures: dict[str, Pillow.Image] = {}
    measured = {name: response.measured(some) for name, some in picked.items()}
    methods = _methods(attribution, response, colour)
    for name, some in picked.items():
        found = {method: _parts(attribute, some) for method, attribute in methods.items()}
        tick(GRADIENT * len(some) * (GUIDED not in methods))
        for row, image in enumerate(some):
            maps = {method: _heat(image, values[row], method == OCCLUSION) for method, values in found.items()}
            rows.append(_row(name, row, measured[name][row], image, maps, pictures))
    left_out = {} if response.relus.count else {GUIDED: "the response goes through no ReLU."}
    listed = [method for method in METHODS if not (method == GUIDED and left_out)]
    return Part({"methods": listed, "rows": rows, "relus": response.relus.count, "left_out": left_out}, pictures)


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

    def measured(self, image: Image) -> list[float | None]:
        """The responses to pictures, None for one that is not finite."""
        with torch.no_grad():
            values = torch.cat([self(some) for some in image.split(AT_ONCE)])
        return [float(value) if bool(value.isfinite()) else None for value in values]


def captum() -> Any:
    """The module of captum's methods. Raises ValueError where it is not installed."""
    try:
        return importlib.import_module("captum.attr")
    except ImportError as fault:
        raise ValueError(
            "maps of a response need captum, which is not installed: pip install 'ppgn[explain]', or leave out the part 'where'"
        ) from fault


def _methods(attribution: Any, response: _Response, colour: Tensor) -> dict[str, Callable[[Image], Tensor]]:
    """Method -> (pictures -> maps `[picture, height, width]`)."""

    def gradient(method: Any) -> Callable[[Image], Tensor]:
        return lambda image: method.attribute(image.detach().requires_grad_()).detach().abs().amax(1)

    def occluded(image: Image) -> Tensor:
        channels = image.shape[1]
        (window, stride) = zip(*(_window(side) for side in image.shape[2:]), strict=True)
        return attribution.Occlusion(response).attribute(
            image.detach(),
            sliding_window_shapes=(channels, *window),
            strides=(channels, *stride),
            baselines=colour[None, :, None, None].expand(1, *image.shape[1:]).to(image),
            perturbations_per_eval=max(1, AT_ONCE // len(image)),
        )[:, 0]  # a window covers all channels

    found = {SALIENCY: gradient(attribution.Saliency(response)), OCCLUSION: occluded}
    if response.relus.count:
        found[GUIDED] = gradient(attribution.GuidedBackprop(response))
    return {method: found[method] for method in METHODS if method in found}


def _parts(attribute: Callable[[Image], Tensor], image: Image) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks", category=UserWarning)  # they are removed after it
        return torch.cat([attribute(some).double().cpu() for some in image.split(AT_ONCE)])


def _window(side: int) -> tuple[int, int]:
    """The length and stride of a window of occlusion."""
    window = max(1, round(side / WINDOW))
    return window, max(1, window // 2)


def _mean_colour(pictures: Pictures) -> Tensor:
    """The mean of the pictures' pixels, `[channel]`; 0.5 without pictures."""
    if not len(pictures):
        return torch.full((pictures.values.shape[1],), 0.5)
    parts = [some.double().mean((2, 3)).sum(0) for some in pictures.values.split(AT_ONCE)]
    return (torch.stack(parts).sum(0) / len(pictures) / 255).float()


def _row(
    name: str,
    row: int,
    response: float | None,
    image: Tensor,
    maps: Mapping[str, Tensor],
    pictures: dict[str, Pillow.Image],
) -> dict[str, Any]:
    """What is known about a picture; puts the picture and its maps into `pictures`."""
    file = f"{name}_{row}".replace(" ", "_")
    pictures[file] = images.to_pil(image)
    files = {method: f"{file}_{method}".replace(" ", "_") for method in maps}
    for method, heat in maps.items():
        pictures[files[method]] = images.to_pil(heat)
    return {"name": f"{name} {row + 1}", "response": response, "picture": file, "maps": files}


def _heat(image: Tensor, values: Tensor, signed: bool) -> Tensor:
    """A map `[height, width]` over the grey picture, `[3, height, width]`: red above 0 and, where it is signed, blue below."""
    full = float(values.abs().flatten().quantile(PERCENTILE)) or float(values.abs().max()) or 1.0
    strength = (values / full).nan_to_num(0.0).clamp(-1, 1).float()
    grey = image.detach().cpu().float().mean(0).expand(3, -1, -1)
    for colour, part in ((RED, strength.clamp(min=0)), (BLUE, (-strength).clamp(min=0) * signed)):
        grey = grey + part * (torch.tensor(colour)[:, None, None] - grey)
    return grey
