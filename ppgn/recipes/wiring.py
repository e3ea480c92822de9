"""Settings and a bundle -> generator, prior, conditions and sampler; the wiring of all parts in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn import chain, priors
from ppgn.bundle import Bundle
from ppgn.conditions import And, ClassesOfGroups, ClassLogit, ClassLogProb, InPainted, KnownPixels, ReleasedClass
from ppgn.conditions.pixels import composite
from ppgn.networks import IdentityGenerator, IdentityGeneratorConfig
from ppgn.objective import Objective, Term
from ppgn.probe import EncoderPass
from ppgn.recipes.captions import caption_condition, is_own_caption, shares_trunk
from ppgn.recipes.classes import Target
from ppgn.recipes.haste import hastened
from ppgn.recipes.named import NAMED
from ppgn.recipes.settings import Settings
from ppgn.samplers import Adaptive, Annealed, Ascent, Langevin, ReleasedLangevin, spaced_levels
from ppgn.samplers.langevin import CodeRange
from ppgn.types import Code, Condition, Generator, Image, Prior, Sampler

CLASS_CONDITIONS = {"log_softmax": ClassLogProb, "released": ReleasedClass, "logit": ClassLogit}


@dataclass(frozen=True, eq=False)
class Hole:
    """What in-painting knows: the picture `[channel, height, width]`, the mask (1 known, 0 hole; see `ppgn.masks`), and
    context_scale, epsilon 4 of the released code, for pixels counted in 0 to 255 as there."""

    picture: Tensor
    known: Tensor
    context_scale: float


def objective_for(
    bundle: Bundle, condition: Condition | Sequence[Target] | None, settings: Settings, hole: Hole | None = None
) -> Objective:
    """Generator, prior and the terms "condition" and, with a hole, "context".

    E's pass over an image is shared by the reconstruction prior (its code) and the class condition (its logits). With a hole both
    see the composite, G(h) inside it and the picture outside, and context is the log-density of the known pixels, weighted so
    that the sampler's condition_scale makes context_scale of it (released in-painting).

    Raises ValueError for a part that the bundle lacks, and for a context_scale above 0 beside a condition_scale of 0.
    """
    bundle = hastened(bundle, settings, condition)
    sharing = hole is None and shares_trunk(bundle, condition)
    shared = EncoderPass(bundle.encoder, with_maps=True) if sharing else _passing(bundle.encoder, hole)
    terms = []
    if callable(condition):
        plugged = condition
        if is_own_caption(condition, bundle):
            caption = condition.at(condition.temperature * settings.temperature)
            plugged = caption_condition(bundle, shared, caption, sharing)
        terms = [Term("condition", plugged if hole is None else InPainted(plugged, hole.picture, hole.known))]
    elif condition is not None:
        terms = [Term("condition", class_condition(bundle, shared, condition, settings, hole))]
    if hole is not None and hole.context_scale:
        terms.append(_context(hole, settings))
    return Objective(_generator(bundle, settings), _prior(bundle, shared, settings), terms)


def class_condition(
    bundle: Bundle, shared: EncoderPass, targets: Sequence[Target], settings: Settings, hole: Hole | None = None
) -> Condition:
    """log p(target | image) by the encoder's head, one target a chain; over each group where classes stand in groups.

    A bundle with a classifier has a second opinion: the mean of both log-probabilities, so that neither is fooled alone.
    """
    first = _classes(bundle, shared.logits, targets, settings)
    if "classifier" not in bundle.parts:
        return first
    second = _passing(bundle.parts["classifier"], hole)
    return And(first, _classes(bundle, second.logits, targets, settings), weights=[0.5, 0.5])


def _classes(bundle: Bundle, scores: Callable[[Image], Tensor], targets: Sequence[Target], settings: Settings) -> Condition:
    kind = CLASS_CONDITIONS[settings.gradient]

    def logits(image: Image) -> Tensor:
        return scores(image) / settings.temperature

    single = [one for one in targets if isinstance(one, int)]
    if len(bundle.class_groups) == 1 and len(single) == len(targets):
        return kind(logits, single)
    asked = [(one,) if isinstance(one, int) else one for one in targets]
    return ClassesOfGroups(logits, asked, bundle.class_groups, kind)


def sampler_for(bundle: Bundle, objective: Objective, settings: Settings, begin: int = 0) -> Sampler:
    """The settings' sampler of this objective; step sizes change linearly over settings.steps, from step `begin` on."""
    if settings.sampler == "annealed":
        return _annealed(bundle, objective, settings)
    scales = (settings.prior_scale, settings.condition_scale, settings.noise_scale)
    code_range = _code_range(bundle, settings)
    if settings.sampler == "langevin":
        return Langevin(objective, *scales, code_range, settings.condition_limit)
    step_size = chain.linear(settings.step_size, settings.step_size_end, settings.steps, begin)
    if settings.sampler == "adaptive":
        prior, _, noise = scales
        return Adaptive(objective, prior, step_size, noise, code_range, _code_std(bundle, settings), settings.momentum)
    if settings.sampler == "ascent":
        return Ascent(objective, step_size, code_range, settings.decay, settings.prior_scale)
    return ReleasedLangevin(objective, *scales, step_size, code_range, settings.reset_every)


