"""A short search for the default settings of a new bundle: by its own encoder, never by a judge of an evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import ppgn
from ppgn.bundle import Bundle
from ppgn.evaluation import feature_diversity
from training.pictures import augment

CANDIDATES = ((6.0, 10), (3.0, 10), (1.5, 10), (10.0, 10), (3.0, 25), (1.5, 25), (6.0, 25), (3.0, 5))
"""Guidance of the start and steps of the chain, the bundle's own first."""
CLASSES, SAMPLES = 10, 40
"""Classes of a trial at most, and its samples, shared by them."""
VIEWS = 4
"""Mirrored and moved copies of a picture that the encoder's head sees."""
DIVERSITY = 0.9
"""Wanted diversity within a class, as a share of that of reconstructions."""
ACCURACY = 0.9
"""Least accuracy, as a share of that of reconstructions."""
FIRST_SEED = 100_000


def measured(bundle: Bundle, pictures: Tensor, classes: Tensor) -> dict[str, float]:
    """What the bundle's own encoder says of pictures `[picture, 3, height, width]` that should show `classes` `[picture]`.

    "accuracy": share of mirrored and moved copies whose likeliest class is right. "diversity": mean cosine distance of two
    pictures of a class, in the pooled last map of the trunk. Chains climb this encoder, so its accuracy only orders settings.
    """
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    right, pooled = [], []
    with torch.no_grad():
        for _ in range(VIEWS):
            seen = augment(pictures, True, max(1, pictures.shape[-1] // 8))
            logits = bundle.encoder.logits_from_code(bundle.encoder(seen))
            right.append((logits.argmax(1) == classes).float().mean())
        pooled = bundle.encoder.maps(pictures)[-1].mean((2, 3))
    torch.random.set_rng_state(generator_state)
    return {"accuracy": float(torch.stack(right).mean()), "diversity": feature_diversity(pooled, classes)}


def reconstructions(bundle: Bundle, pictures: Any, each: int = 20) -> tuple[Tensor, Tensor]:
    """What the generator makes of the codes of at most `each` pictures of a class, and their classes."""
    labels = pictures.__getitems__(list(range(len(pictures))))[1]
    chosen = [index for label in labels.unique() for index in (labels == label).nonzero()[:each, 0].tolist()]
    real, classes = pictures.__getitems__(chosen)
    with torch.no_grad():
        made = [bundle.generator(bundle.encoder(batch.float() / 255)) for batch in real.split(32)]
    return torch.cat(made).clamp(0, 1), classes


def search(
    bundle: Bundle, pictures: Any, seconds: float, known: Sequence[Mapping[str, Any]], keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """ "trials": as many as fit in the time, one at least; "chosen": one of them; "reconstructions": what is measured of those.

    pictures: of the validation split. known: trials of an earlier start. keep: called with each new trial.
    """
    begun, wanted = time.monotonic(), measured(bundle, *reconstructions(bundle, pictures))
    trials = [dict(trial) for trial in known]
    for guidance, steps in CANDIDATES[len(trials) :]:
        took = time.monotonic()
        trials.append(trial(bundle, guidance, steps))
        keep(trials[-1])
        now = time.monotonic()
        if now + (now - took) - begun > seconds:
            break
    return {"trials": trials, "chosen": choose(trials, wanted), "reconstructions": wanted}


def trial(bundle: Bundle, guidance: float, steps: int) -> dict[str, Any]:
    """Samples with these settings, as the encoder sees them, and the seconds that they took."""
    shown = min(CLASSES, len(bundle.classes))
    classes = [index for index in range(shown) for _ in range(SAMPLES // shown)]
    begun = time.monotonic()
    made = ppgn.sample(bundle, classes, seed=FIRST_SEED, **changes(bundle, guidance, steps))
    took = time.monotonic() - begun
    return {"guidance": guidance, "steps": steps, "seconds": round(took, 2)} | measured(
        bundle, made.images, torch.tensor(classes)
    )


def changes(bundle: Bundle, guidance: float, steps: int) -> dict[str, Any]:
    """The settings of a trial, as `ppgn.sample` takes them."""
    start = bundle.recipes["class"]["start"]
    return {"start": ppgn.starts.GuidedCodes(guidance, start["temperature"]), "steps": steps}


def choose(trials: Sequence[dict[str, Any]], wanted: Mapping[str, float]) -> dict[str, Any]:
    """The trial whose diversity is nearest to DIVERSITY of reconstructions', among those of at least ACCURACY of their accuracy;
    where none is, the most accurate."""
    right = [one for one in trials if one["accuracy"] >= ACCURACY * wanted["accuracy"]]
    if not right:
        return max(trials, key=lambda one: one["accuracy"])
    return min(right, key=lambda one: abs(one["diversity"] - DIVERSITY * wanted["diversity"]))
