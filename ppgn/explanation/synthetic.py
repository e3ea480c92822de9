"""Synthetic pictures: facets under the bundle's learned prior, pictures of other bundles, and pixels with a hand-made prior."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from ppgn import images, loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.explanation.study import Part, Study, Tick
from ppgn.explanation.target import Target
from ppgn.facets import FEWEST, Facets, facets
from ppgn.recipes import PIONEERS, Recipe
from ppgn.sampling import Begin, run_batches, seeds_of
from ppgn.types import Code, Evaluation, Image

A_FACET = 8
"""Pictures of each facet at least, where there are as many."""
VIEWS: dict[str, Any] = {
    "view": "random", "view_count": 1, "view_frame": 0, "view_smallest": 0.85, "view_largest": 1.15,
    "view_rotation": 5.0, "view_wander": 0.0, "view_noise": 0.0,
}  # fmt: skip
"""Of conditions, as Olah et al. 2017 ("Feature visualization", transformation robustness): what holds for one view alone is no
feature. Chosen by fourteen units of block15 of Lite0 drawn with seed 2, and SqueezeNet 1.0's responses: of the three whose match
correlates above 0.35, none passed the 95th percentile without views (4 chains each), two with these, one with wider ones."""
JITTER = 1 / 16
"""Of these views, as a share of the picture's side."""
LEARNED, HAND_MADE, CONTROL = "learned prior", "hand-made prior", "control"


def passes(study: Study) -> int:
    """Passes of a picture through a network that the part takes."""
    options = study.options
    learned = options.facets * options.facet_steps * (options.per_facet * (1 + len(study.bundles)) + 1)
    return 3 * (learned + (options.method_steps if options.method else 0))


def synthetic(study: Study, tick: Tick) -> Part:
    """The target's pictures under each prior, with their responses, as multiples of the best real picture's.

    The control are pictures for a random direction of equal norm (`Target.control`), from the same recipe of the same bundle.
    """
    best = float(study.known.max()) if len(study.known) else 0.0
    sources, shown = [], {}
    for source in _sources(study, tick):
        rows, file = [], source["file"]
        file += f"_{len(sources)}" if f"{file}_0" in shown else ""  # two bundles may have one name
        for number, (image, response) in enumerate(zip(source["images"], source["responses"].tolist(), strict=True)):
            name = f"{file}_{number}"
            shown[name] = images.to_pil(image)
            row = {"response": response, "multiple": response / best if best > 0 else None, "picture": name}
            rows.append(row | source["facets"][number] | {"nearest": _nearest(study, image, name, shown)})
        multiples = [row["multiple"] for row in rows if row["multiple"] is not None]
        mean = sum(multiples) / len(multiples) if multiples else None
        sources.append({"name": source["name"], "kind": source["kind"], "images": rows, "mean_multiple": mean})
    return Part({"best_real": best, "sources": sources}, shown)


def _sources(study: Study, tick: Tick) -> list[dict[str, Any]]:
    options = study.options
    found = [_of_bundle(study, study.bundle, tick, _facets(study))]
    found += [_of_bundle(study, bundle, tick, None) for bundle in study.bundles]
    if (control := study.target.control(options.seed)) is not None:
        recipe = _recipe(study, study.bundle)
        count = options.facets
        image = _run(study, study.bundle, recipe, count, None, tick, control)
        found.append(_made(study, "random direction", CONTROL, image, [{"facet": None, "pictures": None}] * count))
    if options.method:
        height, width = study.bundle.image.size
        pixels = loaders.bundle(f"pixels:{height}x{width}x{study.bundle.image.channels}", study.bundle.device)
        recipe = Recipe().changed(**{**PIONEERS[options.method], "steps": options.method_steps})
        image = _run(study, pixels, recipe, 1, None, tick)
        found.append(_made(study, options.method, HAND_MADE, image, [{"facet": None, "pictures": None}] * len(image)))
    return found


