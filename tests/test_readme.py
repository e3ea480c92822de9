"""README's promises: its Python runs, its two commands are what .ci/run reads, its links and pictures exist."""

import re
from pathlib import Path

import pytest

from ppgn import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_of_the_readme_runs_and_writes_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "churches.png").stat().st_size > 1000
    assert (tmp_path / "bright.png").stat().st_size > 1000


def test_the_readme_spells_exactly_two_set_up_commands_first() -> None:
    lines = [line for line in blocks("bash")[0].splitlines() if line]
    assert lines == [
        "pip install -e . && ppgn sample imagenette64 --class church --out church.png",
        'pip install -e ".[dev]" && pytest',
    ]


def test_every_ppgn_command_of_the_readme_is_understood() -> None:
    text = "\n".join(blocks("bash")).replace("\\\n", " ")
    commands = [part.strip() for line in text.splitlines() for part in line.split("&&")]
    ours = [command.split()[1:] for command in commands if command.startswith("ppgn ")]
    assert len(ours) >= 2
    for arguments in ours:
        assert cli.parser().parse_args(arguments).command == arguments[0]


def test_every_local_link_and_picture_of_the_readme_exists() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_file_the_readme_names_exists() -> None:
    named = set(re.findall(r"(?:ppgn|training|scripts|benchmarks)/[\w/.*]*\.(?:py|yaml)", README))
    assert named
    assert [name for name in named if not list(ROOT.glob(name))] == []
