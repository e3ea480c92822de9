"""Options of an evaluation: the pictures, the judge and the measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ppgn.evaluation.diversity import check_lpips
from ppgn.loaders import BUNDLE_CLASSIFIER
from ppgn.probe import Preprocessed
from ppgn.recipes import Recipe
from ppgn.requests import Plugged

CHAIN_STEPS = 100
"""Steps of the long chains, by default."""
SAMPLES_EACH, SAMPLES = 10, 100
"""Samples of each class by default: SAMPLES_EACH, or fewer, at least 2, so that all classes have about SAMPLES together."""


@dataclass(frozen=True)
class JudgeSource:
    """The network that judges, best one that took no part in training or sampling.

    name: as `loaders.network` reads it; weights, size, mean, std, bgr: as it takes them. classes: the judge's classes in their
    order, or a file with one a line; empty: as its library lists them. layer: the layer of the features; None: the last map.
    network: a network in memory, which then is not loaded and is called `name`. Raises ValueError for a description of the
    bundle's classifier, which needs none.
    """

    name: str = BUNDLE_CLASSIFIER
    weights: str | Path | None = None
    size: int | tuple[int, int] | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    bgr: bool = False
    classes: Sequence[str] | Path = ()
    layer: str | None = None
    network: Preprocessed | None = None

    def __post_init__(self) -> None:
        given = [name for name, value in self.adapter.items() if value is not None and value is not False]
        if self.network is not None and (given or self.name == BUNDLE_CLASSIFIER):
            raise ValueError(
                f"a judge in memory got {', '.join(given) or 'no name'}, expected a name of its own and no further description: "
                f"describe its input in its Preprocessed"
            )
        given += ["classes"] if self.classes else []
        if given and not self.held_out:
            raise ValueError(
                f"the judge {BUNDLE_CLASSIFIER} got {', '.join(given)}, expected none of them: name the network that they "
                f"describe"
            )

    @property
    def held_out(self) -> bool:
        """Whether the judge is another network than the bundle's classifier, which the chains climbed."""
        return self.name != BUNDLE_CLASSIFIER

    @property
    def adapter(self) -> dict[str, Any]:
        """The arguments of `loaders.network` that describe weights and input."""
        return {name: getattr(self, name) for name in ("weights", "size", "mean", "std", "bgr")}


@dataclass(frozen=True)
class EvaluationOptions:
    """The pictures that an evaluation compares with real ones, and the way it does; `evaluate` describes each field.

    Raises ValueError for a number out of range, for settings of sampling beside samples from a folder, and for weights of LPIPS
    that are not on this machine.
    """

    train: str | Path | None = None
    samples: str | Path | None = None
    classes: str | int | Sequence[str | int] = "all"
    count: int | None = None
    seed: int = 0
    batch: int = 32
    real_count: int = 40
    train_count: int = 200
    chain_steps: int | None = None
    judge: JudgeSource = JudgeSource()
    lpips: str | None = None
    inception: bool = False
    recipe: str | Recipe | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    network: Plugged | None = None

    def __post_init__(self) -> None:
        for name, least in {"count": 1, "batch": 1, "real_count": 0, "train_count": 0, "chain_steps": 0}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"an evaluation got {name} {value}, expected at least {least}: choose a larger number")
        if self.chain_steps == 1:
            raise ValueError(
                "an evaluation got chain_steps 1, expected at least 2, or 0 for no long chains: one step has no autocorrelation"
            )
        sampling = [name for name, value in self.changes.items() if value is not None]
        sampling += [name for name in ("recipe", "chain_steps") if getattr(self, name) not in (None, 0)]
        if self.samples is not None and sampling:
            raise ValueError(
                f"an evaluation got samples from {self.samples} and {', '.join(sampling)}, expected one of them: leave "
                f"{', '.join(sampling)} out, which a folder of pictures does not use"
            )
        if self.lpips is not None:
            check_lpips(self.lpips)

    @property
    def long_chain_steps(self) -> int:
        """The steps of the long chains, 0 for none."""
        if self.samples is not None:
            return 0
        return CHAIN_STEPS if self.chain_steps is None else self.chain_steps


def samples_per_class(classes: int) -> int:
    """The default number of samples of each of so many classes."""
    return min(SAMPLES_EACH, max(2, SAMPLES // classes))