def _code_std(bundle: Bundle, settings: Settings) -> float | Tensor:
    """The standard deviation of each code unit over real pictures; 1 for pixels. ValueError where the bundle does not know it."""
    if settings.generator == "pixels":
        return 1.0
    if "std" not in bundle.info["code"]:
        raise ValueError(
            f"bundle {bundle.name} has no std of its codes: choose another sampler than adaptive, or export it again"
        )
    return torch.as_tensor(bundle.info["code"]["std"], device=device_of(bundle))


def _annealed(bundle: Bundle, objective: Objective, settings: Settings) -> Annealed:
    """An objective a level: what the denoiser makes of the noisy code is decoded and seen by the conditions."""
    denoiser, count = part(bundle, "noise_level"), max(1, (settings.steps - 1) // (settings.corrections + 1))

    def at(level: float) -> Objective:
        prior = priors.NoiseLevel(denoiser.clean, level)
        return Objective(lambda code: objective.generator(denoiser.clean(code, level)), prior, objective.terms)

    levels = spaced_levels(settings.level, settings.level_end, count)
    return Annealed(at, levels, settings.corrections, settings.step_size, settings.condition_scale, denoiser.std)


def device_of(bundle: Bundle) -> torch.device:
    """Where the bundle's networks are."""
    return bundle.device


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


def _passing(network: Any, hole: Hole | None) -> EncoderPass:
    """One pass over each image; with a hole, over the composite."""
    return EncoderPass(network if hole is None else _SeesComposite(network, hole))


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
    generator = part(bundle, settings.generator)
    return (lambda code: generator(code.relu())) if settings.prior == "noise_level" else generator


def _prior(bundle: Bundle, shared: EncoderPass, settings: Settings) -> Prior:
    if settings.prior in ("denoiser", "pixel_denoiser"):
        return priors.Denoiser(part(bundle, settings.prior))
    if settings.prior == "noise_level":
        return priors.NoiseLevel(part(bundle, "noise_level").clean, settings.level)
    return priors.Reconstruction(shared.code) if settings.prior == "reconstruction" else priors.NoPrior()


def _code_range(bundle: Bundle, settings: Settings) -> CodeRange | None:
    if settings.prior == "noise_level":
        return None
    if settings.bounds == "fixed":
        return settings.code_low, settings.code_high
    code, device = bundle.info["code"], device_of(bundle)
    if "low" not in code or "high" not in code:
        raise ValueError(f"bundle {bundle.name} has no low and high of its codes: choose bounds 'fixed', or export it again")
    return torch.tensor(code["low"], device=device), torch.tensor(code["high"], device=device)
