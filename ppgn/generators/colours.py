"""Colours of natural pictures: how red, green and blue go together."""

from __future__ import annotations

import torch
from torch import Tensor

CORRELATION = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of the covariance of red, green and blue over ImageNet, channel by component: Lucid (tensorflow/lucid,
optvis/param/color.py)."""


def correlated(components: Tensor) -> Tensor:
    """Red, green and blue `[..., 3, height, width]` of independent components, by CORRELATION over its largest column norm.

    Another number of channels is left as it is."""
    if components.shape[-3] != 3:
        return components
    matrix = torch.tensor(CORRELATION, dtype=components.dtype, device=components.device)
    return torch.einsum("ij,...jhw->...ihw", matrix / matrix.norm(dim=0).max(), components)


def decorrelated(image: Tensor) -> Tensor:
    """The inverse of `correlated`."""
    if image.shape[-3] != 3:
        return image
    matrix = torch.tensor(CORRELATION, dtype=image.dtype, device=image.device)
    return torch.einsum("ij,...jhw->...ihw", torch.linalg.inv(matrix / matrix.norm(dim=0).max()), image)