def _of_bundle(study: Study, bundle: Bundle, tick: Tick, clusters: Facets | None) -> dict[str, Any]:
    """Pictures under the prior of a bundle, from the facets of the real pictures' codes, or else from its recipe's start."""
    options = study.options
    recipe = _recipe(study, bundle)
    starts = None if clusters is None else _starts(study, clusters)
    count = options.facets * options.per_facet if starts is None else len(starts)
    image = _run(study, bundle, recipe, count, starts, tick)
    about: list[dict[str, Any]] = [{"facet": None, "pictures": None}] * count
    if clusters is not None:
        sizes = clusters.facet.bincount().tolist()
        about = [{"facet": facet, "pictures": sizes[facet]} for facet in range(len(sizes)) for _ in range(options.per_facet)]
    return _made(study, bundle.name, LEARNED, image, about)


def _recipe(study: Study, bundle: Bundle) -> Recipe:
    """The bundle's recipe for plugged networks, whose conditions see another view of the picture at every step (VIEWS)."""
    jitter = round(JITTER * min(bundle.image.size))
    return recipes.recipe_for(bundle, "plugged", steps=study.options.facet_steps, view_jitter=jitter, **VIEWS)


def _made(study: Study, name: str, kind: str, image: Image, about: Sequence[dict[str, Any]]) -> dict[str, Any]:
    image = (image * 255).round() / 255  # as in the files, so that whoever measures them finds the same
    file = re.sub(r"[^0-9A-Za-z]+", "_", name)
    return {"name": name, "file": file, "kind": kind, "images": image.cpu(), "responses": study.target.measured(image),
            "facets": about}  # fmt: skip


def _run(
    study: Study, bundle: Bundle, recipe: Recipe, count: int, starts: Code | None, tick: Tick, target: Target | None = None
) -> Image:
    """The last pictures of `count` chains for a target, by default the study's, in [0, 1]."""
    target = target or study.target
    request = target.request.select([0] * count)
    if bundle is not study.bundle and getattr(request, "network", None) is None:
        request = requests.function(target.response, count)  # another bundle has no such classes, or others
    setup = recipes.prepare(bundle, recipe, request)
    begin = Begin() if starts is None else Begin(lambda chains, seeds: starts[list(chains)].to(bundle.device))

    def watch(step: int, evaluation: Evaluation) -> None:
        tick(3 * len(evaluation.image))

    at_once = recipes.batch_size(setup, request, count)
    samples, _ = run_batches(setup, request, seeds_of(study.options.seed, count), at_once, watch, begin)
    return samples.images.clamp(0, 1)


def _facets(study: Study) -> Facets | None:
    """The facets of the most exciting real pictures, by their codes; None without codes or with too few
    different pictures."""
    wanted, codes = study.options.facets, study.codes
    if codes is None or not len(study.known):
        return None
    most = min(len(codes), max(round(study.options.facet_share * len(codes)), wanted * A_FACET, FEWEST))
    if most < max(wanted, FEWEST):
        return None
    last = study.responses.where(study.responses.isfinite(), study.known.min() - 1)
    chosen = codes.flatten(1)[last.argsort(descending=True, stable=True)[:most]]
    if len(chosen.unique(dim=0)) < max(wanted, FEWEST):
        return None
    return facets(last, codes.flatten(1), codes, clusters=wanted, most=most, seed=study.options.seed)


def _starts(study: Study, clusters: Facets) -> Code:
    """`per_facet` codes of each facet: the mean at its centre, then those of the pictures nearest to the centre."""
    assert study.codes is not None
    found = []
    for mean, near in zip(clusters.starts, clusters.nearest, strict=True):
        single = [int(near[number % len(near)]) for number in range(study.options.per_facet - 1)]
        found += [mean, *study.codes[single]]
    return torch.stack(found)


def _nearest(study: Study, image: Image, name: str, shown: dict[str, Any]) -> dict[str, Any] | None:
    """The real picture whose features are nearest to those of a picture `[channel, height, width]`, by 1 - cosine."""
    if study.features is None or tuple(image.shape) != study.pictures.shape:
        return None
    distance = study.distances(image[None])[0]
    place = int(distance.argmin())
    shown[f"{name}_nearest"] = images.to_pil(study.pictures.images([place])[0])
    return {"file": study.pictures.files[place], "distance": float(distance[place]), "picture": f"{name}_nearest"}
