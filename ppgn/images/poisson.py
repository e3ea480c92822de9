"""Poisson image editing: the gradients of one image in the hole of another, without a seam."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.images.masks import check_known, fitted
from ppgn.types import Image

ITERATIONS = 2000
"""At most: conjugate gradients need about as many as the hole is wide in pixels, so holes of a thousand pixels are solved."""
TOLERANCE = 1e-5
"""Largest residual left, in pixels of [0, 1]: a four-hundredth of one of 256 grey levels."""


def seamless(image: Image, picture: Tensor, known: Tensor, texture: float = 1.0) -> Image:
    """The picture where it is known; in the hole u with Laplacian(u) = texture * Laplacian(image), u = picture at its border.

    texture 1 keeps the image's edges and texture and shifts its brightness and colour smoothly until the border fits:
    u = image + c, with c harmonic in the hole and c = picture - image where known, clipped to [0, 1]. texture 0 lets only the
    border's colours flow in; values between weaken uncertain texture. Perez et al. 2003, "Poisson image editing"; used on
    generated fillings by Yeh et al. 2017, "Semantic image inpainting with deep generative models".

    image: `[chain, channel, height, width]`. picture: an image that broadcasts to it. known: a mask of the picture; pixels
    above one half count as known. A picture without a known pixel leaves the image. Raises ValueError as `composite` does.
    """
    picture, known = fitted(picture, check_known(known, picture), image)
    image = texture * image
    hole = (known <= 0.5).expand_as(image).to(torch.float64)
    correction = _harmonic((picture - image).to(torch.float64) * (1 - hole), hole).to(image)
    return torch.where(hole > 0, (image + correction).clamp(0, 1), picture.expand_as(image))


def _harmonic(outside: Tensor, hole: Tensor) -> Tensor:
    """u with u = outside where hole is 0, and 4 u = the sum of its 4 neighbours where hole is 1, by conjugate gradients.

    Pixels at the edges of the image have fewer neighbours. All tensors are `[chain, channel, height, width]`; each channel is
    solved by itself.
    """
    degree = _neighbours(torch.ones_like(hole))
    solved = torch.zeros_like(outside)
    residual = hole * _neighbours(outside)
    search, power = residual, (residual**2).sum((2, 3), keepdim=True)
    for _ in range(ITERATIONS):
        if float(residual.abs().amax()) < TOLERANCE:
            break
        applied = hole * (degree * search - _neighbours(search))
        along = power / (search * applied).sum((2, 3), keepdim=True).clamp_min(torch.finfo(power.dtype).tiny)
        solved, residual = solved + along * search, residual - along * applied
        before, power = power, (residual**2).sum((2, 3), keepdim=True)
        search = residual + power / before.clamp_min(torch.finfo(power.dtype).tiny) * search
    return outside + solved


def _neighbours(values: Tensor) -> Tensor:
    """The sum of each pixel's 4 neighbours; a neighbour beyond the edge counts 0."""
    padded = functional.pad(values, (1, 1, 1, 1))
    return padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
