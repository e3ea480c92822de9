"""What a function does, as a short text that changes with its code or weights: an edited condition is another one."""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
import types
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ppgn.bundle import Bundle
from ppgn.requests.request import Request

WRAPPING = ("__wrapped__", "__func__", "fget")
"""Where decorators, class and static methods, and properties keep the function that they wrap."""
HOOKS = tuple(name for name in vars(nn.Module()) if "_hooks" in name)
"""Attributes in which a network keeps its hooks, under numbers that count those of the whole process."""
PLAIN = (PurePath, np.generic, torch.dtype, torch.device, range, slice)
"""Types whose `repr` says all that a value is."""


def source_of(request: Request) -> list[str]:
    """The fingerprints of all functions that a request asks for; none where it asks for classes or units."""
    several = getattr(request, "requests", None)
    if several is not None:
        return [found for one in several for found in source_of(one)]
    function = getattr(request, "function", None)
    return [] if function is None else [fingerprint(function)]


def weights_of(bundle: Bundle) -> dict[str, str]:
    """Part of a bundle -> the SHA-256 of its file, or the fingerprint of a part that was not loaded from one."""
    stored = {name: entry["sha256"] for name, entry in bundle.info.get("parts", {}).items()}
    return stored | {name: fingerprint(part, weights=True) for name, part in bundle.parts.items() if name not in stored}


NO_CODE = ("__doc__", "__firstlineno__", "__module__", "__annotations__", "__annotations_cache__")
"""Members of a class that are no code of it; Python adds annotations when somebody first asks for them."""


def fingerprint(function: Any, weights: bool = False) -> str:
    """Hexadecimal digits for the code of a function or object, of what it calls in the user's own modules, and for its constants.

    weights: whether the numbers in tensors and arrays count, too, of which otherwise only the shapes do. Comments and line
    numbers do not count; neither do installed packages, but for the names used.
    """
    return hashlib.sha256(repr(_Facts(weights).of(function)).encode(errors="backslashreplace")).hexdigest()[:16]


class _Facts:
    """Plain data that is equal for equal code. seen: the values met so far, kept so that none of them gives its id to another."""

    def __init__(self, weights: bool) -> None:
        self.weights = weights
        self.seen: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return value
        if isinstance(value, PLAIN):
            return repr(value)
        if id(value) in self.seen:
            return "seen before"
        self.seen[id(value)] = value
        if isinstance(value, Tensor | np.ndarray):
            return self._of_numbers(value)
        if isinstance(value, Mapping):
            held: list[Any] = [[str(key), self.of(one)] for key, one in value.items()]
        elif isinstance(value, list | tuple):
            held = [self.of(one) for one in value]
        elif isinstance(value, set | frozenset):
            held = sorted(repr(self.of(one)) for one in value)
        else:
            return self._of_code(value)
        own = _is_own(type(value).__module__)
        return [held, self.of(type(value)), self.of(_members(value))] if own else held

    def _of_code(self, value: Any) -> Any:
        inner = next((getattr(value, name) for name in WRAPPING if hasattr(value, name)), None)
        if isinstance(value, types.FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType()]
            own = [self._named(value), vars(value)] if _is_own(value.__module__) else []
            return [_code(value.__code__), self.of([value.__defaults__, value.__kwdefaults__, cells, own])]
        if isinstance(value, types.MethodType):
            return [self.of(value.__func__), self.of(value.__self__)]
        if isinstance(value, types.ModuleType):
            return value.__name__
        if isinstance(value, type):
            members = {name: one for name, one in vars(value).items() if name not in NO_CODE}
            own = [members, *value.__bases__] if _is_own(value.__module__) else None
            return [value.__qualname__, self.of(own)]
        if isinstance(value, functools.partial):
            return [self.of(part) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, torch.jit.ScriptModule):  # its members are not Python's
            return [getattr(value, "code", ""), self.of(value.state_dict())]
        module = type(value).__module__
        read = _is_own(module) or isinstance(value, nn.Module) or module.partition(".")[0] == "ppgn"
        return [self.of(type(value)), self.of(inner), self.of(_members(value)) if read else None]

    def _named(self, function: types.FunctionType) -> list[Any]:
        """The globals that a function names, and what it names in other modules of the user's."""
        names = _names(function.__code__)
        found = [function.__globals__[name] for name in names if name in function.__globals__]
        modules = [one for one in found if isinstance(one, types.ModuleType) and _is_own(one.__name__)]
        return found + [getattr(module, name) for module in modules for name in names if hasattr(module, name)]

    def _of_numbers(self, value: Tensor | np.ndarray) -> Any:
        if isinstance(value, Tensor) and is_lazy(value):
            return "not made yet"
        kind = [str(value.dtype), list(value.shape)]
        if not self.weights or (isinstance(value, Tensor) and (value.layout != torch.strided or value.is_meta)):
            return kind
        if isinstance(value, Tensor):
            flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
            value = (torch.view_as_real(flat) if flat.is_complex() else flat).view(torch.uint8).numpy()
        return [*kind, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]


def _members(value: Any) -> dict[str, Any]:
    """Name -> what an object holds: its dictionary, or what its copies hold (`__getstate__`), and the slots of its class and
    bases; of hooks without their numbers."""
    slots = [one for kind in type(value).__mro__ for one in vars(kind).values() if isinstance(one, types.MemberDescriptorType)]
    held = {one.__name__: getattr(value, one.__name__) for one in slots if hasattr(value, one.__name__)}
    said = getattr(type(value), "__getstate__", None)
    state = value.__getstate__() if said is not getattr(object, "__getstate__", None) else None
    held |= state if isinstance(state, dict) else getattr(value, "__dict__", {})
    hooks = {name: list(held[name].values()) for name in HOOKS if isinstance(value, nn.Module) and name in held}
    return held | hooks


def _code(code: types.CodeType) -> Any:
    def plain(constant: Any) -> Any:
        if isinstance(constant, types.CodeType):
            return _code(constant)
        return sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)  # a set has no order

    constants = [plain(one) for one in code.co_consts]
    return [code.co_code.hex(), constants, code.co_names, code.co_varnames]


def _names(code: types.CodeType) -> list[str]:
    """The names that code and the functions inside it look up."""
    inside = [name for one in code.co_consts if isinstance(one, types.CodeType) for name in _names(one)]
    return list(dict.fromkeys((*code.co_names, *inside)))


def _is_own(module: str | None) -> bool:
    """Whether a module is the user's own: of no installed package, and not ppgn. Code that `exec` made may have none."""
    if module is None:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.partition(".")[0] == "ppgn" or (file is None and module != "__main__"):
        return False
    installed = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")]
    return file is None or not any(Path(file).is_relative_to(folder) for folder in installed)
