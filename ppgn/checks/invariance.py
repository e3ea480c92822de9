"""The same again and the same alone: two measurements of one quantity agree up to rounding."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.checks.plugin import Plugin
from ppgn.errors import one_line

ABSOLUTE = 1e-6  # nats, pixels or code units: rounding of float32 sums whose result happens to be near 0
ALONE = "between a chain alone and in the batch"
ROUNDING = 16  # units in the last place of the largest pixel or unit
DRAWS = 4  # of noise of that size; with the margin enough for the shipped encoder, whose gradients rounding moves by 1 to 7 %
MARGIN = 3


@dataclass(eq=False)
class Quantity:
    """A result of a plug-in: its `name` in sentences, function(*batches), and `together`, the first value for all chains.

    steep: gradients of networks jump where rounding moves a ReLU or a maximum over its kink, and a chain alone is rounded
    otherwise than in a batch. So the value alone may differ by MARGIN times the change that noise of the size of rounding makes
    in the first of the batches. A mean over two chains changes it far more.
    """

    plugin: Plugin
    name: str
    function: Callable[..., Tensor]
    batches: tuple[Tensor, ...]
    together: Tensor
    tolerance: float
    absolute: float = ABSOLUTE
    steep: bool = False

    def check_repeats(self) -> None:
        """The same twice, for the same input."""
        again = self.function(*self.batches)
        found = difference(self.name, "between two calls", again, self.together, self.tolerance, self.absolute)
        if found:
            raise ValueError(
                f"{self.name} is random or remembers earlier calls: it {found}: draw no random numbers and keep no state"
                f"{self._suspect()}; F.dropout needs training=self.training; where it needs noise, draw it once and reuse it"
            )

    def check_independent(self) -> None:
        """The same for each chain alone as in the batch."""
        count = len(self.together)
        singles = [[batch[chain : chain + 1] for batch in self.batches] for chain in range(count)]
        alone = torch.cat([self._one(self._called_alone(*single)) for single in singles])
        found = self._differs(alone)
        if not found:
            return
        # Where a batch of copies of a chain differs from that chain alone no less, the number of chains is the cause.
        crowds = [[batch.expand(count, *batch.shape[1:]) for batch in single] for single in singles]
        if not self._differs(torch.stack([self.function(*crowd)[0] for crowd in crowds])):
            raise ValueError(
                f"{self.name} depends on how many chains run: it {found}: it takes a mean over the batch or divides by its "
                f"size; divide by nothing that counts chains, as len(image) or numel() do, and keep the first axis"
            )
        raise ValueError(
            f"{self.name} lets chains depend on each other: it {found}: take no mean, norm, maximum or softmax over the "
            f"first axis{self._suspect()}"
        )

    def _differs(self, alone: Tensor) -> str | None:
        found = difference(self.name, ALONE, alone, self.together, self.tolerance, self.absolute)
        if found and self.steep:
            return difference(self.name, ALONE, alone, self.together, self.tolerance, self.absolute + MARGIN * self._rounding)
        return found

    @functools.cached_property
    def _rounding(self) -> float:
        """The largest change that noise of the size of rounding makes in the quantity."""
        source, *others = self.batches
        random = torch.Generator().manual_seed(0)
        size = ROUNDING * torch.finfo(source.dtype).eps * float(source.detach().abs().max())
        most = 0.0
        for _ in range(DRAWS):
            noise = size * torch.randn(source.shape, generator=random, dtype=source.dtype).to(source.device)
            most = max(most, float((self.function(source + noise, *others) - self.together).abs().max()))
        return most

    def _called_alone(self, *single: Tensor) -> Tensor:
        try:
            return self.function(*single)
        except Exception as fault:  # a plug-in can raise anything
            raise ValueError(
                f"{self.plugin.who} runs for {len(self.together)} chains and fails for one ({one_line(fault)}), expected any "
                f"number: normalise by no batch (F.batch_norm needs training=False), and reshape to no fixed number of images"
                f"{self._suspect()}"
            ) from fault

    def _one(self, value: Tensor) -> Tensor:
        if value.ndim < 1 or len(value) != 1:
            raise ValueError(
                f"{self.plugin.who} returned shape {tuple(value.shape)} for one chain, expected a first axis of length 1: "
                f"do not squeeze the chain axis"
            )
        return value

    def _suspect(self) -> str:
        running = self.plugin.running
        return f", and call eval() on its networks ({running[0]} ran in train mode)" if running else ""


def difference(who: str, where: str, got: Tensor, expected: Tensor, tolerance: float, absolute: float = ABSOLUTE) -> str | None:
    """The sentence that two batches differ by more than tolerance * the largest number + absolute, or None; ValueError for two
    shapes."""
    if got.shape != expected.shape:
        raise ValueError(
            f"{who} returned shapes {tuple(got.shape)} and {tuple(expected.shape)} {where}, expected one shape: "
            f"let the shape of a chain's result depend on nothing else"
        )
    allowed = tolerance * float(expected.detach().abs().max()) + absolute
    differences = (got - expected).detach().abs().reshape(len(expected), -1).amax(1)
    if bool((differences <= allowed).all()):  # NaN is not
        return None
    return (
        f"differs by {float(differences.max()):.3g} {where} (most at chain {int(differences.argmax())}), "
        f"expected at most {allowed:.3g}"
    )
