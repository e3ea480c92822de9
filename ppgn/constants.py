"""Tensors of fixed numbers, made once: making one waits for the device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The 1-d tensor of these numbers, the same one whenever it is asked for; not to be changed in place."""
    with torch.inference_mode(False):  # to be used under any mode later
        return torch.tensor(values, dtype=dtype, device=device)
