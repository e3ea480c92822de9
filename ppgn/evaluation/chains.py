"""Mixing and cost of chains: how fast a chain forgets where it was, and how many passes of each network it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

ROUNDING = 1e-6
"""Relative change below which a series is constant: float32 has seven digits."""


def autocorrelation(series: Tensor) -> Tensor:
    """rho(lag) of chains `[chain, step]` or `[chain, step, feature]`, `[lag]` for lags 0 to steps - 1.

    rho(t) = sum of (x_i - m)(x_{i+t} - m) / sum of (x_i - m)^2 over steps, chains and features, where m is the mean of each chain
    and feature. This is the estimate that divides by the number of all steps (Geyer 1992, section 3.1), with features weighted by
    their variance. NaN where nothing changes beyond rounding. Raises ValueError for another shape, for fewer than two steps, and
    for values that are not finite.
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


def integrated_time(rho: Tensor, monotone: bool = False) -> float:
    """tau = 1 + 2 sum over t >= 1 of rho(t), in steps: a chain gives one independent value per tau steps.

    The sum ends before the first pair rho(2m) + rho(2m + 1) that is not positive (initial positive sequence estimator, Geyer
    1992, section 3.3). monotone: no pair counts for more than one before it (his initial monotone sequence), for rho that is noisy
    at long lags. NaN where rho is NaN, and where the sum is not positive, as in a chain that oscillates.
    """
    if bool(rho.isnan().any()):
        return math.nan
    pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(1)
    ends = (pairs <= 0).nonzero()
    kept = pairs[: int(ends[0, 0])] if len(ends) else pairs
    kept = kept.cummin(0).values if monotone and len(kept) else kept
    tau = float(2 * kept.sum() - 1)
    return tau if tau > 0 else math.nan


def mixing(series: Tensor) -> dict[str, Any]:
    """The mixing of chains `[chain, step]` or `[chain, step, feature]`, each within itself.

    tau: the integrated time, in steps. effective = chains * steps / tau: the number of independent values. effective_per_chain:
    the same for one chain. autocorrelation: rho. Modes that no chain visited do not show.
    """
    rho = autocorrelation(series)
    tau = integrated_time(rho)
    chains, steps = series.shape[:2]
    return {"tau": tau, "effective": chains * steps / tau, "effective_per_chain": steps / tau, "autocorrelation": rho.tolist()}


def between_chains(series: Tensor) -> dict[str, float]:
    """r_hat, effective and tau of chains `[chain, step]`, by which differences between chains count too.

    Each chain is split into two halves, and of these halves n values long W is the mean variance within, B / n the variance of
    their means, and V = (n - 1) / n W + B / n. r_hat = sqrt(V / W): 1 where chains have mixed, above 1.01 where they have not
    (Vehtari et al. 2021, Eq. 4, without ranks). effective: the number of independent values, from the autocorrelation
    1 - (W - mean autocovariance) / V, which is summed as `integrated_time` does (their Eq. 10 to 13); at most
    values * log10(values). tau: the number of values for each of them. NaN where nothing changes. Raises ValueError for another
    shape and for fewer than eight steps.
    """
    if series.ndim != 2 or series.shape[1] < 8 or not bool(series.isfinite().all()):
        raise ValueError(
            f"a diagnosis of chains got {list(series.shape)}, expected finite [chain, step] of at least 8 steps: run them longer"
        )
    length = series.shape[1] // 2
    halves = series.double()[:, -2 * length :].reshape(-1, length)
    centred = halves - halves.mean(1, keepdim=True)
    covariances = torch.stack([(centred[:, lag:] * centred[:, : length - lag]).sum(1) / length for lag in range(length)])
    within = covariances[0].mean() * length / (length - 1)
    whole = within * (length - 1) / length + halves.mean(1).var()
    if not bool(whole > (ROUNDING * series.abs().max()) ** 2):
        return {"r_hat": math.nan, "effective": math.nan, "tau": math.nan}
    rho = 1 - (within - covariances.mean(1) * length / (length - 1)) / whole
    rho[0] = 1.0
    most = halves.numel() * math.log10(halves.numel())
    tau = integrated_time(rho, monotone=True)
    effective = min(most, halves.numel() / tau) if math.isfinite(tau) else most
    return {"r_hat": float((whole / within).sqrt()), "effective": effective, "tau": halves.numel() / effective}


class PassCounter:
    """Counts the pictures or codes that each network is given inside a `with PassCounter(networks) as counter` block.

    networks: name -> network; what is no module counts 0. counts: name -> the sum of batch sizes over all passes. The hooks are
    removed at the end of the block.
    """

    def __init__(self, networks: Mapping[str, Any]) -> None:
        self.counts = dict.fromkeys(networks, 0)
        self._networks = networks
        self._handles: list[Any] = []

    def __enter__(self) -> PassCounter:
        for name, network in self._networks.items():
            if isinstance(network, nn.Module):
                self._handles.append(network.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _hook(self, name: str) -> Any:
        def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.counts[name] += len(inputs[0])

        return count
