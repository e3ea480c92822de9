"""The forms in which a person types a command, where its messages go, and what an interrupted one leaves behind."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import CLASS_NAMES
from PIL import Image

import ppgn
from ppgn import cli, images, sampling

SAMPLE = ["sample", "tiny", "--class", "tench", "--count", "2", "--steps", "1"]
SHORT = ["--count", "1", "--steps", "1"]


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "--class", "tench", "tiny", *SHORT],
        ["sample", *SHORT, "--class", "tench", "ball", "tiny"],
        ["sample", "--class", "tench", "ball", "tiny", "--weight", "1", "-0.5", *SHORT],
        ["sample", *SHORT, "--weight", "1", "-0.5", "--class", "tench", "ball", "tiny"],
        ["chain", "--class", "tench", "tiny", "--steps", "1"],
        ["inpaint", "--class", "tench", "tiny", "photo.png", *SHORT],
        ["inpaint", "--class", "tench", "tiny", "--hole", "3", "photo.png", *SHORT],
        ["inpaint", "tiny", *SHORT, "--class", "tench", "photo.png"],
        ["example", "--bundle", "tiny", "--steps", "1", "--class", "tench", "1"],
    ],
)
def test_flags_may_stand_before_the_bundle_and_the_picture(folder: Path, words: list[str]) -> None:
    images.save_image(torch.rand(1, 8, 8), "photo.png")
    assert cli.main(words) == 0


def test_a_bundle_that_is_not_typed_at_all_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sample", "--class", "tench", *SHORT])
    assert "required: bundle" in capsys.readouterr().err
    assert cli.main(["sample", *SHORT, "--class", "tench", "tyni"]) == 2
    assert "no bundle 'tyni'" in capsys.readouterr().err


def test_the_version_is_printed_and_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "ppgn", "--version"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, f"ppgn {ppgn.__version__}\n")


def test_a_condition_is_named_by_its_file_in_any_folder(folder: Path) -> None:
    (folder / "code.py").write_text("def bright(image):\n    return image.mean((1, 2, 3)) - 1\n")  # a name of Python's library
    (folder / "sub").mkdir()
    (folder / "sub" / "mine.py").write_text("import beside\n\n\ndef dark(image):\n    return beside.bright(image)\n")
    (folder / "sub" / "beside.py").write_text("def bright(image):\n    return image.mean((1, 2, 3)) - 1\n")
    for spec in ("code.py:bright", str(folder / "code.py:bright"), "sub/mine.py:dark"):
        assert cli.main(["sample", "tiny", "--condition", spec, *SHORT]) == 0


def test_a_file_without_that_function_or_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "broken.py").write_text("1 / 0\n")
    (folder / "sub" / "whole.py").write_text("def bright(image):\n    return image\n")
    for spec, said in (
        ("gone.py:f", "there is no file gone.py"),
        ("sub/broken.py:f", "sub/broken.py cannot be imported (ZeroDivisionError"),
        ("sub/whole.py:brigt", "name one of those it has (bright)"),
        ("sub/whole:bright", "write sub/whole.py:bright"),
    ):
        assert cli.main(["sample", "tiny", "--condition", spec, *SHORT]) == 2
        assert said in capsys.readouterr().err


def test_an_output_takes_the_place_of_an_input_only_when_asked_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save_image(torch.rand(1, 8, 8), "photo.png")
    (folder / "each").mkdir()
    images.save_image(torch.rand(1, 8, 8), "each/picture.png")
    (folder / "link.png").symlink_to("photo.png")
    assert cli.main([*SAMPLE, "--save-images", "each"]) == 0
    before = (folder / "photo.png").read_bytes()
    capsys.readouterr()
    for words in (
        ["inpaint", "tiny", "photo.png", "--out", "each/../photo.png"],
        ["inpaint", "tiny", "photo.png", "--out", "link.png"],
        ["inpaint", "tiny", "link.png", "--out", "photo.png"],
        ["inpaint", "tiny", "each/picture.png", "--save-images", "each"],
        ["chain", "tiny", "--class", "0", "--from", "photo.png", "--out", "photo.png"],
        ["example", "6", "--bundle", "tiny", "--class", "0", "--from", "photo.png", "--out", "photo.png"],
        [*SAMPLE, "--settings", "each/samples.json", "--save-images", "each"],
        ["tune", "tiny", "--class", "0", "--settings", "each/samples.json", "--out", "each/samples.json"],
    ):
        assert cli.main(words) == 2, words
        assert "add --overwrite" in capsys.readouterr().err
    assert (folder / "photo.png").read_bytes() == before
    assert cli.main(["inpaint", "tiny", "photo.png", *SHORT, "--out", "photo.png", "--overwrite"]) == 0
    assert (folder / "photo.png").read_bytes() != before
    assert cli.main([*SAMPLE, "--settings", "each/samples.json", "--save-images", "other"]) == 0


@pytest.mark.parametrize("extension", images.picture_extensions())
@pytest.mark.parametrize("channels", [1, 3])
def test_every_extension_that_is_accepted_is_written_at_its_size(tmp_path: Path, extension: str, channels: int) -> None:
    for height, width in ((8, 8), (300, 70)):
        images.save_image(torch.rand(channels, height, width), tmp_path / f"picture{extension}")
        if extension != ".pdf":  # which Pillow only writes
            with Image.open(tmp_path / f"picture{extension}") as opened:
                opened.load()
                assert opened.size == (width, height)


@pytest.mark.parametrize("extension", [".ico", ".h5", ".wmf", ".xbm", ".msp", ".eps", ".icns", ".qoi"])
def test_an_extension_that_cannot_hold_any_picture_is_refused_before_the_run(
    folder: Path, extension: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SAMPLE, "--out", f"grid{extension}"]) == 2
    assert f"unknown extension '{extension}'" in capsys.readouterr().err


def test_a_grid_larger_than_its_format_is_refused_before_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="expected at most 16383 a side in .webp: choose .png"):
        images.check_writable("grid.webp", size=(16384, 8))
    assert cli.main(["inpaint", "tiny", "grid.png", "--count", "9999"]) == 2  # no such picture
    with pytest.raises(ValueError, match="at most 65535 a side in .gif"):
        images.save_image(torch.zeros(1, 1, 65536), "wide.gif")


@pytest.mark.parametrize(("count", "columns", "labels"), [(1, None, None), (5, None, ["a"]), (7, 3, ["a b c " * 30, "d"])])
def test_the_size_of_a_grid_is_known_before_it_is_made(count: int, columns: int | None, labels: list[str] | None) -> None:
    every = None if labels is None else [labels[number % len(labels)] for number in range(count)]
    made = images.grid(torch.rand(count, 1, 8, 12), every, columns)
    assert images.grid_size(count, (8, 12), labels, columns) == (made.height, made.width)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_command_says_what_it_has_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SAMPLE, "--save-images", "each"]) == 0  # an earlier run, which does not count
    for name in ("samples.png", "each"):
        for file in (folder / name).glob("*") if (folder / name).is_dir() else [folder / name]:
            os.utime(file, (1, 1))
    with monkeypatch.context() as patched:
        patched.setattr(sampling, "sample_into", interrupt)
        assert cli.main([*SAMPLE, "--save-images", "each", "--overwrite"]) == 130
    assert "interrupted, nothing was written" in capsys.readouterr().err
    with monkeypatch.context() as patched:
        patched.setattr(sampling, "read_rows", interrupt)
        assert cli.main([*SAMPLE, "--save-images", "each", "--overwrite"]) == 130
    assert "interrupted, after writing each" in capsys.readouterr().err


def test_a_bar_and_a_file_call_the_activation_of_a_unit_by_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sample", "tiny", "--unit", "fc7:3", "--count", "1", "--steps", "20", "--save-images", "each", "--overwrite"]
    assert cli.main(words) == 0
    printed = capsys.readouterr()
    assert "activation" in printed.err and "mean activation" in printed.out
    assert not re.search("log.p", printed.err + printed.out)
    stored = (folder / "each" / "samples.json").read_text()
    assert '"activation": ' in stored and "log_probability" not in stored
    assert cli.main([*words[:4], "--measure", "log_softmax", *words[4:]]) == 0
    assert '"log_probability": ' in (folder / "each" / "samples.json").read_text()


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"t\xe9nch"), ("latin-1", "t\xe9nch"), ("utf-8", "t\xe9nch")])
def test_output_of_any_encoding_takes_any_name(folder: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    with (folder / "said").open("w", encoding=encoding) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert cli.main(["sample", "tiny", "--class", "t\xe9nch \u2603"]) == 2
    assert f"no class '{shown} " in (folder / "said").read_bytes().decode(encoding)


@pytest.fixture
def deaf() -> int:
    """A descriptor that nobody reads any more, as standard output before `| true`."""
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("names", [["stdout"], ["stderr"], ["stdout", "stderr"]])
def test_pictures_are_written_where_nobody_reads_the_messages(
    folder: Path, monkeypatch: pytest.MonkeyPatch, deaf: int, names: list[str]
) -> None:
    with open(deaf, "w") as out, open(os.dup(deaf), "w") as err:
        for name in names:
            monkeypatch.setattr(sys, name, {"stdout": out, "stderr": err}[name])
        assert cli.main([*SAMPLE, "--save-images", "each", "--overwrite"]) == (128 + signal.SIGPIPE if "stdout" in names else 0)
    assert Image.open("samples.png").size[0] > 100
    assert len(list((folder / "each").glob("*.png"))) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_pictures_are_written_where_messages_do_not_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        assert cli.main(SAMPLE) == 1
    assert os.strerror(errno.ENOSPC) in capsys.readouterr().err
    with open("/dev/full", "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        assert cli.main([*SAMPLE, "--out", "other.png"]) == 0
        assert cli.main([*SAMPLE, "--class", "whale"]) == 2
    assert (folder / "samples.png").exists() and (folder / "other.png").exists()


@pytest.mark.parametrize(("redirected", "status"), [(">&- 2>&-", 0), (">/dev/full", 1), ("2>/dev/full", 0), ("2>&-", 0)])
def test_a_closed_or_full_output_ends_in_no_traceback(redirected: str, status: int) -> None:
    command = f"{sys.executable} -m ppgn --version {redirected}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=300)
    assert done.returncode == status
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_closed_standard_error_never_becomes_a_file_of_the_command(folder: Path) -> None:
    words = " ".join(SAMPLE)
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m ppgn {words} <&- >&- 2>&-"], timeout=600)
    assert done.returncode == 0
    assert Image.open("samples.png").size[0] > 100


def test_messages_recommend_only_flags_that_their_commands_have(folder: Path) -> None:
    commands = {
        "recipe_flags": ("sample", "chain", "inpaint", "evaluate", "tune"),
        "request_flags": ("sample", "chain", "inpaint", "tune"),
        "processes": ("sample",),
        "terminal": ("sample", "chain", "inpaint", "tune"),
        "outputs": ("sample", "chain", "inpaint", "evaluate", "tune", "example"),
        "evolve_flags": ("evolve",),
        "illumination_flags": ("fool", "innovate"),
        "network_flags": ("dream", "style", "invert", "facets"),
        "import_flags": ("import-caffe", "import-deepsim"),
    }
    for file in Path(cli.__file__).parent.glob("*.py"):
        raised = re.findall(r'raise ValueError\(\s*((?:f?"[^\n]*"\s*)+)', file.read_text())
        own = commands.get(file.stem, (file.stem.replace("_", "-"),))
        typed = {flag for message in raised for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", message)}
        for command in own if typed else ():
            known = flags_of(command)
            assert typed <= known, (file.name, command, typed - known)


def flags_of(command: str) -> set[str]:
    """The flags in the help of a command."""
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as shown, pytest.raises(SystemExit):
        cli.main([command, "--help"])
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown.getvalue()))


def test_a_printed_bundle_and_its_samples_fit_a_screen(folder: Path) -> None:
    bundle = ppgn.load("tiny")
    bundle.classes = tuple(f"class number {number}" for number in range(1000))
    lines = repr(bundle).splitlines()
    assert len(lines) < 24 and max(map(len, lines)) < 120
    assert "tiny" in lines[0] and "8x8" in lines[0] and "1000 classes" in repr(bundle)
    samples = ppgn.sample(ppgn.load("tiny"), CLASS_NAMES[0], count=3, steps=1)
    assert len(repr(samples)) < 200 and "3 pictures" in repr(samples)


def test_a_network_whose_input_is_not_stated_is_described_by_flags_of_the_same_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plain.py").write_text("import torch\ndef net():\n    return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3))\n")
    image = ["--mean", "0.5", "--std", "0.5", "--size", "8"]
    words = ["example", "4", "--bundle", "tiny", "--unit", "0:1@centre", "--network", "plain:net", "--steps", "1"]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert set(re.findall(r"--[a-z]+", said)) == {"--size", "--mean", "--std"} <= flags_of("example")
    assert cli.main([*words, *image]) in (0, 2)
    assert "does not state" not in capsys.readouterr().err
    assert cli.main(["evaluate", "tiny", "--real", ".", "--judge", "plain:net"]) == 2
    assert set(re.findall(r"--[a-z-]+", capsys.readouterr().err)) == {"--judge-size", "--judge-mean", "--judge-std"}
    assert cli.main(["example", "5", "--bundle", "tiny", "--caption", "a red bag"]) == 2
    said = capsys.readouterr().err
    assert "use another bundle" in said and "--captioner" not in said
    assert cli.main(["sample", "tiny", "--caption", "a red bag"]) == 2
    assert "--captioner hf:NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["tune", "x", "--trials", "1e9"], ["sample"], ["chain", "x", "--steps", "many"], ["evolve", "x", "--radius", "far"]],
)
def test_what_cannot_be_read_is_one_line_that_names_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith(f"(see ppgn {words[0]} --help)\n")
