"""Sheets of pictures: tiles in rows, with labels under them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from torch import Tensor

from ppgn.images.fonts import Font, label_font
from ppgn.images.pixels import to_pil

COMFORTABLE_TILE = 160
"""Pixels of the longer side below which a tile is enlarged: a 64 pixel image becomes 192 pixels large."""
GAP = 4
"""Pixels between tiles."""
RESAMPLERS = {"nearest": Pillow.Resampling.NEAREST, "lanczos": Pillow.Resampling.LANCZOS}


def grid(
    images: Tensor | Sequence[Tensor],
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    scale: int | None = None,
    resample: str = "lanczos",
    room_for: Sequence[str] = (),
) -> Pillow.Image:
    """One picture of the images `[chain, channel, height, width]` as tiles, row by row, with an optional label under each.

    columns: tiles per row; by default as many as there are rows. scale: whole factor of enlargement; by default the smallest
    that makes the longer side of a tile 160 pixels or more. resample: "lanczos" (smooth) or "nearest" (pixels as squares).
    labels: wrapped to the width of a tile. room_for: labels of other grids that get the same height as this one. Raises
    ValueError for no image, images of different sizes, another number of labels than images, and a bad setting.
    """
    tiles = [to_pil(image) for image in images]
    if not tiles or len({tile.size for tile in tiles}) > 1:
        raise ValueError(f"a grid needs images of one size, got {sorted({tile.size for tile in tiles})}: resize them")
    if labels is not None and len(labels) != len(tiles):
        raise ValueError(f"a grid needs one label per image, got {len(labels)} labels for {len(tiles)} images: add or drop some")
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


def grid_size(
    count: int, size: tuple[int, int], labels: Sequence[str] | None = None, columns: int | None = None
) -> tuple[int, int]:
    """The (height, width) of the `grid` of that many images of a size (height, width)."""
    scale = max(1, math.ceil(COMFORTABLE_TILE / max(size)))
    height, width = size[0] * scale, size[1] * scale
    font = _font(width, labels or ())
    columns = min(math.ceil(math.sqrt(count)) if columns is None else columns, count)
    margin = _margin([_wrap(label, font, width) for label in set(labels)], font) if labels else 0
    canvas = _canvas_size((width, height), margin, columns, count)
    return canvas[1], canvas[0]


def sheet(pictures: Sequence[Pillow.Image], columns: int | None = None) -> Pillow.Image:
    """One picture of pictures of equal size, row by row, by default in as many columns as rows.

    Raises ValueError for no picture and for pictures of different sizes.
    """
    if not pictures or len({picture.size for picture in pictures}) > 1:
        raise ValueError(f"a sheet needs pictures of one size, got {sorted({picture.size for picture in pictures})}: resize them")
    return _assemble(list(pictures), None, columns or math.ceil(math.sqrt(len(pictures))))


def _assemble(
    tiles: list[Pillow.Image], labels: Sequence[str] | None, columns: int, room_for: Sequence[str] = ()
) -> Pillow.Image:
    width, height = tiles[0].size
    font = _font(width, [*(labels or ()), *room_for])
    texts = [_wrap(label, font, width) for label in labels or [""] * len(tiles)]
    margin = _margin([*texts, *(_wrap(label, font, width) for label in room_for)], font) if labels else 0
    mode = "RGB" if any(tile.mode == "RGB" for tile in tiles) else "L"
    canvas = Pillow.new(mode, _canvas_size((width, height), margin, columns, len(tiles)), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (tile, text) in enumerate(zip(tiles, texts, strict=True)):
        left, top = GAP + index % columns * (width + GAP), GAP + index // columns * (height + margin + GAP)
        canvas.paste(tile, (left, top))
        if text:
            draw.text((left + width / 2, top + height + 2), text, fill="black", font=font, anchor="ma", align="center")
    return canvas


def _font(width: int, texts: Sequence[str]) -> Font:
    return label_font(min(20, max(11, width // 11)), texts)


def _margin(texts: Sequence[str], font: Font) -> int:
    """Pixels below a tile, enough for the longest of these texts."""
    line_height = sum(font.getmetrics()) if isinstance(font, ImageFont.FreeTypeFont) else 12
    return (max(text.count("\n") for text in texts) + 1) * (line_height + 4) + GAP


def _canvas_size(tile: tuple[int, int], margin: int, columns: int, count: int) -> tuple[int, int]:
    """(width, height) of a sheet of tiles (width, height)."""
    return columns * (tile[0] + GAP) + GAP, math.ceil(count / columns) * (tile[1] + margin + GAP) + GAP


def _wrap(text: str, font: Font, width: int) -> str:
    """The text broken at spaces so that each line fits the width in pixels; a word that is too long ends in three dots."""
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
