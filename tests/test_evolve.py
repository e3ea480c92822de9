"""Evolutions: ask and tell, noise, several units, programs that misbehave, and runs that are killed."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle
from torch import Tensor

import ppgn
from ppgn import cli, images
from ppgn.experiment import (
    Evolution,
    FunctionScore,
    Laboratory,
    Noise,
    Plan,
    ProgramScore,
    RunFolder,
    SpikingNeuron,
    evolve,
    open_run,
    predict,
    predicted,
    prediction_figure,
    spearman,
)

ROOT = Path(__file__).parents[1]


def left(image: Tensor) -> Tensor:
    """Brighter on the left than on the right."""
    half = image.shape[3] // 2
    return image[..., :half].mean((1, 2, 3)) - image[..., half:].mean((1, 2, 3))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "responses.csv").open() as file:
        return list(csv.DictReader(file))


def test_evolving_makes_the_response_grow_and_keeps_everything(tmp_path: Path) -> None:
    found = ppgn.evolve(tiny_bundle(), left, budget=400, folder=tmp_path / "run", population=10)
    assert found.responses[0] > float(found.highest[0]) and found.highest.shape == (40, 1)
    assert float(left(found.images)[0]) == pytest.approx(found.responses[0], abs=1e-5)
    rows = table(tmp_path / "run")
    assert len(rows) == 400 and [int(row["generation"]) for row in rows] == [number // 10 for number in range(400)]
    for name in ("evolve.json", "evolve.png", "best/0039.png", "generations/0039/codes.safetensors"):
        assert (tmp_path / "run" / name).is_file()


def test_ask_gives_the_same_generation_until_it_was_told() -> None:
    evolution = Evolution(tiny_bundle(), Plan(budget=100, population=5, repeats=2, elite=1), ("a", "b"))
    first = evolution.ask()
    assert torch.equal(first.codes, evolution.ask().codes) and first.owners == (0, 1) * 5
    with pytest.raises(ValueError, match=r"got responses of shape \[3, 2\], expected \[20, 2\]"):
        evolution.tell(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="no picture has a response of a"):
        evolution.tell(torch.full((20, 2), math.inf))
    lacking = torch.rand(20, 2)
    lacking[:, 1] = math.nan
    with pytest.raises(ValueError, match="no picture has a response of b"):
        evolution.tell(lacking)
    assert evolution.ask().number == 0
    evolution.tell(torch.rand(20, 2))
    assert evolution.ask().number == 1 and len(evolution.ask().codes) == 12 and evolution.ask().owners[10:] == (0, 1)


def test_the_mean_of_repeats_counts_and_nan_is_left_out() -> None:
    evolution = Evolution(tiny_bundle(), Plan(budget=100, population=4, repeats=2))
    evolution.tell([1.0, 5.0, math.nan, math.nan, 3.0, 2.0, math.nan, 9.0])
    assert evolution.best()[1:] == (9.0, 1)
    evolution = Evolution(tiny_bundle(), Plan(budget=100, population=4, repeats=2))
    evolution.tell([1.0, 5.0, 0.0, 0.0, 3.0, 2.0, 0.0, 0.0])
    assert evolution.best()[1] == 3.5


def test_an_elite_is_measured_again_so_that_a_lucky_picture_loses_its_place() -> None:
    evolution = Evolution(tiny_bundle(), Plan(budget=400, population=8, elite=1))
    evolution.tell([100.0, 90.0, 91.0, 93.0, 89.0, 90.0, 91.0, 92.0])
    lucky = evolution.best()[0]
    again = evolution.ask()
    assert again.fresh == 8 and torch.equal(again.codes[8], lucky)
    evolution.tell([60.0, *[1.0] * 7, 40.0])
    assert evolution.best()[1:] == (93.0, 1)


@pytest.mark.parametrize("rise", [0.0, 0.3])
@pytest.mark.parametrize(("elite", "repeats"), [(2, 1), (0, 2)])
def test_the_best_of_noisy_pictures_has_the_highest_mean_of_the_posterior(elite: int, repeats: int, rise: float) -> None:
    """Normal pictures, whose mean rises with the search, and normal noise: against the truth, and against the luckiest."""
    random = np.random.default_rng(0)
    plan = Plan(budget=10**6, population=40, elite=elite, repeats=repeats, settings={"centre": False})
    evolution, truth = Evolution(tiny_bundle(), plan), {}
    variance, doubt, luckiest, chosen = [], [], [], []
    for number in range(80):
        codes = [tuple(code.tolist()) for code in evolution.ask().codes]
        values = np.array([truth.setdefault(code, random.normal(10 + rise * number, 1)) for code in codes])
        told = values + random.normal(0, 2, (repeats, len(values)))
        luckiest.append(values[told.mean(0).argmax()])
        evolution.tell(told.ravel())
        chosen.append(truth[tuple(evolution.best()[0].tolist())])
        variance.append(float(evolution.elite.noise[0, 0] / evolution.elite.noise[0, 1].clamp(min=1)))
        doubt.append(float(evolution.elite.doubt))
    assert np.mean(variance[20:]) == pytest.approx(4, rel=0.15)
    assert 1.5 < np.median(doubt[20:]) < 10  # 2^2 / 1^2, where few pictures are shown again
    assert np.mean(chosen[20:]) > np.mean(luckiest[20:]) + (-0.1 if rise else 0.3)  # where all rise, the last are the best


def test_repeats_are_showings_that_count(tmp_path: Path) -> None:
    found = evolve(tiny_bundle(), left, budget=20, population=5, repeats=2, folder=tmp_path / "run")
    assert found.measured == (2,)


def test_the_centre_of_the_search_is_expected_to_give_what_recent_centres_gave() -> None:
    evolution = Evolution(tiny_bundle(), Plan(budget=4000, population=6, elite=1))
    random = np.random.default_rng(0)
    for _ in range(30):
        generation = evolution.ask()
        assert list(generation.centres) == [5]
        told = random.normal(10, 3, len(generation.codes))
        told[[5, *range(6, len(told))]] += 4
        evolution.tell(told)
    assert float(evolution.elite.level) == pytest.approx(14, abs=3)
    assert float(evolution.elite.expected[0, 0]) > 11.5


def test_several_units_share_a_stream_and_every_picture_s_response_to_each_is_kept(tmp_path: Path) -> None:
    def both(image: Tensor) -> Tensor:
        return torch.stack([left(image), -left(image)], 1)

    found = evolve(tiny_bundle(), both, budget=400, units=("left", "right"), folder=tmp_path / "run", population=10)
    assert float(left(found.images)[0]) > 0 > float(left(found.images)[1])
    rows = table(tmp_path / "run")
    assert {row["unit"] for row in rows} == {"left", "right"} and float(rows[0]["left"]) == -float(rows[0]["right"])


def test_noise_is_that_of_its_law_and_a_function_of_seed_and_showing() -> None:
    clean = torch.full((4000, 1), 3.0)
    spikes = Noise("poisson", 2.0, 5).added(clean, 0)
    assert float(spikes.mean()) == pytest.approx(6, abs=0.15) and float(spikes.var()) == pytest.approx(6, abs=0.5)
    assert torch.equal(spikes[7:], Noise("poisson", 2.0, 5).added(clean[7:], 7))
    assert float(Noise("poisson", 2.0).added(torch.tensor([[-3.0]]), 0)) == 0
    assert float((Noise("gaussian", 0.5).added(clean, 0) - clean).std()) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ValueError, match="poisson or gaussian"):
        Noise("pink")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda image: "many", "returned str"),
        (lambda image: torch.zeros(len(image) + 1), "returned shape"),
        (lambda image: torch.zeros(len(image), 2), "returned shape"),
        (lambda image: [math.nan] * len(image), "no picture has a response"),
        (lambda image: [math.inf] * len(image), "no picture has a response"),
    ],
)
def test_a_score_that_returns_something_else_is_a_sentence(answer, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        evolve(tiny_bundle(), answer, budget=20, population=5)


def test_a_random_search_begins_at_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="natural pictures with the method random"):
        evolve(tiny_bundle(), left, budget=20, method="random", natural=tmp_path)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"budget": 5}, "got a budget of 5 pictures, expected at least 20"),
        ({"population": 500, "budget": 400}, "expected at least 500"),
        ({"method": "annealing"}, "no method 'annealing', expected one of cma"),
        ({"settings": {"heat": 3}}, "cma has no setting heat"),
        ({"repeats": 0}, "got repeats 0, expected a whole number of at least 1"),
        ({"elite": -1}, "got elite -1"),
        ({"budget": 40.5}, "got budget 40.5, expected a whole number"),
        ({"settings": {"step_size": "abc"}}, "step_size got 'abc', expected a finite number"),
        ({"settings": {"sphere": 1}}, "sphere got 1, expected true or false"),
        ({"method": "genetic", "settings": {"conserved": 0.5}}, "conserved got 0.5, expected a whole number"),
        ({"population": 1, "settings": {"centre": False}}, "population of 1, expected at least 2"),
        ({"population": 1}, "population of 1, expected at least 3"),
        ({"units": ("a", "a")}, "expected names that differ"),
        ({"units": ("a", "picture")}, "expected names that differ .*rename picture"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        evolve(tiny_bundle(), left, **plan)


OWN_RULE = """
from dataclasses import dataclass, replace
import torch
from ppgn.seeds import normal
from ppgn.types import ChainState


