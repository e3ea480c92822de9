"""What a function does, as a short text that changes with its code: an edited condition is another one."""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ppgn.requests import Request

WRAPPING = ("__wrapped__", "__func__", "fget")
"""Where decorators, class and static methods, and properties keep the function that they wrap."""


def source_of(request: Request) -> list[str]:
    """The fingerprints of all functions that a request asks for; none where it asks for classes or units."""
    several = getattr(request, "requests", None)
    if several is not None:
        return [found for one in several for found in source_of(one)]
    function = getattr(request, "function", None)
    return [] if function is None else [fingerprint(function)]


def fingerprint(function: Any) -> str:
    """Hexadecimal digits for the code of a function or object, of what it calls in its own module, and for its constants.

    Comments, line numbers and the weights of networks do not count; neither do installed packages, but for the names used.
    """
    return hashlib.sha256(repr(_facts(function, set())).encode()).hexdigest()[:16]


def _facts(value: Any, seen: set[int]) -> Any:
    """Plain data that is equal for equal code."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if id(value) in seen:
        return "seen before"
    seen.add(id(value))
    inner = next((getattr(value, name) for name in WRAPPING if hasattr(value, name)), None)
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType()]
        own = [value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__]
        bound = [value.__defaults__, value.__kwdefaults__, cells, own if _is_own(value.__module__) else []]
        return [_code(value.__code__), _facts(bound, seen)]
    if isinstance(value, types.MethodType):
        return [_facts(value.__func__, seen), _facts(value.__self__, seen)]
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, Tensor):
        return [str(value.dtype), list(value.shape)]
    if isinstance(value, Mapping):
        return [[str(key), _facts(one, seen)] for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [_facts(one, seen) for one in value]
    if isinstance(value, type):
        members = {name: one for name, one in vars(value).items() if name not in ("__doc__", "__firstlineno__", "__module__")}
        return [value.__qualname__, _facts(members, seen) if _is_own(value.__module__) else None]
    if isinstance(value, functools.partial):
        return [_facts(part, seen) for part in (value.func, value.args, value.keywords)]
    module = type(value).__module__
    read = _is_own(module) or isinstance(value, nn.Module) or module.partition(".")[0] == "ppgn"
    return [_facts(type(value), seen), _facts(inner, seen), _facts(getattr(value, "__dict__", None), seen) if read else None]


def _code(code: types.CodeType) -> Any:
    constants = [_code(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code.hex(), constants, code.co_names, code.co_varnames]


def _names(code: types.CodeType) -> list[str]:
    """The names that code and the functions inside it look up."""
    inside = [name for one in code.co_consts if isinstance(one, types.CodeType) for name in _names(one)]
    return list(dict.fromkeys((*code.co_names, *inside)))


def _is_own(module: str) -> bool:
    """Whether a module is the user's own: of no installed package, and not ppgn."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.partition(".")[0] == "ppgn" or (file is None and module != "__main__"):
        return False
    installed = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")]
    return file is None or not any(Path(file).is_relative_to(folder) for folder in installed)
