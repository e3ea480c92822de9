"""Videos of a chain: what was put in comes out, and nothing is left behind when it does not."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from ppgn.images import check_video, grid, save_video

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (10, 20, 30)]


def make_frames(height: int = 32, width: int = 48) -> list[torch.Tensor]:
    return [(torch.tensor(colour) / 255)[:, None, None].expand(3, height, width) for colour in COLOURS]


def read_gif(path: Path) -> tuple[list[np.ndarray], dict]:
    frames, durations = [], []
    with Pillow.open(path) as opened:
        for index in range(getattr(opened, "n_frames", 1)):
            opened.seek(index)
            frames.append(np.asarray(opened.convert("RGB")))
            durations.append(opened.info["duration"])
        return frames, {"durations": durations, "loop": opened.info.get("loop")}


def read_mp4(path: Path) -> tuple[list[np.ndarray], float]:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return frames, float(container.streams.video[0].average_rate)


def test_a_gif_gives_its_frames_back_in_order_at_their_speed_for_ever(tmp_path):
    save_video(iter(make_frames()), tmp_path / "chain.gif", frames_per_second=5)
    frames, info = read_gif(tmp_path / "chain.gif")
    assert [tuple(frame[0, 0]) for frame in frames] == COLOURS
    assert frames[0].shape == (32, 48, 3)
    assert info == {"durations": [200] * 5, "loop": 0}


def test_a_gif_that_does_not_repeat_says_so(tmp_path):
    save_video(make_frames(), tmp_path / "chain.gif", repeat=False)
    assert read_gif(tmp_path / "chain.gif")[1]["loop"] is None


def test_a_gif_of_natural_colours_stays_close_to_its_frames(tmp_path):
    ramp = torch.linspace(0, 1, 64)
    frame = torch.stack([ramp[:, None].expand(64, 64), ramp.expand(64, 64), ramp.flip(0).expand(64, 64)])
    save_video([frame, frame.flip(1)], tmp_path / "ramp.gif")
    back = read_gif(tmp_path / "ramp.gif")[0]
    for got, expected in zip(back, (frame, frame.flip(1)), strict=True):
        assert np.abs(got / 255 - expected.permute(1, 2, 0).numpy()).mean() < 0.03


def test_labelled_grids_of_grey_chains_are_frames(tmp_path):
    pictures = [grid(torch.full((4, 1, 16, 16), value), [f"step {value:.1f}"] * 4) for value in (0.0, 0.5, 1.0)]
    save_video(pictures, tmp_path / "chain.gif")
    frames, _ = read_gif(tmp_path / "chain.gif")
    assert len(frames) == 3
    assert all(np.array_equal(frame, np.asarray(one.convert("RGB"))) for frame, one in zip(frames, pictures, strict=True))


@pytest.mark.parametrize("size", [(32, 48), (31, 47)])
def test_an_mp4_gives_its_frames_back_in_order_at_their_speed(tmp_path, size):
    pytest.importorskip("av")
    save_video(iter(make_frames(*size)), tmp_path / "chain.mp4", frames_per_second=5)
    frames, rate = read_mp4(tmp_path / "chain.mp4")
    assert rate == pytest.approx(5)
    assert len(frames) == len(COLOURS) and frames[0].shape == (32, 48, 3)
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert np.abs(frame[4:20, 4:20].astype(int) - np.array(colour)).max() <= 6


def test_an_mp4_without_its_encoder_is_refused_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for call in (lambda path: check_video(path), lambda path: save_video(make_frames(), path)):
        with pytest.raises(ValueError, match=r"needs PyAV, which is not installed: `pip install av`, or write a \.gif"):
            call(tmp_path / "chain.mp4")
    check_video(tmp_path / "chain.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extension", ["gif", "mp4"])
def test_a_chain_that_breaks_while_it_is_filmed_leaves_the_old_video_and_nothing_else(tmp_path, extension):
    if extension == "mp4":
        pytest.importorskip("av")
    path = tmp_path / f"chain.{extension}"
    path.write_bytes(b"old")

    def breaking():
        yield from make_frames()
        raise ValueError("the code of chain 0 became infinite")

    with pytest.raises(ValueError, match="the code of chain 0 became infinite"):
        save_video(breaking(), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_video_of_no_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got no frames, expected at least one"):
        save_video([], tmp_path / "chain.gif")


def test_frames_of_two_sizes_are_refused_with_the_first_that_differs(tmp_path):
    with pytest.raises(ValueError, match=r"frame 2 of a video has size \(48, 33\), expected \(48, 32\)"):
        save_video([*make_frames()[:2], *make_frames(33)], tmp_path / "chain.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["chain.avi", "chain", "nowhere/chain.gif"])
def test_a_name_that_no_video_can_have_is_refused_before_a_frame_is_made(tmp_path, name):
    def untouched():
        raise AssertionError("a frame was made")
        yield

    with pytest.raises(ValueError, match="cannot write"):
        save_video(untouched(), tmp_path / name)


@pytest.mark.parametrize(
    ("name", "speed"),
    [("a.gif", 0), ("a.gif", 51), ("a.gif", float("nan")), ("a.mp4", -1), ("a.mp4", 1e9)]
    + [
        (f"a.{kind}", speed)
        for kind in ("gif", "mp4")
        for speed in (0.0, 0.0005, 1e-300, float("inf"), float("-inf"), float("nan"))
    ]
    + [("a.gif", 0.001)],
)
def test_a_speed_that_players_do_not_show_is_refused(tmp_path, name, speed):
    with pytest.raises(ValueError, match="frames per second, expected at least 0.001.* and at most"):
        check_video(tmp_path / name, speed)


@pytest.mark.parametrize(("speed", "duration"), [(0.0016, 625000), (0.00153, 653590), (1000 / 655350, 655350), (0.01, 100000)])
def test_the_slowest_gif_shows_its_frames_as_long_as_it_says(tmp_path, speed, duration):
    save_video(make_frames(), tmp_path / "chain.gif", frames_per_second=speed)
    assert read_gif(tmp_path / "chain.gif")[1]["durations"] == [duration] * len(COLOURS)


def test_the_slowest_mp4_keeps_its_speed(tmp_path):
    pytest.importorskip("av")
    save_video(make_frames(), tmp_path / "chain.mp4", frames_per_second=0.001)
    frames, speed = read_mp4(tmp_path / "chain.mp4")
    assert len(frames) == len(COLOURS) and speed == pytest.approx(0.001)


def test_a_picture_that_stays_longer_than_a_gif_can_say_is_written(tmp_path):
    first, *rest = make_frames()
    save_video([first, first, first, *rest], tmp_path / "chain.gif", frames_per_second=0.002)
    assert read_gif(tmp_path / "chain.gif")[1]["durations"] == [655350, *[500000] * len(rest)]
    save_video([first] * 3, tmp_path / "still.gif", frames_per_second=0.002)
    assert read_gif(tmp_path / "still.gif")[1]["durations"] == [655350]


@pytest.mark.parametrize(("extension", "side"), [("gif", 65536), ("mp4", 16386)])
def test_frames_that_are_too_large_are_refused_at_the_first_one(tmp_path, extension, side):
    def frames():
        yield torch.zeros(1, 2, side)
        raise AssertionError("a second frame was made")

    with pytest.raises(
        ValueError, match=rf"frames of {side}x2 pixels, expected at most {side - 1 if side > 60000 else side - 2} a side"
    ):
        save_video(frames(), tmp_path / f"chain.{extension}")
    assert list(tmp_path.iterdir()) == []
