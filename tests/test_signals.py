"""SIGTERM, SIGHUP and a full disk: what is written stays, the exit status says what happened, and the run goes on later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import save_tiny_bundle

from ppgn import cli
from ppgn.cli import signals
from ppgn.errors import is_disk_full

ROOT = Path(__file__).parents[1]
SLOW = "import time\n\ndef slow(image):\n    time.sleep(0.05)\n    return image.mean((1, 2, 3))\n"
SAMPLE = ["sample", "tiny", "--condition", "slowly:slow", "--prior", "none", "--count", "12", "--batch", "2", "--steps", "3",
          "--save-images", "each"]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "slowly.py").write_text(SLOW)
    return tmp_path


def started(place: Path, words: list[str], before: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    code = f"{before}\nimport sys\nfrom ppgn import cli\nsys.exit(cli.main({words!r}))"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_pictures(place: Path, process: subprocess.Popen[str], count: int) -> None:
    while process.poll() is None and len(list((place / "each").glob("*.png"))) < count:
        threading.Event().wait(0.01)
    assert process.poll() is None, process.communicate()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_that_then_goes_on(place: Path, name: str) -> None:
    process = started(place, [*SAMPLE, "--out", "first.png"])
    wait_for_pictures(place, process, 4)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name)
    assert f"ppgn: ended by {name}, after writing each; the same command with --resume goes on" in said
    assert 4 <= len(list((place / "each").glob("*.png"))) < 12
    assert started(place, [*SAMPLE, "--resume", "--out", "on.png"]).wait() == 0
    calm = [*SAMPLE[:-1], "calm", "--out", "calm.png"]
    assert started(place, calm).wait() == 0
    assert (place / "on.png").read_bytes() == (place / "calm.png").read_bytes()


def test_a_signal_that_is_ignored_stays_ignored(place: Path) -> None:
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"  # as nohup does it
    process = started(place, [*SAMPLE, "--out", "grid.png"], ignored)
    wait_for_pictures(place, process, 2)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 0
    assert len(list((place / "each").glob("*.png"))) == 12


def test_handlers_are_those_of_before_at_the_end_and_other_threads_have_none() -> None:
    before = [signal.getsignal(number) for number in signals.ENDING]
    with pytest.raises(signals.SignalledEnd), signals.ending() as seen:
        signal.raise_signal(signal.SIGTERM)
    assert seen.number == signal.SIGTERM and seen.status(2) == 143
    assert [signal.getsignal(number) for number in signals.ENDING] == before
    done: list[int] = []

    def elsewhere() -> None:
        with signals.ending() as ended:
            done.append(ended.status(0))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done == [0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("nobody but root can mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_with_more_room(
    place: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    words = ["sample", "tiny", "--class", "tench", "--count", "40", "--batch", "2", "--steps", "1"]
    full = [*words, "--save-images", str(small_disk / "each"), "--resume", "--out", "grid.png"]
    assert cli.main(full) == 74
    said = capsys.readouterr().err
    assert "No space left on device" in said and "the same command with --resume goes on" in said
    written = {file.name: file.read_bytes() for file in (small_disk / "each").glob("*.png")}
    assert 2 <= len(written) < 40
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    assert cli.main(full) == 0
    assert {name: (small_disk / "each" / name).read_bytes() for name in written} == written
    assert cli.main([*words, "--save-images", "calm", "--out", "calm.png"]) == 0
    assert (place / "grid.png").read_bytes() == (place / "calm.png").read_bytes()


def test_a_full_disk_is_found_behind_other_errors() -> None:
    cause = OSError(28, "No space left on device")
    fault = ValueError("cannot write")
    fault.__cause__ = cause
    assert is_disk_full(fault) and is_disk_full(cause) and not is_disk_full(ValueError("wrong")) and not is_disk_full(None)
