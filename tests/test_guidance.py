"""Training-free guidance: the sampler against straight-line renderings of the published loops, in their own coordinates."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ppgn import chain
from ppgn.objective import Objective, Term
from ppgn.priors import NoiseLevel
from ppgn.recipes import GUIDANCE, Recipe, recipe_for
from ppgn.samplers import RULES, Annealed, Guided
from ppgn.seeds import Stream, normal

LEVELS = (6.0, 2.5, 1.0, 0.3)
SEEDS, SHAPE = (4, 9), (5,)
TARGET = torch.tensor([1.0, -0.5, 0.2, 0.7, -1.2], dtype=torch.float64)


def denoise(code: Tensor, level: float) -> Tensor:
    return code / (1 + level**2) + 0.2 * torch.sin(code / (1 + level))


def generate(code: Tensor) -> Tensor:
    return (code + 0.1 * code**2)[:, None, None, :]


def log_prob(image: Tensor) -> Tensor:
    return -(image.flatten(1) - TARGET).square().sum(1) / 2


def f(code: Tensor) -> Tensor:
    return log_prob(generate(code))


OBJECTIVE = Objective(generate, NoiseLevel(denoise, 1.0), [Term("likelihood", log_prob)])


def found(sampler: Any) -> Tensor:
    start = sampler.init(torch.zeros(2, *SHAPE, dtype=torch.float64), SEEDS)
    *_, (state, _) = chain.run(sampler, OBJECTIVE, start, sampler.updates)
    return state.code


class Published:
    """x_t = sqrt(abar) z and a network that predicts noise, as the papers write their loops; chains one after the other."""

    def __init__(self, level: float, following: float) -> None:
        self.a, self.a_next = 1 / (1 + level**2), 1 / (1 + following**2)
        self.level = level

    def noise(self, x: Tensor) -> Tensor:
        z = x / math.sqrt(self.a)
        return (z - denoise(z[None], self.level)[0]) / self.level

    def clean(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        noise = self.noise(x) if noise is None else noise
        return (x - math.sqrt(1 - self.a) * noise) / math.sqrt(self.a)

    def gradient(self, value: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(value(leaf), leaf)[0]

    def ancestral(self, x: Tensor, clean: Tensor, drawn: Tensor) -> Tensor:
        """The mean and standard deviation of DDPM's posterior (Ho et al. 2020, Eq. 6 and 7)."""
        a, b = self.a, self.a_next
        mean = math.sqrt(b) * (1 - a / b) / (1 - a) * clean + math.sqrt(a / b) * (1 - b) / (1 - a) * x
        return mean + math.sqrt((1 - b) * (1 - a / b) / (1 - a)) * drawn


def draw(seed: int, step: int, stream: int) -> Tensor:
    return normal([seed], step, SHAPE, stream=stream, dtype=torch.float64)[0]


def published(step: Callable[..., Tensor], recurrences: int = 1) -> Tensor:
    """The loop over levels and recurrences, each chain for itself: x_0 of each."""
    ends = []
    for seed in SEEDS:
        z, count = LEVELS[0] * draw(seed, 0, Stream.FIRST_LEVEL), 0
        x = z / math.sqrt(1 + LEVELS[0] ** 2)
        for level, following in zip(LEVELS, (*LEVELS[1:], 0.0), strict=True):
            times = recurrences if following else 1
            for again in range(times):
                world = Published(level, following)
                moved = step(world, x, draw(seed, count, Stream.NOISE))
                if again < times - 1:
                    kept = world.a / world.a_next
                    x = math.sqrt(kept) * moved + math.sqrt(1 - kept) * draw(seed, count, Stream.RECURRENCE)
                count += 1
            x = moved
        ends.append(x)
    return torch.stack(ends)


def test_dps_is_its_published_loop() -> None:
    def step(world: Published, x: Tensor, drawn: Tensor) -> Tensor:
        def distance(x: Tensor) -> Tensor:
            return (generate(world.clean(x)[None]).flatten() - TARGET).norm()

        return world.ancestral(x, world.clean(x), drawn) - 0.7 * world.gradient(distance, x)

    torch.testing.assert_close(found(Guided("dps", LEVELS, 0.7, eta=1.0)), published(step))


def test_freedom_is_its_published_loop() -> None:
    def step(world: Published, x: Tensor, drawn: Tensor) -> Tensor:
        noise, gradient = world.noise(x), world.gradient(lambda x: -f(world.clean(x)[None])[0], x)
        first = math.sqrt(world.a_next) * (1 - world.a / world.a_next) / (1 - world.a)
        size = noise.square().mean().sqrt() * math.sqrt(1 - world.a) / math.sqrt(world.a) * first * 0.02
        return world.ancestral(x, world.clean(x), drawn) - size / gradient.square().mean().sqrt() * gradient

    torch.testing.assert_close(found(Guided("freedom", LEVELS, 0.02, eta=1.0, recurrences=3)), published(step, 3))


