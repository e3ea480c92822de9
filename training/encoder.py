"""The fc6 encoder: a classifier whose first fully connected layer, after its ReLU, becomes the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from ppgn.networks import Fc6Encoder, Fc6EncoderConfig
from training.files import describe, read_network
from training.labels import accuracies, cross_entropy

CODE_LAYERS = ("trunk", "reduce", "fc6")
"""The modules of Fc6Encoder that its code comes from."""


class EncoderSystem(LightningModule):
    """Trains Fc6Encoder by cross-entropy with AdamW and a one-cycle rate; a torchvision trunk stays frozen.

    Classes called "group:name" get a softmax for each group, and the losses of the groups add up.

    Args:
        trunk: "convnet" (from scratch) or the name of a torchvision model whose convolutional part is used as it is.
        trunk_weights: file with the trunk's weights (a state dict in torchvision's spelling); without it torchvision
            downloads its own. Not for "convnet".
        trunk_input: side to which pictures are resized for the trunk; 0 keeps the data's.
        depths: children of the trunk whose outputs serve feature matching besides the last one.
        widths: blocks of the "convnet" trunk.
        mean, std, bgr: how the trunk wants its pixels, for pixels in [0, 1]; one number or one a channel.
        reduce: channels after a 1x1 convolution in front of fc6; 0 leaves it out.
        code_size: units of fc6.
        hidden: units of fc7.
        dropout: before the last layer.
        learning_rate, weight_decay: of AdamW; the rate is the one-cycle's highest.
        label_smoothing: of the cross-entropy.
        code_from: checkpoint of an earlier encoder whose trunk and fc6 are kept as they are: new classes for the codes of a
            generator that is trained already. What is said above about trunk, depths, code and pixels is then that encoder's.
    """

    def __init__(
        self,
        trunk: str = "convnet",
        trunk_weights: Path | None = None,
        trunk_input: int = 0,
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
            self.hparams[name] = None if path is None else str(path)  # a Path would be pickled
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
        self.train()  # Lightning leaves modes as they are; a frozen trunk must not start in training mode

    def train(self, mode: bool = True) -> EncoderSystem:
        super().train(mode)
        if self.network is not None and not next(self.network.trunk.parameters()).requires_grad:
            self.network.trunk.eval()  # frozen: its BatchNorm keeps the statistics it came with
        return self

    @property
    def _class_names(self) -> tuple[str, ...]:
        return self.trainer.datamodule.class_names  # type: ignore[attr-defined]

    def _logits(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        assert self.network is not None
        code = self.network(pictures)
        return code, self.network.logits_from_code(code)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        _, logits = self._logits(batch[0])
        loss = cross_entropy(logits, batch[1], self._class_names, self.settings["label_smoothing"])
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        code, logits = self._logits(batch[0])
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
        return one_cycle(self, self.settings["learning_rate"], self.settings["weight_decay"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        names = list(self._class_names)
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        checkpoint["ppgn"] = {"parts": {"encoder": describe(self.network)}, "class_names": names, "scores": scores}


def one_cycle(system: LightningModule, learning_rate: float, weight_decay: float) -> Any:
    """AdamW on what is not frozen, its rate rising to learning_rate and falling again over the whole training."""
    trained = [weights for weights in system.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=weight_decay)
    steps = int(system.trainer.estimated_stepping_batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build_encoder(config: Fc6EncoderConfig, trunk_weights: Path | None) -> Fc6Encoder:
    """The encoder with its trunk's weights in place and its pool5 measured; a foreign trunk is frozen."""
    probe = Fc6Encoder(dataclasses.replace(config, pool5_channels=1, pool5_size=1))
    with torch.no_grad():
        pool5 = probe.eval().maps(torch.zeros(1, config.channels, config.input_size, config.input_size))[-1]
    config = dataclasses.replace(config, pool5_channels=pool5.shape[1], pool5_size=pool5.shape[2])
    encoder = Fc6Encoder(config)
    if config.trunk != "convnet":
        load_trunk(encoder.trunk, config.trunk, trunk_weights)
        encoder.trunk.requires_grad_(False)
    return encoder


def with_new_classes(path: Path, classes: int, hidden: int, dropout: float) -> Fc6Encoder:
    """The encoder of a checkpoint with a new fc7 and fc8 to be trained; all that its code comes from is frozen."""
    known = read_network(path, "encoder")
    encoder = Fc6Encoder(dataclasses.replace(known.config, classes=classes, hidden=hidden, dropout=dropout))
    for part in CODE_LAYERS:
        getattr(encoder, part).load_state_dict(getattr(known, part).state_dict())
        getattr(encoder, part).requires_grad_(False)
    return encoder


def load_trunk(trunk: nn.Sequential, name: str, weights: Path | None) -> None:
    """Fills `trunk` from a file in torchvision's spelling, or from torchvision's download; raises ValueError if they differ."""
    if weights is None:
        from torchvision import models

        state = models.get_model(name, weights="DEFAULT").state_dict()
    elif not Path(weights).is_file():
        raise ValueError(f"no trunk weights at {weights}: pass a state dict of torchvision's {name}, or leave it out to download")
    else:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    wanted = trunk.state_dict()
    found = {key.removeprefix("features."): value for key, value in state.items()}
    missing = [key for key in wanted if key not in found or found[key].shape != wanted[key].shape]
    if missing:
        raise ValueError(f"{weights or name} lacks {len(missing)} tensors of {name}'s trunk, {missing[0]} first: is it {name}?")
    trunk.load_state_dict({key: found[key] for key in wanted})
