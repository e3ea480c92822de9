"""Results recorded before the package was rearranged: codes and log-probabilities of every way in which chains run.

`tests/data/same_results.safetensors` was written by the code of version 0.1.0 at commit b76bb7e, in float32 on one thread. A
result here may differ by rounding where sums run in another order, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from caffe_pairs import write_pair
from conftest import tiny_bundle
from safetensors.torch import load_file, save_file

import ppgn
from ppgn import importers, loaders, requests, sampling
from ppgn.images import box_mask
from ppgn.recipes import PAPERS
from ppgn.sampling import examples

pytestmark = pytest.mark.usefixtures("one_thread")

EXACT = {"precision": "float32"}
EXPECTED = load_file(Path(__file__).parent / "data" / "same_results.safetensors")
PICTURE = EXPECTED["picture"][None].contiguous(memory_format=torch.channels_last)[0]  # as a generator made it
OTHER_SAMPLERS: dict[str, dict[str, Any]] = {
    "annealed": {
        "sampler": "annealed", "prior": "noise_level", "start": "noise_level", "draws": 1, "levels": (1.0, 0.2),
        "condition_scale": 0.5, "step_size": 0.2, "steps": 6,
    },
    "noise_level_prior": {
        "sampler": "langevin", "prior": "noise_level", "start": "noise_level", "draws": 1, "steps": 4, "condition_scale": 5.0,
        "prior_scale": 0.1, "noise_scale": 0.01,
    },
    "adaptive_momentum": {"momentum": 0.5, "noise_scale": 0.1, "draws": 2, "steps": 4},
    "langevin_limit": {
        "sampler": "langevin", "condition_scale": 50.0, "condition_limit": 0.3, "draws": 1, "start": "codes", "steps": 4,
        "noise_scale": 0.05,
    },
    "ascent": {
        "sampler": "ascent", "prior": "none", "step_size": (1.0, 0.1), "decay": 0.99, "bounds": "statistics", "measure": "logit",
        "draws": 1, "start": "unclipped", "steps": 4,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def net() -> ppgn.Bundle:
    return ppgn.load("imagenette64")


@pytest.fixture(scope="module")
def products() -> ppgn.Bundle:
    return ppgn.load(Path(__file__).parents[1] / "checkpoints" / "products64")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A resnet18 of fixed random weights, in a file."""
    from torchvision import models

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file({name: value.contiguous() for name, value in models.resnet18(weights=None).state_dict().items()}, file)
    return file


def assert_same(name: str, code: torch.Tensor, log_prob: torch.Tensor, factor: float = 1.0) -> None:
    expected = EXPECTED[f"{name}/code"]
    assert code.shape == expected.shape
    size = float(expected.abs().max())
    torch.testing.assert_close(code, expected, rtol=0, atol=1e-5 * size, msg=lambda text: f"codes of {name}: {text}")
    value = EXPECTED[f"{name}/log_prob"]
    torch.testing.assert_close(log_prob * factor, value, rtol=1e-4, atol=1e-5, msg=lambda text: f"values of {name}: {text}")


def assert_same_samples(name: str, samples: ppgn.Samples, factor: float = 1.0) -> None:
    assert_same(name, samples.codes, samples.log_prob, factor)


def test_classes(net: ppgn.Bundle, products: ppgn.Bundle) -> None:
    assert_same_samples("class", ppgn.sample(net, "church", count=2, steps=5, **EXACT))
    both = "type:Handbags & colour:Red"
    assert_same_samples("class_products64", ppgn.sample(products, both, count=2, steps=5, tries=1, **EXACT))
    assert_same_samples("two_classes", ppgn.sample(net, [4, 8], seed=3, steps=4, draws=3, **EXACT))
    assert_same_samples("draws", ppgn.sample(net, "tench", count=2, steps=2, draws=7, start="codes", **EXACT))


def test_retries(products: ppgn.Bundle) -> None:
    both = "type:Handbags & colour:Red"
    found = ppgn.sample(products, both, count=2, steps=3, draws=2, tries=3, accept=-0.01, **EXACT)
    assert_same_samples("tries", found)


def test_units_and_plugged_networks(net: ppgn.Bundle, resnet: Path) -> None:
    own = loaders.network("bundle:classifier", bundle=net)
    wanted = requests.unit(own, "trunk.12:7")
    assert_same_samples("unit_of_the_encoder", ppgn.sample(net, wanted, count=2, steps=5))
    layer = "layer2.0.conv2"
    seen = loaders.network("torchvision:resnet18", resnet, bundle=net, size=64, layers=(layer,))
    assert_same_samples("unit_of_resnet18", ppgn.sample(net, requests.unit(seen, f"{layer}:3@centre"), count=2, steps=4))
    plugged = requests.Plugged("torchvision:resnet18", resnet, 64, precision="float32")
    wanted = requests.parse(net, class_=["11", "12"], network=plugged)
    assert_same_samples("class_of_resnet18", ppgn.sample(net, wanted, count=2, steps=4))
    assert_same_samples("function", ppgn.sample(net, lambda image: 50 * image.mean((1, 2, 3)), count=2, steps=4))


