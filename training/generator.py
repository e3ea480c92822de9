"""The image generator: code -> picture, by reconstruction, feature matching and an adversary that sees image and code."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from training.cached import PicturesWithFeatures, RealFeatures, Recipe, Storage, keep_features
from training.convolutions import with_quick_gradients
from training.discriminator import DiscriminatorConfig, augment_alike, build_discriminator, judge_both
from training.files import describe, freeze, read_checkpoint, read_network
from training.labels import accuracies
from training.losses import LossWeights, adversarial_loss, discriminator_loss, distance
from training.memory import keep_freed_memory


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the Gaussian noise of Joint PPGN-h: on the picture, on pool5 and on the code."""

    image: float = 0.0
    pool5: float = 0.0
    code: float = 0.0


@dataclass(frozen=True)
class Optimisation:
    """Adam for both networks. The rate halves at each of `milestones` (generator updates). With r = loss of the
    discriminator / loss of the generator, the discriminator pauses while r < `pause_below`, the generator while
    r > `pause_above` (both 0: never). `gradient_clip` bounds each network's gradient norm (0: not)."""

    learning_rate: float = 4e-4
    betas: tuple[float, float] = (0.5, 0.99)
    discriminator_weight_decay: float = 0.0
    milestones: tuple[int, ...] = ()
    pause_below: float = 0.0
    pause_above: float = 0.0
    gradient_clip: float = 0.0
    ema: float = 0.998


