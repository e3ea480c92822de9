"""A set, not an optimum: samples of p(code) exp(strength * response), the diagnostics of their chains, and a control."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ppgn import chain, images, recipes
from ppgn.bundle import Bundle
from ppgn.evaluation import autocorrelation, between_chains, frechet_distance
from ppgn.explanation.options import ExplainOptions
from ppgn.explanation.study import Part, Study, Tick, mean_interval, spread_of
from ppgn.explanation.target import AT_ONCE, Target
from ppgn.objective import Objective, Term
from ppgn.priors import Gaussian
from ppgn.samplers import Langevin
from ppgn.sampling import seeds_of
from ppgn.seeds import Stream, normal
from ppgn.types import Code, CodeSpace, Image, LogProb

KEPT_EVERY = 4
"""Steps between two pictures of a chain that are kept, after its first quarter."""
FEW = 256
"""Pictures of either set below which a Frechet distance says nothing."""
CONTROL_PICTURES = 256
"""Real pictures by which the spread of the control's responses is measured."""
FLOW_STEPS = 20
"""Of a score model's flow, at most. With natural128 the codes of 64 draws differ from those of all 60 steps by 0.035 of a unit's
standard deviation, root mean square (seed 0)."""
MODELS = ("noise_level", "start")
"""Parts of a bundle that turn standard normal noise into codes, the better first."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Chains at several strengths, `[strength, chain, ...]`: responses of their own target at each step, `[..., step]`, and the
    kept pictures behind the first quarter, `[..., kept, channel, height, width]`."""

    responses: Tensor
    kept: Image


def passes(study: Study) -> int:
    """Passes of a picture through a network that the part takes."""
    options = study.options
    return 3 * options.chains * options.steps * (1 + 2 * len(options.strengths)) + CONTROL_PICTURES


def sweep(study: Study, tick: Tick) -> Part:
    """Samples of p(code) exp(lambda r / s) for a sweep of lambda, s the standard deviation of r over real pictures.

    p is the bundle's model of its codes, whose flow f turns standard normal noise into codes. The chains move the noise,

        z' = z - e z + e (lambda / s) d r(G(f(z))) / dz + sqrt(e (2 - e)) n,   n ~ N(0, 1),

    PPGN's Eq. 11 without its accept step, with a noise that keeps N(0, 1) exactly where lambda is 0. Chains start at draws of p,
    so those of strength 0 are in equilibrium at once. The control is the same sweep for a random direction of equal norm
    (`Target.control`), whose rows hold the target's responses.
    """
    if not any(part in study.bundle.parts for part in MODELS):
        return Part({"left_out": f"{study.bundle.name} has no model of its codes, whose samples this part needs."})
    options, shown = study.options, {}
    strengths = (0.0, *options.strengths)
    control = study.target.control(options.seed)
    generate, shape = _of_noise(study.bundle)
    unit = sampled(generate, shape, study.target, strengths, study.std, options, tick)
    sets = {"unit": unit}
    if control is not None:
        other = sampled(generate, shape, control, options.strengths, _spread(study, control), options, tick)
        kept = torch.cat([unit.kept[:1], other.kept])  # strength 0 is the same for both
        sets["control"] = Sampled(torch.cat([unit.responses[:1], other.responses]), kept)
    rows: dict[str, Any] = {"unit": [], "control": None}
    correlations = {}
    for name, found in sets.items():
        rows[name] = []
        for place, strength in enumerate(strengths):
            shared = name == "control" and strength == 0  # with the unit's row, whose numbers hold for both
            own = found.responses[place] if name == "unit" else None
            row = rows["unit"][0] if shared else _row(study, found.kept[place], own)
            rows[name].append({**row, "strength": strength, "picture": f"{name}_{place}"})
            shown[f"{name}_{place}"] = images.grid(found.kept[place][:, -1])
        shown |= {f"{name}_set_{number}": images.to_pil(image) for number, image in enumerate(found.kept[-1].flatten(0, 1))}
        last = found.responses[-1]
        half = last[:, first_step(last.shape[1]) :]
        correlations[name] = autocorrelation(half).tolist() if half.shape[1] > 1 else []
    about = {"step_size": options.step_size, "steps": options.steps, "chains": options.chains, "kept": unit.kept.shape[2],
             "mixed_r_hat": mixed_r_hat(options.steps, options.step_size)}  # fmt: skip
    left_out = None if control is not None else (
        f"{study.target.name} is no direction of a layer with several channels, so there is no random direction beside it."
    )  # fmt: skip
    return Part({**about, "std": study.std, **rows, "autocorrelation": correlations, "control_left_out": left_out}, shown)


def sampled(
    generate: Callable[[Code], Image],
    shape: tuple[int, ...],
    target: Target,
    strengths: Sequence[float],
    std: float,
    options: ExplainOptions,
    tick: Tick,
) -> Sampled:
    """Chains of a target at several strengths, `options.chains` of each, with the same noise at every strength.

    generate: standard normal noise `[chain, *shape]` -> pictures. std: of the target's responses over real pictures.
    """
    count = options.chains
    seeds = seeds_of(options.seed, count) * len(strengths)
    scales = torch.tensor(strengths).repeat_interleave(count) / std
    parts = []
    for some in _batches(scales):
        parts.append(_chains(generate, shape, target, scales[some], seeds[some], options, tick))
    responses, kept = (torch.cat(values).unflatten(0, (len(strengths), count)) for values in zip(*parts, strict=True))
    return Sampled(responses, kept)


