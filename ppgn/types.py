"""The nouns of ppgn: code, image and log-probability, what turns one into another, and what a chain carries.

`[chain, ...]` everywhere: the first axis counts independent chains, and nothing may mix them.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor

Code: TypeAlias = Tensor
"""`[chain, *code]`, in the units of the generator's input layer."""
Image: TypeAlias = Tensor
"""`[chain, channel, height, width]`, pixels in [0, 1]."""
LogProb: TypeAlias = Tensor
"""`[chain]`, in nats."""


def plain_number(value: Any) -> Any:
    """A number of NumPy, or a tensor with one number and no axes, as Python's own; anything else as it is."""
    is_foreign = isinstance(value, np.generic) or (isinstance(value, np.ndarray | Tensor) and value.ndim == 0)
    return value.item() if is_foreign else value


def real(value: Any) -> float:
    """A real number as a float, infinity beyond all floats; NaN, with which no comparison holds, for anything else."""
    number = plain_number(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return math.nan
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def shown(value: Any) -> str:
    """A value in a message: shortened, of tensors and arrays the shape alone."""
    if isinstance(value, np.ndarray | Tensor) and value.ndim:
        return f"{type(value).__name__} of shape {list(value.shape)}"
    return reprlib.repr(value)


def check_finite(tensors: Mapping[str, Tensor], owner: Any = "", allow_infinity: bool = False) -> None:
    """Raises ValueError for NaN, and for infinity unless it is allowed, naming the owner (a file, say) and the tensor."""
    for name, tensor in tensors.items():
        if tensor.is_meta or not tensor.is_floating_point() or not tensor.numel():
            continue
        if bool((tensor.isnan() if allow_infinity else ~tensor.isfinite()).any()):
            held = "NaN" if bool(tensor.isnan().any()) else "infinity"
            whose = f"{owner}: {name}" if owner else name
            raise ValueError(f"{whose} holds {held}, expected finite numbers: download or save it again")


def at_least_one(name: str, value: Any, advice: str) -> int:
    """The value as an int. Raises ValueError, with the advice, for anything but a whole number above 0."""
    number = plain_number(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"got {name} {shown(value)}, expected a whole number of at least 1: {advice}")
    if number < 1:
        raise ValueError(f"got {name} {number}, expected at least 1: {advice}")
    return number


@dataclass(frozen=True, eq=False)
class CodeSpace:
    """The codes of a generator: their shape, the bounds of each unit, and mean and std of each unit over real pictures.

    low, high: in code units, a number or one per unit; None is unbounded. std: None where nobody measured it. relu: codes stand
    after a ReLU, as fc6 does. Raises ValueError when a low bound exceeds its high bound, and for a mean or std that is not finite
    or a negative std.
    """

    shape: tuple[int, ...] = ()
    low: float | Tensor | None = None
    high: float | Tensor | None = None
    mean: float | Tensor = 0.0
    std: float | Tensor | None = None
    relu: bool = False

    def __post_init__(self) -> None:
        bounds = {name: torch.as_tensor(value) for name, value in (("low", self.low), ("high", self.high)) if value is not None}
        check_finite(bounds, "a code space", allow_infinity=True)
        given = {"mean": torch.as_tensor(self.mean)} | ({} if self.std is None else {"std": torch.as_tensor(self.std)})
        check_finite(given, "a code space")
        if self.std is not None and not given["std"].is_meta and bool((given["std"] < 0).any()):
            raise ValueError("a code space got a negative std, expected standard deviations: correct it, or leave it out")
        if self.low is None or self.high is None:
            return
        if not bool(torch.all(torch.as_tensor(self.low) <= torch.as_tensor(self.high))):
            raise ValueError(
                f"a code space got low {shown(self.low)} and high {shown(self.high)}, expected low <= high: swap the two"
            )

    def clip(self, code: Code) -> Code:
        """The code `[chain, *code]` inside [low, high], each unit by itself; unchanged where there are no bounds."""
        low, high = (
            None if bound is None else torch.as_tensor(bound, dtype=code.dtype, device=code.device)
            for bound in (self.low, self.high)
        )
        return code if low is None and high is None else torch.clamp(code, low, high)

    def to(self, device: torch.device | str) -> CodeSpace:
        """The same space with its tensors on another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


@dataclass(frozen=True)
class ImageSpec:
    """Height, width and number of channels of images. Raises ValueError unless all are at least 1."""

    height: int
    width: int
    channels: int = 3

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels) < 1:
            raise ValueError(f"images got {self}, expected a height, a width and channels of at least 1: correct the smallest")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width


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


class View(Protocol):
    """What conditions see of images at a step, `[view, chain, channel, height, width]`: a pure function of each chain's seed and
    the step. views: how many there are."""

    @property
    def views(self) -> int: ...

    def __call__(self, image: Image, seeds: Sequence[int], step: int) -> Tensor: ...


class Evaluator(Protocol):
    """The worth of codes, on which samplers step, with and without gradients. `ppgn.Objective` is the one implementation."""

    space: CodeSpace

    def evaluate(self, code: Code, image_gradient_rule: Callable[[Image], Image] | None = None) -> Evaluation: ...

    def evaluate_without_gradient(self, code: Code) -> Evaluation: ...

    def score(self, code: Code) -> LogProb: ...

    def at_level(self, level: float, through: bool = True, offset: Tensor | None = None) -> Evaluator: ...


class Sampler(Protocol):
    """Settings with a pure `init` and `step`. All that changes is in the ChainState, so chains can be resumed and split.

    objective: an Evaluator; untyped here, so that a rule may state that it needs more, such as `ppgn.Objective`.
    """

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState: ...

    def step(self, state: ChainState, objective: Any) -> tuple[ChainState, Evaluation]: ...


@runtime_checkable
class AskTell(Protocol):
    """A search without gradients: `ask` proposes codes, `tell` takes their scores.

    Codes are `[chain, population, *code]`, scores `[chain, population]`, higher ones better. The population is an axis inside a
    chain, so seeds, independence and resume hold for it as for every other chain. `tell` returns a state whose code is the best
    one known and whose step is one higher.
    """

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState: ...

    def ask(self, state: ChainState) -> Code: ...

    def tell(self, state: ChainState, scores: Tensor) -> ChainState: ...
