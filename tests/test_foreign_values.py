"""Numbers of NumPy and torch, names of bundles, and calls under inference mode, wherever Python hands them in."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASS_NAMES, tiny_bundle
from PIL import Image
from torch import nn

import ppgn
from ppgn import evaluation, images, priors, recipes, sampling, seeds, tuning
from ppgn.conditions import KnownPixels
from ppgn.networks import RectifiedGaussian, RectifiedGaussianConfig
from ppgn.samplers import Langevin
from ppgn.types import ChainState, CodeSpace

PICTURE, KNOWN = torch.full((1, 8, 8), 0.5), images.box_mask("1,1,3,3", (8, 8))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, torch.tensor])
def test_a_whole_number_of_numpy_or_in_a_tensor_is_one(kind: Callable[[int], Any], tmp_path: Path) -> None:
    bundle = tiny_bundle()
    expected = ppgn.sample(bundle, 1, count=2, seed=3, batch=1, steps=2)
    found = ppgn.sample(bundle, kind(1), count=kind(2), seed=kind(3), batch=kind(1), steps=kind(2))
    assert torch.equal(found.images, expected.images)
    assert found.seeds == (3, 4) and all(type(seed) is int for seed in found.seeds)
    assert json.loads(found.save(tmp_path).read_text())["recipe"]["steps"] == 2
    assert len(list(ppgn.walk(bundle, [kind(1)], kind(2), count=kind(1), seed=kind(3)))) == 3
    assert ppgn.from_picture(bundle, PICTURE, kind(1), count=kind(2), seed=kind(3), steps=kind(1)).seeds == (3, 4)
    assert ppgn.in_paint(bundle, PICTURE, KNOWN, count=kind(2), seed=kind(3), steps=kind(1)).samples.seeds == (3, 4)
    assert len(ppgn.requests.parse(bundle, class_=kind(1)).select([0, 0])) == 2
    assert ppgn.tuning.Tuning(bundle, 1, count=kind(2), seed=kind(3)).seeds == [3, 4]


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
def test_lists_of_seeds_classes_and_scales_are_arrays_too(kind: Callable[[Any], Any], tmp_path: Path) -> None:
    bundle = tiny_bundle()
    samples = ppgn.sample(bundle, kind([1, 2]), seed=kind([5, 7]), steps=2, step_size=kind([0.5, 0.25]))
    assert samples.seeds == (5, 7) and samples.names == ("English springer", "golf ball")
    assert json.loads(samples.save(tmp_path).read_text())["recipe"]["sampler"]["step_size"]["end"] == 0.25
    assert len(list(sampling.examples.example_2(bundle, kind([1, 2]), seeds=kind([5, 7]), steps=1).run())) == 3
    assert len(ppgn.requests.parse(bundle, class_=kind([1, 2]), weight=kind([1.0, 0.5]))) == 1


def test_scales_of_numpy_and_torch_are_stored_as_numbers(tmp_path: Path) -> None:
    rule = Langevin(np.float32(0.5), torch.tensor(2.0))  # type: ignore[arg-type]
    samples = ppgn.sample(tiny_bundle(), 1, count=1, steps=1, sampler=rule, noise_scale=np.float64(0.25))
    sampler = json.loads(samples.save(tmp_path).read_text())["recipe"]["sampler"]
    assert (sampler["prior_scale"], sampler["condition_scale"], sampler["noise_scale"]) == (0.5, 2.0, 0.25)


@pytest.mark.parametrize("wrong", [1.5, None, "1", True, np.bool_(True), torch.tensor(1.5), torch.tensor([[1]]), -1, 2**64])
def test_anything_else_as_a_seed_is_refused_in_a_sentence(wrong: Any) -> None:
    with pytest.raises(ValueError, match="seed.*expected a (list of )?whole number"):
        ppgn.sample(tiny_bundle(), 1, count=1, steps=1, seed=wrong)


@pytest.mark.parametrize("wrong", [1.5, 2.0, "2", True, torch.tensor(2.0), 0, -1])
def test_anything_else_as_a_count_or_batch_is_refused_in_a_sentence(wrong: Any) -> None:
    bundle = tiny_bundle()
    for call in (
        lambda: ppgn.sample(bundle, 1, count=wrong, steps=1),
        lambda: ppgn.sample(bundle, 1, count=1, batch=wrong, steps=1),
        lambda: ppgn.walk(bundle, [1], wrong),
        lambda: ppgn.walk(bundle, [1], 1, count=wrong),
        lambda: ppgn.in_paint(bundle, PICTURE, KNOWN, count=wrong, steps=1),
    ):
        with pytest.raises(ValueError, match="expected (a whole number of )?at least 1"):
            call()


def test_seeds_are_one_for_each_chain() -> None:
    assert seeds.check_seeds(np.array([1, 2])) == seeds.check_seeds(torch.tensor([1, 2])) == (1, 2)
    with pytest.raises(ValueError, match="got seeds 3, expected a list of whole numbers"):
        sampling.examples.example_1(tiny_bundle(), 1, seeds=3, steps=1)  # type: ignore[arg-type]


def test_the_name_of_a_bundle_stands_for_it_everywhere(folder: Path) -> None:
    expected = ppgn.sample(ppgn.load("tiny"), 1, count=1, steps=1).images
    for name in ("tiny", folder / "bundles" / "tiny"):
        assert torch.equal(ppgn.sample(name, 1, count=1, steps=1).images, expected)
    assert len(list(ppgn.walk("tiny", [1], 1))) == 2
    assert len(ppgn.from_picture("tiny", PICTURE, 1, steps=1)) == 1
    assert len(ppgn.in_paint("tiny", PICTURE, KNOWN, 1, steps=1).images) == 1
    assert sampling.examples.example_6("tiny", 1, PICTURE, steps=1).steps_each == 1
    assert ppgn.recipes.recipe_for("tiny").steps == 5
    assert ppgn.requests.parse("tiny", class_="tench").names == ("tench",)
    assert ppgn.tuning.Tuning("tiny", 1, count=2).bundle.name == "tiny"
    with pytest.raises(ValueError, match="there is no folder"):
        ppgn.evaluation.evaluate("tiny", folder / "nowhere")
    with pytest.raises(ppgn.BundleError, match="no bundle 'tyni'"):
        ppgn.sample("tyni", 1)
    wrong: Any = None
    with pytest.raises(ValueError, match="got NoneType as a bundle, expected a ppgn.Bundle or the name of one"):
        ppgn.sample(wrong, 1)


def stripes() -> ppgn.Bundle:
    """A generator with weights and buffers, made where it is called."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.Unflatten(1, (1, 8, 8)), nn.Sigmoid())
    return ppgn.Bundle.of(layers, (4,))


