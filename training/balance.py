"""Balance of losses by the length of their gradients, which makes a weight a share of the update whatever the loss's unit is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

SHORTEST = 1e-12
"""Least average length by which a gradient is divided."""


class GradientBalance(nn.Module):
    """w_i g_i / <|g_i|>: the gradient of each loss, divided by the moving average of its length and weighted.

    g_i is the gradient of loss i with respect to what all of them look at, such as a picture; <.> is an exponential moving
    average, corrected for its start at 0 (the balancer of EnCodec, Defossez et al. 2022, section 3.4). The sum over losses then
    goes backward through the generator once. All state is in tensors, so that an update can be captured and resumed.

    weights: name of a loss -> w, whose current values stand in `weights` and may rise and fall. decay: of the average.
    """

    weights: Tensor
    lengths: Tensor
    count: Tensor

    def __init__(self, weights: Mapping[str, float], decay: float = 0.99) -> None:
        super().__init__()
        self.names, self.decay = tuple(weights), decay
        self.goal = tuple(weights.values())
        self.register_buffer("weights", torch.tensor(self.goal))
        self.register_buffer("lengths", torch.zeros(len(self.names)))
        self.register_buffer("count", torch.zeros(len(self.names)))

    def weigh(self, shares: Mapping[str, float]) -> None:
        """Set the weights to their given values, those of some losses times a share."""
        now = [goal * shares.get(name, 1.0) for name, goal in zip(self.names, self.goal, strict=True)]
        self.weights.copy_(torch.tensor(now))

    def __call__(self, name: str, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of a loss with respect to some tensors, in their types; their common length is balanced."""
        index = self.names.index(name)
        self.count[index].add_(1)
        length = torch.stack([gradient.float().norm() for gradient in gradients]).norm()
        self.lengths[index].mul_(self.decay).add_(length, alpha=1 - self.decay)
        usual = self.lengths[index] / (1 - self.decay ** self.count[index])
        scale = self.weights[index] / (usual + SHORTEST)
        return [gradient * scale.to(gradient.dtype) for gradient in gradients]
