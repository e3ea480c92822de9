"""Up and down from a picture, in worlds where the smallest change is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import make_world
from torch import Tensor, nn

from ppgn import recipes, requests
from ppgn.bundle import Bundle
from ppgn.explanation import PARTS, ExplainOptions, Pictures, Second, Study, Target
from ppgn.probe import Preprocessed, Probe
from ppgn.types import CodeSpace, ImageSpec

DIRECTIONS = {"up": 1.0, "down": -1.0}
nearby, passes = PARTS["nearby"].nearby, PARTS["nearby"].passes
WEIGHT = torch.tensor([1.0, -0.5, 0.8, 0.3])
STD = torch.tensor([0.5, 1.0, 2.0])
BEGINS = torch.tensor([[0.6, 0.1, 0.3], [-0.5, 0.3, 0.4], [0.2, -0.4, 0.3], [0.4, 0.2, 0.1]])
MATRIX = make_world().matrix.float()


def linear(image: Tensor) -> Tensor:
    return image.flatten(1) @ WEIGHT


def picture_of(code: Tensor) -> Tensor:
    return (code @ MATRIX.T)[:, None, None, :]


def second() -> Second:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU())
    return Second("tiny", Probe(Preprocessed(network, (1, 4), 0.0, 1.0), ["0", "1"]))


def study(response: Callable[[Tensor], Tensor] = linear, codes: Tensor | None = BEGINS, **changes: Any) -> Study:
    """Four real pictures, of two classes, with these codes; the two in the middle are changed."""
    bundle = Bundle("world", {"generator": picture_of}, CodeSpace((3,), std=STD), ImageSpec(1, 4, 1))
    target = Target(requests.function(response, 1), None, lambda: recipes.prepare(bundle, recipes.Recipe()).passes())
    values = torch.arange(0, 160, 10, dtype=torch.uint8).reshape(4, 1, 1, 4)
    pictures = Pictures(tuple(f"{place}.png" for place in range(4)), torch.tensor([0, 0, 1, 1]), values)
    responses = torch.tensor([-0.2, 1.0, 0.9, 1.2])
    options: dict[str, Any] = {"nearby": 2} | changes
    return Study(bundle, target, pictures, responses, codes, second(), {}, ExplainOptions(**options))


def quiet(count: int) -> None:
    """Nobody watches."""


def rows_of(made: Study) -> list[dict[str, Any]]:
    return nearby(made, quiet).data["pictures"]


def test_the_smallest_change_of_a_linear_response_is_found() -> None:
    made = study()
    slope = float((STD * (MATRIX.T @ WEIGHT)).norm())
    rows = rows_of(made)
    assert [row["file"] for row in rows] == ["1.png"]  # the ranks from 50 % to 95 % of four pictures
    for codes in (BEGINS, BEGINS.roll(1, 0)):  # a start below 0, and one above
        (row,) = rows_of(study(codes=codes))
        start = float(linear(picture_of(codes))[1])
        assert (row["start"], row["response"]) == (pytest.approx(start, rel=1e-5), 1.0)
        for direction, sign in DIRECTIONS.items():
            change, goal = row[direction], start * 2.0**sign if start > 0 else start + sign * made.std
            assert change["goal"] == pytest.approx(goal, rel=1e-5) and change["reached"]
            assert sign * (change["response"] - goal) >= 0
            smallest = abs(goal - start) / slope / 3**0.5
            assert 0.999 * smallest <= change["code_distance"] <= 1.05 * smallest


def test_the_smallest_change_of_a_curved_response_is_found_on_the_curve() -> None:
    inverse = torch.linalg.pinv(MATRIX)

    def values(units: Tensor) -> Tensor:
        return 0.3 + 0.3 * units[..., 0] + 0.8 * units[..., 1] ** 2

    begin = torch.tensor([0.2, 0.15, 0.0])
    made = study(lambda image: values(image.flatten(1) @ inverse.T / STD), codes=(begin * STD).expand(4, 3), nearby_steps=48)
    (row,) = rows_of(made)
    line = torch.linspace(-1.5, 1.5, 601)
    grid = torch.cartesian_prod(line, line)
    distance = grid.norm(dim=1) / 3**0.5
    there = values(grid + begin[:2])
    for direction, inside in (("up", there >= 2 * row["start"]), ("down", there <= row["start"] / 2)):
        smallest = float(distance[inside].min())
        assert row[direction]["reached"] and 0.99 * smallest <= row[direction]["code_distance"] <= 1.05 * smallest, direction


def test_a_goal_that_no_code_reaches_is_told() -> None:
    (row,) = rows_of(study(lambda image: torch.sigmoid(10 * linear(image) + 4), nearby_steps=12))
    assert not row["up"]["reached"] and row["up"]["steps"] == 12 and row["up"]["response"] < row["up"]["goal"]
    assert row["up"]["response"] >= row["start"]  # the picture shown is the one that came nearest to the goal
    assert row["down"]["reached"] and row["down"]["steps"] < 12


def test_chains_of_different_pictures_do_not_influence_one_another() -> None:
    together = study()
    responses = torch.tensor([0.1, 0.2, 1.0, 0.9])
    spread = replace(together, responses=responses.repeat(5), codes=BEGINS.repeat(5, 1), pictures=five_times(together.pictures))
    spread = replace(spread, options=ExplainOptions(nearby=8))
    others = replace(spread, codes=torch.cat([BEGINS[:2], BEGINS[:1] * 2, BEGINS[3:]]).repeat(5, 1))
    one, other = rows_of(spread), rows_of(others)
    assert [row["file"] for row in one] == [row["file"] for row in other] and len(one) == 8
    same = [{**row, "picture": ""} == {**twin, "picture": ""} for row, twin in zip(one, other, strict=True)]
    assert same == [row["file"] != "2.png" for row in one] and any(same) and not all(same)


def five_times(pictures: Pictures) -> Pictures:
    return Pictures(pictures.files * 5, pictures.classes.repeat(5), pictures.values.repeat(5, 1, 1, 1))


def test_progress_counts_all_passes_and_pictures_have_the_names_of_the_rows() -> None:
    ticks: list[int] = []
    made = study()
    part = nearby(made, ticks.append)
    assert sum(ticks) == passes(made)
    (row,) = part.data["pictures"]
    changes = [row[direction] for direction in DIRECTIONS]
    named = [row["picture"], row["reconstruction"], *(change[key] for change in changes for key in ("picture", "difference"))]
    assert sorted(named) == sorted(part.pictures)
    json.dumps(part.data)


def test_pairs_of_one_class_are_compared_where_there_are_classes() -> None:
    made = study()
    data = nearby(made, quiet).data
    apart = ((BEGINS[[0, 2]] - BEGINS[[1, 3]]) / STD).square().mean(1).sqrt()
    assert data["same_class"]["pairs"] == 30
    assert apart.min() <= data["same_class"]["code_distance"] <= apart.max()
    alone = replace(made, pictures=replace(made.pictures, classes=torch.zeros(4, dtype=torch.long)), second=None)
    data = nearby(alone, quiet).data
    assert data["same_class"] == {"code_distance": None, "feature_distance": None, "pairs": 0}
    assert data["any_class"]["code_distance"] > 0 and data["any_class"]["feature_distance"] is None
    assert data["mean"]["up"]["feature_distance"] is None and data["pictures"][0]["up"]["feature_distance"] is None


def test_a_bundle_without_an_encoder_leaves_the_part_out() -> None:
    made = study(codes=None)
    assert passes(made) == 0 and "has no encoder" in nearby(made, quiet).data["left_out"]
