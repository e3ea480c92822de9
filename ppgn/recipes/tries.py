"""Chains that did not end with what was asked for begin anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ppgn.bundle import Bundle
from ppgn.finite import AllStoppedError
from ppgn.recipes.classes import Target, of_chains
from ppgn.recipes.collected import Samples, Watch, collect
from ppgn.recipes.runs import run
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import objective_for
from ppgn.seeds import again
from ppgn.types import Condition, Evaluation, LogProb

Asked = Condition | Sequence[Target]


def tried_again(bundle: Bundle, asked: Asked, found: Samples, batch: int = 32, watch: Watch | None = None) -> Samples:
    """The samples with the chains run anew that are not yet what was asked for, as `tries` and `accept` of their settings say.

    Chains keep their seeds in `Samples`; those of further runs follow from them (`seeds.again`), so how a chain ends does not
    depend on the others. A condition with a request of its own for each chain says by `of(chains)` what it is for some of them
    (`Caption` does); of any other function all chains of a batch run where one has to, and the others are left as they are.
    """
    settings, values = found.settings, likelihood(bundle, asked, found.images, found.settings, batch)
    for number in range(1, settings.tries):
        wanting = (values < settings.accept).nonzero()[:, 0].tolist()
        for chains in _groups(asked, wanting, len(values), batch):
            wanted = of_chains(asked, chains)

            def batch_of(_: slice, seeds: Sequence[int], wanted: Asked = wanted) -> Iterator[Evaluation]:
                return run(bundle, wanted, seeds, settings)

            try:
                runs = collect(batch_of, again([found.seeds[chain] for chain in chains], number), len(chains), settings, watch)
            except AllStoppedError:  # the runs that there are stay
                continue
            new = likelihood(bundle, wanted, runs.images, settings, batch)
            better = [place for place, chain in enumerate(chains) if chain in wanting and new[place] > values[chain]]
            taken = [chains[place] for place in better]
            values[taken] = new[better]
            found = _replaced(found, taken, runs, better)
    return found


def likelihood(bundle: Bundle, asked: Asked, pictures: Tensor, settings: Settings, batch: int = 32) -> LogProb:
    """log p(y | image) of pictures `[chain, channel, height, width]` by what was asked for, at temperature 1: `[chain]`, nats;
    -inf where it is not a number."""
    plain, found = dataclasses.replace(settings, temperature=1.0), []
    for first in range(0, len(pictures), batch):
        chains = range(first, min(first + batch, len(pictures)))
        terms = objective_for(bundle, of_chains(asked, chains), plain).terms
        with torch.no_grad():
            found.append(sum(term.weight * term.condition(pictures[first : first + batch]) for term in terms))
    return torch.cat(found).nan_to_num(-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _groups(asked: Any, wanting: Sequence[int], count: int, batch: int) -> list[Sequence[int]]:
    """Chains that run at once: those that want it, or the whole batches in which they stood."""
    if not callable(asked) or hasattr(asked, "of"):
        return [wanting[first : first + batch] for first in range(0, len(wanting), batch)]
    stood = [range(first, min(first + batch, count)) for first in range(0, count, batch)]
    return [chains for chains in stood if set(chains) & set(wanting)]


def _replaced(found: Samples, taken: Sequence[int], runs: Samples, places: Sequence[int]) -> Samples:
    """The samples with runs[places] in the place of the chains `taken`."""
    changed: dict[str, Any] = {}
    for name in ("images", "codes", "log_prob"):
        changed[name] = getattr(found, name).clone()
        changed[name][list(taken)] = getattr(runs, name)[list(places)]
    renewed = {chain: runs.stopped[place] for chain, place in zip(taken, places, strict=True) if place in runs.stopped}
    stopped = {chain: why for chain, why in found.stopped.items() if chain not in taken} | renewed
    return dataclasses.replace(found, **changed, stopped=stopped)
