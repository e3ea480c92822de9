"""Picture files: read to tensors, written atomically, and checked for before a long run."""

from __future__ import annotations

import math
import os
import struct
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps
from safetensors import SafetensorError
from torch import Tensor

from ppgn.errors import check_amount, printable
from ppgn.images.pixels import Size, cover, height_and_width, to_pil
from ppgn.images.temporary import temporary_beside

BROKEN_FILE = (
    OSError, SyntaxError, ArithmeticError, ValueError, LookupError, TypeError, RuntimeError, EOFError, struct.error,
    Pillow.DecompressionBombError,
)  # fmt: skip
"""Errors that Pillow and its decoders raise for a file that is no whole picture; the AVIF decoder's is a RuntimeError."""
TORCH_WRITER = "inline_container"
"""What the RuntimeError of torch.save names where a write came to nothing; it says nothing of the reason."""
ELONGATED = 16
"""From this many times the wanted ratio of its sides a picture is cropped before it is scaled, not after."""


UNBOUNDED = 2**31 - 1
LARGEST_SIDES = {
    ".png": UNBOUNDED, ".jpg": 65500, ".jpeg": 65500, ".jpe": 65500, ".jfif": 65500, ".webp": 16383, ".gif": 65535,
    ".bmp": UNBOUNDED, ".tif": UNBOUNDED, ".tiff": UNBOUNDED, ".ppm": UNBOUNDED, ".pnm": UNBOUNDED, ".tga": 65535,
    ".avif": 65535, ".jp2": UNBOUNDED, ".pdf": 65500,
}  # fmt: skip
"""Extension -> most pixels of a side: those in which Pillow writes grey and colour pictures of any size up to there. It registers
more, some of which it cannot write (.h5, .wmf), or only in other sizes (.ico) or colours (.xbm)."""


def picture_extensions() -> list[str]:
    """File name extensions (lower case, with the dot) in which the installed Pillow can write any picture."""
    known = Pillow.registered_extensions()
    return sorted(extension for extension in LARGEST_SIDES if known.get(extension) in Pillow.SAVE)


def check_writable(path: str | Path, extensions: Collection[str] | None = None, size: tuple[int, int] | None = None) -> None:
    """Check before a long run that a file can be written at its end.

    extensions: the allowed ones in lower case, with the dot; by default those that Pillow can write. size: (height, width) of the
    picture. Raises ValueError for another extension, for a folder that is missing or unwritable, for a path that is a folder, and
    for a picture that is larger than the format allows.
    """
    path = Path(path)
    allowed = picture_extensions() if extensions is None else extensions
    if path.suffix.lower() not in allowed:
        common = [name for name in (".png", ".jpg", ".gif", ".mp4", ".webp") if name in allowed] or sorted(allowed)
        raise ValueError(f"cannot write {path}: unknown extension {path.suffix!r}, expected one such as {', '.join(common)}")
    most = LARGEST_SIDES.get(path.suffix.lower(), UNBOUNDED)
    if size is not None and max(size) > most:
        raise ValueError(
            f"cannot write {path}: {size[1]}x{size[0]} pixels, expected at most {most} a side in {path.suffix}: choose .png, or "
            f"ask for fewer pictures"
        )
    _check_folder(path)


