"""The page of a search: what was searched, the frontier, why this setting."""

import html
import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_bundle

from ppgn import cli, recipes, tuning
from ppgn.recipes import Recipe
from ppgn.tuning import Study, Trial, Tuning


def made(number: int, value: float | None, gap: float | None, diversity: float | None = 0.5, **more: Any) -> Trial:
    excess = max(0.0, (gap or 0) - 2.5) + max(0.0, 0.2 - (diversity or 0.2))
    return Trial(number, Recipe(), {}, value, gap, diversity, excess, **more)


@pytest.fixture
def search() -> Tuning:
    return Tuning(tiny_bundle(), lambda image: image.mean((1, 2, 3)), count=4, steps=8)


TRIALS = [
    made(0, 50.0, 1.5),
    made(1, 93.0, 2.0),
    made(2, 40.0, 1.8),
    made(3, 130.0, 3.4),
    made(4, 99.0, 2.1, 0.1),
    made(5, None, None, None, stopped="infinite"),
    made(6, 20.0, 0.5),
]


def test_the_frontier_is_of_the_trials_that_none_beats_in_value_and_gap_and_that_are_diverse_enough(search: Tuning) -> None:
    assert [trial.number for trial in tuning.frontier(search, TRIALS)] == [6, 0, 1, 3]


def test_the_reasons_name_the_rule_its_numbers_and_what_was_left_out(search: Tuning) -> None:
    text = " ".join(tuning.reasons(search, TRIALS))
    assert "Trial 1 has the highest log-probability of the 4 trials that kept both limits: 93, a mean over 4 chains" in text
    assert "the default has 50" in text
    assert "Its gap is 2 times that of realistic codes, 0.80 of the limit 2.5" in text
    assert "1 with a gap above 2.5, 1 with a diversity below 0.2, 1 with chains that became infinite or NaN" in text
    assert "The highest value among them is 130, of trial 3 (gap)" in text
    assert "the default with 50 at a gap of 1.5" in text and "trial 6 with 20 at a gap of 0.5" in text
    none = " ".join(tuning.reasons(search, [TRIALS[3], TRIALS[4]]))
    assert "No trial kept both limits. Trial 4 comes nearest: it breaks them by 0.1 in all" in none
    with pytest.raises(ValueError, match="chains of all 1 trials stopped"):
        tuning.reasons(search, [TRIALS[5]])


def test_of_trials_that_met_enough_the_reasons_show_the_sum_that_chose() -> None:
    search = Tuning(tiny_bundle(), lambda image: image.mean((1, 2, 3)), count=4, steps=8, enough=90.0)
    trials = [made(0, 50.0, 1.5), made(1, 90.0, 2.0, 0.4), made(2, 90.0, 1.5, 0.5)]
    text = tuning.reasons(search, trials)[0]
    assert "2 of the 3 trials that kept both limits reached a log-probability of 90" in text
    assert "trial 2 has the highest diversity less what the gap is above 1: 0.5 - 0.5 = 0" in text


def test_the_figure_has_a_mark_for_each_trial_that_ran_inside_its_frame(search: Tuning) -> None:
    wild = [*TRIALS, made(7, -1e9, 900.0)]
    drawn = tuning.figure(search, wild)
    for kind, count in {"kept": 4, "out": 3, "chosen": 1, "real": 1}.items():
        assert drawn.count(f'<g class="{kind}">') == count
    places = [float(found) for found in re.findall(r' cx="([-\d.]+)"', drawn)]
    assert all(0 <= place <= 460 for place in places)
    assert 'class="line"' in drawn and "trial 1: log-probability 93, gap 2" in drawn


def test_the_page_shows_ranges_frontier_pictures_and_use_and_needs_no_other_file(tmp_path: Path) -> None:
    study = tuning.tune(tiny_bundle(), "ball", tmp_path / "tuned", trials=4, count=3, steps=8, sampler="langevin")
    text = (study.folder / tuning.PAGE).read_text()
    assert text == tuning.page(study)
    for part in ("Why this setting", "How to use it", "The frontier", "What was searched", "seeds 0 to 2", "4 trials"):
        assert part in text
    for name, (low, high) in study.tuning.ranges.items():
        assert f"<td>{name}</td><td>{low:.3g}</td><td>{high:.3g}</td>" in text
    assert "log-probability (nats)" in text and "gap (1: realistic)" in text
    assert "ppgn.recipes.read_recipe" in text and text.count("data:image/png") == 6
    assert not re.search(r'(src|href)="(?!data:)', text) and "http" not in text
    assert "my own words" in tuning.page(study, "my own words")


def test_every_setting_that_can_be_searched_has_a_meaning_a_unit_and_a_reason(tmp_path: Path) -> None:
    for sampler in ("langevin", "released", "ascent", "adaptive"):
        changes: dict[str, Any] = {} if sampler == "langevin" else {"step_size": (0.5, 0.01)}
        search = Tuning(tiny_bundle(), 0, count=2, steps=4, keep=(), sampler=sampler, **changes)
        study = Study(tmp_path / sampler, search)
        study.run(1)
        assert all(f"<td>{name}</td>" in tuning.page(study) for name in search.ranges)


TUNE = ["tune", "tiny", "--class", "tench", "ball", "--count", "2", "--steps", "8", "--trials", "4"]


def test_a_search_that_was_stopped_and_goes_on_gives_the_same_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(TUNE) == 0
    whole = (folder / "tuned" / "tune.html").read_bytes()
    shutil.rmtree(folder / "tuned")
    run = Tuning.run

    def killed(self: Tuning, trials: int, done: tuple[Trial, ...] = ()):
        yield from run(self, 2, done)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Tuning, "run", killed)
        assert cli.main(TUNE) == 130
    assert not (folder / "tuned" / "tune.html").exists()
    assert cli.main(TUNE) == 0
    assert (folder / "tuned" / "tune.html").read_bytes() == whole


def test_the_command_on_the_page_runs_with_the_recipe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TUNE, "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].endswith("the page tuned/tune.html, which says why: open it")
    use = "ppgn sample tiny --class tench ball --settings tuned/settings.json --seed 5"
    assert f"<pre>{html.escape(use)}</pre>" in (folder / "tuned" / "tune.html").read_text() and f"`{use}`" in printed
    assert cli.main([*use.split()[1:], "--save-images", "each"]) == 0
    assert recipes.read_recipe("each/samples.json") == recipes.read_recipe("tuned/settings.json")


def test_the_columns_in_the_terminal_are_labelled_and_aligned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(TUNE) == 0
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    assert all(cell.strip() for cell in lines[0].strip("|").split("|"))
    assert len({tuple(place for place, letter in enumerate(line) if letter == "|") for line in lines}) == 1
    assert "log-probability (nats): the mean over 4 chains" in printed and "the limit at most 2.5" in printed


def test_words_of_a_request_are_those_that_were_typed() -> None:
    request_flags = importlib.import_module("ppgn.cli.request_flags")
    words = ["--class", "a b", "--weight", "-1.0", "--network", "timm:x", "--size", "8,9", "--mean=-0.5,0.0,0.5", "--bgr"]
    given = cli.parse(["tune", "tiny", *words, "--network-precision", "float32"])
    again = cli.parse(["sample", "tiny", *request_flags.typed(given)])
    for name in ("class_", "weight", "network", "size", "mean", "bgr", "network_precision"):
        assert getattr(again, name) == getattr(given, name)
