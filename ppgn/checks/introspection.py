"""The networks and tensors that a plug-in can reach, inside a function, a method or an object, under the names it uses."""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Held: TypeAlias = list[tuple[str, nn.Module | Tensor]]
DEPTH = 10  # objective.terms[0].condition.conditions[0].layer.probe.network is 9 deep, the dictionary that holds it counted
BREADTH = 64  # entries of a list or a dictionary: networks stand in short ones
MOST = 20_000  # objects, so that a plug-in that holds half the program costs no more than a moment
PLAIN = (str, bytes, int, float, complex, type, type(None), torch.device, torch.dtype)


def held(plugin: Any) -> Held:
    """The networks and tensors that a function or an object holds, nearest first, each with the name that leads to it.

    Looked into: closure cells, defaults and named globals of functions, the object of a method, `functools.partial`, attributes
    of objects and of their classes, lists, tuples and dictionaries; no code of the plug-in is run.
    """
    found: Held = []
    seen: dict[int, object] = {}  # the objects too, so that no id is used again
    pending: deque[tuple[str, Any, int]] = deque([("", plugin, 0)])
    while pending and len(seen) < MOST:
        name, value, depth = pending.popleft()
        if id(value) in seen or isinstance(value, PLAIN):
            continue
        seen[id(value)] = value
        if isinstance(value, nn.Module | Tensor):
            found.append((name, value))
        if depth < DEPTH and not isinstance(value, Tensor):
            pending.extend((_join(name, part), inner, depth + 1) for part, inner in _parts(value))
    return found


def modules_in(things: Held) -> dict[str, nn.Module]:
    """Every module of the networks among them once, by its name: "network.layer1.0.bn1"."""
    found: dict[int, tuple[str, nn.Module]] = {}
    for name, network in things:
        if isinstance(network, nn.Module):
            for path, module in network.named_modules():
                found.setdefault(id(module), (_join(name, path) or type(module).__name__, module))
    return dict(found.values())


def tensors_in(things: Held) -> Iterator[tuple[str, Tensor]]:
    """Weights and buffers of the networks, and the tensors that stand alone, by name."""
    for name, thing in things:
        if isinstance(thing, Tensor):
            yield name, thing
        else:
            yield from ((_join(name, path), tensor) for path, tensor in chain(thing.named_parameters(), thing.named_buffers()))


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, types.FunctionType):
        return [] if _is_torchs(value.__module__) else [*_given(value), *_named(value)]
    if isinstance(value, types.MethodType):
        return [("", value.__self__), ("", value.__func__)]
    if isinstance(value, functools.partial):
        return [("", value.func), *_numbered(value.args), *value.keywords.items()]
    if isinstance(value, dict):
        return [(str(key), inner) for key, inner in islice(value.items(), BREADTH)]
    if isinstance(value, list | tuple | set | frozenset):
        return _numbered(value)
    return [] if isinstance(value, types.ModuleType) else _attributes(value)


def _given(function: types.FunctionType) -> list[tuple[str, Any]]:
    """The values in closure, defaults and attributes of a function."""
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    closed = [(name, cell.cell_contents) for name, cell in cells if cell != types.CellType()]  # not an empty one
    more = [*(function.__kwdefaults__ or {}).items(), *vars(function).items()]
    return [*closed, *zip(positional, defaults, strict=True), *more]


def _named(function: types.FunctionType) -> list[tuple[str, Any]]:
    """The globals that the code of a function names, and the attributes that it names of the Python modules among them."""
    names = list(_names(function.__code__))
    found = [(name, function.__globals__[name]) for name in names if name in function.__globals__]
    for name, value in list(found):
        if isinstance(value, types.ModuleType) and not _is_torchs(value.__name__):
            found += [(f"{name}.{inner}", vars(value)[inner]) for inner in names if inner in vars(value)]
    return found


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:  # lambdas and comprehensions inside
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Attributes of an object, of its slots, and the functions and networks of its class; of a network its public ones."""
    own = list(getattr(value, "__dict__", {}).items())
    if isinstance(value, nn.Module):
        own = [(name, inner) for name, inner in own if not name.startswith("_")]  # the rest is in named_modules
    kinds = [kind for kind in type(value).__mro__ if not _is_torchs(kind.__module__)]
    slots = [slot for kind in kinds for slot in getattr(kind, "__slots__", ())]
    own += [(slot, getattr(value, slot)) for slot in slots if hasattr(value, slot)]
    of_class = [(name, inner) for kind in kinds for name, inner in vars(kind).items()]
    networks = [(name, inner) for name, inner in of_class if isinstance(inner, nn.Module | Tensor)]
    return [*own, *networks, *(("", inner) for _, inner in of_class if isinstance(inner, types.FunctionType))]


def _numbered(values: Any) -> list[tuple[str, Any]]:
    return [(str(index), inner) for index, inner in enumerate(islice(values, BREADTH))]


def _is_torchs(module: str | None) -> bool:
    return (module or "").split(".")[0] in ("torch", "builtins")


def _join(name: str, part: str) -> str:
    return f"{name}.{part}" if name and part else name or part
