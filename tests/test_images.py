"""Pixels keep their values on the way to a file and back; every user's mistake gets a sentence."""

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from ppgn import images, recipes
from training import read_picture


def ramp(channels: int = 3, size: int = 4) -> torch.Tensor:
    """Values k / 255, exact in 8 bits."""
    return torch.arange(channels * size * size).reshape(channels, size, size) / 255


def raise_half_way(temporary: Path) -> None:
    temporary.write_bytes(b"half")
    raise RuntimeError("interrupted")


@pytest.mark.parametrize("channels", [1, 3])
def test_eight_bit_values_survive_a_png_exactly(tmp_path: Path, channels: int) -> None:
    images.save_image(ramp(channels), tmp_path / "a.png")
    assert torch.equal(images.load_image(tmp_path / "a.png", channels=channels), ramp(channels))


def test_sixteen_bit_grey_keeps_its_depth(tmp_path: Path) -> None:
    Image.fromarray(np.array([[1, 40000]], dtype=np.uint16)).save(tmp_path / "deep.png")
    loaded = images.load_image(tmp_path / "deep.png", channels=1)
    assert torch.allclose(loaded, torch.tensor([[[1 / 65535, 40000 / 65535]]]), rtol=1e-6)
    assert images.load_image(tmp_path / "deep.png").shape == (3, 1, 2)


def test_transparent_pixels_are_read_as_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert torch.equal(images.load_image(tmp_path / "clear.png"), torch.ones(3, 2, 2))


def test_load_image_keeps_the_centre_square(tmp_path: Path) -> None:
    wide = torch.zeros(3, 4, 12)
    wide[:, :, 4:8] = ramp()
    images.save_image(wide, tmp_path / "wide.png")
    assert torch.equal(images.load_image(tmp_path / "wide.png", size=4), ramp())
    assert images.load_image(tmp_path / "wide.png", size=7).shape == (3, 7, 7)


@pytest.mark.parametrize(("file", "size"), [((48, 16), (24, 8)), ((8, 24), (8, 12)), ((30, 10), (48, 80)), ((48, 80), (48, 80))])
def test_a_picture_is_scaled_to_cover_a_size_of_another_shape_and_its_centre_is_kept(
    tmp_path: Path, file: tuple[int, int], size: tuple[int, int]
) -> None:
    across, down = torch.linspace(0, 1, file[1]).expand(file), torch.linspace(0, 1, file[0])[:, None].expand(file)
    images.save_image(torch.stack([across, down, torch.full(file, 0.5)]), tmp_path / "ramps.png")
    loaded = images.load_image(tmp_path / "ramps.png", size)
    assert loaded.shape == (3, *size)
    turned = (loaded[:2] + loaded[:2].flip((1, 2))) / 2  # a ramp and its turned copy: their mean is grey at the centre alone
    torch.testing.assert_close(turned, torch.full_like(turned, 0.5), atol=0.01, rtol=0)
    scale = max(wanted / side for wanted, side in zip(size, file, strict=True))
    for ramp_of, axis, side in ((0, -1, file[1]), (1, -2, file[0])):
        step = loaded[ramp_of].diff(dim=axis).median()
        assert float(step) == pytest.approx(1 / (scale * (side - 1)), rel=0.15)  # the same scale along both axes


@pytest.mark.parametrize(
    ("size", "wanted", "covering"), [((10, 20), (5, 5), (5, 10)), ((10, 20), (30, 5), (30, 60)), ((3, 3), (48, 80), (80, 80))]
)
def test_a_covering_size_keeps_the_shape_and_touches_the_wanted_size(
    size: tuple[int, int], wanted: tuple[int, int], covering: tuple[int, int]
) -> None:
    assert images.covering_size(size, wanted) == covering


def test_values_outside_the_unit_range_are_clipped() -> None:
    picture = images.to_pil(torch.tensor([[[-1.0, 2.0]]]))
    assert (picture.getpixel((0, 0)), picture.getpixel((1, 0))) == (0, 255)


@pytest.mark.parametrize("image", [torch.zeros(2, 4, 4), torch.zeros(1, 3, 4, 4), torch.full((3, 2, 2), torch.nan)])
def test_to_pil_refuses_what_is_not_a_picture(image: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="a picture needs"):
        images.to_pil(image)


