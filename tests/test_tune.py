"""Tuning: a search whose trials are known in closed form, its limits, a study on the disk, and `ppgn tune`."""

import importlib
import json
import math
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from PIL import Image
from torch import Tensor, nn

import ppgn
from ppgn import cli, conditions, images, recipes, requests, tuning
from ppgn.bundle import Bundle
from ppgn.priors import NoPrior
from ppgn.recipes import Recipe
from ppgn.samplers import Langevin, Linear, ReleasedLangevin, bound
from ppgn.starts import Normal
from ppgn.tuning import Study, Trial, Tuning, best_of


class Plain(nn.Module):
    """A code of 4 is a picture of 2x2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, code: Tensor) -> Tensor:
        return self.one * code.reshape(-1, 1, 2, 2)


class UpToOne(nn.Module):
    """The codes of pictures, as far as it has seen any: not above 1."""

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1).clamp(max=1.0)


def toy(**changes: Any) -> Bundle:
    """E(G(h)) = min(h, 1): a bundle whose gap is how far codes are above 1."""
    recipe = Recipe(sampler=Langevin(1e-5, 1e-3), prior=NoPrior(), start=Normal(0.5, 0.3), steps=8).changed(**changes)
    given = {"mean": 1.0, "std": 0.5, "relu": True, "classes": ("a", "b"), "recipes": {"class": recipe.to_json()}}
    return Bundle.of(Plain(), (4,), name="toy", encoder=UpToOne(), **given)


def near_three(image: Tensor) -> Tensor:
    """log N(image; 3, 1) up to a constant."""
    return -0.5 * (image - 3).flatten(1).square().sum(1)


NOTHING = Langevin(0.0, 0.0)
NO_LIMITS: dict[str, Any] = {"most_gap": 1e9, "least_diversity": 0.0}


def trials_of(search: Tuning, count: int, done: tuple[Trial, ...] = ()) -> list[Trial]:
    return [trial for trial, _ in search.run(count, done)]


def test_every_trial_of_a_quadratic_condition_is_what_the_formula_says_and_the_best_climbs_faster_than_the_default() -> None:
    search = Tuning(toy(), near_three, **NO_LIMITS)
    trials = trials_of(search, 12)
    away = (3 - recipes.starting_codes(recipes.prepare(search.bundle, search.recipe), range(8))).square().sum(1).mean()
    checked = 0
    for trial in trials:
        left = 1 - trial.recipe.flat()["condition_scale"]
        if left > 0:  # without overshooting, which ends at the clip
            expected = -0.5 * float(away) * left ** (2 * (trial.recipe.steps - 1))
            assert trial.log_prob == pytest.approx(expected, rel=1e-3, abs=1e-5)
            checked += 1
    assert checked > 3
    best = best_of(trials)
    assert best.log_prob is not None and best.log_prob > -0.1 * float(away)
    assert best.recipe.flat()["condition_scale"] > 30 * search.recipe.flat()["condition_scale"]


def test_trial_0_is_the_default_to_the_letter() -> None:
    search = Tuning(toy(condition_scale=1e-9), near_three)
    first = trials_of(search, 1)[0]
    assert first.recipe == search.recipe
    low, _ = search.ranges["condition_scale"]
    assert first.proposed == {"condition_scale": low}  # the nearest place that Optuna knows


def test_the_best_keeps_the_limits_that_the_condition_alone_would_break() -> None:
    free = best_of(trials_of(Tuning(toy(), near_three, **NO_LIMITS), 12))
    search = Tuning(toy(), near_three, most_gap=1.5, least_diversity=0.0)
    kept = best_of(trials_of(search, 12))
    assert free.gap is not None and kept.gap is not None and free.log_prob is not None and kept.log_prob is not None
    assert free.gap > 3
    assert kept.gap <= 1.5 and kept.excess == 0
    assert kept.log_prob < free.log_prob
    varied = best_of(trials_of(Tuning(toy(), near_three, most_gap=1e9, least_diversity=0.5), 12))
    assert varied.diversity is not None and free.diversity is not None
    assert varied.diversity >= 0.5 > free.diversity


def test_of_trials_that_have_met_enough_the_most_varied_near_real_ones_is_best() -> None:
    free = best_of(trials_of(Tuning(toy(), near_three, **NO_LIMITS), 12))
    trials = trials_of(Tuning(toy(), near_three, enough=-10.0, **NO_LIMITS), 12)
    best = best_of(trials)
    assert sum(trial.log_prob == -10.0 for trial in trials) > 1
    assert best.log_prob == -10.0
    assert best.gap is not None and free.gap is not None and best.gap < 0.8 * free.gap
    real, flat, far = (Trial(0, Recipe(), {}, -10.0, gap, diversity) for gap, diversity in ((0.9, 0.5), (0.2, 0.4), (2.0, 0.9)))
    assert sorted((flat, real, far), key=lambda trial: trial.order) == [far, flat, real]


def test_where_no_trial_keeps_the_limits_the_nearest_is_best() -> None:
    trials = trials_of(Tuning(toy(bounds_low=2.0, start_mean=5.0), near_three, most_gap=1e-3), 6)
    assert all(trial.excess > 0 for trial in trials)
    assert best_of(trials).excess == min(trial.excess for trial in trials)


def test_gap_and_diversity_are_what_their_formulas_say() -> None:
    search = Tuning(toy(), near_three, count=4)
    setup = recipes.prepare(toy(), search.recipe)
    code = tuning.realistic_codes(setup, range(tuning.REFERENCES))
    gap, _ = tuning.reference(setup)
    assert gap == pytest.approx(float((code - 1).clamp(min=0).square().mean(1).sqrt().mean()))
    trial, pictures = next(search.run(1))
    assert pictures is not None
    assert trial.gap == pytest.approx(float((pictures.flatten(1) - 1).clamp(min=0).square().mean(1).sqrt().mean()) / gap)
    seen = torch.rand(5, 7)
    for kinds in ([[0, 1, 2, 3, 4]], [[0, 3], [1, 2, 4]]):
        pairs = [list(combinations(own, 2)) for own in kinds]
        means = [sum(1 - float(torch.cosine_similarity(seen[a], seen[b], 0)) for a, b in own) / len(own) for own in pairs]
        assert tuning.diversity(seen, kinds) == pytest.approx(sum(means) / len(means), abs=1e-6)
    assert tuning.diversity(torch.ones(3, 2), [[0, 1, 2]]) == pytest.approx(0.0, abs=1e-12)


def test_a_search_that_goes_on_makes_the_trials_of_one_that_was_never_interrupted() -> None:
    whole = trials_of(Tuning(toy(), near_three), 9)
    first = trials_of(Tuning(toy(), near_three), 7)
    rest = trials_of(Tuning(toy(), near_three), 9, tuple(first))
    assert [trial.number for trial in rest] == [7, 8]
    assert first + rest == whole


def test_trials_whose_chains_stop_are_told_and_never_best() -> None:
    def below_four(image: Tensor) -> Tensor:
        return image.mean((1, 2, 3)) + 1e-3 * (4 - image).flatten(1).min(1).values.log()

    search = Tuning(toy(), below_four, **NO_LIMITS)
    pairs = list(search.run(12))
    stopped = [trial for trial, _ in pairs if trial.stopped]
    assert stopped and len(stopped) < 12
    assert all("became infinite or NaN" in trial.stopped for trial in stopped)
    assert all((pictures is None) == bool(trial.stopped) for trial, pictures in pairs)
    assert not best_of([trial for trial, _ in pairs]).stopped


@pytest.mark.parametrize("sampler", ["released", "langevin", "ascent", "adaptive"])
def test_the_recipe_of_a_trial_makes_its_pictures_again(sampler: str) -> None:
    bundle = tiny_bundle()
    changes = {"sampler": sampler, "steps": 8, **({} if sampler == "langevin" else {"step_size": (0.5, 0.01)})}
    for trial, pictures in Tuning(bundle, 2, count=3, seed=4, keep=(), **changes, **NO_LIMITS).run(4):
        again = ppgn.sample(bundle, 2, count=3, seed=4, recipe=trial.recipe)
        torch.testing.assert_close(again.images, pictures, rtol=0, atol=1e-6)


def test_the_first_steps_of_a_run_are_a_run_with_fewer_steps() -> None:
    whole = Recipe(ReleasedLangevin(prior_scale=Linear(1e-3, 1e-5), step_size=Linear(0.5, 0.02)), steps=50)
    for steps in (1, 6, 31, 50):
        cut = tuning.first_steps(whole, steps)
        assert cut.steps == steps
        shorter, longer = (bound(one.sampler, one.steps) for one in (cut, whole))
        for name in ("prior_scale", "step_size"):
            values = [[getattr(rule, name)(step) for step in range(steps)] for rule in (shorter, longer)]
            assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert tuning.first_steps(whole, 50) == whole
    fixed = whole.changed(step_size=Linear(0.5, 0.02, steps=40))
    assert tuning.first_steps(fixed, 6).flat()["step_size"] == Linear(0.5, 0.02, steps=40)


def test_a_class_counts_at_temperature_1_and_a_judge_in_its_place() -> None:
    bundle = tiny_bundle()
    search = Tuning(bundle, [1, 1, 2, 2], sampler="langevin", temperature=7.0, condition_scale=0.0)
    trial = trials_of(search, 1)[0]
    images = ppgn.sample(bundle, [1, 1, 2, 2], recipe=trial.recipe).images
    logits = bundle.encoder.logits_from_code(bundle.encoder(images))
    expected = logits.log_softmax(1)[range(4), [1, 1, 2, 2]].clamp(max=-0.01).mean()
    assert trial.log_prob == pytest.approx(float(expected), rel=1e-5)
    assert search.kinds == [[0, 1], [2, 3]]
    judged = trials_of(Tuning(bundle, 1, count=2, judge=lambda image: image.flatten(1)[:, 0] * 0 + 5), 1)[0]
    assert judged.log_prob == 5.0


def test_pixels_are_tuned_by_the_codes_that_the_encoder_gives_them() -> None:
    bundle = toy(generator="pixels", prior="none", bounds_high=1.0)
    trial = trials_of(Tuning(bundle, near_three, **NO_LIMITS), 1)[0]
    assert trial.gap == 0.0  # G(E(x)) is within what E has seen


def test_what_is_searched_is_what_the_sampler_has_and_no_change_sets() -> None:
    bundle = tiny_bundle()
    searched = [
        ({"sampler": "langevin", "noise_scale": 0.1}, {"prior_scale", "condition_scale", "temperature"}),
        ({"sampler": "langevin", "prior": "none"}, {"condition_scale", "temperature"}),
        ({"sampler": "released", "measure": "logit"}, {"prior_scale", "step_size", "step_size_end"}),
        ({"sampler": "ascent", "step_size": 2.0}, {"prior_scale"}),
        ({"sampler": "adaptive", "noise_scale": 0.1}, {"prior_scale", "step_size", "step_size_end", "temperature"}),
    ]
    for changes, names in searched:
        assert set(Tuning(bundle, 0, **changes).ranges) == names
    assert "noise_scale" in Tuning(bundle, 0, keep=(), sampler="langevin", noise_scale=0.1).ranges
    assert "temperature" not in Tuning(bundle, lambda image: image.mean((1, 2, 3))).ranges


def test_a_condition_that_is_not_finite_at_pictures_like_real_ones_is_refused() -> None:
    with pytest.raises(ValueError, match="infinite or NaN at realistic codes"):
        Tuning(toy(), lambda image: (image - 2).mean((1, 2, 3)).log())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": 1}, "raise count"),
        ({"most_gap": 0.0}, "got most_gap 0.0"),
        ({"least_diversity": -1.0}, "least_diversity -1"),
        ({"sampler": "langevin", "prior": "none", "condition_scale": 1.0}, "nothing is left to search"),
        ({"sampler": "annealed", "prior": "noise_level", "start": "noise_level"}, "choose langevin, released, ascent, adaptive"),
        ({"start": "codes"}, "no model of its codes"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_search_that_cannot_be_is_a_sentence(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Tuning(toy(), near_three, **changes)


RECORDED = {
    "langevin": (
        {"condition_scale": 0.1, "noise_scale": 0.05, "prior": "denoiser"},
        [(8, 25.9132962, 0.9086932, 0.4507143), (1, 25.9148202, 0.9096128, 0.3925331), (1, 25.9148202, 0.9096128, 0.3925331)],
        {"prior_scale": 0.7963235, "condition_scale": 55.75121, "noise_scale": 0.2290666},
    ),
    "released": (
        {"step_size": (0.5, 0.1)},
        [(8, 25.9957852, 2.944203, 0.7084397), (1, 25.9148202, 0.9096128, 0.3925331), (3, 25.9695468, 2.29863, 0.549867)],
        {"prior_scale": 0.02078951, "step_size": 0.16207, "step_size_end": 0.8817972},
    ),
    "ascent": (
        {"step_size": (0.5, 0.1), "decay": 1.0},
        [(8, 25.9959898, 2.951118, 0.7112796), (1, 25.9148202, 0.9096128, 0.3925331), (3, 25.9693608, 2.29068, 0.5117672)],
        {"prior_scale": 0.7963235, "step_size": 0.16207, "step_size_end": 0.8817972},
    ),
    "adaptive": (
        {"step_size": (0.5, 0.1), "noise_scale": 0.1},
        [(8, 25.9750285, 2.411959, 0.4245925), (1, 25.9148202, 0.9096128, 0.3925331), (3, 25.9591804, 2.033465, 0.5248992)],
        {"prior_scale": 0.7963235, "step_size": 0.1816343, "step_size_end": 0.8817972, "noise_scale": 0.05262481},
    ),
}
"""Sampler -> settings, (steps, log_prob, gap, diversity) of three trials, and what was proposed for the second one: from the code
of version 0.1.0 at commit b76bb7e, with the random places of Optuna 5.0.0."""


@pytest.mark.parametrize("sampler", RECORDED)
def test_trials_are_those_of_version_0_1_0(sampler: str) -> None:
    changes, expected, proposed = RECORDED[sampler]
    search = Tuning(
        tiny_bundle(), lambda image: 50 * image.mean((1, 2, 3)), count=4, seed=3, keep=(), sampler=sampler, steps=8, **changes
    )
    trials = trials_of(search, 3)
    assert search.reference.log_prob == pytest.approx(25.918328285217285, rel=1e-6)
    assert [trial.recipe.steps for trial in trials] == [steps for steps, *_ in expected]
    for trial, (_, *means) in zip(trials, expected, strict=True):
        assert [trial.log_prob, trial.gap, trial.diversity] == pytest.approx(means, rel=1e-4)
    assert trials[1].proposed == pytest.approx(proposed, rel=1e-4)


def test_a_schedule_is_searched_by_its_start_and_keeps_its_shape() -> None:
    sampler = ReleasedLangevin(prior_scale=Linear(1e-3, 1e-4), noise_scale=0.0, step_size=Linear(0.4, 0.1, steps=6))
    search = Tuning(tiny_bundle(), 0, count=2, recipe=Recipe(sampler, steps=8), keep=("step_size_end",), **NO_LIMITS)
    assert list(search.ranges) == ["prior_scale", "step_size", "temperature"]
    trials = trials_of(search, 5)
    assert trials[0].proposed["step_size"] == 0.4
    for trial in trials[1:]:
        flat = trial.recipe.flat()
        assert flat["step_size"].start == trial.proposed["step_size"]
        assert flat["step_size"].end == pytest.approx(0.25 * flat["step_size"].start)
        assert flat["step_size"].steps == 6
        assert flat["prior_scale"].start == trial.proposed["prior_scale"]
    held = Tuning(tiny_bundle(), 0, count=2, recipe=Recipe(sampler, steps=8), keep=("step_size",))
    assert list(held.ranges) == ["prior_scale", "temperature"]


def test_a_function_of_the_step_is_not_searched() -> None:
    search = Tuning(tiny_bundle(), 0, count=2, sampler=ReleasedLangevin(step_size=lambda step: 0.5 / (1 + step)), steps=8)
    assert list(search.ranges) == ["prior_scale", "temperature"]


def test_a_judge_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="correct the judge"):
        Tuning(toy(), near_three, judge=lambda image: image.mean((1, 2, 3)) / 0)


def test_a_bundle_without_an_encoder_cannot_be_tuned() -> None:
    with pytest.raises(ValueError, match="toy has no encoder"):
        Tuning(Bundle.of(Plain(), (4,), name="toy"), near_three)


def test_realistic_codes_without_a_model_of_them_follow_the_code_space() -> None:
    for relu, low in ((True, 0.0), (False, None)):
        bundle = Bundle.of(Plain(), (4,), encoder=UpToOne(), mean=torch.tensor([0.0, 1.0, 2.0, 3.0]), std=0.5, relu=relu)
        code = tuning.realistic_codes(recipes.prepare(bundle, Recipe(NOTHING, NoPrior())), range(4000))
        unclipped = torch.tensor([0.0, 1.0, 2.0, 3.0])
        assert code.mean(0)[2:].tolist() == pytest.approx(unclipped[2:].tolist(), abs=0.05)
        assert (code.min() >= 0) == (low == 0.0)


def test_python_gets_in_one_call_what_the_command_writes(tmp_path: Path) -> None:
    bundle, seen = tiny_bundle(), []
    study = tuning.tune(bundle, "ball", tmp_path / "tuned", trials=3, count=2, steps=4, watch=seen.append)
    assert seen == study.trials and [trial.number for trial in seen] == [0, 1, 2]
    assert {file.name for file in study.folder.iterdir()} >= {"trials.json", "settings.json", "tune.png", "trial_000.png"}
    assert recipes.read_recipe(study.folder / "settings.json") == study.best.recipe == best_of(study.trials).recipe
    samples = ppgn.sample(bundle, "ball", count=2, recipe=study.best.recipe)
    assert samples.recipe == study.best.recipe
    more = tuning.tune(bundle, "ball", tmp_path / "tuned", trials=5, count=2, steps=4)
    whole = tuning.tune(bundle, "ball", tmp_path / "whole", trials=5, count=2, steps=4)
    assert more.trials[:3] == study.trials
    assert more.trials == whole.trials
    assert "realistic codes" in more.table() and "best" in more.verdict()


def test_a_study_refuses_the_trials_of_another_one_and_too_few_trials(tmp_path: Path) -> None:
    def search(**changes: Any) -> Tuning:
        return Tuning(tiny_bundle(), changes.pop("wanted", 1), **{"count": 2, "steps": 4, **changes})

    Study(tmp_path, search()).run(1)
    for name, changes in {
        "condition": {"wanted": 2}, "seeds": {"seed": 5}, "most_gap": {"most_gap": 3.0}, "default": {"steps": 5},
        "judge": {"judge": near_three}, "searched": {"keep": ("temperature",)},
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=f"another .*{name}"):
            Study(tmp_path, search(**changes))
    with pytest.raises(ValueError, match="got trials 0"):
        Study(tmp_path / "new", search()).run(0)
    with pytest.raises(ValueError, match="has no trial"):
        Study(tmp_path / "new", search()).save()
    assert not (tmp_path / "new").exists()


def brightness(power: int = 1) -> str:
    return f"""
