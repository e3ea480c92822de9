"""bundle.json: which fields it has, of which types, and how its code space becomes a `CodeSpace`."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.conditions import class_groups
from ppgn.errors import BundleError, check_amount, one_line, printable
from ppgn.images import write_atomically
from ppgn.types import CodeSpace, ImageSpec

FILE, FORMAT, VERSION = "bundle.json", "ppgn-bundle", 2
KINDS = ("class", "plugged", "caption")
"""Kinds of request for which a bundle may hold a recipe."""
NEEDED = {"name": str, "parts": dict, "code": dict, "image": dict}
OPTIONAL: dict[str, Any] = {
    "classes": [], "recipes": {}, "papers": {}, "precisions": [], "alternatives": False, "groups": [], "training": {}, "data": {},
    "licence": "unstated",
    "source": "unstated", "scores": {},
}  # fmt: skip
"""Field -> its value in a bundle.json that leaves it out."""
FIELDS: dict[str, type] = {"format": str, "version": int, **NEEDED, **{name: type(value) for name, value in OPTIONAL.items()}}
SPACE = ("shape", "low", "high", "mean", "std", "relu")
"""Fields of "code" that are those of CodeSpace; what else stands there are facts measured beside them."""
WORDS = {str: "text", dict: "an object", list: "a list", int: "a whole number", float: "a number", bool: "true or false"}


def read_json(folder: Path) -> dict[str, Any]:
    """bundle.json of any version, as it stands there. Raises BundleError where it cannot be read or is of something else."""
    path = folder / FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as fault:
        raise BundleError(f"{path} cannot be read ({one_line(fault)}): download or export the bundle again") from fault
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise BundleError(f"{path} is not a ppgn bundle, expected the format {FORMAT!r}: give the folder that an export wrote")
    return info


def write_json(folder: Path, info: Mapping[str, Any]) -> None:
    """Writes bundle.json beside its place and moves it there, so that a killed process leaves the old one whole."""
    text = json.dumps(info, indent=1, default=str) + "\n"
    write_atomically(folder / FILE, lambda place: place.write_text(text, encoding="utf-8"))


def checked(info: Mapping[str, Any]) -> dict[str, Any]:
    """A description of version 2, its optional fields filled in. Raises BundleError for a missing, unknown or wrong field."""
    check_fields("the bundle", info, FIELDS, NEEDED)
    filled: dict[str, Any] = {
        name: info[name] if name in info else type(OPTIONAL[name])(OPTIONAL[name])
        for name in FIELDS
        if name in info or name in OPTIONAL
    }
    if "generator" not in filled["parts"]:
        raise BundleError(f"the bundle has the parts {list(filled['parts'])}, expected a generator: export the bundle again")
    for name in ("classes", "precisions", "groups"):
        for value in filled[name]:
            if not isinstance(value, str):
                raise BundleError(f"its field {name} holds {reprlib.repr(value)}, expected a list of texts: correct it")
    for name in ("name", "licence", "source", "classes", "groups", "parts"):
        _check_text(name, [filled[name]] if isinstance(filled[name], str) else list(filled[name]))
    try:
        class_groups(filled["classes"], filled["groups"])
    except ValueError as fault:
        raise BundleError(str(fault)) from fault
    for name in ("recipes", "papers"):
        check_fields(f"its field {name}", filled[name], dict.fromkeys(KINDS, dict))
        for recipe in filled[name].values():
            _check_members(f"its field {name}", recipe)
    image_spec(filled["image"])
    code_space(filled["code"])
    return filled


def _check_text(field: str, values: Collection[str]) -> None:
    """Raises BundleError for control characters and lone surrogates, which would reach the terminal with every message."""
    for value in values:
        if printable(value) != value:
            raise BundleError(
                f"its field {field} holds {reprlib.repr(value)}, expected text without control characters: correct it"
            )


def _check_members(where: str, recipe: Mapping[str, Any]) -> None:
    """Raises BundleError for a member of another module: whoever loads a bundle does not ask for code to be imported and run."""
    for member, stored in recipe.items():
        named = stored.get("name") if isinstance(stored, Mapping) else None
        if isinstance(named, str) and ":" in named:
            raise BundleError(
                f"{where} has the {member} {named!r}, expected a name without a module: leave it out, and pass it to the run"
            )


def check_fields(where: str, given: Mapping[Any, Any], known: Mapping[Any, type], needed: Collection[str] = ()) -> None:
    """Raises BundleError unless `given` has the needed fields, no unknown ones, and values of the known types."""
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise BundleError(f"{where} lacks {', '.join(lacking)}, expected {', '.join(needed)}: export the bundle again")
    for name, value in given.items():
        if name not in known:
            raise BundleError(f"{where} has the unknown field {name!r}, expected {', '.join(known)}: correct it, or update ppgn")
        if not is_a(value, known[name]):
            got = reprlib.repr(value)
            raise BundleError(f"{where} has {name} {got}, expected {WORDS[known[name]]}: correct it, or export the bundle again")


def is_a(value: Any, kind: type) -> bool:
    """Whether a value of JSON is of that type; a whole number is a number too, true and false are none."""
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, kind)


def image_spec(image: Mapping[str, Any]) -> ImageSpec:
    """The field "image". Raises BundleError unless it has height, width and channels of at least 1."""
    fields = dict.fromkeys(("height", "width", "channels"), int)
    check_fields("its image", image, fields, fields)
    try:
        spec = ImageSpec(**image)
        check_amount(f"its images have {spec.height}x{spec.width}x{spec.channels} values", math.prod(spec.shape))
        return spec
    except ValueError as fault:
        raise BundleError(str(fault)) from fault


def code_space(code: Mapping[str, Any]) -> CodeSpace:
    """The field "code" without the facts measured beside it; lists of numbers, one per unit, become float32 tensors.

    Raises BundleError where a field has another type, another shape than the code, or a low bound above the high one.
    """
    shape = code.get("shape")
    if not isinstance(shape, list) or not all(is_a(side, int) and side > 0 for side in shape):
        raise BundleError(f"its code has the shape {reprlib.repr(shape)}, expected a list of whole numbers above 0: correct it")
    if not isinstance(code.get("relu", False), bool):
        raise BundleError(f"its code has relu {reprlib.repr(code['relu'])}, expected true or false: correct it")
    try:
        check_amount(f"its codes have {reprlib.repr(math.prod(shape))} units", math.prod(shape))
    except ValueError as fault:
        raise BundleError(str(fault)) from fault
    numbers = {name: _units(name, code[name], shape) for name in ("low", "high", "mean", "std") if code.get(name) is not None}
    try:
        return CodeSpace(tuple(shape), **numbers, relu=code.get("relu", False))
    except ValueError as fault:
        raise BundleError(f"its field code is wrong: {fault}") from fault


def _units(name: str, value: Any, shape: list[int]) -> float | Tensor:
    try:
        if is_a(value, float):
            return float(value)
        found = torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError) as fault:
        got = reprlib.repr(value)
        raise BundleError(f"its code has {name} {got}, expected a number or one per unit: correct it") from fault
    if list(found.shape) != shape:
        raise BundleError(f"its code has {name} of shape {list(found.shape)}, expected {shape}, one per unit: correct it")
    return found


def code_json(space: CodeSpace) -> dict[str, Any]:
    """A code space as the field "code"; `code_space` gives the same one back."""
    return {name: list(value) if name == "shape" else _plain(value) for name in SPACE for value in [getattr(space, name)]}


def _plain(value: Any) -> Any:
    """A tensor as nested lists of the shortest decimal numbers that stand for its values (19.7863, not 19.786300659179688)."""
    if not isinstance(value, Tensor):
        return value
    array = value.detach().cpu().numpy()
    return np.array([float(str(number)) for number in array.flat]).reshape(array.shape).tolist()
