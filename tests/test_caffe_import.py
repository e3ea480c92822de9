"""Released networks as a bundle: pixels in and out, the command, and every mistake in one sentence."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from caffe_files import write_caffemodel
from caffe_pairs import CLASSES, write_network, write_pair
from caffe_topologies import googlenet, pool5_generator

from ppgn import cli, images, load, loaders, sampling
from ppgn.acceleration import Converted
from ppgn.caffe import (
    CaffeEncoder,
    CaffeEncoderConfig,
    CaffeGenerator,
    CaffeGeneratorConfig,
    CaffeNetwork,
    CaffeNetworkConfig,
    read_definition,
    read_weights,
)
from ppgn.conditions import Unit
from ppgn.importers import class_names, code_of
from ppgn.recipes import PAPERS, Recipe
from ppgn.types import ImageSpec

CODE = 256
MEAN = torch.tensor([104.006, 116.669, 122.679])


def small_generator(mean: tuple[float, ...]) -> CaffeGenerator:
    """Code of one number -> 8x8 pixels of the colour that the bias of its layer is."""
    spatial = {"num_output": 3, "kernel_size": [8]}
    layer = {"name": "up", "type": "Deconvolution", "bottom": ["feat"], "top": ["up"], "convolution_param": spatial}
    part = CaffeGenerator(
        CaffeGeneratorConfig({"input": [{"name": "feat", "shape": [1, 1, 1, 1]}], "layers": [layer]}, mean=mean)
    )
    part.load_blobs({"up": [np.zeros((1, 3, 8, 8), np.float32), np.array([1, 2, 3], np.float32)]})
    return part


def whole_caffenet(files: Sequence[str]) -> CaffeNetwork:
    network = CaffeNetwork(CaffeNetworkConfig(read_definition(files[0])))
    network.load_blobs(read_weights(files[1]))
    return network


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """But for rounding: a bundle's maps are channels last in memory, and are added up in another order."""
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * float(expected.detach().abs().max()))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both networks' files, lists that go with them, a picture, and the bundle that they make."""
    folder = tmp_path_factory.mktemp("released")
    write_pair(folder)
    (folder / "synset_words.txt").write_text("".join(f"n{place:08d} name{place}, other{place}\n" for place in range(CLASSES)))
    (folder / "fc6.txt").write_text("".join(f"{1 + place / 100}\n" for place in range(CODE)))
    images.save_image(torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(1)), folder / "picture.png")
    assert (
        cli.main([*command(folder), "--classes", str(folder / "synset_words.txt"), "--statistics", str(folder / "fc6.txt")]) == 0
    )
    return folder


