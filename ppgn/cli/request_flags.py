"""Flags of requests: `--class`, `--unit`, `--caption`, `--text`, `--condition`, ... -> a request."""

from __future__ import annotations

import argparse
from typing import Any

from ppgn import loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.cli.values import NETWORKS, numbers, size

INPUT = ("weights", "size", "mean", "std", "bgr")
"""What `add_network` adds beside --network."""
NETWORK = (*INPUT, "network_precision")
OTHERS = ("captioner", "against", "similarity", "latent", "layer", "weight", "activation")
"""Names of `requests.parse` beside its kinds, network and measure."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of requests; --measure is one of `recipe_flags`."""
    asked = parser.add_argument_group("what to ask for", "One kind, or several, which are added up (--weight).")
    many = {"nargs": "+", "action": "extend", "default": []}
    asked.add_argument("--class", dest="class_", metavar="CLASS", **many,
                       help="name, unique part of a name, or index (unless names are numbers); several, `all` or `GROUP:all`; of "
                       "several groups (type:Handbags colour:Red) each of one with each of the other")  # fmt: skip
    asked.add_argument("--unit", metavar="LAYER:UNIT", help="of --network, or of the bundle's encoder (see `ppgn layers`); "
                       "layer:3,8,9, layer:0-15, layer:* for several; layer:17@row,column or @centre in a map or a grid of "
                       "patches, @cls, @mean of patches; of attention a head")  # fmt: skip
    asked.add_argument("--activation", choices=("before", "after"), help="read --unit's layer before the activation that it is "
                       "or ends in, or after the next one (default: its own output)")  # fmt: skip
    asked.add_argument("--caption", metavar="TEXT", **many, help="a sentence, in quotes, for the bundle's captioner or "
                       "--captioner; several")  # fmt: skip
    asked.add_argument("--captioner", metavar="hf:NAME", help="folder or name of a captioner of transformers (docs/text.md)")
    asked.add_argument("--text", metavar="TEXT", **many,
                       help="a text, in quotes, that fits the picture better than the others and --against; several")  # fmt: skip
    asked.add_argument("--against", nargs="+", metavar="TEXT", default=[], help="texts that --text is compared with")
    asked.add_argument("--similarity", metavar="NAME", help="hf:NAME or open_clip:MODEL/TAG, a CLIP or SigLIP (docs/text.md)")
    asked.add_argument("--condition", metavar="MODULE:FUNCTION", help="your function, or FILE.py:FUNCTION, images -> a log-"
                       "probability per chain")  # fmt: skip
    asked.add_argument("--direction", metavar="FILE", help="a direction in --layer, a .safetensors with [channel] or "
                       "[direction, channel]")  # fmt: skip
    asked.add_argument("--sae", metavar="FILE", help="a sparse auto-encoder on --layer, of which --latent says the latents")
    asked.add_argument("--latent", type=int, metavar="K", **many, help="latents of --sae; several")
    asked.add_argument("--layer", metavar="LAYER", help="of --network, or of the bundle's encoder, for --direction and --sae")
    asked.add_argument("--weight", type=float, metavar="W", **many,
                       help="of each kind, in the order class, unit, direction, sae, caption, text, condition; with one kind, "
                       "of each of its targets, which are then added up; a negative one avoids")  # fmt: skip
    asked.add_argument("--no-check", action="store_true", help="do not try --network and --condition on two pictures first")
    add_network(parser, "--class, --unit, --direction or --sae look at").add_argument(
        "--network-precision",
        choices=("auto", "float32", "bfloat16"),
        help="of its weights and maps (default: auto, bfloat16 where the device has units for it and gradients agree, see -v; "
        "float32 with --recipe)",
    )


def add_network(parser: argparse.ArgumentParser, purpose: str) -> Any:
    """Adds the flags of a plugged-in network and of its input; returns their group. purpose: the end of its title."""
    plugged = parser.add_argument_group(f"another network that {purpose}")
    plugged.add_argument("--network", metavar="NAME", help=NETWORKS)
    plugged.add_argument("--weights", metavar="FILE", help="state dict (.pth, .safetensors) or torchvision's name of it")
    plugged.add_argument("--size", type=size, metavar="H[,W]", help="of its input, in pixels (default: the library's)")
    plugged.add_argument("--mean", type=numbers, metavar="R,G,B", help="of its input, for pixels in [0, 1] (default: library's)")
    plugged.add_argument("--std", type=numbers, metavar="R,G,B", help="of its input (default: the library's)")
    plugged.add_argument("--bgr", action="store_true", help="its channels are blue, green, red (Caffe)")
    return plugged


def plugged(given: argparse.Namespace, precision: str = "auto") -> requests.Plugged:
    """The network of --network with the flags of its input, without one the bundle's encoder and head."""
    flags = {name: getattr(given, name) for name in INPUT}
    return requests.Plugged(given.network or loaders.BUNDLE_CLASSIFIER, **flags, precision=precision)


