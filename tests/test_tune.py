"""Tuning: a search whose trials are known in closed form, its limits, and `ppgn tune` with the file that it writes."""

import dataclasses
import json
import math
import sys
from itertools import combinations
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from PIL import Image
from torch import Tensor, nn

from ppgn import chain, cli, recipes
from ppgn.bundle import Bundle
from ppgn.cli.sample import settings_in
from ppgn.recipes import Settings, Trial, Tuning, realism
from ppgn.recipes import tuning as tuning_file
from ppgn.recipes.runs import start_for


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


def toy(**settings: object) -> Bundle:
    """E(G(h)) = min(h, 1): a bundle whose gap is how far codes are above 1."""
    start = {"start_mean": 0.5, "start_std": 0.3}
    own = {"sampler": "langevin", "prior": "none", "condition_scale": 1e-3, "steps": 8, **start, **settings}
    info = {
        "code": {"shape": [4], "mean": 1.0, "std": 0.5}, "image": {"size": 2, "channels": 1}, "class_names": ["a", "b"],
        "recipe": {"settings": own},
    }  # fmt: skip
    return Bundle("toy", Path(), info, {"generator": Plain().eval(), "encoder": UpToOne().eval()})


def near_three(image: Tensor) -> Tensor:
    """log N(image; 3, 1) up to a constant."""
    return -0.5 * (image - 3).flatten(1).square().sum(1)


NO_LIMITS = {"most_gap": 1e9, "least_diversity": 0.0}


def trials_of(tuning: Tuning, count: int, done: tuple[Trial, ...] = ()) -> list[Trial]:
    return [trial for trial, _ in tuning.run(count, done)]