@dataclass(frozen=True)
class Climb:
    population: int = 6
    reach: float = 0.5

    def init(self, code, seeds):
        return ChainState(code.clone(), tuple(seeds), 0, {"score": torch.full((len(code),), -torch.inf, dtype=torch.float64)})

    def ask(self, state):
        noise = normal(state.seeds, state.step, (self.population, *state.code.shape[1:]), dtype=state.code.dtype)
        return state.code[:, None] + self.reach * noise

    def tell(self, state, scores):
        best, member = scores.double().nan_to_num(-torch.inf).max(1)
        code = torch.where((best > state.carry["score"])[:, None], self.ask(state)[range(len(best)), member], state.code)
        return ChainState(code, state.seeds, state.step + 1, {"score": best.maximum(state.carry["score"])})


class Nothing:
    pass
"""


def test_a_rule_of_one_s_own_searches_and_goes_on_only_with_the_same_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "own_rule.py").write_text(OWN_RULE)
    found = evolve(tiny_bundle(), left, budget=60, method="own_rule.py:Climb", settings={"reach": 1})
    assert len(found.mean) == 10 and found.responses[0] == found.highest.max() > found.highest[0, 0]
    command = ["evolve", "./tiny", "--unit", "fc6:0", "--method", "own_rule.py:Climb", "--budget", "12", "--out", "run"]
    assert cli.main([*command, "--reach", "0.2"]) == 0
    assert json.loads((tmp_path / "run" / "evolve.json").read_text())["plan"]["settings"] == {"reach": 0.2}
    for words, said in (
        (["--reach", "0.3"], "another settings ({'reach': 0.2}, now {'reach': 0.3})"),
        (["--reach", "0.2", "--rate", "1"], "has no setting rate"),
    ):
        capsys.readouterr()
        assert cli.main([*command, *words]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "own_rule.py").write_text(OWN_RULE.replace("state.step,", "state.step + 1,"))
    monkeypatch.delitem(sys.modules, "own_rule")
    assert cli.main([*command, "--reach", "0.2"]) == 2
    assert "another rule" in capsys.readouterr().err


def test_a_person_s_run_imports_no_rule_because_a_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "own_rule.py").write_text(OWN_RULE)
    own = ["--method", "own_rule.py:Climb"]
    assert cli.main(["evolve", "./tiny", *own, "--budget", "12", "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["evolve", "ask", "run"]) == 2
    assert "was begun with the method own_rule.py:Climb, expected it named again" in capsys.readouterr().err
    assert cli.main(["evolve", "ask", "run", *own]) == 0
    assert cli.main(["evolve", "./tiny", "--method", "own_rule.py:Nothing", "--out", "other"]) == 2
    assert "expected a dataclass with init, ask, tell and a field population" in capsys.readouterr().err


def test_an_evolution_begins_at_the_codes_of_real_pictures(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    (tmp_path / "real").mkdir()
    for number in range(3):
        images.save_image(
            torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(number)), tmp_path / "real" / f"{number}.png"
        )
    evolve(bundle, left, budget=6, population=6, method="genetic", folder=tmp_path / "run", natural=tmp_path / "real")
    from safetensors.torch import load_file

    codes = load_file(tmp_path / "run" / "generations" / "0000" / "codes.safetensors")["codes"]
    files = [tmp_path / "real" / f"{number}.png" for number in range(3)]
    wanted = bundle.encoder(torch.stack([images.load_image(file, bundle.image.size, bundle.image.channels) for file in files]))
    torch.testing.assert_close(codes[:3], wanted.detach())


def test_another_evolution_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    evolve(tiny_bundle(), left, budget=10, population=5, folder=tmp_path / "run")
    with pytest.raises(ValueError, match=r"an evolution with another population \(5, now 10\)"):
        evolve(tiny_bundle(), left, budget=20, population=10, folder=tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        evolve(tiny_bundle(), left, budget=10, population=5, folder=tmp_path / "other")


SHOWN = """
import sys, time
from pathlib import Path
from PIL import Image
import numpy as np
log = Path({log!r})
for path in sys.argv[1:]:
    with log.open("a") as file:
        file.write(path + "\\n")
    time.sleep({pause})
    pixels = np.asarray(Image.open(path)).astype(float)
    print(pixels[:, :4].mean() - pixels[:, 4:].mean(), flush=True)