def test_universal_guidance_is_its_published_loop() -> None:
    def step(world: Published, x: Tensor, drawn: Tensor) -> Tensor:
        forward = world.gradient(lambda x: -f(world.clean(x)[None])[0], x)
        noise = world.noise(x) + 0.3 * math.sqrt(1 - world.a) * forward
        delta = torch.zeros_like(x)
        for _ in range(2):
            delta = delta + 0.1 * world.gradient(lambda delta: f((world.clean(x) + delta)[None])[0], delta)
        noise = noise - math.sqrt(world.a / (1 - world.a)) * delta
        return math.sqrt(world.a_next) * world.clean(x, noise) + math.sqrt(1 - world.a_next) * noise

    sampler = Guided("universal_guidance", LEVELS, 0.3, clean_steps=2, clean_scale=0.1, recurrences=2)
    torch.testing.assert_close(found(sampler), published(step, 2))


def test_tfg_is_its_published_loop() -> None:
    pairs = list(zip(LEVELS, (*LEVELS[1:], 0.0), strict=True))
    total = sum((1 + t**2) / (1 + s**2) for s, t in pairs) / len(pairs)
    counts = {(seed, level): place for seed in SEEDS for place, level in enumerate(LEVELS)}
    seeds = iter([seed for seed in SEEDS for _ in LEVELS])

    def step(world: Published, x: Tensor, drawn: Tensor) -> Tensor:
        alpha, place = world.a / world.a_next, counts[(seed := next(seeds)), world.level]
        offsets = [0.1 * math.sqrt(1 - world.a) * draw(seed, 3 * place + number, Stream.SMOOTHING) for number in range(3)]

        def smoothed(clean: Tensor) -> Tensor:
            return torch.stack([f((clean + offset)[None])[0] for offset in offsets]).logsumexp(0) - math.log(3)

        variance = 0.2 * alpha / total * world.gradient(lambda x: smoothed(world.clean(x)), x)
        clean = world.clean(x)
        for _ in range(2):
            clean = clean + 0.1 * alpha / total * world.gradient(smoothed, clean)
        moved = world.ancestral(x, world.clean(x), drawn)
        return moved + variance / math.sqrt(alpha) + math.sqrt(world.a_next) * (clean - world.clean(x))

    sampler = Guided("tfg", LEVELS, 0.2, "increase", 2, 0.1, eta=1.0, smoothing=0.1, smoothing_draws=3)
    torch.testing.assert_close(found(sampler), published(step))


def test_universal_guidance_without_its_extras_is_the_annealed_flow() -> None:
    torch.testing.assert_close(found(Guided("universal_guidance", LEVELS, 0.5)),
                               found(Annealed(LEVELS, corrections=0, condition_scale=0.5)))  # fmt: skip


def test_units_of_the_codes_do_not_matter() -> None:
    """Codes ten times as large, with a spread of ten, move in parallel."""
    large = Objective(
        lambda code: generate(code / 10), NoiseLevel(lambda code, level: 10 * denoise(code / 10, level), 1.0), OBJECTIVE.terms
    )
    for rule in RULES:
        sampler = Guided(rule, LEVELS, 0.1, clean_steps=1, clean_scale=0.1, eta=0.5, recurrences=2, condition_limit=0.3)
        scaled = replace(sampler, spread=10.0)
        start = scaled.init(torch.zeros(2, *SHAPE, dtype=torch.float64), SEEDS)
        *_, (state, _) = chain.run(scaled, large, start, scaled.updates)
        torch.testing.assert_close(state.code, 10 * found(sampler))


def test_past_the_score_model_the_gradient_is_that_of_its_output() -> None:
    code, level = torch.linspace(-1, 1, 10, dtype=torch.float64).reshape(2, 5), 1.5
    leaf = denoise(code, level).requires_grad_()
    expected = torch.autograd.grad(f(leaf).sum(), leaf)[0] / (1 + level**2)
    evaluation = OBJECTIVE.at_level(level, through=False).evaluate(code)
    torch.testing.assert_close(evaluation.gradient, expected)
    torch.testing.assert_close(evaluation.direction, denoise(code, level) - code)
    torch.testing.assert_close(evaluation.image, OBJECTIVE.at_level(level).evaluate(code).image)


def test_a_level_runs_its_denoiser_once() -> None:
    calls: list[float] = []

    def counted(code: Tensor, level: float) -> Tensor:
        calls.append(level)
        return denoise(code, level)

    objective = Objective(generate, NoiseLevel(counted, 1.0), OBJECTIVE.terms)
    objective.at_level(2.0).evaluate(torch.ones(2, *SHAPE, dtype=torch.float64))
    assert calls == [2.0]


def test_as_many_levels_as_the_steps_suffice_for() -> None:
    sampler = Guided("freedom", recurrences=10, recur_lowest=3.443, recur_highest=25.74)
    bound = sampler.bound_to(101, 0, OBJECTIVE.space)
    assert 85 <= bound.updates <= 100 and [again for *_, again in bound.plan].count(True) > 50


@pytest.mark.parametrize(("settings", "said"), [
    ({"rule": "best"}, "expected dps, freedom"), ({"schedule": "cosine"}, "expected constant"),
    ({"eta": 2.0}, r"expected it in \[0, 1\]"), ({"recurrences": 0}, "at least 1"), ({"levels": (1.0, 2.0)}, "falling ones"),
])  # fmt: skip
def test_wrong_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Guided(**settings)


@pytest.mark.parametrize("name", GUIDANCE)
def test_a_named_recipe_is_its_json(name: str) -> None:
    recipe = recipe_for("imagenette64", name=name)
    assert recipe.sampler.rule == name and Recipe.from_json(recipe.to_json()) == recipe
