"""Videos: the frames of a chain as a GIF, or as an MP4 where PyAV is installed (`pip install av`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image as Pillow
from torch import Tensor

from ppgn.errors import required
from ppgn.images.files import check_writable, write_atomically
from ppgn.images.pixels import to_pil

Frame: TypeAlias = Tensor | Pillow.Image
"""An image `[channel, height, width]` in [0, 1], or a Pillow picture such as `images.grid(images, labels)`."""
FASTEST = {".gif": 50.0, ".mp4": 240.0}
"""Extension -> highest frames per second; viewers slow down GIF frames that last less than 2/100 s."""
LONGEST = 655350
"""Most milliseconds of a GIF frame, which counts hundredths of a second in 16 bits."""
SLOWEST = {".gif": 1000 / LONGEST, ".mp4": 0.001}
"""Extension -> lowest frames per second; that of an MP4 is written as a fraction with at most 1000 below."""
LARGEST = {".gif": 65535, ".mp4": 16384}
"""Extension -> most pixels of a side: what 16 bits count, and what libx264 encodes."""
QUALITY = "18"
"""libx264's constant rate factor, 0 (lossless) to 51; about 18 looks lossless."""


def check_video(path: str | Path, frames_per_second: float = 10.0, size: tuple[int, int] | None = None) -> None:
    """Check before a long run that `save_video` can write this file at its end.

    size: (height, width) of a frame. Raises ValueError for an extension other than .gif and .mp4, for a folder that is missing or
    unwritable, for a speed below 0.0016 (.gif) or 0.001 (.mp4) or above 50 or 240, for frames that are larger than LARGEST, and
    for .mp4 without PyAV.
    """
    check_writable(path, FASTEST)
    extension = Path(path).suffix.lower()
    if not SLOWEST[extension] <= frames_per_second <= FASTEST[extension]:
        raise ValueError(
            f"a video got {frames_per_second} frames per second, expected at least {math.ceil(1e4 * SLOWEST[extension]) / 1e4:g} "
            f"and at most {FASTEST[extension]:g} for {extension}: pass 10 for a calm one"
        )
    if size is not None and max(size) > LARGEST[extension]:
        raise ValueError(
            f"cannot write {path}: frames of {size[1]}x{size[0]} pixels, expected at most {LARGEST[extension]} a side in "
            f"{extension}: ask for fewer chains"
        )
    if extension == ".mp4":
        _pyav()


def save_video(frames: Iterable[Frame], path: str | Path, *, frames_per_second: float = 10.0, repeat: bool = True) -> None:
    """Write frames of one size, as they come, to a .gif (256 colours per frame) or .mp4 (H.264), atomically.

    An MP4 is encoded frame by frame in constant memory. Its sides are even, so an odd height or width gets a white line.
    A GIF shows equal frames in a row as one, for at most LONGEST.
    repeat: whether a GIF starts again at its end; for an MP4 the player decides. An error while frames are made leaves no new
    file. Raises ValueError as `check_video` and `to_pil` do, for no frame, and for frames of different sizes.
    """
    check_video(path, frames_per_second)
    pictures = _pictures(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"cannot write {path}: a video got no frames, expected at least one: pass the frames of a chain")
    check_video(path, frames_per_second, (first.height, first.width))
    if Path(path).suffix.lower() == ".gif":
        write_atomically(path, lambda file: _write_gif(file, first, pictures, frames_per_second, repeat))
    else:
        write_atomically(path, lambda file: _write_mp4(file, first, pictures, frames_per_second))


def _pictures(frames: Iterable[Frame]) -> Iterator[Pillow.Image]:
    size = None
    for index, frame in enumerate(frames):
        picture = (to_pil(frame) if isinstance(frame, Tensor) else frame).convert("RGB")
        if size not in (None, picture.size):
            raise ValueError(f"frame {index} of a video has size {picture.size}, expected {size}: make all frames of one size")
        size = picture.size
        yield picture


def _write_gif(file: Path, first: Pillow.Image, rest: Iterator[Pillow.Image], speed: float, repeat: bool) -> None:
    # Pillow takes the number of repeats: 0 repeats for ever, and without a number a GIF plays once.
    again: dict[str, Any] = {"loop": 0} if repeat else {}
    # A GIF counts in hundredths of a second, Pillow in milliseconds. Pillow merges equal frames into a longer one.
    duration = _Milliseconds(min(10 * math.floor(100 / speed + 0.5), LONGEST))
    first.save(file, save_all=True, append_images=list(rest), duration=duration, **again)


class _Milliseconds(int):
    """The duration of a frame, to which Pillow adds those of equal frames: at most LONGEST."""

    def __add__(self, other: int) -> _Milliseconds:
        return _Milliseconds(min(int(self) + int(other), LONGEST))


def _write_mp4(file: Path, first: Pillow.Image, rest: Iterator[Pillow.Image], speed: float) -> None:
    av = _pyav()
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(speed).limit_denominator(1000), options={"crf": QUALITY})
        stream.width, stream.height = (side + side % 2 for side in first.size)
        stream.pix_fmt = "yuv420p"  # the only one that every player shows
        for picture in itertools.chain([first], rest):
            container.mux(stream.encode(av.VideoFrame.from_image(_even(picture))))
        container.mux(stream.encode())


def _even(picture: Pillow.Image) -> Pillow.Image:
    width, height = picture.size
    if width % 2 == height % 2 == 0:
        return picture
    canvas = Pillow.new("RGB", (width + width % 2, height + height % 2), "white")
    canvas.paste(picture)
    return canvas


def _pyav() -> Any:
    return required("av", "writing an .mp4 needs PyAV", "av", "write a .gif")
