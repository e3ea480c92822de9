"""Hand-made priors of pictures: total variation, a norm, and the distance to a mean picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.types import Code, Image, LogProb

SMALLEST = 1e-5
"""Of a squared gradient in total variation, as released (deep-goggle, core/invert_nn.m)."""


@dataclass(frozen=True)
class HandMade:
    """direction = -d/dx [variation_weight * V + norm_weight * N + mean_weight * M], of pictures around grey, y = x - 0.5.

    V = sum over pixels and channels of (dy_down^2 + dy_right^2)^(variation_power / 2) and N = sum |y|^norm_power (Mahendran &
    Vedaldi 2015, Eq. 3 and 4; Simonyan et al. 2013 with norm_power 2); M = sum y^2 / 2, half the squared distance to grey. Raises
    ValueError for negative weights and powers below 1.
    """

    variation_weight: float = 0.05
    variation_power: float = 2.0
    norm_weight: float = 0.01
    norm_power: float = 6.0
    mean_weight: float = 0.0
    codes: ClassVar[str] = "pixels"

    def __post_init__(self) -> None:
        for name, least in {
            "variation_weight": 0,
            "norm_weight": 0,
            "mean_weight": 0,
            "variation_power": 1,
            "norm_power": 1,
        }.items():
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"a hand-made prior got {name} {getattr(self, name)}, expected a finite number of at least {least}"
                )

    def __call__(self, code: Code, image: Image) -> Code:
        away = code - 0.5
        direction = -self.mean_weight * away
        if self.variation_weight:
            direction.add_(variation_slope(away, self.variation_power), alpha=-self.variation_weight)
        if self.norm_weight:
            direction.add_(_power_slope(away, self.norm_power), alpha=-self.norm_weight)
        return direction

    def energy(self, picture: Tensor) -> LogProb:
        """variation_weight * V + norm_weight * N + mean_weight * M of pictures `[chain, channel, height, width]`: `[chain]`."""
        away = picture - 0.5
        total = (
            self.variation_weight * total_variation(picture, self.variation_power)
            if self.variation_weight
            else away.new_zeros(len(away))
        )
        if self.norm_weight:
            total = total + self.norm_weight * away.abs().pow(self.norm_power).flatten(1).sum(1)
        return total + self.mean_weight * away.square().flatten(1).sum(1) / 2


def total_variation(picture: Tensor, power: float = 2.0) -> Tensor:
    """Sum over pixels and channels of (dy_down^2 + dy_right^2)^(power / 2), the last row and column with one of them 0.

    picture: `[chain, channel, height, width]` -> `[chain]`. Raises ValueError for another shape."""
    _check_picture(picture)
    down = torch.diff(picture, dim=-2, append=picture[..., -1:, :])
    right = torch.diff(picture, dim=-1, append=picture[..., -1:])
    squares = down.square() + right.square()
    if power != 2:
        squares = squares.clamp(min=SMALLEST**2) ** (power / 2)
    return squares.flatten(1).sum(1)


def variation_slope(picture: Tensor, power: float = 2.0) -> Tensor:
    """The gradient of `total_variation`, written out: twice as fast as its graph. Raises ValueError as that does."""
    _check_picture(picture)
    down, right = torch.diff(picture, dim=-2), torch.diff(picture, dim=-1)
    if power != 2:
        squares = functional.pad(down, (0, 0, 0, 1)).square() + functional.pad(right, (0, 1)).square()
        factor = torch.where(squares >= SMALLEST**2, squares ** (power / 2 - 1), 0.0)
        down, right = down * factor[..., :-1, :], right * factor[..., :-1]
    slope = torch.zeros_like(picture)
    slope[..., 1:, :].add_(down, alpha=power)
    slope[..., :-1, :].sub_(down, alpha=power)
    slope[..., 1:].add_(right, alpha=power)
    slope[..., :-1].sub_(right, alpha=power)
    return slope


def _power_slope(values: Tensor, power: float) -> Tensor:
    """d |values|^power / d values."""
    if power < 2:
        return power * values.sign() * values.abs() ** (power - 1)
    return power * values if power == 2 else values.square().pow_(power / 2 - 1).mul_(values).mul_(power)


def _check_picture(picture: Tensor) -> None:
    if picture.ndim != 4:
        raise ValueError(
            f"total variation got shape {tuple(picture.shape)}, expected [chain, channel, height, width]: choose pixels"
        )
