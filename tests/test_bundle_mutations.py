"""Whatever stands in bundle.json, a bundle loads or is refused in a sentence."""

import contextlib
import copy
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import save_tiny_bundle
from safetensors.torch import load_file, save_file

from ppgn import recipes
from ppgn.bundle import load_bundle, sha256
from ppgn.conditions import UnitAddress
from ppgn.errors import BundleError, printable

SHARDS, EACH = 4, 120


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


WRONG: list[Any] = [
    *(None, True, -1, 0, 3, 10**12, -(10**400), 10**400, 1.5, 1e308, float("nan"), float("inf")),
    *("", "x", "\x1b[31mred", "a\nb", "../..", "a\0b", "\ud800"),
    *([], [None], [[]], ["x"], [1e400], [10**9, 10**9], nested(5), {}, {"a": 1}),
    *({"name": "x"}, {"name": 3}, {"name": ["x"]}, {"name": None}),
]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value inside an object of JSON."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*path, key))


def mutated(info: Any, draw: random.Random) -> Any:
    """The object with one value replaced, removed, doubled, renamed, or exchanged for another one of its own."""
    info = copy.deepcopy(info)
    every = [path for path in places(info) if path]
    path = draw.choice(every)
    holder = info
    for key in path[:-1]:
        holder = holder[key]
    match draw.randrange(8):
        case 0:
            del holder[path[-1]]
        case 1 if isinstance(holder, dict):
            holder[draw.choice(["x", "\x1b[31m", "name"])] = holder.pop(path[-1])
        case 2 if isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        case 3:
            other: Any = info
            for key in draw.choice(every):
                other = other[key]
            holder[path[-1]] = copy.deepcopy(other)
        case _:
            holder[path[-1]] = copy.deepcopy(draw.choice(WRONG))
    return info


def version_1(info: dict) -> dict:
    """A description of version 1 with the same networks."""
    return {
        **{key: info[key] for key in ("format", "name", "parts", "training", "data", "licence", "source", "scores")},
        "version": 1,
        "code": {key: value for key, value in info["code"].items() if key != "relu"},
        "image": {"size": 8, "channels": 1},
        "class_names": info["classes"],
        "recipe": {"name": "x", "settings": {"steps": 5}, "plugged": {"steps": 3}, "caption": {}, "papers": {"temperature": 2.0}},
    }


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_mutated_description_loads_or_is_refused_in_one_sentence(tmp_path: Path, shard: int) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    whole = json.loads((folder / "bundle.json").read_text())
    draw, refused = random.Random(shard), []
    for number in range(EACH):
        changed = mutated(whole if shard % 2 else version_1(whole), draw)
        (folder / "bundle.json").write_text(json.dumps(changed))
        try:
            loaded = load_bundle(folder, fold=number % 10 == 0)
        except BundleError as fault:
            refused.append(str(fault))
            continue
        names = "".join((loaded.name, *loaded.classes, *loaded.parts))
        assert printable(names) == names
        with contextlib.suppress(ValueError):  # recipes are read when they are run
            recipes.recipe_for(loaded, "class")
    assert EACH / 4 < len(refused) < EACH
    assert all(printable(message) == message and len(message) < 1200 for message in refused)


def edited(folder: Path, change: Callable[[dict], Any]) -> None:
    info = json.loads((folder / "bundle.json").read_text())
    change(info)
    (folder / "bundle.json").write_text(json.dumps(info))


