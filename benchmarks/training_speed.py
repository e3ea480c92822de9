"""Images per second of the generator's training: under Lightning, with cached features, and as a bare loop; the cost of loading.

    python benchmarks/training_speed.py --root imagenette64 --encoder runs/imagenette64/encoder/checkpoints/last.ckpt

Each way runs in a separate process with the settings of training/configs/imagenette64_generator.yaml and makes `--updates`
updates when it is its turn; the turns alternate. The bare loop has the same networks, losses, optimisers, moving average,
augmentation and precision in a single function, as a first version would have them, on batches that lie in memory; "memory kept"
adds ppgn/acceleration/allocator.py to it. Training differs from it in five ways: the distance of maps has a hand-written gradient
(training/losses.py), gradients of convolutions' weights come from faster kernels (training/convolutions.py), real and generated
pictures are judged in one pass, Adam is fused, and freed memory is kept. Loading is all time between two training steps under
Lightning. Processor seconds are less disturbed by other work on the machine than wall seconds, and leave out waiting for the
disk. The cached features take 0.6 MB of disk per picture, in `--run`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import logging
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning import Callback
from timing import REPEATS, alternating, machine, table
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ppgn.acceleration import keep_freed_memory
from ppgn.networks import ImageGenerator
from training import (
    GeneratorSystem,
    ImageData,
    TrainingCLI,
    adversarial_loss,
    augment,
    augment_alike,
    build_discriminator,
    discriminator_loss,
    read_network,
)

CONFIG = Path(__file__).parents[1] / "training" / "configs" / "imagenette64_generator.yaml"
BARE, KEPT, LIGHTNING, CACHED = WAYS = ("bare loop", "bare loop, memory kept", "Lightning", "Lightning, cached features")
PRELOADED = 8
"""Batches of the bare loop."""
UPDATES = 2


@dataclasses.dataclass(frozen=True)
class Settings:
    """Folder of pictures, the encoder's checkpoint, run folder of the cached way, and updates of a turn."""

    root: Path
    encoder: Path
    run: Path
    updates: int


def adversaries(system: GeneratorSystem, encoder: Any, pictures: Tensor) -> tuple[Any, Any]:
    """(new generator, new discriminator) for such pictures, made of PyTorch's layers."""
    maps = encoder.maps(pictures)
    code = encoder.code_from_pool5(maps[-1])
    scale, size, channels = float(code.std()), code.shape[1], pictures.shape[1]
    network = dataclasses.replace(system.network, code_size=size, channels=channels, code_scale=scale)
    adversary = dataclasses.replace(system.adversary, code_scale=scale)
    with patch("training.discriminator.Convolution", nn.Conv2d):
        return ImageGenerator(network), build_discriminator(adversary, channels, [m.shape[1] for m in maps], size)


def bare_step(system: GeneratorSystem, batches: list[Tensor]) -> Callable[[], None]:
    """A function that updates discriminator and generator once, without Lightning. system: gives the config's weights and rates;
    its distances are "l1_mean" and "unit_channel_square"."""
    last, betas = torch.channels_last, system.optimisation.betas
    rate, weights = system.optimisation.learning_rate, system.losses
    encoder = read_network(Path(system.encoder_path), "encoder").to(memory_format=last)
    generator, discriminator = (network.to(memory_format=last) for network in adversaries(system, encoder, batches[0]))
    average = AveragedModel(generator, use_buffers=True, multi_avg_fn=get_ema_multi_avg_fn(system.optimisation.ema))
    ours = torch.optim.Adam(generator.parameters(), rate, betas)
    theirs = torch.optim.Adam(discriminator.parameters(), rate, betas)
    supply = itertools.cycle(batches)

    def step() -> None:
        pictures = next(supply)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                real_maps = encoder.maps(pictures)
                code = encoder.code_from_pool5(real_maps[-1])
            generated = generator(code)
            generated_maps = encoder.maps(generated)
            seen_real, seen_generated = augment_alike(pictures, generated)
            on_real = discriminator(seen_real, real_maps, code)
            on_generated = discriminator(seen_generated.detach(), [m.detach() for m in generated_maps], code)
            against = discriminator_loss(weights.adversarial_loss, on_real, on_generated)
        theirs.zero_grad()
        against.backward()
        theirs.step()
        discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            judged = discriminator(seen_generated, generated_maps, code)
            loss = weights.image * functional.l1_loss(generated, pictures)
            for pair in zip(generated_maps, real_maps, strict=True):
                first, second = (functional.normalize(maps.float(), dim=1, eps=1e-6) for maps in pair)
                loss = loss + weights.feature * (first - second).square().sum(1).mean()
            loss = loss + weights.adversarial * adversarial_loss(weights.adversarial_loss, judged)
        discriminator.requires_grad_(True)
        ours.zero_grad()
        loss.backward()
        ours.step()
        average.update_parameters(generator)

    return step


