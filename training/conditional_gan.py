"""The class-conditional GAN that a user would train instead: (noise, class) -> picture, with the generator's data and updates."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from ppgn import seeds
from ppgn.conditions.classes import class_groups
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from training.convolutions import with_quick_gradients
from training.discriminator import DiscriminatorConfig, build_discriminator
from training.files import describe, freeze, read_checkpoint, read_network
from training.generator import GeneratorSystem, Optimisation
from training.labels import accuracies
from training.losses import adversarial_loss, distance

COLUMNS = 8
"""Pictures of each class in samples.png."""


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """`[picture, class]`, 0 or sqrt(classes): over the classes, a unit's mean square is 1, as that of N(0, 1) noise."""
    return functional.one_hot(labels, classes).float() * classes**0.5


def mode_seeking_loss(maps: list[Tensor], labels: Tensor) -> Tensor:
    """1 / (distance of made pictures of one class + 1e-2): high where a class collapses to one picture (Mao et al., CVPR 2019).

    The distance is that of feature matching, the sum over maps `[picture, channel, height, width]` of "unit_channel_square", here
    between each picture and the next one of its class; labels `[picture]`. That of the noises, by which the paper divides, is
    nearly constant in a hundred units and left out; pixels, which the paper compares, would differ in brightness alone. 0 for
    a batch without two pictures of a class.
    """
    order = labels.argsort(stable=True)
    first, second = order[:-1][labels[order].diff() == 0], order[1:][labels[order].diff() == 0]
    if not len(first):
        return maps[0].new_zeros(())
    apart = torch.stack([distance("unit_channel_square", one[first], one[second]) for one in maps]).sum()
    return 1 / (apart + 1e-2)


