"""What a folder of samples holds at any moment is what its samples.json describes."""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle
from safetensors.torch import save_file

import ppgn
from ppgn import images, requests, sampling

ROOT = Path(__file__).parents[1]
RUN = """
import sys, time
import ppgn
from ppgn import sampling
bundle = ppgn.load(sys.argv[1])
for part in sampling.sample_into(sys.argv[2], bundle, 1, count=12, seed=int(sys.argv[3]), batch=2, steps=2):
    print("batch", flush=True)
    time.sleep(float(sys.argv[4]))
"""


def described(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "samples.json").read_text())["samples"]


def run(bundle: Path, folder: Path, seed: int, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(bundle), str(folder), str(seed), str(pause)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def kill_after(process: subprocess.Popen[str], batches: int) -> None:
    assert process.stdout is not None
    for _ in range(batches):
        assert process.stdout.readline() == "batch\n"
    process.send_signal(signal.SIGKILL)
    process.wait()


def check(folder: Path, seeds: list[int]) -> None:
    """Each row describes the picture that chains of its seed make."""
    rows = described(folder)
    assert [row["seed"] for row in rows] == seeds
    whole = ppgn.sample(tiny_bundle(), 1, count=len(seeds), seed=seeds, batch=2, steps=2)
    fresh = folder.with_name("fresh")
    whole.save(fresh)
    for row, other in zip(rows, described(fresh), strict=True):
        assert (folder / row["file"]).read_bytes() == (fresh / other["file"]).read_bytes()


def test_a_killed_run_leaves_what_is_described_and_a_resumed_one_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    bundle, folder = save_tiny_bundle(tmp_path / "tiny"), tmp_path / "each"
    kill_after(run(bundle, folder, 5, 0.2), 2)
    count = len(described(folder))
    assert 4 <= count < 12
    check(folder, list(range(5, 5 + count)))
    parts = list(sampling.sample_into(folder, ppgn.load(bundle), 1, count=12, seed=5, batch=2, steps=2, resume=True))
    assert sum(len(part) for part in parts) == 12 - count
    check(folder, list(range(5, 17)))
    assert len(list(folder.glob("*.png"))) == 12


def test_a_second_run_that_is_killed_describes_its_own_pictures_alone(tmp_path: Path) -> None:
    bundle, folder = save_tiny_bundle(tmp_path / "tiny"), tmp_path / "each"
    assert run(bundle, folder, 5, 0.0).wait() == 0
    kill_after(run(bundle, folder, 6, 0.2), 1)
    count = len(described(folder))
    check(folder, list(range(6, 6 + count)))


def test_a_run_takes_away_what_the_one_before_it_described_and_nothing_else(tmp_path: Path) -> None:
    bundle, folder = tiny_bundle(), tmp_path / "each"
    list(sampling.sample_into(folder, bundle, 1, count=4, seed=6, batch=2, steps=2))
    check(folder, [6, 7, 8, 9])
    (folder / "mine.png").write_bytes(b"")
    ppgn.sample(bundle, 1, count=2, seed=[6, 7], batch=2, steps=2).save(folder)
    assert {path.name for path in folder.iterdir()} == {"samples.json", "mine.png", *(row["file"] for row in described(folder))}


def test_a_resumed_run_takes_away_what_runs_before_the_killed_one_left(tmp_path: Path) -> None:
    folder = tmp_path / "each"
    bundle = tiny_bundle()
    list(sampling.sample_into(folder, bundle, 1, count=8, seed=100, batch=2, steps=2))
    (folder / "0007_mine_107.png").write_bytes(b"")
    for seed in (50, 0):  # two runs that end after a batch
        next(iter(sampling.sample_into(folder, bundle, 1, count=8, seed=seed, batch=2, steps=2)))
        assert len(described(folder)) == 2
    list(sampling.sample_into(folder, bundle, 1, count=8, seed=0, batch=2, steps=2, resume=True))
    check(folder, list(range(8)))
    assert {path.name for path in folder.glob("*.png")} == {"0007_mine_107.png", *(row["file"] for row in described(folder))}
    assert "former" not in json.loads((folder / "samples.json").read_text())


def test_two_runs_at_once_into_one_folder_are_refused(tmp_path: Path) -> None:
    bundle, folder = save_tiny_bundle(tmp_path / "tiny"), tmp_path / "each"
    first = run(bundle, folder, 5, 1.0)
    assert first.stdout is not None and first.stdout.readline() == "batch\n"
    with pytest.raises(ValueError, match="is written by another process already"):
        list(sampling.sample_into(folder, ppgn.load(bundle), 1, count=2, steps=2))
    first.kill()
    first.wait()
    begun = time.monotonic()
    list(sampling.sample_into(folder, ppgn.load(bundle), 1, count=2, steps=2))
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"wanted": 0}, "is of other targets or seeds"),
        ({"seed": 1}, "is of other targets or seeds"),
        ({"steps": 3}, "is of another recipe"),
        ({"broken": '{"samples": 3}'}, "it describes no samples"),
        ({"broken": "{"}, "was not written by ppgn"),
    ],
)
def test_a_run_of_something_else_is_not_resumed_and_its_pictures_stay(
    changed: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    bundle = tiny_bundle()
    list(sampling.sample_into(tmp_path, bundle, 1, count=2, steps=2))
    if "broken" in changed:
        (tmp_path / "samples.json").write_text(changed.pop("broken"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    wanted = changed.pop("wanted", 1)
    with pytest.raises(ValueError, match=sentence):
        list(sampling.sample_into(tmp_path, bundle, wanted, **{"count": 2, "steps": 2, "resume": True, **changed}))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


CONDITION = "def brightness(image):\n    return {} * image.mean((1, 2, 3))\n"
NETWORK = """
import torch
def net():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5))
"""


def resumed(bundle: Any, folder: Path, wanted: Any, count: int, **options: Any) -> int:
    parts = sampling.sample_into(folder, bundle, wanted, count=count, batch=1, resume=True, **{"steps": 2, **options})
    return sum(len(part) for part in parts)


def test_a_run_of_an_edited_condition_is_not_resumed(tmp_path: Path) -> None:
    bundle, file, folder = tiny_bundle(), tmp_path / "mine.py", tmp_path / "each"

    def asked(factor: int) -> requests.Request:
        file.write_text(CONDITION.format(factor))
        sys.modules.pop(str(file), None)  # as in another process
        return requests.parse(bundle, condition=f"{file}:brightness")

    assert resumed(bundle, folder, asked(50), 1) == 1
    assert resumed(bundle, folder, asked(50), 2) == 1
    with pytest.raises(ValueError, match="is of other code or weights of the condition"):
        resumed(bundle, folder, asked(-50), 3)
    assert len(described(folder)) == 2


def test_a_run_of_a_network_with_other_weights_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "network_of_folder.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    bundle, folder, file = tiny_bundle(), tmp_path / "each", tmp_path / "weights.pt"

    def asked(seed: int) -> requests.Request:
        torch.manual_seed(seed)
        torch.save(importlib.import_module("network_of_folder").net().state_dict(), file)
        plugged = requests.Plugged("network_of_folder:net", weights=file, size=8, mean=0.5, std=0.5)
        return requests.parse(bundle, class_="1", network=plugged)

    assert resumed(bundle, folder, asked(0), 1) == 1
    assert resumed(bundle, folder, asked(0), 2) == 1
    with pytest.raises(ValueError, match="other code or weights of the condition"):
        resumed(bundle, folder, asked(1), 3)


def test_a_run_of_another_direction_in_the_same_file_is_not_resumed(tmp_path: Path) -> None:
    bundle, folder, file = tiny_bundle(), tmp_path / "each", tmp_path / "direction.safetensors"
    layer = next(name for name, part in bundle.encoder.named_modules() if isinstance(part, torch.nn.Conv2d))
    channels = bundle.encoder.get_submodule(layer).out_channels

    def asked(sign: float) -> requests.Request:
        save_file({"direction": sign * torch.ones(channels)}, file)
        return requests.parse(bundle, direction=file, layer=layer)

    assert resumed(bundle, folder, asked(1.0), 1) == 1
    assert resumed(bundle, folder, asked(1.0), 2) == 1
    with pytest.raises(ValueError, match="other code or weights of the condition"):
        resumed(bundle, folder, asked(-1.0), 3)


def test_a_run_of_a_bundle_with_other_weights_is_not_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "each"
    made, other = (replace(tiny_bundle(), info={}) for _ in range(2))
    assert resumed(made, folder, 1, 1) == 1
    with torch.no_grad():
        next(other.generator.parameters()).add_(0.1)
    with pytest.raises(ValueError, match="other weights of the bundle"):
        resumed(other, folder, 1, 2)
    stored = ppgn.load(save_tiny_bundle(tmp_path / "stored"))
    list(sampling.sample_into(folder, stored, 1, count=1, steps=2))
    weights = json.loads((folder / "samples.json").read_text())["weights"]
    assert weights == {part: entry["sha256"] for part, entry in stored.info["parts"].items()}


def test_a_run_under_an_edited_rule_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    bundle, folder = tiny_bundle(), tmp_path / "each"

    def rule(factor: float) -> Any:
        (tmp_path / "rule_of_folder.py").write_text(f"def prior(code, image):\n    return {factor} * code\n")
        sys.modules.pop("rule_of_folder", None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return importlib.import_module("rule_of_folder").prior

    assert resumed(bundle, folder, 1, 1, prior=rule(0.5)) == 1
    assert resumed(bundle, folder, 1, 2, prior=rule(0.5)) == 1
    with pytest.raises(ValueError, match="other code or weights"):
        resumed(bundle, folder, 1, 3, prior=rule(0.7))


def test_what_a_condition_calls_in_another_module_of_the_users_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for factor in (1, 1, 2):
        (tmp_path / "helper_of_folder.py").write_text(f"def scaled(image):\n    return image * {factor}\n")
        sys.modules.pop("helper_of_folder", None)
        importlib.invalidate_caches()
        helper = importlib.import_module("helper_of_folder")
        space: dict[str, Any] = {"helper": helper, "__name__": "helper_of_folder"}
        exec("def f(image):\n    return helper.scaled(image).mean((1, 2, 3))\n", space)
        found.append(requests.fingerprint(space["f"]))
    assert found[0] == found[1] != found[2]


def test_the_numbers_in_a_function_count_only_where_weights_do() -> None:
    one, other = (lambda image, goal=torch.full((3,), value): image - goal for value in (0.0, 1.0))
    assert requests.fingerprint(one) == requests.fingerprint(other)
    assert requests.fingerprint(one, weights=True) != requests.fingerprint(other, weights=True)
    arrays = [functools.partial(print, np.full(3, value)) for value in (0.0, 1.0)]
    assert len({requests.fingerprint(array, weights=True) for array in arrays}) == 2


SLOTS = "@dataclass({})\nclass Scaled:\n    scale: float\n    def __call__(self, image):\n        return self.scale * image.sum()"
CALLABLES = {
    "a field in slots": (SLOTS.format("slots=True"), "found = Scaled({})"),
    "a field in the slots of a base": (SLOTS.format("slots=True") + "\nclass Sub(Scaled):\n    pass", "found = Sub({})"),
    "a private slot": (
        "class Hidden:\n    __slots__ = '__scale'\n    def __init__(self, scale):\n        self.__scale = scale\n"
        "    def __call__(self, image):\n        return image * self.__scale",
        "found = Hidden({})",
    ),
    "the code of a named tuple": (
        "class Row(NamedTuple):\n    scale: float\n    def __call__(self, image):\n        return image * {}",
        "found = Row(1.0)",
    ),
    "an attribute of a dictionary": (
        "class Table(dict):\n    def __call__(self, image):\n        return image * self.scale",
        "found = Table()\nfound.scale = {}",
    ),
    "an attribute of a function": ("def found(image):\n    return image * found.scale", "found.scale = {}"),
}


@pytest.mark.parametrize("kind", CALLABLES)
def test_all_that_an_object_holds_counts(kind: str) -> None:
    def made(scale: float) -> str:
        space: dict[str, Any] = {}
        code = "from dataclasses import dataclass\nfrom typing import NamedTuple\n" + "\n".join(CALLABLES[kind])
        exec(code.replace("{}", str(scale)), {"__name__": __name__}, space)
        return requests.fingerprint(space["found"])

    assert made(2.0) == made(2.0) != made(3.0)


def test_a_network_is_the_same_after_hooks_of_another() -> None:
    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None: ...

    def other(module: torch.nn.Module, inputs: Any, output: Any) -> torch.Tensor:
        return output + 1

    def hooked(called: Any) -> str:
        network = torch.nn.Linear(2, 2)
        network.register_forward_hook(called)
        return requests.fingerprint(network)

    first = hooked(hook)
    torch.nn.Linear(1, 1).register_forward_hook(hook)
    assert first == hooked(hook) != hooked(other)


def test_a_run_that_cannot_write_leaves_the_samples_json_of_the_one_before(tmp_path: Path) -> None:
    bundle, folder = tiny_bundle(), tmp_path / "each"
    samples = ppgn.sample(bundle, 1, count=3, seed=4, steps=2)
    samples.save(folder)
    before = (folder / "samples.json").read_bytes()
    (folder / f"0001_{samples.names[0].replace(' ', '_')}_12.png").mkdir()
    with pytest.raises(ValueError, match="it is a folder"):
        ppgn.sample(bundle, 1, count=3, seed=11, steps=2).save(folder)
    assert (folder / "samples.json").read_bytes() == before
    assert len(list(folder.iterdir())) == 5


def test_files_written_together_are_all_there_or_none(tmp_path: Path) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "last.txt").write_text("former")
    taken: list[int] = []
    writers: dict[Path, Any] = {tmp_path / "first.txt": lambda path: path.write_text("new"), tmp_path / "last.txt": full}
    with pytest.raises(ValueError, match=r"cannot write .*last.txt: .*No space left on device"):
        images.write_together(writers, lambda: taken.append(1))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"last.txt": "former"} and not taken


@pytest.mark.parametrize("content", ['[{"name": "mine"}]', '{"mine": 1}', '{"samples": [1, 2]}', "{", '{"samples": []}', "\xff"])
@pytest.mark.parametrize("resume", [False, True])
def test_somebody_elses_samples_json_is_refused_and_stays(content: str, resume: bool, tmp_path: Path) -> None:
    (tmp_path / "samples.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match="was not written by ppgn .* give another folder, or move it away"):
        list(sampling.sample_into(tmp_path, tiny_bundle(), 1, count=1, steps=2, resume=resume))
    assert [path.name for path in tmp_path.iterdir()] == ["samples.json"]
    assert (tmp_path / "samples.json").read_text(encoding="latin-1") == content


@pytest.mark.parametrize("damage", [lambda whole: whole[: len(whole) // 2], lambda _: b"", lambda whole: b"\0" * len(whole)])
def test_a_resumed_run_makes_a_broken_picture_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    bundle = tiny_bundle()
    assert resumed(bundle, tmp_path, 1, 4) == 4
    broken = tmp_path / described(tmp_path)[2]["file"]
    whole = broken.read_bytes()
    broken.write_bytes(damage(whole))
    assert resumed(bundle, tmp_path, 1, 4) == 2
    assert broken.read_bytes() == whole


def test_where_file_names_are_ascii_a_class_of_any_script_has_a_file(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\nfrom conftest import tiny_bundle\nfrom dataclasses import replace\n"
        "from ppgn import sampling\n"
        "bundle = replace(tiny_bundle(), classes=('café', '蛙', *map(str, range(2, len(tiny_bundle().classes)))))\n"
        "list(sampling.sample_into(sys.argv[1], bundle, [0, 1], steps=2, resume=True))\n"
    )
    (tmp_path / "run.py").write_text(code, encoding="utf-8")
    folder = tmp_path / "each"
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for encoding in (ascii_only, ascii_only, {}, ascii_only):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **encoding}
        command = [sys.executable, str(tmp_path / "run.py"), str(folder), str(ROOT / "tests")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    rows = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["samples"]
    assert [row["class"] for row in rows] == ["café", "蛙"]
    assert [row["file"] for row in rows] == ["0000_cafe_0.png", "0001__1.png"]


def test_a_condition_is_the_same_in_another_process_and_without_a_module() -> None:
    code = (
        "from ppgn import requests\nspace = {}\n"
        'exec(\'def f(image):\\n    return image if image in {"a", "b", "c", "d"} else {"e", "f"}\', space)\n'
        "print(requests.fingerprint(space['f'], weights=True))\n"
    )
    said = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        said.add(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(said) == 1 and said.pop().strip()
