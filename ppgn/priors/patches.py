"""Statistics of small patches: a mixture of Gaussians fitted to natural pictures."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from ppgn.types import Code, Image, at_least_one

MIXTURE = Path(__file__).with_name("patches.safetensors")
"""Factors and rests of covariances, and weights, by scripts/fit_patches.py."""
SIDE, CHANNELS = 8, 3


@dataclass(frozen=True)
class Patches:
    """direction = the mean over overlapping patches of s^2 * score of a mixture of Gaussians of natural patches, s = patch_noise.

    The patches are of 8 by 8 pixels in colour, without their mean, as in Zoran & Weiss 2011 ("From learning models of natural
    image patches to whole image restoration"); Wei et al. 2015 took the nearest real patch as a prior of visualisations. The
    mixture is smoothed by s, so the direction leads to the mean of the natural patches that a noisy one may come from
    (`Denoiser`), which prior_scale 1 puts in its place. patch_stride: pixels between patches along each axis; 1 takes all of
    them, 4 a sixteenth. Codes are pictures `[chain, channel, height, width]` in [0, 1], grey or in colour. Raises ValueError for
    smaller pictures, other channels, and numbers that cannot be.
    """

    patch_noise: float = 0.1
    patch_stride: int = 4
    codes: ClassVar[str] = "pixels"

    def __post_init__(self) -> None:
        if not 0 < self.patch_noise < math.inf:
            raise ValueError(f"a prior of patches got patch_noise {self.patch_noise}, expected more than 0: pass 0.1, say")
        if at_least_one("patch_stride", self.patch_stride, "1 takes all patches") > SIDE:
            raise ValueError(
                f"got patch_stride {self.patch_stride}, expected at most {SIDE}, which leaves no pixel out: lower it"
            )

    def __call__(self, code: Code, image: Image) -> Code:
        if code.ndim != 4 or code.shape[1] not in (1, CHANNELS) or min(code.shape[2:]) < SIDE:
            raise ValueError(
                f"a prior of patches got shape {tuple(code.shape)}, expected [chain, 1 or 3, height, width] of at least {SIDE} "
                f"pixels a side: choose pixels as the generator, and such a size"
            )
        (height, width), stride = code.shape[2:], self.patch_stride
        beyond = [-(side - SIDE) % stride for side in (width, height)]
        picture = functional.pad(code.expand(-1, CHANNELS, -1, -1), (0, beyond[0], 0, beyond[1]), mode="replicate")
        directions = torch.stack([self._of_picture(one[None])[0, :, :height, :width] for one in picture])
        return directions if code.shape[1] == CHANNELS else directions.mean(1, keepdim=True)

    def _of_picture(self, picture: Tensor) -> Tensor:
        patches = functional.unfold(picture, SIDE, stride=self.patch_stride)[0].T
        moves = self.patch_noise**2 * mixture(picture.dtype, picture.device).score(patches, self.patch_noise)
        both = torch.stack([moves.T, torch.ones_like(moves.T)])
        total, count = functional.fold(both, picture.shape[2:], SIDE, stride=self.patch_stride)
        return (total / count)[None]


@dataclass(frozen=True, eq=False)
class Mixture:
    """p(z) = sum over k of weight_k N(z; 0, F_k F_k^T + rest_k^2 I) of patches z without their mean.

    basis, values: the eigenvectors `[component, pixel, rank]` and eigenvalues `[component, rank]` of F_k F_k^T. rest, weight:
    `[component]`.
    """

    basis: Tensor
    values: Tensor
    rest: Tensor
    weight: Tensor

    @classmethod
    def of(cls, factor: Tensor, rest: Tensor, weight: Tensor) -> Mixture:
        """The mixture of stored numbers, F as `factor`."""
        basis, roots, _ = torch.linalg.svd(factor, full_matrices=False)
        return cls(basis, roots.square(), rest, weight / weight.sum())

    def log_prob(self, patches: Tensor, noise: float) -> Tensor:
        """log p of patches `[patch, pixel]` with Gaussian noise of this standard deviation, in nats: `[patch]`."""
        return self._terms(_without_mean(patches), noise)[0].logsumexp(1)

    def score(self, patches: Tensor, noise: float) -> Tensor:
        """d log p / d patch `[patch, pixel]` of patches with that noise."""
        centred = _without_mean(patches)
        terms, along, least = self._terms(centred, noise)
        share = terms.softmax(1) / least
        shrunk = share[..., None] * self.values / (self.values + least[:, None]) * along
        slope = torch.einsum("nkr,kpr->np", shrunk, self.basis) - share.sum(1, keepdim=True) * centred
        return _without_mean(slope)

    def _terms(self, centred: Tensor, noise: float) -> tuple[Tensor, Tensor, Tensor]:
        """(log weight_k N_k `[patch, component]`, coordinates in each basis `[patch, component, rank]`, least variances)."""
        least = self.rest.square() + noise**2
        along = torch.einsum("np,kpr->nkr", centred, self.basis)
        inside = self.values / (self.values + least[:, None])
        distance = (centred.square().sum(1, keepdim=True) - torch.einsum("nkr,kr->nk", along.square(), inside)) / least
        size, rank = self.basis.shape[1:]
        log_volume = (self.values + least[:, None]).log().sum(1) + (size - rank) * least.log()
        return self.weight.log() - (distance + log_volume + size * math.log(2 * math.pi)) / 2, along, least


@functools.cache
def mixture(dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Mixture:
    """That of natural patches."""
    return Mixture.of(**{name: value.to(device, dtype) for name, value in load_file(MIXTURE).items()})


def _without_mean(patches: Tensor) -> Tensor:
    return patches - patches.mean(1, keepdim=True)