POWER = {power}
def raised(image):
    return image ** POWER
def condition(image):
    return -raised(image).mean((1, 2, 3))
"""


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        (brightness().replace("(1, 2, 3))", "(1, 2, 3)) * 1"), False),
        (brightness().replace("image **", "image * image **"), False),
        (brightness(2), False),
        ("# a remark\n" + brightness().replace("condition(image):", "condition(image):  # darker"), True),
    ],
)
def test_the_trials_of_a_function_that_was_edited_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, same: bool
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def search(source: str) -> Tuning:
        (tmp_path / "dark.py").write_text(source)
        sys.modules.pop("dark", None)
        dark = conditions.And(importlib.import_module("dark").condition)
        request = requests.function(dark, 2, {"condition": "dark:condition"})
        return Tuning(tiny_bundle(), requests.weighted([request, requests.classes(tiny_bundle(), [1, 1])]), steps=2)

    Study(tmp_path / "tuned", search(brightness())).run(1)
    again = search(edited)
    if same:
        assert len(Study(tmp_path / "tuned", again).trials) == 1
        return
    with pytest.raises(ValueError, match="holds trials with another code of the condition"):
        Study(tmp_path / "tuned", again)


def test_the_trials_of_changed_weights_are_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    Study(tmp_path, Tuning(bundle, near_three, count=2, steps=2)).run(1)
    assert len(Study(tmp_path, Tuning(bundle, near_three, count=2, steps=2)).trials) == 1
    with torch.no_grad():
        for weights in bundle.generator.parameters():
            weights += 0.5
    with pytest.raises(ValueError, match="another value of the condition at realistic codes"):
        Study(tmp_path, Tuning(bundle, near_three, count=2, steps=2))


def test_a_deleted_picture_of_a_trial_is_white_and_another_file_in_its_place_is_named(tmp_path: Path) -> None:
    study = tuning.tune(tiny_bundle(), 1, tmp_path, trials=2, count=2, steps=4)
    for number in range(2):
        (tmp_path / f"trial_00{number}.png").unlink()
    (tmp_path / "tune.png").unlink()
    study.save()
    assert (tmp_path / "tune.png").is_file()
    Image.new("L", (3, 3)).save(tmp_path / "trial_000.png")
    with pytest.raises(ValueError, match="trial_000.png holds no 2 pictures"):
        study.save()


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: [stored],
        lambda stored: {**stored, "trials": None},
        lambda stored: {**stored, "trials": {"a": 1}},
        lambda stored: {**stored, "trials": [None]},
        *(
            lambda stored, name=name, value=value: {**stored, "trials": [{**stored["trials"][0], name: value}]}
            for name in ("number", "recipe", "proposed", "log_prob", "gap", "excess", "other")
            for value in ("x", [], None, {"a": "b"})
            if (name, value) != ("gap", None)
        ),
    ],
)
def test_trials_of_wrong_types_are_refused_in_a_sentence(tmp_path: Path, change: Any, tuned: tuple[Tuning, str]) -> None:
    search, text = tuned
    (tmp_path / "trials.json").write_text(json.dumps(change(json.loads(text))))
    with pytest.raises(ValueError, match="cannot go on from .*trials.json .*: choose another folder, or delete"):
        Study(tmp_path, search)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuning, str]:
    """A search and the trials.json of its first trial."""
    place, search = tmp_path_factory.mktemp("tuned"), Tuning(tiny_bundle(), 1, count=2, steps=4)
    Study(place, search).run(1)
    return search, (place / "trials.json").read_text()


def test_a_study_whose_chains_all_stopped_has_no_best_recipe(tmp_path: Path) -> None:
    def stops(image: Tensor) -> Tensor:
        return image.mean((1, 2, 3)) + (1.9 - image.flatten(1).max(1).values).sqrt()

    study = Study(tmp_path, Tuning(toy(start_mean=5.0), stops, count=2))
    study.run(2)
    assert all(trial.stopped for trial in study.trials)
    with pytest.raises(ValueError, match="chains of all 2 trials stopped"):
        study.save()


TUNE = ["tune", "tiny", "--count", "2", "--steps", "8"]


def told(folder: Path, name: str = "trials.json") -> dict:
    return json.loads((folder / "tuned" / name).read_text())


def test_tune_writes_a_recipe_that_sample_reads_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TUNE, "--class", "tench", "ball", "--trials", "4", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "| default " in printed and "| realistic codes " in printed and "log-probability" in printed
    assert len(told(folder)["trials"]) == 4
    assert Image.open(folder / "tuned" / "tune.png").width > 4 * 100
    best = told(folder, "settings.json")
    options = ["--class", "tench", "ball", "--count", "2", "--seed", "3", "--settings", "tuned/settings.json"]
    assert cli.main(["sample", "tiny", *options, "--save-images", "each"]) == 0
    samples = json.loads((folder / "each" / "samples.json").read_text())
    assert samples["recipe"] == best["recipe"]
    if best["recipe"]["measure"]["temperature"] == 1:
        mean = sum(row["log_probability"] for row in samples["samples"]) / 4
        assert mean == pytest.approx(best["trial"]["log_prob"], rel=1e-4)
    assert cli.main(["sample", "tiny", *options, "--steps", "2", "--save-images", "again"]) == 0
    again = json.loads((folder / "again" / "samples.json").read_text())["recipe"]
    assert again == {**best["recipe"], "steps": 2}
    assert recipes.read_recipe("again/samples.json").to_json() == again


def test_tune_goes_on_where_it_ended_and_keeps_studies_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TUNE, "--unit", "fc7:3", "--trials", "2"]) == 0
    first = told(folder)["trials"]
    assert cli.main([*TUNE, "--unit", "fc7:3", "--trials", "4"]) == 0
    assert [trial["number"] for trial in told(folder)["trials"]] == [0, 1, 2, 3]
    assert told(folder)["trials"][:2] == first
    assert cli.main([*TUNE, "--unit", "fc7:3", "--trials", "1"]) == 0
    assert len(told(folder)["trials"]) == 4
    capsys.readouterr()
    assert cli.main([*TUNE, "--unit", "fc7:4", "--trials", "2"]) == 2
    assert "another condition" in capsys.readouterr().err
    (folder / "tuned" / "trials.json").write_text("{}")
    assert cli.main([*TUNE, "--unit", "fc7:3"]) == 2
    assert "cannot go on from" in capsys.readouterr().err


def test_a_folder_in_which_another_search_runs_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TUNE, "--unit", "fc7:3", "--trials", "1"]) == 0
    before = {file.name: file.read_bytes() for file in (folder / "tuned").iterdir()}
    capsys.readouterr()
    with images.alone_in(folder / "tuned"):
        assert cli.main([*TUNE, "--unit", "fc7:3", "--trials", "3"]) == 2
    assert "tuned is written by another process already, expected none" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in (folder / "tuned").iterdir()} == before


def test_a_search_goes_on_from_trials_that_another_one_made_since_it_was_opened(tmp_path: Path, tuned: tuple) -> None:
    one, other = Study(tmp_path, tuned[0]), Study(tmp_path, tuned[0])
    one.run(2)
    other.run(3)
    assert other.trials[:2] == one.trials and len(Study(tmp_path, tuned[0]).trials) == 3


def test_limits_that_no_trial_kept_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TUNE, "--unit", "fc7:3", "--trials", "2", "--most-gap", "1e-9", "--least-diversity", "9"]) == 0
    printed = capsys.readouterr().out
    assert "no trial kept the limits" in printed
    assert printed.count("| gap and diversity") == 2


def test_an_interrupted_search_keeps_its_trials(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Tuning.run

    def interrupted(self: Tuning, trials: int, done: tuple[Trial, ...] = ()):
        yield from whole(self, 2, done)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tuning, "run", interrupted)
    assert cli.main([*TUNE, "--unit", "fc7:3"]) == 130
    assert "interrupted after 2 of 20 trials" in capsys.readouterr().err
    assert len(told(folder)["trials"]) == 2


def test_what_an_option_sets_stays_and_the_recipe_of_a_file_is_where_the_search_begins(folder: Path) -> None:
    sampler = ReleasedLangevin(prior_scale=0.3, noise_scale=0.0, step_size=Linear(0.7, 1.0))
    (folder / "begin.json").write_text(json.dumps({"recipe": Recipe(sampler, steps=8).to_json()}))
    options = ["--unit", "fc7:3", "--trials", "3", "--settings", "begin.json", "--prior-scale", "0.25"]
    assert cli.main([*TUNE, *options]) == 0
    rows = told(folder)["trials"]
    samplers = [row["recipe"]["sampler"] for row in rows]
    assert samplers[0]["step_size"]["start"] == 0.7
    assert {sampler["prior_scale"] for sampler in samplers} == {0.25}
    assert len({sampler["step_size"]["start"] for sampler in samplers}) == 3
    assert told(folder)["searched"] == ["step_size", "step_size_end"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read a recipe"),
        ("{", "cannot read a recipe"),
        ("[1]", "holds list"),
        ("{}", "holds no recipe"),
        ('{"settings": {"steps": 4}}', "settings of an older ppgn"),
        ('{"recipe": {"speed": 1}}', "unknown settings speed"),
        ('{"recipe": {"steps": "many"}}', "'many', expected a whole number"),
        ('{"recipe": {"steps": true}}', "True, expected a whole number"),
        ('{"recipe": {"sampler": 1}}', "the sampler 1, expected an object"),
        ('{"recipe": {"measure": {"name": "log_softmax", "temperature": NaN}}}', "finite number"),
        ('{"recipe": {"sampler": {"name": "gibbs"}}}', "choose langevin"),
        ('{"recipe": {"steps": 0}}', "at least 1"),
    ],
)
def test_a_wrong_file_with_a_recipe_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    if content is not None:
        (folder / "mine.json").write_text(content)
    assert cli.main(["tune", "tiny", "--class", "0", "--settings", "mine.json"]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1 and said in printed[0]
    assert not (folder / "tuned").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trials", "0", "--class", "0"], "got --trials 0"),
        (["--count", "1", "--class", "0"], "raise --count"),
        (["--count", "0", "--class", "0"], "got --count 0"),
        ([], "which class"),
        (["--class", "0", "--most-gap", "-1"], "got --most-gap -1"),
        (["--class", "0", "--settings", "x.json", "--recipe", "dgn_am"], "--settings and --recipe"),
    ],
)
def test_what_tune_cannot_do_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["tune", "tiny", *arguments]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1 and said in printed[0]
    assert not (folder / "tuned").exists()


def test_without_optuna_tune_says_how_to_get_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert cli.main(["tune", "tiny", "--class", "0"]) == 2
    assert 'pip install "ppgn[tune]"' in capsys.readouterr().err


def test_help_of_tune_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "--help"])
    assert ended.value.code == 0
    assert "ppgn sample imagenette64 --unit trunk.12:7 --settings tuned/settings.json" in capsys.readouterr().out


def test_a_scale_of_a_trial_is_within_the_ranges_and_steps_shrink() -> None:
    search = Tuning(tiny_bundle(), 0, count=2, keep=(), sampler="released", **NO_LIMITS)
    for trial in trials_of(search, 8)[1:]:
        for name, (low, high) in search.ranges.items():
            assert low <= trial.proposed[name] <= high
        step_size, prior_scale = (trial.recipe.flat()[name] for name in ("step_size", "prior_scale"))
        assert step_size.end <= step_size.start
        assert math.isfinite(prior_scale)