def test_halving_a_constant_pair_pattern_averages_it_and_passes_gradients() -> None:
    pattern = torch.tensor([1.0, 3.0]).repeat(1, 1, 4, 2).requires_grad_()
    small = images.resize(pattern, 2)
    assert small.shape == (1, 1, 2, 2) and abs(float(small.detach().mean()) - 2) < 1e-6
    assert abs(float(torch.autograd.grad(small.sum(), pattern)[0].sum()) - 4) < 1e-6
    assert images.resize(pattern, 4) is pattern


@pytest.mark.parametrize(("shape", "size"), [((3, 4, 4), 2), ((1, 3, 4, 4), 0)])
def test_resize_refuses_a_missing_axis_and_an_empty_size(shape: tuple[int, ...], size: int) -> None:
    with pytest.raises(ValueError, match="resize got"):
        images.resize(torch.zeros(shape), size)


def test_normalise_takes_mean_and_std_in_the_order_of_the_network() -> None:
    red_green_blue = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64).reshape(1, 3, 1, 1)
    plain = images.normalise(red_green_blue, [0.1, 0.1, 0.1], 0.5)
    reversed_channels = images.normalise(red_green_blue, [0.3, 0.0, 0.0], [1.0, 1.0, 0.1], bgr=True)
    assert torch.allclose(plain.flatten(), torch.tensor([0.0, 0.2, 0.4], dtype=torch.float64))
    assert torch.allclose(reversed_channels.flatten(), torch.tensor([0.0, 0.2, 1.0], dtype=torch.float64))