class ClassGenerator(nn.Module):
    """Class -> picture, by an image generator whose code is N(0, I) noise followed by the class."""

    def __init__(self, network: ImageGenerator, noise_size: int) -> None:
        super().__init__()
        self.network, self.noise_size = network, noise_size

    def forward(self, classes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Image `[picture, channel, height, width]` of `classes`, a row of `one_hot` each; noise `[picture, unit]` is drawn
        anew where not given."""
        drawn = torch.randn(len(classes), self.noise_size, device=classes.device) if noise is None else noise
        return self.network(torch.cat([drawn, classes], 1))

    @torch.no_grad()
    def sample(self, target: int, chosen: range, classes: int) -> Tensor:
        """Image of class `target` of `classes` for each seed of `chosen`, clipped to [0, 1]: (seed, class) alone decide."""
        device = next(self.parameters()).device
        noise = seeds.normal(chosen, target, (self.noise_size,), device=device)
        labels = torch.full((len(chosen),), target, device=device)
        return self(one_hot(labels, classes), noise).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class ConditionalGan:
    """A trained generator and the names of its classes."""

    generator: ClassGenerator
    class_names: tuple[str, ...]


def read_conditional_gan(path: Path) -> ConditionalGan:
    """What scripts/train_conditional_gan.py left at `path`; raises ValueError for any other file."""
    told = read_checkpoint(path)
    if "noise_size" not in told:
        raise ValueError(
            f"{path} holds {', '.join(told['parts'])}, expected a class-conditional GAN: pass the last.ckpt of "
            f"scripts/train_conditional_gan.py"
        )
    return ConditionalGan(ClassGenerator(read_network(path, "generator"), told["noise_size"]), tuple(told["class_names"]))


class ConditionalGanSystem(GeneratorSystem):
    """Trains ImageGenerator on noise and class, by the updates of GeneratorSystem with the adversarial loss (hinge) and, against
    a class collapsing to one picture, the mode-seeking one.

    The adversary projects on the class (Miyato & Koyama 2018) where that of GeneratorSystem projects on the code, and sees
    the same maps of the frozen encoder. A batch's made pictures have the classes of its real ones.

    Args:
        encoder: checkpoint of scripts/train_encoder.py, made with the same classes.
        network: the generator; its code size, channels and code scale follow from noise, classes and data.
        discriminator: the adversary; its code scale likewise.
        optimisation: rates, pause rule, clipping, moving average.
        noise_size: units of noise in the code.
        mode_seeking: weight of `mode_seeking_loss`; 0 for none.
        augment: brightness, saturation, translation and cut-out in front of the discriminator.
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
        super().__init__(encoder, network, discriminator, optimisation=optimisation, augment=augment)
        if noise_size < 1:
            raise ValueError(f"got noise_size {noise_size}, expected at least 1: without noise a class has a single picture")
        if not mode_seeking >= 0:
            raise ValueError(f"got mode_seeking {mode_seeking}, expected at least 0: pass 0 to leave it out")
        self.noise_size, self.mode_seeking = noise_size, mode_seeking

    def configure_model(self) -> None:
        if self.encoder is not None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.class_names = tuple(data.class_names)
        self._check(data.hparams.image_size)
        self.encoder = read_network(self.encoder_path, "encoder").to(memory_format=torch.channels_last)
        map_channels = [m.shape[1] for m in self.encoder.maps(data.train_pictures[0][0][None].float() / 255)]
        channels, classes = data.hparams.channels, len(self.class_names)
        config = dataclasses.replace(self.network, code_size=self.noise_size + classes, channels=channels, code_scale=1.0)
        self.generator = ClassGenerator(with_quick_gradients(ImageGenerator(config)), self.noise_size).to(
            memory_format=torch.channels_last
        )
        adversary = dataclasses.replace(self.adversary, code_scale=1.0)
        self.discriminator = build_discriminator(adversary, channels, map_channels, classes)
        self.discriminator.to(memory_format=torch.channels_last)
        self.average: Any = freeze(AveragedModel(self.generator, use_buffers=True))

    def _check(self, size: int) -> None:
        known = tuple(read_checkpoint(self.encoder_path)["class_names"])
        if known != self.class_names:
            raise ValueError(
                f"the encoder knows the classes {', '.join(known)}, expected those of the data, {', '.join(self.class_names)}: "
                f"train the encoder on the same data"
            )
        if len(class_groups(known)) > 1:
            raise ValueError(f"the data label a picture {len(class_groups(known))} times, expected once: name one column")
        if self.network.image_size != size:
            raise ValueError(f"the generator makes {self.network.image_size} px pictures, the data are {size} px: change stages")
        widths = len(self.adversary.widths)
        if self.adversary.kind == "projection" and size < 2**widths:
            raise ValueError(f"{widths} discriminator widths halve {size} px pictures to nothing: give fewer widths")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.labels = batch[1]
        super().training_step(batch, batch_idx)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
        """The maps of real pictures and, in place of their codes, their classes."""
        return self.encoder.maps(pictures), one_hot(self.labels, len(self.class_names))

    def _generator_losses(
        self,
        pictures: Tensor,
        real_maps: list[Tensor],
        code: Tensor,
        made: Tensor,
        made_maps: list[Tensor],
        judged: Tensor,
    ) -> dict[str, Tensor]:
        parts = {"adversarial": adversarial_loss(self.losses.adversarial_loss, judged)}
        if self.mode_seeking:
            parts["mode_seeking"] = self.mode_seeking * mode_seeking_loss(made_maps, self.labels)
        return parts

    @torch.no_grad()
    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Classes of samples by the encoder's own head; and how far apart those of a class are, in pixels (0: collapsed)."""
        labels, classes = batch[1], len(self.class_names)
        made = self.average(one_hot(labels, classes)).clamp(0, 1)
        logits = self.encoder.logits_from_code(self.encoder(made))
        scores = {"val/own_accuracy": torch.stack(list(accuracies(logits, labels, self.class_names).values())).mean()}
        if batch_idx == 0:
            rows = torch.stack([self.average.module.sample(target, range(COLUMNS), classes) for target in range(classes)])
            scores["val/spread"] = rows.float().std(1).mean()
            self._log_samples(rows)
        self.log_dict(scores, batch_size=len(labels), prog_bar=True)

    test_step = validation_step

    def _log_samples(self, rows: Tensor) -> None:
        """Samples `[class, picture, channel, height, width]`, the same seeds each time, a row for each class, to TensorBoard
        and to `samples.png` in the run folder."""
        from torchvision.utils import make_grid, save_image

        grid = make_grid(rows.flatten(0, 1).float().cpu(), nrow=COLUMNS)
        logger: Any = self.logger
        if logger is not None and hasattr(logger.experiment, "add_image"):
            logger.experiment.add_image("a row for each class", grid, int(self.updates))
        save_image(grid, Path(self.trainer.default_root_dir) / "samples.png")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ppgn"] = {
            "parts": {"generator": describe(self.average.module.network)},
            "class_names": list(self.class_names),
            "noise_size": self.noise_size,
            "scores": {key: float(value) for key, value in self.trainer.callback_metrics.items()},
            "updates": int(self.updates),
        }
