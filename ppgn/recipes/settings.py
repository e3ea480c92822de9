"""How a chain runs, in plain values that JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass

CHOICES = {
    "sampler": ("langevin", "released", "ascent"),
    "generator": ("generator", "joint_generator", "pixels"),
    "prior": ("reconstruction", "denoiser", "none", "pixel_denoiser"),
    "start": ("normal", "codes", "noise_level", "unclipped"),
    "gradient": ("log_softmax", "released", "logit"),
    "bounds": ("fixed", "statistics"),
}
"""What each setting in words may be."""


@dataclass(frozen=True)
class Settings:
    """How a chain runs; a bundle stores the set found best for it, `recipes.NAMED` those of the papers.

    sampler: "langevin" (Eq. 11), "released" (the shipped code: the sum normalised to a mean of step_size a unit) or "ascent"
    (DGN-AM: step_size, step_size_end, decay and prior_scale only).
    generator: "generator", "joint_generator" (trained with noise) or "pixels": the code is the image, `[channel, size, size]`.
    prior: "reconstruction" (joint PPGN-h, E(G(h)) - h), "denoiser" (PPGN-h, R(h) - h), "pixel_denoiser" (PPGN-x,
    R_x(x) - x, with "pixels" only) or "none" (DGN-AM).
    gradient: of a class: "log_softmax" (true gradient), "released" (target entry only) or "logit" (the raw activation).
    temperature: of the class softmax; above 1 the chain goes on asking when the class is already likely.
    prior_scale, condition_scale, noise_scale: epsilon 1, 2, 3 of the paper.
    step_size, step_size_end: of the released sampler and the ascent, changing linearly over the run.
    start: "normal" (N(start_mean, start_std^2), clipped from below), "unclipped" (the same with its negative entries, as
    released), "codes" (a Gaussian fitted to real codes) or "noise_level" (by the bundle's score model of real codes).
    draws: starting codes drawn for each chain, one of which is chosen with probability proportional to p(y | image).
    bounds: codes are clipped after every step, to "fixed" [code_low, code_high] or to the "statistics" of the bundle,
    [0, mean + 3 std] of each unit over real pictures.
    decay: the ascent multiplies the code by it after every clip. reset_every: of the released sampler, 0 for never.
    steps: evaluations of a chain; the picture kept is that of the last one.

    Raises ValueError for a word that is no choice, numbers out of range, and pixels with what is made for codes.
    """

    sampler: str = "released"
    generator: str = "generator"
    prior: str = "reconstruction"
    gradient: str = "released"
    temperature: float = 1.0
    prior_scale: float = 1e-5
    condition_scale: float = 1.0
    noise_scale: float = 0.0
    step_size: float = 1.0
    step_size_end: float = 1.0
    start: str = "normal"
    draws: int = 1
    start_mean: float = 0.0
    start_std: float = 1.0
    bounds: str = "fixed"
    code_low: float = 0.0
    code_high: float = 30.0
    decay: float = 1.0
    reset_every: int = 0
    steps: int = 200

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: choose {', '.join(known)}")
        if self.steps < 1:
            raise ValueError(f"got {self.steps} steps, expected at least 1: ask for one step or more")
        if self.draws < 1:
            raise ValueError(f"got {self.draws} draws, expected at least 1: 1 begins with the first code drawn")
        if not self.temperature > 0:
            raise ValueError(f"got temperature {self.temperature}, expected more than 0: 1 is the softmax as it is")
        if not 0 < self.decay <= 1:
            raise ValueError(f"got decay {self.decay}, expected it in (0, 1]: pass 0.99 as DGN-AM, or 1 for none")
        if self.reset_every < 0:
            raise ValueError(f"got reset_every {self.reset_every}, expected at least 0: pass 0 for no resets")
        _check_space(self)


def _check_space(settings: Settings) -> None:
    """Raises ValueError when something made for codes is asked to work on pixels, or the other way round."""
    pixels = settings.generator == "pixels"
    wrong = {
        "prior": settings.prior in (("reconstruction", "denoiser") if pixels else ("pixel_denoiser",)),
        "start": pixels and settings.start in ("codes", "noise_level"),
        "bounds": pixels and settings.bounds == "statistics",
    }
    for name in (name for name, is_wrong in wrong.items() if is_wrong):
        fits = {"prior": "pixel_denoiser or none", "start": "normal or unclipped", "bounds": "fixed"}[name]
        fix = f"choose {name} {fits}" if pixels else "choose generator pixels, or another prior"
        raise ValueError(f"got {name} {getattr(settings, name)!r} with generator {settings.generator!r}: {fix}")