def best_of(trials: list[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.order)


def test_every_trial_of_a_quadratic_condition_is_what_the_formula_says_and_the_best_climbs_faster_than_the_default() -> None:
    tuning = Tuning(toy(), near_three, **NO_LIMITS)
    trials = trials_of(tuning, 12)
    away = (3 - start_for(tuning.bundle, range(8), tuning.settings)).square().sum(1).mean()
    checked = 0
    for trial in trials:
        left = 1 - trial.settings.condition_scale
        if left > 0:  # without overshooting, which ends at the clip
            expected = -0.5 * float(away) * left ** (2 * (trial.settings.steps - 1))
            assert trial.log_prob == pytest.approx(expected, rel=1e-3, abs=1e-5)
            checked += 1
    assert checked > 3
    best = best_of(trials)
    assert best.log_prob is not None and best.log_prob > -0.1 * float(away)
    assert best.settings.condition_scale > 30 * tuning.settings.condition_scale


def test_trial_0_is_the_default_to_the_letter() -> None:
    tuning = Tuning(toy(condition_scale=1e-9), near_three)
    first = trials_of(tuning, 1)[0]
    assert first.settings == tuning.settings
    low, _ = tuning.ranges["condition_scale"]
    assert first.proposed == {"condition_scale": low}  # the nearest place that Optuna knows


def test_the_best_keeps_the_limits_that_the_condition_alone_would_break() -> None:
    free = best_of(trials_of(Tuning(toy(), near_three, **NO_LIMITS), 12))
    tuning = Tuning(toy(), near_three, most_gap=1.5, least_diversity=0.0)
    kept = best_of(trials_of(tuning, 12))
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
    real, flat, far = (Trial(0, Settings(), {}, -10.0, gap, diversity) for gap, diversity in ((0.9, 0.5), (0.2, 0.4), (2.0, 0.9)))
    assert sorted((flat, real, far), key=lambda trial: trial.order) == [far, flat, real]


def test_where_no_trial_keeps_the_limits_the_nearest_is_best() -> None:
    trials = trials_of(Tuning(toy(code_low=2.0, start_mean=5.0), near_three, most_gap=1e-3), 6)
    assert all(trial.excess > 0 for trial in trials)
    assert best_of(trials).excess == min(trial.excess for trial in trials)


def test_gap_and_diversity_are_what_their_formulas_say() -> None:
    tuning = Tuning(toy(), near_three, count=4)
    code = realism.like_real(toy(), range(realism.USUAL), tuning.settings)
    gap, _ = realism.usual(toy(), tuning.settings)
    assert gap == pytest.approx(float((code - 1).clamp(min=0).square().mean(1).sqrt().mean()))
    trial, pictures = next(tuning.run(1))
    assert pictures is not None
    assert trial.gap == pytest.approx(float((pictures.flatten(1) - 1).clamp(min=0).square().mean(1).sqrt().mean()) / gap)
    seen = torch.rand(5, 7)
    for kinds in ([[0, 1, 2, 3, 4]], [[0, 3], [1, 2, 4]]):
        pairs = [list(combinations(own, 2)) for own in kinds]
        means = [sum(1 - float(torch.cosine_similarity(seen[a], seen[b], 0)) for a, b in own) / len(own) for own in pairs]
        assert realism.diversity(seen, kinds) == pytest.approx(sum(means) / len(means), abs=1e-6)
    assert realism.diversity(torch.ones(3, 2), [[0, 1, 2]]) == pytest.approx(0.0, abs=1e-12)


def test_a_search_that_goes_on_makes_the_trials_of_one_that_was_never_interrupted() -> None:
    whole = trials_of(Tuning(toy(), near_three), 9)
    first = trials_of(Tuning(toy(), near_three), 7)
    rest = trials_of(Tuning(toy(), near_three), 9, tuple(first))
    assert [trial.number for trial in rest] == [7, 8]
    assert first + rest == whole


def test_trials_whose_chains_stop_are_told_and_never_best() -> None:
    def below_four(image: Tensor) -> Tensor:
        return image.mean((1, 2, 3)) + 1e-3 * (4 - image).flatten(1).min(1).values.log()

    tuning = Tuning(toy(), below_four, **NO_LIMITS)
    pairs = list(tuning.run(12))
    stopped = [trial for trial, _ in pairs if trial.stopped]
    assert stopped and len(stopped) < 12
    assert all("became infinite or NaN" in trial.stopped for trial in stopped)
    assert all((pictures is None) == bool(trial.stopped) for trial, pictures in pairs)
    assert not best_of([trial for trial, _ in pairs]).stopped


@pytest.mark.parametrize("sampler", ["released", "langevin", "ascent", "adaptive"])
def test_the_settings_of_a_trial_make_its_pictures_again(sampler: str) -> None:
    bundle = tiny_bundle()
    changes = {"sampler": sampler, "step_size": 0.5, "step_size_end": 0.01, "steps": 8}
    for trial, pictures in Tuning(bundle, 2, count=3, seed=4, keep=(), **changes, **NO_LIMITS).run(4):
        again = recipes.sample(bundle, 2, count=3, seed=4, **dataclasses.asdict(trial.settings))
        torch.testing.assert_close(again.images, pictures, rtol=0, atol=1e-6)


def test_the_first_steps_of_a_run_are_a_run_with_fewer_steps() -> None:
    whole = Settings(sampler="released", step_size=0.5, step_size_end=0.02, steps=50)
    for steps in (1, 6, 31, 50):
        cut = tuning_file._cut(whole, steps)
        assert cut.steps == steps
        shorter, longer = (chain.linear(one.step_size, one.step_size_end, one.steps) for one in (cut, whole))
        assert [shorter(step) for step in range(steps)] == pytest.approx([longer(step) for step in range(steps)], rel=1e-12)
    assert tuning_file._cut(whole, 50) == whole


def test_a_class_counts_at_temperature_1_and_a_judge_in_its_place() -> None:
    bundle = tiny_bundle()
    tuning = Tuning(bundle, [1, 1, 2, 2], sampler="langevin", temperature=7.0, condition_scale=0.0)
    trial = trials_of(tuning, 1)[0]
    images = recipes.sample(bundle, [1, 1, 2, 2], **dataclasses.asdict(trial.settings)).images
    logits = bundle.encoder.logits_from_code(bundle.encoder(images))
    expected = logits.log_softmax(1)[range(4), [1, 1, 2, 2]].clamp(max=-0.01).mean()
    assert trial.log_prob == pytest.approx(float(expected), rel=1e-5)
    assert tuning.kinds == [[0, 1], [2, 3]]
    judged = trials_of(Tuning(bundle, 1, count=2, judge=lambda image: image.flatten(1)[:, 0] * 0 + 5), 1)[0]
    assert judged.log_prob == 5.0


def test_pixels_are_tuned_by_the_codes_that_the_encoder_gives_them() -> None:
    bundle = toy(generator="pixels", prior="none", code_high=1.0)
    trial = trials_of(Tuning(bundle, near_three, **NO_LIMITS), 1)[0]
    assert trial.gap == 0.0  # G(E(x)) is within what E has seen


def test_what_is_searched_is_what_the_sampler_has_and_no_change_sets() -> None:
    bundle = tiny_bundle()
    searched = [
        ({"sampler": "langevin", "noise_scale": 0.1}, {"prior_scale", "condition_scale", "temperature"}),
        ({"sampler": "langevin", "prior": "none"}, {"condition_scale", "temperature"}),
        ({"sampler": "released", "gradient": "logit"}, {"prior_scale", "step_size", "step_size_end"}),
        ({"sampler": "ascent", "step_size": 2.0}, {"prior_scale", "step_size_end"}),
        ({"sampler": "adaptive", "noise_scale": 0.1}, {"prior_scale", "step_size", "step_size_end", "temperature"}),
    ]
    for changes, names in searched:
        assert set(Tuning(bundle, 0, **changes).ranges) == names
    assert "noise_scale" in Tuning(bundle, 0, keep=(), sampler="langevin", noise_scale=0.1).ranges
    assert "temperature" not in Tuning(bundle, lambda image: image.mean((1, 2, 3))).ranges


def test_a_condition_that_is_not_finite_at_pictures_like_real_ones_is_refused() -> None:
    with pytest.raises(ValueError, match="infinite or NaN at codes like real ones"):
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


TUNE = ["tune", "tiny", "--count", "2", "--steps", "8"]


def told(folder: Path, name: str = "trials.json") -> dict:
    return json.loads((folder / "tuned" / name).read_text())


def test_tune_writes_settings_that_sample_reads_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TUNE, "--class", "tench", "ball", "--trials", "4", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "| default |" in printed and "| like real ones |" in printed and "log-probability" in printed
    assert len(told(folder)["trials"]) == 4
    assert Image.open(folder / "tuned" / "tune.png").width > 4 * 100
    best = told(folder, "settings.json")
    options = ["--class", "tench", "ball", "--count", "2", "--seed", "3", "--settings", "tuned/settings.json"]
    assert cli.main(["sample", "tiny", *options, "--save-images", "each"]) == 0
    samples = json.loads((folder / "each" / "samples.json").read_text())
    assert samples["settings"] == best["settings"]
    if best["settings"]["temperature"] == 1:
        mean = sum(row["log_probability"] for row in samples["samples"]) / 4
        assert mean == pytest.approx(best["trial"]["log_prob"], rel=1e-4)
    assert cli.main(["sample", "tiny", *options, "--steps", "2", "--save-images", "again"]) == 0
    again = json.loads((folder / "again" / "samples.json").read_text())["settings"]
    assert again == {**best["settings"], "steps": 2}
    assert settings_in("again/samples.json") == again


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


def test_limits_that_no_trial_kept_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TUNE, "--unit", "fc7:3", "--trials", "2", "--most-gap", "1e-9", "--least-diversity", "9"]) == 0
    printed = capsys.readouterr().out
    assert "no trial kept the limits" in printed
    assert printed.count("| gap and diversity |") == 2


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


