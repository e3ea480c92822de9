"""The named methods of the papers, wired: the one place that knows all parts."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import chain, images, priors, starts
from ppgn.bundle import Bundle
from ppgn.conditions import ClassLogProb, ReleasedClass
from ppgn.objective import Objective, Term
from ppgn.probe import EncoderPass
from ppgn.samplers import Langevin, ReleasedLangevin
from ppgn.types import Code, Condition, Evaluation, Prior, Sampler

Watch = Callable[[int, Evaluation], None]


@dataclass(frozen=True)
class Settings:
    """How a chain runs; a bundle stores the set found best for it.

    sampler: "langevin" (Eq. 11) or "released" (the shipped code: the sum normalised to a mean of step_size a unit).
    prior: "reconstruction" (joint PPGN-h, E(G(h)) - h), "denoiser" (PPGN-h, R(h) - h) or "none" (DGN-AM).
    gradient: "log_softmax" (true gradient) or "released" (target entry only).
    temperature: of the class softmax; above 1 the chain goes on asking when the class is already likely.
    prior_scale, condition_scale, noise_scale: epsilon 1, 2, 3 of the paper.
    step_size, step_size_end: of the released sampler, changing linearly over the run.
    start: "normal" (N(0, start_std^2), clipped from below) or "codes" (drawn from the bundle's model of real codes).
    code_low, code_high: codes are clipped to this range after every step.
    steps: evaluations of a chain; the picture kept is that of the last one.
    """

    sampler: str = "released"
    prior: str = "reconstruction"
    gradient: str = "released"
    temperature: float = 1.0
    prior_scale: float = 1e-5
    condition_scale: float = 1.0
    noise_scale: float = 0.0
    step_size: float = 1.0
    step_size_end: float = 1.0
    start: str = "normal"
    start_std: float = 1.0
    code_low: float = 0.0
    code_high: float = 30.0
    steps: int = 200

    def __post_init__(self) -> None:
        _choose("sampler", self.sampler, ("langevin", "released"))
        _choose("prior", self.prior, ("reconstruction", "denoiser", "none"))
        _choose("start", self.start, ("normal", "codes"))
        _choose("gradient", self.gradient, ("log_softmax", "released"))
        if self.steps < 1:
            raise ValueError(f"got {self.steps} steps, expected at least 1: ask for one step or more")
        if not self.temperature > 0:
            raise ValueError(f"got temperature {self.temperature}, expected more than 0: 1 is the softmax as it is")


@dataclass(frozen=True, eq=False)
class Samples:
    """What chains ended with: images `[chain, channel, height, width]`, codes `[chain, code]`, log_prob `[chain]` in
    nats, each chain's seed, and the settings that made them."""

    images: Tensor
    codes: Tensor
    log_prob: Tensor
    seeds: tuple[int, ...]
    settings: Settings

    def grid(self, labels: Sequence[str] | None = None, columns: int | None = None) -> Pillow.Image:
        """All images as tiles of one picture, with a label under each if given."""
        return images.grid(self.images, labels, columns)


def settings_for(bundle: Bundle, **changes: Any) -> Settings:
    """The bundle's own settings with `changes`; a change that is None is left out. ValueError for an unknown one."""
    known = {field.name for field in dataclasses.fields(Settings)}
    own = dict(bundle.info.get("recipe", {}).get("settings", {}))
    unknown = (set(own) | set(changes)) - known
    if unknown:
        raise ValueError(f"unknown settings {', '.join(sorted(unknown))}: choose from {', '.join(sorted(known))}")
    return Settings(**{**own, **{key: value for key, value in changes.items() if value is not None}})


def class_index(names: Sequence[str], wanted: str | int) -> int:
    """The index of a class by name, unique part of a name (case aside) or number; ValueError saying what there is."""
    listed = ", ".join(f"{index} {name}" for index, name in enumerate(names))
    text = str(wanted).strip().lower().replace("_", " ")
    lowered = [name.lower().replace("_", " ") for name in names]
    if text in lowered:
        return lowered.index(text)
    if text.isdecimal():
        if int(text) < len(names):
            return int(text)
        raise ValueError(f"class {wanted} is out of range: the bundle has {listed}")
    found = [index for index, name in enumerate(lowered) if text and text in name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"class {wanted!r} fits {', '.join(names[index] for index in found)}: write more of the name")
    close = difflib.get_close_matches(text, lowered, 1)
    guess = f"did you mean {names[lowered.index(close[0])]!r}? " if close else ""
    raise ValueError(f"no class {wanted!r}: {guess}the bundle has {listed}")


def sample(
    bundle: Bundle,
    condition: Condition | str | int | Sequence[int],
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int = 32,
    watch: Watch | None = None,
    **changes: Any,
) -> Samples:
    """Runs `count` chains and returns their last pictures.

    condition: a class by name or number, one class number per chain, or any function image -> log-probability per chain.
    count: 16, or as many as classes are listed. seed: the first chain's, the next ones count up; or one a chain.
    batch: chains that run at once; it changes memory, not results.
    watch: called as watch(step, evaluation) after each step. changes: fields of Settings, e.g. steps=100.
    """
    settings = settings_for(bundle, **changes)
    asked = _asked(bundle, condition, count)
    count = len(asked) if isinstance(asked, list) else 16 if count is None else count
    if min(count, batch) < 1:
        raise ValueError(f"got count {count} and batch {batch}, expected at least 1: ask for one sample or more")
    seeds = list(range(seed, seed + count)) if isinstance(seed, int) else list(seed)
    if len(seeds) != count:
        raise ValueError(f"got {len(seeds)} seeds for {count} chains: give one seed a chain, or the first one only")
    parts = []
    for first in range(0, count, batch):
        chosen = asked[first : first + batch] if isinstance(asked, list) else asked
        parts.append(_last(run(bundle, chosen, seeds[first : first + batch], settings), watch))
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("image", "code", "log_prob")}
    return Samples(joined["image"], joined["code"], joined["log_prob"], tuple(seeds), settings)


