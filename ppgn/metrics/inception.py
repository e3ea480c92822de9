"""torchmetrics' own Inception, where torch-fidelity and its weights are on this machine; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn.types import Image

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"


def inception_network() -> Any:
    """Inception V3 as in FID's original code: bytes `[picture, 3, height, width]` -> features `[picture, 2048]`.

    Raises ValueError saying what is missing.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    if find_spec("torch_fidelity") is None:
        raise ValueError("Inception needs the library torch-fidelity, which is not here: pip install torch-fidelity")
    file = Path(torch.hub.get_dir()) / "checkpoints" / URL.rpartition("/")[2]
    if not file.is_file():
        raise ValueError(f"Inception needs its weights, which are not on this machine: download {URL} to {file}")
    return FrechetInceptionDistance(2048).inception  # finds the file there


@torch.no_grad()
def inception_features(network: Any, batches: Iterable[Image]) -> Tensor:
    """Features `[picture, 2048]` of pictures in [0, 1]; grey ones are shown three times."""
    return torch.cat([network((batch.clamp(0, 1) * 255).round().byte().expand(-1, 3, -1, -1)).cpu() for batch in batches])