def test_what_an_option_sets_stays_and_a_file_of_settings_is_where_the_search_begins(folder: Path) -> None:
    (folder / "begin.json").write_text(json.dumps({"settings": {"step_size": 0.7, "prior_scale": 0.3}}))
    options = ["--unit", "fc7:3", "--trials", "3", "--settings", "begin.json", "--prior-scale", "0.25"]
    assert cli.main([*TUNE, *options]) == 0
    rows = told(folder)["trials"]
    assert rows[0]["settings"]["step_size"] == 0.7
    assert {row["settings"]["prior_scale"] for row in rows} == {0.25}
    assert len({row["settings"]["step_size"] for row in rows}) == 3
    assert told(folder)["searched"] == ["step_size", "step_size_end"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the settings"),
        ("{", "cannot read the settings"),
        ("[1]", "holds no settings"),
        ('{"settings": {}}', "holds no settings"),
        ('{"settings": {"speed": 1}}', "unknown setting 'speed'"),
        ('{"settings": {"steps": "many"}}', "steps 'many', expected int"),
        ('{"settings": {"steps": true}}', "steps True, expected int"),
        ('{"settings": {"sampler": 1}}', "sampler 1, expected str"),
        ('{"settings": {"step_size": NaN}}', "finite number"),
        ('{"settings": {"sampler": "gibbs"}}', "choose langevin"),
        ('{"settings": {"steps": 0}}', "at least 1"),
    ],
)
def test_a_wrong_file_of_settings_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    if content is not None:
        (folder / "mine.json").write_text(content)
    assert cli.main(["sample", "tiny", "--class", "0", "--settings", "mine.json"]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1 and said in printed[0]
    assert not list(folder.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trials", "0", "--class", "0"], "got --trials 0"),
        (["--count", "1", "--class", "0"], "got --count 1"),
        ([], "which class"),
        (["--class", "0", "--most-gap", "-1"], "most_gap -1"),
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
    assert "pip install 'ppgn[tune]'" in capsys.readouterr().err


def test_help_of_tune_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "--help"])
    assert ended.value.code == 0
    assert "ppgn sample imagenette64 --unit trunk.12:7 --settings tuned/settings.json" in capsys.readouterr().out


def test_a_scale_of_a_trial_is_within_the_ranges_and_steps_shrink() -> None:
    tuning = Tuning(tiny_bundle(), 0, count=2, keep=(), sampler="released", **NO_LIMITS)
    for trial in trials_of(tuning, 8)[1:]:
        for name, (low, high) in tuning.ranges.items():
            assert low <= trial.proposed[name] <= high
        assert trial.settings.step_size_end <= trial.settings.step_size
        assert math.isfinite(trial.settings.prior_scale)
    assert all(field.default is not None for field in dataclasses.fields(Settings))  # --settings takes types from the defaults