def run(bundle: Bundle, condition: Condition | Sequence[int], seeds: Sequence[int], settings: Settings) -> Iterator[Evaluation]:
    """The evaluations of one batch of chains, step by step; the wiring of all parts in one place.

    E's pass over an image is shared by the reconstruction prior (its code) and the class condition (its logits).
    """
    shared = EncoderPass(bundle.encoder)
    if callable(condition):
        asked: Condition = condition
    else:
        gradient = {"log_softmax": ClassLogProb, "released": ReleasedClass}[settings.gradient]
        asked = gradient(lambda image: shared.logits(image) / settings.temperature, list(condition))
    objective = Objective(bundle.generator, _prior(bundle, shared, settings), [Term("condition", asked)])
    sampler = _sampler(objective, settings)
    for _, evaluation in chain.run(sampler, sampler.init(_start(bundle, seeds, settings), seeds), settings.steps):
        yield evaluation


def _asked(bundle: Bundle, condition: Condition | str | int | Sequence[int], count: int | None) -> Condition | list[int]:
    """A condition as it is, or one class number for each chain."""
    if callable(condition):
        return condition
    if isinstance(condition, str | int):
        return [class_index(bundle.class_names, condition)] * (16 if count is None else count)
    if count not in (None, len(condition)):
        raise ValueError(f"got {len(condition)} classes for {count} chains: leave count out, or list one a chain")
    return [class_index(bundle.class_names, one) for one in condition]


def _prior(bundle: Bundle, shared: EncoderPass, settings: Settings) -> Prior:
    if settings.prior == "denoiser":
        if bundle.denoiser is None:
            raise ValueError(f"bundle {bundle.name} has no denoiser: choose prior 'reconstruction' or 'none'")
        return priors.Denoiser(bundle.denoiser)
    return priors.Reconstruction(shared.code) if settings.prior == "reconstruction" else priors.NoPrior()


def _start(bundle: Bundle, seeds: Sequence[int], settings: Settings) -> Code:
    device = next(bundle.generator.parameters()).device
    if settings.start == "normal":
        low, std = settings.code_low, settings.start_std
        return starts.random_code(seeds, bundle.code_shape, std=std, low=low, device=device)
    if "start" not in bundle.parts:
        raise ValueError(f"bundle {bundle.name} has no model of its codes to start from: choose start 'normal'")
    return starts.drawn_code(seeds, bundle.code_shape, bundle.parts["start"], device)


def _sampler(objective: Objective, settings: Settings) -> Sampler:
    scales = (settings.prior_scale, settings.condition_scale, settings.noise_scale)
    code_range = (settings.code_low, settings.code_high)
    if settings.sampler == "langevin":
        return Langevin(objective, *scales, code_range)
    step_size = chain.linear(settings.step_size, settings.step_size_end, settings.steps)
    return ReleasedLangevin(objective, *scales, step_size, code_range)


def _last(evaluations: Iterator[Evaluation], watch: Watch | None) -> Evaluation:
    evaluation = None
    for step, evaluation in enumerate(evaluations, 1):
        if watch is not None:
            watch(step, evaluation)
    assert evaluation is not None, "settings ask for at least one step"
    return evaluation


def _choose(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}: choose {', '.join(known)}")
