"""Training of the image generator: code -> picture, by reconstruction, feature matching and an adversary on image and code."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ppgn.acceleration import keep_freed_memory
from ppgn.images import Size, spread
from ppgn.networks import ImageGeneratorConfig, ModulatedGenerator, ModulatedGeneratorConfig
from training.adversarial import AdversarialSystem, Optimisation, Step, check_size
from training.balanced import SHOWN, Balanced
from training.balanced_training import BalancedTraining, RulerNetwork, build_adversary
from training.checkpoints import describe
from training.convolutions import with_quick_gradients
from training.discriminator import DiscriminatorConfig, check_depth
from training.feature_cache import Storage, check_cacheable, training_features
from training.frozen import Frozen, code_shape, encoder_and_classes
from training.labels import accuracies
from training.losses import LossWeights, adversarial_loss, distance
from training.progress import share_done

MIXING_SAMPLE = 64
"""Pictures whose maps scale the mixing of a projected adversary."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the Gaussian noise of Joint PPGN-h: on the picture, on pool5 and on the code."""

    image: float = 0.0
    pool5: float = 0.0
    code: float = 0.0


class GeneratorSystem(AdversarialSystem):
    """Trains a generator to rebuild pictures from their codes, which a frozen encoder gives (PPGN section 3.2).

    Args:
        encoder: checkpoint of scripts/train_encoder.py, or the name of a published network, which stays as it is: timm:NAME,
            torchvision:NAME, lite:0, hf:NAME.
        network: the generator; its code size or shape, channels and code scale come from encoder and data.
        discriminator: the adversary; its code scale likewise.
        losses: weights and kinds of the losses.
        noise: of the Joint variant; all zero gives the noiseless one.
        optimisation: rates, pause rule, clipping, moving average.
        augment: vary brightness and saturation, move and cut out pictures in front of the discriminator.
        cache_features: compute maps and codes of the real pictures once and keep them in this type, in `features.safetensors`
            in the run folder. Under bf16-mixed "bfloat16" holds them exactly. Not with noise on picture or pool5, nor with
            `data.shift`, because they then differ at every step. A balanced training keeps the codes alone, because its maps are
            those of augmented pictures.
        modulated: sizes of a modulated generator, which takes the place of `network`'s; code size and channels likewise.
        balanced: losses balanced by the length of their gradients and a projected adversary, in the place of `losses`,
            `discriminator` and `augment`. Of `optimisation` the generator's rate, betas and the moving average hold.
        layer: of a published network, the layer whose value is the code (`ppgn layers NAME` lists them).
        code: of a published network, what of the layer is the code: its "map" of patch tokens or places, its "class" token, or
            the "mean" over places.
        maps: of a published network, more layers whose maps the feature loss compares.
        encoder_weights: of a published network, a file of them (.safetensors, or .pth of tensors alone); without one lite:0's
            come from its package, timm's from the hub or its cache, torchvision's and transformers' from their caches.
        encoder_size: of a published network, (height, width) of its input or the side of a square; 0: its own.
    """

    def __init__(
        self,
        encoder: Path | str,
        network: ImageGeneratorConfig = ImageGeneratorConfig(),
        discriminator: DiscriminatorConfig = DiscriminatorConfig(),
        losses: LossWeights = LossWeights(),
        noise: Noise = Noise(),
        optimisation: Optimisation = Optimisation(),
        augment: bool = True,
        cache_features: Storage | None = None,
        modulated: ModulatedGeneratorConfig | None = None,
        balanced: Balanced | None = None,
        layer: str = "",
        code: Literal["map", "class", "mean"] = "map",
        maps: tuple[str, ...] = (),
        encoder_weights: Path | None = None,
        encoder_size: Size = 0,
    ) -> None:
        super().__init__(encoder, network, discriminator, losses, optimisation, augment)
        self.frozen = Frozen(layer, code, tuple(maps), encoder_weights, encoder_size)
        self.noise = noise
        self.cache_features: Storage | None = cache_features
        self.modulated, self.balanced = modulated, balanced
        self.balanced_training: BalancedTraining | None = None
        if balanced and noise != Noise():
            raise ValueError(
                "the balanced training knows no noise on picture, pool5 or code: leave model.noise or model.balanced out"
            )

    def configure_model(self) -> None:
        if self.encoder is not None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.cache_features:
            check_cacheable(data.hparams, {f"model.noise.{name}": getattr(self.noise, name) for name in ("image", "pool5")})
        self.encoder, self.class_names, self.groups = encoder_and_classes(self.encoder_path, self.frozen)
        shape, scale = code_shape(self.encoder), self._code_scale(data)
        code_size, map_shape = shape[0], shape if len(shape) == 3 else ()
        if self.modulated:
            generator: Any = self._modulated_generator(data, code_size, scale, map_shape)
        else:
            generator = self.image_generator(data, code_size, scale, map_shape)
        if self.balanced is None:
            self.oppose(generator, data, code_size, scale)
        else:
            self._oppose_balanced(self.balanced, generator, data, code_size, scale)

    def _modulated_generator(self, data: Any, code_size: int, scale: float, map_shape: tuple[int, ...]) -> ModulatedGenerator:
        assert self.modulated is not None
        if map_shape:
            raise ValueError(
                f"a modulated generator got codes that are maps, {list(map_shape)}, expected vectors: leave model.modulated "
                f"out, or set model.code to class or mean"
            )
        config = dataclasses.replace(self.modulated, code_size=code_size, channels=data.hparams.channels)
        check_size(config.image_size, data.picture_size, "widths or base_size")
        generator = ModulatedGenerator(config)
        generator.code_scale.fill_(scale)
        return with_quick_gradients(generator)

    def _oppose_balanced(self, settings: Balanced, generator: Any, data: Any, code_size: int, scale: float) -> None:
        """Set the networks of a balanced training."""
        check_depth(DiscriminatorConfig(widths=settings.discriminator.pixels), data.picture_size)
        sample = data.train_pictures.__getitems__(spread(len(data.train_pictures), MIXING_SAMPLE))[0].float() / 255
        self.face(generator, build_adversary(settings, self.encoder, sample, code_size))
        ruler = RulerNetwork(settings.compare, data.hparams.channels, data.picture_size)
        networks = (self.generator, self.discriminator, self.encoder, ruler)
        self.balanced_training = BalancedTraining(settings, *networks, scale)

    def training_step(self, batch: tuple[Any, ...], batch_idx: int) -> None:
        if self.balanced_training is None:
            return super().training_step(batch, batch_idx)
        pictures = batch[0].contiguous(memory_format=torch.channels_last)
        _, code = self.encode(pictures, *batch[1:])
        ours, theirs = self.optimizers()  # type: ignore[misc]
        updates = int(self.updates)
        rate = self.optimisation.learning_rate
        self.balanced_training.prepare(ours, theirs, rate, updates, share_done(self.trainer, updates, steps=2))
        opposed = self.balanced_training.settings.adversary.opposes(updates)
        shown = self.balanced_training(pictures, code, ours, theirs, opposed)
        self.update_average()
        self.updates += 1
        if batch_idx % 10 == 0:
            self.log_dict({f"train/{name}": value for name, value in zip(SHOWN, shown, strict=True)}, prog_bar=True)
        return None

    def _code_scale(self, data: Any) -> float:
        """Standard deviation of the code's units over a sample of the training pictures."""
        sample = data.train_pictures.__getitems__(spread(len(data.train_pictures), 512))[0].float() / 255
        with torch.no_grad():
            return float(torch.cat([self.encoder(some) for some in sample.split(64)]).std())

    def on_fit_start(self) -> None:
        if self.device.type == "cpu":
            keep_freed_memory()
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.cache_features:
            kept = "code" if self.balanced else "maps and code"
            data.with_features = training_features(self.trainer, self.encoder, data, self.cache_features, kept)
        else:
            data.with_features = None

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
        scores = {
            "val/image": distance("l1_mean", made, pictures),
            "val/feature": sum(distance("unit_channel_square", a, b) for a, b in zip(made_maps, maps, strict=True)),
        }
        if hasattr(self.encoder, "logits_from_code"):
            logits = self.encoder.logits_from_code(self.encoder.code_from_pool5(made_maps[-1]))
            scores["val/own_accuracy"] = torch.stack(list(accuracies(logits, labels, self.class_groups).values())).mean()
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
