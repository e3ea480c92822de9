"""Score models of latent diffusion as the prior: UNets and transformers of diffusers, at any noise level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.latent_diffusion.inputs import arguments, empty_inputs
from ppgn.latent_diffusion.library import load, scheduler
from ppgn.latent_diffusion.parametrisation import Parametrisation

SCORES = ("UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel", "SD3Transformer2DModel")


@dataclass(frozen=True)
class LatentScoreConfig:
    """The library's class, the folders of network and scheduler, the shape of codes, the weight of class-free guidance.

    steps: levels of the probability flow that `before_relu` goes through.
    """

    kind: str
    folder: str = ""
    scheduler: str = "scheduler"
    code_shape: tuple[int, ...] = (4, 32, 32)
    guidance_scale: float = 1.0
    steps: int = 25


class Denoiser(nn.Module):
    """D(code; level) of a network of diffusers with one set of inputs beside the code: a prompt's embedding, say.

    inputs: arguments of the network's forward by name, `[1, ...]` for all chains. Raises ValueError for another class, and for
    inputs that it needs and that are not given.
    """

    def __init__(self, network: Any, parametrisation: Parametrisation, inputs: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network, self.parametrisation, self.inputs = network, parametrisation, dict(inputs)
        self._channels = int(network.config.in_channels)

    def denoise(self, code: Tensor, level: Tensor | float) -> Tensor:
        """The mean of the codes that codes `[chain, *code]` with noise of that level may come from.

        level: one, or one per chain, `[chain]`; in units of codes, whose standard deviation is about 1.
        """
        levels = torch.as_tensor(level, dtype=code.dtype, device=code.device).expand(len(code))
        each = levels.reshape(-1, *[1] * (code.ndim - 1))
        form = self.parametrisation
        given = arguments(self.network, self.inputs, form.scaled(code, each), form.timestep(levels))
        output = self.network(**given).sample[:, : self._channels]  # behind them stand variances, where they were learned
        return form.denoised(code, output, each)


class LatentScore(nn.Module):
    """A score model as `priors.NoiseLevel` takes it, with class-free guidance between two sets of inputs.

        D = D_empty + guidance_scale (D_given - D_empty)   (Ho & Salimans 2022, Eq. 6, of denoisers instead of noises)

    That is the sum of two priors with the weights guidance_scale and 1 - guidance_scale; with 1 `empty` does not run.

    own: inputs by "given." or "empty." and the name of an argument, as a bundle stores them; what is missing is empty.
    """

    architecture = "latent_score"
    reference: Mapping[str, Any] | None = None
    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, form: Parametrisation, config: LatentScoreConfig, own: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.config, self.own, self.parametrisation = config, dict(own), form
        self.network = network
        empty = {**empty_inputs(network, config.code_shape), **_of(own, "empty.")}
        self._denoisers = (Denoiser(network, form, {**empty, **_of(own, "given.")}), Denoiser(network, form, empty))
        self.register_buffer("mean", torch.zeros(()), persistent=False)
        self.register_buffer("std", torch.ones(()), persistent=False)

    @classmethod
    def of(
        cls,
        network: Any,
        scheduler: Any,
        code_shape: tuple[int, ...],
        guidance_scale: float = 1.0,
        **inputs: Mapping[str, Tensor],
    ) -> LatentScore:
        """That of a network and a scheduler in memory; given=, empty=: inputs by the names of forward's arguments."""
        kind = type(network).__name__
        own = {f"{which}.{name}": value for which, some in inputs.items() for name, value in some.items()}
        config = LatentScoreConfig(kind, code_shape=tuple(code_shape), guidance_scale=guidance_scale)
        return cls(network.eval().requires_grad_(False), Parametrisation.of(scheduler), config, own)

    @classmethod
    def of_folder(cls, place: Path, config: LatentScoreConfig, own: Mapping[str, Tensor] | None = None) -> LatentScore:
        """The score model in a folder that holds the repository's files. ValueError where they are wrong."""
        form = Parametrisation.of(scheduler(place / config.scheduler))
        return cls(load(place / config.folder, config.kind), form, config, own or {})

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return self.config.code_shape

    @property
    def given(self) -> Denoiser:
        """The denoiser with the given inputs."""
        return self._denoisers[0]

    @property
    def empty(self) -> Denoiser:
        """The denoiser with empty inputs."""
        return self._denoisers[1]

    def denoise(self, code: Tensor, level: Tensor | float) -> Tensor:
        """D of noisy codes `[chain, *code]`; see `Denoiser.denoise`."""
        found, weight = self.given.denoise(code, level), self.config.guidance_scale
        if weight == 1:
            return found
        empty = self.empty.denoise(code, level)
        return empty + weight * (found - empty)

    def before_relu(self, noise: Tensor) -> Tensor:
        """Codes from standard normal noise `[chain, *code]` along the probability flow, Euler's steps (Karras et al. 2022)."""
        form, rho = self.parametrisation, 7.0
        top, bottom = form.highest ** (1 / rho), form.lowest ** (1 / rho)
        ramp = torch.linspace(0, 1, self.config.steps, dtype=torch.float64)
        levels = [*((top + ramp * (bottom - top)) ** rho).tolist(), 0.0]
        code = noise * levels[0]
        for level, following in zip(levels, levels[1:], strict=False):
            denoised = self.denoise(code, level)
            code = denoised + (code - denoised) * (following / level)
        return code


def _of(own: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in own.items() if name.startswith(prefix)}
