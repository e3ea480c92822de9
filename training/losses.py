"""Losses of the generator and of the discriminator, in the published scaling and in ours; each is one number per batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Distance = Literal["l1_mean", "half_square_sum", "unit_channel_square"]
SHORTEST = 1e-6
"""Least length by which a vector of channels is divided."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's losses and the distance that each uses.

    Published (Dosovitskiy & Brox 2016; Caffe's EuclideanLoss is "half_square_sum" on pixels of 255): image 2e-6 * 255^2,
    feature 0.01, adversarial 100 with "cross_entropy". Tuned: 1, 1, 0.1 with "hinge".
    """

    image: float = 1.0
    image_distance: Distance = "l1_mean"
    feature: float = 1.0
    feature_distance: Distance = "unit_channel_square"
    code: float = 0.0
    adversarial: float = 0.1
    adversarial_loss: Literal["hinge", "cross_entropy"] = "hinge"


def distance(kind: Distance, made: Tensor, real: Tensor) -> Tensor:
    """Distance of two batches `[picture, channel, ...]`.

    l1_mean: mean |a - b|. half_square_sum: sum (a - b)^2 / (2 N) over N pictures, Caffe's EuclideanLoss.
    unit_channel_square: sum over channels of (a/|a| - b/|b|)^2, |.| along channels, mean over pictures and places.
    """
    if kind == "l1_mean":
        return (made - real).abs().mean()
    if kind == "half_square_sum":
        return (made - real).square().sum() / (2 * len(made))
    return _UnitChannelSquare.apply(made, real)  # pyright: ignore[reportReturnType]


class _UnitChannelSquare(torch.autograd.Function):
    """Mean of |a/|a||^2 + |b/|b||^2 - 2 cos(a, b) with its gradient in closed form, which saves two maps of unit length.

    The value is computed in float32 at least, the gradient in the type of the maps: in bfloat16 exact to a hundredth up to a
    cosine of 0.94, to a tenth up to 0.999.
    """

    @staticmethod
    def forward(ctx: Any, made: Tensor, real: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = torch.promote_types(made.dtype, torch.float32)
        pair = [one.to(wide).movedim(1, -1) for one in (made, real)]  # channels last in memory already
        norms = [torch.linalg.vector_norm(one, dim=-1) for one in pair]
        lengths = [norm.clamp_min(SHORTEST) for norm in norms]
        cosine = (pair[0] * pair[1]).sum(-1) / (lengths[0] * lengths[1])  # vecdot would run in autocast's precision
        ctx.save_for_backward(made, real, *norms, cosine)
        squares = [(norm / length).square() for norm, length in zip(norms, lengths, strict=True)]  # 1, or less for a short vector
        return (squares[0] + squares[1] - 2 * cosine).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        made, real, *norms, cosine = ctx.saved_tensors
        pair, share = ((made, norms[0]), (real, norms[1])), 2 * gradient / cosine.numel()
        return tuple(
            _gradient(share, cosine, *pair[index], *pair[1 - index]) if needed else None
            for index, needed in enumerate(ctx.needs_input_grad)
        )


def _gradient(share: Tensor, cosine: Tensor, a: Tensor, a_norm: Tensor, b: Tensor, b_norm: Tensor) -> Tensor:
    """share / 2 * d (|a/|a||^2 - 2 cos(a, b)) / da."""
    a_length, b_length = a_norm.clamp_min(SHORTEST), b_norm.clamp_min(SHORTEST)
    along = share * torch.where(a_norm < SHORTEST, 1.0, cosine) / a_length.square()
    towards = -share / (a_length * b_length)
    kind = _wide_enough(a.dtype)
    along, towards = (weight.to(kind).unsqueeze(1) for weight in (along, towards))
    return (a.to(kind) * along).addcmul_(b.to(kind), towards).to(a.dtype)


def unit_channels(feature_map: Tensor, length: float = 1.0) -> Tensor:
    """A map `[picture, channel, height, width]`, in its type, scaled to that length along the channels at every place."""
    norm = torch.linalg.vector_norm(feature_map, dim=1, keepdim=True, dtype=torch.promote_types(feature_map.dtype, torch.float32))
    kind = _wide_enough(feature_map.dtype)
    return (feature_map.to(kind) * (length / norm.clamp_min(SHORTEST)).to(kind)).to(feature_map.dtype)


def _wide_enough(dtype: torch.dtype) -> torch.dtype:
    """The type to compute in: float16 holds neither 1 / `SHORTEST` nor the weight of one place among thousands."""
    return torch.float32 if dtype == torch.float16 else dtype


def discriminator_loss(kind: str, on_real: Tensor, on_made: Tensor) -> Tensor:
    """Loss of the discriminator for scores of any shape: hinge (Lim & Ye 2017), or cross-entropy (Goodfellow et al. 2014)."""
    if kind == "hinge":
        return torch.relu(1 - on_real).mean() + torch.relu(1 + on_made).mean()
    return functional.softplus(-on_real).mean() + functional.softplus(on_made).mean()


def adversarial_loss(kind: str, on_made: Tensor) -> Tensor:
    """Loss of the generator for scores of any shape: -score ("hinge"), or -log p(real) ("cross_entropy")."""
    return -on_made.mean() if kind == "hinge" else functional.softplus(-on_made).mean()


def mode_seeking_loss(maps: list[Tensor], labels: Tensor) -> Tensor:
    """1 / (distance between made pictures of one class + 1e-2): high where a class collapses to one picture.

    maps: those of the made pictures, `[picture, channel, height, width]` each. labels: `[picture]`. The distance is that of
    feature matching, "unit_channel_square" summed over maps, between each picture and the next one of its class; 0 is returned
    for a batch without two pictures of a class. Mao et al., CVPR 2019, compare pixels, which may differ in brightness alone, and
    divide by the distance of the noises, which is nearly constant in a hundred units.
    """
    order = labels.argsort(stable=True)
    first, second = order[:-1][labels[order].diff() == 0], order[1:][labels[order].diff() == 0]
    if not len(first):
        return maps[0].new_zeros(())
    apart = torch.stack([distance("unit_channel_square", one[first], one[second]) for one in maps]).sum()
    return 1 / (apart + 1e-2)
