"""Captions made of the attributes of a product: "Handbags", "Red" -> "a red handbag", "handbags in red", ..."""

from __future__ import annotations

PLURAL_ONLY = ("briefs", "jeans", "pants", "shorts", "sunglasses", "trousers")
"""Last words of product types that have no singular."""
PAIRS = (*PLURAL_ONLY, "flats", "flops", "heels", "sandals", "shoes", "socks")
"""Last words of product types that come in pairs."""


def singular(name: str) -> str:
    """The singular of a product type: "casual shoes" -> "casual shoe", "watches" -> "watch"; PLURAL_ONLY and others stay.

    It knows the rules of English spelling that names of products need. "ies" only loses its s, because of "ties".
    """
    if name.split()[-1] in PLURAL_ONLY or not name.endswith("s") or name.endswith("ss"):
        return name
    return name[: -2 if name.endswith(("ches", "shes", "sses", "xes")) else -1]


def phrasings(kind: str, colour: str, who: str = "") -> list[str]:
    """Captions of a product, always the same for the same attributes: "a red handbag", "womens handbag in red", ...

    kind: the type of product in the plural, "Handbags". who: for whom it is, such as "women"; "" for everyone.
    """
    many, colour = kind.lower(), colour.lower()
    one, last = singular(many), many.split()[-1]
    made = [f"{colour} {many}", f"{many} in {colour}"]
    audience = [f"{colour} {many} for {who}", f"{who}s {many} in {colour}"]
    if last in PAIRS:
        made += [f"a pair of {colour} {many}"]
        audience += [f"a pair of {colour} {many} for {who}"]
    if one != many:
        made += [f"{_article(colour)} {colour} {one}", f"{colour} {one}", f"{_article(one)} {one} in {colour}"]
        audience += [f"{_article(colour)} {colour} {one} for {who}", f"{who}s {one} in {colour}"]
    return made + (audience if who else [])


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
