"""`ppgn inpaint`: which pixels change, that seeds differ, and that mistakes are sentences."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_bundle
from PIL import Image

from ppgn import cli, images, recipes, requests, sampling
from ppgn.bundle import load_bundle
from ppgn.images import composite, seamless
from ppgn.sampling import INPAINTING

WIDE = """
import torch
import ppgn

def make():
    torch.manual_seed(0)
    paint, read = torch.nn.Linear(6, 3 * 16 * 32), torch.nn.Linear(3 * 16 * 32, 6)
    generator = torch.nn.Sequential(paint, torch.nn.Sigmoid(), torch.nn.Unflatten(1, (3, 16, 32)))
    return ppgn.Bundle.of(generator, (6,), name="wide", encoder=torch.nn.Sequential(torch.nn.Flatten(), read))
"""


@pytest.fixture
def folder(folder: Path) -> Path:
    images.save_image(scene(), "scene.png")
    return folder


def scene(seed: int = 0) -> torch.Tensor:
    """A grey picture `[1, 8, 8]` whose values an 8-bit file keeps."""
    levels = torch.randint(40, 216, (1, 8, 8), generator=torch.Generator().manual_seed(seed))
    return levels.float() / 255


def inpaint(*arguments: str) -> int:
    return cli.main(["inpaint", "tiny", "scene.png", "--steps", "3", *arguments])


def read(path: Path) -> torch.Tensor:
    return images.load_image(path, channels=1)


def test_a_box_is_filled_and_all_else_is_the_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inpaint("--box", "2,3,4,2", "--count", "2", "--seed", "5", "--out", "row.png", "--save-images", "each") == 0
    hole = images.box_mask("2,3,4,2", 8) == 0
    for seed in (5, 6):
        filling = read(folder / "each" / f"filled_{seed}.png")
        assert torch.equal(filling[~hole], scene()[~hole])
        assert not torch.equal(filling[hole], scene()[hole])
    assert torch.equal(read(folder / "each" / "mask.png") > 0.5, hole)
    assert torch.equal(read(folder / "each" / "picture.png"), scene())
    told = json.loads((folder / "each" / "inpaint.json").read_text())
    assert [row["seed"] for row in told["fillings"]] == [5, 6]
    assert told["recipe"]["steps"] == 3
    row = Image.open(folder / "row.png")
    assert row.width > 4 * 160 and row.height > 160  # picture, hole and two fillings, labelled below
    assert "row.png" in capsys.readouterr().out


def test_the_row_shows_the_picture_then_the_hole_in_grey_then_the_fillings(folder: Path) -> None:
    assert inpaint("--box", "2,3,4,2", "--count", "1", "--save-images", "each") == 0
    row = np.asarray(Image.open(folder / "filled.png"))
    side, gap = 160, images.GAP
    tiles = [row[gap : gap + side, left : left + side] for left in (gap + index * (side + gap) for index in range(3))]
    shown = images.grid([scene(), torch.where(images.box_mask("2,3,4,2", 8) > 0, scene(), 0.5)], columns=2)
    for index in range(2):
        left = gap + index * (side + gap)
        assert np.array_equal(tiles[index], np.asarray(shown)[gap : gap + side, left : left + side])
    single = images.grid([read(folder / "each" / "filled_0.png")])
    assert np.array_equal(tiles[2], np.asarray(single)[gap : gap + side, gap : gap + side])


def test_seeds_fill_one_picture_differently_and_without_noise_alike(folder: Path) -> None:
    for noise, differ in (("0.5", True), ("0", False)):
        given = ("--box", "2,3,4,4", "--count", "2", "--start-noise", noise, "--texture", "1", "--save-images", noise)
        assert inpaint(*given) == 0
        pair = [(folder / noise / f"filled_{seed}.png").read_bytes() for seed in (0, 1)]
        assert (pair[0] != pair[1]) == differ


def test_the_same_seed_writes_the_same_bytes_and_another_batch_size_the_same_pictures(folder: Path) -> None:
    for name, batch in (("a", "32"), ("b", "32"), ("c", "1")):
        assert inpaint("--hole", "4", "--count", "2", "--seed", "3", "--batch", batch, "--out", f"{name}.png") == 0
    one, two, three = (np.asarray(Image.open(folder / f"{name}.png")).astype(int) for name in "abc")
    assert np.array_equal(one, two)
    assert np.abs(one - three).max() <= 1


def test_a_hole_is_at_the_place_that_its_seed_draws_and_has_28_of_64_of_the_side_by_default(folder: Path) -> None:
    assert inpaint("--seed", "3", "--count", "1", "--save-images", "each") == 0
    known = read(folder / "each" / "mask.png") < 0.5
    assert torch.equal(known.float(), images.random_mask(4, 8, 3))  # 8 * 28 / 64, rounded half to even


def test_a_mask_file_says_where_to_fill(folder: Path) -> None:
    drawn = torch.zeros(1, 8, 8)
    drawn[0, 1, 1] = drawn[0, 6, 2:5] = 1
    images.save_image(drawn, "drawn.png")
    assert inpaint("--mask", "drawn.png", "--count", "1", "--save-images", "each") == 0
    changed = read(folder / "each" / "filled_0.png") != scene()
    assert not bool((changed & (drawn == 0)).any()) and bool(changed[drawn == 1].any())


def test_a_class_is_asked_for_and_its_log_probability_is_written(folder: Path) -> None:
    assert inpaint("--box", "2,3,4,2", "--class", "ball", "--count", "2", "--save-images", "each") == 0
    told = json.loads((folder / "each" / "inpaint.json").read_text())
    assert told["condition"]["kind"] == "class"
    assert [row["class"] for row in told["fillings"]] == ["golf ball", "golf ball"]
    assert all(row["log_probability"] < 0 for row in told["fillings"])


def test_a_unit_is_asked_for_by_the_recipe_that_flags_change(folder: Path) -> None:
    given = ("--box", "2,3,4,2", "--unit", "fc7:3", "--count", "1", "--sampler", "langevin", "--condition-scale", "2")
    assert inpaint(*given, "--save-images", "each") == 0
    told = json.loads((folder / "each" / "inpaint.json").read_text())
    assert told["recipe"]["sampler"] == {
        "name": "langevin", "prior_scale": 0.5, "condition_scale": 2.0, "noise_scale": 0.0, "condition_limit": 0.0
    }  # fmt: skip
    assert told["fillings"][0]["unit"] == "fc7:3"
    expected = sampling.in_paint(
        load_bundle("tiny"),
        scene(),
        images.box_mask("2,3,4,2", 8),
        requests.parse(load_bundle("tiny"), unit="fc7:3"),
        steps=3,
        sampler="langevin",
        condition_scale=2.0,
        start_noise=0.3,
    )
    found = told["fillings"][0]["activation"]
    assert found == pytest.approx(float(expected.samples.log_prob[0]), rel=1e-5)


def test_a_picture_that_is_no_square_is_filled_at_the_bundles_height_and_width(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "wide.py").write_text(WIDE)
    monkeypatch.syspath_prepend(str(folder))
    images.save_image(torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(1)), "large.png")
    given = ["--steps", "2", "--count", "1", "--prior", "none", "--save-images", "each"]
    assert cli.main(["inpaint", "wide:make", "large.png", *given]) == 0
    filling = images.load_image(folder / "each" / "filled_0.png")
    assert filling.shape == (3, 16, 32)
    known = read(folder / "each" / "mask.png") < 0.5
    assert torch.equal(known.float(), images.random_mask(7, (16, 32), 0))  # 28/64 of the smaller side
    expected = images.load_image("large.png", (16, 32))
    torch.testing.assert_close(filling[:, known[0]], expected[:, known[0]], rtol=0, atol=0.6 / 255)


def test_without_blending_the_hole_shows_the_generators_own_colours(folder: Path) -> None:
    given = ("--box", "2,3,4,2", "--count", "1", "--start-noise", "0.3")
    for name, more in (("raw", ["--no-blend"]), ("blended", [])):
        assert inpaint(*given, *more, "--save-images", name) == 0
    known = images.box_mask("2,3,4,2", 8)
    filled = sampling.in_paint(tiny_bundle(), scene(), known, steps=3, start_noise=0.3)
    expected = {"raw": filled.images, "blended": filled.blended()}
    for name, picture in expected.items():
        torch.testing.assert_close(read(folder / name / "filled_0.png"), picture[0], rtol=0, atol=0.6 / 255)
    assert float((expected["raw"] - expected["blended"]).abs().max()) > 0.02


def test_a_larger_picture_is_resized_to_the_bundle_and_its_centre_kept(folder: Path) -> None:
    large = torch.nn.functional.pad(scene().repeat_interleave(4, 1).repeat_interleave(4, 2), (8, 8))
    images.save_image(large, "large.png")
    arguments = ["inpaint", "tiny", "large.png", "--box", "0,0,2,2", "--steps", "1", "--count", "1", "--save-images", "each"]
    assert cli.main(arguments) == 0
    filling = read(folder / "each" / "filled_0.png")
    expected = images.load_image("large.png", 8, 1)
    torch.testing.assert_close(filling[:, 2:, 2:], expected[:, 2:, 2:], rtol=0, atol=0.6 / 255)


def test_a_white_picture_that_scaling_rounds_above_1_is_filled(folder: Path) -> None:
    images.save_image(torch.ones(1, 23, 23), "white.png")
    assert float(images.resize(torch.ones(1, 1, 23, 23), 8).max()) > 1
    assert cli.main(["inpaint", "tiny", "white.png", "--steps", "1", "--count", "1"]) == 0


def no_picture(folder: Path) -> None:
    (folder / "scene.png").write_text("no picture")


def small_mask(folder: Path) -> None:
    Image.new("L", (7, 8), "white").save(folder / "mask.png")


def white_mask(folder: Path) -> None:
    Image.new("L", (8, 8), "white").save(folder / "mask.png")


def black_mask(folder: Path) -> None:
    Image.new("L", (8, 8), "black").save(folder / "mask.png")


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        (None, ["--box", "6,0,4,4"], "expected x within 0 to 8"),
        (None, ["--box", "1,2,3"], "four whole numbers"),
        (None, ["--hole", "9"], "at most the picture's 8x8"),
        (None, ["--hole", "8"], "some that are known"),
        (None, ["--hole", "0"], "at least 1"),
        (small_mask, ["--mask", "mask.png"], "7x8 pixels"),
        (white_mask, ["--mask", "mask.png"], "some that are known"),
        (black_mask, ["--mask", "mask.png"], "no hole"),
        (None, ["--mask", "nowhere.png"], "no picture nowhere.png"),
        (no_picture, [], "cannot read scene.png as a picture"),
        (None, ["--box", "0,0,2,2", "--hole", "3"], "got --box and --hole, expected one of them"),
        (None, ["--box", "0,0,2,2", "--mask", "m.png", "--hole", "3"], "--box and --mask and --hole"),
        (None, ["--class", "whale"], "no class 'whale'"),
        (None, ["--count", "0"], "--count 0"),
        (None, ["--batch", "0"], "--batch 0"),
        (None, ["--steps", "0"], "at least 1"),
        (None, ["--seed", "-1"], "seed"),
        (None, ["--class", "all"], "got 4 targets"),
        (None, ["--class", "0", "--sampler", "ascent", "--momentum", "0.9"], "got --momentum 0.9, which the sampler ascent"),
        (None, ["--start-noise", "-1"], "got --start-noise -1.0"),
        (None, ["--start-noise", "nan"], "got --start-noise nan"),
        (None, ["--context-scale", "-1"], "got --context-scale -1.0"),
        (None, ["--device", "quantum"], "cpu"),
        (None, ["--out", "nowhere/x.png"], "nowhere"),
        (None, ["--out", "x.doc"], "extension"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2_and_leaves_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], spoil, arguments: list[str], said: str
) -> None:
    if spoil is not None:
        spoil(folder)
    before = sorted(os.listdir(folder))
    assert inpaint("--save-images", "each", *arguments) == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith("ppgn: error: ") and said in printed
    assert sorted(os.listdir(folder)) == before


def test_help_explains_the_noise_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["inpaint", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "all alike" in shown and "ppgn inpaint imagenette64 photo.jpg --box" in shown


def test_a_seamless_filling_of_an_image_that_is_off_by_a_plane_is_the_picture() -> None:
    row, column = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    picture = 0.3 + 0.04 * torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    plane = 0.2 + 0.02 * row - 0.01 * column  # harmonic, so it is all that blending takes away
    known = images.box_mask("2,3,4,5", 9)
    torch.testing.assert_close(seamless(picture + plane, picture, known), picture, rtol=0, atol=1e-4)


def test_a_seamless_filling_keeps_the_known_pixels_exactly_and_the_images_laplacian_in_the_hole() -> None:
    draw = torch.Generator().manual_seed(2)
    image, picture = (0.4 + 0.2 * torch.rand(2, 1, 12, 12, generator=draw) for _ in range(2))
    known = images.box_mask("3,4,5,6", 12)
    made = seamless(image, picture, known)
    assert torch.equal(made * known, picture * known)
    kernel = torch.tensor([[[[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]]])
    laplacian = [torch.nn.functional.conv2d(each, kernel, padding=1) * (1 - known) for each in (made, image)]
    torch.testing.assert_close(*laplacian, rtol=0, atol=1e-4)


def test_a_seamless_filling_at_the_edge_or_of_the_whole_picture_is_finite_and_keeps_what_nothing_corrects() -> None:
    image = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    corner = seamless(image, torch.full((1, 6, 6), 0.5), images.box_mask("0,0,6,5", 6))
    assert bool(corner.isfinite().all()) and bool((corner[..., 5, :] == 0.5).all())
    assert torch.equal(seamless(image, torch.zeros(1, 6, 6), torch.zeros(1, 6, 6)), image)


def test_each_of_several_pictures_is_filled_as_alone() -> None:
    bundle, pictures = tiny_bundle(), torch.stack([scene(seed) for seed in range(3)])
    known = torch.stack([images.random_mask(4, 8, seed) for seed in range(3)])
    together = sampling.in_paint(bundle, pictures, known, [0, 1, 2], steps=3, start_noise=0.2, batch=2)
    for chain in range(3):
        alone = sampling.in_paint(bundle, pictures[chain], known[chain], [chain], seed=chain, steps=3, start_noise=0.2)
        torch.testing.assert_close(together.images[chain], alone.images[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(together.blended()[chain], alone.blended()[0], rtol=0, atol=1e-4)
    assert torch.equal(together.images, composite(together.samples.images, pictures, known))


def test_several_pictures_want_as_many_chains() -> None:
    with pytest.raises(ValueError, match="got 3 pictures for 2 chains"):
        sampling.in_paint(tiny_bundle(), scene().expand(3, 1, 8, 8), images.box_mask("0,0,2,2", 8), count=2)


def test_the_settings_of_in_painting_give_way_to_a_recipe_and_to_changes() -> None:
    bundle = tiny_bundle()
    filled = sampling.in_paint(bundle, scene(), images.box_mask("0,0,2,2", 8), steps=2, step_size=0.7)
    assert filled.samples.recipe == recipes.recipe_for(bundle, **INPAINTING).changed(steps=2, step_size=0.7)
    named_alike = sampling.in_paint(bundle, scene(), images.box_mask("0,0,2,2", 8), steps=2, step_size=0.7, sampler="released")
    assert named_alike.samples.recipe == filled.samples.recipe  # its own sampler by name changes nothing
    named = sampling.in_paint(bundle, scene(), images.box_mask("0,0,2,2", 8), steps=2, recipe="ppgn_h_released")
    assert named.samples.recipe == recipes.recipe_for(bundle, "class", "ppgn_h_released", steps=2)


def test_less_texture_lies_between_smooth_colours_and_the_sample() -> None:
    picture, known = scene(), images.box_mask("1,1,5,5", 8)
    made = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 0.3 + 0.35  # so that nothing is clipped
    smooth, half, full = (seamless(made, picture * 0.3 + 0.35, known, texture) for texture in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half, (smooth + full) / 2, rtol=0, atol=1e-4)
    filled = sampling.in_paint(tiny_bundle(), picture, known, steps=1)
    torch.testing.assert_close(filled.blended(0.5), filled.blended())
    with pytest.raises(ValueError, match="got texture 2, expected it in"):
        filled.blended(2)
