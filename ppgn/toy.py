"""A closed-form world: a linear generator, a Gaussian prior and a Gaussian likelihood, hence a known Gaussian posterior.

A step of a Langevin chain without noise is an affine map in it, so samplers can be checked to rounding error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.objective import Objective, Term
from ppgn.priors import Gaussian
from ppgn.types import Code, CodeSpace, Image, LogProb


@dataclass(frozen=True, eq=False)
class LinearWorld:
    """code ~ N(0, prior_std^2 I), image = A code, y = image + N(0, noise_std^2 I).

    matrix: A `[pixels, units]`, and target: y `[pixels]`, in float64. Images are `[chain, 1, 1, pixels]` and not confined to
    [0, 1]. Langevin with condition_scale e, prior_scale e / prior_std^2 and noise_scale sqrt(2 e) samples the posterior as
    e -> 0. Raises ValueError for other shapes or dtypes, and unless both standard deviations are positive.
    """

    matrix: Tensor
    target: Tensor
    noise_std: float
    prior_std: float

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.target.shape != self.matrix.shape[:1]:
            raise ValueError(
                f"a linear world got a matrix of shape {tuple(self.matrix.shape)} and a target of shape "
                f"{tuple(self.target.shape)}, expected [pixels, units] and [pixels]: "
                f"give the target a number for each row of the matrix"
            )
        if (self.matrix.dtype, self.target.dtype) != (torch.float64, torch.float64):
            raise ValueError(
                f"a linear world got {self.matrix.dtype} and {self.target.dtype}, expected float64: call .double() on both"
            )
        if self.noise_std <= 0 or self.prior_std <= 0:
            raise ValueError(
                f"a linear world got noise_std {self.noise_std} and prior_std {self.prior_std}, expected positive numbers: "
                f"pass standard deviations above 0"
            )

    def generator(self, code: Code) -> Image:
        """image = A code: `[chain, units]` -> `[chain, 1, 1, pixels]`."""
        return (code @ self.matrix.T)[:, None, None, :]

    def condition(self, image: Image) -> LogProb:
        """log N(y; image, noise_std^2 I): `[chain]`, in nats."""
        squares = ((image.reshape(len(image), -1) - self.target) ** 2).sum(1)
        normaliser = 0.5 * len(self.target) * math.log(2 * math.pi * self.noise_std**2)
        return -squares / (2 * self.noise_std**2) - normaliser

    def objective(self, space: CodeSpace | None = None) -> Objective:
        """Generator, Gaussian prior and the log-likelihood of y as the only term, "likelihood".

        space: bounds and spread of codes for samplers, by default neither.
        """
        space = CodeSpace((self.matrix.shape[1],)) if space is None else space
        return Objective(self.generator, Gaussian(0.0, self.prior_std), (Term("likelihood", self.condition),), space)

    @property
    def posterior_covariance(self) -> Tensor:
        """(A^T A / noise_std^2 + I / prior_std^2)^-1: `[units, units]`."""
        units = self.matrix.shape[1]
        identity = torch.eye(units, dtype=torch.float64, device=self.matrix.device)
        return torch.linalg.inv(self.matrix.T @ self.matrix / self.noise_std**2 + identity / self.prior_std**2)

    @property
    def posterior_mean(self) -> Tensor:
        """posterior_covariance A^T y / noise_std^2: `[units]`."""
        return self.posterior_covariance @ self.matrix.T @ self.target / self.noise_std**2
