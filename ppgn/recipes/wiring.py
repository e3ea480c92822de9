"""Settings and a bundle -> generator, prior, conditions, sampler and start; the wiring of all parts in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn import chain, priors, starts
from ppgn.bundle import Bundle
from ppgn.conditions import ClassesOfGroups, ClassLogit, ClassLogProb, InPainted, KnownPixels, ReleasedClass
from ppgn.conditions.pixels import composite
from ppgn.networks import IdentityGenerator, IdentityGeneratorConfig
from ppgn.objective import Objective, Term
from ppgn.probe import EncoderPass
from ppgn.recipes.classes import Target
from ppgn.recipes.named import NAMED
from ppgn.recipes.settings import Settings
from ppgn.samplers import Ascent, Langevin, ReleasedLangevin
from ppgn.samplers.langevin import CodeRange
from ppgn.types import Code, Condition, Evaluation, Generator, Image, Prior, Sampler

MODELS_OF_CODES = {"codes": "start", "noise_level": "noise_level"}
"""A start -> the part of the bundle that draws such codes."""
CLASS_CONDITIONS = {"log_softmax": ClassLogProb, "released": ReleasedClass, "logit": ClassLogit}


@dataclass(frozen=True, eq=False)
class Hole:
    """What in-painting knows: the picture `[channel, height, width]`, the mask (1 known, 0 hole; see `ppgn.masks`), and
    context_scale, epsilon 4 of the released code, for pixels counted in 0 to 255 as there."""

    picture: Tensor
    known: Tensor
    context_scale: float


def run(
    bundle: Bundle,
    condition: Condition | Sequence[Target] | None,
    seeds: Sequence[int],
    settings: Settings,
    start: Code | None = None,
    hole: Hole | None = None,
) -> Iterator[Evaluation]:
    """The evaluations of one batch of chains, step by step.

    condition: any function image -> log-probability per chain, one class number per chain, or None. start: codes `[chain, *code]`
    instead of those that the settings draw. hole: in-painting (see `objective_for`).
    """
    objective = objective_for(bundle, condition, settings, hole)
    sampler = sampler_for(bundle, objective, settings)
    code = start_for(bundle, seeds, settings, objective) if start is None else start
    for _, evaluation in chain.run(sampler, sampler.init(code, seeds), settings.steps):
        yield evaluation


def objective_for(
    bundle: Bundle, condition: Condition | Sequence[Target] | None, settings: Settings, hole: Hole | None = None
) -> Objective:
    """Generator, prior and the terms "condition" and, with a hole, "context".

    E's pass over an image is shared by the reconstruction prior (its code) and the class condition (its logits). With a hole both
    see the composite, G(h) inside it and the picture outside, and context is the log-density of the known pixels, weighted so
    that the sampler's condition_scale makes context_scale of it (released in-painting).

    Raises ValueError for a part that the bundle lacks, and for a context_scale above 0 beside a condition_scale of 0.
    """
    shared = EncoderPass(bundle.encoder if hole is None else _SeesComposite(bundle.encoder, hole))
    terms = []
    if callable(condition):
        terms = [Term("condition", condition if hole is None else InPainted(condition, hole.picture, hole.known))]
    elif condition is not None:
        terms = [Term("condition", class_condition(bundle, shared, condition, settings))]
    if hole is not None and hole.context_scale:
        terms.append(_context(hole, settings))
    return Objective(_generator(bundle, settings), _prior(bundle, shared, settings), terms)


def class_condition(bundle: Bundle, shared: EncoderPass, targets: Sequence[Target], settings: Settings) -> Condition:
    """log p(target | image) by the bundle's classifier, one target a chain; over each group where classes stand in groups."""
    kind = CLASS_CONDITIONS[settings.gradient]

    def logits(image: Image) -> Tensor:
        return shared.logits(image) / settings.temperature

    single = [one for one in targets if isinstance(one, int)]
    if len(bundle.class_groups) == 1 and len(single) == len(targets):
        return kind(logits, single)
    asked = [(one,) if isinstance(one, int) else one for one in targets]
    return ClassesOfGroups(logits, asked, bundle.class_groups, kind)


def sampler_for(bundle: Bundle, objective: Objective, settings: Settings, begin: int = 0) -> Sampler:
    """The settings' sampler of this objective; step sizes change linearly over settings.steps, from step `begin` on."""
    scales = (settings.prior_scale, settings.condition_scale, settings.noise_scale)
    code_range = _code_range(bundle, settings)
    if settings.sampler == "langevin":
        return Langevin(objective, *scales, code_range)
    step_size = chain.linear(settings.step_size, settings.step_size_end, settings.steps, begin)
    if settings.sampler == "ascent":
        return Ascent(objective, step_size, code_range, settings.decay, settings.prior_scale)
    return ReleasedLangevin(objective, *scales, step_size, code_range, settings.reset_every)


