"""Encodings, the archive and the search for elites of classes, beside neat-python's own networks and a brute-force dictionary."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ppgn import illumination
from ppgn.illumination import Archive, Cppn, Direct, Illuminated, Search, illuminate

neat: Any = pytest.importorskip("neat")
pytest.importorskip("ribs")


def small(classes: int = 6, channels: int = 3) -> nn.Module:
    """A random network for pictures of any size."""
    torch.manual_seed(0)
    layers = nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes)
    network = nn.Sequential(*layers)
    network[-1].weight.data *= 30
    return network.eval()


def bred(encoding: Any, count: int, generations: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    genomes = encoding.random(count, rng)
    for generation in range(1, generations + 1):
        genomes = encoding.children(genomes, rng, generation)
    return genomes


def same(one: Illuminated, other: Illuminated) -> bool:
    lines = [[(a.id, a.generation, a.class_, a.depth) for a in found.ancestors(k)] for found in (one, other) for k in range(3)]
    return (
        bool((one.confidences == other.confidences).all())
        and bool((one.images() == other.images()).all())
        and one.curve == other.curve
        and lines[:3] == lines[3:]
        and sorted(one.search.members) == sorted(other.search.members)
    )


@pytest.mark.parametrize(("channels", "coordinates"), [(1, "centred"), (3, "centred"), (3, "pixels")])
def test_networks_drawn_in_a_batch_give_what_neat_pythons_own_networks_give_pixel_by_pixel(
    channels: int, coordinates: str
) -> None:
    encoding = Cppn((5, 7), channels, coordinates)
    genomes = bred(encoding, 12, 40)
    assert max(len(genome.nodes) for genome in genomes) > channels + 5
    drawn = encoding.outputs(genomes, torch.float64)
    for number, genome in enumerate(genomes):
        network = neat.nn.FeedForwardNetwork.create(genome, SimpleNamespace(genome_config=encoding.config))
        for row in range(5):
            for column in range(7):
                x, y = -1 + 2 * column / 6, -1 + 2 * row / 4
                first = (x, y) if coordinates == "centred" else (float(column), float(row))
                expected = network.activate([*first, (x * x + y * y) ** 0.5, 1.0])
                assert drawn[number, :, row, column].tolist() == pytest.approx(expected, abs=1e-9)


def test_hue_lightness_and_saturation_become_the_colours_of_the_standard_library() -> None:
    import colorsys

    encoding = Cppn(8, 3)
    genomes = bred(encoding, 4, 20)
    values, pictures = encoding.outputs(genomes).abs().clamp(0, 1), encoding.render(genomes)
    for h, lightness, s, *colour in torch.cat([values, pictures], 1).permute(0, 2, 3, 1).reshape(-1, 6).tolist():
        assert colour == pytest.approx(colorsys.hls_to_rgb(h * 510 / 360 % 1, lightness, s), abs=1 / 255)


@pytest.mark.parametrize("make", [lambda: Cppn(9, 3), lambda: Direct((6, 8), 1)])
def test_an_encoding_is_a_function_of_its_generator_and_leaves_parents_and_other_random_numbers_alone(
    make: Callable[[], Any],
) -> None:
    encoding = make()
    state = random.getstate()
    parents = bred(encoding, 5, 3)
    before = encoding.render(parents)
    children = encoding.children(parents, np.random.default_rng(4), 1)
    again = encoding.children(parents, np.random.default_rng(4), 1)
    assert torch.equal(encoding.render(children), encoding.render(again))
    assert torch.equal(encoding.render(parents), before) and not torch.equal(encoding.render(children), before)
    assert random.getstate() == state
    assert before.shape[:2] == (5, encoding.channels) and before.shape[2:] == encoding.size
    assert 0 <= float(before.min()) <= float(before.max()) <= 1
    torch.testing.assert_close(before * 255, (before * 255).round(), atol=1e-4, rtol=0)  # a PNG holds it
    kept = encoding.unpack(encoding.pack(children))
    assert torch.equal(encoding.render(kept), encoding.render(children))
    further = [encoding.render(encoding.children(genomes, np.random.default_rng(5), 2)) for genomes in (kept, children)]
    assert torch.equal(*further)
    json.dumps(encoding.describe())


def test_pixels_mutate_at_the_published_rate_which_halves_every_thousand_generations() -> None:
    encoding = Direct(100, 3)
    parent = [np.full((3, 100, 100), 128, dtype=np.uint8)]
    shares = [
        float((encoding.children(parent, np.random.default_rng(0), generation)[0] != 128).mean())
        for generation in (1, 1000, 2500)
    ]
    assert shares == pytest.approx([0.1, 0.05, 0.025], abs=0.006)


def test_polynomial_mutation_has_the_spread_of_its_density() -> None:
    found = illumination.polynomial(np.random.default_rng(0).random(200_000))
    # density 8 (1 - |change|)^15: mean 0, variance 2 / (17 * 18)
    assert float(found.mean()) == pytest.approx(0, abs=1e-3) and float(found.var()) == pytest.approx(2 / 306, rel=0.02)


def test_the_archive_is_a_dictionary_of_the_best() -> None:
    rng = np.random.default_rng(0)
    archive, best = Archive(40), {}
    for generation in range(25):
        scores = np.round(rng.random((30, 40)), 2)  # with ties
        ids = range(30 * generation, 30 * generation + 30)
        taken = archive.offer(ids, scores)
        before = dict(best)
        for one, row in zip(ids, scores, strict=True):
            for niche, score in enumerate(row):
                if niche not in best or score > best[niche][1]:
                    best[niche] = (one, score)
        assert {one: set(niches) for one, niches in taken.items()} == {
            one: {niche for niche in best if best[niche] == before.get(niche, ()) or best[niche][0] == one} - {
                niche for niche in best if best[niche] == before.get(niche, ())}
            for one in taken
        }  # fmt: skip
        assert archive.ids.tolist() == [best[niche][0] for niche in range(40)]
        assert archive.confidences.tolist() == [best[niche][1] for niche in range(40)]


@pytest.mark.parametrize("make", [lambda: Cppn(12, 3), lambda: Direct(12, 3)])
def test_a_seed_gives_the_same_and_another_one_other_pictures(make: Callable[[], Any]) -> None:
    runs = [illuminate(small(), make(), generations=8, population=10, seed=seed) for seed in (3, 3, 4)]
    assert same(runs[0], runs[1]) and not torch.equal(runs[0].confidences, runs[2].confidences)
    assert runs[0].curve[-1].median > runs[0].curve[0].median
    confidence = illumination.scored(small(), runs[0].images())
    torch.testing.assert_close(confidence.diagonal(), runs[0].confidences, atol=1e-6, rtol=0)


def test_asking_and_telling_by_hand_is_the_same_search() -> None:
    network = small()
    search = Search(Cppn(12, 3), 6, population=10, seed=3)
    for _ in range(5):
        images = search.ask()
        assert torch.equal(images, search.ask())
        search.tell(illumination.scored(network, images))
    whole = illuminate(network, Cppn(12, 3), generations=5, population=10, seed=3)
    torch.testing.assert_close(torch.from_numpy(search.archive.confidences), whole.confidences, atol=1e-6, rtol=0)


def test_one_class_is_searched_alone() -> None:
    found = illuminate(small(), Direct(12, 3), classes=[4], names=["four"], generations=20, population=10)
    assert found.names == ("four",) and found.classes == (4,) and found.images().shape == (1, 3, 12, 12)
    assert float(illumination.scored(small(), found.images())[0, 4]) == pytest.approx(float(found.confidences[0]), abs=1e-6)
    assert [row.median for row in found.curve] == sorted(row.median for row in found.curve)


def test_ancestors_lead_from_the_oldest_to_the_elite_and_do_not_grow_for_ever() -> None:
    searches = []
    for generations in (60, 240):
        search = Search(Direct(6, 1), 3, population=4, seed=0)
        for generation in range(generations):
            scores = np.zeros((4, 3))
            scores[generation % 4, generation % 3] = generation + 1  # somebody enters each time
            search.tell(scores)
        found = Illuminated(("a", "b", "c"), (0, 1, 2), search)
        for position, elite in enumerate(found.elites):
            line = [*found.ancestors(position), elite]
            assert all(child.parent == parent.id for parent, child in zip(line, line[1:], strict=False))
            assert line[0].depth == 0 and [one.generation for one in line] == sorted({one.generation for one in line})
            assert all(one.thumbnail is not None and one.thumbnail.shape == (1, 48, 48) for one in line[:-1])
        searches.append(search)
    assert len(searches[1].members) <= len(searches[0].members) + 3 * 5
    assert max(one.depth for one in searches[1].members.values()) > 60


def test_a_run_goes_on_with_a_larger_budget_as_if_it_had_not_ended(tmp_path: Path) -> None:
    encoding = Cppn(10, 3)
    illuminate(small(), encoding, generations=4, population=10, seed=1, folder=tmp_path / "run")
    illuminate(small(), encoding, generations=9, population=10, seed=1, folder=tmp_path / "run")
    before = (tmp_path / "run" / "state.safetensors").read_bytes()
    again = illuminate(small(), Cppn(10, 3), budget=90, population=10, seed=1, folder=tmp_path / "run")
    assert (tmp_path / "run" / "state.safetensors").read_bytes() == before
    assert same(again, illuminate(small(), encoding, generations=9, population=10, seed=1))
    assert len((tmp_path / "run" / "curve.csv").read_text().splitlines()) == 10


KILLED = """
import os, signal, sys
import ppgn.illumination.folder as folder
from ppgn import illumination
sys.path.insert(0, {tests!r})
from test_illumination import small
folder.EVERY, folder.SHARE = 0.0, 1e9
kill = lambda generation, row: generation == 6 and os.kill(os.getpid(), signal.SIGKILL)
encoding = illumination.Cppn(10, 3)
illumination.illuminate(small(), encoding, generations=12, population=10, seed=1, folder=sys.argv[1], watch=kill)
"""
SETTINGS: dict[str, Any] = {"generations": 12, "population": 10, "seed": 1}


def test_a_killed_run_goes_on_and_gives_what_an_undisturbed_one_gives(tmp_path: Path) -> None:
    run = tmp_path / "run"
    code = KILLED.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (run / "state.safetensors").is_file() and not (run / "curve.csv").exists()
    seen: list[int] = []
    resumed = illuminate(small(), Cppn(10, 3), folder=run, watch=lambda generation, row: seen.append(generation), **SETTINGS)
    assert seen[0] == 7 and same(resumed, illuminate(small(), Cppn(10, 3), **SETTINGS))


@pytest.mark.parametrize("every", [0.0, 60.0])
def test_a_run_that_ends_anywhere_goes_on_from_its_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float
) -> None:
    monkeypatch.setattr("ppgn.illumination.folder.EVERY", every)
    monkeypatch.setattr("ppgn.illumination.folder.SHARE", 1e9)

    def stops(generation: int, row: illumination.CurveRow) -> None:
        if generation in (3, 8):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            illuminate(small(), Direct(10, 3), folder=tmp_path / "run", watch=stops, **SETTINGS)
    resumed = illuminate(small(), Direct(10, 3), folder=tmp_path / "run", **SETTINGS)
    assert same(resumed, illuminate(small(), Direct(10, 3), **SETTINGS))


def test_a_run_that_is_killed_behind_its_last_state_writes_the_curve_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppgn.illumination.folder.EVERY", 0.0)
    monkeypatch.setattr("ppgn.illumination.folder.SHARE", 1e9)

    def stops(generation: int, row: illumination.CurveRow) -> None:
        if generation == SETTINGS["generations"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        illuminate(small(), Direct(10, 3), folder=tmp_path / "run", watch=stops, **SETTINGS)
    assert not (tmp_path / "run" / "curve.csv").exists()
    illuminate(small(), Direct(10, 3), folder=tmp_path / "run", **SETTINGS)
    assert len((tmp_path / "run" / "curve.csv").read_text().splitlines()) == 13


def test_a_folder_of_something_else_is_refused_in_a_sentence(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings: dict[str, Any] = {"generations": 2, "population": 5, "folder": run}
    illuminate(small(), Direct(8, 3), **settings)
    with pytest.raises(ValueError, match="holds a search with another encoding, expected that of this run"):
        illuminate(small(), Direct(9, 3), **settings)
    other = small()
    other[-1].weight.data += 1
    with pytest.raises(ValueError, match="another network"):
        illuminate(other, Direct(8, 3), **settings)
    state = run / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-30])
    with pytest.raises(ValueError, match="cannot go on from .*state.safetensors"):
        illuminate(small(), Direct(8, 3), **{**settings, "generations": 3})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        illuminate(small(), Direct(8, 3), generations=2, population=5, folder=tmp_path / "full")


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Direct(0), "got size 0, expected pixels above 0"),
    (lambda: Cppn((8, 8, 8)), "expected pixels above 0"),
    (lambda: Direct(8, 2), "got channels 2, expected 1"),
    (lambda: Cppn(8, 3, "polar"), "got coordinates 'polar', expected centred or pixels"),
    (lambda: Search(Direct(8), 0), "got classes 0, expected a whole number"),
    (lambda: Search(Direct(8), 3, population=0), "got population 0"),
    (lambda: Search(Direct(8), 3, population=4).tell(torch.zeros(4, 2)), "expected \\[4, 3\\]"),
    (lambda: Search(Direct(8), 1, population=1).tell(torch.tensor([[torch.nan]])), "NaN or infinity"),
    (lambda: illuminate(small(), Direct(8)), "expected one of them"),
    (lambda: illuminate(small(), Direct(8), generations=2, budget=2), "expected one of them"),
    (lambda: illuminate(small(), Direct(8), budget=3, population=5), "expected at least one generation"),
    (lambda: illuminate(small(), Direct(8), generations=0), "got generations 0"),
    (lambda: illuminate(small(), Direct(8), generations=1, classes=[6]), "different numbers from 0 to 5"),
    (lambda: illuminate(small(), Direct(8), generations=1, classes=[1, 1]), "different numbers from 0 to 5"),
    (lambda: illuminate(small(), Direct(8), generations=1, classes=[1], names=["a", "b"]), "got 2 names for 1 classes"),
    (lambda: illuminate(nn.Identity(), Direct(8), generations=1), r"expected logits \[picture, class\]"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "said"), WRONG)
def test_what_does_not_fit_is_refused_in_a_sentence(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("library", "call"), [
    ("neat", lambda: Cppn(8)), ("ribs.archives", lambda: Archive(3)),
    ("scipy.optimize", lambda: illumination.one_pixel(small(), torch.zeros(3, 8, 8), 0)),
])  # fmt: skip
def test_a_missing_library_is_named(library: str, call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=r'is not installed: `pip install "ppgn\[illumination\]"`'):
        call()


def grey(value: float, size: int = 16) -> Tensor:
    return torch.full((3, size, size), value)


class Spot(nn.Module):
    """Class 1 where the pixel in row 5, column 9 is nearly red, else class 0."""

    def forward(self, images: Tensor) -> Tensor:
        red, green, blue = images[:, :, 5, 9].unbind(1)
        evidence = 8 * (red - (green + blue) / 2) - 5
        return torch.stack([torch.zeros_like(evidence), evidence], 1)


def test_the_one_pixel_attack_finds_the_pixel_that_counts() -> None:
    found = illumination.one_pixel(Spot(), grey(0.5), 0, seed=1)
    (change,) = found.changes
    assert found.fooled and found.label == 1 and change[:2] == (5, 9) and found.confidence < 0.5 < found.before
    differs = (found.picture != grey(0.5)).any(0)
    assert int(differs.sum()) == 1 and bool(differs[5, 9])
    assert found.picture[:, 5, 9].tolist() == pytest.approx([level / 255 for level in change[2]])
    again = illumination.one_pixel(Spot(), grey(0.5), 0, seed=1)
    assert again.changes == found.changes and again.asked == found.asked


def test_a_target_is_reached_and_a_network_that_no_pixel_fools_is_reported() -> None:
    assert illumination.one_pixel(Spot(), grey(0.5), 0, target=1, seed=1).label == 1
    found = illumination.one_pixel(lambda images: torch.tensor([[9.0, 0.0]]).expand(len(images), -1), grey(0.5), 0, iterations=2)
    assert not found.fooled and found.confidence == pytest.approx(found.before)


@pytest.mark.parametrize(("settings", "said"), [
    ({"pixels": 0}, "got pixels 0"), ({"population": 2}, "got population 2"), ({"target": 7}, "got the target 7"),
    ({"target": 0}, "expected another class"), ({"label": 1}, "the network says class 0 already"),
    ({"iterations": True}, "got iterations True"),
])  # fmt: skip
def test_an_attack_that_cannot_be_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        illumination.one_pixel(Spot(), grey(0.5), **{"label": 0, **settings})


def dots(period: tuple[int, int], size: int = 96) -> Tensor:
    """White dots on black with a period in rows and columns."""
    picture = torch.zeros(3, size, size)
    for row in range(period[0] // 2, size, period[0]):
        for column in range(period[1] // 2, size, period[1]):
            picture[:, row - 2 : row + 3, column - 2 : column + 3] = 1
    return picture


def test_the_period_of_a_picture_is_found_and_noise_and_a_ramp_have_none() -> None:
    periods, strength = illumination.periods_of(dots((24, 16)))
    assert {tuple(map(abs, period)) for period in periods} == {(24, 0), (0, 16)} and strength > 0.95
    stripes = (torch.arange(96).remainder(12) < 6).float().expand(3, 96, 96)
    assert illumination.periods_of(stripes)[0] == ((0, 12),)
    assert illumination.periods_of(torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0))) == ((), 0.0)
    assert illumination.periods_of(torch.linspace(0, 1, 96).expand(3, 96, 96)) == ((), 0.0)


def test_copies_are_blanked_around_the_middle_one_and_a_network_that_counts_them_falls() -> None:
    picture = dots((32, 32))
    count = float((picture > 0.5).sum()) / 9  # of nine dots

    def network(images: Tensor) -> Tensor:
        dots_left = (images > 0.5).sum((1, 2, 3)) / count
        return torch.stack([dots_left - 4, torch.zeros_like(dots_left)], 1)

    found = illumination.repetition(network, picture, 0)
    assert found.copies == 9 and [kept for kept, _ in found.rows] == [1, 2, 4, 8, 9]
    left = [float(torch.tensor(confidence).logit()) + 4 for _, confidence in found.rows]
    assert left == pytest.approx([1, 2, 4, 8, 9], abs=1e-4)
    assert found.kept_by_one < 0.1
    alone = illumination.repetition(network, torch.linspace(0, 1, 96).expand(3, 96, 96), 0)
    assert alone.periods == () and alone.copies == 1 and alone.kept_by_one == 1


def test_the_gallery_needs_no_other_file_and_names_every_class(tmp_path: Path) -> None:
    names = ["<b>tench</b>", "b", "c", "d", "e", "f"]
    found = illuminate(small(), Cppn(12, 3), names=names, generations=12, population=10)
    illumination.write_page(found, tmp_path / "index.html", "A & B")
    text = (tmp_path / "index.html").read_text()
    assert "A &amp; B" in text and "&lt;b&gt;tench&lt;/b&gt;" in text and "<b>tench" not in text
    assert text.count("<figcaption>") == 6 and "http" not in text and 'src="/' not in text and "ancestors" in text
    order = sorted(found.confidences.tolist(), reverse=True)
    places = [text.index(f"<br>{100 * value:.2f} %<br>") for value in order]
    assert places == sorted(places)
    assert os.listdir(tmp_path) == ["index.html"]