def bright(image: torch.Tensor) -> torch.Tensor:
    return image.mean((1, 2, 3)) - 1


def test_calls_under_inference_mode_give_the_same_pictures_and_spoil_nothing(folder: Path) -> None:
    options: dict[str, Any] = {"count": 1, "steps": 2}
    for load, wanted, more in ((lambda: ppgn.load("tiny"), 1, {}), (stripes, bright, {"prior": "none"})):
        expected = ppgn.sample(load(), wanted, **options, **more).images
        with torch.inference_mode():
            bundle = load()
            inside = ppgn.sample(bundle, wanted, **options, **more).images
        assert torch.equal(inside, expected)
        assert torch.equal(ppgn.sample(bundle, wanted, **options, **more).images, expected)


def written(root: Path) -> Path:
    """Two pictures of each class of the tiny bundle."""
    for name in CLASS_NAMES:
        (root / name).mkdir(parents=True)
        for number in range(2):
            images.save_image(torch.rand(1, 8, 8), root / name / f"{number}.png")
    return root


def test_the_callers_autocast_changes_nothing(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    torch.manual_seed(0)
    model = RectifiedGaussian(RectifiedGaussianConfig(12)).fit(torch.randn(40, 12))
    drawn = ppgn.Bundle(**{**vars(bundle), "parts": {**bundle.parts, "start": model}})
    real = written(tmp_path / "real")
    options: dict[str, Any] = {"count": 2, "steps": 3, "precision": "float32"}
    given, asked = recipes.recipe_for(drawn, "class", steps=3), ppgn.requests.of(drawn, [1, 2], None)
    ways: dict[str, Callable[[], Any]] = {
        "sample": lambda: ppgn.sample(drawn, 1, start="codes", **options).images.tolist(),
        "sampler": lambda: ppgn.sample(bundle, 1, sampler=Shrinking(), **options).images.tolist(),
        "retries": lambda: ppgn.sample(bundle, 1, tries=2, accept=0.0, **options).images.tolist(),
        "in_paint": lambda: ppgn.in_paint(bundle, PICTURE, KNOWN, 1, **options).images.tolist(),
        "from_picture": lambda: ppgn.from_picture(bundle, PICTURE, 1, **options).images.tolist(),
        "walk": lambda: [evaluation.image.tolist() for _, evaluation in ppgn.walk(bundle, [1, 2], 2, precision="float32")],
        "tune": lambda: [trial.log_prob for trial, _ in tuning.Tuning(bundle, 1, **options).run(2)],
        "evaluate": lambda: judged(evaluation.evaluate(bundle, real, chain_steps=2, **options).scores),
        "objective": lambda: recipes.objective(recipes.prepare(drawn, given), asked).score(torch.ones(2, 12)).tolist(),
    }
    for name, way in ways.items():
        expected = way()
        with torch.autocast("cpu", torch.bfloat16):
            assert way() == expected, name
            assert torch.is_autocast_enabled("cpu"), name


@dataclass(frozen=True)
class Shrinking:
    """A sampler of one's own, whose step multiplies matrices."""

    def init(self, code: torch.Tensor, seeds: Sequence[int]) -> ChainState:
        return ChainState(code, tuple(seeds))

    def step(self, state: ChainState, objective: Any) -> tuple[ChainState, Any]:
        code = state.code @ (0.9 * torch.eye(12))
        return ChainState(code, state.seeds, state.step + 1), objective.evaluate(state.code)


def judged(scores: dict[str, Any]) -> dict[str, Any]:
    """All scores but the times they took, to nine digits behind the point."""
    kept = {name: value for name, value in scores.items() if name not in ("seconds", "cost")}
    return json.loads(json.dumps(kept), parse_float=lambda text: round(float(text), 9))


def test_pictures_of_numpy_and_pillow_are_taken_as_tensors_are() -> None:
    bundle = tiny_bundle()
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    tensor = torch.from_numpy(grey[None] / np.float32(255))
    for picture, known in ((Image.fromarray(grey), KNOWN.numpy()), (tensor.double().numpy(), KNOWN.numpy().astype(float))):
        filled = ppgn.in_paint(bundle, picture, known, 1, count=1, steps=2)
        expected = ppgn.in_paint(bundle, tensor, KNOWN, 1, count=1, steps=2)
        assert torch.equal(filled.images, expected.images) and torch.equal(filled.picture, expected.picture)
        begun = ppgn.from_picture(bundle, picture, 1, count=1, steps=2)
        assert torch.equal(begun.images, ppgn.from_picture(bundle, tensor, 1, count=1, steps=2).images)


def test_a_mask_of_booleans_is_one_of_numbers() -> None:
    bundle, expected = tiny_bundle(), None
    for known in (KNOWN, KNOWN.bool(), KNOWN.bool().numpy(), Image.fromarray(KNOWN.bool().numpy().reshape(8, 8))):
        filled = ppgn.in_paint(bundle, PICTURE, known, 1, count=1, steps=2).images
        expected = filled if expected is None else expected
        assert torch.equal(filled, expected)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda bundle: ppgn.from_picture(bundle, "x.png", 1), "got a str as a picture, .*load a file with images.load_image"),
        (lambda bundle: ppgn.in_paint(bundle, "x.png", KNOWN), "got a str as a picture"),
        (lambda bundle: ppgn.in_paint(bundle, np.zeros((1, 8, 8), np.uint8), KNOWN), "got an array of uint8 as a picture"),
        (lambda bundle: ppgn.in_paint(bundle, PICTURE, "mask.png"), "got a str as a mask, .*read a file with images.file_mask"),
        (lambda bundle: ppgn.in_paint(bundle, PICTURE, np.ones((8, 8), np.uint8)), "got an array of uint8 as a mask"),
        (lambda bundle: ppgn.in_paint(bundle, PICTURE, None), "got a NoneType as a mask"),
        (lambda bundle: ppgn.in_paint(bundle, np.ones((1, 8, 8), bool), KNOWN), "got an array of bool as a picture"),
        (lambda bundle: ppgn.in_paint(bundle, PICTURE, torch.full((8, 8), 0.5)), "a mask holds 0.5, expected 1 where"),
        (lambda bundle: ppgn.in_paint(bundle, PICTURE, KNOWN.clamp(min=0.4)), "a mask holds 0.4, expected 1 where"),
        (lambda bundle: ppgn.in_paint(bundle, PICTURE, torch.ones(8, 8)), "a mask is 1 everywhere, expected 0 in the hole"),
        (lambda bundle: ppgn.sample(bundle, True), "got True to ask for, expected a class"),
        (lambda bundle: ppgn.sample(bundle, [0, True]), "got True to ask for, expected a class"),
        (lambda bundle: ppgn.sample(bundle, torch.tensor(True)), r"got .*True.* to ask for, expected a class"),
        (
            lambda bundle: ppgn.sample(bundle, torch.rand(3, 64, 64)),
            r"got Tensor of shape \[64\] for a class",
        ),
        (lambda bundle: ppgn.unit(bundle, "fc7:0"), "got Bundle for a network, expected a module of torch: .*bundle.encoder"),
        (lambda bundle: ppgn.load("tiny", device="gpu"), "got the device 'gpu', expected one that this machine has: cpu"),
        (lambda bundle: bundle.to("gpu"), "got the device 'gpu', expected one that this machine has: cpu"),
        (lambda bundle: bundle.to("xla:7"), "got the device 'xla:7', expected one that this machine has: cpu"),
        (lambda bundle: CodeSpace((500,), low=torch.ones(500), high=torch.zeros(500)), r"got low Tensor of shape \[500\]"),
        (lambda bundle: priors.Bounds(torch.ones(500), torch.zeros(500)), r"got low Tensor of shape \[500\]"),
        (lambda bundle: KnownPixels(PICTURE, KNOWN, torch.zeros(500)), r"got std Tensor of shape \[500\]"),
    ],
)
def test_what_a_call_cannot_take_is_one_short_sentence(folder: Path, call: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        call(tiny_bundle())
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