def _batches(scales: Tensor) -> list[slice]:
    """At most AT_ONCE chains each; those of strength 0, which need no gradient, stand alone."""
    free = int((scales == 0).sum())  # they come first
    edges = [*range(0, free, AT_ONCE), *range(free, len(scales), AT_ONCE), len(scales)]
    return [slice(first, last) for first, last in pairwise(edges)]


def _chains(
    generate: Callable[[Code], Image],
    shape: tuple[int, ...],
    target: Target,
    scales: Tensor,
    seeds: Sequence[int],
    options: ExplainOptions,
    tick: Tick,
) -> tuple[Tensor, Image]:
    """(responses `[chain, step]`, kept pictures `[chain, kept, ...]`) of chains with these strengths over the spread."""
    seen: list[Tensor] = []

    def tilt(image: Image) -> LogProb:
        response = target.response(image)
        seen.append(response.detach().cpu())
        return scales.to(response) * response

    size = options.step_size
    rule = Langevin(prior_scale=size, condition_scale=size, noise_scale=math.sqrt(size * (2 - size)))
    free = not bool(scales.any())
    objective = Objective(generate, Gaussian(), [] if free else [Term("condition", tilt)], CodeSpace(shape))
    begin = normal(seeds, 0, shape, stream=Stream.START)
    kept = []
    for step, (_, evaluation) in enumerate(chain.run(rule, objective, rule.init(begin, seeds), options.steps), 1):
        if step > first_step(options.steps) and (options.steps - step) % KEPT_EVERY == 0:
            kept.append(evaluation.image.clamp(0, 1).cpu())
        if free:
            seen.append(target.measured(evaluation.image))
        tick(3 * len(seeds))
    return torch.stack(seen, 1), torch.stack(kept, 1)


def _of_noise(bundle: Bundle) -> tuple[Callable[[Code], Image], tuple[int, ...]]:
    """(standard normal noise `[chain, *code]` -> pictures, the noise's shape): G of the codes that the bundle's model makes."""
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", precision="float32"))
    model = next(setup.parts[part] for part in MODELS if part in setup.parts)
    if hasattr(model, "levels"):
        model = copy.copy(model)
        model.config = replace(model.config, steps=min(model.config.steps, FLOW_STEPS))
    generator = setup.parts["generator"]
    code = model if bundle.code.relu else getattr(model, "before_relu", model)
    return lambda noise: generator(code(noise.to(bundle.device))), bundle.code.shape


def _row(study: Study, kept: Image, series: Tensor | None) -> dict[str, Any]:
    """Numbers of the pictures `[chain, kept, ...]` at one strength. series: the target's responses along these chains, where they
    are known at every step `[chain, step]`; else those to the pictures count."""
    every = kept.flatten(0, 1)
    row: dict[str, Any] = dict.fromkeys(("r_hat", "effective", "tau", "gap", "distance", "frechet"))
    effective = float(len(kept))
    if series is None:
        responses = study.target.measured(every.to(study.bundle.device))
    else:
        responses = series[:, first_step(series.shape[1]) :]
    values = (responses - study.known.mean()) / study.std
    if series is not None and values.shape[1] >= 8:
        row |= between_chains(values)
        effective = row["effective"] if math.isfinite(row["effective"]) else effective
    row["response"] = mean_interval(values, effective)
    row["gap"] = _gap(study, every)
    if study.features is not None:
        row["distance"] = mean_interval(study.distances(every).min(1).values, len(kept))
        if min(len(every), len(study.features)) >= FEW:
            row["frechet"] = float(frechet_distance(study.features, study.features_of(every)))
    return row


def _gap(study: Study, image: Image) -> float | None:
    """Mean over pictures of |E(G(E(x))) - E(x)| / |E(x)|: how far the joint prior of PPGN would move the picture's code."""
    encoder, generator = study.bundle.encoder, study.bundle.generator
    if encoder is None:
        return None
    with torch.no_grad():
        found = []
        for some in image.to(study.bundle.device).split(AT_ONCE):
            code = encoder(some)
            moved = encoder(generator(code)) - code
            found.append(moved.flatten(1).norm(dim=1) / code.flatten(1).norm(dim=1))
    return float(torch.cat(found).mean())


def _spread(study: Study, control: Target) -> float:
    """The standard deviation of the control's responses over real pictures, 1 where they are all the same."""
    chosen: Sequence[int] = images.spread(len(study.pictures), CONTROL_PICTURES)
    measured = control.measured(study.pictures.images(chosen).to(study.bundle.device))
    return spread_of(measured[measured.isfinite()])


def first_step(steps: int) -> int:
    """The number of steps at the beginning of a chain that do not count: a quarter."""
    return steps // 4


def mixed_r_hat(steps: int, step_size: float) -> float | None:
    """The R-hat to expect of chains in equilibrium that are this short, whose correlation from step to step is 1 - step_size.

    sqrt((n - 1) / n + v / (1 - v)), n steps in half a chain and v the variance of their mean over that of a step,
    ((1 + rho) / (1 - rho) - 2 rho (1 - rho^n) / (n (1 - rho)^2)) / n.
    """
    length, rho = (steps - first_step(steps)) // 2, 1 - step_size
    if length < 4:
        return None
    share = ((1 + rho) / (1 - rho) - 2 * rho * (1 - rho**length) / (length * (1 - rho) ** 2)) / length
    return math.sqrt((length - 1) / length + share / (1 - share)) if share < 1 else None
