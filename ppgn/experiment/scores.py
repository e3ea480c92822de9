"""What answers pictures with numbers: a function, a unit of a network, or a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ppgn import recipes
from ppgn.errors import one_line
from ppgn.recipes import Setup
from ppgn.requests import Request, fingerprint
from ppgn.seeds import Stream, check_seeds, generator
from ppgn.types import Image

BATCH = 20
"""Pictures that a function sees at once. A batch is answered whole, or shown again after a kill."""
MOST_SPIKES = 1e15
Rows = list[list[float]]


class Score(Protocol):
    """Answers the showings of a generation, in their order, from `first` on, some at a time.

    pictures: of showings -> images; files: where each showing's picture lies, for those that need files (`files` true).
    number: of the generation's first showing in the whole run. place: the generation's folder. Yields rows `[showing, unit]`.
    """

    files: bool

    def respond(
        self, pictures: Callable[[range], Image], files: Sequence[Path], first: int, number: int, place: Path
    ) -> Iterator[Rows]: ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Noise:
    """Noise of responses: "poisson", spikes of a Poisson process with mean `size` times the response where that is above 0; or
    "gaussian", N(0, size^2) added. A function of (seed, showing) alone. Raises ValueError for another kind or size."""

    kind: str = "poisson"
    size: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_seeds([self.seed])
        if self.kind not in ("poisson", "gaussian") or not 0 < self.size < float("inf"):
            raise ValueError(f"got noise {self.kind}:{self.size}, expected poisson or gaussian and a size above 0: correct it")

    def added(self, responses: Tensor, first: int) -> Tensor:
        """Responses `[showing, unit]` with noise; first: the number of their first showing in the run."""
        noisy = np.empty(tuple(responses.shape))
        if self.kind == "poisson" and float(self.size * responses.nan_to_num().max()) > MOST_SPIKES:
            raise ValueError(
                f"Poisson noise got responses up to {float(responses.nan_to_num().max()):.3g} with {self.size:g} spikes for each "
                f"unit of response, expected at most {MOST_SPIKES:.0e} spikes: lower its size"
            )
        for row, clean in enumerate(responses.double().cpu().numpy()):
            random = generator(self.seed, first + row, Stream.RESPONSE)
            if self.kind == "gaussian":
                noisy[row] = clean + self.size * random.standard_normal(clean.shape)
            else:
                noisy[row] = np.where(np.isnan(clean), np.nan, random.poisson(self.size * np.nan_to_num(clean).clip(0)))
        return torch.from_numpy(noisy)


class FunctionScore:
    """Any function of images `[picture, channel, height, width]` in [0, 1] -> numbers `[picture]` or `[picture, unit]`.

    units: how many numbers a picture gets. about: what evolve.json says of the function. noise: added to the numbers.
    """

    files = False

    def __init__(self, function: Callable[[Image], Any], units: int, about: dict[str, Any], noise: Noise | None = None) -> None:
        if not callable(function):
            raise ValueError(f"got {function!r} as the score, expected a function of images: pass one")
        self.function, self.units, self.about, self.noise = function, units, about, noise

    def describe(self) -> dict[str, Any]:
        noise = {} if self.noise is None else {"noise": vars(self.noise)}
        return {**self.about, **noise}

    def respond(
        self, pictures: Callable[[range], Image], files: Sequence[Path], first: int, number: int, place: Path
    ) -> Iterator[Rows]:
        for begin in range(first, len(files), BATCH):
            shown = range(begin, min(begin + BATCH, len(files)))
            found = self._numbers(pictures(shown))
            if self.noise is not None:
                found = self.noise.added(found, number + begin)
            yield found.tolist()

    def _numbers(self, images: Image) -> Tensor:
        with torch.no_grad():
            answer = self.function(images)
        try:
            found = torch.as_tensor(answer, dtype=torch.float64).cpu()
        except (TypeError, ValueError, RuntimeError) as fault:
            raise ValueError(
                f"the score returned {type(answer).__name__} ({one_line(fault)}), expected numbers: correct it"
            ) from fault
        wanted = [(len(images), self.units), *([(len(images),)] if self.units == 1 else [])]
        if tuple(found.shape) not in wanted:
            raise ValueError(
                f"the score returned shape {list(found.shape)} for {len(images)} pictures, expected {list(wanted[-1])}: return a "
                f"number for each picture{' and unit' if self.units > 1 else ''}"
            )
        return found.reshape(len(images), self.units)


def unit_score(setup: Setup, request: Request, noise: Noise | None = None) -> FunctionScore:
    """The value of each target of a request, such as units of a network: `[picture, unit]`."""

    def responses(images: Image) -> Tensor:
        columns = []
        for target in range(len(request)):
            objective = recipes.objective(setup, request.select([target] * len(images)))
            columns.append(objective.score_image(images))
        return torch.stack(columns, 1)

    source = fingerprint(request.select([0]), weights=True)  # before a pass keeps what it computes
    return FunctionScore(responses, len(request), {**request.describe(), "units": list(request.names), "source": source}, noise)
