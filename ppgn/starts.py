"""Where chains begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppgn.seeds import START, normal
from ppgn.types import Code, Encoder, Image


def random_code(
    seeds: Sequence[int],
    shape: Sequence[int],
    *,
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    low: float | Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Code:
    """N(mean, std^2), clipped from below at `low`: `[len(seeds), *shape]`, a function of each chain's seed alone.

    mean, std, low: floats or one number per unit, in code units. The default, N(0, 1) unclipped, is the start of
    the released code. Raises ValueError when a seed is not a whole number in [0, 2**64).
    """
    unit = normal(seeds, 0, shape, stream=START, dtype=dtype, device=device)
    centre, width = (torch.as_tensor(value, dtype=dtype, device=device) for value in (mean, std))
    code = centre + width * unit
    return code if low is None else torch.maximum(code, torch.as_tensor(low, dtype=dtype, device=device))


def drawn_code(
    seeds: Sequence[int],
    shape: Sequence[int],
    network: Callable[[Tensor], Tensor],
    device: torch.device | str = "cpu",
) -> Code:
    """network(N(0, 1)), codes `[len(seeds), *shape]` from a model of real codes; a function of each chain's seed alone."""
    with torch.no_grad():
        return network(normal(seeds, 0, shape, stream=START, dtype=torch.float32, device=device))


def from_image(encoder: Encoder, image: Image) -> Code:
    """E(image), the codes of real images `[chain, channel, height, width]` in [0, 1]; ValueError for another rank."""
    if image.ndim != 4:
        raise ValueError(
            f"a start from images got shape {tuple(image.shape)}, expected [chain, channel, height, width]: "
            f"add a chain axis with image[None]"
        )
    with torch.no_grad():
        return encoder(image)
