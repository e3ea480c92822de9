"""Training of the fc6 encoder, a classifier whose first fully connected layer, after its ReLU, becomes the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from ppgn.images import Size, height_and_width
from ppgn.networks import Fc6Encoder, Fc6EncoderConfig
from training.checkpoints import describe, read_network
from training.labels import accuracies, cross_entropy
from training.schedules import one_cycle, unfrozen
from training.trunks import load_trunk

CODE_LAYERS = ("trunk", "reduce", "fc6")
"""The modules of Fc6Encoder that make its code."""


class EncoderSystem(LightningModule):
    """Trains Fc6Encoder by cross-entropy with AdamW and a one-cycle rate; a torchvision trunk stays frozen.

    Classes called "group:name" get one softmax per group, and the losses of the groups add up.

    Args:
        trunk: "convnet" (from scratch), or the name of a torchvision classifier whose convolutions are used, frozen.
        trunk_weights: file with the weights of a torchvision trunk (a state dict in torchvision's spelling); without it
            torchvision downloads its own.
        trunk_input: height and width to which pictures are resized for the trunk, or the side of a square; 0 keeps the data's.
        depths: children of the trunk whose maps feature matching compares, besides the last one's.
        widths: channels of each block of the "convnet" trunk.
        mean, std, bgr: normalisation of the pixels for the trunk, in units of [0, 1]; one number, or one per channel.
        reduce: channels after a 1x1 convolution in front of fc6; 0 leaves it out.
        code_size: units of fc6.
        hidden: units of fc7.
        dropout: before the last layer.
        learning_rate: of AdamW, the highest of the one-cycle schedule.
        weight_decay: of AdamW.
        label_smoothing: of the cross-entropy.
        code_from: checkpoint of an earlier encoder whose trunk and fc6 are kept, frozen: new classes for the codes of a generator
            that is trained already. Trunk, depths, code size and pixels are then that encoder's.
    """

    def __init__(
        self,
        trunk: str = "convnet",
        trunk_weights: Path | None = None,
        trunk_input: Size = 0,
        depths: tuple[str, ...] = (),
        widths: tuple[int, ...] = (32, 64, 128, 256),
        mean: tuple[float, ...] = (0.5,),
        std: tuple[float, ...] = (0.5,),
        bgr: bool = False,
        reduce: int = 128,
        code_size: int = 512,
        hidden: int = 512,
        dropout: float = 0.2,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        label_smoothing: float = 0.0,
        code_from: Path | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        for name, path in (("trunk_weights", trunk_weights), ("code_from", code_from)):
            self.hparams[name] = None if path is None else str(path)  # a Path would be pickled into the checkpoint
        self.settings: Any = self.hparams
        self.network: Fc6Encoder | None = None

    def configure_model(self) -> None:
        if self.network is not None:
            return
        chosen, data = self.settings, self.trainer.datamodule  # type: ignore[attr-defined]
        if chosen["code_from"]:
            self.network = with_new_classes(chosen["code_from"], len(data.class_names), chosen["hidden"], chosen["dropout"])
            self.train()
            return
        config = Fc6EncoderConfig(
            classes=len(data.class_names),
            channels=data.hparams.channels,
            input_size=chosen["trunk_input"] or data.hparams.image_size,
            **{key: chosen[key] for key in ("trunk", "mean", "std", "bgr", "reduce", "code_size", "hidden", "dropout")},
            depths=tuple(chosen["depths"]),
            widths=tuple(chosen["widths"]),
        )
        self.network = build_encoder(config, chosen["trunk_weights"])
        self.train()  # Lightning leaves modes as they are, and a frozen trunk must not start in training mode

    def train(self, mode: bool = True) -> EncoderSystem:
        super().train(mode)
        if self.network is not None and not next(self.network.trunk.parameters()).requires_grad:
            self.network.trunk.eval()  # frozen: its BatchNorm keeps the statistics it came with
        return self

    @property
    def _class_names(self) -> tuple[str, ...]:
        return self.trainer.datamodule.class_names  # type: ignore[attr-defined]

    def _code_and_logits(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        assert self.network is not None
        code = self.network(pictures)
        return code, self.network.logits_from_code(code)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        _, logits = self._code_and_logits(batch[0])
        loss = cross_entropy(logits, batch[1], self._class_names, self.settings["label_smoothing"])
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        code, logits = self._code_and_logits(batch[0])
        right = accuracies(logits, batch[1], self._class_names)
        scores = {
            "val/accuracy": torch.stack(list(right.values())).mean(),
            **({f"val/accuracy_{group}": share for group, share in right.items()} if len(right) > 1 else {}),
            "val/loss": cross_entropy(logits, batch[1], self._class_names),
            "code/mean": code.mean(),
            "code/square": code.square().mean(),
            "code/active": (code > 0).float().mean(),
        }
        self.log_dict(scores, batch_size=len(logits), prog_bar=True)

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        logged = self.trainer.callback_metrics
        self.log("code/std", (logged["code/square"] - logged["code/mean"] ** 2).sqrt(), prog_bar=True)

    def configure_optimizers(self) -> Any:
        rate, decay = self.settings["learning_rate"], self.settings["weight_decay"]
        return one_cycle(self, torch.optim.AdamW(unfrozen(self), rate, weight_decay=decay), rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        names = list(self._class_names)
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        checkpoint["ppgn"] = {"parts": {"encoder": describe(self.network)}, "class_names": names, "scores": scores}


def build_encoder(config: Fc6EncoderConfig, trunk_weights: Path | None) -> Fc6Encoder:
    """The encoder with the measured size of its pool5 and the weights of a torchvision trunk, which is then frozen."""
    probe = Fc6Encoder(dataclasses.replace(config, pool5_channels=1, pool5_size=1))
    with torch.no_grad():
        pool5 = probe.eval().maps(torch.zeros(1, config.channels, *height_and_width(config.input_size)))[-1]
    config = dataclasses.replace(config, pool5_channels=pool5.shape[1], pool5_size=(pool5.shape[2], pool5.shape[3]))
    encoder = Fc6Encoder(config)
    if config.trunk != "convnet":
        load_trunk(encoder.trunk, config.trunk, trunk_weights)
        encoder.trunk.requires_grad_(False)
    return encoder


def with_new_classes(path: Path, classes: int, hidden: int, dropout: float) -> Fc6Encoder:
    """The encoder of a checkpoint with a new fc7 and fc8; CODE_LAYERS are frozen."""
    known = read_network(path, "encoder")
    encoder = Fc6Encoder(dataclasses.replace(known.config, classes=classes, hidden=hidden, dropout=dropout))
    for part in CODE_LAYERS:
        getattr(encoder, part).load_state_dict(getattr(known, part).state_dict())
        getattr(encoder, part).requires_grad_(False)
    return encoder
