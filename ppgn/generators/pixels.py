"""Pixels as a generator: the code is the image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class IdentityGeneratorConfig:
    """Channels, height and width of the images."""

    channels: int = 3
    height: int = 64
    width: int = 64


class IdentityGenerator(nn.Module):
    """G(code) = code, without weights: PPGN-x then runs in the same loop as every other variant."""

    architecture = "identity_generator"

    def __init__(self, config: IdentityGeneratorConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return (self.config.channels, self.config.height, self.config.width)

    def forward(self, code: Tensor) -> Tensor:
        """The image `[chain, channel, height, width]` that the code is. Raises ValueError for another shape.

        It does not clip: the bounds of the code space keep pixels in [0, 1].
        """
        if code.shape[1:] != self.code_shape:
            raise ValueError(
                f"the identity generator got a code of shape {tuple(code.shape)}, expected {('chain', *self.code_shape)}: "
                f"start from pixels of that size"
            )
        return code
