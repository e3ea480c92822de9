"""Reads the source of the house for tests/test_house.py: which file imports what, where, and which strings it holds."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def at(path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(ROOT)}:{line} {what}"


def check(rule: str, offenders: list[str]) -> None:
    assert not offenders, f"{rule}; {len(offenders)} break it:\n" + "\n".join(offenders)


def room(path: Path) -> str | None:
    """The room of a file of ppgn; None for its front doors, `__init__.py` and `__main__.py`, and for files of other folders."""
    parts = path.relative_to(ROOT).parts
    return parts[1].removesuffix(".py") if parts[0] == "ppgn" and parts[1] not in ("__init__.py", "__main__.py") else None


@functools.cache
def submodules(name: str) -> frozenset[str]:
    """The modules inside the package ppgn/name, none when it is a file."""
    return frozenset(path.stem for path in (ROOT / "ppgn" / name).glob("*") if path.suffix in ("", ".py")) - {"__init__"}


@functools.cache
def exports(name: str) -> frozenset[str]:
    """The names that `ppgn/name/__init__.py` binds."""
    bound: set[str] = set()
    for node in ast.walk(tree(ROOT / "ppgn" / name / "__init__.py")):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return frozenset(bound)


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, module, name) of every import, at the top and inside functions; name is "" where a whole module is imported.

    In ppgn a string such as "ppgn.caffe:CaffeNetwork" counts as one: somebody imports it later.
    """
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, "." * node.level + (node.module or ""), alias.name) for alias in node.names)
    if path.is_relative_to(ROOT / "ppgn"):
        named = [node for node in strings(path) if re.fullmatch(r"(ppgn|training)(\.\w+)+(:\w+)?", node.value)]
        yield from ((node.lineno, *node.value.partition(":")[::2]) for node in named)


def aliases(path: Path) -> dict[str, str]:
    """The names that imports bind in a file -> the dotted names that they stand for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
    return found


def mentions(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of what a file imports, and of the attributes that it takes of what it imported."""
    for line, module, name in imports(path):
        yield line, f"{module}.{name}" if name else module
    known = aliases(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in known and re.fullmatch(r"[\w.]+", rest):
                yield node.lineno, f"{known[first]}.{rest}"


def strings(path: Path) -> Iterator[ast.Constant]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node


def docstrings(path: Path) -> set[int]:
    """Lines on which a string begins that stands alone, as docstrings do."""
    return {node.value.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}


def lines(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate(path.read_text().splitlines(), start=1)


def is_inside(dotted: str, own: str | None) -> bool:
    """Whether a dotted name leads to a module inside a package of ppgn other than `own`."""
    parts = dotted.split(".")
    return len(parts) > 2 and parts[0] == "ppgn" and parts[1] != own and parts[2] in submodules(parts[1])


def is_private(name: str) -> bool:
    return re.match("_[^_]", name) is not None


def defined(*folders: str) -> set[str]:
    """The names of functions, classes, variables and attributes that files of these folders define."""
    found: set[str] = set()
    for path in files(*folders):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found
