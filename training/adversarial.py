"""The updates that every adversarial training shares: a generator and a discriminator by turns, through a frozen encoder."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ppgn.conditions import class_groups
from ppgn.images import make_folder, save_image
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from training.checkpoints import freeze
from training.convolutions import with_quick_gradients
from training.discriminator import DiscriminatorConfig, augment_alike, build_discriminator, check_depth, judge_both
from training.losses import LossWeights, adversarial_loss, discriminator_loss


@dataclass(frozen=True)
class Optimisation:
    """Adam for both networks.

    milestones: generator updates at each of which the rate halves. pause_below, pause_above: with r = loss of the discriminator
    / loss of the generator, the discriminator pauses while r < pause_below and the generator while r > pause_above; both 0:
    never. gradient_clip: bound of each network's gradient norm; 0: none. ema: decay of the moving average of the weights.
    """

    learning_rate: float = 4e-4
    betas: tuple[float, float] = (0.5, 0.99)
    discriminator_weight_decay: float = 0.0
    milestones: tuple[int, ...] = ()
    pause_below: float = 0.0
    pause_above: float = 0.0
    gradient_clip: float = 0.0
    ema: float = 0.998


class Step(NamedTuple):
    """One batch after all networks have run: real pictures with labels, maps and codes, then the made pictures and their maps.

    judged: the discriminator's scores of the made pictures, `[picture, view]`.
    """

    pictures: Tensor
    labels: Tensor
    maps: list[Tensor]
    code: Tensor
    made: Tensor
    made_maps: list[Tensor]
    judged: Tensor


class AdversarialSystem(LightningModule, ABC):
    """One update of the discriminator and one of the generator per batch, and a moving average of the generator's weights.

    A subclass sets the networks in `configure_model`, gives the maps and codes of a batch (`encode`) and the losses of the
    generator (`generator_losses`). The arguments are those of GeneratorSystem.
    """

    def __init__(
        self,
        encoder: Path | str,
        network: ImageGeneratorConfig,
        discriminator: DiscriminatorConfig,
        losses: LossWeights,
        optimisation: Optimisation,
        augment: bool,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoder_path, self.augment = encoder, augment
        self.network, self.adversary = network, discriminator
        self.losses, self.optimisation = losses, optimisation
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.encoder: Any = None  # an Fc6Encoder once `configure_model` has run
        self.class_names: tuple[str, ...] = ()
        self.groups: tuple[str, ...] = ()
        self.last_ratio = 1.0

    @abstractmethod
    def encode(self, pictures: Tensor, labels: Tensor, features: list[Tensor] | None = None) -> tuple[list[Tensor], Tensor]:
        """The maps of real pictures, and the codes that the generator and the discriminator see. features: the kept ones."""

    @abstractmethod
    def generator_losses(self, step: Step) -> dict[str, Tensor]:
        """Name -> weighted loss of the generator; it lowers their sum."""

    def image_generator(
        self, data: Any, code_size: int, code_scale: float = 1.0, code_shape: tuple[int, ...] = ()
    ) -> ImageGenerator:
        """A new generator for the pictures of `data`. Raises ValueError when it makes pictures of another size than theirs.

        code_shape: of codes that are maps, of `code_size` channels.
        """
        fields = {"code_size": code_size, "code_scale": code_scale, "code_shape": code_shape}
        config = dataclasses.replace(self.network, channels=data.hparams.channels, **fields)  # type: ignore[arg-type]
        check_size(config.image_size, data.picture_size, "stages, base_size or image_size")
        return with_quick_gradients(ImageGenerator(config))

    def oppose(self, generator: nn.Module, data: Any, code_size: int, code_scale: float = 1.0) -> None:
        """Set the generator, its moving average, and a new discriminator that sees codes of `code_size` units, or channels.

        Raises ValueError when the discriminator is too deep for the pictures of `data`.
        """
        check_depth(self.adversary, data.picture_size)
        probe = data.train_pictures[0][0][None].float() / 255
        map_channels = [feature_map.shape[1] for feature_map in self.encoder.maps(probe)]
        adversary = dataclasses.replace(self.adversary, code_scale=code_scale)
        self.face(generator, build_discriminator(adversary, data.hparams.channels, map_channels, code_size))

    def face(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Set both networks and the generator's moving average."""
        self.generator = generator.to(memory_format=torch.channels_last)
        self.discriminator: Any = discriminator.to(memory_format=torch.channels_last)
        self.encoder.to(memory_format=torch.channels_last)
        self.average: Any = freeze(AveragedModel(self.generator, use_buffers=True))

    def train(self, mode: bool = True) -> AdversarialSystem:
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
            self.average.eval()
        return self

    def training_step(self, batch: tuple[Any, ...], batch_idx: int) -> None:
        pictures = batch[0].contiguous(memory_format=torch.channels_last)
        maps, code = self.encode(pictures, *batch[1:])
        made = self.generator(code).contiguous(memory_format=torch.channels_last)
        made_maps = self.encoder.maps(made)
        shown, shown_made = augment_alike(pictures, made) if self.augment else (pictures, made)
        ours, theirs = self._rated_optimizers()

        kind, rule = self.losses.adversarial_loss, self.optimisation
        on_real, on_made = judge_both(self.discriminator, (shown, maps), (shown_made, made_maps), code)
        loss = discriminator_loss(kind, on_real, on_made)
        if self.last_ratio >= rule.pause_below:
            self._descend(loss, theirs)
        judged = self.discriminator.requires_grad_(False)(shown_made, made_maps, code)
        self.discriminator.requires_grad_(True)
        parts = self.generator_losses(Step(pictures, batch[1], maps, code, made, made_maps, judged))
        if not 0 < rule.pause_above < self.last_ratio:
            self._descend(sum(parts.values()), ours)
            self.update_average()
        self.updates += 1
        if rule.pause_below or rule.pause_above:
            self.last_ratio = float(loss.detach() / adversarial_loss(kind, judged).detach().clamp_min(1e-8))
        if batch_idx % 10 == 0:
            scores = {"train/discriminator": loss, "real": on_real.mean(), "made": on_made.mean()}
            self.log_dict({**scores, **{f"train/{name}": part for name, part in parts.items()}}, prog_bar=True)

    def update_average(self) -> None:
        """Take the generator's weights into their moving average, which is shorter at the start to forget the random ones."""
        made = int(self.updates)
        self.average.multi_avg_fn = get_ema_multi_avg_fn(min(self.optimisation.ema, (1 + made) / (10 + made)))
        self.average.update_parameters(self.generator)

    def _rated_optimizers(self) -> Any:
        passed = sum(int(self.updates) >= milestone for milestone in self.optimisation.milestones)
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            for group in optimizer.param_groups:
                group["lr"] = self.optimisation.learning_rate * 0.5**passed
        return self.optimizers()

    def _descend(self, loss: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.optimisation.gradient_clip:
            self.clip_gradients(optimizer, self.optimisation.gradient_clip, "norm")
        optimizer.step()

    def log_sheet(self, pictures: Tensor, columns: int, title: str, file: str) -> None:
        """Pictures `[picture, channel, height, width]` in rows, to TensorBoard and to `file` in the run folder."""
        from torchvision.utils import make_grid

        sheet = make_grid(pictures.float().cpu(), nrow=columns)
        logger: Any = self.logger
        if logger is not None and hasattr(logger.experiment, "add_image"):
            logger.experiment.add_image(title, sheet, int(self.updates))
        save_image(sheet, make_folder(self.trainer.default_root_dir) / file)

    def configure_optimizers(self) -> Any:
        settings = self.optimisation
        fused = self.device.type in ("cpu", "cuda") and not settings.gradient_clip  # Lightning does not clip for a fused Adam
        adam = partial(torch.optim.Adam, lr=settings.learning_rate, betas=settings.betas, fused=fused)
        theirs = adam(self.discriminator.parameters(), weight_decay=settings.discriminator_weight_decay)
        return adam(self.generator.parameters()), theirs

    @property
    def class_groups(self) -> dict[str, tuple[int, int]]:
        """Group -> (first, last + 1) of its classes."""
        return class_groups(self.class_names, self.groups)

    def checkpoint_entry(self, parts: dict[str, Any]) -> dict[str, Any]:
        """The entry of a checkpoint that other trainings and the export read: networks, classes, scores, number of updates."""
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        classes = {"class_names": list(self.class_names), "groups": list(self.groups)}
        return {"parts": parts, **classes, "scores": scores, "updates": int(self.updates)}


def check_size(made: tuple[int, int], wanted: tuple[int, int], change: str) -> None:
    """Raises ValueError when a generator makes pictures of another (height, width) than the data have. change: what to set."""
    if made != wanted:
        shown, expected = ("x".join(map(str, size)) for size in (made, wanted))
        raise ValueError(
            f"the generator makes {shown} pictures (height x width), expected {expected} as the data have: change {change}"
        )
