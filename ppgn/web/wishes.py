"""What is wanted, as short texts: "church", "-0.5 * golf ball", "unit block8:60 of lite:0", "sentence a red handbag"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ppgn import requests
from ppgn.bundle import Bundle
from ppgn.requests import Plugged, Request
from ppgn.web.shell import option, plain

KEYWORDS = {
    "class": "class_", "unit": "unit", "direction": "direction", "sentence": "caption", "text": "text", "function": "condition",
}  # fmt: skip
"""Kind of a wish -> the keyword of `requests.parse`, in the order in which that adds them up."""
OF_NETWORK = ("class", "unit", "direction")
"""Kinds that are asked of a network."""
WEIGHTED = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?)\s*[*]\s*(.+)", re.DOTALL | re.IGNORECASE)
LONGEST = 300
"""Characters of a wish."""
MOST = 32
"""Wishes at once."""


@dataclass(frozen=True)
class Wish:
    """One thing that is wanted. kind: of KEYWORDS. network: a plugged-in network's name, "" the bundle's own. weight: a negative
    one avoids."""

    kind: str
    value: str
    network: str = ""
    weight: float = 1.0

    def __str__(self) -> str:
        is_plain = self.kind == "class" and self.value.partition(" ")[0] not in KEYWORDS and not WEIGHTED.fullmatch(self.value)
        value = self.value if is_plain else f"{self.kind} {self.value}"
        value += f" of {self.network}" if self.network else ""
        return value if self.weight == 1 else f"{plain(self.weight)} * {value}"


@dataclass(frozen=True)
class Known:
    """What wishes can name. networks: by name. functions: as `requests.parse` takes a condition. similarity: the model that reads
    texts, "" for none. directions: name -> (its file, its layer)."""

    networks: Mapping[str, Plugged]
    functions: Sequence[str] = ()
    similarity: str = ""
    directions: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def read_wish(text: str, known: Known) -> Wish:
    """The wish of a text. Raises ValueError for an empty or too long one, and for a function that was not named at the start."""
    text = str(text).strip()
    if not text or len(text) > LONGEST:
        raise ValueError(f"got a wish of {len(text)} characters, expected 1 to {LONGEST}: write a class, such as church")
    found = WEIGHTED.fullmatch(text)
    weight, text = (float(found[1]), found[2]) if found else (1.0, text)
    if not math.isfinite(weight) or weight == 0:
        raise ValueError(f"got the weight {weight:g}, expected a number that is not 0: 1 is the usual one, -1 avoids")
    first, _, rest = text.partition(" ")
    kind, value = (first, rest.strip()) if first in KEYWORDS and rest.strip() else ("class", text)
    named = [name for name in known.networks if value.endswith(f" of {name}")] if kind in OF_NETWORK else []
    network = max(named, key=len, default="")
    value = value.removesuffix(f" of {network}").strip() if network else value
    if kind == "function" and value not in known.functions:
        listed = ", ".join(known.functions) or "none"
        raise ValueError(f"got the function {value}, expected one that this page was started with ({listed})")
    if kind == "direction" and value not in known.directions:
        raise ValueError(f"got the direction {value}, expected one that was uploaded ({', '.join(known.directions) or 'none'})")
    return Wish(kind, value, network, weight)


def keywords(wishes: Sequence[Wish], known: Known) -> dict[str, Any] | None:
    """The keywords of one `requests.parse` for all wishes together; None where one call cannot say them.

    One call has one network, and weights either of the targets of one kind, each once, or of kinds with one target each.
    """
    networks = {wish.network for wish in wishes if wish.kind in OF_NETWORK}
    kinds = [wish.kind for wish in wishes]
    layers = {wish.value.rpartition(":")[0] for wish in wishes if wish.kind == "unit"}
    one_kind, each_once = len(set(kinds)) == 1, len(set(kinds)) == len(kinds)
    if len(networks) > 1 or not (one_kind or each_once) or (kinds.count("unit") > 1 and len(layers) > 1):
        return None
    if kinds.count("function") > 1 or kinds.count("direction") > 1 or len({wish.value for wish in wishes}) < len(wishes):
        return None
    if kinds.count("unit") > 1 and not all(wish.value.rpartition(":")[2].isdecimal() for wish in wishes):
        return None
    ordered = sorted(wishes, key=lambda wish: list(KEYWORDS).index(wish.kind))
    found: dict[str, Any] = {}
    for wish in ordered:
        keyword = KEYWORDS[wish.kind]
        if keyword == "direction":
            found[keyword], found["layer"] = known.directions[wish.value]
        elif keyword in ("unit", "condition"):
            unit = wish.value.rpartition(":")[2]
            found[keyword] = f"{found[keyword]},{unit}" if keyword in found else wish.value
        else:
            found.setdefault(keyword, []).append(wish.value)
    if network := next(iter(networks), ""):
        found["network"] = known.networks[network]
    if "text" in found:
        found["similarity"] = known.similarity
    if len(wishes) > 1 or wishes[0].weight != 1:
        found["weight"] = [wish.weight for wish in ordered]
    return found


def kind_of(wishes: Sequence[Wish]) -> str:
    """The kind of recipe that fits the wishes, as that of their request; "class" without any."""
    own = {"class": "class", "sentence": "caption"}
    kinds = {"plugged" if wish.network else own.get(wish.kind, "plugged") for wish in wishes}
    return kinds.pop() if len(kinds) == 1 else "plugged" if kinds else "class"


def request_of(bundle: Bundle, wishes: Sequence[Wish], known: Known) -> Request:
    """The request of all wishes together. Raises ValueError for none, for too many, and as `requests.parse`."""
    if not wishes:
        raise ValueError("got nothing that is wanted, expected a class, a unit or a sentence: choose one")
    if len(wishes) > MOST:
        raise ValueError(f"got {len(wishes)} wishes, expected at most {MOST}: take some away")
    if any(wish.kind == "text" for wish in wishes) and not known.similarity:
        raise ValueError("got a text, expected a page that was started with a model for texts: write a class or a sentence")
    together = keywords(wishes, known)
    if together is not None:
        return requests.parse(bundle, **together)
    parts = [requests.parse(bundle, **_alone(wish, known)) for wish in wishes]
    return requests.weighted(parts, [wish.weight for wish in wishes])


def _alone(wish: Wish, known: Known) -> dict[str, Any]:
    found = keywords([Wish(wish.kind, wish.value, wish.network)], known)
    assert found is not None
    return found


def words(wishes: Sequence[Wish], known: Known) -> list[str] | None:
    """The words of the command line for the wishes; None where one command cannot say them."""
    together = keywords(wishes, known)
    if together is None or "direction" in together:
        return None
    plugged = together.pop("network", None)
    found = [] if plugged is None else _network_words(plugged)
    for keyword, value in together.items():
        found += option(keyword, *(value if isinstance(value, list) else [value]))
    return found


def _network_words(plugged: Plugged) -> list[str]:
    found = option("network", plugged.name)
    for name in ("weights", "size", "mean", "std"):
        value = getattr(plugged, name)
        found += [] if value is None else option(name, value)
    return found + (option("bgr") if plugged.bgr else [])


def python(wishes: Sequence[Wish], known: Known) -> str:
    """The request as a line of Python."""
    together = keywords(wishes, known)
    if together is not None:
        return _call(together)
    parts = ", ".join(_call(_alone(wish, known)) for wish in wishes)
    return f"ppgn.requests.weighted([{parts}], {[wish.weight for wish in wishes]})"


def _call(given: Mapping[str, Any]) -> str:
    listed = (f"{name}={_network(value) if name == 'network' else repr(value)}" for name, value in given.items())
    return f"ppgn.requests.parse(bundle, {', '.join(listed)})"


def _network(plugged: Plugged) -> str:
    default = Plugged()
    changed = {name: value for name, value in vars(plugged).items() if value != getattr(default, name) and name != "name"}
    return f"ppgn.requests.Plugged({', '.join([repr(plugged.name), *(f'{name}={value!r}' for name, value in changed.items())])})"
