"""Recipes without a learned generator at 224 px, and the floor of each.

A floor is the recipe's mathematics written by hand, with torch's own functions and optimisers: one pass of views and network and
one backward pass to the code, weights frozen. It draws its own random numbers, of torch's generator.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18
from torchvision.transforms.v2.functional import gaussian_blur
from worlds import MEAN, STD, stage_of, targets

import ppgn
from ppgn import loaders, recipes
from ppgn.acceleration import MOST, folded, to_channels_last
from ppgn.chain import Stage
from ppgn.conditions import ClassLogit
from ppgn.generators import PhaseGenerator, PhaseGeneratorConfig, correlated
from ppgn.probe import Preprocessed

SIZE = 224
GREY = 0.5
AT_ONCE = 8
"""Pictures in a pass of the network, where a step shows it more."""
BLUR_SIDE = 9
"""Of the kernel of a blur of one pixel: four standard deviations to each side."""


@dataclass(frozen=True)
class PixelWorld:
    """A recipe of `recipes.PIONEERS` that climbs classes of a network: image -> logits. quick: the network as
    `ppgn sample --network` runs it."""

    recipe: str
    network: nn.Module
    quick: Preprocessed
    size: int = SIZE
    at_once: int = MOST

    @property
    def name(self) -> str:
        """Of the row in the table."""
        return f"{self.recipe}, resnet18 at {self.size} px"

    def stage(self, chains: int) -> Stage:
        """Sampler and objective of ppgn, with the network as it is."""
        return self._stage(Preprocessed(self.network, self.size, MEAN, STD), chains)

    def automatic(self, chains: int) -> Stage:
        """The same with the quick network."""
        return self._stage(self.quick, chains)

    def _stage(self, network: Preprocessed, chains: int) -> Stage:
        bundle = ppgn.load(f"pixels:{self.size}")
        recipe = recipes.recipe_for(bundle, "plugged", self.recipe)
        return stage_of(bundle, ClassLogit(network, targets(chains)), chains, recipe)

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe's settings by name."""
        return recipes.PIONEERS[self.recipe]

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Of a code: pixels, or Fourier coefficients of real pictures."""
        half = (3, self.size, self.size // 2 + 1)
        return {"pixels": (3, self.size, self.size), "fourier": (*half, 2), "phase": half}[self.settings["generator"]]

    def code(self, chains: int) -> Tensor:
        """Codes `[chain, *code]` to begin at."""
        drawn = torch.randn(chains, *self.code_shape, generator=torch.Generator().manual_seed(0))
        return self.settings["start_mean"] + self.settings["start_std"] * drawn

    def logit(self, image: Tensor, chains: int) -> Tensor:
        """The sum over images, the chains in turn, of the logit of each chain's class."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        wanted = torch.tensor(targets(chains)).repeat(len(image) // chains)[:, None]
        return self.network((image - mean) / std).gather(1, wanted).sum()

    def floor(self, chains: int, steps: int) -> Callable[[], Tensor]:
        """The steps written by hand, to the last code."""
        run = _ascent if self.settings["sampler"] == "regularised" else _optimised
        return functools.partial(run, self, chains, steps)


def _world(name: str) -> PixelWorld:
    return PixelWorld(name, *_networks())


@functools.cache
def _networks() -> tuple[nn.Module, Preprocessed]:
    torch.manual_seed(0)
    network = resnet18(weights=None).eval().requires_grad_(False)
    prepared = Preprocessed(to_channels_last(folded(copy.deepcopy(network), traced=True)), SIZE, MEAN, STD)
    pictures = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return network, loaders.in_precision(prepared, pictures, name="torchvision:resnet18")


def _ascent(world: PixelWorld, chains: int, steps: int) -> Tensor:
    """The pixels after steps of gradients of mean size 1, a hand-made prior, and the operators of 2009 to 2015."""
    given, picture = world.settings, world.code(chains)
    velocity, axes = torch.zeros_like(picture), (1, 2, 3)
    for step in range(steps):
        leaf = picture.requires_grad_(True)
        gradient = torch.autograd.grad(world.logit(_moved(leaf, given.get("view_jitter", 0)), chains), leaf)[0]
        away = leaf.detach() - GREY
        step_size, prior_scale = (_scale(given[name], step, given["steps"]) for name in ("step_size", "prior_scale"))
        velocity = given["velocity_decay"] * velocity + step_size * gradient / gradient.abs().mean(axes, keepdim=True)
        velocity = velocity - prior_scale * _slope(away, given) if given["prior"] == "hand_made" else velocity
        away = (away + velocity) * (1 - given["pixel_decay"])
        if given["blur_every"] and step % given["blur_every"] == 0:
            away = gaussian_blur(away, [BLUR_SIDE] * 2, [given["blur_width"]] * 2)
        if given["contrast"]:
            away = away * (given["contrast"] / away.square().mean(axes, keepdim=True).sqrt())
        picture = (away + GREY).clamp(0, 1)
    return picture


