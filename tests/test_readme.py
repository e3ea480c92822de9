"""The promises of README and docs: commands are understood, names, links and pictures exist, and README's Python runs."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from ppgn import cli

ROOT = Path(__file__).parents[1]
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])}
README = PAGES["README.md"]
OF_TODAY = [page for page in PAGES if page != "CHANGELOG.md"]
"""Pages whose names must exist; the changelog also names what is gone."""
PROPOSED = {f"ppgn/{file}.py" for file in (
    "conditions/bright", "priors/shrink", "generators/stripes", "samplers/momentum", "samplers/hill_climb", "starts/sparse",
)}  # fmt: skip
"""Files that docs/extend.md proposes to its reader."""
BENCHMARKS = "".join(path.read_text() for path in ROOT.glob("benchmarks/*.py"))
WIDTH = 120


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(page: str, program: str) -> list[list[str]]:
    """The words of every command of a page that begins with the program, without that."""
    text = "\n".join(blocks("bash", PAGES[page])).replace("\\\n", " ")
    parts = [part.strip() for line in text.splitlines() for part in line.split("&&")]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith(f"{program} ")]


@pytest.fixture
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of docs/extend.md, importable: a command that names its parts has their flags."""
    module = [block for block in blocks("python", PAGES["docs/extend.md"]) if block.startswith("# my_module.py")]
    (tmp_path / "my_module.py").write_text("\n\n".join(module))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_module", None)
    yield
    sys.modules.pop("my_module", None)


def test_the_python_of_the_readme_runs_and_writes_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "churches.png").stat().st_size > 1000
    assert (tmp_path / "bright.png").stat().st_size > 1000


def test_the_readme_spells_exactly_two_set_up_commands_first() -> None:
    lines = [line for line in blocks("bash")[0].splitlines() if line]
    assert lines == [
        "pip install -e . && ppgn sample natural128 --class church --out church.png",
        'pip install -e ".[dev]" && pytest -n 2 --dist loadfile -m "not alone" && pytest -m alone',
    ]


def test_pages_with_commands_are_found() -> None:
    assert len(commands("README.md", "ppgn")) >= 2
    assert {page for page in PAGES if commands(page, "ppgn")} >= {"README.md", "docs/extend.md", "docs/original-weights.md"}


@pytest.mark.parametrize("page", PAGES)
def test_every_ppgn_command_of_a_page_is_understood(page: str, my_module: Any) -> None:
    for words in commands(page, "ppgn"):
        assert cli.parse(words).command == words[0]


@pytest.mark.parametrize("page", PAGES)
def test_every_script_of_a_page_exists_and_the_benchmarks_know_its_flags(page: str) -> None:
    for file, *words in commands(page, "python"):
        assert (ROOT / file).is_file(), file
        if file.startswith("benchmarks/"):
            assert [word for word in words if word.startswith("--") and f'"{word}"' not in BENCHMARKS] == [], file


@pytest.mark.parametrize("page", PAGES)
def test_every_local_link_and_picture_of_a_page_exists(page: str) -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if "://" not in target]
    assert targets or page != "README.md"
    for target in targets:
        file, _, section = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        assert not section or f'<a id="{section}"></a>' in path.read_text(), target


@pytest.mark.parametrize("page", OF_TODAY)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"(?:ppgn|training|scripts|benchmarks|tests)/[\w/.*]*\.(?:py|yaml)", PAGES[page]))
    assert named or page != "README.md"
    assert {name for name in named if not list(ROOT.glob(name))} == (PROPOSED if page == "docs/extend.md" else set())


@pytest.mark.parametrize("page", OF_TODAY)
def test_every_name_of_ppgn_that_a_page_gives_exists(page: str) -> None:
    for name in set(re.findall(r"\bppgn(?:\.[A-Za-z_]\w*)+", PAGES[page])):
        found: Any = importlib.import_module("ppgn")
        for part in name.split(".")[1:]:
            if not hasattr(found, part):
                importlib.import_module(f"{found.__name__}.{part}")
            found = getattr(found, part)


@pytest.mark.parametrize("page", PAGES)
def test_lines_of_a_page_are_short_enough_to_read(page: str) -> None:
    assert [line for line in PAGES[page].splitlines() if len(line) > WIDTH] == []
