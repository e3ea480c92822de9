"""The generator's losses, in the published scaling and in ours; each is one number for a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Distance = Literal["l1_mean", "half_square_sum", "unit_channel_square"]
SHORTEST = 1e-6
"""What a shorter vector of channels is divided by to be of length one."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's losses and the distance each uses.

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
    """Mean of |a/|a||^2 + |b/|b||^2 - 2 cos(a, b), with its gradient written down: two maps of length one need not be made.

    The value is computed in float32 at least, the gradient in the maps' own type: in bfloat16 to a hundredth up to a cosine of
    0.94, to a tenth up to 0.999.
    """

    @staticmethod
    def forward(ctx: Any, made: Tensor, real: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = torch.promote_types(made.dtype, torch.float32)
        pair = [one.to(wide).movedim(1, -1) for one in (made, real)]  # channels last in memory already
        norms = [torch.linalg.vector_norm(one, dim=-1) for one in pair]
        lengths = [norm.clamp_min(SHORTEST) for norm in norms]
        cosine = (pair[0] * pair[1]).sum(-1) / (lengths[0] * lengths[1])  # autocast would compute vecdot in a lower precision
        ctx.save_for_backward(made, real, *norms, cosine)
        own = [(norm / length).square() for norm, length in zip(norms, lengths, strict=True)]
        return (own[0] + own[1] - 2 * cosine).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        made, real, *norms, cosine = ctx.saved_tensors
        pair, share = ((made, norms[0]), (real, norms[1])), 2 * gradient / cosine.numel()
        return tuple(
            _gradient(share, cosine, *pair[index], *pair[1 - index]) if needed else None
            for index, needed in enumerate(ctx.needs_input_grad)
        )


def _gradient(share: Tensor, cosine: Tensor, own: Tensor, norm: Tensor, other: Tensor, other_norm: Tensor) -> Tensor:
    """share / 2 * d (|a/|a||^2 - 2 cos(a, b)) / da."""
    length, other_length = norm.clamp_min(SHORTEST), other_norm.clamp_min(SHORTEST)
    along = share * torch.where(norm < SHORTEST, 1.0, cosine) / length.square()
    towards = -share / (length * other_length)
    kind = _wide_enough(own.dtype)
    along, towards = (weight.to(kind).unsqueeze(1) for weight in (along, towards))
    return (own.to(kind) * along).addcmul_(other.to(kind), towards).to(own.dtype)


def unit_channels(feature_map: Tensor, length: float = 1.0) -> Tensor:
    """The map, in its own type, scaled to that length along its channels at every place."""
    norm = torch.linalg.vector_norm(feature_map, dim=1, keepdim=True, dtype=torch.promote_types(feature_map.dtype, torch.float32))
    kind = _wide_enough(feature_map.dtype)
    return (feature_map.to(kind) * (length / norm.clamp_min(SHORTEST)).to(kind)).to(feature_map.dtype)


def _wide_enough(dtype: torch.dtype) -> torch.dtype:
    """float16 holds neither 1 / `SHORTEST` nor a weight of one place among thousands; bfloat16 does."""
    return torch.float32 if dtype == torch.float16 else dtype


def discriminator_loss(kind: str, on_real: Tensor, on_made: Tensor) -> Tensor:
    """Hinge (Lim & Ye 2017), or the cross-entropy of "this is real" (Goodfellow 2014), of scores of any shape."""
    if kind == "hinge":
        return torch.relu(1 - on_real).mean() + torch.relu(1 + on_made).mean()
    return functional.softplus(-on_real).mean() + functional.softplus(on_made).mean()


def adversarial_loss(kind: str, on_made: Tensor) -> Tensor:
    """What the generator lowers: -score (hinge), or -log of the probability of "real"."""
    return -on_made.mean() if kind == "hinge" else functional.softplus(-on_made).mean()
