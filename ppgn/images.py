"""Pixel conventions in one place: images are `[chain, channel, height, width]`, RGB (or grey), in [0, 1]."""

import math
import os
import secrets
import struct
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont, ImageOps
from torch import Tensor
from torch.nn import functional

from ppgn.constants import constant

COMFORTABLE_TILE = 160  # pixels; a 64 pixel image is enlarged three times to 192
GAP = 4  # pixels between tiles
RESAMPLERS = {"nearest": Pillow.Resampling.NEAREST, "lanczos": Pillow.Resampling.LANCZOS}
BROKEN_FILE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Pillow.DecompressionBombError)


def resize(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Images `[chain, channel, height, width]` at another size (an int is a square), by antialiased bilinear
    interpolation, differentiable. Raises ValueError for a wrong number of axes or a size below 1."""
    height, width = (size, size) if isinstance(size, int) else size
    if images.ndim != 4:
        raise ValueError(f"resize needs [chain, channel, height, width], got {list(images.shape)}: add the missing axis")
    if min(height, width) < 1:
        raise ValueError(f"resize needs a height and width of at least 1, got {size}: pass a positive size")
    if images.shape[-2:] == (height, width):
        return images
    shrinks = height < images.shape[-2] or width < images.shape[-1]  # enlarging is the same without, and faster
    return functional.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)


def normalise(images: Tensor, mean: float | Sequence[float], std: float | Sequence[float], bgr: bool = False) -> Tensor:
    """(images - mean) / std per channel, for networks that expect another range than [0, 1].

    images `[chain, channel, height, width]` in [0, 1]; mean and std are in the same units and in the order of the
    network's own channels: with `bgr` the channels are reversed first, so Caffe's means are [104.006 / 255,
    116.669 / 255, 122.679 / 255] and its std is 1 / 255. Raises ValueError for another number of values than channels
    or a std that is not positive.
    """
    centre, spread = (_per_channel(values, images) for values in (mean, std))
    if not all(value > 0 for value in _listed(std)):
        raise ValueError(f"normalise needs a positive std, got {std}: pass 1.0 to leave the scale as it is")
    return ((images.flip(-3) if bgr else images) - centre) / spread


def _per_channel(values: float | Sequence[float], like: Tensor) -> Tensor:
    listed = _listed(values)
    if len(listed) not in (1, like.shape[-3]):
        raise ValueError(f"got {len(listed)} values for {like.shape[-3]} channels: pass one value or one per channel")
    return constant(listed, like.dtype, like.device).reshape(-1, 1, 1)


def _listed(values: float | Sequence[float]) -> tuple[float, ...]:
    numbers = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return tuple(np.atleast_1d(np.asarray(numbers, dtype=np.float64)).tolist())


def to_pil(image: Tensor) -> Pillow.Image:
    """One image `[channel, height, width]` (1 or 3 channels) as an 8-bit Pillow image: clip to [0, 1], times 255,
    rounded. Raises ValueError for another shape or for values that are not finite."""
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(
            f"a picture needs [channel, height, width] with 1 or 3 channels, got {list(image.shape)}: pass one image "
            "at a time and choose the channels to show"
        )
    pixels = image.detach().to("cpu", torch.float32)
    if not bool(pixels.isfinite().all()):
        raise ValueError("a picture needs finite pixels, got NaN or infinity: the chain has diverged, use a smaller step")
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return Pillow.fromarray(np.ascontiguousarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)))


def grid(
    images: Tensor | Sequence[Tensor],
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    scale: int | None = None,
    resample: str = "lanczos",
    room_for: Sequence[str] = (),
) -> Pillow.Image:
    """Images `[chain, channel, height, width]` as tiles of one picture, row by row, with an optional label under each.

    columns: tiles in a row, by default as square as possible. scale: integer enlargement, by default the smallest
    that makes a tile 160 pixels. resample: "lanczos" (smooth) or "nearest" (the pixels as they are). Labels are wrapped
    to the width of a tile. room_for: labels of other grids that are to be of one size with this one. Raises ValueError for
    no image, another number of labels than images, or a bad setting.
    """
    tiles = [to_pil(image) for image in images]
    if not tiles or len({tile.size for tile in tiles}) > 1:
        raise ValueError(f"a grid needs images of one size, got {sorted({tile.size for tile in tiles})}: resize them")
    if labels is not None and len(labels) != len(tiles):
        raise ValueError(f"a grid needs one label per image, got {len(labels)} labels for {len(tiles)} images")
    columns = math.ceil(math.sqrt(len(tiles))) if columns is None else columns
    scale = max(1, math.ceil(COMFORTABLE_TILE / max(tiles[0].size))) if scale is None else scale
    if columns < 1 or scale < 1 or resample not in RESAMPLERS:
        raise ValueError(
            f"a grid needs columns >= 1, scale >= 1 and a resample of {sorted(RESAMPLERS)}, got {columns}, {scale} and "
            f"{resample!r}: correct that setting"
        )
    size = (tiles[0].width * scale, tiles[0].height * scale)
    tiles = [tile.resize(size, RESAMPLERS[resample]) for tile in tiles]
    return _assemble(tiles, labels, min(columns, len(tiles)), room_for)


def sheet(pictures: Sequence[Pillow.Image], columns: int | None = None) -> Pillow.Image:
    """Pictures of one size side by side as they are, row by row, by default as square as possible; ValueError for none."""
    if not pictures or len({picture.size for picture in pictures}) > 1:
        raise ValueError(f"a sheet needs pictures of one size, got {sorted({picture.size for picture in pictures})}: resize them")
    return _assemble(list(pictures), None, columns or math.ceil(math.sqrt(len(pictures))))


def _assemble(
    tiles: list[Pillow.Image], labels: Sequence[str] | None, columns: int, room_for: Sequence[str] = ()
) -> Pillow.Image:
    width, height = tiles[0].size
    font = ImageFont.load_default(size=min(20, max(11, width // 11)))
    texts = [_wrap(label, font, width) for label in labels or [""] * len(tiles)]
    line_height = sum(font.getmetrics()) if isinstance(font, ImageFont.FreeTypeFont) else 12
    widest = [*texts, *(_wrap(label, font, width) for label in room_for)]
    margin = (max(text.count("\n") for text in widest) + 1) * (line_height + 4) + GAP if labels else 0
    rows = math.ceil(len(tiles) / columns)
    mode = "RGB" if any(tile.mode == "RGB" for tile in tiles) else "L"
    size = (columns * (width + GAP) + GAP, rows * (height + margin + GAP) + GAP)
    canvas = Pillow.new(mode, size, "white")
    draw = ImageDraw.Draw(canvas)
    for index, (tile, text) in enumerate(zip(tiles, texts, strict=True)):
        left, top = GAP + index % columns * (width + GAP), GAP + index // columns * (height + margin + GAP)
        canvas.paste(tile, (left, top))
        if text:
            draw.text((left + width / 2, top + height + 2), text, fill="black", font=font, anchor="ma", align="center")
    return canvas


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Break at spaces so that each line fits the width in pixels; a word that is too long ends in three dots."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            while font.getlength(word) > width and len(word.removesuffix("...")) > 1:
                word = word.removesuffix("...")[:-1] + "..."
            joined = f"{line} {word}".strip()
            if line and font.getlength(joined) > width:
                lines.append(line)
                joined = word
            line = joined
        lines.append(line)
    return "\n".join(lines)


def picture_extensions() -> list[str]:
    """File name extensions (lower case, with the dot) that the installed Pillow can write."""
    return sorted(extension for extension, kind in Pillow.registered_extensions().items() if kind in Pillow.SAVE)


def check_writable(path: str | Path, extensions: Collection[str] | None = None) -> None:
    """Say before a long run whether a file can be written at its end.

    extensions: those allowed, with the dot; by default what Pillow can write. Raises ValueError for another extension,
    or a folder that is missing or unwritable, or a path that is a folder.
    """
    path = Path(path)
    allowed = picture_extensions() if extensions is None else extensions
    if path.suffix.lower() not in allowed:
        common = [name for name in (".png", ".jpg", ".gif", ".webp") if name in allowed] or sorted(allowed)
        raise ValueError(f"cannot write {path}: unknown extension {path.suffix!r}, expected one such as {', '.join(common)}")
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

    A reader sees the old file or the whole new one, and a failure leaves nothing behind. Raises ValueError if the folder
    is missing or unwritable or if the system or Pillow refuses to write; other errors of the writer pass through.
    """
    path = Path(path)
    _check_folder(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        writer(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error}; free some space or choose another folder or format") from error
    finally:
        temporary.unlink(missing_ok=True)


def save_image(image: Tensor | Pillow.Image, path: str | Path) -> None:
    """Write one image (`[channel, height, width]` in [0, 1], or a Pillow image) in the format its extension names,
    atomically. Raises ValueError as `to_pil`, `check_writable` and `write_atomically` do."""
    check_writable(path)
    picture = to_pil(image) if isinstance(image, Tensor) else image
    write_atomically(path, picture.save)


def load_image(path: str | Path, size: int | None = None, channels: int = 3) -> Tensor:
    """A picture file as `[channel, height, width]` in [0, 1], turned upright, transparency put on white.

    size: the shorter side is resized to it (antialiased) and the centre square kept. channels: 3 (RGB) or 1 (grey);
    16-bit grey keeps its depth. Raises ValueError if the file is missing, broken or of an unsupported kind.
    """
    if channels not in (1, 3):
        raise ValueError(f"load_image reads 1 (grey) or 3 (RGB) channels, got {channels}: pass 1 or 3")
    if size is not None and size < 1:
        raise ValueError(f"load_image needs a size of at least 1, got {size}: pass a positive size or None")
    try:
        with Pillow.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            array = _pixels(picture, channels)
    except FileNotFoundError as error:
        raise ValueError(f"there is no picture {path}: check the path") from error
    except BROKEN_FILE as error:
        raise ValueError(f"cannot read {path} as a picture ({error}): check that it is a whole PNG, JPEG, ...") from error
    image = torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1).expand(channels, -1, -1)
    return (image if size is None else _centre_square(image, size)).contiguous()


def _pixels(picture: Pillow.Image, channels: int) -> np.ndarray:
    """float32 in [0, 1]: `[height, width]` for 16-bit grey or one channel, else `[height, width, 3]`."""
    if picture.mode in ("I", "F"):
        raise ValueError(f"mode {picture.mode} has no fixed range, expected 8-bit or 16-bit pixels")
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.float32) / 65535
    if picture.has_transparency_data:
        white = Pillow.new("RGBA", picture.size, "white")
        picture = Pillow.alpha_composite(white, picture.convert("RGBA"))
    return np.asarray(picture.convert("L" if channels == 1 else "RGB")).astype(np.float32) / 255


def _centre_square(image: Tensor, size: int) -> Tensor:
    height, width = image.shape[-2:]
    factor = size / min(height, width)
    resized = resize(image[None], (max(size, round(height * factor)), max(size, round(width * factor))))[0]
    top, left = (resized.shape[-2] - size) // 2, (resized.shape[-1] - size) // 2
    return resized[:, top : top + size, left : left + size]


def make_folder(folder: str | Path) -> Path:
    """The folder, made if need be and checked to be writable; ValueError saying why not."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {folder} ({error.strerror}): choose another one") from error
    _check_folder(folder / "any")
    return folder
