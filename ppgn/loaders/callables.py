"""`my_module:function` or `my_file.py:function` -> the function, or its result."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ppgn.errors import one_line


def import_callable(spec: str) -> Any:
    """Imports the function or class that `my_module:function` or `folder/my_file.py:function` names.

    A module is searched in the working directory first. Raises ValueError where there is none."""
    module_name, colon, name = spec.rpartition(":")
    if not (module_name and colon and name):
        raise ValueError(
            f"cannot read {spec!r}, expected my_module:function or my_file.py:function: write the module or the "
            f"file, a colon and the function"
        )
    is_file = module_name.endswith(".py")
    if "/" in module_name and not is_file:
        raise ValueError(f"cannot read {spec!r}, expected the name of a module or of a file: write {module_name}.py:{name}")
    module = _of_file(Path(module_name)) if is_file else _of_name(module_name)
    found = getattr(module, name, None)
    if not callable(found):
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        nearest = ", ".join(difflib.get_close_matches(name, there, 3, cutoff=0)) or "none"
        where = f"{module.__name__} ({module.__file__})"
        raise ValueError(f"{where} has no function {name!r}, expected an existing one: name one of those it has ({nearest})")
    return found


def _of_name(name: str) -> ModuleType:
    here = _on_path(Path.cwd())
    try:
        return importlib.import_module(name)
    except Exception as fault:  # importing runs a user's code, which can raise anything
        if isinstance(fault, ModuleNotFoundError) and fault.name and f"{name}.".startswith(f"{fault.name}."):
            expected = f"expected it in {here} or installed"
            raise ValueError(f"there is no module {name!r}, {expected}: write {name}.py there") from fault
        raise ValueError(f"the module {name!r} cannot be imported ({one_line(fault)}): correct this error") from fault


def _of_file(file: Path) -> ModuleType:
    """The module of a file: that of its name in the working directory, else one whose name is the path, so that what is stored
    of it (`module:Name`) finds it again."""
    if not file.is_file():
        raise ValueError(f"there is no file {file}: check the path")
    path, name = file.resolve(), str(file)
    if path.parent == Path.cwd() and file.stem.isidentifier():
        module = _of_name(file.stem)
        if Path(getattr(module, "__file__", None) or "").resolve() == path:
            return module
    if name in sys.modules:
        return sys.modules[name]
    _on_path(path.parent)
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None and found.loader is not None, "a .py file has a loader"
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as fault:  # a user's code can raise anything
        del sys.modules[name]
        raise ValueError(f"the file {file} cannot be imported ({one_line(fault)}): correct this error") from fault
    return module


def _on_path(folder: Path) -> str:
    """The folder, in which modules are searched first."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return str(folder)


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