def start_for(bundle: Bundle, seeds: Sequence[int], settings: Settings, objective: Objective | None = None) -> Code:
    """Codes `[len(seeds), *code]` as the settings' start says; of several draws the objective chooses (`starts.likely_code`)."""

    def draw(number: int) -> Code:
        return _drawn(bundle, seeds, settings, number)

    if objective is None or settings.draws == 1 or not objective.terms:
        return draw(0)
    return starts.likely_code(seeds, settings.draws, draw, objective.log_prob)


def _drawn(bundle: Bundle, seeds: Sequence[int], settings: Settings, number: int) -> Code:
    if settings.start in MODELS_OF_CODES:
        network = part(bundle, MODELS_OF_CODES[settings.start], "no model of its codes to start from")
        return starts.drawn_code(seeds, bundle.code_shape, network, device_of(bundle), number)
    shape = (bundle.channels, bundle.image_size, bundle.image_size) if settings.generator == "pixels" else bundle.code_shape
    low = settings.code_low if settings.start == "normal" else None
    mean, std = settings.start_mean, settings.start_std
    return starts.random_code(seeds, shape, mean=mean, std=std, low=low, device=device_of(bundle), draw=number)


def device_of(bundle: Bundle) -> torch.device:
    """Where the bundle's networks are."""
    return next(bundle.generator.parameters()).device


def part(bundle: Bundle, name: str, lack: str | None = None) -> Any:
    """A network of the bundle; ValueError saying what the bundle can do when it lacks it."""
    if name not in bundle.parts:
        lacking, can = lack or f"no {name}", ", ".join(runnable(bundle))
        raise ValueError(f"bundle {bundle.name} has {lacking}: choose other settings, or a recipe that it can run, {can}")
    return bundle.parts[name]


def runnable(bundle: Bundle) -> tuple[str, ...]:
    """The recipes in NAMED for which the bundle has all parts."""
    networks = {"joint_generator", "denoiser", "pixel_denoiser"}
    needs = {name: {changes["generator"], changes["prior"]} & networks for name, changes in NAMED.items()}
    return tuple(name for name, needed in needs.items() if needed <= set(bundle.parts))


class _SeesComposite:
    """An encoder that sees the picture where it is known and the image in the hole."""

    def __init__(self, encoder: Any, hole: Hole) -> None:
        self.encoder, self.hole = encoder, hole

    def __call__(self, image: Image) -> Code:
        return self.encoder(composite(image, self.hole.picture, self.hole.known))

    def logits_from_code(self, code: Code) -> Tensor:
        return self.encoder.logits_from_code(code)


def _context(hole: Hole, settings: Settings) -> Term:
    condition_scale = 1.0 if settings.sampler == "ascent" else settings.condition_scale  # the ascent has none
    if condition_scale == 0:
        raise ValueError(
            f"in-painting got condition_scale 0 with context_scale {hole.context_scale}, expected more than 0: "
            f"leave the class out, or pass context_scale=0"
        )
    known = KnownPixels(hole.picture, hole.known, std=1 / 255)  # the released pixels count to 255, and so does epsilon 4
    return Term("context", known, hole.context_scale / condition_scale)


def _generator(bundle: Bundle, settings: Settings) -> Generator:
    if settings.generator == "pixels":
        return IdentityGenerator(IdentityGeneratorConfig(bundle.channels, bundle.image_size))
    return part(bundle, settings.generator)


def _prior(bundle: Bundle, shared: EncoderPass, settings: Settings) -> Prior:
    if settings.prior in ("denoiser", "pixel_denoiser"):
        return priors.Denoiser(part(bundle, settings.prior))
    return priors.Reconstruction(shared.code) if settings.prior == "reconstruction" else priors.NoPrior()


def _code_range(bundle: Bundle, settings: Settings) -> CodeRange:
    if settings.bounds == "fixed":
        return settings.code_low, settings.code_high
    code, device = bundle.info["code"], device_of(bundle)
    if "low" not in code or "high" not in code:
        raise ValueError(f"bundle {bundle.name} has no low and high of its codes: choose bounds 'fixed', or export it again")
    return torch.tensor(code["low"], device=device), torch.tensor(code["high"], device=device)
