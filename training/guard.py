"""A way back to the last finite weights, for trainings whose time is too dear to end in a sum that is not a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class FiniteGuard:
    """Keeps copies of tensors while they are finite, and puts them back in place when they are not.

    In place, because a captured update goes on reading and writing where it was captured.
    """

    def __init__(self, networks: Iterable[nn.Module], optimizers: Iterable[Optimizer]) -> None:
        self.networks, self.optimizers = list(networks), list(optimizers)
        self.kept: list[Tensor] = []
        self.returns = 0

    def check(self, shown: Tensor) -> bool:
        """Keep what is there and say True when the reported values and all weights are finite; else return to what was kept.

        Raises ValueError where the very first check fails: there is nothing to return to.
        """
        tensors = list(self._tensors())
        sums = torch.stack([one.detach().float().sum() for one in tensors if one.is_floating_point()])
        if bool(shown.isfinite().all() & sums.isfinite().all()):
            self.kept = [one.detach().clone() for one in tensors]
            return True
        if not self.kept:
            raise ValueError("the first updates gave values that are not finite: lower the learning rate")
        with torch.no_grad():
            for one, before in zip(tensors, self.kept, strict=True):
                one.copy_(before)
        self.returns += 1
        return False

    def _tensors(self) -> Iterator[Tensor]:
        for network in self.networks:
            yield from network.parameters()
            yield from network.buffers()
        for optimizer in self.optimizers:
            for state in optimizer.state.values():
                yield from (value for value in state.values() if isinstance(value, Tensor))
