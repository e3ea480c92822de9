"""Denoising by total variation."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 30
"""Pixels are then within 0.001 of the minimum at a weight of 100, within 0.006 at 25, and are less smooth at lower ones."""


def denoised(images: Tensor, weight: float, iterations: int = ITERATIONS) -> Tensor:
    """argmin over u of sum over pixels of |gradient of u| + weight / 2 * |u - image|^2, each channel by itself.

    images: `[chain, channel, height, width]`; weight: in 1 / pixel units, a larger one denoises less. Gradients are forward
    differences, 0 beyond the edge (Rudin, Osher & Fatemi 1992). Solved by accelerated projection of the dual (Beck & Teboulle
    2009, "Fast gradient-based algorithms for constrained total variation"). Raises ValueError unless weight > 0.
    """
    if not weight > 0:
        raise ValueError(f"denoising got weight {weight}, expected more than 0: a large one leaves the picture as it is")
    down, right = torch.zeros_like(images), torch.zeros_like(images)
    last, ahead, momentum = (down, right), (down, right), 1.0
    step = weight / 8
    for _ in range(iterations):
        picture = images + divergence(*ahead) / weight
        down, right = (field + step * change for field, change in zip(ahead, differences(picture), strict=True))
        size = (down.square() + right.square()).sqrt_().clamp_(min=1)
        now = (down / size, right / size)
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        share = (momentum - 1) / faster
        ahead = tuple(new + share * (new - old) for new, old in zip(now, last, strict=True))
        last, momentum = now, faster
    return images + divergence(*last) / weight


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the pixel below and to the right, 0 in the last row and column."""
    down, right = torch.zeros_like(images), torch.zeros_like(images)
    torch.sub(images[..., 1:, :], images[..., :-1, :], out=down[..., :-1, :])
    torch.sub(images[..., 1:], images[..., :-1], out=right[..., :-1])
    return down, right


def divergence(down: Tensor, right: Tensor) -> Tensor:
    """Minus the transpose of `differences`; the last row of `down` and the last column of `right` are 0."""
    total = down + right
    total[..., 1:, :] -= down[..., :-1, :]
    total[..., 1:] -= right[..., :-1]
    return total