def asks(given: argparse.Namespace) -> bool:
    """Whether any flag of a request was typed."""
    return any(_is_given(given, name) for name in (*requests.KINDS, *OTHERS, "network", *NETWORK))


def request(given: argparse.Namespace, bundle: Bundle) -> requests.Request:
    """The request that the flags make, with a target for each class, unit, caption, ... Raises ValueError where they do not fit
    each other, the network or the bundle."""
    kinds = [name for name in requests.KINDS if _is_given(given, name)]
    _check_network(given, kinds)
    _check_kinds(given, bundle, kinds)
    _check_measure(given)
    network = None if given.network is None else plugged(given, _network_precision(given))
    wanted = {name: getattr(given, name) for name in (*requests.KINDS, *OTHERS)}
    measure = None if given.unit is None else given.measure
    return requests.parse(bundle, **wanted, network=network, measure=measure, check=not given.no_check)


def typed(given: argparse.Namespace) -> list[str]:
    """The words that ask another command for the same request."""
    words: list[str] = []
    for name in (*requests.KINDS, *OTHERS, "measure", "no_check", "network", *INPUT):
        value = getattr(given, name)
        if not _is_given(given, name) or (name == "measure" and given.unit is None):
            continue  # without a unit the measure is one of the recipe
        if isinstance(value, list):
            words += [_flag(name), *map(str, value)]
        elif value is True:
            words.append(_flag(name))
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"{_flag(name)}={text}"] if text.startswith("-") else [_flag(name), text]
    if given.network not in (None, loaders.BUNDLE_CLASSIFIER) and (precision := _network_precision(given)) != "auto":
        words += ["--network-precision", precision]
    return words


def check_described(given: argparse.Namespace) -> None:
    """Raises ValueError for flags of a network's input without the network."""
    loose = [_flag(name) for name in NETWORK if hasattr(given, name) and _is_given(given, name)]
    if loose and given.network is None:
        raise ValueError(f"got {', '.join(loose)} without --network, expected the network they describe: add --network NAME")


def _check_network(given: argparse.Namespace, kinds: list[str]) -> None:
    check_described(given)
    if given.network is None or set(kinds) & set(requests.OF_NETWORK):
        return
    if "condition" in kinds:
        raise ValueError("got --network and --condition, expected one of them: build the network inside the function")
    if kinds:
        raise ValueError("got --network with words, expected --captioner or --similarity: name the model that reads them there")
    raise ValueError(f"which class or unit of {given.network}? add --class INDEX or --unit LAYER:UNIT (see `ppgn layers`)")


def _check_kinds(given: argparse.Namespace, bundle: Bundle, kinds: list[str]) -> None:
    """Raises ValueError where nothing is asked for, and for weights of something else than the kinds."""
    if not kinds and given.weight:
        raise ValueError(
            "got --weight without a request, expected what they weigh: add --class NAME, --unit LAYER:UNIT or another request"
        )
    if not kinds and not any(_is_given(given, name) for name in OTHERS):
        has = f"has {', '.join(bundle.classes)}" if bundle.classes else "has no classes"
        raise ValueError(f"which class? add --class NAME (or all), --unit, --caption, --text or --condition; {bundle.name} {has}")
    if len(given.weight) > 1 and 1 < len(kinds) != len(given.weight):
        flags = " and ".join(_flag(name) for name in kinds)
        raise ValueError(f"got {len(given.weight)} numbers with --weight for {flags}, expected as many: give one for each")


def _check_measure(given: argparse.Namespace) -> None:
    """Raises ValueError for a measure or a temperature that no part of the request uses."""
    measured = bool(given.class_) or bool(given.caption and given.captioner is None)
    if given.measure is not None and not measured and given.unit is None:
        raise ValueError("got --measure without --class, --unit or --caption, expected one of them to measure: leave it out")
    if given.temperature is not None and not measured:
        raise ValueError("got --temperature without --class or --caption, expected one whose softmax it is for: leave it out")


def _network_precision(given: argparse.Namespace) -> str:
    """The typed precision, else that in the samples.json of --settings, else auto, or float32 for a method of the papers."""
    typed = given.network_precision
    if given.network == loaders.BUNDLE_CLASSIFIER:
        if typed == "bfloat16":
            raise ValueError(
                f"got --network-precision {typed} with {given.network}, expected another network: use --precision for the "
                f"bundle's own"
            )
        return "float32"
    stored = None if given.settings is None else recipes.stored_network_precision(given.settings)
    return typed or stored or ("auto" if given.recipe is None else "float32")


def _is_given(given: argparse.Namespace, name: str) -> bool:
    return getattr(given, name) not in (None, [], False)


def _flag(name: str) -> str:
    return f"--{name.strip('_').replace('_', '-')}"
