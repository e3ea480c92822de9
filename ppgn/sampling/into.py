"""Samples that are in a folder as soon as their batch is done, and runs that go on after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ppgn import acceleration, recipes
from ppgn.bundle import Bundle
from ppgn.recipes import Recipe
from ppgn.sampling.folder import SampleFolder
from ppgn.sampling.sample import described_run, origin_of, prepared, run
from ppgn.sampling.samples import OnStep, Samples


def sample_into(
    folder: str | Path,
    bundle: Bundle | str | Path,
    wanted: Any,
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int | None = None,
    watch: OnStep | None = None,
    recipe: str | Recipe | None = None,
    resume: bool = False,
    **changes: Any,
) -> Iterator[Samples]:
    """Runs chains as `sample` does and yields each batch once its pictures and samples.json are in the folder (`SampleFolder`).

    resume: pictures that an earlier run with the same arguments left there are kept, and the chains behind them run; yields what
    is new. Memory holds one batch at a time, and a row for each picture, of which there may be about a million
    (`errors.check_chains`). Other arguments as `sample`. Raises ValueError as `sample` and `SampleFolder` do.
    """
    setup, request, seeds, size = prepared(bundle, wanted, count, seed, batch, recipe, changes)
    origin = origin_of(setup, request)
    about = described_run(setup, request, origin)
    with SampleFolder.opened(folder) as place:
        first = place.resume(about, request.names, seeds) if resume else 0
        if first and batch is None:
            size = place.batch or size  # so that samples.json says for all of them how they ran
        alone = setup.recipe.precision == recipes.REPRODUCIBLE  # any number at once is the same, and less is lost by a kill
        together = len(request) if request.couples else max(1, min(size, acceleration.FEW) if alone else size)
        for begin in range(first, len(request), together):
            chains = range(begin, min(begin + together, len(request)))
            part = run(setup, request.select(chains), seeds[chains.start : chains.stop], size, watch)
            part = replace(part, origin=origin)
            place.add(part)
            yield part
        place.finish()
