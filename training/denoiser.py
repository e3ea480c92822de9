"""Training of the code denoiser of PPGN-h, an auto-encoder that removes Gaussian noise from codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ppgn.images import Size
from ppgn.networks import CodeDenoiser, CodeDenoiserConfig
from ppgn.progress import bar
from training.checkpoints import describe, read_checkpoint, read_network
from training.data import ImageData, SourceName
from training.frozen import codes_before_relu
from training.pictures import FEW
from training.resumable import plain_loader, shuffled_loader


class CodeData(ImageData):
    """Codes of the pictures of ImageData, made once by a trained encoder: batches of `[code, *code]`.

    Args:
        encoder: checkpoint of scripts/train_encoder.py, or of scripts/train_generator.py, which holds the generator's encoder.
        name, root, image_size, channels, download, validation_share, split_seed: as in ImageData.
        batch_size: codes per step.
        flip: add the codes of the mirrored training pictures.
        before_relu: take fc6 before its ReLU instead of the code; codes of an encoder without one are the same.
        table, labels, least, merge: as in ImageData.
    """

    def __init__(
        self,
        encoder: Path,
        name: SourceName = "imagenette",
        root: Path = Path("data"),
        image_size: Size = 64,
        channels: int = 3,
        batch_size: int = 128,
        flip: bool = True,
        download: bool = False,
        validation_share: float = 0.1,
        split_seed: int = 0,
        before_relu: bool = False,
        table: str = "captions.jsonl",
        labels: dict[str, str] | None = None,
        least: int = 50,
        merge: dict[str, dict[str, list[str]]] | None = None,
    ) -> None:
        super().__init__(
            name, root, image_size, channels, batch_size, flip=flip, download=download,
            validation_share=validation_share, split_seed=split_seed, table=table, labels=labels, least=least, merge=merge,
        )  # fmt: skip
        self.encoder_path, self.flip, self.before_relu = encoder, flip, before_relu
        self.codes: dict[str, Tensor] = {}

    def setup(self, stage: str | None = None) -> None:
        if self.codes:
            return
        super().setup(stage)
        network = read_network(self.encoder_path, "encoder")

        def encoder(images: Tensor) -> Tensor:
            return codes_before_relu(network, images) if self.before_relu else network(images)

        codes = [over_pictures(encoder, self.train_pictures)]
        if self.flip:
            codes.append(over_pictures(lambda images: encoder(images.flip(-1)), self.train_pictures))
        self.codes = {"train": torch.cat(codes), "validation": over_pictures(encoder, self.validation_pictures)}

    def _code_loader(self, split: str) -> DataLoader:
        loader = shuffled_loader if split == "train" else plain_loader
        return loader(TensorDataset(self.codes[split]), self.hparams["batch_size"])

    def train_dataloader(self) -> DataLoader:
        return self._code_loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._code_loader("validation")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Tensor:
        return batch[0]


@torch.no_grad()
def over_pictures(function: Callable[[Tensor], Tensor], pictures: Any, batch: int = 128) -> Tensor:
    """function(images in [0, 1]) of all pictures in their order, `[picture, ...]`."""
    starts = bar("encoding pictures", range(0, len(pictures), batch), unit="batch", leave=False, disable=len(pictures) < FEW)
    fetched = (pictures.__getitems__(list(range(start, min(start + batch, len(pictures)))))[0] for start in starts)
    return torch.cat([function(images.float() / 255) for images in fetched])


class DenoiserSystem(LightningModule):
    """Trains CodeDenoiser on ||R(code + noise) - code||^2 (PPGN section 3.3).

    Args:
        network: the auto-encoder; its code size and code scale come from the codes.
        noise: standard deviation of the noise in units of the codes' standard deviation.
        learning_rate: of Adam.
    """

    def __init__(
        self, network: CodeDenoiserConfig = CodeDenoiserConfig(), noise: float = 0.5, learning_rate: float = 1e-3
    ) -> None:
        super().__init__()
        self.config, self.noise, self.learning_rate = network, noise, learning_rate
        self.network: CodeDenoiser | None = None

    def configure_model(self) -> None:
        if self.network is None:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self.class_names = read_checkpoint(data.encoder_path)["class_names"]
            codes = data.codes["train"]
            if codes.ndim > 2:
                raise ValueError(
                    f"the code denoiser got codes of shape {list(codes.shape[1:])}, expected vectors: train the noise-level "
                    f"denoiser, which takes maps"
                )
            config = dataclasses.replace(self.config, code_size=codes.shape[1], code_scale=float(codes.std()))
            self.network = CodeDenoiser(config)

    def loss(self, codes: Tensor) -> Tensor:
        """Mean squared error of the denoised codes in units of the codes' variance; R = identity has noise**2."""
        assert self.network is not None
        scale = self.network.config.code_scale
        noisy = codes + self.noise * scale * torch.randn_like(codes)
        return functional.mse_loss(self.network(noisy) / scale, codes / scale)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log_dict({"val/loss": self.loss(batch), "val/identity": self.noise**2}, prog_bar=True)

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        parts = {"denoiser": describe(self.network)}
        checkpoint["ppgn"] = {"parts": parts, "class_names": self.class_names, "scores": scores}
