"""A bundle, a recipe and a request -> networks, objective, sampler and starting codes: the only file that knows all parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ppgn import acceleration, loaders, starts
from ppgn.autocast import without_autocast
from ppgn.bundle import Bundle
from ppgn.conditions import KnownPixels
from ppgn.generators import PICTURE_GENERATORS
from ppgn.images import composite
from ppgn.objective import Objective, Term
from ppgn.probe import Passes
from ppgn.recipes.recipe import REPRODUCIBLE, Recipe
from ppgn.recipes.setup import Hole, Setup
from ppgn.requests import Request
from ppgn.samplers import scale_at
from ppgn.types import Code, CodeSpace, Condition, Generator, LogProb, Prior

IN_EVERY_STEP = ("generator", "joint_generator", "encoder", "classifier")
"""Parts that run in the recipe's precision."""
DRAWN_AT_ONCE = 1024
"""Starting codes that a model of codes draws in one pass: it is small, and a pass of a few codes takes as long."""


@without_autocast()
def prepare(bundle: Bundle, recipe: Recipe, request: Request | None = None) -> Setup:
    """The bundle in the recipe's precision, which is decided here and nowhere further in.

    Parts in `request.exact` stay in float32. Raises ValueError for bounds that the bundle does not have.
    """
    precision = _precision(bundle) if recipe.precision == "auto" else recipe.precision
    recipe = replace(recipe, precision=precision)
    parts: dict[str, Any] = dict(bundle.parts)
    if recipe.codes in PICTURE_GENERATORS:
        parts[recipe.generator] = _picture_generator(bundle, recipe)
    if precision in acceleration.DTYPES and precision != "float32":
        kept = () if request is None else request.exact
        for name in IN_EVERY_STEP:
            if isinstance(parts.get(name), nn.Module) and name not in kept:
                parts[name] = acceleration.converted(parts[name], precision)
        if "noise_level" in parts:
            how = (precision, "cast_layers")
            parts["noise_level"] = acceleration.cached_copy(parts["noise_level"], how, acceleration.cast_layers, precision)
    return Setup(bundle, recipe, parts, _space(bundle, recipe, parts))


def objective(setup: Setup, request: Request | None = None, hole: Hole | None = None) -> Objective:
    """Generator and prior, with the terms "condition" (of a request) and "context" (of a hole).

    One pass of the encoder over an image serves the reconstruction prior (its code) and the class condition (its logits). With a
    hole both see the composite, G(h) inside it and the picture outside. The context is the log-density of the known pixels; its
    weight is context_scale / condition_scale, so that the sampler scales its gradient by context_scale as released. Raises
    ValueError for a part that the bundle lacks, and for a context_scale above 0 beside a condition_scale of 0.
    """
    passes = setup.passes(None if hole is None else lambda image: composite(image, hole.picture, hole.known))
    terms = []
    if request is not None:
        condition = _viewed(request.condition(passes), passes, hole)
        plain = passes.plain()
        scored = condition if plain.measure == passes.measure else _viewed(request.condition(plain), plain, hole)
        terms = [Term("condition", condition, plain=scored)]
    if hole is not None and hole.context_scale:
        terms.append(_context(hole, setup.recipe))
    code_condition = None if request is None else request.code_condition(passes)
    return Objective(_generator(setup, passes), _prior(setup, passes), terms, setup.space, code_condition, setup.recipe.view)