@pytest.fixture
def here(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty, from which the bundle is found by name."""
    monkeypatch.setenv("PPGN_CHECKPOINTS", str(shelf / "checkpoints"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(folder: Path, out: str = "checkpoints/original") -> list[str]:
    generator, encoder = (
        [str(folder / f"{name}.{end}") for end in ("prototxt", "caffemodel")] for name in ("generator", "caffenet")
    )
    return ["import-caffe", "--generator", *generator, "--encoder", *encoder, "--out", str(folder / out)]


@pytest.mark.parametrize(("wrong", "said"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_weights_that_are_no_numbers_are_named_with_file_layer_and_blob(wrong: float, said: str, tmp_path: Path) -> None:
    layers = {"a": ("InnerProduct", [np.zeros((2, 3), np.float32), np.array([0, wrong], np.float32)])}
    weights = write_caffemodel(tmp_path / "net.caffemodel", layers)
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 1 dim: 1 } } }\n'
        'layer { name: "a" type: "InnerProduct" bottom: "data" top: "a" inner_product_param { num_output: 2 } }\n'
    )
    with pytest.raises(ValueError, match=f"^{weights}: blob 1 of layer 'a' holds {said}, expected finite numbers"):
        loaders.network(f"caffe:{tmp_path / 'net.prototxt'},{weights}")


def test_a_generators_blue_green_red_plus_its_mean_is_red_green_blue_of_one() -> None:
    made = small_generator((10.0, 20.0, 30.0))(torch.zeros(2, 1))
    expected = torch.tensor([33 / 255, 22 / 255, 11 / 255]).reshape(1, 3, 1, 1).expand(2, 3, 8, 8)
    torch.testing.assert_close(made, expected)


def test_pixels_outside_of_the_range_are_left_as_they_are() -> None:
    made = small_generator((-100.0, 0.0, 300.0))(torch.zeros(1, 1)).detach()
    assert float(made.min()) < 0 < 1 < float(made.max())


def test_an_encoder_sees_the_227_pixels_from_the_14th_on_as_blue_green_red_less_the_mean() -> None:
    itself = {"name": "itself", "type": "Power", "bottom": ["data"], "top": ["itself"]}
    definition = {"input": [{"name": "data", "shape": [1, 3, 227, 227]}], "layers": [itself]}
    encoder = CaffeEncoder(CaffeEncoderConfig(definition, "itself", "itself"))
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    expected = 255 * picture[:, [2, 1, 0], 14:241, 14:241] - MEAN.reshape(1, 3, 1, 1)
    torch.testing.assert_close(encoder(picture), expected)
    assert encoder.classes == 3 * 227 * 227


def test_code_and_scores_are_the_blobs_of_the_whole_network(shelf: Path) -> None:
    encoder, picture = load(shelf / "checkpoints" / "original").encoder, images.load_image(shelf / "picture.png", 256, 3)[None]
    blobs = whole_caffenet(command(shelf)[5:7]).blobs(encoder.prepare(picture))
    assert_same(encoder(picture), blobs["fc6"])
    assert_same(encoder.logits_from_code(encoder(picture)), blobs["fc8"])
    assert float(encoder(picture).min()) == 0  # after the ReLU


def test_the_encoder_reads_the_generators_own_numbers(shelf: Path) -> None:
    """E(G(h)) has nothing between the two nets of Caffe but the crop: mean and channels go off as they came."""
    loaded = load(shelf / "checkpoints" / "original")
    code = torch.rand(2, CODE, generator=torch.Generator().manual_seed(0))
    bgr = loaded.generator.network(code)[:, :, 14:241, 14:241]
    assert_same(loaded.encoder(loaded.generator(code)), loaded.encoder.trunk(bgr))


def test_a_bundles_weights_are_those_of_the_files_bit_by_bit(shelf: Path) -> None:
    loaded, (prototxt, caffemodel) = load(shelf / "checkpoints" / "original"), command(shelf)[5:7]
    layers = {**loaded.encoder.trunk.layers, **loaded.encoder.head.layers}
    for name, arrays in read_weights(caffemodel).items():
        for array, weights in zip(arrays, layers[name].parameters(), strict=True):
            assert torch.equal(weights, torch.from_numpy(array))
    assert json.loads((shelf / "checkpoints" / "original" / "bundle.json").read_text())["parts"]["encoder"]["config"][
        "definition"
    ] == read_definition(prototxt)


def test_a_bundle_says_where_it_is_from_and_has_the_released_recipe(shelf: Path) -> None:
    loaded = load(shelf / "checkpoints" / "original")
    info, released = loaded.info, Recipe().changed(**PAPERS["noiseless_joint_ppgn_h_released"])
    hashed = {
        name: hashlib.sha256((shelf / name).read_bytes()).hexdigest() for name in ("generator.caffemodel", "caffenet.prototxt")
    }
    assert hashed.items() <= {one["file"]: one["sha256"] for one in info["data"]["sources"]}.items()
    assert all(value in info["source"] for value in hashed.values())
    assert "non-commercial" in info["licence"]
    recipes = {"class": released.changed(precision="auto"), "plugged": released}
    assert released.precision == "float32"
    assert loaded.recipes == {kind: recipe.to_json() for kind, recipe in recipes.items()}
    scales = {"name": "langevin", "prior_scale": 1e-5, "condition_scale": 1.0, "noise_scale": 1e-17, "condition_limit": 0.0}
    assert loaded.papers == {kind: {**recipe.to_json(), "sampler": scales} for kind, recipe in recipes.items()}
    assert loaded.image == ImageSpec(256, 256, 3)


def test_bounds_and_names_come_from_the_lists(shelf: Path) -> None:
    loaded = load(shelf / "checkpoints" / "original")
    assert loaded.classes[13] == "name13, other13"
    assert loaded.code.high[:3].tolist() == pytest.approx([1, 1.01, 1.02])
    assert float(loaded.code.std[0]) == pytest.approx(1 / 3)
    assert (loaded.code.low, loaded.code.mean, loaded.code.relu) == (0.0, 0.63, True)
    ascended = sampling.sample(loaded, "name13", count=1, steps=2, recipe="dgn_am")
    assert (ascended.codes <= loaded.code.high + 1e-6).all()


def test_prior_and_class_share_one_pass_through_the_trunk(shelf: Path) -> None:
    loaded, seen = load(shelf / "checkpoints" / "original"), []
    loaded.encoder.trunk.register_forward_hook(lambda *_: seen.append(1))
    sampling.sample(loaded, "name13", count=2, steps=3, precision="float32")
    assert len(seen) == 3


def test_in_bfloat16_pictures_keep_what_their_mean_would_round_away(shelf: Path) -> None:
    loaded = load(shelf / "checkpoints" / "original")
    generator, encoder = (Converted(part, "bfloat16") for part in (loaded.generator, loaded.encoder))
    code = torch.randn(2, *loaded.code.shape, generator=torch.Generator().manual_seed(0))
    image = generator(code)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, loaded.generator(code), atol=0.02, rtol=0.0)
    assert not torch.equal(image, image.bfloat16().float())
    grey = 0.45 + 0.01 * (image - image.mean())  # little contrast: bfloat16 near 0.45 counts in steps of a half of 1/255
    prepared = loaded.encoder.prepare(grey)
    assert torch.equal(encoder(grey), encoder.network.trunk(prepared.bfloat16()).float())
    wanted, rounded = loaded.encoder(grey), encoder(grey.bfloat16().float())
    assert float((encoder(grey) - wanted).norm()) < 0.75 * float((rounded - wanted).norm())
    scores = encoder.logits_from_code(encoder(grey))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, loaded.encoder.logits_from_code(wanted), atol=0.2, rtol=0.05)
    assert loaded.generator(code.double()).dtype == torch.float64


@pytest.mark.parametrize(
    "asked",
    [
        ["1", "--unit", "13"],
        ["2", "--unit", "13,14"],
        ["3", "--unit", "trunk.layers.conv5:3@centre"],
        ["4", "--unit", "conv5:3@centre", "--network", "caffe:{0}/caffenet.prototxt,{0}/caffenet.caffemodel"],
        ["6", "--unit", "13", "--from", "{0}/picture.png"],
        ["7", "--class", "name13", "--from", "{0}/picture.png", "--seeds", "0"],
    ],
)
def test_the_released_examples_run(asked: list[str], shelf: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppgn.sampling.examples.KEEP_UNITS_ABOVE", -100.0)  # random units are not that sure of themselves
    filled = [part.format(shelf) for part in asked]
    assert cli.main(["example", *filled, "--bundle", "original", "--steps", "2", "--out", "made.png"]) == 0
    assert (here / "made.png").is_file()


def test_a_class_number_as_unit_is_that_class(shelf: Path, here: Path) -> None:
    assert cli.main(["example", "1", "--unit", "13", "--bundle", "original", "--steps", "2", "--out", "unit.png"]) == 0
    assert cli.main(["example", "1", "--class", "name13", "--bundle", "original", "--steps", "2", "--out", "class.png"]) == 0
    assert (here / "unit.png").read_bytes() == (here / "class.png").read_bytes()


def test_sampling_filling_and_listing_work_as_with_any_bundle(
    shelf: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sample", "original", "--class", "name13", "--count", "2", "--steps", "2", "--out", "a.png"]) == 0
    assert cli.main(["inpaint", "original", str(shelf / "picture.png"), "--count", "2", "--steps", "2", "--out", "b.png"]) == 0
    assert cli.main(["bundles"]) == 0
    assert f"256x256 px, {CLASSES} classes" in capsys.readouterr().out


def test_networks_run_in_half_the_precision(shelf: Path) -> None:
    loaded = load(shelf / "checkpoints" / "original")
    half, full = (sampling.sample(loaded, 3, count=1, steps=1, precision=one).images for one in ("bfloat16", "float32"))
    torch.testing.assert_close(half, full, rtol=0, atol=0.02 * float(full.abs().max()))


def test_a_pool5_generator_has_maps_as_codes(shelf: Path, here: Path) -> None:
    write_network(shelf, "pool5", pool5_generator(16))
    given = command(shelf, str(here / "pool5"))
    given[2:4] = [str(shelf / "pool5.prototxt"), str(shelf / "pool5.caffemodel")]
    assert cli.main([*given, "--code-blob", "pool5"]) == 0
    loaded = load(here / "pool5")
    assert loaded.code.shape == (16, 6, 6)
    assert not loaded.code.relu
    assert sampling.sample(loaded, 3, count=2, steps=2).images.shape == (2, 3, 256, 256)


@pytest.mark.parametrize("form", ["v0", "v1", "v2"])
def test_weights_of_every_form_give_the_same_bundle(form: str, shelf: Path, here: Path) -> None:
    for name, own in (("generator", "v1" if form == "v0" else form), ("caffenet", form)):  # V0 knew no Deconvolution
        write_network(here, name, (shelf / f"{name}.prototxt").read_text(), form=own)
    assert cli.main(command(here)) == 0
    for part in ("generator", "encoder"):
        files = [folder / "checkpoints" / "original" / f"{part}.safetensors" for folder in (here, shelf)]
        assert files[0].read_bytes() == files[1].read_bytes()


GENERATOR, ENCODER = ([f"{{0}}/{name}.{end}" for end in ("prototxt", "caffemodel")] for name in ("generator", "caffenet"))
MISTAKES: dict[str, tuple[list[str], str]] = {
    "definition and weights swapped": (["--generator", *GENERATOR[::-1]], "caffemodel: byte .*give a .prototxt"),
    "networks swapped": (["--generator", *ENCODER, "--encoder", *GENERATOR], "caffenet.prototxt: the generator's output 'prob'"),
    "weights of the other network": (
        ["--generator", GENERATOR[0], ENCODER[1]],
        "caffenet.caffemodel: layer 'defc7' got no blobs",
    ),
    "text as weights": (["--encoder", ENCODER[0], "{0}/words.txt"], "words.txt: "),
    "a missing file": (["--encoder", "nowhere.prototxt", ENCODER[1]], "nowhere.prototxt: cannot be read"),
    "no such code": (
        ["--code-blob", "fc66"],
        "no layer makes the code blob 'fc66', expected one such as fc6, .*choose the code blob",
    ),
    "no such scores": (["--scores-blob", "fc9"], "scores blob 'fc9'"),
    "scores before the code": (["--scores-blob", "conv1"], "cannot be computed from the code 'fc6' alone"),
    "a code of another size": (["--code-blob", "pool5"], "takes codes of 256 numbers, .*choose the code blob fc6 or fc7"),
    "statistics of another layer": (["--statistics", "{0}/three.txt"], "has 3 numbers, expected 256"),
    "statistics that are none": (["--statistics", "{0}/words.txt"], "something else than numbers"),
    "names of others": (["--classes", "{0}/three.txt"], "has 3 lines, expected 20"),
    "no names": (["--classes", "nowhere.txt"], "nowhere.txt cannot be read"),
    "a grey mean": (["--mean", "104"], "expected a square picture of 1 channels"),
    "a folder of something else": (["--out", "{0}"], "is no bundle, expected a new folder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(
    mistake: str, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, said = MISTAKES[mistake]
    (shelf / "three.txt").write_text("1\n2\n3\n")
    (shelf / "words.txt").write_text("no numbers here")
    before = sorted(shelf.rglob("*"))
    assert cli.main([*command(shelf, "wrong"), *(part.format(shelf) for part in changes)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line for line in lines if not line.startswith("ppgn: ")] == []
    assert lines[-1].startswith("ppgn: error: ")
    assert re.search(said, lines[-1])
    assert sorted(shelf.rglob("*")) == before


def test_without_protobuf_the_extra_is_named(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "google.protobuf.text_format", None)
    assert cli.main(command(shelf, "wrong")) == 2
    assert 'pip install "ppgn[caffe]"' in capsys.readouterr().err


def test_a_bundle_loads_without_protobuf(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google", None)
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    assert load(shelf / "checkpoints" / "original").code.shape == (CODE,)


def test_an_older_bundle_is_replaced(shelf: Path, here: Path) -> None:
    shutil.copytree(shelf / "checkpoints" / "original", here / "original")
    given = [*command(shelf, str(here / "original")), "--name", "again"]
    assert cli.main(given) == 0
    assert load(here / "original").name == "again"
    assert load(here / "original").code.high == 30


def test_the_commands_of_the_page_are_understood() -> None:
    page = (Path(__file__).parents[1] / "docs" / "original-weights.md").read_text()
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    commands = [line.split()[1:] for line in blocks.splitlines() if line.startswith("ppgn ")]
    assert {given[0] for given in commands} == {"import-caffe", "import-deepsim", "sample", "example", "layers"}
    for given in commands:
        assert cli.parse(given).command == given[0]


def test_a_unit_of_a_layer_with_a_slash_in_its_name_is_found(tmp_path: Path) -> None:
    definition, weights = write_network(tmp_path, "googlenet", googlenet(16))
    seen = loaders.network(f"caffe:{definition},{weights}")
    assert Unit(seen, "inception_3a/output:2@centre")(torch.rand(2, 3, 256, 256)).shape == (2,)


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish\n", ["tench, Tinca tinca", "goldfish"]),
        ("/a/abbey 0\n/a/airport_terminal 1\n", ["/a/abbey", "/a/airport_terminal"]),
        ("cat\nhot dog\n", ["cat", "hot dog"]),
    ],
)
def test_lists_of_names_are_read_in_their_published_forms(lines: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(lines)
    assert class_names(tmp_path / "names.txt", 2) == names
    assert class_names(None, 2) == ["0", "1"]


def test_bounds_have_the_shape_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "pool5.txt").write_text("1 2\n3 4\n")
    assert code_of((2, 1, 2), tmp_path / "pool5.txt").high.tolist() == [[[1, 2]], [[3, 4]]]
    (tmp_path / "pool5.txt").write_text("1 -2\n3 4\n")
    with pytest.raises(ValueError, match="numbers below 0"):
        code_of((4,), tmp_path / "pool5.txt")


def seen_network(shelf: Path) -> Any:
    return loaders.network(f"caffe:{shelf}/caffenet.prototxt,{shelf}/caffenet.caffemodel")


def test_a_named_network_gives_scores_before_the_softmax_of_the_centre(shelf: Path) -> None:
    picture = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    expected = whole_caffenet(command(shelf)[5:7]).blobs(255 * picture[:, [2, 1, 0], 14:241, 14:241] - MEAN.reshape(1, 3, 1, 1))
    assert_same(seen_network(shelf)(picture), expected["fc8"])


def test_a_logarithm_behind_the_softmax_is_left_out_too(shelf: Path, here: Path) -> None:
    """The definition released with PPGN ends in one."""
    tail = 'layer { name: "log" type: "Log" bottom: "prob" top: "log" }'
    (here / "log.prototxt").write_text((shelf / "caffenet.prototxt").read_text() + tail)
    found = loaders.network(f"caffe:{here}/log.prototxt,{shelf}/caffenet.caffemodel")
    picture = torch.rand(1, 3, 256, 256)
    assert torch.equal(found(picture), seen_network(shelf)(picture))


def test_a_named_network_takes_pictures_of_any_size(shelf: Path) -> None:
    assert seen_network(shelf)(torch.rand(2, 3, 64, 64)).shape == (2, CLASSES)


def test_its_layers_are_listed_without_weights(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", f"caffe:{shelf}/caffenet.prototxt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["conv1", "Convolution"]
    assert lines[-1].split()[0] == "fc8"


GREY = """
input: "data" input_shape { dim: 1 dim: 1 dim: 28 dim: 28 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv1" top: "ip" inner_product_param { num_output: COUNT } }
layer { name: "best" type: "ArgMax" bottom: "ip" top: "best" }
"""


@pytest.mark.parametrize("count", [10, 2**32 - 1])
def test_layers_of_a_grey_network_are_listed_and_take_no_memory_however_many_outputs_it_claims(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lenet.prototxt"
    file.write_text(GREY.replace("COUNT", str(count)))
    assert cli.main(["layers", f"caffe:{file}"]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["conv1", "Convolution", "4"],
        ["ip", "InnerProduct", str(count)],
    ]


def test_a_grey_network_says_what_it_needs_beside_a_bundle_of_colour_pictures(
    shelf: Path, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    definition, weights = write_network(tmp_path, "grey", GREY.replace("COUNT", "10"))
    plugged = ["sample", "original", "--network", f"caffe:{definition},{weights}", "--class", "3", "--count", "1", "--steps", "2"]
    assert cli.main(plugged) == 2
    assert "mean and std of its input, expected those that it was trained on" in capsys.readouterr().err
    assert cli.main([*plugged, "--mean", "0", "--std", "1"]) == 2
    assert "the network takes 1 channels, original makes images of 3" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [["--class", "3"], ["--unit", "conv5:3@centre"]])
def test_a_named_network_steers_a_bundle(asked: list[str], shelf: Path, here: Path) -> None:
    network = f"caffe:{shelf}/caffenet.prototxt,{shelf}/caffenet.caffemodel"
    assert cli.main(["sample", "original", "--network", network, *asked, "--count", "1", "--steps", "2", "--out", "a.png"]) == 0


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        (
            "caffe:{0}/caffenet.prototxt",
            None,
            "behind a comma, got none: write caffe:NET.prototxt,NET.caffemodel$",
        ),
        ("caffe:{0}/caffenet.prototxt,{0}/caffenet.caffemodel", "x.pth", "got weights=x.pth"),
        ("caffe:{0}/caffenet.prototxt,{0}/generator.caffemodel", None, "generator.caffemodel: layer 'conv1' got no blobs"),
        ("caffe:{0}/generator.prototxt,{0}/generator.caffemodel", None, "expected one picture of three channels or one"),
        ("caffe:{0}/none.prototxt,{0}/none.caffemodel", None, "none.prototxt: cannot be read"),
    ],
)
def test_a_named_network_that_cannot_be_is_one_sentence(name: str, weights: str | None, said: str, shelf: Path) -> None:
    with pytest.raises(ValueError, match=said):
        loaders.network(name.format(shelf), weights)
