"""Pictures by their Fourier coefficients: free ones, or phases alone under the magnitudes of natural pictures."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ppgn.generators.colours import correlated

SPECTRUM = Path(__file__).with_name("spectrum.safetensors")
"""Mean magnitudes of natural pictures, `[channel, height, width // 2 + 1]`, by scripts/measure_spectrum.py."""
LUCID_SCALE = 4.0
SMALLEST_SPREAD = 1e-4


@dataclass(frozen=True)
class FourierGeneratorConfig:
    """Channels, height and width of the images. decay_power: of coefficients with their frequency."""

    channels: int = 3
    height: int = 224
    width: int = 224
    decay_power: float = 1.0


class FourierGenerator(nn.Module):
    """image = sigmoid(C irfft2(code / f^decay_power) / 4), C the colours of natural pictures (`colours.correlated`).

    f is the spatial frequency in cycles a pixel, at least 1 / max(height, width). The code `[chain, channel, height,
    width // 2 + 1, 2]` holds real and imaginary parts. As in Lucid (Olah et al. 2017, "Feature visualization"; optvis/param).
    Raises ValueError for a code of another shape.
    """

    architecture = "fourier_generator"
    scale: Tensor

    def __init__(self, config: FourierGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        height, width = config.height, config.width
        frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
        scale = frequency.clamp(min=1 / max(height, width)) ** -config.decay_power
        self.register_buffer("scale", scale[..., None], persistent=False)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return (self.config.channels, self.config.height, self.config.width // 2 + 1, 2)

    def forward(self, code: Tensor) -> Tensor:
        """The images `[chain, channel, height, width]` in [0, 1]."""
        _check_shape(code, self.code_shape, "Fourier")
        spectrum = torch.view_as_complex((self.scale.to(code.dtype) * code).contiguous())
        image = torch.fft.irfft2(spectrum, s=(self.config.height, self.config.width), norm="ortho")
        return correlated(image / LUCID_SCALE).sigmoid()


@dataclass(frozen=True)
class PhaseGeneratorConfig:
    """Channels, height and width of the images."""

    channels: int = 3
    height: int = 224
    width: int = 224


class PhaseGenerator(nn.Module):
    """image = sigmoid(C z), z the standardised irfft2(magnitude * exp(i phase)): the code is the phase, standardised too.

    magnitude: the mean over natural pictures (SPECTRUM), stretched to the size. The code is `[chain, channel, height,
    width // 2 + 1]`, in radians before it is standardised; the image's mean and contrast are thus fixed. As in MACO (Fel et al.
    2023, "Unlocking feature visualization for deeper networks with magnitude constrained optimization"). Raises ValueError for a
    code of another shape.
    """

    architecture = "phase_generator"
    magnitude: Tensor

    def __init__(self, config: PhaseGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        measured = natural_magnitude()
        shape = (config.height, config.width // 2 + 1)
        magnitude = functional.interpolate(measured[None], shape, mode="bilinear", antialias=True)[0]
        rows = magnitude if config.channels == len(magnitude) else magnitude[:1].expand(config.channels, -1, -1)
        self.register_buffer("magnitude", rows.clone(), persistent=False)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return (self.config.channels, self.config.height, self.config.width // 2 + 1)

    def forward(self, code: Tensor) -> Tensor:
        """The images `[chain, channel, height, width]` in [0, 1]."""
        _check_shape(code, self.code_shape, "phase")
        spectrum = torch.polar(self.magnitude.to(code.dtype).expand_as(code), _standardised(code))
        image = torch.fft.irfft2(spectrum, s=(self.config.height, self.config.width))
        return correlated(_standardised(image)).sigmoid()


@functools.cache
def natural_magnitude() -> Tensor:
    """Mean magnitudes of natural pictures in decorrelated colours, `[channel, height, width // 2 + 1]`."""
    return load_file(SPECTRUM)["magnitude"].float()


def _standardised(values: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 of each chain."""
    axes = tuple(range(1, values.ndim))
    return (values - values.mean(axes, keepdim=True)) / (values.std(axes, keepdim=True) + SMALLEST_SPREAD)


def _check_shape(code: Tensor, shape: tuple[int, ...], who: str) -> None:
    if code.shape[1:] != shape:
        raise ValueError(
            f"the {who} generator got a code of shape {tuple(code.shape)}, expected {('chain', *shape)}: start from such codes"
        )
