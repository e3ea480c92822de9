"""docs/extend.md: its module imports, its Python runs, its commands run, and a shipped part is a file and a line in a table."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ppgn
from ppgn import cli, priors, samplers, starts

PAGE = (Path(__file__).parents[1] / "docs" / "extend.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line]
MODULE = [block for block in PYTHON if block.startswith("# my_module.py")]
USES = [block for block in PYTHON if not block.startswith("# my_module.py")]
MOST_LINES = {"bright": 3, "Shrink": 4, "stripes": 6, "Momentum": 15, "HillClimb": 15}
"""What design promises of each part, docstrings, decorators, blank lines and imports left out."""


@pytest.fixture
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The page's module, importable from the working directory."""
    (tmp_path / "my_module.py").write_text("\n\n".join(MODULE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_module", None)
    yield importlib.import_module("my_module")
    sys.modules.pop("my_module", None)


def shortened(block: str) -> str:
    """The block with fewer chains and steps."""
    return re.sub(r"count=\d+, steps=\d+", "count=2, steps=3", block)


@pytest.mark.parametrize("number", range(len(USES)))
def test_the_python_of_the_page_runs(number: int, my_module: object) -> None:
    exec(compile(shortened(USES[number]), "docs/extend.md", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page_run(command: str, my_module: object, tmp_path: Path) -> None:
    arguments = shlex.split(command)[1:]
    out = [] if "--out" in arguments else ["--out", "out.png"]
    assert cli.main([*arguments, *out, "--count", "2", "--steps", "3"]) == 0
    assert list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("name", MOST_LINES)
def test_a_part_is_as_short_as_promised(name: str) -> None:
    block = next(block for block in MODULE if re.search(rf"(def|class) {name}\b", block))
    body = block[re.search(rf"^(def|class) {name}\b", block, re.MULTILINE).start() :]  # type: ignore[union-attr]
    body = re.sub(r'""".*?"""', "", body, flags=re.DOTALL)
    lines = [line for line in body.splitlines() if line.strip() and not line.strip().startswith(("#", "@"))]
    assert len(lines) <= MOST_LINES[name], lines


def test_a_shipped_sampler_prior_and_start_are_a_line_in_their_tables(
    my_module: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The three tables are all that has to know a new file: recipes, their JSON and the command line follow."""
    monkeypatch.setitem(samplers.SAMPLERS, "momentum", my_module.Momentum)  # type: ignore[attr-defined]
    monkeypatch.setitem(priors.PRIORS, "shrink", my_module.Shrink)  # type: ignore[attr-defined]
    monkeypatch.setitem(starts.STARTS, "sparse", my_module.MyStart)  # type: ignore[attr-defined]
    bundle = ppgn.load("imagenette64")
    changes = {"sampler": "momentum", "step_size": 0.3, "decay": 0.8, "prior": "shrink", "start": "sparse", "start_scale": 5.0}
    made = ppgn.sample(bundle, "church", count=2, steps=2, **changes)
    stored = made.recipe.to_json()
    assert stored["sampler"] == {"name": "momentum", "step_size": 0.3, "prior_scale": 0.15, "decay": 0.8}
    assert stored["prior"] == {"name": "shrink"} and stored["start"] == {"name": "sparse", "scale": 5.0}
    assert ppgn.Recipe.from_json(stored).to_json() == stored
    flags = ["--sampler", "momentum", "--step-size", "0.3", "--decay", "0.8", "--prior", "shrink", "--start", "sparse"]
    asked = ["sample", "imagenette64", "--class", "church", "--count", "1", "--steps", "2", "--start-scale", "5"]
    assert cli.main([*asked, *flags, "--out", str(tmp_path / "shipped.png")]) == 0
