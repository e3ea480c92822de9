"""Diversity: how different the pictures of a class are from one another."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

PAIRS = 45
"""Random pairs of each class: as many pairs as ten pictures have."""
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales of MS-SSIM, finest first (Wang et al. 2003, "Multiscale structural similarity", section 3.2)."""
COARSEST = 16
"""Least side of the coarsest scale, in pixels: the window of 11 pixels needs it. A picture of 64 pixels has three scales."""
LPIPS_LEAST = 64
"""Least side for LPIPS, in pixels: its networks pool smaller pictures away, so smaller ones are enlarged."""


def feature_diversity(features: Tensor, classes: Tensor) -> float:
    """Mean over classes of the mean cosine distance 1 - cos between two different pictures of the class.

    features `[picture, feature]`, classes `[picture]`. NaN where no class has two pictures.
    """
    unit, means = nn.functional.normalize(features.double(), dim=1), []
    for index in classes.unique():
        members = unit[classes == index]
        count = len(members)
        if count > 1:
            cosine = members @ members.T
            means.append(float(1 - (cosine.sum() - cosine.trace()) / (count * (count - 1))))
    return sum(means) / len(means) if means else math.nan


def structure_diversity(pictures: Tensor, classes: Tensor, pairs: int = PAIRS, seed: int = 0) -> float:
    """Mean over classes of 1 - MS-SSIM of random pairs of different pictures of the class.

    pictures `[picture, channel, height, width]` in [0, 1], classes `[picture]`. MS-SSIM (Wang et al. 2003, Eq. 7) has five scales
    from 256 pixels on. Smaller pictures have the scales whose coarsest side is at least 16 pixels, with weights rescaled to a sum
    of 1, so only pictures of equal size compare. NaN where no class has two pictures.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as similarity

    side = min(pictures.shape[-2:])
    scales = min(len(BETAS), max(1, int(math.log2(max(1, side / COARSEST))) + 1))
    betas = tuple(beta / sum(BETAS[:scales]) for beta in BETAS[:scales])
    sigma, window = (1.5, 11) if side >= COARSEST else (0.5, 3)

    def distance(one: Tensor, other: Tensor) -> Tensor:
        similar = similarity(
            one, other, sigma=sigma, kernel_size=window, reduction="none", data_range=1.0, betas=betas, normalize="relu"
        )
        return 1 - torch.as_tensor(similar)

    return _over_pairs(pictures, classes, distance, pairs, seed)


def perceptual_diversity(pictures: Tensor, classes: Tensor, net: str, pairs: int = PAIRS, seed: int = 0) -> float:
    """Mean over classes of LPIPS (Zhang et al. 2018, Eq. 1) of random pairs of different pictures of the class.

    pictures `[picture, channel, height, width]` in [0, 1]; those below 64 pixels are enlarged. net: "alex", "vgg" or "squeeze".
    NaN where no class has two pictures. Raises ValueError where torchvision's weights of that network are not on this machine:
    nothing is downloaded.
    """
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as perceptual

    from ppgn.images import resize

    check_lpips(net)
    height, width = pictures.shape[-2:]
    factor = max(1.0, LPIPS_LEAST / min(height, width))
    size = (round(height * factor), round(width * factor))

    def distance(one: Tensor, other: Tensor) -> Tensor:
        shown = [resize(part, size).expand(-1, 3, -1, -1) for part in (one, other)]
        with torch.no_grad():
            return perceptual(*shown, net_type=net, reduction="none", normalize=True).reshape(-1)  # pyright: ignore[reportArgumentType]

    return _over_pairs(pictures.clamp(0, 1), classes, distance, pairs, seed)


def check_lpips(net: str) -> None:
    """Raises ValueError for a network that LPIPS does not have, and where its weights are not in torch's cache."""
    from pathlib import Path

    from torchvision import models

    names = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
    if net not in names:
        raise ValueError(f"LPIPS got the network {net!r}, expected one of {', '.join(names)}: choose one")
    url = models.get_model_weights(names[net])["IMAGENET1K_V1"].value.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not file.is_file():
        raise ValueError(f"LPIPS needs the weights of {names[net]}, which are not on this machine: download {url} to {file}")


def _over_pairs(
    pictures: Tensor, classes: Tensor, distance: Callable[[Tensor, Tensor], Tensor], pairs: int, seed: int, batch: int = 64
) -> float:
    """Mean over classes of the mean of distance(one `[pair, ...]`, other) `[pair]` over random pairs of the class."""
    draw, means = torch.Generator().manual_seed(seed), []
    for index in classes.unique():
        members = pictures[classes == index]
        if len(members) > 1:
            every = torch.combinations(torch.arange(len(members)))
            drawn = every[torch.randperm(len(every), generator=draw)[:pairs]]
            values = [distance(members[part[:, 0]], members[part[:, 1]]) for part in drawn.split(batch)]
            means.append(float(torch.cat(values).mean()))
    return sum(means) / len(means) if means else math.nan
