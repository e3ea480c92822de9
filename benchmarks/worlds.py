"""Networks that steps are timed with: generator, encoder, condition, and the code that they share."""

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
from ppgn import images, importers, loaders, recipes, requests
from ppgn.acceleration import MOST, folded, to_channels_last
from ppgn.bundle import Bundle, load_bundle
from ppgn.chain import Stage
from ppgn.conditions import ClassLogProb
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from ppgn.objective import Objective, Term
from ppgn.priors import Reconstruction
from ppgn.probe import EncoderPass, Preprocessed
from ppgn.samplers import Langevin
from ppgn.types import CodeSpace, Condition

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels that torchvision's networks were trained on."""
SCALES = {"prior_scale": 0.15, "condition_scale": 1.0, "noise_scale": 0.01}


@dataclass(frozen=True)
class World:
    """classifier: image -> logits, or None where the condition is the head of the encoder. automatic: number of chains -> sampler
    and objective as ppgn sets them up by itself, None where that is the same; at_once: the most chains of such a batch."""

    name: str
    generator: nn.Module
    encoder: Any
    classifier: Callable[[Tensor], Tensor] | None
    code_shape: tuple[int, ...]
    automatic: Callable[[int], Stage] | None = None
    at_once: int = 0

    def logits(self, image: Tensor) -> Tensor:
        """The logits `[chain, class]` of the condition, in a separate pass."""
        return self.classifier(image) if self.classifier else self.encoder.logits_from_code(self.encoder(image))

    def stage(self, chains: int) -> Stage:
        """Sampler and objective of ppgn, on the networks as they are."""
        shared = EncoderPass(self.encoder)
        condition: Condition = ClassLogProb(self.classifier or shared.logits, targets(chains))
        space = CodeSpace(self.code_shape, low=0.0, high=30.0)
        return Langevin(**SCALES), Objective(self.generator, Reconstruction(shared.code), [Term("condition", condition)], space)

    def code(self, chains: int) -> Tensor:
        """Codes `[chain, *code]` to begin at, uniform in [0, 1)."""
        return torch.rand(chains, *self.code_shape, generator=torch.Generator().manual_seed(0))


def targets(chains: int) -> list[int]:
    """A class for each chain, ten in turn."""
    return [chain % 10 for chain in range(chains)]


def stage_of(bundle: Bundle, wanted: Any, chains: int, recipe: ppgn.Recipe) -> Stage:
    """Sampler and objective of a recipe as `ppgn.sample` sets them up; wanted as there."""
    request = requests.of(bundle, wanted, chains)
    setup = recipes.prepare(bundle, recipe, request)
    return setup.sampler(), recipes.objective(setup, request)


def of_bundle() -> World:
    """imagenette64 with the head of its encoder; automatic: as `ppgn sample --precision auto` runs it."""
    plain, loaded = load_bundle("imagenette64", fold=False), ppgn.load("imagenette64")
    recipe = recipes.recipe_for(loaded, precision="auto", prior_scale=0.15, noise_scale=0.01)

    def automatic(chains: int) -> Stage:
        return stage_of(loaded, targets(chains), chains, recipe)

    return World("imagenette64, own classifier", plain.generator, plain.encoder, None, plain.code.shape, automatic, MOST)


def with_resnet() -> World:
    """imagenette64 with torchvision's resnet18 at 224 pixels, random weights; automatic: as `ppgn sample --network` runs them."""
    from torchvision.models import resnet18

    plain, loaded = load_bundle("imagenette64", fold=False), ppgn.load("imagenette64")
    recipe = recipes.recipe_for(loaded, "plugged", noise_scale=0.01)
    torch.manual_seed(0)
    network = resnet18(weights=None).eval().requires_grad_(False)
    prepared = Preprocessed(to_channels_last(folded(copy.deepcopy(network), traced=True)), 224, MEAN, STD)
    quick = loaders.in_precision(prepared, loaders.two_images(loaded), name="torchvision:resnet18")

    def seen(image: Tensor) -> Tensor:
        return network(images.normalise(images.resize(image, 224), MEAN, STD))

    def automatic(chains: int) -> Stage:
        return stage_of(loaded, ClassLogProb(quick, targets(chains)), chains, recipe)

    return World("imagenette64, resnet18 at 224 px", plain.generator, plain.encoder, seen, plain.code.shape, automatic, MOST)


def published() -> World:
    """The published fc6 generator and CaffeNet in full size, random weights: E and C are CaffeNet's fc6 and fc8. automatic: as
    `ppgn sample` runs them, imported from Caffe's files, and so by the released rule."""
    torch.manual_seed(0)
    config = ImageGeneratorConfig(
        code_size=4096, hidden=(4096, 4096), stages=((256, 512), (256, 256), (128, 128), (64, 0), (32, 0)), output="upconv",
        output_range="linear", batch_norm=False, slope=0.3,
    )  # fmt: skip
    generator = ImageGenerator(config).eval().requires_grad_(False)
    encoder, loaded = CaffeNet().eval().requires_grad_(False), imported()
    recipe = recipes.recipe_for(loaded)

    def automatic(chains: int) -> Stage:
        return stage_of(loaded, targets(chains), chains, recipe)

    return World("fc6 generator, CaffeNet", generator, encoder, None, (4096,), automatic, MOST)


def imported() -> Bundle:
    """The same two networks from Caffe's files with random weights, as `ppgn import-caffe` writes them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from caffe_pairs import write_pair  # pyright: ignore[reportMissingImports] - tests/ has the writer of such files

    with tempfile.TemporaryDirectory() as folder:
        files = [importers.Files(*pair) for pair in write_pair(Path(folder), width=1)]
        generator = importers.read_generator(files[0])
        encoder = importers.read_encoder(files[1], generator.image_size)
        sources = [path for pair in files for path in pair]
        parts = importers.Imported(generator, encoder, sources)
        return ppgn.load(importers.write(Path(folder) / "bundle", "fc6-caffenet", parts, lambda message: None))


class CaffeNet(nn.Module):
    """227 pixels -> fc6 -> 1000 classes: groups in the second, fourth and fifth convolution, pools before normalisation."""

    def __init__(self) -> None:
        super().__init__()

        def pool() -> list[nn.Module]:
            return [nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5)]

        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 11, 4), *pool(), nn.Conv2d(96, 256, 5, 1, 2, groups=2), *pool(),
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


WORLDS: dict[str, Callable[[], World]] = {"own": of_bundle, "resnet18": with_resnet, "published": published}
