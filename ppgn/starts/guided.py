"""Codes of a class by the score model, whose flow the encoder's head guides: no picture is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ppgn.conditions import LogSoftmax
from ppgn.probe import Passes
from ppgn.seeds import Stream, normal
from ppgn.types import Code, CodeSpace, LogProb

NOISY = (0.05, 5.0)
"""Levels between which noise is added again: below it would stay in the code, above it is lost in what is there already."""


@dataclass(frozen=True)
class GuidedCodes:
    """Codes of p(code) p(y | code)^guidance, along the probability flow of the bundle's "noise_level" model.

    At each level s the denoised code D(z; s) gives way to

        D(z; s) + guidance s^2 d/dz log softmax(logits(relu(D(z; s))) / temperature)[y],

    z standardised, logits those of the encoder's head, as classifier guidance does with pictures (Dhariwal & Nichol 2021). The
    sum is scaled to the length of D, since guided codes become too long otherwise and their pictures burnt (Lin et al. 2024,
    "Common diffusion noise schedules and sample steps are flawed", Sec. 3.4). Between two levels noise of `churn` times the level
    is added first, which corrects errors of earlier steps (Karras et al. 2022, Algorithm 2). guidance 0 draws from p(code).
    steps: levels, of a pass of two small networks each.

    Raises ValueError unless guidance and churn are not negative, temperature is above 0 and steps at least 1; when drawn, where
    nothing but pictures says what is asked for, as with units and functions.
    """

    guidance: float = 6.0
    temperature: float = 3.0
    steps: int = 60
    churn: float = 0.2
    codes: ClassVar[tuple[str, ...]] = ("codes", "before_relu")

    def __post_init__(self) -> None:
        if not (
            0 <= self.guidance < math.inf and 0 <= self.churn < math.inf and 0 < self.temperature < math.inf and self.steps >= 1
        ):
            raise ValueError(
                f"a guided start got {self}, expected guidance and churn of at least 0, a temperature above 0 and at least one "
                f"step: correct the number that is not"
            )

    def draw(self, seeds: Sequence[int], draws: Sequence[int], space: CodeSpace, passes: Passes) -> Tensor:
        """Codes `[draw, chain, *code]`, each a function of its chain's seed and target and the number of the draw alone."""
        model = passes.part("noise_level", "model of its codes to start from")
        log_prob = self._log_prob(passes)
        codes = torch.stack([self._drawn(model, seeds, number, space.shape, log_prob, passes.device) for number in draws])
        return codes.relu() if space.relu else codes

    def _log_prob(self, passes: Passes) -> Callable[[Code], LogProb] | None:
        """log p(y | code) of each chain's target at the temperature, or None without guidance."""
        if self.guidance == 0:
            return None
        if passes.code_condition is None:
            raise ValueError(
                f"{passes.owner} got start 'guided' for a request that only pictures answer, expected a class of the bundle: "
                f"choose start noise_level, or guidance 0"
            )
        return passes.code_condition(LogSoftmax(self.temperature))

    def _drawn(
        self,
        model: Any,
        seeds: Sequence[int],
        number: int,
        shape: tuple[int, ...],
        log_prob: Callable[[Code], LogProb] | None,
        device: torch.device,
    ) -> Code:
        """One draw per chain, before the ReLU, `[chain, *code]`."""
        levels = model.levels(self.steps).tolist()
        standard = model.begin(normal(seeds, number, shape, stream=Stream.START, device=device), levels[0])
        for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False)):
            if self.churn and NOISY[0] <= level <= NOISY[1]:
                noise = normal(seeds, number * self.steps + step, shape, stream=Stream.FLOW, device=device)
                standard, level = standard + self.churn * level * noise, level * math.hypot(1, self.churn)
            denoised = _denoised(model, standard, level, self.guidance, log_prob)
            standard = model.step(standard, denoised, level, following)
        return model.codes(standard)


def _denoised(model: Any, standard: Code, level: float, guidance: float, log_prob: Callable[[Code], LogProb] | None) -> Code:
    """D of standardised codes `[chain, code]`, moved by the guide."""
    if log_prob is None:
        with torch.no_grad():
            return model.denoise_standardised(standard, level)
    with torch.inference_mode(False), torch.enable_grad():
        leaf = standard.clone().requires_grad_(True)
        denoised = model.denoise_standardised(leaf, level)
        value = log_prob(model.codes(denoised).relu())
        gradient = torch.autograd.grad(value.sum(), leaf)[0]
    denoised = denoised.detach()
    moved = denoised + guidance * level**2 * gradient
    return moved * (denoised.norm(dim=1, keepdim=True) / moved.norm(dim=1, keepdim=True).clamp_min(1e-12))
