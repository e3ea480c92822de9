"""`my_module:function`: what a user's own file holds, imported from the working directory or installed."""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path
from typing import Any

from ppgn.faults import told


def attribute(spec: str) -> Any:
    """What `my_module:function` names, which must be callable. Raises ValueError where there is no such thing."""
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        raise ValueError(
            f"cannot read {spec!r}, expected my_module:function: write the file's name without .py, then the function's"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as fault:  # importing runs a user's code
        if isinstance(fault, ModuleNotFoundError) and fault.name and f"{module_name}.".startswith(f"{fault.name}."):
            raise ValueError(f"no module {module_name!r} in {here} or installed: write {module_name}.py there") from fault
        raise ValueError(f"the module {module_name!r} cannot be imported ({told(fault)}): correct it") from fault
    found = getattr(module, name, None)
    if not callable(found):
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        nearest = ", ".join(difflib.get_close_matches(name, there, 3, cutoff=0)) or "none"
        raise ValueError(f"{module.__name__} ({module.__file__}) has no function {name!r}: name one of those it has ({nearest})")
    return found
