"""Tensors of fixed numbers, made once, because making one waits for the device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The tensor `[value]` of these numbers, one object for every call; callers must not change it in place."""
    with torch.inference_mode(False):  # an inference tensor could not take part in a later gradient
        return torch.tensor(values, dtype=dtype, device=device)