def test_captions(products: ppgn.Bundle) -> None:
    wanted = requests.captions(products, ["a red handbag", "a blue shirt"])
    assert_same_samples("caption", ppgn.sample(products, wanted, count=2, steps=3, tries=1))
    assert_same_samples("caption_tries", ppgn.sample(products, wanted, count=2, steps=2, tries=2, accept=0.0))


def test_pictures(net: ppgn.Bundle) -> None:
    known = box_mask((20, 20, 24, 24), 64)
    filled = sampling.in_paint(net, PICTURE, known, "church", count=2, steps=4, start_noise=0.3)
    assert_same_samples("inpaint", filled.samples)
    filled = sampling.in_paint(net, PICTURE, known, count=2, steps=4, start_noise=0.3)
    assert_same_samples("inpaint_without_class", filled.samples)
    assert_same_samples("from_picture", sampling.from_picture(net, PICTURE, [0, 4], steps=4, **EXACT))


@pytest.mark.parametrize("name", PAPERS)
def test_methods_of_the_papers(name: str, net: ppgn.Bundle) -> None:
    steps = 3 if name == "ppgn_x" else 4
    assert_same_samples(f"recipe/{name}", ppgn.sample(net, "church", count=2, steps=steps, recipe=name))


@pytest.mark.parametrize("name", OTHER_SAMPLERS)
def test_samplers(name: str, net: ppgn.Bundle) -> None:
    found = ppgn.sample(net, "church", count=2, **{**EXACT, **OTHER_SAMPLERS[name]})
    assert_same_samples(f"sampler/{name}", found, 0.25 if name == "ascent" else 1.0)  # a raw score has no temperature any more


def test_a_walk(net: ppgn.Bundle) -> None:
    *_, (_, last) = ppgn.walk(net, ["church", "golf ball"], 3, count=2, draws=2, **EXACT)
    assert_same("in_turn", last.code, last.log_prob)


def test_the_released_examples(net: ppgn.Bundle, products: ppgn.Bundle, resnet: Path) -> None:
    seen = loaders.network("torchvision:resnet18", resnet, bundle=net, size=64)
    runs: dict[int, Callable[[], examples.Example]] = {
        1: lambda: examples.example_1(net, "church", seeds=(0, 1), steps=3),
        2: lambda: examples.example_2(net, ["church", "tench"], seeds=(0, 1), steps=2),
        3: lambda: examples.example_3(net, "trunk.10:3@centre", seeds=(0, 1), steps=3),
        4: lambda: examples.example_4(net, "layer2.0.conv1:3@centre", seen, seeds=(0, 1), steps=2),
        5: lambda: examples.example_5(products, "a red handbag", seeds=(0, 1), steps=3),
        6: lambda: examples.example_6(net, "church", PICTURE, seeds=(0, 1), steps=3),
        7: lambda: examples.example_7(net, "church", PICTURE, seeds=(0, 1), steps=3),
    }
    for number, make in runs.items():
        *_, (_, last) = make().run()
        assert_same(f"example/{number}", last.code, last.log_prob)


def test_an_imported_caffe_bundle(tmp_path: Path) -> None:
    generator_files, encoder_files = write_pair(tmp_path)
    generator = importers.read_generator(importers.Files(*generator_files))
    encoder = importers.read_encoder(importers.Files(*encoder_files), generator.image_size)
    sources = (*generator_files, *encoder_files)
    importers.write(tmp_path / "imported", "imported", importers.Imported(generator, encoder, sources), lambda stage: None)
    bundle = ppgn.load(tmp_path / "imported")
    assert_same_samples("caffe", ppgn.sample(bundle, "3", count=2, steps=3, **EXACT))
    own = loaders.network("bundle:classifier", bundle=bundle)
    wanted = requests.unit(own, "trunk.layers.conv5:2")
    assert_same_samples("caffe_unit", ppgn.sample(bundle, wanted, count=2, steps=2))


def test_a_tiny_bundle() -> None:
    bundle = tiny_bundle()
    assert_same_samples("tiny", ppgn.sample(bundle, "golf ball", count=3))
    changes = {"prior": "denoiser", "sampler": "langevin", "condition_scale": 20.0, "prior_scale": 0.1, "noise_scale": 0.2}
    assert_same_samples("tiny_denoiser", ppgn.sample(bundle, [0, 1, 2, 3], steps=6, **changes))
