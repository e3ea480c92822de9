"""Does another network see it too? The second network's unit that goes with the target over real pictures, and its responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.explanation.study import Part, Study, Tick, mean_interval
from ppgn.explanation.sweep import KEPT_EVERY, first_step
from ppgn.seeds import Stream, generator
from ppgn.types import Image

PERCENT = 95
"""Of the real pictures, whose responses the synthetic set's mean is to exceed."""
FEWEST = 20
"""Real pictures, of which half choose the unit and half show its correlation."""


def passes(study: Study) -> int:
    """Passes of a picture through a network that the part takes, about."""
    options = study.options
    return 2 * options.facets * options.per_facet + 2 * options.chains * -(
        -(options.steps - first_step(options.steps)) // KEPT_EVERY
    )


def transferred(study: Study, sets: Mapping[str, Image], tick: Tick) -> Part:
    """The second network's best-matching unit, and its response to sets of pictures, beside the real pictures' 95th percentile.

    The unit is the channel, of all of the second network's layers, whose mean over positions has the highest correlation with the
    responses over a random half of the real pictures; the correlation and the percentile are those of the other half. sets: name
    -> `[group, picture, channel, height, width]`, "synthetic" the one that the verdict is about: whether its mean lies above the
    percentile. Beside them stands "real", the real pictures of the other half that excite the target most: what they do not
    reach, no set of pictures is likely to. A group is a facet or a chain, whose pictures are alike; intervals count groups.
    """
    if study.second is None:
        return Part({"left_out": "No second network was named, and the bundle has none that took no part."})
    if len(study.known) < FEWEST:
        return Part({"left_out": f"{len(study.known)} real pictures are too few: {FEWEST} or more find a matching unit."})
    chosen, others = _halves(study)
    layer, unit, candidates = _best(study, chosen)
    real = study.vectors[layer][others, unit]
    threshold = float(np.percentile(real.numpy(), PERCENT))
    data: dict[str, Any] = {
        "network": study.second.name, "layer": layer, "unit": unit, "candidates": candidates, "threshold": threshold,
        "correlation": float(_correlations(study.responses[others], real[:, None])[0]), "sets": {},
    }  # fmt: skip
    top = others[study.responses[others].argsort(descending=True)[: study.options.top]]
    data["sets"]["real"] = _summary(study.vectors[layer][top, unit][:, None], threshold)
    for name, pictures in sets.items():
        values = study.second.vectors(pictures.flatten(0, 1).to(study.bundle.device))[layer][:, unit].cpu()
        tick(len(values))
        data["sets"][name] = _summary(values.unflatten(0, pictures.shape[:2]), threshold)
    data["verdict"] = None if "synthetic" not in data["sets"] else data["sets"]["synthetic"]["mean"] > threshold
    return Part(data)


def _halves(study: Study) -> tuple[Tensor, Tensor]:
    """Two random halves of the real pictures whose response is finite."""
    known = study.responses.isfinite().nonzero()[:, 0]
    order = torch.from_numpy(generator(study.options.seed, 3, Stream.CONTROL).permutation(len(known)))
    return known[order[::2]], known[order[1::2]]


def _best(study: Study, chosen: Tensor) -> tuple[str, int, int]:
    """(layer, unit, number of units looked at) of the highest correlation over the chosen real pictures."""
    responses = study.responses[chosen]
    found = {layer: _correlations(responses, vectors[chosen]).nan_to_num(-1.0) for layer, vectors in study.vectors.items()}
    layer = max(found, key=lambda name: float(found[name].max()))
    return layer, int(found[layer].argmax()), sum(len(one) for one in found.values())


def _correlations(responses: Tensor, vectors: Tensor) -> Tensor:
    """Pearson's correlation of responses `[picture]` with each column of vectors `[picture, unit]`; NaN where one is constant."""
    one, other = (values.double() - values.double().mean(0) for values in (responses[:, None], vectors))
    return ((one * other).sum(0) / (one.norm(dim=0) * other.norm(dim=0))).float()


def _summary(values: Tensor, threshold: float) -> dict[str, Any]:
    """Mean of responses `[group, picture]`, its 95 % interval by the groups' means, and the share above the threshold."""
    means = values.double().mean(1)
    above = float((values > threshold).float().mean())
    return {**mean_interval(means, len(means)), "count": values.numel(), "groups": len(means), "share_above": above}
