"""Fits the mixture of Gaussians of natural patches that the prior `patches` knows (Zoran & Weiss 2011).

    python scripts/fit_patches.py imagenette128/train miniplaces128/train --out ppgn/priors/patches.safetensors

Patches of 8 by 8 pixels in colour, at random places, each without its mean. Of each component's covariance the strongest
directions are kept, with the mean of the other eigenvalues in all directions. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.mixture import GaussianMixture
from torch import Tensor

from ppgn import images
from ppgn.progress import bar

SIDE = 8
NOISE = 1 / 255 / 12**0.5
"""Standard deviation of pixels rounded to 8 bits, below which no variance is believed."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", nargs="+", type=Path, help="folders of pictures")
    options.add_argument("--size", type=int, default=128, help="of the square pictures (default: %(default)s)")
    options.add_argument("--most", type=int, default=600, help="pictures read of each folder (default: %(default)s)")
    options.add_argument("--patches", type=int, default=13, help="of each picture (default: %(default)s)")
    options.add_argument("--components", type=int, default=32, help="(default: %(default)s)")
    options.add_argument("--rank", type=int, default=20, help="directions kept of a component (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=8, help="of EM at most (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("patches.safetensors"))
    given = options.parse_args()
    patches = torch.cat([patches_of(folder, given) for folder in given.folders])
    mixture = GaussianMixture(
        given.components, max_iter=given.rounds, reg_covar=NOISE**2, random_state=given.seed, verbose=2,
        verbose_interval=1,
    )  # fmt: skip
    mixture.fit(patches.numpy())
    tensors = {name: value.half().contiguous() for name, value in compact(mixture, given.rank).items()}
    about = {"patches": str(len(patches)), "mean log density": f"{mixture.score(patches[:5000].numpy()):.2f}"}
    images.write_atomically(given.out, lambda path: save_file(tensors, path, about))
    print(f"wrote {given.out}: {given.components} components of {len(patches)} patches, {given.out.stat().st_size} bytes")


def patches_of(folder: Path, given: argparse.Namespace) -> Tensor:
    """Patches `[patch, 3 * SIDE * SIDE]` of the folder's pictures, without their means."""
    files = images.pictures_in(folder, "to take patches of")
    chosen, random, found = images.spread(len(files), given.most), np.random.default_rng(given.seed), []
    for index in bar("reading", chosen):
        picture = images.load_image(files[index], given.size)
        for top, left in random.integers(0, given.size - SIDE + 1, (given.patches, 2)):
            found.append(picture[:, top : top + SIDE, left : left + SIDE].flatten())
    patches = torch.stack(found)
    return patches - patches.mean(1, keepdim=True)


def compact(mixture: GaussianMixture, rank: int) -> dict[str, Tensor]:
    """{"factor": F `[component, pixel, rank]`, "rest": r `[component]`, "weight": `[component]`}, covariances F F^T + r^2 I.

    A component's mean is part of its second moment, as patches come with either sign (the mixture of Zoran & Weiss has no means).
    """
    means, covariances = torch.from_numpy(mixture.means_), torch.from_numpy(mixture.covariances_)
    values, vectors = torch.linalg.eigh(covariances + means[:, :, None] * means[:, None])
    kept, others = values[:, -rank:], values[:, :-rank]
    rest = others.clamp(min=0).mean(1)
    factor = vectors[:, :, -rank:] * (kept - rest[:, None]).clamp(min=0).sqrt()[:, None]
    return {"factor": factor, "rest": rest.sqrt(), "weight": torch.from_numpy(mixture.weights_)}


if __name__ == "__main__":
    main()
