"""Plain keywords, or any value of Python, -> a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppgn import loaders
from ppgn.bundle import Bundle
from ppgn.conditions import Caption
from ppgn.errors import check_chains
from ppgn.probe import Side
from ppgn.requests.classes import classes, listed_classes, number_in
from ppgn.requests.functions import function, weighted
from ppgn.requests.networks import Plugged, network_classes, network_direction, network_latents, network_units
from ppgn.requests.request import Request
from ppgn.requests.words import CaptionRequest, TextRequest, captions, of_caption
from ppgn.types import at_least_one, plain_number

LISTS = ("class_", "latent", "caption", "text", "against", "weight")
"""Keywords of `parse` that take a list; one value alone is a list of one."""
OF_NETWORK = ("class_", "unit", "direction", "sae")
"""Keywords of `parse` that ask something of the network."""
TOGETHER = (
    ("activation", ("unit",), "the unit whose layer ends in it: add unit=ADDRESS"),
    ("measure", ("unit",), "them together: add unit=ADDRESS, or leave measure out"),
    ("captioner", ("caption",), "what it is to say: add caption=TEXT"),
    ("similarity", ("text",), "what it compares with: add text=TEXT"),
    ("text", ("similarity",), "the model that reads it: add similarity=NAME"),
    ("against", ("text",), "the text that they are compared with: add text=TEXT"),
    ("latent", ("sae",), "the auto-encoder whose latents they are: add sae=FILE"),
    ("sae", ("latent",), "numbers of its latents: add latent=K"),
    ("direction", ("layer",), "the layer that it is for: add layer=LAYER"),
    ("sae", ("layer",), "the layer that it is for: add layer=LAYER"),
    ("layer", ("direction", "sae"), "what to ask of it: add direction=FILE or sae=FILE, or unit=LAYER:UNIT in its place"),
    ("network", OF_NETWORK, "what to ask of it: add class_=NAME or unit=LAYER:UNIT"),
)
"""(keyword of `parse`, keywords of which it needs one beside it, the end of the sentence that says so)."""
Given = Mapping[str, Any]
"""The keywords of `parse`, by name."""


def of(bundle: Bundle | str | Path, wanted: Any, count: int | None = None, default: int = 16) -> Request:
    """The request of a value, for `count` chains, or else as many as it lists, or else `default`.

    wanted: a Request; a class by name or number, "type:Handbags & colour:Red", or a list with a class per chain; or any function
    image -> log-probability per chain. Raises ValueError for an unknown class, for anything else, and when targets are listed
    and are not `count`.
    """
    bundle = loaders.bundle(bundle)
    if count is not None:
        count = at_least_one("count", count, "ask for one sample or more")
        check_chains(count)
    if not isinstance(wanted, Request) and callable(wanted):
        chains = default if count is None else count
        if isinstance(wanted, Caption):
            listed = (wanted.captions,) * chains if isinstance(wanted.captions, str) else tuple(wanted.captions)
            return _counted(of_caption(bundle, wanted, listed), count, len(listed))
        condition: Any = wanted
        return function(condition, chains)
    if isinstance(wanted, str) or number_in(wanted) is not None:
        return classes(bundle, wanted).select([0] * (default if count is None else count))
    request = wanted if isinstance(wanted, Request) else classes(bundle, wanted)
    single = isinstance(wanted, Request) and len(request) == 1
    return _counted(request, count, default if single else len(request))


def _counted(request: Request, count: int | None, default: int) -> Request:
    """The request for that many chains: one target for all of them, or as many targets as chains."""
    chains = default if count is None else count
    if len(request) == chains:
        return request
    if len(request) == 1:
        return request.select([0] * chains)
    plural = "classes" if request.noun == "class" else f"{request.noun}s"
    raise ValueError(f"got {len(request)} {plural} for {chains} chains: leave count out, or list one per chain")


def parse(
    bundle: Bundle | str | Path,
    *,
    class_: str | Sequence[str] = (),
    unit: str | None = None,
    direction: str | Path | None = None,
    sae: str | Path | None = None,
    latent: int | Sequence[int] = (),
    layer: str | None = None,
    caption: str | Sequence[str] = (),
    captioner: str | None = None,
    text: str | Sequence[str] = (),
    against: str | Sequence[str] = (),
    similarity: str | None = None,
    condition: str | None = None,
    network: Plugged | None = None,
    measure: str | None = None,
    activation: Side | None = None,
    weight: float | Sequence[float] = (),
    check: bool = True,
) -> Request:
    """A request with a target for each class, unit, caption, ... listed; several kinds, or weights, make a weighted sum.

    class_: names, numbers, "all", "GROUP:all", of the network or else of the bundle. unit: "layer:17" of the network, or of the
    bundle's encoder. direction, or sae and latent: files of `network_direction` and `network_latents`, on `layer`. caption: for
    the bundle's captioner, or `captioner` ("hf:NAME"). text, against, similarity: as `loaders.similarity`. condition:
    "my_module:function". measure, activation: of the unit. weight: one for each kind, in the order of KINDS, or with one kind one
    for each of its targets; a negative weight avoids. check: tries the network and the condition on two images of the bundle
    first (`checks.check_condition`). Raises ValueError where the keywords do not fit each other or the bundle, or break the
    contract.
    """
    bundle = loaders.bundle(bundle)
    given: dict[str, Any] = {
        "class_": class_, "unit": unit, "direction": direction, "sae": sae, "latent": latent, "layer": layer,
        "caption": caption, "captioner": captioner, "text": text, "against": against, "similarity": similarity,
        "condition": condition, "network": network, "measure": measure, "activation": activation, "weight": weight,
        "check": check,
    }  # fmt: skip
    given |= {name: _list(given[name]) for name in LISTS}
    _check_together(given)
    found = [make(bundle, given) for kind, make in KINDS.items() if _is_given(given[kind])]
    if not found:
        raise ValueError(f"got nothing to ask for, expected a class, a unit, a caption or a function: {_offered(bundle)}")
    return _summed(found, given["weight"])


def _check_together(given: Given) -> None:
    """Raises ValueError for a keyword that needs another one which is not there."""
    for name, needed, expected in TOGETHER:
        if _is_given(given[name]) and not any(_is_given(given[other]) for other in needed):
            lacking = " or ".join(other.strip("_") for other in needed)
            raise ValueError(f"got {name} without {lacking}, expected {expected}")


def _summed(found: Sequence[Request], weight: Sequence[float]) -> Request:
    """The one request, or the weighted sum of several: of the kinds, or with as many weights of the targets of one kind."""
    if len(found) == 1 and not weight:
        return found[0]
    if len(found) == 1 and len(weight) == len(found[0]):
        targets = [found[0].select([target]) for target in range(len(found[0]))]
        return weighted(targets, weight)
    if weight and len(weight) != len(found):
        listed = f"{len(found)} requests" if len(found) > 1 else f"{len(found[0])} targets"
        raise ValueError(f"got {len(weight)} weights for {listed}, expected as many: give one for each")
    return weighted(found, weight or None)


def _classes(bundle: Bundle, given: Given) -> Request:
    if given["network"] is None:
        return listed_classes(bundle, given["class_"])
    return network_classes(bundle, given["network"], given["class_"], check=given["check"])


def _units(bundle: Bundle, given: Given) -> Request:
    measure = given["measure"] or "activation"
    side = given["activation"]
    return network_units(bundle, given["network"] or Plugged(), given["unit"], measure, activation=side, check=given["check"])


def _direction(bundle: Bundle, given: Given) -> Request:
    plugged = given["network"] or Plugged()
    return network_direction(bundle, plugged, given["layer"], given["direction"], check=given["check"])


def _latents(bundle: Bundle, given: Given) -> Request:
    plugged = given["network"] or Plugged()
    return network_latents(bundle, plugged, given["layer"], given["sae"], given["latent"], check=given["check"])


def _captions(bundle: Bundle, given: Given) -> Request:
    wanted, captioner = given["caption"], given["captioner"]
    if captioner is None:
        return captions(bundle, wanted)
    condition = loaders.captioner(captioner, wanted)
    foreign: Any = condition.captioner
    foreign.model.to(bundle.device)
    return CaptionRequest(condition, tuple(wanted), own=False, about={"captioner": captioner})


def _texts(bundle: Bundle, given: Given) -> Request:
    texts = tuple(dict.fromkeys(given["text"]))
    condition = loaders.similarity(given["similarity"], list(texts), given["against"])
    condition.to(bundle.device)
    about = {"similarity": given["similarity"], "against": given["against"]}
    return TextRequest(condition, texts, tuple(range(len(texts))), about)


def _function(bundle: Bundle, given: Given) -> Request:
    condition = loaders.condition(given["condition"], bundle if given["check"] else None)
    return function(condition, 1, {"condition": given["condition"]})


KINDS: dict[str, Callable[[Bundle, Given], Request]] = {
    "class_": _classes,
    "unit": _units,
    "direction": _direction,
    "sae": _latents,
    "caption": _captions,
    "text": _texts,
    "condition": _function,
}
"""Keyword of `parse` with targets -> the function that makes the request, in the order of the weights."""


def _is_given(value: Any) -> bool:
    return value is not None and value != []


def _list(value: Any) -> list[Any]:
    value = plain_number(value)
    return [value] if isinstance(value, str | int | float) else [plain_number(one) for one in value]


def _offered(bundle: Bundle) -> str:
    return f"{bundle.name} has the classes {', '.join(bundle.classes)}" if bundle.classes else f"{bundle.name} has no classes"
