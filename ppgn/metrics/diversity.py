"""How varied the pictures of one class are."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

PAIRS = 45
"""Random pairs of each class, as many as ten pictures have."""
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales, finest first (Wang et al. 2003, "Multiscale structural similarity", section 3.2)."""
COARSEST = 16
"""Pixels; the window of 11 needs them. A picture of 64 pixels has three scales."""
LPIPS_LEAST = 64
"""Pixels; smaller pictures are enlarged for LPIPS, whose networks pool them away."""


def feature_diversity(features: Tensor, classes: Tensor) -> float:
    """Mean over classes of the mean cosine distance 1 - cos of two different pictures of the class, features
    `[picture, feature]`; NaN where no class has two pictures."""
    unit, found = nn.functional.normalize(features.double(), dim=1), []
    for index in classes.unique():
        own = unit[classes == index]
        if len(own) > 1:
            cosine = own @ own.T
            found.append(float(1 - (cosine.sum() - cosine.trace()) / (len(own) * (len(own) - 1))))
    return sum(found) / len(found) if found else math.nan


def structure_diversity(pictures: Tensor, classes: Tensor, pairs: int = PAIRS, seed: int = 0) -> float:
    """Mean over classes of 1 - MS-SSIM of random pairs of different pictures `[picture, channel, height, width]` in [0, 1].

    MS-SSIM (Wang et al. 2003, Eq. 7) has five scales from 256 pixels on; below, as many as leave the coarsest 16 pixels, their
    weights scaled to a sum of 1 (so figures of different sizes do not compare). NaN where no class has two pictures.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as similarity

    side = min(pictures.shape[-2:])
    scales = min(len(BETAS), max(1, int(math.log2(max(1, side / COARSEST))) + 1))
    betas = tuple(beta / sum(BETAS[:scales]) for beta in BETAS[:scales])
    sigma, window = (1.5, 11) if side >= COARSEST else (0.5, 3)

    def unlike(one: Tensor, other: Tensor) -> Tensor:
        same = similarity(
            one, other, sigma=sigma, kernel_size=window, reduction="none", data_range=1.0, betas=betas, normalize="relu"
        )
        return 1 - torch.as_tensor(same)

    return _over_pairs(pictures, classes, unlike, pairs, seed)


def perceptual_diversity(pictures: Tensor, classes: Tensor, net: str, pairs: int = PAIRS, seed: int = 0) -> float:
    """Mean over classes of LPIPS (Zhang et al. 2018, Eq. 1) of random pairs of pictures in [0, 1]; NaN where there are none.

    net: "alex", "vgg" or "squeeze". Pictures below 64 pixels are enlarged. Raises ValueError where torchvision's weights
    of that network are not on this machine: nothing is downloaded.
    """
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as perceptual

    from ppgn.images import resize

    check_lpips(net)

    def unlike(one: Tensor, other: Tensor) -> Tensor:
        shown = [resize(part, max(LPIPS_LEAST, min(part.shape[-2:]))).expand(-1, 3, -1, -1) for part in (one, other)]
        with torch.no_grad():
            return perceptual(*shown, net_type=net, reduction="none", normalize=True).reshape(-1)  # pyright: ignore[reportArgumentType]

    return _over_pairs(pictures.clamp(0, 1), classes, unlike, pairs, seed)


def check_lpips(net: str) -> None:
    """Raises ValueError where the weights that LPIPS needs are not in torch's cache."""
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
    pictures: Tensor, classes: Tensor, unlike: Callable[[Tensor, Tensor], Tensor], pairs: int, seed: int, batch: int = 64
) -> float:
    """Mean over classes of the mean of unlike(one `[pair, ...]`, other) `[pair]` over random pairs of the class."""
    draw, found = torch.Generator().manual_seed(seed), []
    for index in classes.unique():
        own = pictures[classes == index]
        if len(own) > 1:
            every = torch.combinations(torch.arange(len(own)))
            drawn = every[torch.randperm(len(every), generator=draw)[:pairs]]
            values = [unlike(own[part[:, 0]], own[part[:, 1]]) for part in drawn.split(batch)]
            found.append(float(torch.cat(values).mean()))
    return sum(found) / len(found) if found else math.nan
