"""`my_module:function` -> the function, or its result, from the working directory or an installed package."""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path
from typing import Any

from ppgn.errors import one_line


def import_callable(spec: str) -> Any:
    """Imports the function or class that `my_module:function` names. Raises ValueError where there is none."""
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        raise ValueError(
            f"cannot read {spec!r}, expected my_module:function: write the file's name without .py, a colon and the function"
        )
    if module_name.endswith(".py") or "/" in module_name:
        raise ValueError(
            f"cannot read {spec!r}, expected the name of a module, not of a file: write {Path(module_name).stem}:{name}, in the "
            f"folder of that file"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as fault:  # importing runs a user's code, which can raise anything
        if isinstance(fault, ModuleNotFoundError) and fault.name and f"{module_name}.".startswith(f"{fault.name}."):
            expected = f"expected it in {here} or installed"
            raise ValueError(f"there is no module {module_name!r}, {expected}: write {module_name}.py there") from fault
        raise ValueError(f"the module {module_name!r} cannot be imported ({one_line(fault)}): correct this error") from fault
    found = getattr(module, name, None)
    if not callable(found):
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        nearest = ", ".join(difflib.get_close_matches(name, there, 3, cutoff=0)) or "none"
        where = f"{module.__name__} ({module.__file__})"
        raise ValueError(f"{where} has no function {name!r}, expected an existing one: name one of those it has ({nearest})")
    return found


def result_of(spec: str, expected: str) -> Any:
    """The result of the function that `my_module:function` names. Raises ValueError where there is none, and where it fails.

    expected: the thing that it should return, in the error.
    """
    function = import_callable(spec)
    try:
        return function()
    except Exception as fault:  # a user's function can raise anything
        raise ValueError(
            f"{spec}() failed ({one_line(fault)}), expected {expected}: make it a function without arguments that returns one"
        ) from fault
