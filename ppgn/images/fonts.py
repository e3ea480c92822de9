"""A font for labels of any script: Pillow's own where it has the letters, else one of the system's."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
KNOWN = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "FreeSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf",
    "wqy-zenhei.ttc", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "msyh.ttc", "msgothic.ttc", "malgun.ttf", "arialuni.ttf",
    "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleGothic.ttf", "Arial Unicode.ttf",
)  # fmt: skip
"""Files that Linux, Windows and macOS have, those with the more readable Latin letters first."""
NOWHERE = "\U0010fffe"
"""A code point that no font has."""


def label_font(size: int, texts: Iterable[str]) -> Font:
    """Pillow's own font of a size in pixels, or the first of KNOWN that this system has with more letters of the texts."""
    own = ImageFont.load_default(size=size)
    letters = {letter for text in texts for letter in text if not letter.isspace()}
    if not (lacking := _lacking(own, letters)):
        return own
    others = [font for name in KNOWN if (font := _font(name, size)) is not None]
    return min([own, *others], key=lambda font: lacking if font is own else _lacking(font, letters))


def _lacking(font: Font, letters: Iterable[str]) -> int:
    """How many of the letters the font shows as it shows what it does not have."""
    box = _drawn(font, NOWHERE)
    return sum(not letter.isascii() and _drawn(font, letter) == box for letter in letters)


def _drawn(font: Font, letter: str) -> bytes:
    canvas = Image.new("L", (64, 64))
    ImageDraw.Draw(canvas).text((8, 8), letter, fill=255, font=font)
    return canvas.tobytes()


@functools.cache
def _font(name: str, size: int) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None
