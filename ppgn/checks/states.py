"""Rules on chain states: the first one, the one after a step, and the codes that two runs end at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.checks.invariance import difference
from ppgn.types import ChainState, Code


def check_start(who: str, start: ChainState, code: Code, seeds: tuple[int, ...]) -> None:
    """The state that `init` returns holds the shape of the code and the seeds that it was given, at step 0."""
    _check_type(who, "init", start)
    if start.code.shape != code.shape or start.seeds != seeds or start.step != 0:
        raise ValueError(
            f"{who}'s init returned shape {tuple(start.code.shape)}, seeds {start.seeds} and step {start.step}, "
            f"expected {tuple(code.shape)}, {seeds} and 0: put the code and the seeds into the state as they are"
        )


def check_next(who: str, method: str, before: ChainState, after: ChainState) -> None:
    """The state that `method` returns keeps shape and seeds and counts one step."""
    _check_type(who, method, after)
    if after.code.shape != before.code.shape or after.seeds != before.seeds or after.step != before.step + 1:
        raise ValueError(
            f"{who}'s {method} returned shape {tuple(after.code.shape)}, seeds {after.seeds} and step {after.step}, "
            f"expected {tuple(before.code.shape)}, {before.seeds} and {before.step + 1}: keep shape and seeds, count one step"
        )


def check_runs(who: str, where: str, fix: str, got: Code, expected: Code, tolerance: float) -> None:
    """Two runs end at the same codes."""
    found = difference(who, where, got, expected, tolerance)
    if found:
        raise ValueError(f"{who} {found}: {fix}")


@dataclass(frozen=True, eq=False)
class Copy:
    """The tensors of a state as they were, to see whether a plug-in changes them."""

    state: ChainState
    tensors: dict[str, Tensor]

    @classmethod
    def of(cls, state: ChainState) -> Copy:
        """A copy of the state's tensors as they are now."""
        return cls(state, {name: value.clone() for name, value in _tensors(state).items()})

    def check_unchanged(self, who: str) -> None:
        """The state is still as it was."""
        for name, value in _tensors(self.state).items():
            if not torch.equal(value, self.tensors[name]):
                raise ValueError(
                    f"{who} changed the {name} of the state it was given, expected a new state: do not work in place"
                )


def _check_type(who: str, method: str, state: object) -> None:
    if not isinstance(state, ChainState):
        raise ValueError(f"{who}'s {method} returned {type(state).__name__}, expected a ChainState: build one from its results")


def _tensors(state: ChainState) -> dict[str, Tensor]:
    return {"code": state.code, **{f"carried {name!r}": value for name, value in state.carry.items()}}
