"""Text files that an editor of Windows saved: with a byte order mark they are read, and in UTF-16 one sentence says so."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import save_tiny_bundle, tiny_bundle
from PIL import Image

import ppgn
from ppgn import cli, evaluation, images, recipes, sampling, tuning
from ppgn.types import ImageSpec
from training import CaptionData, RunState, check_configs, open_packs, run_script


def resaved(file: Path, mark: bytes = codecs.BOM_UTF8, encoding: str = "utf-8") -> Path:
    text = file.read_text(encoding="utf-8")
    file.write_bytes(mark + text.replace("\n", "\r\n").encode(encoding))
    return file


def samples_json(folder: Path) -> Path:
    return ppgn.sample(tiny_bundle(), [0, 1], steps=2).save(folder)


def bundle_json(folder: Path) -> Path:
    return save_tiny_bundle(folder / "tiny") / "bundle.json"


def table(folder: Path) -> Path:
    rows = []
    for number in range(24):
        image = np.full((8, 8, 3), 10 * number, np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
        rows.append({"file": f"{number}.png", "kind": ["Bags", "Belts"][number % 2], "captions": [f"a thing of {number % 3}"]})
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "rows.jsonl"


def class_list(folder: Path) -> Path:
    (folder / "names.txt").write_text("tench\ngolf ball\n")
    return folder / "names.txt"


def numbered_list(folder: Path) -> Path:
    (folder / "names.txt").write_text("1\tn1\ttench\n0\tn0\tgolf ball\n")
    return folder / "names.txt"


def packs(folder: Path) -> Path:
    Image.new("RGB", (8, 8)).save(folder / "one.webp")
    blob = np.frombuffer((folder / "one.webp").read_bytes(), np.uint8)
    np.savez(folder / "train0.npz", data=blob, sizes=np.array([len(blob)], np.int32), labels=np.zeros((1, 3), np.int64))
    (folder / "classes.json").write_text(json.dumps({"": ["a", "b"]}))
    return folder / "classes.json"


def run_state(folder: Path) -> Path:
    state = RunState.open(folder / "run", {"root": "one"})
    state.finish("pictures", {"count": 1, "seconds": 2.0})
    return next((folder / "run").glob("*.json"))


def yaml(folder: Path) -> Path:
    (folder / "config.yaml").write_text("seed: 1\n")
    return folder / "config.yaml"


def captions(file: Path) -> object:
    data = CaptionData(file.parent, table=file.name, labels={"type": "kind"}, least=4, image_size=8, validation_share=0.3)
    data.setup()
    return data.vocabulary


FILES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "settings": (samples_json, lambda file: recipes.read_recipe(file).to_json()),
    "settings' run": (samples_json, recipes.stored_run),
    "samples": (samples_json, lambda file: sampling.read_rows(file.parent)),
    "samples to evaluate": (
        samples_json,
        lambda file: evaluation.class_folder(file.parent, tiny_bundle().classes, [0, 1], 1, ImageSpec(8, 8, channels=1)).classes,
    ),
    "bundle.json": (bundle_json, lambda file: ppgn.load(file.parent).classes),
    "names of a judge": (class_list, evaluation.read_class_names),
    "numbered names of a judge": (numbered_list, evaluation.read_class_names),
    "table": (table, lambda file: images.read_table(file.parent, file.name, {"type": "kind"}, 1, 0, 0.3).class_names),
    "table of captions": (table, captions),
    "classes.json": (packs, lambda file: open_packs(file.parent, "train").class_names),
    "state of a run": (run_state, lambda file: RunState.open(file.parent, {"root": "one"}).content),
    "YAML": (yaml, lambda file: check_configs(["--config", str(file)])),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_byte_order_mark_changes_nothing(kind: str, tmp_path: Path) -> None:
    make, read = FILES[kind]
    file = make(tmp_path)
    before = read(file)
    assert read(resaved(file)) == before


@pytest.mark.parametrize("kind", FILES)
def test_a_file_in_utf_16_is_one_sentence_that_names_it(kind: str, tmp_path: Path) -> None:
    make, read = FILES[kind]
    file = resaved(make(tmp_path), codecs.BOM_UTF16_LE, "utf-16-le")
    with pytest.raises(ValueError, match=file.name):
        read(file)


def test_a_run_and_a_search_go_on_from_files_with_a_byte_order_mark(tmp_path: Path) -> None:
    bundle, each = tiny_bundle(), tmp_path / "each"
    options: dict[str, Any] = {"count": 2, "steps": 2, "resume": True}
    assert len(list(sampling.sample_into(each, bundle, 1, **options))) == 1
    resaved(each / "samples.json")
    assert not list(sampling.sample_into(each, bundle, 1, **options))
    study = tuning.tune(bundle, 1, tmp_path / "tuned", trials=2, count=2, steps=2)
    resaved(tmp_path / "tuned" / "trials.json")
    assert tuning.Study(tmp_path / "tuned", study.tuning).trials == study.trials


def seeded(seed: int) -> int:
    """A script of one option."""
    return seed


def test_a_script_reads_yaml_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert run_script(seeded, ["--config", str(resaved(yaml(tmp_path)))]) == 1


RUNS = [
    ({"threads": 10**9}, r"got threads 1000000000, expected at most \d+ on this machine"),
    ({"threads": -3}, "got threads -3, expected at least 1"),
    ({"threads": "two"}, "got threads 'two', expected a whole number"),
    ({"threads": 1.5}, "got threads 1.5, expected a whole number"),
    ({"threads": True}, "got threads True, expected a whole number"),
    ({"batch": "many"}, "got batch 'many', expected a whole number"),
    ({"batch": 0}, "got batch 0, expected at least 1"),
    ([1], r"got run \[1\], expected an object"),
]


@pytest.mark.parametrize(("run", "sentence"), RUNS)
def test_a_run_in_settings_that_cannot_be_is_refused(
    run: Any, sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = json.loads(samples_json(folder / "each").read_text())
    (folder / "settings.json").write_text(json.dumps({**stored, "run": run}))
    with pytest.raises(ValueError, match=sentence):
        recipes.stored_run("settings.json")
    assert cli.main(["sample", "tiny", "--class", "0", "--settings", "settings.json"]) == 2
    assert "settings.json: got " in capsys.readouterr().err
    assert not (folder / "samples.png").exists()


@pytest.mark.parametrize(
    ("run", "found"),
    [(None, (None, None)), ({}, (None, None)), ({"batch": None, "threads": 3}, (None, 3)), ({"batch": 10**9}, (10**9, None))],
)
def test_a_run_in_settings_may_say_less(run: Any, found: tuple[int | None, int | None], tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"recipe": {}, "run": run}))
    assert recipes.stored_run(tmp_path / "settings.json") == found