class GeneratorSystem(LightningModule):
    """Trains ImageGenerator against pictures seen through a frozen encoder.

    Args:
        encoder: checkpoint of scripts/train_encoder.py.
        network: the generator; its code size, channels and code scale are taken from encoder and data.
        discriminator: the adversary; its code scale likewise.
        losses: weights and kinds of the losses.
        noise: of the Joint variant; all zero gives the noiseless one.
        optimisation: rates, pause rule, clipping, moving average.
        augment: brightness, saturation, translation and cut-out in front of the discriminator.
        cache_features: compute maps and codes of the real pictures once and keep them in this type, in `features.safetensors`
            in the run folder. Under bf16-mixed "bfloat16" holds them exactly. Not with noise on picture or pool5, nor with
            `data.shift`: they then differ at every step.
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
        super().__init__()
        self.automatic_optimization = False
        self.encoder_path, self.augment = encoder, augment
        self.network, self.adversary = network, discriminator
        self.losses, self.noise, self.optimisation = losses, noise, optimisation
        self.cache_features: Storage | None = cache_features
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.encoder: Any = None  # an Fc6Encoder once the data are known
        self.last_ratio = 1.0

    def configure_model(self) -> None:
        if self.encoder is not None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.cache_features:
            self._check_cacheable(data.hparams.shift)
        self.encoder = read_network(self.encoder_path, "encoder")
        self.class_names = read_checkpoint(self.encoder_path)["class_names"]
        size, channels = data.hparams.image_size, data.hparams.channels
        probe = data.train_pictures[0][0][None].float() / 255
        code_size, map_channels = self.encoder.config.code_size, [m.shape[1] for m in self.encoder.maps(probe)]
        scale = self._code_scale(data)
        config = dataclasses.replace(self.network, code_size=code_size, channels=channels, code_scale=scale)
        if config.image_size != size:
            raise ValueError(
                f"the generator makes {config.image_size} px pictures, the data are {size} px: change stages or image_size"
            )
        if self.adversary.kind == "projection" and size < 2 ** len(self.adversary.widths):
            widths = len(self.adversary.widths)
            raise ValueError(f"{widths} discriminator widths halve {size} px pictures to nothing: give fewer widths")
        self.generator = with_quick_gradients(ImageGenerator(config)).to(memory_format=torch.channels_last)
        adversary = dataclasses.replace(self.adversary, code_scale=scale)
        self.discriminator = build_discriminator(adversary, channels, map_channels, code_size)
        self.discriminator.to(memory_format=torch.channels_last)
        self.encoder.to(memory_format=torch.channels_last)
        self.average: Any = freeze(AveragedModel(self.generator, use_buffers=True))

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
        """The training pictures with their features; one process of a machine computes these, the others wait."""
        trainer, pictures, flip = self.trainer, data.train_pictures, data.hparams.flip
        path = Path(trainer.default_root_dir) / "features.safetensors"
        if trainer.local_rank == 0:
            recipe = Recipe(self.encoder, pictures, flip, storage, str(trainer.precision))
            keep_features(path, recipe, trainer.precision_plugin.forward_context)
        trainer.strategy.barrier("features")
        return PicturesWithFeatures(pictures, RealFeatures(path), flip)

    def train(self, mode: bool = True) -> GeneratorSystem:
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
            self.average.eval()
        return self

    @torch.no_grad()
    def encode(self, pictures: Tensor, features: list[Tensor] | None = None) -> tuple[list[Tensor], Tensor]:
        """The maps and the code of real pictures, with the Joint variant's noise on picture, pool5 and code; `features` are
        the kept ones, in the type that the encoder would give here."""
        if features is not None:
            kind = pictures.device.type
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else pictures.dtype
            *maps, code = [feature.to(dtype) for feature in features]
            return maps, _noisy(code, self.noise.code)
        maps = self.encoder.maps(_noisy(pictures, self.noise.image))
        code = self.encoder.code_from_pool5(_noisy(maps[-1], self.noise.pool5))
        return maps, _noisy(code, self.noise.code)

    def training_step(self, batch: tuple[Any, ...], batch_idx: int) -> None:
        pictures = batch[0].contiguous(memory_format=torch.channels_last)
        real_maps, code = self.encode(pictures, *batch[2:])
        made = self.generator(code).contiguous(memory_format=torch.channels_last)
        made_maps = self.encoder.maps(made)
        seen_real, seen_made = augment_alike(pictures, made) if self.augment else (pictures, made)
        ours, theirs = self._rated_optimizers()

        kind = self.losses.adversarial_loss
        on_real, on_made = judge_both(self.discriminator, (seen_real, real_maps), (seen_made, made_maps), code)
        loss = discriminator_loss(kind, on_real, on_made)
        if self.last_ratio >= self.optimisation.pause_below:
            self._descend(loss, theirs, self.discriminator)
        judged = self.discriminator.requires_grad_(False)(seen_made, made_maps, code)
        self.discriminator.requires_grad_(True)
        parts = self._generator_losses(pictures, real_maps, code, made, made_maps, judged)
        if not 0 < self.optimisation.pause_above < self.last_ratio:
            self._descend(sum(parts.values()), ours, self.generator)
            self._average()
        self.updates += 1
        if self.optimisation.pause_below or self.optimisation.pause_above:
            self.last_ratio = float(loss.detach() / adversarial_loss(kind, judged).detach().clamp_min(1e-8))
        if batch_idx % 10 == 0:
            scores = {"train/discriminator": loss, "real": on_real.mean(), "made": on_made.mean()}
            self.log_dict({**scores, **{f"train/{name}": part for name, part in parts.items()}}, prog_bar=True)

    def _generator_losses(
        self,
        pictures: Tensor,
        real_maps: list[Tensor],
        code: Tensor,
        made: Tensor,
        made_maps: list[Tensor],
        judged: Tensor,
    ) -> dict[str, Tensor]:
        weights = self.losses
        pairs = zip(made_maps, real_maps, strict=True)
        feature = sum(distance(weights.feature_distance, a, b) for a, b in pairs)
        parts = {
            "image": weights.image * distance(weights.image_distance, made, pictures),
            "feature": weights.feature * feature,
            "adversarial": weights.adversarial * adversarial_loss(weights.adversarial_loss, judged),
        }
        if weights.code:
            again = self.encoder.code_from_pool5(made_maps[-1])
            parts["code"] = weights.code * distance("half_square_sum", again, code)
        return parts

    def _average(self) -> None:
        """Moving average of the weights, shorter at the start so that it forgets the random ones it began with."""
        made = int(self.updates)
        self.average.multi_avg_fn = get_ema_multi_avg_fn(min(self.optimisation.ema, (1 + made) / (10 + made)))
        self.average.update_parameters(self.generator)

    def _rated_optimizers(self) -> Any:
        passed = sum(int(self.updates) >= milestone for milestone in self.optimisation.milestones)
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            for group in optimizer.param_groups:
                group["lr"] = self.optimisation.learning_rate * 0.5**passed
        return self.optimizers()

    def _descend(self, loss: Any, optimizer: Any, network: Any) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.optimisation.gradient_clip:
            self.clip_gradients(optimizer, self.optimisation.gradient_clip, "norm")
        optimizer.step()

    @torch.no_grad()
    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
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
            self._log_grid(pictures[:16], made[:16])

    test_step = validation_step

    def _log_grid(self, real: Tensor, made: Tensor) -> None:
        """Real pictures beside their reconstructions, to TensorBoard and to `reconstructions.png` in the run folder."""
        from torchvision.utils import make_grid, save_image

        grid = make_grid(torch.stack([real, made], 1).flatten(0, 1).float().cpu(), nrow=8)
        logger: Any = self.logger
        if logger is not None and hasattr(logger.experiment, "add_image"):
            logger.experiment.add_image("real beside reconstruction", grid, int(self.updates))
        save_image(grid, Path(self.trainer.default_root_dir) / "reconstructions.png")

    def configure_optimizers(self) -> Any:
        settings = self.optimisation
        fused = self.device.type in ("cpu", "cuda") and not settings.gradient_clip  # Lightning does not clip a fused one's
        adam = partial(torch.optim.Adam, lr=settings.learning_rate, betas=settings.betas, fused=fused)
        theirs = adam(self.discriminator.parameters(), weight_decay=settings.discriminator_weight_decay)
        return adam(self.generator.parameters()), theirs

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        parts = {"generator": describe(self.average.module), "encoder": describe(self.encoder)}
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        checkpoint["ppgn"] = {
            "parts": parts,
            "class_names": self.class_names,
            "scores": scores,
            "updates": int(self.updates),
        }


def _noisy(values: Tensor, std: float) -> Tensor:
    return values + std * torch.randn_like(values) if std else values
