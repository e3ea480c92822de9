"""The training scripts: they resume after kill -9, keep frozen what is frozen, and explain mistakes."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer, seed_everything

import training
from ppgn import images
from ppgn.networks import ImageGeneratorConfig
from training import (
    DiscriminatorConfig,
    EncoderSystem,
    GeneratorSystem,
    ImageData,
    LossWeights,
    Noise,
    Optimisation,
    TrainingCLI,
    read_checkpoint,
    read_network,
)

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / "training" / "configs").glob("*.yaml") if not path.stem.endswith("_bundle"))
SMALL = ImageGeneratorConfig(hidden=(16,), base_channels=8, base_size=4, stages=((8, 8),))
QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def call(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / f"train_{script}.py"), *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def fit(system: Any, folder: Path, steps: int = 2, **data: Any) -> Trainer:
    seed_everything(0)
    trainer = Trainer(default_root_dir=folder, max_epochs=1, limit_train_batches=steps, limit_val_batches=1, **QUIET)
    trainer.fit(system, datamodule=ImageData(**{"name": "digits", "image_size": 8, "channels": 1, "flip": False, **data}))
    trainer.save_checkpoint(folder / "last.ckpt")
    return trainer


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    fit(EncoderSystem(widths=(8, 8), depths=("block0",), reduce=0, code_size=12, hidden=10), folder, steps=20)
    return folder / "last.ckpt"


def test_an_encoder_reports_accuracy_and_the_statistics_of_its_code(encoder: Path) -> None:
    assert set(read_checkpoint(encoder)["scores"]) >= {"val/accuracy", "code/mean", "code/std", "code/active"}
    network = read_network(encoder, "encoder")
    code = network(torch.rand(3, 1, 8, 8))
    assert code.shape == (3, 12)
    assert float(code.min()) >= 0


def test_the_generator_resumes_after_kill_nine_and_loses_no_more_than_the_last_interval(encoder: Path, tmp_path: Path) -> None:
    arguments = ["fit", "--config", str(ROOT / "training/configs/digits_generator.yaml"), "--model.encoder", str(encoder)]
    arguments += ["--trainer.default_root_dir", str(tmp_path), "--checkpoint_minutes", "0.03", "--trainer.max_epochs", "9999"]
    arguments += ["--trainer.enable_progress_bar", "false", "--trainer.limit_val_batches", "0", "--data.batch_size", "16"]
    arguments += ["--model.network.hidden", "[16]", "--model.network.base_channels", "8", "--model.discriminator.widths", "[8]"]
    arguments += ["--model.network.stages", "[[8, 0], [8, 0]]"]
    path = tmp_path / "checkpoints" / "last.ckpt"
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(call("generator", *arguments), env=environment(), stdout=log, stderr=log)
        try:
            wait_for(lambda: path.is_file() and read_checkpoint(path)["updates"] > 0, running, tmp_path / "log")
            time.sleep(1)
        finally:
            running.send_signal(signal.SIGKILL)
            running.wait()
    assert running.returncode == -signal.SIGKILL
    before = read_checkpoint(path)
    seconds_lost = time.time() - path.stat().st_mtime
    assert seconds_lost < 60
    limit = ["--trainer.max_epochs", "-1", "--trainer.max_steps", str(2 * before["updates"] + 6), "--ckpt_path", "last"]
    subprocess.run(call("generator", *arguments, *limit), env=environment(), check=True, capture_output=True)
    after = read_checkpoint(path)
    assert after["updates"] == before["updates"] + 3
    moved = [
        float((after["parts"]["generator"]["state"][key] - value).abs().max())
        for key, value in before["parts"]["generator"]["state"].items()
        if value.is_floating_point() and "running" not in key
    ]
    assert 0 < max(moved) < 0.05  # three small steps from where it was, not a new start


def wait_for(condition: Any, running: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        assert running.poll() is None, log.read_text()[-2000:]
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("no checkpoint within a minute: " + log.read_text()[-2000:])


PUBLISHED: dict[str, Any] = {
    "network": ImageGeneratorConfig(
        hidden=(16,),
        base_channels=8,
        base_size=2,
        stages=((8, 8),),
        output="upconv",
        output_range="linear",
        batch_norm=False,
        slope=0.3,
    ),
    "discriminator": DiscriminatorConfig(kind="published"),
    "losses": LossWeights(0.13, "half_square_sum", 0.01, "half_square_sum", 0.0, 100.0, "cross_entropy"),
    "optimisation": Optimisation(2e-4, (0.9, 0.999), 4e-4, milestones=(1,), pause_below=0.1, pause_above=10.0),
    "augment": False,
}
SHALLOW = DiscriminatorConfig(widths=(8, 8), feature_width=8)
JOINT: dict[str, Any] = {
    "network": SMALL,
    "discriminator": SHALLOW,
    "losses": LossWeights(code=1e-3),
    "noise": Noise(0.1, 0.1, 0.1),
}
CLIPPED: dict[str, Any] = {"network": SMALL, "discriminator": SHALLOW, "optimisation": Optimisation(gradient_clip=0.1)}


@pytest.mark.parametrize("settings", [PUBLISHED, JOINT, CLIPPED], ids=["published", "joint", "clipped"])
def test_published_joint_and_clipped_trainings_are_configurations_of_one_system(
    settings: dict[str, Any], encoder: Path, tmp_path: Path
) -> None:
    system = GeneratorSystem(encoder, **settings)
    fit(system, tmp_path, steps=3)
    assert int(system.updates) == 3
    made = read_network(tmp_path / "last.ckpt", "generator")(torch.rand(2, 12))
    assert made.shape == (2, 1, 8, 8)
    assert bool(made.isfinite().all())
    assert (tmp_path / "reconstructions.png").is_file()


def test_the_rate_halves_at_each_milestone(encoder: Path, tmp_path: Path) -> None:
    system = GeneratorSystem(encoder, network=SMALL, discriminator=SHALLOW, optimisation=Optimisation(0.4, milestones=(1, 2)))
    trainer = fit(system, tmp_path, steps=3)
    assert {group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups} == {0.1}


@pytest.mark.parametrize(
    ("ratio", "moves"), [(0.05, {"generator"}), (1.0, {"generator", "discriminator"}), (20.0, {"discriminator"})]
)
def test_the_pause_rule_holds_back_the_side_that_wins(ratio: float, moves: set[str], encoder: Path, tmp_path: Path) -> None:
    system = GeneratorSystem(
        encoder, network=SMALL, discriminator=SHALLOW, optimisation=Optimisation(pause_below=0.1, pause_above=10.0)
    )
    before: dict[str, dict[str, torch.Tensor]] = {}
    original = system.training_step

    def scripted(batch: Any, batch_idx: int) -> None:
        system.last_ratio = ratio
        for name in ("generator", "discriminator"):
            weights = getattr(system, name).named_parameters()
            before[name] = {key: value.detach().clone() for key, value in weights}
        original(batch, batch_idx)

    system.training_step = scripted  # type: ignore[method-assign]
    fit(system, tmp_path, steps=1)
    moved = {
        name
        for name, weights in before.items()
        if any(not torch.equal(value, weights[key]) for key, value in getattr(system, name).named_parameters())
    }
    assert moved == moves


def test_the_shipped_generator_is_the_moving_average_of_the_weights(encoder: Path, tmp_path: Path) -> None:
    system = GeneratorSystem(
        encoder, network=SMALL, discriminator=SHALLOW, optimisation=Optimisation(ema=0.5, learning_rate=0.01)
    )
    seen: list[torch.Tensor] = []
    original = system.update_average

    def watched() -> None:
        seen.append(system.generator.to_pixels.weight.detach().clone())
        original()

    system.update_average = watched  # type: ignore[method-assign]
    fit(system, tmp_path, steps=6)
    expected = seen[0]
    for update, weights in enumerate(seen[1:], 1):
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * weights
    shipped = read_network(tmp_path / "last.ckpt", "generator").to_pixels.weight
    torch.testing.assert_close(shipped, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(shipped, seen[-1])


@pytest.mark.parametrize(
    ("name", "child", "size", "pool5"),
    [("squeezenet1_1", "features.0.weight", 64, (3, 3)), ("resnet18", "conv1.weight", (64, 96), (2, 3))],
)
def test_a_torchvision_trunk_comes_from_a_file_and_stays_as_it_was(
    name: str, child: str, size: int | tuple[int, int], pool5: tuple[int, int], tmp_path: Path
) -> None:
    from torchvision import models

    torch.manual_seed(1)
    state = models.get_model(name, weights=None).state_dict()
    torch.save(state, tmp_path / "trunk.pth")
    system = EncoderSystem(name, tmp_path / "trunk.pth", trunk_input=size, reduce=4, code_size=8, hidden=8)
    fit(system, tmp_path, steps=2, channels=3, batch_size=8)
    network = read_network(tmp_path / "last.ckpt", "encoder")
    assert (network.config.input_size, network.config.pool5_size) == (size, pool5)
    trunk = network.trunk.state_dict()
    for key, value in trunk.items():
        torch.testing.assert_close(value, state[key if key in state else f"features.{key}"], rtol=0, atol=0)
    assert child.removeprefix("features.") in trunk


def test_weights_of_another_trunk_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"squeezenet1_1's trunk \(.* first\), expected all: pass the weights of squeezenet1_1"):
        fit(EncoderSystem("squeezenet1_1", tmp_path / "wrong.pth", trunk_input=64), tmp_path, channels=3)


def test_a_generator_of_another_size_than_the_data_is_refused(encoder: Path, tmp_path: Path) -> None:
    network = ImageGeneratorConfig(hidden=(16,), base_channels=8, base_size=4, stages=((8, 8), (8, 8)))
    with pytest.raises(
        ValueError, match=r"makes 16x16 pictures \(height x width\), expected 8x8 as the data have: change stages"
    ):
        fit(GeneratorSystem(encoder, network=network), tmp_path)


def test_a_discriminator_too_deep_for_the_pictures_is_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 discriminator widths halve 8x8 pictures to nothing, expected at most 3"):
        fit(GeneratorSystem(encoder, network=SMALL), tmp_path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_fits_the_script_that_its_comment_names(path: Path, tmp_path: Path) -> None:
    script = re.findall(r"scripts/train_\w+\.py", path.read_text())[0]
    system, data = re.findall(r"train\((\w+)(?:, (\w+))?\)", (ROOT / script).read_text())[0]
    arguments = ["--config", str(path), "--trainer.default_root_dir", str(tmp_path), "--trainer.accelerator", "cpu"]
    classes = getattr(training, system), getattr(training, data or "ImageData")
    cli = TrainingCLI(*classes, args=arguments, run=False, save_config_callback=None)
    assert min(cli.datamodule.picture_size) >= 8


def test_a_checkpoint_can_be_read_without_unpickling(encoder: Path) -> None:
    assert "ppgn" in torch.load(encoder, weights_only=True)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(lambda path: None, "no checkpoint at"), (lambda path: path.write_bytes(b"PK nonsense"), "not a readable checkpoint")],
)
def test_a_missing_or_broken_checkpoint_is_a_sentence(spoil: Any, said: str, tmp_path: Path) -> None:
    spoil(tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=said):
        read_network(tmp_path / "x.ckpt", "encoder")


def test_a_mistake_on_the_command_line_ends_in_one_sentence_and_status_two(tmp_path: Path) -> None:
    arguments = ["fit", "--config", str(ROOT / "training/configs/digits_generator.yaml"), "--model.encoder", "nowhere.ckpt"]
    arguments += ["--trainer.default_root_dir", str(tmp_path)]
    done = subprocess.run(call("generator", *arguments), env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: no checkpoint at nowhere.ckpt")
    assert "Traceback" not in done.stderr


def test_what_cannot_be_trained_or_resumed_is_refused_with_the_reason(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "cut.ckpt").write_bytes(encoder.read_bytes()[:3000])
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    for option, value, sentence in (
        ("--data.channels", "2", "data.channels is 2, expected 3 for RGB or 1 for grey: choose one of them"),
        ("--trainer.default_root_dir", tmp_path / "file", f"cannot make the folder {tmp_path / 'file'}"),
        ("--ckpt_path", tmp_path, f"no checkpoint at {tmp_path}"),
        ("--ckpt_path", tmp_path / "cut.ckpt", f"{tmp_path / 'cut.ckpt'} is not a readable checkpoint"),
        ("--ckpt_path", tmp_path / "foreign.ckpt", f"{tmp_path / 'foreign.ckpt'} has no 'ppgn' entry"),
    ):
        config = ["fit", "--config", str(ROOT / "training/configs/digits_encoder.yaml")]
        root = ["--trainer.default_root_dir", str(tmp_path / "run")]
        monkeypatch.setattr(sys, "argv", ["train_encoder.py", *config, *root, option, str(value)])
        with pytest.raises(SystemExit, match="2"):
            training.train(training.EncoderSystem)
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"error: {sentence}")


def test_a_run_folder_in_which_another_training_runs_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["fit", "--config", str(ROOT / "training/configs/digits_encoder.yaml"), "--trainer.max_steps", "1"]
    root = ["--trainer.default_root_dir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["train_encoder.py", *config, *root])
    with images.alone_in(tmp_path), pytest.raises(SystemExit, match="2"):
        training.train(training.EncoderSystem)
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"error: {tmp_path} is written by another process already")
    assert not (tmp_path / "config.yaml").exists()
    training.train(training.EncoderSystem)
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize("room", [500, 3000, 100_000])
def test_a_full_disk_ends_in_one_sentence_and_the_last_checkpoint_goes_on(room: int, tmp_path: Path) -> None:
    config = ["fit", "--config", str(ROOT / "training/configs/digits_encoder.yaml"), "--trainer.max_epochs", "-1"]
    words = call("encoder", *config, "--trainer.default_root_dir", str(tmp_path), "--checkpoint_minutes", "0")
    output: dict[str, Any] = {"env": environment(), "capture_output": True, "text": True}
    subprocess.run([*words, "--trainer.max_steps", "3"], check=True, **output)
    kept = [tmp_path / "checkpoints" / "last.ckpt", tmp_path / "config.yaml"]
    before = [file.read_bytes() for file in kept]
    on = [*words, "--ckpt_path", "last", "--trainer.max_steps", "30", "--trainer.log_every_n_steps", "1"]

    def full_disk() -> None:  # of files as large as `room`; a larger write fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    full = subprocess.run(on, preexec_fn=full_disk, **output)
    assert full.returncode == 2, full.stderr[-2000:]
    assert "Traceback" not in full.stderr and len(re.findall("^error: ", full.stderr, re.MULTILINE)) == 1
    assert re.search(r"^error: .*cannot (be )?writ.*free some space", full.stderr.strip().splitlines()[-1])
    assert kept[0].read_bytes() == before[0]
    assert room > len(before[1]) or kept[1].read_bytes() == before[1]
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
    subprocess.run(on, check=True, **output)
    assert torch.load(kept[0], weights_only=True)["global_step"] == 30


def test_a_file_in_the_place_of_a_log_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["fit", "--config", str(ROOT / "training/configs/digits_encoder.yaml"), "--trainer.max_steps", "1"]
    (tmp_path / "checkpoints").write_text("")
    (tmp_path / "logs").write_text("")
    logger = json.dumps({"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path / "logs")}})
    for options, said in (
        ([str(tmp_path)], f"error: cannot make the folder {tmp_path / 'checkpoints'}"),
        ([str(tmp_path / "run"), "--trainer.logger", logger], f"error: cannot read or write {tmp_path / 'logs'}"),
    ):
        monkeypatch.setattr(sys, "argv", ["train_encoder.py", *config, "--trainer.default_root_dir", *options])
        with pytest.raises(SystemExit, match="2"):
            training.train(training.EncoderSystem)
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith(said)


@pytest.mark.parametrize("script", ["encoder", "generator", "denoiser"])
def test_every_training_script_explains_itself(script: str) -> None:
    done = subprocess.run(call(script, "fit", "--help"), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0
    assert "--trainer.devices" in done.stdout


def test_the_generator_trains_on_two_devices_without_further_settings(encoder: Path, tmp_path: Path) -> None:
    arguments = ["fit", "--config", str(ROOT / "training/configs/digits_generator.yaml"), "--model.encoder", str(encoder)]
    arguments += ["--trainer.default_root_dir", str(tmp_path), "--trainer.enable_progress_bar", "false"]
    arguments += ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.max_epochs", "1"]
    done = subprocess.run(call("generator", *arguments), env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["updates"] == 11  # 1,437 pictures, 64 on each of two
