"""One recipe tried, and what its chains came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppgn.recipes import Recipe


@dataclass(frozen=True)
class Trial:
    """A recipe and the means over its chains.

    recipe: with the number of steps after which the chains did best. proposed: what the search proposed, by the names of
    `Tuning.ranges`. log_prob: in nats, or in whatever the condition counts. gap, diversity: in shares of those of realistic codes
    (`Tuning`). excess: by how much these two break their limits, 0 where they keep them. stopped: why chains left the finite
    numbers; such a trial has no means.
    """

    number: int
    recipe: Recipe
    proposed: Mapping[str, float]
    log_prob: float | None = None
    gap: float | None = None
    diversity: float | None = None
    excess: float = 0.0
    stopped: str = ""

    @property
    def means(self) -> tuple[float, float, float] | None:
        """(log_prob, gap, diversity); None for a trial whose chains stopped."""
        if self.log_prob is None or self.gap is None or self.diversity is None:
            return None
        return self.log_prob, self.gap, self.diversity

    @property
    def order(self) -> tuple[int, float, float]:
        """The greater, the better the trial.

        First come trials within the limits, by log_prob, and where that is the same by diversity less what the gap is above 1
        (flat pictures have the least gap of all, so a smaller one is no merit). Then come those outside of the limits, by how
        little. Stopped ones are last.
        """
        if self.means is None:
            return -1, 0.0, 0.0
        if self.excess > 0:
            return 0, -self.excess, 0.0
        log_prob, gap, diversity = self.means
        return 1, log_prob, diversity - max(0.0, gap - 1)

    @property
    def title(self) -> str:
        """Its name in tables and pictures: "default", or "trial" and its number."""
        return "default" if self.number == 0 else f"trial {self.number}"

    @property
    def subject(self) -> str:
        """Its name in a sentence: "the default", or "trial" and its number."""
        return "the default" if self.number == 0 else self.title

    def to_json(self) -> dict[str, Any]:
        """The trial as JSON has it; `from_json` is the inverse."""
        return {**vars(self), "proposed": dict(self.proposed), "recipe": self.recipe.to_json()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Trial:
        """The trial of a JSON object. Raises ValueError, TypeError or KeyError where it is none."""
        trial = cls(**{**stored, "recipe": Recipe.from_json(stored["recipe"])})
        numbers = (trial.log_prob, trial.gap, trial.diversity)
        if trial.log_prob is None and not trial.stopped:
            raise ValueError(f"trial {trial.number} has no log_prob and did not stop")
        math.fsum((trial.number, trial.excess, *trial.proposed.values(), *(one for one in numbers if one is not None)))
        return trial


def best_of(trials: Sequence[Trial]) -> Trial:
    """The best trial, the first of equal ones."""
    return max(trials, key=lambda trial: trial.order)
