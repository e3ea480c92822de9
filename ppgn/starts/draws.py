"""Random codes, and the choice among several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppgn.seeds import Stream, normal, uniform
from ppgn.types import Code, LogProb


def random_code(
    seeds: Sequence[int],
    shape: Sequence[int],
    *,
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    low: float | Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    draw: int = 0,
) -> Code:
    """N(mean, std^2), clipped from below at `low`: `[len(seeds), *shape]`, a function of each chain's seed and `draw` alone.

    mean, std, low: floats or one number per unit, in code units. The default, N(0, 1) unclipped, is the start of
    the released code. Raises ValueError when a seed is not a whole number in [0, 2**64).
    """
    unit = normal(seeds, draw, shape, stream=Stream.START, dtype=dtype, device=device)
    centre, width = (torch.as_tensor(value, dtype=dtype, device=device) for value in (mean, std))
    code = centre + width * unit
    return code if low is None else torch.maximum(code, torch.as_tensor(low, dtype=dtype, device=device))


def drawn_code(
    seeds: Sequence[int],
    shape: Sequence[int],
    network: Callable[[Tensor], Tensor],
    device: torch.device | str = "cpu",
    draw: int = 0,
) -> Code:
    """network(N(0, 1)), codes `[len(seeds), *shape]` from a model of real codes; a function of chain's seed and `draw` alone."""
    return drawn_codes(seeds, shape, network, range(draw, draw + 1), device)[0]


def drawn_codes(
    seeds: Sequence[int],
    shape: Sequence[int],
    network: Callable[[Tensor], Tensor],
    draws: Sequence[int],
    device: torch.device | str = "cpu",
) -> Tensor:
    """`drawn_code` of several draws in one pass of the network: `[len(draws), len(seeds), *shape]`."""
    noise = [normal(seeds, draw, shape, stream=Stream.START, dtype=torch.float32, device=device) for draw in draws]
    with torch.no_grad():
        return network(torch.cat(noise)).unflatten(0, (len(draws), len(seeds)))


def likely_code(seeds: Sequence[int], draws: int, draw: Callable[[int], Code], log_prob: Callable[[Code], LogProb]) -> Code:
    """One of draw(0), ..., draw(draws - 1) for each chain, with probability proportional to exp(log_prob): `[chain, *code]`.

    Where draw follows p(code) and log_prob is log p(y | G(code)), that is sampling-importance-resampling of p(code | y) (Rubin
    1987): the more draws, the nearer; 1 gives p(code) itself. The choice is the largest of log_prob + Gumbel noise of (seed,
    draw), so two codes a chain are in memory at any time. A draw that is not finite is never taken over one that is. Raises
    ValueError when draws < 1.
    """
    if draws < 1:
        raise ValueError(f"a start got {draws} draws, expected at least 1: draw one code or more for each chain")
    best, highest = draw(0), torch.empty(0)
    for number in range(draws):
        code = best if number == 0 else draw(number)
        uniforms = uniform(seeds, number, (), stream=Stream.START_CHOICE, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)
        value = (log_prob(code).double().cpu() - (-uniforms.log()).log()).nan_to_num(-torch.inf, posinf=-torch.inf)
        taken = torch.ones_like(value, dtype=torch.bool) if number == 0 else value > highest
        best = torch.where(taken.to(code.device).reshape(-1, *[1] * (code.ndim - 1)), code, best)
        highest = value if number == 0 else torch.maximum(value, highest)
    return best