def _scale(value: float | tuple[float, float], step: int, steps: int) -> float:
    """A number, or a pair that is the beginning and the end of a linear fall."""
    first, last = value if isinstance(value, tuple) else (value, value)
    return first + (last - first) * step / steps


def _moved(picture: Tensor, jitter: int) -> Tensor:
    """Each picture moved by up to `jitter` pixels, with grey at its edge."""
    if not jitter:
        return picture
    moves = torch.randint(-jitter, jitter + 1, (len(picture), 2)).tolist()
    return torch.stack([functional.pad(one, (-x, x, -y, y), value=GREY) for one, (x, y) in zip(picture, moves, strict=True)])


def _slope(away: Tensor, given: dict[str, Any]) -> Tensor:
    """d/dx of variation_weight * sum of squared differences + norm_weight * sum |away|^norm_power."""
    power = given["norm_power"]
    slope = given["norm_weight"] * power * away * away.square() ** (power / 2 - 1)
    if given["variation_weight"]:
        down, right = away.diff(dim=-2), away.diff(dim=-1)
        change = functional.pad(down, (0, 0, 1, 0)) - functional.pad(down, (0, 0, 0, 1))
        change = change + functional.pad(right, (1, 0)) - functional.pad(right, (0, 1))
        slope = slope + 2 * given["variation_weight"] * change
    return slope


def _optimised(world: PixelWorld, chains: int, steps: int) -> Tensor:
    """The Fourier coefficients or phases after steps of Adam or NAdam of torch, seen in random views."""
    given, code = world.settings, nn.Parameter(world.code(chains))
    optimiser = (torch.optim.NAdam if given["nesterov"] else torch.optim.Adam)([code], lr=given["step_size"], maximize=True)
    picture = _fourier(world.size) if given["generator"] == "fourier" else _phases(world.size)
    for _ in range(steps):
        image = correlated(picture(code)).sigmoid()
        seen = _views(functional.pad(image, (given["view_frame"],) * 4, value=GREY), given)
        if seen.shape[-1] != world.size:
            seen = functional.interpolate(seen, (world.size,) * 2, mode="bilinear", antialias=True)
        passes = seen.split(max(1, AT_ONCE // chains) * chains)  # of the network: a few pictures each are quickest
        total = torch.stack([world.logit(some, chains) for some in passes]).sum() / given["view_count"]
        code.grad = torch.autograd.grad(total, code)[0]
        optimiser.step()
    return code.detach()


def _fourier(size: int) -> Callable[[Tensor], Tensor]:
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)).clamp(min=1 / size)[..., None]
    return lambda code: torch.fft.irfft2(torch.view_as_complex(code / frequency), s=(size, size), norm="ortho") / 4


def _phases(size: int) -> Callable[[Tensor], Tensor]:
    magnitude = PhaseGenerator(PhaseGeneratorConfig(3, size, size)).magnitude

    def standardised(values: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(values, (1, 2, 3), keepdim=True)
        return (values - mean) / (deviation + 1e-4)

    return lambda code: standardised(torch.fft.irfft2(torch.polar(magnitude.expand_as(code), standardised(code)), s=(size, size)))


def _views(image: Tensor, given: dict[str, Any]) -> Tensor:
    """All views of all chains at once, `[view * chain, ...]`."""
    count = given["view_count"] * len(image)
    side = given["view_smallest"] + (given["view_largest"] - given["view_smallest"]) * torch.rand(count)
    angle = (2 * torch.rand(count) - 1) * given["view_rotation"] * math.pi / 180
    moves = torch.randint(-given["view_jitter"], given["view_jitter"] + 1, (count, 2)) * 2 / image.shape[-1]
    moves = moves + 2 * given["view_wander"] * torch.randn(count, 2)
    rows = [torch.stack([angle.cos(), -angle.sin()], 1), torch.stack([angle.sin(), angle.cos()], 1)]
    matrices = torch.cat([side[:, None, None] * torch.stack(rows, 1), moves[..., None]], 2)
    grid = functional.affine_grid(matrices, [count, *image.shape[1:]], align_corners=False)
    several = image if given["view_count"] == 1 else image.repeat(given["view_count"], 1, 1, 1)
    seen = functional.grid_sample(several - GREY, grid, align_corners=False) + GREY
    return seen + given["view_noise"] * torch.randn_like(seen) if given["view_noise"] else seen


OF_STAGES = ("deepdream", "mfv", "style_transfer", "inversion")
"""Recipes of stages or of other requests than a class, whose floors are not written."""
RECIPES: dict[str, Callable[[], PixelWorld]] = {
    name: functools.partial(_world, name) for name in recipes.PIONEERS if name not in OF_STAGES
}
"""Recipe -> its world."""