"""


def program(folder: Path, pause: float = 0.0, body: str = SHOWN) -> str:
    file = folder / "show.py"
    file.write_text(body.format(log=str(folder / "shown.txt"), pause=pause))
    return f"{sys.executable} {file} {{images}}"


def test_a_program_answers_and_sees_each_picture_once(tmp_path: Path) -> None:
    found = evolve(tiny_bundle(), ProgramScore(program(tmp_path)), budget=60, population=10, folder=tmp_path / "run")
    shown = (tmp_path / "shown.txt").read_text().split("\n")[:-1]
    assert len(shown) == len(set(shown)) == 60 == len(table(tmp_path / "run"))
    assert found.responses[0] == max(float(row["response"]) for row in table(tmp_path / "run"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('abc')", "printed 'abc' for picture 0, expected a number a line"),
        ("print('1 2')", "printed '1 2' for picture 0"),
        ("import sys\nfor _ in sys.argv: print(1)", "printed 6 lines for 5 pictures"),
        ("import sys\nprint(1)\nsys.exit('no electrode')", r"status 1 after 1 of 5 numbers \(no electrode\)"),
        ("print(1)", "status 0 after 1 of 5 numbers"),
        ("import time\ntime.sleep(30)", "printed nothing for 1 s"),
    ],
)
def test_a_program_that_misbehaves_is_a_sentence_and_the_run_goes_on_there(body: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(body)
    command = f"{sys.executable} {tmp_path / 'bad.py'} {{images}}"
    with pytest.raises(ValueError, match=said):
        evolve(tiny_bundle(), ProgramScore(command, timeout=1), budget=10, population=5, folder=tmp_path / "run")
    rejected = list((tmp_path / "run").rglob("program.rejected-1.out"))
    assert [one.read_text() for one in rejected] == ([] if "status" in said or "nothing" in said else [printed(body)])
    (tmp_path / "bad.py").write_text(SHOWN.format(log=str(tmp_path / "shown.txt"), pause=0))
    evolve(tiny_bundle(), ProgramScore(command, timeout=60), budget=10, population=5, folder=tmp_path / "run")
    kept = 1 if "after 1 of" in said else 0
    assert len((tmp_path / "shown.txt").read_text().split()) == 10 - kept and len(table(tmp_path / "run")) == 10


def test_a_program_that_prints_without_end_is_stopped_before_the_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("while True: print('x' * 10**5, end='')")
    with pytest.raises(ValueError, match="bytes for 5 pictures, expected a number a line"):
        evolve(
            tiny_bundle(),
            ProgramScore(f"{sys.executable} {tmp_path / 'bad.py'} {{images}}"),
            budget=5,
            population=5,
            folder=tmp_path / "run",
        )
    assert sum(file.stat().st_size for file in tmp_path.rglob("program*.out")) <= 2**20


def printed(body: str) -> str:
    """What a program of two lines prints, given five pictures."""
    return subprocess.run([sys.executable, "-c", body, *"12345"], capture_output=True, text=True).stdout


def test_a_program_that_first_greets_is_stopped_at_once_and_its_numbers_are_kept(tmp_path: Path) -> None:
    body = "import sys\nprint(1.5, flush=True)\nprint('Loading model', flush=True)\nimport time; time.sleep(60)"
    (tmp_path / "bad.py").write_text(body)
    command = f"{sys.executable} {tmp_path / 'bad.py'} {{images}}"
    begun = time.monotonic()
    with pytest.raises(ValueError, match=r"'Loading model' for picture 1.*all it printed is in program.rejected-1.out"):
        evolve(tiny_bundle(), ProgramScore(command), budget=5, population=5, folder=tmp_path / "run")
    assert time.monotonic() - begun < 30
    place = tmp_path / "run" / "generations" / "0000"
    assert (place / "program.out").read_text() == "1.5\n" and "Loading" in (place / "program.rejected-1.out").read_text()


def test_a_program_that_ignores_the_end_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    (tmp_path / "bad.sh").write_text("trap '' TERM\nsleep 120 &\necho $! > child.txt\nwhile true; do sleep 1; done\n")
    begun = time.monotonic()
    command = f"sh -c 'cd {tmp_path} && sh bad.sh' {{images}}"
    with pytest.raises(ValueError, match="printed nothing for 1 s"):
        evolve(tiny_bundle(), ProgramScore(command, timeout=1), budget=5, population=5, folder=tmp_path / "run")
    assert time.monotonic() - begun < 15
    child = Path(f"/proc/{(tmp_path / 'child.txt').read_text().strip()}/stat")
    while time.monotonic() - begun < 30 and child.exists() and child.read_text().split()[2] != "Z":
        time.sleep(0.05)  # a process that was killed on a busy machine takes a moment to end
    assert time.monotonic() - begun < 30


def test_a_picture_with_an_infinite_answer_is_out_and_the_generation_goes_on(tmp_path: Path) -> None:
    def score(image: Tensor) -> Tensor:
        return torch.where(torch.arange(len(image)) == 1, math.inf, left(image))

    found = evolve(tiny_bundle(), Named(score), budget=20, population=5, folder=tmp_path / "run")
    rows = table(tmp_path / "run")
    assert len(rows) == 20 and {row["response"] for row in rows if row["picture"] == "1"} == {"inf"}
    assert found.responses[0] == max(float(row["response"]) for row in rows if row["picture"] != "1")


def test_an_empty_answer_does_not_end_a_run_for_good(tmp_path: Path) -> None:
    calls = [0.0, math.nan]

    def score(image: Tensor) -> Tensor:
        return left(image) + (calls.pop(0) if calls else 0.0)

    with pytest.raises(ValueError, match="no picture has a response"):
        evolve(tiny_bundle(), Named(score), budget=20, population=5, folder=tmp_path / "run")
    found = evolve(tiny_bundle(), Named(score), budget=20, population=5, folder=tmp_path / "run")
    assert len(table(tmp_path / "run")) == 20 and math.isfinite(found.responses[0])


class Named(FunctionScore):
    """A score of which evolve.json says nothing that changes."""

    def __init__(self, function) -> None:
        super().__init__(function, 1, {"kind": "function"})


def test_a_run_goes_on_with_the_same_score_and_weights_alone_and_with_a_larger_budget(tmp_path: Path) -> None:
    def other(image: Tensor) -> Tensor:
        return -left(image)

    evolve(tiny_bundle(), left, budget=10, population=5, folder=tmp_path / "run")
    with pytest.raises(ValueError, match="another score"):
        evolve(tiny_bundle(), other, budget=10, population=5, folder=tmp_path / "run")
    first, second = (ppgn.Bundle.of(tiny_bundle().generator, tiny_bundle().code.shape, std=1.0) for _ in range(2))
    with torch.no_grad():
        next(second.generator.parameters()).add_(1)
    evolve(first, left, budget=10, population=5, folder=tmp_path / "bare")
    with pytest.raises(ValueError, match="another weights"):
        evolve(second, left, budget=10, population=5, folder=tmp_path / "bare")
    evolve(tiny_bundle(), left, budget=np.int64(20), population=5, folder=tmp_path / "run")
    evolve(tiny_bundle(), left, budget=20, population=5, folder=tmp_path / "whole")
    assert table(tmp_path / "run") == table(tmp_path / "whole")


def test_answers_the_other_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match=r"returned shape \[2, 10\] for 10 pictures, expected \[10, 2\]"):
        evolve(tiny_bundle(), lambda image: torch.zeros(2, len(image)), units=("a", "b"), budget=10, population=5)
    evolution = Evolution(tiny_bundle(), Plan(budget=100, population=10), ("a", "b"))
    for wrong in (torch.rand(2, 20), torch.rand(40)):
        with pytest.raises(ValueError, match=r"expected \[20, 2\]"):
            evolution.tell(wrong)


def test_the_first_generation_of_real_pictures_stays_what_was_shown(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for number in range(3):
        images.save_image(torch.full((1, 8, 8), number / 2), tmp_path / "real" / f"{number}.png")
    about = {"budget": 12, "population": 6, "method": "genetic", "folder": tmp_path / "run", "natural": tmp_path / "real"}
    with pytest.raises(RuntimeError, match="dead"):
        evolve(tiny_bundle(), Named(lambda image: (_ for _ in ()).throw(RuntimeError("dead"))), **about)
    shutil.rmtree(tmp_path / "real")
    found = evolve(tiny_bundle(), Named(left), **about)
    from safetensors.torch import load_file

    codes = load_file(tmp_path / "run" / "generations" / "0000" / "codes.safetensors")["codes"]
    assert len(codes) == 6 and found.highest.shape == (2, 1)


def test_equal_codes_are_one_picture_of_the_elite() -> None:
    evolution = Evolution(tiny_bundle(), Plan(budget=400, population=4, method="genetic", elite=1))
    evolution.tell([9.0, 5.0, 6.0, 7.0])
    again = evolution.ask()  # the algorithm keeps the best one, so it is not shown a second time
    assert len(again.codes) == 4 and torch.equal(again.codes[0], evolution.best()[0])
    evolution.tell([5.0, 1.0, 1.0, 1.0])
    assert evolution.best()[1:] == (7.0, 2)


def test_a_program_needs_a_place_for_the_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected \{images\}"):
        ProgramScore("show")
    with pytest.raises(ValueError, match="cannot start 'no-such-program'"):
        evolve(tiny_bundle(), ProgramScore("no-such-program {images}"), budget=5, population=5)


def killed(command: list[str], folder: Path, wait_for: int | None, chosen: random.Random) -> bool:
    """Whether the process was killed before its end: a random moment after `wait_for` more answers are on the disk."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wanted = None if wait_for is None else answered(folder) + wait_for
    while process.poll() is None:
        if wanted is not None and answered(folder) >= wanted:
            time.sleep(chosen.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        time.sleep(0.001)
    _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    return process.returncode != 0


def answered(folder: Path) -> int:
    """Lines that a function or a program has answered so far."""
    files = [file for name in ("answers.csv", "program.out") for file in (folder / "run" / "generations").glob(f"[0-9]*/{name}")]
    return sum(file.read_bytes().count(b"\n") for file in files)


FUNCTION = """
from pathlib import Path
def response(images):
    numbers = (images[..., :4] - images[..., 4:]).mean((1, 2, 3))
    with Path("shown.txt").open("a") as file:
        file.write("".join(f"{number!r}\\n" for number in numbers.tolist()))
    return numbers
"""


@pytest.mark.slow  # twenty kills of each form, each with the start of a process
@pytest.mark.parametrize("form", ["function", "program"])
def test_a_run_killed_twenty_times_is_the_undisturbed_one_and_shows_no_picture_twice(form: str, tmp_path: Path) -> None:
    chosen, kills, inside = random.Random(0), 0, 0
    for name in ("calm", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        save_tiny_bundle(folder / "tiny")
        (folder / "mine.py").write_text(FUNCTION)
        program(folder, pause=0.005)
        answers = ["--score", "mine.py:response", "--noise", "gaussian:0.01"]
        if form == "program":
            answers = ["--exec", f"{sys.executable} show.py {{images}}"]
        settings = ["--budget", "1020" if form == "program" else "5100", "--population", "32", "--elite", "2", "--out", "run"]
        command = [sys.executable, "-m", "ppgn", "evolve", str(folder / "tiny"), *answers, *settings]
        while name == "killed" and kills < 20:
            assert killed(command, folder, chosen.randrange(1, 45), chosen), f"ended after {kills} kills"
            kills += 1
            inside += not (folder / "run" / "state.safetensors").is_file() or answered(folder) % 34 != 0
        assert not killed(command, folder, None, chosen)
    calm, disturbed = (table(tmp_path / name / "run") for name in ("calm", "killed"))
    assert calm == disturbed and len(calm) > 990 and kills == 20 and inside > 0
    for file in ("state.safetensors", "generations/0017/codes.safetensors", "evolve.png"):
        assert (tmp_path / "calm" / "run" / file).read_bytes() == (tmp_path / "killed" / "run" / file).read_bytes()
    shown = (tmp_path / "killed" / "shown.txt").read_text().split()
    if form == "program":
        assert len(shown) == len(set(shown))
    else:  # a function is asked for the batch again that it was seeing when it was killed, and for no other picture
        assert len(shown) <= len(calm) + 20 * 20


def test_ask_and_tell_from_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny_bundle(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shelf").mkdir()
    (tmp_path / "tiny").rename(tmp_path / "shelf" / "renamed")
    begin = ["evolve", "shelf/renamed", "--budget", "24", "--population", "6", "--units", "left", "right", "--out", "run"]
    assert cli.main(begin) == 0
    assert "generation 0 of 2: 12 pictures in run/generations/0000" in capsys.readouterr().out
    form = tmp_path / "run" / "generations" / "0000" / "responses.csv"
    rows = list(csv.DictReader(form.open()))
    assert list(rows[0]) == ["generation", "picture", "file", "left", "right"] and len(rows) == 12
    assert cli.main(["evolve", "tell", "run", str(form)]) == 2
    assert "no picture has a response of left" in capsys.readouterr().err

    def fill(rows: list[dict[str, str]]) -> Path:
        with (tmp_path / "filled.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "left": index, "right": -index} for index, row in enumerate(rows))
        return tmp_path / "filled.csv"

    assert cli.main(["evolve", "tell", "run", str(fill(rows))]) == 0
    assert "took 12 responses of generation 0; best so far: left 10, right -1" in capsys.readouterr().out
    assert cli.main(["evolve", "tell", "run", str(tmp_path / "filled.csv")]) == 2
    assert "generation 1 was not asked for yet" in capsys.readouterr().err
    assert cli.main(["evolve", "ask", "run"]) == 0
    assert cli.main(["evolve", "tell", "run", str(tmp_path / "filled.csv")]) == 2
    assert "is of generation 0, expected 1" in capsys.readouterr().err
    for row in rows:
        row["generation"] = "1"
    assert cli.main(["evolve", "tell", "run", str(fill(rows))]) == 0
    assert cli.main(["evolve", "ask", "run"]) == 0 and "the budget of 24 pictures is spent" in capsys.readouterr().out
    assert cli.main(["evolve", "shelf/renamed", "--unit", "fc6:0", "--budget", "10", "--population", "5", "--out", "unit"]) == 0
    assert cli.main(["evolve", "ask", "unit"]) == 2 and "is answered by a unit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("picture,reply\n0,1\n", "no column 'response'"),
        ("picture,response\n0,1\n", "has 0 rows of picture 1, expected 1"),
        ("picture,response\n" + "0,1\n" * 5, "has 5 rows of picture 0, expected 1"),
        ("picture,response\n0,1\n1,x\n2,1\n3,1\n4,1\n", "line 3, holds"),
        ("\xff\xfe", "cannot read|no column"),
    ],
)
def test_a_table_of_responses_that_cannot_be_is_refused(
    content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_bundle(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evolve", "./tiny", "--budget", "10", "--population", "5", "--out", "run"]) == 0
    (tmp_path / "r.csv").write_text(content, encoding="latin-1")
    assert cli.main(["evolve", "tell", "run", "r.csv"]) == 2
    import re

    assert re.search(said, capsys.readouterr().err)


def test_the_command_evolves_units_with_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    out = tmp_path / "run"
    options = ["--unit", "fc6:0-1", "--noise", "poisson:5", "--repeats", "2", "--elite", "1", "--budget", "100"]
    assert cli.main(["evolve", str(folder), *options, "--population", "5", "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("the mean of") == 2
    assert json.loads((out / "evolve.json").read_text())["score"]["noise"] == {"kind": "poisson", "size": 5.0, "seed": 0}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--score", "m:f", "--unit", "fc6:0"], "got --score and --unit, expected one of them"),
        (["--noise", "poisson:1"], "got --noise without --unit or --score"),
        (["--unit", "fc6:0", "--noise", "pink:3"], "cannot read --noise pink:3"),
        (["--network", "torchvision:resnet18"], "got --network without --unit"),
        (["--exec", "show"], "expected {images}"),
        (["--unit", "fc6:0", "--heritability", "0.3"], "cma has no setting heritability"),
        (["--unit", "fc6:0", "--step-size", "nan"], "--step-size got nan, expected a finite number"),
    ],
)
def test_options_that_do_not_fit_are_a_sentence(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    assert cli.main(["evolve", str(folder), *options, "--out", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err


def test_a_state_that_was_damaged_is_named(tmp_path: Path) -> None:
    evolve(tiny_bundle(), left, budget=10, population=5, folder=tmp_path / "run")
    (tmp_path / "run" / "state.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot go on from .*state.safetensors"):
        evolve(tiny_bundle(), left, budget=10, population=5, folder=tmp_path / "run")


def test_the_state_of_the_genetic_algorithm_does_not_grow_with_generations(tmp_path: Path) -> None:
    evolve(tiny_bundle(), FunctionScore(left, 1, {}), budget=200, population=5, method="genetic", folder=tmp_path / "run")
    state = (tmp_path / "run" / "state.safetensors").stat().st_size
    assert state < 4000 and RunFolder(tmp_path / "run").is_begun


def test_a_neuron_in_silico_spikes_tires_and_has_a_refractory_period() -> None:
    rested = [SpikingNeuron(gain=50, adaptation=0, seed=seed).spikes(2.0) for seed in range(2000)]
    assert np.mean(rested) == pytest.approx(100 / (1 + 100 * 0.002) * 0.1, rel=0.03)
    tiring = SpikingNeuron(gain=500, adaptation=0.5)
    counts = [tiring.spikes(2.0) for _ in range(60)]
    assert np.mean(counts[:3]) > 1.5 * np.mean(counts[-20:]) > 0
    assert max(SpikingNeuron(gain=1e9, seed=seed).spikes(1.0) for seed in range(50)) == 50  # window / refractory
    assert SpikingNeuron().spikes(-3.0) == 0
    for wrong in ({"window": 0.001}, {"gain": -1.0}, {"memory": 0.5}, {"gain": math.nan}):
        with pytest.raises(ValueError, match="expected numbers of at least 0"):
            SpikingNeuron(**wrong)


def test_a_session_of_the_laboratory_goes_on_as_one_that_was_not_ended(tmp_path: Path) -> None:
    for number in range(6):
        images.save_image(torch.full((1, 8, 8), number / 5), tmp_path / f"{number}.png")
    bright, spec = (lambda image: 40 * image.mean()), ppgn.ImageSpec(8, 8, 1)
    whole = Laboratory(bright, spec, tmp_path / "whole.json", {"gain": 3.0})
    wanted = [whole.show(tmp_path / f"{number}.png") for number in range(6)]
    found = [Laboratory(bright, spec, tmp_path / "parts.json", {"gain": 3.0}).show(tmp_path / f"{n}.png") for n in range(6)]
    assert found == wanted and (tmp_path / "parts.json").read_text() == (tmp_path / "whole.json").read_text()
    (tmp_path / "parts.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no session"):
        Laboratory(bright, spec, tmp_path / "parts.json")


def test_nearer_pictures_that_evoke_more_are_a_positive_correlation() -> None:
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    evolved, mean = torch.tensor([4.0, 1.0, -2.0]), points.mean(0)
    spatial = pytest.importorskip("scipy.spatial.distance")
    wanted = [spatial.cosine(one, evolved - mean) for one in points - mean]
    responses = -torch.tensor(wanted)
    found = predicted(evolved, points, responses)
    np.testing.assert_allclose(found.distance.numpy(), wanted, atol=1e-5)
    assert found.correlation == pytest.approx(1) and found.low > 0.99
    longer = predicted(evolved + 10 * (evolved - mean), points, responses)
    torch.testing.assert_close(longer.distance, found.distance, atol=1e-5, rtol=0)
    scipy = pytest.importorskip("scipy.stats")
    noisy = responses + torch.rand(200, generator=torch.Generator().manual_seed(1))
    noisy[3] = noisy[4]  # a tie
    found = predicted(evolved, points, noisy)
    assert found.correlation == pytest.approx(scipy.spearmanr(-found.distance.numpy(), noisy.numpy()).statistic, abs=1e-6)
    assert found.low < found.correlation < found.high
    assert math.isnan(spearman(np.ones(4), np.arange(4.0)))
    with pytest.raises(ValueError, match="expected at least 3"):
        predicted(torch.zeros(3), points[:4], torch.tensor([math.nan, math.nan, 1.0, 2.0]))


def test_responses_that_are_all_equal_have_no_correlation_and_a_file_that_is_json(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(6):
        images.save_image(torch.full((1, 8, 8), number / 6), tmp_path / "photos" / f"{number}.png")
    score = Named(lambda image: torch.ones(len(image)))
    evolve(tiny_bundle(), score, budget=10, population=5, folder=tmp_path / "run")
    run, evolution = open_run(tmp_path / "run", tiny_bundle(), Plan(budget=10, population=5), ("response",), score.describe())
    found = predict(run, evolution, score, tmp_path / "photos")
    assert math.isnan(found["response"]["code"].correlation)
    stored = json.loads((tmp_path / "run" / "prediction.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert stored["units"]["response"]["code"] == {"correlation": None, "low": None, "high": None}


def test_the_figure_of_a_prediction_has_a_row_for_each_space() -> None:
    real = torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = predicted(real[0], real, torch.rand(30))
    figure = prediction_figure(real[0], real, torch.rand(30), {"code": found, "pool5": found})
    assert figure.width > 2 * figure.height


def test_real_pictures_are_shown_once_and_ranked_by_their_distance_to_the_evolved_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "photos").mkdir()
    for number in range(12):
        image = torch.linspace(number / 11, 1 - number / 11, 8).expand(1, 8, 8)  # from bright on the right to bright on the left
        images.save_image(image, tmp_path / "photos" / f"{number}.png")
    words = ["evolve", str(folder), "--exec", program(tmp_path), "--budget", "40", "--population", "10", "--out"]
    words += [str(tmp_path / "run"), "--predict", str(tmp_path / "photos"), "--features", "trunk.block0"]
    for _ in range(2):
        assert cli.main(words) == 0
        assert capsys.readouterr().out.count("rank correlation") == 2
    assert len((tmp_path / "shown.txt").read_text().split()) == 40 + 12
    for number in range(12):  # the next twelve pictures, under the same names
        images.save_image(
            torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(number)), tmp_path / "photos" / f"{number}.png"
        )
    assert cli.main(words) == 0
    assert len((tmp_path / "shown.txt").read_text().split()) == 40 + 24
    found = json.loads((tmp_path / "run" / "prediction.json").read_text())
    assert found["pictures"] == 12 and -1 <= found["units"]["response"]["code"]["correlation"] <= 1
    assert found["units"]["response"]["code"]["low"] <= found["units"]["response"]["code"]["high"]
    tables = [list(csv.DictReader(file.open())) for file in (tmp_path / "run" / "real").rglob("responses.csv")]
    assert [len(rows) for rows in tables] == [12, 12]
    assert any(float(rows[0]["response"]) < 0 < float(rows[-3]["response"]) for rows in tables)
    assert (tmp_path / "run" / "prediction_0.png").is_file()
