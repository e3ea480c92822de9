"""What the chains of `ppgn sample` are asked for: classes of the bundle or of another network, units, words, or a function."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ppgn import named
from ppgn.bundle import Bundle
from ppgn.cli.target import Asked
from ppgn.cli.words import captions, check_words, texts
from ppgn.conditions import Unit, UnitAddress
from ppgn.conditions.classes import at_target
from ppgn.conditions.units import vector_at
from ppgn.probe import Layer, Seen
from ppgn.probe.seen import weights_dtype
from ppgn.recipes import Settings, class_index
from ppgn.recipes.classes import Target, target_of
from ppgn.recipes.wiring import CLASS_CONDITIONS
from ppgn.speed import DTYPES
from ppgn.types import Condition, Image

OPTIONS = {"classes": "--class", "unit": "--unit", "caption": "--caption", "text": "--text", "condition": "--condition"}
NETWORK_OPTIONS = ("weights", "size", "mean", "std", "bgr")
OWN = "bundle:classifier"


def asked_for(given: argparse.Namespace, bundle: Bundle, settings: Settings) -> Asked:
    """What the options ask for, tried once. Raises ValueError where they do not fit each other, the network or the bundle."""
    _check_kinds(given, bundle)
    if given.condition is not None:
        function = named.condition(given.condition, bundle)
        return Asked("condition", {0: given.condition}, lambda _: function, {"condition": given.condition}, probability=False)
    if given.unit is not None:
        return _units(given, bundle)
    if given.caption:
        return captions(given, bundle)
    if given.text:
        return texts(given, bundle)
    if given.network is not None:
        return _network_classes(given, bundle, settings)
    about = {"network": "bundle:classifier"}
    chosen = {target: class_name(bundle, target) for target in classes_asked(given.classes, bundle)}
    return Asked("class", chosen, lambda targets: targets, about, settings.gradient != "logit", plugged=False)


def classes_asked(wanted: Sequence[str], bundle: Bundle) -> list[Target]:
    """The classes listed: names, "all" of the first group, "GROUP:all" of any. Where they come from several groups
    ("type:Handbags" and "colour:Red"), every class of one group with every one of the others."""
    groups = bundle.class_groups
    every = {f"{group}:all": span for group, span in groups.items()} | {"all": next(iter(groups.values()))}
    found: list[Target] = []
    for name in wanted:
        found += range(*every[name]) if name in every else [target_of(bundle.class_names, name)]
    if any(isinstance(target, tuple) for target in found):
        return found
    by_group = [[one for one in found if isinstance(one, int) and first <= one < last] for first, last in groups.values()]
    by_group = [own for own in by_group if own]
    return found if len(by_group) == 1 else list(itertools.product(*by_group))


def class_name(bundle: Bundle, target: Target) -> str:
    """Its name, or the names of all of them."""
    return bundle.class_names[target] if isinstance(target, int) else " & ".join(bundle.class_names[one] for one in target)


def kind_of(given: argparse.Namespace) -> str:
    """What the options ask for, as `recipes.settings_for` calls it."""
    if given.caption and given.captioner is None:
        return "caption"
    plugged = (given.network, given.unit, given.condition, given.caption or None, given.text or None)
    return "class" if plugged == (None,) * 5 else "plugged"


def _check_kinds(given: argparse.Namespace, bundle: Bundle) -> None:
    kinds = ("classes", "unit", "caption", "text", "condition")
    asked = [OPTIONS[name] for name in kinds if getattr(given, name) not in (None, [])]
    check_words(given)
    if not asked and given.network is not None:
        raise ValueError(f"which class or unit of {given.network}? add --class INDEX or --unit LAYER:UNIT (see `ppgn layers`)")
    if not asked:
        listed = ", ".join(bundle.class_names)
        raise ValueError(
            f"which class? add --class NAME (or all), --unit, --caption, --text or --condition; {bundle.name} has {listed}"
        )
    if len(asked) > 1:
        raise ValueError(
            f"got {' and '.join(asked)}, expected one kind of condition: leave the others out, or add them up in a --condition"
        )
    if given.measure is not None and given.unit is None:
        raise ValueError("got --measure without --unit, expected a unit to measure: leave it out or add --unit LAYER:UNIT")
    if given.condition is not None and given.network is not None:
        raise ValueError("got --network and --condition, expected one of them: build the network inside the function")
    if given.network is not None and (given.caption or given.text):
        raise ValueError("got --network with words, expected --captioner or --similarity: name the model that reads them there")
    options = (*NETWORK_OPTIONS, "network_precision")
    loose = [f"--{name.replace('_', '-')}" for name in options if getattr(given, name) not in (None, False)]
    if loose and given.network is None:
        raise ValueError(f"got {', '.join(loose)} without --network, expected the network they describe: add --network NAME")


def _seen(given: argparse.Namespace, bundle: Bundle, layers: Sequence[str]) -> Seen:
    """The network, of which these layers, or with none its output, will be looked at."""
    options = {option: getattr(given, option) for option in NETWORK_OPTIONS}
    if given.network in (None, OWN):
        if given.network_precision not in (None, "float32"):
            raise ValueError(f"got --network-precision with {OWN}, expected another one: --precision is for the bundle's own")
        return named.network(OWN, bundle=bundle, **options)
    seen = named.network(given.network, **options, bundle=bundle, layers=layers)
    seen.network.to(bundle.device)
    images = _colours(named.two_images(bundle), seen, bundle)
    precision = given.network_precision or _stored_precision(given) or ("auto" if given.recipe is None else "float32")
    return named.quick(seen, images, precision, name=given.network, layers=layers)


def _stored_precision(given: argparse.Namespace) -> str | None:
    """What a samples.json given as --settings says that the network ran in."""
    if given.settings is None:
        return None
    about = json.loads(Path(given.settings).read_text(encoding="utf-8")).get("condition")
    found = about.get("network_precision") if isinstance(about, dict) else None
    return found if found in DTYPES else None


def _precision_of(seen: Seen) -> str:
    return str(weights_dtype(seen.network)).removeprefix("torch.")


def _units(given: argparse.Namespace, bundle: Bundle) -> Asked:
    address = UnitAddress.parse(given.unit)
    seen = _seen(given, bundle, (address.layer,))
    measure = given.measure or "activation"
    value = _tried(_coloured(Layer(seen, address.layer), seen, bundle), given, bundle)
    vector = vector_at(value, address.position, None, address.layer)
    units = tuple(range(vector.shape[1])) if address.units is None else address.units
    units = units if isinstance(units, tuple) else (units,)
    at_target(vector.expand(len(units), -1), units, f"the layer {address.layer!r}")
    where = "" if address.position is None else "@" + given.unit.rpartition("@")[2]

    def make(targets: Sequence[int]) -> Condition:
        chosen = dataclasses.replace(address, units=tuple(targets))
        return _coloured(Unit(seen, chosen, measure=measure), seen, bundle)

    names = {unit: f"{address.layer}:{unit}{where}" for unit in units}
    about = {
        "network": given.network or OWN,
        "weights": given.weights,
        "network_precision": _precision_of(seen),
        "unit": given.unit,
        "measure": measure,
    }
    return Asked("unit", names, make, about, probability=measure != "activation")


def _network_classes(given: argparse.Namespace, bundle: Bundle, settings: Settings) -> Asked:
    seen = _seen(given, bundle, ())
    logits = _coloured(seen, seen, bundle)
    scores = _tried(logits, given, bundle)
    if scores.ndim != 2:
        shape = list(scores.shape)
        raise ValueError(f"{given.network} returned {shape} for one image, expected [1, class]: use --unit, or another network")
    listed = named.class_names(given.network, bundle)
    known = listed if len(listed) == scores.shape[1] else tuple(str(index) for index in range(scores.shape[1]))
    all_of_them = given.classes == ["all"]
    wanted = range(len(known)) if all_of_them else [class_index(known, name, given.network) for name in given.classes]

    def make(targets: Sequence[int]) -> Condition:
        return CLASS_CONDITIONS[settings.gradient](lambda image: logits(image) / settings.temperature, tuple(targets))

    about = {"network": given.network, "weights": given.weights, "network_precision": _precision_of(seen)}
    return Asked("class", {index: known[index] for index in wanted}, make, about, settings.gradient != "logit")


def _coloured(function: Callable[[Image], Tensor], seen: Seen, bundle: Bundle) -> Callable[[Image], Tensor]:
    """The function, shown grey images three times where its network wants colours."""
    return lambda image: function(_colours(image, seen, bundle))


def _colours(image: Image, seen: Seen, bundle: Bundle) -> Image:
    wanted = named.input_channels(seen.network, bundle.channels)
    if wanted == bundle.channels:
        return image
    if bundle.channels != 1:
        raise ValueError(
            f"the network takes {wanted} channels, {bundle.name} makes images of {bundle.channels}, expected as many: "
            f"use another network, or convert them in a --condition"
        )
    return image.expand(-1, wanted, -1, -1)


def _tried(function: Callable[[Image], Tensor], given: argparse.Namespace, bundle: Bundle) -> Tensor:
    """The function's value for one black image, so that what cannot work is said before the chains run."""
    weight = next(bundle.generator.parameters())
    try:
        with torch.no_grad():
            return function(weight.new_zeros(1, bundle.channels, bundle.image_size, bundle.image_size))
    except (RuntimeError, TypeError, AttributeError, IndexError, AssertionError) as fault:
        reason = " ".join(str(fault).split())[:200]
        fix = "leave --network-precision out" if given.network_precision == "bfloat16" else "check --size and --mean"
        raise ValueError(
            f"{given.network or bundle.name} failed on an image ({type(fault).__name__}: {reason}): {fix}"
        ) from fault