def _check_folder(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder, give the name of a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {path.parent}, make it or choose another")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"cannot write {path}: {path.parent} is not writable ({reason}), choose another folder") from error


def write_atomically(path: str | Path, writer: Callable[[Path], object]) -> None:
    """Call `writer` with a temporary name (same folder, same extension), then move the file into place.

    A reader sees the old file or the whole new one, and a failure leaves nothing behind. Raises ValueError when the folder is
    missing or unwritable and when the system or Pillow refuses to write; other errors of the writer pass through.
    """
    write_together({Path(path): writer})


def write_together(writers: Mapping[Path, Callable[[Path], object]], ready: Callable[[], object] | None = None) -> None:
    """Write several files as `write_atomically` does, and move them into place, in their order, once all of them are whole.

    ready: called before the first one is moved. Raises ValueError as `write_atomically`.
    """
    for path in writers:
        _check_folder(path)
    temporary = {path: temporary_beside(path) for path in writers}
    try:
        for path, writer in writers.items():
            with refused_writes(path):
                writer(temporary[path])
        for number, path in enumerate(writers):
            with refused_writes(path):
                if ready is not None and number == 0:
                    ready()
                os.replace(temporary[path], path)
    finally:
        for unmoved in temporary.values():
            unmoved.unlink(missing_ok=True)


@contextmanager
def refused_writes(path: Path) -> Iterator[None]:
    """Raises ValueError, in one sentence, for what the system, safetensors or torch raise where they cannot write `path`."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and TORCH_WRITER not in str(error):
            raise
        raise ValueError(
            f"cannot write {path}: {printable(str(error))}; free some space or choose another folder or format"
        ) from error


def save_image(image: Tensor | Pillow.Image, path: str | Path) -> None:
    """Write one image, `[channel, height, width]` in [0, 1] or a Pillow image, atomically in the format of its extension.

    Raises ValueError as `to_pil`, `check_writable` and `write_atomically` do.
    """
    picture = to_pil(image) if isinstance(image, Tensor) else image
    check_writable(path, size=(picture.height, picture.width))
    write_atomically(path, picture.save)


def check_regular(path: str | Path) -> None:
    """Raises ValueError for a pipe, a socket or a device, for which a reader may wait for ever; nothing for what is missing."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ValueError(f"{path} is a pipe or a device, expected a file: write its content to a file, and give that")


@contextmanager
def open_picture(path: str | Path) -> Iterator[Pillow.Image]:
    """A picture file, opened but not decoded yet. Raises ValueError as `check_regular`, and for more pixels than the limit on
    what a file may ask memory for (`errors.check_amount`), and whatever Pillow raises (BROKEN_FILE)."""
    check_regular(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # the limit here is lower
        opened = Pillow.open(path)
    with opened:
        check_amount(f"{path} has {opened.width}x{opened.height} pixels", opened.width * opened.height)
        yield opened


def is_whole_picture(path: str | Path) -> bool:
    """Whether a file is there and is a picture up to its end, by the check sums of a PNG."""
    try:
        with open_picture(path) as opened:
            opened.verify()
    except BROKEN_FILE:
        return False
    return True


def load_image(path: str | Path, size: Size | None = None, channels: int = 3) -> Tensor:
    """A picture file as an image `[channel, height, width]` in [0, 1], turned upright, transparency put on white.

    size: (height, width) or the side of a square; the picture is scaled to cover it (antialiased) and its centre kept. None
    keeps the file's size. channels: 3 (RGB) or 1 (grey); 16-bit grey keeps its depth. Raises ValueError for a file that is
    missing, broken, too large (`open_picture`) or of an unsupported kind, for other channels and for a side below 1.
    """
    if channels not in (1, 3):
        raise ValueError(f"load_image got {channels} channels, expected 1 (grey) or 3 (RGB): pass one of them")
    wanted = None if size is None else height_and_width(size, "load_image")
    try:
        with open_picture(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            array = _pixels(picture if wanted is None else _shortened(picture, wanted), channels)
    except FileNotFoundError as error:
        raise ValueError(f"there is no picture {path}: check the path") from error
    except BROKEN_FILE as error:
        raise ValueError(f"cannot read {path} as a picture ({error}): check that it is a whole PNG, JPEG, ...") from error
    image = torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1).expand(channels, -1, -1)
    return (image if wanted is None else cover(image, wanted)).contiguous()


def _shortened(picture: Pillow.Image, wanted: tuple[int, int]) -> Pillow.Image:
    """The picture, or the centre of a very long one, a little longer than what covers the wanted (height, width)."""
    width, height = picture.size
    if height * wanted[1] > ELONGATED * width * wanted[0]:
        cut = (height - math.ceil(width * wanted[0] / wanted[1]) - 2) // 2
        return picture.crop((0, cut, width, height - cut))
    if width * wanted[0] > ELONGATED * height * wanted[1]:
        cut = (width - math.ceil(height * wanted[1] / wanted[0]) - 2) // 2
        return picture.crop((cut, 0, width - cut, height))
    return picture


def _pixels(picture: Pillow.Image, channels: int) -> np.ndarray:
    """float32 in [0, 1]: `[height, width]` for 16-bit grey or one channel, else `[height, width, 3]`."""
    if picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode} has no fixed range, expected 8-bit or 16-bit pixels")
    if picture.mode.startswith("I;16"):
        return np.divide(np.asarray(picture), 65535, dtype=np.float32)
    if picture.has_transparency_data:
        white = Pillow.new("RGBA", picture.size, "white")
        picture = Pillow.alpha_composite(white, picture.convert("RGBA"))
    return np.divide(np.asarray(picture.convert("L" if channels == 1 else "RGB")), 255, dtype=np.float32)


def as_mask(mask: Any) -> Tensor:
    """A mask in memory, 1 where pixels are known, as a tensor: `as_picture` of one channel, or an array of Booleans.

    Raises ValueError for anything else.
    """
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_:
        return torch.from_numpy(mask.astype(np.float32))
    return as_picture(mask, channels=1, what="a mask", load="read a file with images.file_mask")


def as_picture(
    picture: Any, channels: int = 3, what: str = "a picture", load: str = "load a file with images.load_image"
) -> Tensor:
    """A picture in memory as a tensor: of Pillow as `[channel, height, width]` in [0, 1], of NumPy as it is, in float32.

    what, load: what it is called in errors, and the advice there. Raises ValueError for anything else, and for an array of whole
    numbers, whose range is not known.
    """
    if isinstance(picture, Tensor):
        return picture
    if isinstance(picture, Pillow.Image):
        pixels = torch.from_numpy(_pixels(picture, channels))
        return pixels.expand(channels, -1, -1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    if isinstance(picture, np.ndarray) and np.issubdtype(picture.dtype, np.floating):
        return torch.from_numpy(picture.astype(np.float32))
    got = f"an array of {picture.dtype}" if isinstance(picture, np.ndarray) else f"a {type(picture).__name__}"
    raise ValueError(
        f"got {got} as {what}, expected a tensor or floating-point array [channel, height, width] in [0, 1], or a picture of "
        f"Pillow: {load}"
    )


def make_folder(folder: str | Path) -> Path:
    """The folder, made where it is missing. Raises ValueError when it cannot be made or written to."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {folder} ({error.strerror}): choose another one") from error
    _check_folder(folder / "any")
    return folder
