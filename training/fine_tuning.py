"""Starting from a bundle: its networks as checkpoints, and the training of its generator on other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ppgn.bundle import Bundle, load_bundle
from ppgn.networks import Fc6Encoder
from training.adversarial import Step
from training.checkpoints import read_network, write_network
from training.convolutions import with_quick_gradients
from training.generator import GeneratorSystem
from training.noise_level import NoiseLevelSystem

KEPT = {"encoder", "generator", "noise_level"}
"""Parts of a bundle that a run starts from."""
WARM_UP = 200
"""Updates in which the adversary, new beside a generator that is trained, gets its weight."""


class FineTunedGenerator(GeneratorSystem):
    """GeneratorSystem that goes on from the generator in a checkpoint. The other arguments are those of GeneratorSystem."""

    def __init__(self, encoder: Path, start: Path, **settings: Any) -> None:
        super().__init__(encoder, **settings)
        self.start = start

    def image_generator(self, data: Any, code_size: int, code_scale: float = 1.0, code_shape: tuple[int, ...] = ()) -> Any:
        """The generator of the checkpoint, whatever its architecture."""
        generator = read_network(self.start, "generator").requires_grad_(True).train()
        return with_quick_gradients(generator)

    def generator_losses(self, step: Step) -> dict[str, Tensor]:
        parts = super().generator_losses(step)
        parts["adversarial"] = parts["adversarial"] * min(1.0, int(self.updates) / WARM_UP)
        return parts


class FineTunedNoiseLevel(NoiseLevelSystem):
    """NoiseLevelSystem that goes on from the model in a checkpoint, in that model's units: what it knows of other codes of the
    same encoder keeps it from learning a few pictures by heart."""

    def __init__(self, start: Path) -> None:
        super().__init__(read_network(start, "noise_level").config)
        self.start = start

    def configure_model(self) -> None:
        if self.network is None:
            super().configure_model()
            known = read_network(self.start, "noise_level").state_dict()
            for network in (self.network, self.average.module):
                network.load_state_dict(known)  # type: ignore[union-attr]


def source_bundle(name: str) -> Bundle:
    """The bundle to start from, as it was trained. Raises ValueError where its pictures or networks do not fit."""
    bundle = load_bundle(name, fold=False)
    encoder = bundle.encoder
    if not isinstance(encoder, Fc6Encoder) or not hasattr(bundle.generator, "config"):
        got = "no encoder" if encoder is None else f"a {type(encoder).__name__}"
        raise ValueError(f"bundle {name} has {got}, expected an encoder and a generator of ppgn's trainings: choose another one")
    if bundle.image.channels != 3:
        raise ValueError(f"bundle {name} makes grey pictures, expected RGB ones: choose another one")
    return bundle


def keep_source(bundle: Bundle, folder: Path) -> Path:
    """Leaves the parts of a bundle that are trained on in `folder`, as the stages read them; those of an earlier start stay."""
    for part in KEPT & set(bundle.parts):
        file = folder / f"{part}.ckpt"
        if not file.is_file():
            write_network(file, part, bundle.parts[part], bundle.classes, bundle.groups)
    return folder
