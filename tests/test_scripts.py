"""The front of the scripts: YAML that stands for too much, and one sentence for a mistake."""

import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training import check_configs, one_sentence, run_script

ROOT = Path(__file__).parents[1]


def bomb(levels: int) -> str:
    """A few lines of aliases of aliases: 10^levels values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (bomb(9), r"stands for 1e\+09 values, expected at most 100000"),
        ("a: &a [*a]", "an alias stands inside of what it names"),
        ("a: [1", "cannot read .*expected YAML"),
        ("[" * 5000, "cannot read .*expected YAML"),
        ("\udcff", "cannot read"),
    ],
)
def test_yaml_that_no_memory_holds_or_that_is_none_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text, errors="surrogateescape")
    for words in (["--config", str(tmp_path / "config.yaml")], [f"--config={tmp_path / 'config.yaml'}"]):
        begun = time.monotonic()
        with pytest.raises(ValueError, match=sentence):
            check_configs(["fit", *words])
        assert time.monotonic() - begun < 5


def test_the_shipped_configs_and_a_few_aliases_pass(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text(bomb(3))
    for file in (tmp_path / "few.yaml", *(ROOT / "training" / "configs").glob("*.yaml"), tmp_path / "missing.yaml"):
        check_configs(["--config", str(file)])


def test_a_script_ends_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(bomb(9))
    command = [sys.executable, str(ROOT / "scripts" / "export_bundle.py"), "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OSError(errno.EACCES, "Permission denied", "a.png"), "cannot read or write a.png (Permission denied): correct its perm"),
        (OSError(errno.ENOTDIR, "Not a directory", "logs/x"), "cannot read or write logs/x (Not a directory): "),
        (OSError(errno.EROFS, "Read-only file system", "out"), "cannot read or write out (Read-only file system): "),
        (OSError(errno.EPERM, "Operation not permitted"), "cannot read or write a file (Operation not permitted): "),
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write a file (No space left on device): free some space"),
    ],
)
def test_a_file_that_the_system_refuses_is_named(fault: OSError, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"), one_sentence():
        raise fault
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_what_is_no_mistake_of_the_users_is_not_hidden() -> None:
    with pytest.raises(FileNotFoundError), one_sentence():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")


def test_a_config_that_notepad_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "notepad.yaml").write_bytes(b"\xef\xbb\xbfname: church\r\n")
    assert run_script(lambda name="": name, ["--config", str(tmp_path / "notepad.yaml")]) == "church"


def test_control_characters_of_a_name_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def read(file: str = "") -> None:
        raise ValueError(f"cannot read {file}")

    with pytest.raises(SystemExit):
        run_script(read, ["--file", "a\x1b[31m.jpg"])
    assert capsys.readouterr().err == "error: cannot read a\\x1b[31m.jpg\n"
