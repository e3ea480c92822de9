"""Samples of a bundle: chains for a class or any other request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppgn import loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.recipes import Recipe, Setup
from ppgn.requests import Request
from ppgn.sampling.batches import run_batches
from ppgn.sampling.retries import retry
from ppgn.sampling.samples import OnStep, Samples, seeds_of


def sample(
    bundle: Bundle | str | Path,
    wanted: Any,
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int | None = None,
    watch: OnStep | None = None,
    recipe: str | Recipe | None = None,
    **changes: Any,
) -> Samples:
    """Runs `count` chains and returns their last images.

    bundle: or the name or folder of one, which is loaded (on the CPU). wanted: a class by name or number, one class of each of
    several groups ("type:Handbags & colour:Red"), a list with a class per chain, a request (`ppgn.requests`, `ppgn.unit`), or any
    function image -> log-probability per chain.
    count: 16, or as many as are listed. seed: the first chain's, the next ones count up; or one per chain.
    batch: chains that run at once, by default 16 (64 on an accelerator), or fewer where memory is short.
    watch: called as watch(step, evaluation) after each step. recipe: a name in `recipes.PAPERS`, or a whole Recipe.
    changes: settings by name, e.g. steps=100, sampler=ppgn.samplers.Langevin(0.15, 50), prior_scale=0.1. Raises ValueError for
    what does not fit, naming what there is.
    """
    return run(*prepared(bundle, wanted, count, seed, batch, recipe, changes), watch)


def prepared(
    bundle: Bundle | str | Path,
    wanted: Any,
    count: int | None,
    seed: int | Sequence[int],
    batch: int | None,
    recipe: str | Recipe | None,
    changes: Mapping[str, Any],
) -> tuple[Setup, Request, list[int], int]:
    """(setup, request, a seed per chain, chains at once) of the arguments of `sample`."""
    bundle = loaders.bundle(bundle)
    request = requests.of(bundle, wanted, count)
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, request.kind, recipe, **changes), request)
    seeds = seeds_of(seed, len(request))
    return setup, request, seeds, recipes.batch_size(setup, request, len(request)) if batch is None else batch


def origin_of(setup: Setup, request: Request) -> dict[str, Any]:
    """What else makes the pictures that names do not say: `Samples.origin`.

    Of the request counts one chain, so that a run of more chains has the same origin; taken before the run, as a condition may
    keep what it computes.
    """
    asked = [requests.fingerprint(one, weights=True) for one in (request.select([0]), setup.recipe)]
    return {"weights": requests.weights_of(setup.bundle), "source": asked}


def described_run(setup: Setup, request: Request, origin: Mapping[str, Any]) -> dict[str, Any]:
    """What samples.json says of a run beside its samples, by which another run knows it again (`SampleFolder.resume`)."""
    return {"bundle": setup.bundle.name, "condition": request.describe(), "recipe": setup.recipe.to_json(), **origin}


def run(setup: Setup, request: Request, seeds: Sequence[int], batch: int, watch: OnStep | None) -> Samples:
    """The samples of a prepared request, with the further runs that its recipe allows."""
    found, scores = run_batches(setup, request, seeds, batch, watch, scored=setup.recipe.retries.tries > 1)
    return found if scores is None else retry(setup, request, found, scores, batch, watch)
