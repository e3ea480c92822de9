"""The nouns of ppgn: code, image and log-probability, who turns one into another, and what a chain carries.

`[chain, ...]` everywhere: the first axis counts independent chains, and nothing may mix them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from torch import Tensor

Code: TypeAlias = Tensor
"""`[chain, *code]`, in the units of the generator's input layer."""
Image: TypeAlias = Tensor
"""`[chain, channel, height, width]`, pixels in [0, 1]."""
LogProb: TypeAlias = Tensor
"""`[chain]`, in nats."""


class Generator(Protocol):
    """Code -> Image, differentiable with respect to the code."""

    def __call__(self, code: Code, /) -> Image: ...


class Encoder(Protocol):
    """Image -> Code."""

    def __call__(self, image: Image, /) -> Code: ...


class Prior(Protocol):
    """(Code, Image = G(code)) -> direction in code space, about sigma^2 times the score of the code's density."""

    def __call__(self, code: Code, image: Image, /) -> Code: ...


class Condition(Protocol):
    """Image -> LogProb: one number per chain, never a mean over chains."""

    def __call__(self, image: Image, /) -> LogProb: ...


@dataclass(frozen=True, eq=False)
class ChainState:
    """All that is needed to continue: codes `[chain, *code]`, one seed per chain, the number of steps done.

    `carry` holds what a sampler itself carries from step to step (a momentum, say), as tensors.
    Raises ValueError when the number of seeds is not the number of chains.
    """

    code: Code
    seeds: tuple[int, ...]
    step: int = 0
    carry: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.code.ndim < 1 or len(self.seeds) != len(self.code):
            raise ValueError(
                f"a chain state got {len(self.seeds)} seeds for a code of shape {tuple(self.code.shape)}, "
                f"expected one seed per chain (the code's first axis): pass as many seeds as chains"
            )

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors and ints: fit for `torch.save` with `weights_only`, or for safetensors and JSON."""
        carry = {name: value.detach() for name, value in self.carry.items()}
        return {"code": self.code.detach(), "seeds": list(self.seeds), "step": self.step, "carry": carry}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> ChainState:
        """The inverse of `state_dict`. Raises ValueError when a key is missing or unknown."""
        expected = {"code", "seeds", "step", "carry"}
        if set(state) != expected:
            raise ValueError(
                f"a chain state got the keys {sorted(state)}, expected {sorted(expected)}: "
                f"pass what ChainState.state_dict() returned"
            )
        return cls(state["code"], tuple(int(seed) for seed in state["seeds"]), int(state["step"]), dict(state["carry"]))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that is worth looking at in one pass at `code`; every tensor is detached.

    code `[chain, *code]`; image `[chain, channel, height, width]` = G(code); log_prob `[chain]`, the weighted total
    in nats; log_probs, each term's own unweighted `[chain]`; direction and gradient `[chain, *code]`, of the prior
    and of log_prob. stopped: why, for each chain that the loop has stopped because it met infinity or NaN.
    """

    code: Code
    image: Image
    log_prob: LogProb
    log_probs: dict[str, LogProb]
    direction: Code
    gradient: Code
    stopped: Mapping[int, str] = field(default_factory=dict)


class Sampler(Protocol):
    """A pure `init` and `step`: all that changes is in the ChainState, so chains can be resumed and split at will."""

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState: ...

    def step(self, state: ChainState) -> tuple[ChainState, Evaluation]: ...
