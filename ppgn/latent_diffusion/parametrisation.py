"""What a score model predicts, and at which of its timesteps, turned into a denoiser at a noise level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

VARIANCE_PRESERVING = ("epsilon", "v_prediction", "sample")
FLOW = "flow"


@dataclass(frozen=True, eq=False)
class Parametrisation:
    """The mean D(z; s) of the codes that z = code + s n, n ~ N(0, 1), may come from, by a network of another form.

    prediction "epsilon", "v_prediction" or "sample" (Ho et al. 2020; Salimans & Ho 2022): the network sees x = z / sqrt(1 + s^2)
    at the timestep t whose (1 - abar_t) / abar_t is s^2, between whole timesteps by interpolation, and predicts

        epsilon: n;   v_prediction: sqrt(abar) n - sqrt(1 - abar) code;   sample: code.

    prediction "flow" (Lipman et al. 2023; Esser et al. 2024): it sees x = z / (1 + s) = (1 - r) code + r n with r = s / (1 + s),
    at the timestep r * timesteps, and predicts n - code.

    levels: s of each whole timestep, rising; empty for a flow. timesteps: of training. log_spaced: whether ln s, instead of s, is
    interpolated, as schedulers with Karras's levels do.
    """

    prediction: str
    levels: np.ndarray
    timesteps: int
    log_spaced: bool = False

    @classmethod
    def of(cls, scheduler: Any) -> Parametrisation:
        """That of a scheduler of diffusers. Raises ValueError for one without noise levels of these kinds."""
        settings, name = scheduler.config, type(scheduler).__name__
        prediction, count = str(settings.get("prediction_type", "epsilon")), int(settings.get("num_train_timesteps", 1000))
        if name.startswith("FlowMatch") or prediction == "flow_prediction":
            return cls(FLOW, np.empty(0), count)
        if not hasattr(scheduler, "alphas_cumprod") or prediction not in VARIANCE_PRESERVING:
            raise ValueError(
                f"got the scheduler {name} with prediction {prediction!r}, expected one with alphas_cumprod and a prediction of "
                f"{', '.join(VARIANCE_PRESERVING)}, or a flow: choose another pipeline"
            )
        kept = np.asarray(scheduler.alphas_cumprod, dtype=np.float64)
        names = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
        return cls(prediction, np.sqrt((1 - kept) / kept.clip(1e-12)), count, any(settings.get(one) for one in names))

    @property
    def highest(self) -> float:
        """The level of the last timestep; for a flow that of the last but one, since the last is noise alone."""
        return self.timesteps - 1.0 if self.prediction == FLOW else float(self.levels[-1])

    @property
    def lowest(self) -> float:
        """The level of the first timestep."""
        return 1.0 / (self.timesteps - 1) if self.prediction == FLOW else float(self.levels[0])

    def timestep(self, level: Tensor) -> Tensor:
        """The timestep of each level `[chain]`, between those of training."""
        if self.prediction == FLOW:
            return level / (1 + level) * self.timesteps
        given, known = level.double().cpu().numpy(), self.levels
        pair = (np.log(given.clip(1e-10)), np.log(known.clip(1e-10))) if self.log_spaced else (given, known)
        return torch.as_tensor(np.interp(pair[0], pair[1], np.arange(len(known))), dtype=level.dtype, device=level.device)

    def scaled(self, code: Tensor, level: Tensor) -> Tensor:
        """What the network sees of noisy codes `[chain, *code]`; level: broadcasts to them."""
        return code / (1 + level) if self.prediction == FLOW else code / (1 + level**2).sqrt()

    def denoised(self, code: Tensor, output: Tensor, level: Tensor) -> Tensor:
        """D of noisy codes from the network's output, both `[chain, *code]`."""
        if self.prediction == FLOW:
            return (code - level * output) / (1 + level)
        if self.prediction == "epsilon":
            return code - level * output
        if self.prediction == "v_prediction":
            return code / (1 + level**2) - output * level / (1 + level**2).sqrt()
        return output
