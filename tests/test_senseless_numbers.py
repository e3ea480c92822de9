"""Numbers that no setting can have, such as a negative standard deviation or NaN, are refused where they are given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Letters, tiny_bundle

import ppgn
from ppgn import cli, conditions, images, priors, samplers, sampling, starts, tuning
from ppgn.recipes import Recipe
from ppgn.samplers import Linear

NAN, INF = float("nan"), float("inf")


def str_of(wrong: Any) -> str:
    """A name for a test, shortened."""
    return str(wrong)[:20]


NO_NUMBERS: list[Any] = [None, "x", [1.0], torch.ones(3), 10**400, 1j, True]
SAMPLERS: dict[str, tuple[Callable[..., Any], dict[str, float]]] = {
    "langevin": (samplers.Langevin, {"prior_scale": 1.0, "condition_scale": 1.0, "noise_scale": 1.0}),
    "released": (samplers.ReleasedLangevin, {"prior_scale": 1.0, "condition_scale": 1.0, "noise_scale": 1.0, "step_size": 1.0}),
    "ascent": (samplers.Ascent, {"step_size": 1.0, "prior_scale": 1.0}),
    "adaptive": (samplers.Adaptive, {"prior_scale": 1.0, "step_size": 1.0, "noise_scale": 1.0}),
    "annealed": (samplers.Annealed, {"condition_scale": 1.0}),
}


@pytest.mark.parametrize(
    "wrong", [-1.0, NAN, INF, -INF, Linear(1.0, -1.0), Linear(-1.0, 1.0), torch.tensor(-1.0), *NO_NUMBERS], ids=str_of
)
@pytest.mark.parametrize(("sampler", "name"), [(sampler, name) for sampler, (_, names) in SAMPLERS.items() for name in names])
def test_a_scale_is_finite_and_not_negative(sampler: str, name: str, wrong: Any) -> None:
    make, scales = SAMPLERS[sampler]
    make(**scales)
    with pytest.raises(ValueError, match=f"got {name} .*, expected finite numbers of at least 0"):
        make(**{**scales, name: wrong})


def fixed(low: float, high: float) -> Recipe:
    return Recipe(bounds=ppgn.recipes.FixedBounds(low, high))


WRONG: dict[str, Callable[[], Any]] = {
    "normal std": lambda: starts.Normal(0.0, -1.0),
    "normal nan": lambda: starts.Normal(0.0, NAN),
    "normal mean": lambda: starts.Normal(INF, 1.0),
    "unclipped std": lambda: starts.Unclipped(0.0, -1.0),
    "unclipped inf": lambda: starts.Unclipped(0.0, INF),
    "guided temperature": lambda: starts.GuidedCodes(temperature=INF),
    "bounds low": lambda: fixed(NAN, 1.0),
    "bounds high": lambda: fixed(0.0, NAN),
    "bounds beyond": lambda: fixed(INF, INF),
    "levels": lambda: samplers.Annealed([INF, 1.0]),
    "prior level": lambda: priors.NoiseLevelPrior(INF),
    "prior level of code": lambda: priors.NoiseLevel(lambda code, level: code, INF),
    "prior std": lambda: priors.Gaussian(0.0, INF),
    "prior mean": lambda: priors.Gaussian(NAN, 1.0),
    "caption temperature": lambda: conditions.Caption(Letters(), "a", temperature=INF),
    "weight": lambda: conditions.Weighted(lambda image: image.mean((1, 2, 3)), NAN),
    "text scale": lambda: conditions.TextSimilarity(lambda image: image, torch.ones(2, 3), scale=-1.0),
    "text bias": lambda: conditions.TextSimilarity(lambda image: image, torch.ones(2, 3), bias=NAN),
    "likelihood target": lambda: conditions.GaussianLikelihood(lambda image: image.mean((1, 2, 3)), NAN, 1.0),
    "likelihood std": lambda: conditions.GaussianLikelihood(lambda image: image.mean((1, 2, 3)), 0.0, INF),
    "known pixels std": lambda: conditions.KnownPixels(torch.zeros(1, 2, 2), torch.ones(2, 2), INF),
    "mean of an input": lambda: images.normalise(torch.zeros(1, 1, 2, 2), NAN, 1.0),
    "std of an input": lambda: images.normalise(torch.zeros(1, 1, 2, 2), 0.0, INF),
    "least diversity": lambda: tuning.Tuning(tiny_bundle(), 1, steps=1, least_diversity=INF),
    "most gap": lambda: tuning.Tuning(tiny_bundle(), 1, steps=1, most_gap=NAN),
    "enough": lambda: tuning.Tuning(tiny_bundle(), 1, steps=1, enough=NAN),
    "start of a sample": lambda: ppgn.sample(tiny_bundle(), 1, count=1, steps=1, start_std=-1.0),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_number_without_sense_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="got .*expected"):
        WRONG[name]()


MISTYPED: dict[str, Callable[[Any], Any]] = {
    "linear start": lambda wrong: Linear(wrong, 1.0),
    "linear end": lambda wrong: Linear(1.0, wrong),
    "highest": lambda wrong: samplers.Spaced(wrong, 0.1),
    "lowest": lambda wrong: samplers.Spaced(1.0, wrong),
    "rho": lambda wrong: samplers.Spaced(1.0, 0.1, rho=wrong),
    "level": lambda wrong: samplers.Annealed([wrong]),
    "step size": lambda wrong: samplers.Annealed(step_size=wrong),
    "momentum": lambda wrong: samplers.Adaptive(1.0, 1.0, momentum=wrong),
    "decay": lambda wrong: samplers.Ascent(1.0, decay=wrong),
    "weight": lambda wrong: conditions.Weighted(conditions.ClassLogit(torch.sum, 0), wrong),
    "weight of a part": lambda wrong: conditions.And(torch.sum, weights=[wrong]),
    "text scale": lambda wrong: conditions.TextSimilarity(lambda image: image, torch.ones(2, 3), scale=wrong),
    "text bias": lambda wrong: conditions.TextSimilarity(lambda image: image, torch.ones(2, 3), bias=wrong),
    "temperature": lambda wrong: conditions.Caption(Letters(), "a", temperature=wrong),
    "start": lambda wrong: starts.Normal(wrong, 1.0),
    "start std": lambda wrong: starts.Normal(0.0, wrong),
    "start noise": lambda wrong: sampling.check_scales(wrong, None),
}


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=str_of)
@pytest.mark.parametrize("name", MISTYPED)
def test_what_is_no_finite_number_is_refused_in_a_sentence(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match="got .*expected") as raised:
        MISTYPED[name](wrong)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300


@pytest.mark.parametrize("wrong", [None, "x", 1.5, -1, True])
def test_corrections_are_a_whole_number(wrong: Any) -> None:
    with pytest.raises(ValueError, match="got .* corrections, expected a whole number of at least 0"):
        samplers.Annealed(corrections=wrong)


def test_numbers_of_numpy_and_torch_are_scales() -> None:
    scales: list[Any] = [np.float32(0.5), torch.tensor(0.5), 1, lambda step: 0.5, Linear(1, 0)]
    for scale in scales:
        samplers.Langevin(scale, scale)
    conditions.Weighted(torch.sum, np.float64(2.0))


def test_a_negative_deviation_of_the_start_is_one_sentence_of_the_command(folder: Any, capsys: Any) -> None:
    assert cli.main(["sample", "tiny", "--class", "1", "--count", "1", "--start", "normal", "--start-std", "-1"]) == 2
    assert "expected finite numbers and a std of at least 0" in capsys.readouterr().err.splitlines()[-1]