def command_line(settings: Settings, *more: str) -> TrainingCLI:
    """The objects that scripts/train_generator.py builds for the config, on the processor, without validation."""
    given = ["--config", str(CONFIG), "--data.name", "folder", "--data.root", str(settings.root)]
    given += ["--model.encoder", str(settings.encoder), "--trainer.default_root_dir", str(settings.run)]
    given += ["--trainer.accelerator", "cpu", "--trainer.limit_val_batches", "0", "--trainer.max_epochs", "-1"]
    given += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false", "--checkpoint_minutes", "1e9"]
    return TrainingCLI(GeneratorSystem, ImageData, args=[*given, *more], run=False, save_config_callback=None)


class Turns(Callback):
    """Hold Lightning's loop after every `updates` batches until the next turn, and send the processor seconds of the turn and the
    wall seconds between its training steps."""

    def __init__(self, turns: Connection, updates: int) -> None:
        self.turns, self.updates, self.done = turns, updates, 0

    def _await(self) -> None:
        self.turns.recv()
        self.loading, self.ended, self.processor = 0.0, time.perf_counter(), time.process_time()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._await()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.loading += time.perf_counter() - self.ended

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.done, self.ended = self.done + 1, time.perf_counter()
        if self.done % self.updates == 0:
            self.turns.send((time.process_time() - self.processor, self.loading))
            self._await()


def work(way: str, settings: Settings, turns: Connection) -> None:
    """The process of a way: `updates` updates for each message, until it is ended."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    cli = command_line(settings, *(["--model.cache_features", "bfloat16"] if way == CACHED else []))
    if way in (LIGHTNING, CACHED):
        cli.trainer.callbacks.append(Turns(turns, settings.updates))  # type: ignore[attr-defined]
        cli.trainer.fit(cli.model, cli.datamodule)
    if way == KEPT:
        keep_freed_memory()
    step = bare_step(cli.model, preloaded(cli.datamodule))
    while True:
        turns.recv()
        begun = time.process_time()
        for _ in range(settings.updates):
            step()
        turns.send((time.process_time() - begun, 0.0))


def preloaded(data: Any) -> list[Tensor]:
    """PRELOADED batches of training, augmented, in memory."""
    data.setup()
    batches = itertools.islice(data.train_dataloader(), PRELOADED)
    mirrored = [augment(pictures.float() / 255, True, 0) for pictures, _ in batches]
    return [pictures.contiguous(memory_format=torch.channels_last) for pictures in mirrored]


def measure(root: Path, encoder: Path, repeats: int = REPEATS, updates: int = UPDATES, run: Path | None = None) -> dict[str, Any]:
    """Way -> images per second, ratios to the bare loops, milliseconds of an update and of loading; with machine and settings.
    Raises EOFError where the process of a way fails, which then has printed its error."""
    turns: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as room:
        settings = Settings(root, encoder, run or Path(room), updates)
        pipes = {way: spawn.Pipe() for way in WAYS}
        workers = [spawn.Process(target=work, args=(way, settings, pipes[way][1]), daemon=True) for way in WAYS]

        def turn(way: str) -> None:
            pipes[way][0].send(None)
            turns[way].append(pipes[way][0].recv())

        try:
            for worker in workers:
                worker.start()
            for _, theirs in pipes.values():
                theirs.close()  # a worker that fails then ends the wait for it
            taken = alternating({way: (lambda way=way: turn(way)) for way in WAYS}, repeats)
        finally:
            for worker in workers:
                worker.kill()
    batch = command_line(settings).datamodule.hparams.batch_size
    per_update = {way: [statistics.median(column) / updates for column in zip(*turns[way][1:], strict=True)] for way in WAYS}
    ways = {
        way: {
            "images_per_second": batch * updates / taken[way],
            "of_bare": taken[BARE] / taken[way],
            "of_bare_processor": per_update[BARE][0] / per_update[way][0],
            "of_kept_processor": per_update[KEPT][0] / per_update[way][0],
            "update_milliseconds": 1000 * taken[way] / updates,
            "processor_milliseconds": 1000 * per_update[way][0],
            "loading_milliseconds": 1000 * per_update[way][1] if way in (LIGHTNING, CACHED) else None,
        }
        for way in WAYS
    }
    return {"machine": machine(), "config": CONFIG.name, "batch": batch, "updates": updates, "repeats": repeats, "ways": ways}


def report(measured: dict[str, Any]) -> str:
    """The table of `measure`'s result."""
    columns = ["way", "images / s", "of the bare loop", "by processor time", "by it, memory kept"]
    columns += ["ms per update", "processor ms", "ms of loading"]
    return table(columns, [[way, *row.values()] for way, row in measured["ways"].items()])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--root", type=Path, required=True, help="imagenette64: train/<class>/<picture>, val/<class>/<picture>")
    options.add_argument("--encoder", type=Path, required=True, help="last.ckpt of training/configs/imagenette64_encoder.yaml")
    options.add_argument("--run", type=Path, help="folder for the features, to find them again (default: a temporary folder)")
    options.add_argument("--updates", type=int, default=UPDATES, help="updates of a turn (default: 2)")
    options.add_argument("--repeats", type=int, default=REPEATS, help="turns of each way that count (default: 5)")
    options.add_argument("--json", type=Path, help="file for all of it")
    given = options.parse_args()
    measured = measure(given.root, given.encoder, given.repeats, given.updates, given.run)
    print(report(measured))
    if given.json:
        given.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
