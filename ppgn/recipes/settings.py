"""How a chain runs, in plain values that JSON can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

CHOICES = {
    "sampler": ("langevin", "released", "ascent", "adaptive", "annealed"),
    "generator": ("generator", "joint_generator", "pixels"),
    "prior": ("reconstruction", "denoiser", "none", "pixel_denoiser", "noise_level"),
    "start": ("normal", "codes", "noise_level", "unclipped"),
    "gradient": ("log_softmax", "released", "logit"),
    "bounds": ("fixed", "statistics"),
    "precision": ("float32", "bfloat16", "auto"),
}
"""What each setting in words may be."""


@dataclass(frozen=True)
class Settings:
    """How a chain runs; a bundle stores the set found best for it, `recipes.NAMED` those of the papers.

    sampler: "langevin" (Eq. 11), "released" (the shipped code: the sum normalised to a mean of step_size a unit), "ascent"
    (DGN-AM: step_size, step_size_end, decay and prior_scale only), "adaptive" (Eq. 11 whose condition_scale is found: at its
    steepest the condition moves the code by step_size standard deviations of real codes; with momentum) or "annealed" (noise
    levels fall from level to level_end, with `corrections` steps of step_size in (0, 1] at each; condition_scale 1 is p(code)
    p(y | image); prior "noise_level" only).
    generator: "generator", "joint_generator" (trained with noise) or "pixels": the code is the image, `[channel, size, size]`.
    prior: "reconstruction" (joint PPGN-h, E(G(h)) - h), "denoiser" (PPGN-h, R(h) - h), "pixel_denoiser" (PPGN-x,
    R_x(x) - x, with "pixels" only), "noise_level" (D(h; level) - h, a score model of fc6 before its ReLU: there the code
    is what comes before the ReLU, is not clipped, and starts are "codes" or "noise_level") or "none" (DGN-AM).
    gradient: of a class: "log_softmax" (true gradient), "released" (target entry only) or "logit" (the raw activation).
    temperature: of the softmax over classes, or words; above 1 the chain goes on asking when what it asks for is already likely.
    prior_scale, condition_scale, noise_scale: epsilon 1, 2, 3 of the paper. condition_limit: of "langevin", the most that the
    condition may move a chain in a step, a root mean square in code units; 0 for no limit, as in the paper.
    step_size, step_size_end: of the released sampler, the ascent and the adaptive sampler, changing linearly over the run.
    start: "normal" (N(start_mean, start_std^2), clipped from below), "unclipped" (the same with its negative entries, as
    released), "codes" (a Gaussian fitted to real codes) or "noise_level" (by the bundle's score model of real codes).
    draws, draw_power: starting codes drawn for each chain, one of which is chosen with probability proportional to
    p(y | image)^draw_power, a class at temperature 1; a power above 1 prefers typical ones.
    bounds: codes are clipped after every step, to "fixed" [code_low, code_high] or to the "statistics" of the bundle,
    [0, mean + 3 std] of each unit over real pictures.
    decay: the ascent multiplies the code by it after every clip. reset_every: of the released sampler, 0 for never.
    steps: evaluations of a chain; the picture kept is that of the last one.
    precision: of generator, encoder and classifier: "float32"; "bfloat16", several times faster where the processor has it, which
    ends with other pictures of the same kind; or "auto" (`precision.resolved`, docs/speed.md). compile: these networks by
    torch.compile, which takes minutes and was slower on the one processor where it was measured.
    tries, accept: a chain at whose end log p(y | image), at temperature 1, is below `accept` nats begins anew from another start,
    until it has had `tries` runs in all; the likeliest of its runs is kept (`sample` only). 1 keeps every chain.

    Raises ValueError for a word that is no choice, numbers out of range, and pixels with what is made for codes.
    """

    sampler: str = "released"
    generator: str = "generator"
    prior: str = "reconstruction"
    gradient: str = "released"
    temperature: float = 1.0
    prior_scale: float = 1e-5
    condition_scale: float = 1.0
    condition_limit: float = 0.0
    noise_scale: float = 0.0
    step_size: float = 1.0
    step_size_end: float = 1.0
    start: str = "normal"
    draws: int = 1
    draw_power: float = 1.0
    start_mean: float = 0.0
    start_std: float = 1.0
    bounds: str = "fixed"
    code_low: float = 0.0
    code_high: float = 30.0
    momentum: float = 0.0
    level: float = 0.5
    level_end: float = 0.05
    corrections: int = 1
    decay: float = 1.0
    reset_every: int = 0
    steps: int = 200
    tries: int = 1
    accept: float = -0.7
    precision: str = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: choose {', '.join(known)}")
        if self.steps < 1:
            raise ValueError(f"got {self.steps} steps, expected at least 1: ask for one step or more")
        if self.draws < 1:
            raise ValueError(f"got {self.draws} draws, expected at least 1: 1 begins with the first code drawn")
        if self.tries < 1:
            raise ValueError(f"got {self.tries} tries, expected at least 1: 1 keeps every chain")
        if self.tries > 1 and self.gradient == "logit":
            raise ValueError(
                f"got {self.tries} tries with gradient 'logit', expected 1: a logit is no log-probability to accept by"
            )
        if math.isnan(self.accept):
            raise ValueError("got accept nan, expected a log-probability in nats: -0.7 is a probability of one half")
        if not 0 <= self.draw_power < math.inf:
            raise ValueError(f"got draw_power {self.draw_power}, expected at least 0: 0 ignores the condition, 1 is p(y | image)")
        if not self.condition_limit >= 0:
            raise ValueError(f"got condition_limit {self.condition_limit}, expected at least 0: 0 is no limit")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"got momentum {self.momentum}, expected it in [0, 1): pass 0 for none")
        if not self.temperature > 0:
            raise ValueError(f"got temperature {self.temperature}, expected more than 0: 1 is the softmax as it is")
        if not 0 < self.decay <= 1:
            raise ValueError(f"got decay {self.decay}, expected it in (0, 1]: pass 0.99 as DGN-AM, or 1 for none")
        if self.reset_every < 0:
            raise ValueError(f"got reset_every {self.reset_every}, expected at least 0: pass 0 for no resets")
        if not 0 < self.level_end < self.level or self.corrections < 0:
            raise ValueError(
                f"got level {self.level}, level_end {self.level_end} and {self.corrections} corrections, "
                f"expected 0 < level_end < level and at least 0 corrections: levels fall"
            )
        _check_space(self)


def _check_space(settings: Settings) -> None:
    """Raises ValueError when something made for codes is asked to work on pixels or on codes before the ReLU, or the other way
    round."""
    if settings.sampler == "annealed" and settings.prior != "noise_level":
        raise ValueError(f"got sampler 'annealed' with prior {settings.prior!r}: choose prior noise_level, which knows levels")
    if settings.prior == "noise_level" and settings.start not in ("codes", "noise_level"):
        raise ValueError(f"got prior 'noise_level' with start {settings.start!r}: choose start noise_level or codes")
    pixels = settings.generator == "pixels"
    wrong = {
        "prior": settings.prior in (("reconstruction", "denoiser", "noise_level") if pixels else ("pixel_denoiser",)),
        "start": pixels and settings.start in ("codes", "noise_level"),
        "bounds": pixels and settings.bounds == "statistics",
    }
    for name in (name for name, is_wrong in wrong.items() if is_wrong):
        fits = {"prior": "pixel_denoiser or none", "start": "normal or unclipped", "bounds": "fixed"}[name]
        fix = f"choose {name} {fits}" if pixels else "choose generator pixels, or another prior"
        raise ValueError(f"got {name} {getattr(settings, name)!r} with generator {settings.generator!r}: {fix}")
