"""torchmetrics' Inception, where torch-fidelity and its weights are on this machine; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn.errors import required
from ppgn.types import Image

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"


def inception_network() -> Any:
    """The Inception V3 of FID's original code: bytes `[picture, 3, height, width]` -> features `[picture, 2048]`.

    Raises ValueError where torch-fidelity or the weights are not on this machine.
    """
    required("torch_fidelity", "Inception needs torch-fidelity", "torch-fidelity")
    file = Path(torch.hub.get_dir()) / "checkpoints" / URL.rpartition("/")[2]
    if not file.is_file():
        raise ValueError(f"Inception needs its weights, which are not on this machine: download {URL} to {file}")
    from torchmetrics.image.fid import FrechetInceptionDistance

    return FrechetInceptionDistance(2048).inception  # torch-fidelity reads the file that was checked above


@torch.no_grad()
def inception_features(network: Any, batches: Iterable[Image]) -> Tensor:
    """Features `[picture, 2048]` of pictures in [0, 1]; a grey channel is repeated three times."""
    return torch.cat([network((batch.clamp(0, 1) * 255).round().byte().expand(-1, 3, -1, -1)).cpu() for batch in batches])
