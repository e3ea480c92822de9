"""The page of samples: pictures, the film, curves, settings and the command, in one file."""

import base64
import io
import re
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from PIL import Image as Pillow

import ppgn
from ppgn import cli, evaluation


def watched(steps: int = 5, count: int = 3) -> tuple[ppgn.Samples, evaluation.Course]:
    course = evaluation.Course(steps)
    return ppgn.sample(tiny_bundle(), "tench", count=count, steps=steps, watch=course), course


def test_a_course_holds_every_step_and_its_last_frame_is_the_last_picture() -> None:
    samples, course = watched()
    assert (len(course.values), len(course.gaps), len(course.moves), course.chains) == (5, 5, 4, 3)
    assert course.values[-1] == pytest.approx(samples.log_prob.tolist())
    assert len(course.frames) == 5
    assert course.frames[-1].size == samples.grid().size or course.frames[-1].width > 0
    assert all(move > 0 for row in course.moves for move in row)


def test_a_course_of_many_steps_has_fifty_frames_at_most_and_watches_one_batch() -> None:
    course = evaluation.Course(120)
    ppgn.sample(tiny_bundle(), "tench", count=4, batch=2, steps=120, watch=course)
    assert len(course.values) == 120 and course.chains == 2
    assert 40 <= len(course.frames) <= 50


def test_the_page_of_the_command_shows_everything_in_one_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "sample",
        "tiny",
        "--class",
        "tench",
        "golf ball",
        "--count",
        "2",
        "--seed",
        "5",
        "--out",
        "a.png",
        "--report",
        "a.html",
    ]
    assert cli.main(words) == 0
    assert "wrote a.html" in capsys.readouterr().out
    page = Path("a.html").read_text()
    assert "ppgn sample tiny --class tench &#x27;golf ball&#x27; --count 2 --seed 5 --out a.png --report a.html" in page
    assert "http" not in page and "<script" not in page
    for said in ("gap of the prior", "move of the code", "log-probability", "&quot;sampler&quot;", "environment", "<td>6</td>"):
        assert said in page, said
    film = re.search(r"data:image/gif;base64,([^\"]+)", page)
    assert film is not None
    assert Pillow.open(io.BytesIO(base64.b64decode(film[1]))).n_frames == 5
    grid = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert grid is not None
    embedded = torch.tensor(list(Pillow.open(io.BytesIO(base64.b64decode(grid[1]))).convert("RGB").tobytes()))
    assert torch.equal(embedded, torch.tensor(list(Pillow.open("a.png").convert("RGB").tobytes())))


def test_a_page_goes_with_saved_pictures_and_another_ending_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sample", "tiny", "--class", "tench", "--count", "2", "--save-images", "each"]
    assert cli.main([*words, "--report", "page.html"]) == 0
    assert "environment" in Path("page.html").read_text()
    assert cli.main([*words, "--overwrite", "--report", "page.png"]) == 2
    assert ".html" in capsys.readouterr().err


def test_names_are_escaped_and_values_that_are_no_numbers_end_a_curve() -> None:
    _, course = watched()
    course.values[3][1] = float("nan")
    page = evaluation.sample_page(
        Pillow.new("RGB", (4, 4)), [{"name": "<b>", "seed": 1}], course, title="<script>", quantity="<i>", settings={"<u>": "<p>"}
    )
    assert not set(re.findall(r"<(?:script|b|i|u)>", page)) and "&lt;script&gt;" in page and "nan" not in page
