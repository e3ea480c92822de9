"""Training of the class-conditional GAN that a user might train instead, with the generator's data and updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn.networks import ImageGeneratorConfig
from training.adversarial import AdversarialSystem, Optimisation, Step
from training.checkpoints import describe, read_classes, read_network
from training.class_generator import ClassGenerator, one_hot
from training.discriminator import DiscriminatorConfig
from training.labels import accuracies
from training.losses import LossWeights, adversarial_loss, mode_seeking_loss

COLUMNS = 8
"""Pictures per class in samples.png."""


class ConditionalGanSystem(AdversarialSystem):
    """Trains a ClassGenerator by the adversarial loss (hinge) and, against a class that collapses to one picture, mode seeking.

    The adversary projects on the class (Miyato & Koyama 2018) where that of GeneratorSystem projects on the code, and sees the
    same maps of the frozen encoder. The made pictures of a batch have the classes of its real ones.

    Args:
        encoder: checkpoint of scripts/train_encoder.py, made with the same classes.
        network: the generator; its code size, channels and code scale come from noise, classes and data.
        discriminator: the adversary; its code scale likewise.
        optimisation: rates, pause rule, clipping, moving average.
        noise_size: units of noise in the code.
        mode_seeking: weight of `mode_seeking_loss`; 0 for none.
        augment: vary brightness and saturation, move and cut out pictures in front of the discriminator.
    """

    def __init__(
        self,
        encoder: Path,
        network: ImageGeneratorConfig = ImageGeneratorConfig(),
        discriminator: DiscriminatorConfig = DiscriminatorConfig(),
        optimisation: Optimisation = Optimisation(),
        noise_size: int = 128,
        mode_seeking: float = 0.1,
        augment: bool = True,
    ) -> None:
        super().__init__(encoder, network, discriminator, LossWeights(), optimisation, augment)
        if noise_size < 1:
            raise ValueError(f"got noise_size {noise_size}, expected at least 1: without noise a class has a single picture")
        if not mode_seeking >= 0:
            raise ValueError(f"got mode_seeking {mode_seeking}, expected at least 0: pass 0 to leave it out")
        self.noise_size, self.mode_seeking = noise_size, mode_seeking

    def configure_model(self) -> None:
        if self.encoder is not None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.class_names, self.groups, classes = tuple(data.class_names), data.groups, len(data.class_names)
        self._check_classes()
        self.encoder = read_network(Path(self.encoder_path), "encoder")
        network = self.image_generator(data, self.noise_size + classes)
        self.oppose(ClassGenerator(network, self.noise_size), data, classes)

    def _check_classes(self) -> None:
        known, _ = read_classes(Path(self.encoder_path))
        if known != self.class_names:
            raise ValueError(
                f"the encoder knows the classes {', '.join(known)}, expected those of the data, {', '.join(self.class_names)}: "
                f"train the encoder on the same data"
            )
        if len(self.groups) > 1:
            raise ValueError(
                f"the data have {len(self.groups)} labels per picture, expected one: name a single column of the table"
            )

    @torch.no_grad()
    def encode(self, pictures: Tensor, labels: Tensor, features: list[Tensor] | None = None) -> tuple[list[Tensor], Tensor]:
        """The maps of real pictures and, in place of their codes, their classes."""
        return self.encoder.maps(pictures), one_hot(labels, len(self.class_names))

    def generator_losses(self, step: Step) -> dict[str, Tensor]:
        parts = {"adversarial": adversarial_loss(self.losses.adversarial_loss, step.judged)}
        if self.mode_seeking:
            parts["mode_seeking"] = self.mode_seeking * mode_seeking_loss(step.made_maps, step.labels)
        return parts

    @torch.no_grad()
    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Logs how often the encoder's head sees the right class in a sample, and the standard deviation of pixels in a class."""
        labels, classes = batch[1], len(self.class_names)
        made = self.average(one_hot(labels, classes)).clamp(0, 1)
        logits = self.encoder.logits_from_code(self.encoder(made))
        scores = {"val/own_accuracy": torch.stack(list(accuracies(logits, labels, self.class_groups).values())).mean()}
        if batch_idx == 0:
            rows = torch.stack([self.average.module.sample(target, range(COLUMNS), classes) for target in range(classes)])
            scores["val/spread"] = rows.float().std(1).mean()
            self.log_sheet(rows.flatten(0, 1), COLUMNS, "a row for each class", "samples.png")
        self.log_dict(scores, batch_size=len(labels), prog_bar=True)

    test_step = validation_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        entry = self.checkpoint_entry({"generator": describe(self.average.module.network)})
        checkpoint["ppgn"] = {**entry, "noise_size": self.noise_size}
