"""The parts that all chains of a recipe share, and the hole that they may fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ppgn.bundle import Bundle
from ppgn.probe import Passes
from ppgn.recipes.papers import runnable
from ppgn.recipes.recipe import Recipe
from ppgn.samplers import Searched, bound
from ppgn.types import AskTell, CodeSpace, Image, Sampler


@dataclass(frozen=True, eq=False)
class Hole:
    """The known part of a picture that chains fill.

    picture: `[channel, height, width]`. known: the mask, 1 where pixels are known and 0 in the hole (see `images.composite`).
    Both may be `[chain, ...]`. context_scale: epsilon 4 of the released code, for pixels from 0 to 255 as there.
    """

    picture: Tensor
    known: Tensor
    context_scale: float


@dataclass(frozen=True, eq=False)
class Setup:
    """The parts that all chains of a recipe share, made once by `prepare`.

    recipe: with its precision decided, never "auto". parts: the bundle's networks in that precision. space: of the codes that the
    chains move, with the recipe's bounds.
    """

    bundle: Bundle
    recipe: Recipe
    parts: dict[str, Any]
    space: CodeSpace

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The modules by part, without their wrappers: those whose passes and weights count."""
        inner = {name: getattr(part, "network", part) for name, part in self.parts.items()}
        return {name: part for name, part in inner.items() if isinstance(part, nn.Module)}

    def passes(self, view: Callable[[Image], Image] | None = None) -> Passes:
        """New memoised passes of the networks, with the recipe's measure. view: see `probe.Passes`."""
        named = ", ".join(runnable(self.bundle))
        return Passes(
            self.parts,
            owner=f"bundle {self.bundle.name}",
            remedy=f"choose other settings, or one of the recipes that it can run: {named}" if named else "choose other settings",
            device=self.bundle.device,
            measure=self.recipe.measure,
            view=view,
        )

    def sampler(self, begin: int = 0, steps: int | None = None) -> Sampler:
        """The recipe's sampler, its schedules set over `steps` (by default the recipe's) from step `begin` on."""
        rule: Any = self.recipe.sampler
        rule = Searched(rule) if isinstance(rule, AskTell) and not hasattr(rule, "step") else rule
        return bound(rule, self.recipe.steps if steps is None else steps, begin, self.space)