@without_autocast()
def starting_codes(setup: Setup, seeds: Sequence[int], objective: Objective | None = None) -> Code:
    """Starting codes of the recipe, `[len(seeds), *code]`.

    Of several draws per chain one is chosen with probability proportional to exp(draw_power * objective.score(code))
    (`starts.likely_code`); without an objective, or without terms in it, the first is taken.
    """
    passes, recipe = setup.passes(), setup.recipe
    passes.code_condition = None if objective is None else objective.code_condition
    choice = recipe.choice
    if objective is None or not objective.terms or choice.draws == 1:
        return recipe.start.draw(seeds, range(1), setup.space, passes)[0]
    each = max(1, DRAWN_AT_ONCE // len(seeds))
    numbers = (range(first, min(first + each, choice.draws)) for first in range(0, choice.draws, each))
    codes: Iterator[Code] = (code for some in numbers for code in recipe.start.draw(seeds, some, setup.space, passes))

    def weight(code: Code) -> LogProb:
        return choice.draw_power * objective.score(code)

    return starts.likely_code(seeds, choice.draws, lambda number: next(codes), weight)  # which asks in order


def batch_size(setup: Setup, request: Request | None, count: int) -> int:
    """Chains of `count` to run at once: as many as memory holds (`acceleration.batch_size`), or all where they are coupled.

    One chain's graph through generator and condition is measured. Raises ValueError where the start lacks a part.
    """
    if setup.recipe.precision == REPRODUCIBLE:
        return count  # and then one at a time
    if count <= acceleration.FEW or (request is not None and request.couples):
        return count
    weights = [weight for network in setup.networks.values() for weight in (*network.parameters(), *network.buffers())]
    passes = setup.passes()

    def graph(code: Code) -> object:
        alone = objective(setup, None if request is None else request.select([0])).at_step((0,), 0)
        image = alone.generator(code)
        return [term.condition(image) for term in alone.terms] or image

    with torch.no_grad():
        passes.code_condition = None if request is None else request.select([0]).code_condition(passes)
        code = setup.recipe.start.draw((0,), range(1), setup.space, passes)[0]
    return acceleration.batch_size(graph, code, count, setup.bundle.device, weights)


def _precision(bundle: Bundle) -> str:
    """The precision for "auto" on this device."""
    return acceleration.network_precision(
        bundle.generator,
        bundle.encoder,
        lambda: loaders.two_codes(bundle),
        device=bundle.device,
        has_classes=bool(bundle.classes),
        trusted="bfloat16" in bundle.precisions,
        who=bundle.name,
    )[0]


def _space(bundle: Bundle, recipe: Recipe, parts: Mapping[str, Any]) -> CodeSpace:
    """The space of the codes that chains of the recipe move, with its bounds."""
    if recipe.codes in PICTURE_GENERATORS:
        return recipe.bounds.of(CodeSpace(parts[recipe.generator].code_shape, std=1.0))
    if recipe.codes == "before_relu":
        model = bundle.parts.get("noise_level")
        known = {} if model is None else {"mean": model.mean, "std": model.std}
        return CodeSpace(bundle.code.shape, **known)
    return recipe.bounds.of(bundle.code)


def _generator(setup: Setup, passes: Passes) -> Generator:
    generator = passes.part(setup.recipe.generator)
    rectifies = setup.recipe.codes == "before_relu" and setup.bundle.code.relu
    return (lambda code: generator(code.relu())) if rectifies else generator


def _picture_generator(bundle: Bundle, recipe: Recipe) -> Any:
    """The generator without weights that a recipe names, for pictures of the bundle's size."""
    generator, config = PICTURE_GENERATORS[recipe.generator]
    return generator(config(bundle.image.channels, *bundle.image.size)).to(bundle.device)


def _prior(setup: Setup, passes: Passes) -> Prior:
    prior = setup.recipe.prior
    return prior.bind(passes) if hasattr(prior, "bind") else prior


def _viewed(condition: Condition, passes: Passes, hole: Hole | None) -> Condition:
    return condition if hole is None else lambda image: condition(passes.view(image))


def _context(hole: Hole, recipe: Recipe) -> Term:
    # A sampler without a condition scale takes the gradient as it is.
    condition_scale = scale_at(getattr(recipe.sampler, "condition_scale", 1.0), 0)
    if condition_scale == 0:
        raise ValueError(
            f"in-painting got condition_scale 0 with context_scale {hole.context_scale}, expected more than 0: "
            f"leave the class out, or pass context_scale=0"
        )
    known = KnownPixels(hole.picture, hole.known, std=1 / 255)  # the released pixels count to 255, and so does epsilon 4
    return Term("context", known, hole.context_scale / condition_scale)