@pytest.mark.parametrize(("mean", "std", "message"), [([0, 0], 1, "got 2 values for 3 channels"), (0, 0, "a positive std")])
def test_normalise_refuses_wrong_counts_and_zero_std(mean: list[float], std: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        images.normalise(torch.zeros(1, 3, 2, 2), mean, std)


def test_a_grid_puts_each_enlarged_tile_in_its_place() -> None:
    tiles = torch.rand(5, 3, 8, 8)
    picture = np.asarray(images.grid(tiles, columns=3, scale=2, resample="nearest"))
    assert picture.shape == (2 * 16 + 3 * images.GAP, 3 * 16 + 4 * images.GAP, 3)
    top, left = 16 + 2 * images.GAP, 16 + 2 * images.GAP  # the fifth tile: second row, second column
    expected = np.asarray(images.to_pil(tiles[4])).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(picture[top : top + 16, left : left + 16], expected)


def test_a_grid_and_a_sheet_take_pictures_that_are_not_square() -> None:
    picture = images.grid(torch.rand(3, 3, 48, 80), columns=2)
    assert picture.size == (2 * 160 + 3 * images.GAP, 2 * 96 + 3 * images.GAP)  # twice as large
    assert images.sheet([picture, picture]).size == (2 * picture.width + 3 * images.GAP, picture.height + 2 * images.GAP)


def test_labels_are_drawn_under_tiles_and_inside_their_width() -> None:
    plain = images.grid(torch.ones(2, 1, 64, 64), columns=2)
    labelled = images.grid(torch.ones(2, 1, 64, 64), ["", "a label much wider than its tile " + "w" * 90], columns=2)
    ink = np.argwhere(np.asarray(labelled) < 128)
    assert labelled.mode == "L" and labelled.width == plain.width == 2 * 192 + 3 * images.GAP
    assert len(ink) > 100 and ink[:, 0].min() >= 192 + images.GAP and ink[:, 0].max() < labelled.height - images.GAP
    assert ink[:, 1].min() >= 192 + 2 * images.GAP - 1 and ink[:, 1].max() < labelled.width - images.GAP + 1


@pytest.mark.parametrize(
    ("count", "settings"),
    [(0, {}), (2, {"labels": ["one"]}), (2, {"columns": 0}), (2, {"scale": 0}), (2, {"resample": "magic"})],
)
def test_a_grid_refuses_wrong_settings(count: int, settings: dict) -> None:
    with pytest.raises(ValueError, match="a grid needs"):
        images.grid(torch.zeros(count, 3, 4, 4), **settings)


def test_an_interrupted_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="interrupted"):
        images.write_atomically(path, raise_half_way)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_format_that_refuses_the_picture_is_a_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg"):
        images.save_image(Image.new("RGBA", (2, 2)), tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    images.save_image(ramp(), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.xyz", "unknown extension"), ("a", "unknown extension"), ("no/a.png", "no folder"), ("f.png", "is a folder")],
)
def test_check_writable_says_what_is_wrong_before_a_run(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "f.png").mkdir()
    with pytest.raises(ValueError, match=message):
        images.check_writable(tmp_path / name)


def test_check_writable_accepts_good_names_and_makes_no_file(tmp_path: Path) -> None:
    images.check_writable(tmp_path / "a.PNG")
    images.check_writable(tmp_path / "a.json", [".json"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write to")
def test_a_folder_that_refuses_files_is_named() -> None:
    with pytest.raises(ValueError, match="/proc is not writable"):
        images.check_writable("/proc/a.png")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_broken_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*broken\.png"):
        images.load_image(tmp_path / "broken.png")


def test_a_truncated_picture_and_a_missing_one_are_named(tmp_path: Path) -> None:
    images.save_image(torch.rand(3, 64, 64), tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cannot read .*cut\.png"):
        images.load_image(tmp_path / "cut.png")
    with pytest.raises(ValueError, match=r"there is no picture .*none\.png"):
        images.load_image(tmp_path / "none.png")


@pytest.mark.parametrize("settings", [{"channels": 2}, {"size": 0}, {"size": (4, 0)}, {"size": (4, 4, 4)}])
def test_load_image_refuses_wrong_settings(tmp_path: Path, settings: dict) -> None:
    images.save_image(ramp(), tmp_path / "a.png")
    with pytest.raises(ValueError, match="load_image got"):
        images.load_image(tmp_path / "a.png", **settings)


def test_what_a_killed_process_left_is_taken_away_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    old, new, room = (images.temporary_beside(tmp_path / name) for name in ("a.png", "b.png", "bundle"))
    room.mkdir()
    for place in (old, new, room / "weights"):
        place.write_text("unfinished")
    hours_ago = time.time() - 2 * 3600
    for place in (old, room):
        os.utime(place, (hours_ago, hours_ago))
    code = "import sys, pathlib; from ppgn.images import write_atomically; "
    code += "write_atomically(pathlib.Path(sys.argv[1]), lambda place: place.write_text('whole'))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "c.txt")], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, "c.txt"])


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe with the name of a picture, into which nobody writes."""
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


@pytest.mark.parametrize(
    "read",
    [
        images.load_image,
        lambda path: images.file_mask(path, 8),
        recipes.read_recipe,
        read_picture,
        lambda path: images.load_image("/dev/zero"),
    ],
)
def test_a_pipe_or_a_device_is_refused_and_nobody_waits_for_it(pipe: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ValueError, match="is a pipe or a device, expected a file"):
        read(pipe)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_a_broken_avif_is_named(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / "whole.avif")
    whole = (tmp_path / "whole.avif").read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        (tmp_path / "broken.avif").write_bytes(whole[:place] + bytes(64) + whole[place + 64 :])
        with contextlib.suppress(ValueError):
            images.load_image(tmp_path / "broken.avif")
    (tmp_path / "broken.avif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot read .*broken.avif as a picture"):
        images.load_image(tmp_path / "broken.avif")


@pytest.mark.parametrize("read", [images.load_image, read_picture])
def test_a_few_bytes_that_stand_for_millions_of_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (13000, 13600)).save(tmp_path / "bits.png")
    assert (tmp_path / "bits.png").stat().st_size < 30_000
    with pytest.raises(ValueError, match="13000x13600 pixels, expected at most 67108864: .* PPGN_MOST_VALUES=176800000"):
        read(tmp_path / "bits.png")
    Image.new("1", (20, 30)).save(tmp_path / "bits.png")
    read(tmp_path / "bits.png")
    monkeypatch.setenv("PPGN_MOST_VALUES", "599")
    with pytest.raises(ValueError, match="20x30 pixels, expected at most 599"):
        read(tmp_path / "bits.png")


@pytest.mark.parametrize("turned", [False, True])
def test_a_line_of_pixels_is_cropped_before_it_is_enlarged(tmp_path: Path, turned: bool) -> None:
    column = torch.zeros(1, 65000, 1)
    column[:, 32499:32501] = 1.0
    images.save_image(column.transpose(1, 2) if turned else column, tmp_path / "line.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = images.load_image(tmp_path / "line.png", (64, 64), 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB; whole it takes 1 GB
    assert loaded.shape == (1, 64, 64) and float(loaded.min()) == 1.0
