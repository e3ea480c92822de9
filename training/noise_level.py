"""Training of the noise-level denoiser: denoising score matching on codes at all levels at once."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from ppgn.networks import (
    MapDenoiser,
    MapDenoiserConfig,
    NoiseLevelDenoiser,
    NoiseLevelDenoiserConfig,
    WienerDenoiser,
    WienerDenoiserConfig,
)
from training.checkpoints import describe, freeze, read_checkpoint, read_network
from training.schedules import one_cycle


def trained_noise_level(file: Path, draws: int = 4000) -> Any:
    """The denoiser of a checkpoint, ready to draw codes from: the draws of a WienerDenoiser get the variance of the codes.

    draws: by which that is measured; it takes a while.
    """
    network = read_network(file, "noise_level")
    if isinstance(network, WienerDenoiser):
        network.calibrate(draws)
    return network


class NoiseLevelSystem(LightningModule):
    """Trains a NoiseLevelDenoiser on ||D(z + s n; s) - z||^2 with the weights of EDM (Karras et al. 2022, Table 1).

    Args:
        network: the denoiser, a WienerDenoiser where its config is one; its code size comes from the codes.
        map_network: the denoiser of codes that are maps, in the place of `network`; its code shape comes from the codes.
        level_mean, level_std: ln s ~ N(level_mean, level_std^2); by default those of EDM (Table 1), and higher ones for a
            WienerDenoiser, which needs no training at low levels.
        learning_rate: of AdamW, the highest of the one-cycle schedule.
        ema: decay of the moving average of the weights, which is kept; after u updates at most (u + 1) / (u + 20).
    """

    def __init__(
        self,
        network: NoiseLevelDenoiserConfig | WienerDenoiserConfig = NoiseLevelDenoiserConfig(),
        level_mean: float | None = None,
        level_std: float | None = None,
        learning_rate: float = 1e-3,
        ema: float = 0.999,
        map_network: MapDenoiserConfig = MapDenoiserConfig(),
    ) -> None:
        super().__init__()
        mean, std = (0.4, 1.3) if isinstance(network, WienerDenoiserConfig) else (-0.4, 1.2)
        self.level_mean, self.level_std = mean if level_mean is None else level_mean, std if level_std is None else level_std
        self.config, self.map_config = network, map_network
        self.learning_rate, self.ema = learning_rate, ema
        self.network: Any = None  # a NoiseLevelDenoiser once the codes are known

    def configure_model(self) -> None:
        if self.network is not None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.class_names = read_checkpoint(data.encoder_path)["class_names"]
        codes = data.codes["train"]
        self.network = self._of_codes(tuple(codes.shape[1:]))
        self.network.fit(codes)
        self.average: Any = freeze(AveragedModel(self.network, multi_avg_fn=self._average))

    def _of_codes(self, shape: tuple[int, ...]) -> NoiseLevelDenoiser:
        if len(shape) > 1:
            return MapDenoiser(dataclasses.replace(self.map_config, code_shape=shape, code_size=math.prod(shape)))
        config = dataclasses.replace(self.config, code_size=math.prod(shape))
        return WienerDenoiser(config) if isinstance(config, WienerDenoiserConfig) else NoiseLevelDenoiser(config)

    def loss(self, network: Any, codes: Tensor, level: Tensor) -> Tensor:
        """Mean of (s^2 + 1) / s^2 (D(z + s n; s) - z)^2 over codes `[chain, *code]` at levels s `[chain]`."""
        clean = network.standardised(codes)
        each = level.reshape(-1, *[1] * (clean.ndim - 1))
        noisy = clean + each * torch.randn_like(clean)
        error = network.denoise_standardised(noisy, level) - clean
        return (error.square() * (1 + each**-2)).mean()

    def _average(self, averaged: Any, current: Any, updates: Any) -> None:
        decay = min(self.ema, (int(updates) + 1) / (int(updates) + 20))
        with torch.no_grad():
            for kept, newest in zip(averaged, current, strict=True):
                kept.lerp_(newest, 1 - decay)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        level = (self.level_mean + self.level_std * torch.randn(len(batch), device=batch.device)).exp()
        loss = self.loss(self.network, batch, level)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.network)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Logs the squared error of D at level 0.5 in units of each unit's variance; the identity has 0.25."""
        network = self.average.module
        clean = network.standardised(batch)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(batch_idx)).to(clean)
        error = (network.denoise_standardised(clean + 0.5 * noise, 0.5) - clean).square().mean()
        self.log_dict({"val/error_at_0.5": error}, prog_bar=True)

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.learning_rate, weight_decay=0.01)
        return one_cycle(self, optimizer, self.learning_rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        parts = {"noise_level": describe(self.average.module)}
        checkpoint["ppgn"] = {"parts": parts, "class_names": self.class_names, "scores": scores}
