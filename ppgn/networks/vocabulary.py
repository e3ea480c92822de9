"""Words of captions: how text is cut into words, and the numbers that every vocabulary gives to its marks."""

from __future__ import annotations

import re

END, UNKNOWN = 0, 1
MARKS = ("<end>", "<unknown>")
"""The first two of every vocabulary: the end of a caption, which also stands before its first word, and any rare word."""
PADDING = -1
"""Fills rows of word numbers behind a caption's END."""


def tokens(text: str) -> list[str]:
    """The words of a caption in lower case without punctuation: "A women's T-shirt, red" -> a, womens, tshirt, red."""
    return re.findall(r"[^\W_]+", re.sub(r"['\u2019\-]", "", text.lower()))
