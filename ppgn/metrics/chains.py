"""What a chain gives and costs: how fast it forgets where it was, and how many passes of each network it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

ROUNDING = 1e-6
"""What changes less, relative to its values, is at rest: float32 has seven digits."""


def autocorrelation(series: Tensor) -> Tensor:
    """rho(lag) of chains `[chain, step]` or `[chain, step, feature]`, `[lag]` for lags 0 to steps - 1.

    rho(t) = sum of (x_i - m)(x_{i+t} - m) / sum of (x_i - m)^2 over steps, chains and features, m the mean of each chain and
    feature: the estimate that divides by the number of all steps (Geyer 1992, section 3.1), features weighted by their
    variance. NaN where nothing moves beyond rounding. Raises ValueError for another shape, fewer than two steps, or values that
    are not finite.
    """
    if series.ndim not in (2, 3) or series.shape[1] < 2 or not bool(series.isfinite().all()):
        raise ValueError(
            f"an autocorrelation got {list(series.shape)}, expected finite [chain, step] or [chain, step, feature] with "
            f"at least 2 steps: run the chain longer"
        )
    values = series.double()
    centred = values - values.mean(1, keepdim=True)
    steps = series.shape[1]
    spectrum = torch.fft.rfft(centred, n=2 * steps, dim=1)
    products = torch.fft.irfft(spectrum.abs().square(), n=2 * steps, dim=1)[:, :steps]
    covariance = products.transpose(0, 1).flatten(1).sum(1)
    moves = centred.abs().max() > ROUNDING * values.abs().max()
    return covariance / covariance[0] if moves else torch.full_like(covariance, math.nan)


def integrated_time(rho: Tensor) -> float:
    """tau = 1 + 2 sum of rho(t), t >= 1, in steps: one independent value per tau steps.

    The sum ends before the first pair rho(2m) + rho(2m + 1) that is not positive (initial positive sequence estimator, Geyer
    1992, section 3.3). NaN where rho is, and where the sum is not positive: a chain that swings to and fro.
    """
    if bool(rho.isnan().any()):
        return math.nan
    even = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(1)
    ends = (even <= 0).nonzero()
    kept = even[: int(ends[0, 0])] if len(ends) else even
    tau = float(2 * kept.sum() - 1)
    return tau if tau > 0 else math.nan


def mixing(series: Tensor) -> dict[str, Any]:
    """Of chains `[chain, step]` or `[chain, step, feature]`: tau, effective = chains * steps / tau independent values, the
    effective size of one chain, and rho. Within chains: it says nothing of modes that no chain went to."""
    rho = autocorrelation(series)
    tau = integrated_time(rho)
    chains, steps = series.shape[:2]
    return {"tau": tau, "effective": chains * steps / tau, "effective_per_chain": steps / tau, "autocorrelation": rho.tolist()}


class Passes:
    """Counts, while it is open, how many pictures or codes each network is given: `with Passes(parts) as passes`.

    networks: by name; counts: name -> the sum of batch sizes over all passes. Hooks are removed at the end.
    """

    def __init__(self, networks: Mapping[str, Any]) -> None:
        self.counts = dict.fromkeys(networks, 0)
        self._networks = networks
        self._handles: list[Any] = []

    def __enter__(self) -> Passes:
        for name, network in self._networks.items():
            if isinstance(network, nn.Module):
                self._handles.append(network.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _hook(self, name: str) -> Any:
        def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.counts[name] += len(inputs[0])

        return note
