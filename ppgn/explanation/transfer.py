"""Does another network see it too? The second network's unit that goes with the target over real pictures, and its responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ppgn.explanation.study import Part, Study, Tick
from ppgn.explanation.sweep import KEPT_EVERY
from ppgn.seeds import Stream, generator
from ppgn.types import Image

PERCENT = 95
"""Of the real pictures, whose responses the synthetic set's mean is to exceed."""
DRAWS = 2000
"""Resamplings of a bootstrap."""
FEWEST = 20
"""Real pictures, of which half choose the unit and half show its correlation."""


def passes(study: Study) -> int:
    """Passes of a picture through a network that the part takes, about."""
    options = study.options
    return 2 * options.facets * options.per_facet + 2 * options.chains * (options.steps // 2 // KEPT_EVERY)


def transferred(study: Study, sets: Mapping[str, Image], tick: Tick) -> Part:
    """The second network's best-matching unit, and its response to sets of pictures, beside the real pictures' 95th percentile.

    The unit is the channel, of all of the second network's layers, whose mean over positions has the highest correlation with the
    responses over every second real picture; the correlation that is reported is that over the others. sets: name -> `[chain,
    picture, channel, height, width]`, "synthetic" the one that the verdict is about. The intervals of means are bootstrapped over
    chains, since pictures of a chain are alike.
    """
    if study.second is None:
        return Part({"left_out": "No second network was named, and the bundle has none that took no part."})
    if len(study.known) < FEWEST:
        return Part({"left_out": f"{len(study.known)} real pictures are too few: {FEWEST} or more find a matching unit."})
    layer, unit, candidates = _best(study)
    real = study.vectors[layer][study.responses.isfinite(), unit]
    threshold = float(np.percentile(real[1::2].numpy(), PERCENT))
    data: dict[str, Any] = {
        "network": study.second.name, "layer": layer, "unit": unit, "candidates": candidates, "threshold": threshold,
        "correlation": float(_correlations(study.known[1::2], real[1::2, None])[0]), "sets": {},
    }  # fmt: skip
    for name, pictures in sets.items():
        values = study.second.vectors(pictures.flatten(0, 1).to(study.bundle.device))[layer][:, unit].cpu()
        tick(len(values))
        data["sets"][name] = _summary(values.unflatten(0, pictures.shape[:2]), threshold, study.options.seed)
    data["verdict"] = None if "synthetic" not in data["sets"] else data["sets"]["synthetic"]["mean"] > threshold
    return Part(data)


def _best(study: Study) -> tuple[str, int, int]:
    """(layer, unit, number of units looked at) of the highest correlation over every second real picture."""
    finite, responses = study.responses.isfinite(), study.known[::2]
    found = {layer: _correlations(responses, vectors[finite][::2]).nan_to_num(-1.0) for layer, vectors in study.vectors.items()}
    layer = max(found, key=lambda name: float(found[name].max()))
    return layer, int(found[layer].argmax()), sum(len(one) for one in found.values())


def _correlations(responses: Tensor, vectors: Tensor) -> Tensor:
    """Pearson's correlation of responses `[picture]` with each column of vectors `[picture, unit]`; NaN where one is constant."""
    one, other = (values.double() - values.double().mean(0) for values in (responses[:, None], vectors))
    return ((one * other).sum(0) / (one.norm(dim=0) * other.norm(dim=0))).float()


def _summary(values: Tensor, threshold: float, seed: int) -> dict[str, Any]:
    """Mean of responses `[chain, picture]`, its 95 % interval by resampling chains, and the share above the threshold."""
    means = values.double().mean(1).numpy()
    random = generator(seed, 1, Stream.CONTROL)
    drawn = means[random.integers(0, len(means), (DRAWS, len(means)))].mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    above = float((values > threshold).float().mean())
    return {"mean": float(means.mean()), "low": float(low), "high": float(high), "count": values.numel(), "share_above": above}