def with_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "denoiser.safetensors")
    edited(folder, lambda info: info["parts"]["denoiser"].update(sha256=sha256(folder / "denoiser.safetensors")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda info: info["image"].update(height=20000, width=20000),
            "20000x20000x1 values, expected at most 67108864: .*PPGN_M",
        ),
        (lambda info: info["code"].update(shape=[10**8]), "100000000 units, expected at most 67108864"),
        (lambda info: info["code"].update(shape=[10**4] * 40), "units, expected at most"),
        (lambda info: info["classes"].append("\x1b[31mred"), r"classes holds '\\x1b\[31mred', expected text without control"),
        (lambda info: info["parts"]["generator"].update(file="x" * 300), "names no file"),
        (lambda info: info["parts"]["generator"]["config"].update(stages=3), "does not fit its description"),
        (lambda info: info["code"].update(std=10**400), "expected a number or one per unit"),
        (lambda info: info["parts"]["denoiser"].update(architecture="pixel_denoiser", config={"blocks": 10**9}), "at most 1024"),
    ],
)
def test_what_would_take_gigabytes_or_reach_the_terminal_is_refused(
    tmp_path: Path, change: Callable[[dict], Any], said: str
) -> None:
    edited(save_tiny_bundle(tmp_path / "tiny"), change)
    with pytest.raises(BundleError, match=said):
        load_bundle(tmp_path / "tiny")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda info: info["classes"].pop(), r"states classes, in number 3, but its encoder scores 4: correct it"),
        (lambda info: info["classes"].append("extra"), "number 5, but its encoder scores 4"),
        (lambda info: info["image"].update(channels=3), r"\[3, 8, 8\], but its generator makes \[1, 8, 8\]"),
        (lambda info: info["image"].update(height=16), r"\[1, 16, 8\], but its generator makes \[1, 8, 8\]"),
        (lambda info: info["image"].update(width=7), r"\[1, 8, 7\], but its generator makes \[1, 8, 8\]"),
        (lambda info: info["code"].update(shape=[13]), r"code of shape \[13\], but its encoder has codes of \[12\]"),
        (lambda info: info["code"].update(shape=[3, 4]), r"code of shape \[3, 4\], but its encoder has codes of \[12\]"),
    ],
)
def test_a_description_that_its_networks_do_not_fit_is_refused(tmp_path: Path, change: Callable[[dict], Any], said: str) -> None:
    edited(save_tiny_bundle(tmp_path / "tiny"), change)
    with pytest.raises(BundleError, match=said):
        load_bundle(tmp_path / "tiny")


def test_a_larger_limit_may_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited(save_tiny_bundle(tmp_path / "tiny"), lambda info: info["image"].update(height=20000, width=20000))
    monkeypatch.setenv("PPGN_MOST_VALUES", "400000000")
    with pytest.raises(BundleError, match=r"height, width\] \[1, 20000, 20000\], but its generator makes \[1, 8, 8\]"):
        load_bundle(tmp_path / "tiny")  # the next check, which the limit came before
    monkeypatch.setenv("PPGN_MOST_VALUES", "all")
    with pytest.raises(BundleError, match="PPGN_MOST_VALUES is 'all', expected a whole number"):
        load_bundle(tmp_path / "tiny")


def test_a_description_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (save_tiny_bundle(tmp_path / "tiny") / "bundle.json").write_text("[" * 10**5 + "]" * 10**5)
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(tmp_path / "tiny")


@pytest.mark.parametrize("kind", [torch.int64, torch.complex64, torch.bool])
def test_weights_that_are_not_floating_point_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    with_weights(folder, {key: value.to(kind) for key, value in load_file(folder / "denoiser.safetensors").items()})
    with pytest.raises(BundleError, match=f"is {kind}, expected floating-point numbers.: download or export"):
        load_bundle(folder)


def test_the_name_of_a_tensor_does_not_reach_the_terminal(tmp_path: Path) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    with_weights(folder, {**load_file(folder / "denoiser.safetensors"), "\x1b[31m": torch.zeros(1)})
    with pytest.raises(BundleError, match=r"\\x1b\[31m"):
        load_bundle(folder)


def test_more_units_than_memory_holds_chains_for_are_refused_before_they_are_listed() -> None:
    assert UnitAddress.parse("fc6:0-99999").units == tuple(range(100000))
    with pytest.raises(ValueError, match="100000000 units, a chain each, expected at most 1048576"):
        UnitAddress.parse("fc6:0-99999999")


SCRIPT = """
import argparse, os
from ppgn.cli import bundles
"".encode("utf-8-sig")  # Python's own files may be root's
os.setgid(65534), os.setuid(65534)
bundles.run(argparse.Namespace(names=[], fetch=[], migrate=[]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights; others cannot make a folder that root owns")
def test_an_unreadable_folder_and_a_broken_bundle_hide_no_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    with tempfile.TemporaryDirectory() as room:
        shelf, locked = Path(room) / "shelf", Path(room) / "locked"
        for name in ("a\x1b[31m", "broken", "closed", "tiny"):
            save_tiny_bundle(shelf / "plain").rename(shelf / name)
        (shelf / "broken" / "bundle.json").write_text("{")
        locked.mkdir()
        for folder, rights in ((Path(room), 0o755), (shelf / "closed", 0o700), (locked, 0o700)):
            folder.chmod(rights)
        paths = {"PPGN_CHECKPOINTS": f"{locked}{os.pathsep}{shelf}", "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("none"))}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            env={**os.environ, **paths},
            cwd=Path(__file__).parents[1],
        )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout and "a\\x1b[31m" in done.stdout
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line[:1].strip()}
    assert "broken: " in lines["broken"] and "Permission denied" in lines["closed"] and "8x8 px" in lines["tiny"]
