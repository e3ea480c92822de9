"""Training of the pixel denoiser of PPGN-x, a convolutional auto-encoder that removes Gaussian noise from pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional

from ppgn.networks import PixelDenoiser, PixelDenoiserConfig
from training.checkpoints import describe
from training.schedules import one_cycle


class PixelDenoiserSystem(LightningModule):
    """Trains PixelDenoiser on the mean over pixels of (R(x + noise) - x)^2 (PPGN section 3.1), Adam with a one-cycle rate.

    Args:
        network: the auto-encoder; its number of channels comes from the data.
        noise: standard deviation of the noise in pixels of [0, 1]; R(x) - x then estimates noise**2 * score.
        learning_rate: of Adam, the highest of the one-cycle schedule.
    """

    def __init__(
        self, network: PixelDenoiserConfig = PixelDenoiserConfig(), noise: float = 0.2, learning_rate: float = 2e-3
    ) -> None:
        super().__init__()
        if not noise > 0:
            raise ValueError(f"a pixel denoiser got noise {noise}, expected more than 0: pass 0.2, say")
        self.config, self.noise, self.learning_rate = network, noise, learning_rate
        self.network: PixelDenoiser | None = None

    def configure_model(self) -> None:
        if self.network is None:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            config = dataclasses.replace(self.config, channels=data.hparams.channels)
            self.network = PixelDenoiser(config).to(memory_format=torch.channels_last)

    def losses(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squared errors of R(x + noise) and of x + noise itself, about noise**2, which R = identity has."""
        assert self.network is not None
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        noisy = pictures + self.noise * torch.randn_like(pictures)
        return functional.mse_loss(self.network(noisy), pictures), functional.mse_loss(noisy, pictures)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss, _ = self.losses(batch[0])
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        loss, identity = self.losses(batch[0])
        self.log_dict({"val/loss": loss, "val/identity": identity}, batch_size=len(batch[0]), prog_bar=True)

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        return one_cycle(self, torch.optim.Adam(self.parameters(), lr=self.learning_rate), self.learning_rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        names = list(self.trainer.datamodule.class_names)  # type: ignore[attr-defined]
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        checkpoint["ppgn"] = {"parts": {"pixel_denoiser": describe(self.network)}, "class_names": names, "scores": scores}
