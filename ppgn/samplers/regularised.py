"""Gradient ascent on pixels with an operator after each step, as in the methods of 2009 to 2015."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.images import denoised
from ppgn.samplers.langevin import root_mean_square
from ppgn.samplers.released import unit_mean
from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, Evaluation, Evaluator

RULES = ("gradient", "unit_mean", "progress")
REACH = 4.0
"""Standard deviations after which a Gaussian blur is cut off, as in SciPy."""


@dataclass(frozen=True)
class Regularised:
    """x' = clip(r(x + v)), v = momentum v + e1 d + step_size * n(g): Yosinski et al. 2015, Eq. 1 and 2, around a grey of 0.5.

    g = d log p(y | x) / dx, d the prior's direction with prior_scale e1. n: "gradient", g; "unit_mean", g / mean|g| of a chain
    (Mordvintsev et al. 2015); "progress", g / |g|^2, with which the condition grows by step_size if it is linear (the released
    toolbox). The operator r acts on y = x - 0.5 in this order: y (1 - pixel_decay); a Gaussian blur of standard deviation
    blur_width every blur_every steps; pixels (all channels) whose norm is below the norm_percentile of a picture become grey; and
    those whose contribution |sum over channels of y g| is below the contribution_percentile; the root mean square of y becomes
    contrast (Erhan et al. 2009); total variation is denoised with weight denoise_weight (`images.denoised`; Nguyen et al. 2016).
    0 leaves an operator out. centre_width: standard deviation, in sides, of a Gaussian window
    around the centre by which the gradient is multiplied; 0 for none (after Nguyen et al. 2016).

    Codes are pictures `[chain, channel, height, width]` in [0, 1]. Raises ValueError for numbers that cannot be.
    """

    step_size: Scale = 0.01
    prior_scale: Scale = 1.0
    gradient_rule: str = "unit_mean"
    velocity_decay: float = 0.0
    pixel_decay: float = 0.0
    blur_width: float = 0.0
    blur_every: int = 0
    norm_percentile: float = 0.0
    contribution_percentile: float = 0.0
    contrast: float = 0.0
    denoise_weight: Scale = 0.0
    centre_width: float = 0.0

    def __post_init__(self) -> None:
        check_scales(
            "a regularised ascent", step_size=self.step_size, prior_scale=self.prior_scale, denoise_weight=self.denoise_weight
        )
        if self.gradient_rule not in RULES:
            raise ValueError(f"got gradient_rule {self.gradient_rule!r}, expected one of {', '.join(RULES)}: choose one of them")
        most = {"velocity_decay": 1.0, "pixel_decay": 1.0, "norm_percentile": 100.0, "contribution_percentile": 100.0}
        for name in (*most, "blur_width", "blur_every", "contrast", "centre_width"):
            if not 0 <= getattr(self, name) < most.get(name, math.inf):
                top = f"below {most[name]:g}" if name in most else "finite"
                raise ValueError(
                    f"a regularised ascent got {name} {getattr(self, name)}, expected at least 0 and {top}: correct it"
                )

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: pictures `[chain, channel, height, width]`, one seed per chain (else ValueError)."""
        if code.ndim != 4:
            raise ValueError(
                f"a regularised ascent got codes of shape {tuple(code.shape)}, expected [chain, channel, height, width]: "
                f"choose pixels as the generator, or another sampler"
            )
        code = code.detach().clone()
        return ChainState(code, check_seeds(seeds), 0, self._carried(torch.zeros_like(code)))

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the picture before it."""
        evaluation = objective.evaluate(state.code)
        gradient = evaluation.gradient
        if self.centre_width:
            gradient = gradient * centred_window(gradient, self.centre_width)
        scales = [scale_at(scale, state.step) for scale in (self.prior_scale, self.step_size)]
        velocity = torch.mul(self._sized(gradient), scales[1]).add_(evaluation.direction, alpha=scales[0])
        if self.velocity_decay:
            velocity.add_(state.carry["velocity"], alpha=self.velocity_decay)
        after = self._operated((state.code + velocity).sub_(0.5), gradient, state.step).add_(0.5)
        return ChainState(objective.space.clip(after), state.seeds, state.step + 1, self._carried(velocity)), evaluation

    def _carried(self, velocity: Tensor) -> dict[str, Tensor]:
        """What the next step needs: without momentum nothing, which saves memory of large pictures."""
        return {"velocity": velocity} if self.velocity_decay else {}

    def _sized(self, gradient: Tensor) -> Tensor:
        if self.gradient_rule == "progress":
            square = gradient.flatten(1).square().sum(1).clamp(min=torch.finfo(gradient.dtype).tiny)
            return gradient / square[:, None, None, None]
        return unit_mean(gradient) if self.gradient_rule == "unit_mean" else gradient

    def _operated(self, picture: Tensor, gradient: Tensor, step: int) -> Tensor:
        """r of pictures around 0, which may be overwritten."""
        if self.pixel_decay:
            picture.mul_(1 - self.pixel_decay)
        if self.blur_every and self.blur_width and step % self.blur_every == 0:
            picture = blurred(picture, self.blur_width)
        if self.norm_percentile:
            picture = _without_least(picture, picture.norm(dim=1), self.norm_percentile)
        if self.contribution_percentile:
            picture = _without_least(picture, (picture * gradient).sum(1).abs(), self.contribution_percentile)
        if self.contrast:
            size = root_mean_square(picture)
            picture.mul_(self.contrast / size.clamp(min=torch.finfo(size.dtype).tiny))
        weight = scale_at(self.denoise_weight, step)
        return denoised(picture, weight) if weight else picture


def blurred(picture: Tensor, width: float) -> Tensor:
    """A Gaussian blur of standard deviation `width` pixels, mirrored at the edges, as SciPy's `gaussian_filter`."""
    reach = int(REACH * width + 0.5)
    places = torch.arange(-reach, reach + 1, dtype=picture.dtype, device=picture.device)
    kernel = (-0.5 * (places / width) ** 2).exp()
    kernel = kernel / kernel.sum()
    for axis in (-1, -2):
        picture = _convolved(picture, kernel, axis)
    return picture


def centred_window(like: Tensor, width: float) -> Tensor:
    """exp(-(r / width)^2 / 2) `[height, width]`, r the distance to the centre in sides."""
    down, right = (torch.linspace(-0.5, 0.5, side, dtype=like.dtype, device=like.device) for side in like.shape[-2:])
    return (-0.5 * (down[:, None].square() + right.square()) / width**2).exp()


def _convolved(picture: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Along an axis, with the picture mirrored at its edges, edge pixels included, as often as the kernel is long."""
    side, reach = picture.shape[axis], len(kernel) // 2
    places = torch.arange(-reach, side + reach, device=picture.device) % (2 * side)
    mirrored = picture.index_select(axis, torch.where(places < side, places, 2 * side - 1 - places))
    maps = mirrored.flatten(0, 1)[None]  # one picture whose channels are all maps: the quickest form
    kernels = kernel.reshape((-1, 1) if axis == -2 else (1, -1)).expand(maps.shape[1], 1, -1, -1).contiguous()
    return functional.conv2d(maps, kernels, groups=len(kernels))[0].unflatten(0, picture.shape[:2])


def _without_least(picture: Tensor, size: Tensor, percentile: float) -> Tensor:
    """The picture with 0 at the pixels `[chain, height, width]` whose size is below its percentile."""
    least = size.flatten(1).quantile(percentile / 100, dim=1)[:, None, None]
    return picture * (size >= least)[:, None]
