"""Networks that a step is timed with: generator, encoder, condition, and the code that they share."""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import ppgn
from ppgn import bundle as bundles
from ppgn import images, named, recipes
from ppgn.bundle import Bundle
from ppgn.caffe import parts
from ppgn.conditions import ClassLogProb
from ppgn.folding import folded
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from ppgn.objective import Objective, Term
from ppgn.priors import Reconstruction
from ppgn.probe import EncoderPass, Seen
from ppgn.recipes import memory
from ppgn.recipes.wiring import objective_for, sampler_for
from ppgn.samplers import Langevin
from ppgn.speed import laid_out
from ppgn.types import Condition, Sampler

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALES = {"prior_scale": 0.15, "condition_scale": 1.0, "noise_scale": 0.01}


@dataclass(frozen=True)
class World:
    """classifier: image -> logits, or None where the condition is the head of the encoder. automatic: number of chains -> the
    sampler on what ppgn chooses by itself, and at_once: of how many chains; None where that is nothing else."""

    name: str
    generator: nn.Module
    encoder: Any
    classifier: Callable[[Tensor], Tensor] | None
    code_shape: tuple[int, ...]
    automatic: Callable[[int], Sampler] | None = None
    at_once: int = 0

    def logits(self, image: Tensor) -> Tensor:
        """Of the condition alone, in a pass of its own."""
        return self.classifier(image) if self.classifier else self.encoder.logits_from_code(self.encoder(image))

    def sampler(self, chains: int) -> Sampler:
        """Ours, on the networks as they are."""
        shared = EncoderPass(self.encoder)
        condition: Condition = ClassLogProb(self.classifier or shared.logits, targets(chains))
        objective = Objective(self.generator, Reconstruction(shared.code), [Term("condition", condition)])
        return Langevin(objective, **SCALES, code_range=(0.0, 30.0))

    def code(self, chains: int) -> Tensor:
        return torch.rand(chains, *self.code_shape, generator=torch.Generator().manual_seed(0))


def targets(chains: int) -> list[int]:
    return [chain % 10 for chain in range(chains)]


def of_bundle() -> World:
    """imagenette64 with the head of its own encoder; automatic: as `ppgn sample --precision auto` runs it."""
    plain, loaded = bundles.load_bundle("imagenette64", fold=False), ppgn.load("imagenette64")

    def automatic(chains: int) -> Sampler:
        settings = recipes.settings_for(loaded, precision="auto", prior_scale=0.15, noise_scale=0.01)
        return sampler_for(loaded, objective_for(loaded, targets(chains), settings), settings)

    return World("imagenette64, own classifier", plain.generator, plain.encoder, None, plain.code_shape, automatic, memory.MOST)


def with_resnet() -> World:
    """imagenette64 with torchvision's resnet18 at 224 pixels, random weights; automatic: as `ppgn sample --network` runs them."""
    from torchvision.models import resnet18

    plain, loaded = bundles.load_bundle("imagenette64", fold=False), ppgn.load("imagenette64")
    torch.manual_seed(0)
    network = resnet18(weights=None).eval().requires_grad_(False)

    own = Seen(laid_out(folded(copy.deepcopy(network), traced=True)), 224, MEAN, STD)
    quick = named.quick(own, named.two_images(loaded), name="torchvision:resnet18")

    def seen(image: Tensor) -> Tensor:
        return network(images.normalise(images.resize(image, 224), MEAN, STD))

    def automatic(chains: int) -> Sampler:
        settings = recipes.settings_for(loaded, kind="plugged", noise_scale=0.01)
        condition = ClassLogProb(quick, targets(chains))
        return sampler_for(loaded, objective_for(loaded, condition, settings), settings)

    return World(
        "imagenette64, resnet18 at 224 px", plain.generator, plain.encoder, seen, plain.code_shape, automatic, memory.MOST
    )


def published() -> World:
    """The published fc6 generator and CaffeNet in full size, random weights: E and C are CaffeNet's fc6 and fc8. automatic: as
    `ppgn sample` runs them, imported from files of Caffe's, and so by the rule of the released sampler."""
    torch.manual_seed(0)
    config = ImageGeneratorConfig(
        code_size=4096, hidden=(4096, 4096), stages=((256, 512), (256, 256), (128, 128), (64, 0), (32, 0)), output="upconv",
        output_range="linear", batch_norm=False, slope=0.3,
    )  # fmt: skip
    generator = ImageGenerator(config).eval().requires_grad_(False)
    loaded = imported()

    def automatic(chains: int) -> Sampler:
        settings = recipes.settings_for(loaded)
        return sampler_for(loaded, objective_for(loaded, targets(chains), settings), settings)

    encoder = CaffeNet().eval().requires_grad_(False)
    return World("fc6 generator, CaffeNet", generator, encoder, None, (4096,), automatic, memory.MOST)


def imported() -> Bundle:
    """The same two networks from files of Caffe's with random weights, as `ppgn import-caffe` writes them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from caffe_pairs import write_pair  # pyright: ignore[reportMissingImports] - the writer of such files is the tests'

    with tempfile.TemporaryDirectory() as folder:
        files = [parts.Files(*one) for one in write_pair(Path(folder), width=1)]
        generator = parts.read_generator(files[0])
        encoder = parts.read_encoder(files[1], generator.image_size)
        made = parts.Imported(generator, encoder, [name for one in files for name in one])
        return ppgn.load(parts.write(Path(folder) / "bundle", "fc6-caffenet", made, lambda told: None))


class CaffeNet(nn.Module):
    """227 pixels -> fc6 -> 1000 classes: groups in the second, fourth and fifth convolution, pools before normalisation."""

    def __init__(self) -> None:
        super().__init__()

        def pooled() -> list[nn.Module]:
            return [nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5)]

        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 11, 4), *pooled(), nn.Conv2d(96, 256, 5, 1, 2, groups=2), *pooled(),
            nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.ReLU(),
            nn.Conv2d(384, 256, 3, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(),
            nn.Linear(9216, 4096), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000))

    def forward(self, image: Tensor) -> Tensor:
        inside = image[..., 14:241, 14:241]
        return self.features(images.normalise(inside, [104 / 255, 117 / 255, 123 / 255], 1 / 255, bgr=True))

    def logits_from_code(self, code: Tensor) -> Tensor:
        return self.head(code)


WORLDS = {"own": of_bundle, "resnet18": with_resnet, "published": published}
