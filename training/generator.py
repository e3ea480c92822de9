"""Training of the image generator: code -> picture, by reconstruction, feature matching and an adversary on image and code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn.networks import ImageGeneratorConfig
from training.adversarial import AdversarialSystem, Optimisation, Step
from training.checkpoints import describe, read_checkpoint, read_network
from training.discriminator import DiscriminatorConfig
from training.feature_cache import CacheKey, PicturesWithFeatures, RealFeatures, Storage, keep_features
from training.labels import accuracies
from training.losses import LossWeights, adversarial_loss, distance
from training.memory import keep_freed_memory


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the Gaussian noise of Joint PPGN-h: on the picture, on pool5 and on the code."""

    image: float = 0.0
    pool5: float = 0.0
    code: float = 0.0


class GeneratorSystem(AdversarialSystem):
    """Trains ImageGenerator to rebuild pictures from their codes, which a frozen encoder gives (PPGN section 3.2).

    Args:
        encoder: checkpoint of scripts/train_encoder.py.
        network: the generator; its code size, channels and code scale come from encoder and data.
        discriminator: the adversary; its code scale likewise.
        losses: weights and kinds of the losses.
        noise: of the Joint variant; all zero gives the noiseless one.
        optimisation: rates, pause rule, clipping, moving average.
        augment: vary brightness and saturation, move and cut out pictures in front of the discriminator.
        cache_features: compute maps and codes of the real pictures once and keep them in this type, in `features.safetensors`
            in the run folder. Under bf16-mixed "bfloat16" holds them exactly. Not with noise on picture or pool5, nor with
            `data.shift`, because they then differ at every step.
    """

    def __init__(
        self,
        encoder: Path,
        network: ImageGeneratorConfig = ImageGeneratorConfig(),
        discriminator: DiscriminatorConfig = DiscriminatorConfig(),
        losses: LossWeights = LossWeights(),
        noise: Noise = Noise(),
        optimisation: Optimisation = Optimisation(),
        augment: bool = True,
        cache_features: Storage | None = None,
    ) -> None:
        super().__init__(encoder, network, discriminator, losses, optimisation, augment)
        self.noise = noise
        self.cache_features: Storage | None = cache_features

    def configure_model(self) -> None:
        if self.encoder is not None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.cache_features:
            self._check_cacheable(data.hparams.shift)
        self.encoder = read_network(self.encoder_path, "encoder")
        self.class_names = tuple(read_checkpoint(self.encoder_path)["class_names"])
        code_size, scale = self.encoder.config.code_size, self._code_scale(data)
        self.oppose(self.image_generator(data, code_size, scale), data, code_size, scale)

    def _code_scale(self, data: Any) -> float:
        """Standard deviation of the code's units over a sample of the training pictures."""
        sample = torch.linspace(0, len(data.train_pictures) - 1, min(512, len(data.train_pictures))).long().tolist()
        with torch.no_grad():
            return float(self.encoder(data.train_pictures.__getitems__(sample)[0].float() / 255).std())

    def _check_cacheable(self, shift: int) -> None:
        settings = {"model.noise.image": self.noise.image, "model.noise.pool5": self.noise.pool5, "data.shift": shift}
        moving = [f"{name} {value:g}" for name, value in settings.items() if value]
        if moving:
            raise ValueError(
                f"model.cache_features needs the same maps of a picture at every step, expected no noise and no shift, "
                f"got {', '.join(moving)}: set it to 0 or leave model.cache_features out"
            )

    def on_fit_start(self) -> None:
        if self.device.type == "cpu":
            keep_freed_memory()
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        data.with_features = self._with_features(data, self.cache_features) if self.cache_features else None

    def _with_features(self, data: Any, storage: Storage) -> PicturesWithFeatures:
        """The training pictures with their features, which one process per machine computes while the others wait."""
        trainer, pictures, flip = self.trainer, data.train_pictures, data.hparams.flip
        path = Path(trainer.default_root_dir) / "features.safetensors"
        if trainer.local_rank == 0:
            key = CacheKey(self.encoder, pictures, flip, storage, str(trainer.precision))
            keep_features(path, key, trainer.precision_plugin.forward_context)
        trainer.strategy.barrier("features")
        return PicturesWithFeatures(pictures, RealFeatures(path), flip)

    @torch.no_grad()
    def encode(self, pictures: Tensor, labels: Tensor, features: list[Tensor] | None = None) -> tuple[list[Tensor], Tensor]:
        """The maps and the codes of real pictures, with the Joint variant's noise on picture, pool5 and code.

        features: kept maps and codes, which get the type that the encoder would give here.
        """
        if features is not None:
            kind = pictures.device.type
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else pictures.dtype
            *maps, code = [feature.to(dtype) for feature in features]
            return maps, _noisy(code, self.noise.code)
        maps = self.encoder.maps(_noisy(pictures, self.noise.image))
        code = self.encoder.code_from_pool5(_noisy(maps[-1], self.noise.pool5))
        return maps, _noisy(code, self.noise.code)

    def generator_losses(self, step: Step) -> dict[str, Tensor]:
        weights = self.losses
        pairs = zip(step.made_maps, step.maps, strict=True)
        feature = sum(distance(weights.feature_distance, made, real) for made, real in pairs)
        parts = {
            "image": weights.image * distance(weights.image_distance, step.made, step.pictures),
            "feature": weights.feature * feature,
            "adversarial": weights.adversarial * adversarial_loss(weights.adversarial_loss, step.judged),
        }
        if weights.code:
            made_code = self.encoder.code_from_pool5(step.made_maps[-1])
            parts["code"] = weights.code * distance("half_square_sum", made_code, step.code)
        return parts

    @torch.no_grad()
    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Logs distances of reconstructions from their pictures, and how often the encoder's head sees the right class."""
        pictures, labels = batch
        maps = self.encoder.maps(pictures)
        made = self.average(self.encoder.code_from_pool5(maps[-1])).clamp(0, 1)
        made_maps = self.encoder.maps(made)
        logits = self.encoder.logits_from_code(self.encoder.code_from_pool5(made_maps[-1]))
        scores = {
            "val/image": distance("l1_mean", made, pictures),
            "val/feature": sum(distance("unit_channel_square", a, b) for a, b in zip(made_maps, maps, strict=True)),
            "val/own_accuracy": torch.stack(list(accuracies(logits, labels, self.class_names).values())).mean(),
        }
        self.log_dict(scores, batch_size=len(pictures), prog_bar=True)
        if batch_idx == 0:
            beside = torch.stack([pictures[:16], made[:16]], 1).flatten(0, 1)
            self.log_sheet(beside, 8, "real beside reconstruction", "reconstructions.png")

    test_step = validation_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        parts = {"generator": describe(self.average.module), "encoder": describe(self.encoder)}
        checkpoint["ppgn"] = self.checkpoint_entry(parts)


def _noisy(values: Tensor, std: float) -> Tensor:
    return values + std * torch.randn_like(values) if std else values
