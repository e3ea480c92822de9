"""Shared by benchmarks that sample: settings from the command line, the recipe that they make, and a run step by step."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ppgn
from ppgn import recipes, requests, sampling
from ppgn.bundle import Bundle
from ppgn.types import Code, Evaluation


def add_settings(options: argparse.ArgumentParser, of: str = "the bundle's") -> None:
    """Add --set KEY=VALUE, which gives a list of (flat name of a setting, value)."""
    options.add_argument("--set", nargs="*", default=[], type=setting, metavar="KEY=VALUE",
                         help=f"settings that replace {of}, such as steps=50 step_size=0.2:0.05 (start and end)")  # fmt: skip


def picture_options(about: str | None, bundle: str) -> argparse.ArgumentParser:
    """The options of a script that makes a picture of the docs: --bundle, --seed and --docs."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default=bundle, help="name or folder (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="of the first chain of each row (default: 0)")
    options.add_argument("--docs", type=Path, default=Path("docs"), help="folder for the picture (default: docs)")
    return options


def setting(text: str) -> tuple[str, Any]:
    """ "steps=50" -> ("steps", 50); see `value_of`. Raises ArgumentTypeError without an equals sign."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected KEY=VALUE: write precision=float32, say")
    return name, value_of(value)


def value_of(text: str) -> Any:
    """The text as an int or a float; as it is where it is neither, so that a recipe reads "0.2:0.05" as a start and an end."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def recipe_of(bundle: Bundle, changes: Mapping[str, Any], kind: str = "class") -> ppgn.Recipe:
    """The bundle's recipe with some settings changed by their flat names; "recipe" names a method of the papers to start from."""
    others = {name: value for name, value in changes.items() if name != "recipe"}
    return recipes.recipe_for(bundle, kind, changes.get("recipe"), **others)


def evaluations(
    bundle: Bundle, wanted: Any, seeds: Sequence[int], recipe: ppgn.Recipe, code: Code | None = None
) -> Iterator[Evaluation]:
    """The evaluations of one batch of chains, step by step. wanted: as `ppgn.sample`; code: where the chains begin."""
    request = requests.of(bundle, wanted, len(seeds))
    setup = recipes.prepare(bundle, recipe, request)
    yield from sampling.evaluations(setup, recipes.objective(setup, request), seeds, code)


@contextmanager
def exit_on_mistake() -> Iterator[None]:
    """End the process with one sentence and status 2 where a ValueError rises."""
    try:
        yield
    except ValueError as fault:
        print(f"error: {fault}", file=sys.stderr)
        raise SystemExit(2) from fault
