"""Autoencoders of latent diffusion as a pair: code -> image, and image -> code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ppgn.latent_diffusion.library import load

AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC", "VQModel")


@dataclass(frozen=True)
class LatentGeneratorConfig:
    """The library's class, the folder of the repository in which it stands, and the shapes of codes and images."""

    kind: str
    folder: str = ""
    code_shape: tuple[int, ...] = (4, 32, 32)
    channels: int = 3
    height: int = 256
    width: int = 256


@dataclass(frozen=True)
class LatentEncoderConfig(LatentGeneratorConfig):
    """The same of the encoder."""


class _Half(nn.Module):
    """One half of an autoencoder, with the numbers that turn codes into its latents: z = code * spread + shift.

    spread = 1 / scaling_factor and shift = shift_factor of the library's config; with latents_mean and latents_std (SDXL's form)
    spread = latents_std / scaling_factor and shift = latents_mean, `[channel, 1, 1]`.
    """

    reference: Mapping[str, Any] | None = None
    unused = ""
    spread: Tensor
    shift: Tensor

    def __init__(self, autoencoder: Any, config: LatentGeneratorConfig) -> None:
        super().__init__()
        self.autoencoder, self.config = autoencoder, config
        settings = autoencoder.config
        scale = settings.get("scaling_factor") or 1.0
        mean, std = settings.get("latents_mean"), settings.get("latents_std")
        whole = mean is not None and std is not None
        spread = torch.tensor(std if whole else 1.0) / scale
        shift = torch.tensor(mean if whole else settings.get("shift_factor") or 0.0)
        self.register_buffer("spread", spread.reshape(-1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.reshape(-1, 1, 1), persistent=False)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return self.config.code_shape

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return self.config.height, self.config.width

    @classmethod
    def of_folder(cls, place: Path, config: Any) -> Self:
        """The half of the autoencoder in a folder that holds the repository's files. ValueError where they are wrong."""
        autoencoder = load(place / config.folder, config.kind)
        setattr(autoencoder, cls.unused, nn.Identity())
        return cls(autoencoder, config)


class LatentGenerator(_Half):
    """The decoder: codes `[chain, *code]` -> images in [0, 1], clip(D(code * spread + shift) / 2 + 1/2).

    VQModel quantises what it decodes, and its gradient goes straight through that (van den Oord et al. 2017, Section 3.2).
    """

    architecture = "latent_generator"
    unused = "encoder"

    @classmethod
    def of(cls, autoencoder: Any, height: int, width: int | None = None) -> LatentGenerator:
        """The decoder of an autoencoder in memory, for images of that size. ValueError for a size that it cannot make."""
        return cls(autoencoder, LatentGeneratorConfig(**described(type(autoencoder).__name__, autoencoder.config, height, width)))

    def forward(self, code: Tensor) -> Tensor:
        """Images `[chain, channel, height, width]`; codes of other heights and widths than the config's give other sizes."""
        return (self.autoencoder.decode(code * self.spread + self.shift).sample / 2 + 0.5).clamp(0, 1)


class LatentEncoder(_Half):
    """The encoder: images in [0, 1] -> codes `[chain, *code]`, (mean of the posterior - shift) / spread."""

    architecture = "latent_encoder"
    unused = "decoder"

    @classmethod
    def of(cls, autoencoder: Any, height: int, width: int | None = None) -> LatentEncoder:
        """The encoder of an autoencoder in memory. ValueError for a size that it cannot take."""
        return cls(autoencoder, LatentEncoderConfig(**described(type(autoencoder).__name__, autoencoder.config, height, width)))

    def forward(self, image: Tensor) -> Tensor:
        """Codes of images `[chain, channel, height, width]`."""
        found = self.autoencoder.encode(image * 2 - 1)
        latent = found.latent_dist.mode() if hasattr(found, "latent_dist") else _latents(found)
        return (latent - self.shift) / self.spread


def _latents(found: Any) -> Tensor:
    return found.latent if hasattr(found, "latent") else found.latents


def downsampling(settings: Mapping[str, Any]) -> int:
    """Pixels of a side for each unit of a code's side, by the config of an autoencoder."""
    return 2 ** (len(settings.get("block_out_channels") or settings["encoder_block_out_channels"]) - 1)


def described(kind: str, settings: Mapping[str, Any], height: int, width: int | None = None, folder: str = "") -> dict[str, Any]:
    """The fields of a LatentGeneratorConfig for an autoencoder of that class and config.

    Raises ValueError for another class, and for sides that are no multiple of those that a unit of the code stands for.
    """
    if kind not in AUTOENCODERS:
        raise ValueError(f"got {kind} as an autoencoder, expected {', '.join(AUTOENCODERS)}: pass one of these")
    width, factor = height if width is None else width, downsampling(settings)
    if min(height, width) < 1 or height % factor or width % factor:
        raise ValueError(f"got images of {width}x{height} px, expected sides that are multiples of {factor}: choose such a size")
    channels = int(settings["latent_channels"])
    shape = (channels, height // factor, width // factor)
    seen = int(settings.get("out_channels") or settings.get("in_channels") or 3)
    return {"kind": kind, "folder": folder, "code_shape": shape, "channels": seen, "height": height, "width": width}
