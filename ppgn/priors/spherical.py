"""The prior of codes drawn from N(0, 1): they lie near a sphere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ppgn.types import Code, Image


@dataclass(frozen=True)
class Spherical:
    """R(h) = sqrt(d) h / |h|, the nearest point of a sphere; direction = R(h) - h = (sqrt(d) - |h|) h / |h|, d units a code.

    The codes of most GANs come from N(0, 1), whose norm has mean sqrt(d) to within 1 / (4 sqrt(d)) and standard deviation
    1 / sqrt(2) whatever d is, so that nearly all lie near that sphere (Vershynin 2018, "High-dimensional probability", section
    3.1); inside it and outside it a GAN was never trained (White 2016, "Sampling generative networks", on interpolation along
    the sphere). The direction is sigma^2 times the score of log p(h) = -(|h| - sqrt(d))^2 / (2 sigma^2), and of no other: along
    the sphere all codes are alike, whereas the mean of a Gaussian prior, 0, is no typical code. With prior_scale 1 and nothing
    else every code is on the sphere after one step; a code of zeros, which has no nearest point, stays where it is.
    """

    def __call__(self, code: Code, image: Image) -> Code:
        length = code.flatten(1).norm(dim=1).reshape(-1, *[1] * (code.ndim - 1))
        radius = math.sqrt(code[0].numel()) if len(code) else 0.0
        return torch.where(length > 0, (radius / length.clamp_min(torch.finfo(code.dtype).tiny) - 1) * code, 0.0)
