"""Further runs of chains that ended below the log-probability that the recipe accepts."""

from __future__ import annotations

from collections.abc import Sequence

from ppgn.errors import AllStoppedError
from ppgn.recipes import Setup
from ppgn.requests import Request
from ppgn.sampling.batches import run_batches
from ppgn.sampling.samples import OnStep, Samples
from ppgn.seeds import retry_seeds
from ppgn.types import LogProb


def retry(
    setup: Setup, request: Request, found: Samples, scores: LogProb, batch: int = 32, watch: OnStep | None = None
) -> Samples:
    """The samples, with chains below the accepted score replaced by better further runs, as the recipe's retries say.

    scores: of the samples, `[chain]`, in nats. Chains keep their seeds in `Samples`. The seeds of further runs follow from them
    (`seeds.retry_seeds`), so the end of a chain does not depend on the others. Chains that cannot run without the others run in
    the batches in which they stood, where any of them has to; the others' samples stay as they are.
    """
    values = scores.clone()
    for number in range(1, setup.recipe.retries.tries):
        wanting = (values < setup.recipe.retries.accept).nonzero()[:, 0].tolist()
        for chains in _groups(request, wanting, len(values), batch):
            seeds = retry_seeds([found.seeds[chain] for chain in chains], number)
            try:
                runs, new = run_batches(setup, request, seeds, len(chains), watch, chains=chains, scored=True)
            except AllStoppedError:  # the runs that there are stay
                continue
            assert new is not None, "scored runs have scores"
            better = [place for place, chain in enumerate(chains) if chain in wanting and new[place] > values[chain]]
            taken = [chains[place] for place in better]
            values[taken] = new[better]
            found = found.with_rows(taken, runs, better)
    return found


def _groups(request: Request, wanting: Sequence[int], count: int, batch: int) -> list[Sequence[int]]:
    """The chains of each batch: those below the accepted score, or the whole batches in which they stood."""
    if request.splits and not request.couples:
        return [wanting[first : first + batch] for first in range(0, len(wanting), batch)]
    stood = [range(first, min(first + batch, count)) for first in range(0, count, batch)]
    return [chains for chains in stood if set(chains) & set(wanting)]
