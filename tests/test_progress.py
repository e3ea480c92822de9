"""What long work says: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from conftest import save_tiny_bundle

from ppgn import cli, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress.bar("reading", range(3))) == [0, 1, 2]
    text = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "\r" in text and "3/3" in text


def test_a_log_gets_lines_with_what_is_done_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress, "EVERY", 0.0)
    shown = progress.bar("sampling", total=400, miniters=1)
    for _ in range(2):
        shown.set_postfix_str("log p -1.5", refresh=False)
        shown.update(200)
    shown.close()
    lines = sys.stderr.getvalue().split("\n")  # type: ignore[attr-defined]
    assert lines[0].startswith("sampling: 0 of 400 steps, 00:00 gone, ? left")
    assert lines[1].startswith("sampling: 200 of 400 steps, 00:00 gone, 00:00 left, log p -1.5")
    assert lines[2].startswith("sampling: 400 of 400 steps") and lines[-1] == "" and "\r" not in "".join(lines)


def test_a_log_of_quick_work_has_its_beginning_and_its_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert len(list(progress.bar("reading", range(1000)))) == 1000
    assert [line.split(",")[0] for line in sys.stderr.getvalue().splitlines()] == [  # type: ignore[attr-defined]
        "reading: 0 of 1000 steps",
        "reading: 1000 of 1000 steps",
    ]


def test_lines_speak_of_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(progress.bar("encoding", range(2), unit="batch")) == [0, 1]
    assert "encoding: 2 of 2 batches, " in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_closed_standard_error_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress.bar("reading", range(3))) == [0, 1, 2]


def test_sampling_without_a_terminal_says_in_lines_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = save_tiny_bundle(tmp_path / "tiny"), tmp_path / "a.png"
    assert cli.main(["sample", str(folder), "--class", "0", "--count", "2", "--steps", "3", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "\r" not in said and "sampling: 0 of 6 steps" in said and "sampling: 6 of 6 steps" in said
