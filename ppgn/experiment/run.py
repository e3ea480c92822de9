"""Evolutions from their beginning to their end, in memory or in a folder that a kill cannot harm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ppgn import images, loaders
from ppgn.bundle import Bundle
from ppgn.errors import one_line
from ppgn.experiment.evolution import Evolution, Generation, Plan
from ppgn.experiment.first import codes_of_pictures
from ppgn.experiment.folder import RESPONSES, RunFolder
from ppgn.experiment.plot import line_plot
from ppgn.experiment.scores import FunctionScore, Score
from ppgn.types import Code, Image

OnGeneration: TypeAlias = Callable[[Generation, list[list[float]]], None]
"""Called with each generation and the responses `[showing, unit]` so far, also while it is being answered."""


@dataclass(frozen=True, eq=False)
class Evolved:
    """What an evolution has found. images: `[unit, channel, height, width]`, the best of each; codes: `[unit, *code]`; responses:
    mean response of each; measured: how often each was shown; mean, highest: of each generation `[generation, unit]`."""

    units: tuple[str, ...]
    images: Image
    codes: Code
    responses: tuple[float, ...]
    measured: tuple[int, ...]
    mean: Tensor
    highest: Tensor


def evolve(
    bundle: Bundle | str | Path,
    score: Callable[[Image], Any] | Score,
    *,
    budget: int = 3000,
    units: tuple[str, ...] = ("response",),
    folder: str | Path | None = None,
    natural: str | Path | None = None,
    watch: OnGeneration | None = None,
    **plan: Any,
) -> Evolved:
    """Evolves a picture for a neuron that only answers: `ppgn.evolve(bundle, score=my_neuron, budget=3000)`.

    bundle: or its name or folder. score: images `[picture, channel, height, width]` in [0, 1] -> numbers `[picture]`, or
    `[picture, unit]` for several units, each of which gets an evolution; or a Score. budget: pictures shown in all. folder: where
    codes, responses and the state are kept; the same call goes on there. natural: a folder of pictures whose codes are the first
    generation. plan: fields of `Plan`: method, population, repeats, elite, seed, settings. Raises ValueError for what does not
    fit, and where a unit has no response in a whole generation.
    """
    bundle = loaders.bundle(bundle)
    chosen = Plan(budget=budget, **plan)
    answering: Score = score if hasattr(score, "respond") else FunctionScore(score, len(units), _named(score))  # type: ignore
    if folder is not None:
        return _evolved(bundle, answering, chosen, units, images.make_folder(folder), natural, watch)
    with TemporaryDirectory() as place:
        return _evolved(bundle, answering, chosen, units, Path(place), natural, watch)


def begun(
    bundle: Bundle, plan: Plan, units: tuple[str, ...], about: dict[str, Any], folder: Path, natural: str | Path | None
) -> tuple[RunFolder, Evolution]:
    """The run in a folder and its evolution, new or as it was left. about: what evolve.json says of the score."""
    codes = None if natural is None else codes_of_pictures(bundle, natural, plan.size * len(units))
    evolution = Evolution(bundle, plan, units, codes)
    place = RunFolder(folder)
    weights = {part: entry.get("sha256") for part, entry in bundle.info.get("parts", {}).items()}
    stated = {"bundle": bundle.name, "weights": weights, "plan": asdict(plan), "units": list(units), "score": about}
    place.begin({**stated, "natural": None if natural is None else str(natural)})
    place.restore(evolution)
    return place, evolution


def opened(folder: str | Path, load: Callable[[str], Bundle]) -> tuple[RunFolder, Evolution]:
    """The run in a folder by evolve.json alone, its bundle loaded by name. Raises ValueError where it cannot be read, and where
    the bundle has other weights than the run began with."""
    place = RunFolder(folder)
    about = place.about()
    try:
        bundle, plan, units = load(about["bundle"]), Plan(**about["plan"]), tuple(about["units"])
        return begun(bundle, plan, units, about["score"], Path(folder), about["natural"])
    except (KeyError, TypeError) as fault:
        raise ValueError(f"{place.folder} holds no whole evolve.json ({one_line(fault)}), expected an evolution") from fault


def told(place: RunFolder, evolution: Evolution, generation: Generation, answers: Tensor) -> None:
    """Tells the evolution, then writes its table, its best pictures and its state: with the state the generation is done."""
    evolution.tell(answers)
    place.record(evolution, generation, answers)
    write_pictures(place, evolution, generation.number)
    place.save(evolution)


def write_pictures(place: RunFolder, evolution: Evolution, number: int) -> None:
    """best/NUMBER.png, the best picture of each unit so far, and evolve.png, mean and highest response of each generation."""
    found = evolved(place, evolution)
    folder = images.make_folder(place.folder / "best")
    labels = [f"{name} {value:.3g}" for name, value in zip(found.units, found.responses, strict=True)]
    images.save_image(images.grid(found.images, labels), folder / f"{number:04d}.png")
    series = {}
    for unit, name in enumerate(found.units):
        series |= {f"{name}, highest": found.highest[:, unit].tolist(), f"{name}, mean": found.mean[:, unit].tolist()}
    images.save_image(line_plot(series, "generation", "response"), place.folder / "evolve.png")


def evolved(place: RunFolder, evolution: Evolution) -> Evolved:
    """What the run has found so far, from its state and its table."""
    best = [evolution.best(unit) for unit in range(len(evolution.units))]
    codes = torch.stack([code for code, _, _ in best])
    mean, highest = _by_generation(place, evolution)
    pictures = evolution.images(codes)
    return Evolved(evolution.units, pictures, codes, *zip(*[one[1:] for one in best], strict=True), mean, highest)  # type: ignore


def _evolved(
    bundle: Bundle, score: Score, plan: Plan, units: tuple[str, ...], folder: Path, natural: Any, watch: OnGeneration | None
) -> Evolved:
    with images.alone_in(folder):
        place, evolution = begun(bundle, plan, units, score.describe(), folder, natural)
        while not evolution.done:
            _generation(place, evolution, score, watch)
        return evolved(place, evolution)


def _generation(place: RunFolder, evolution: Evolution, score: Score, watch: OnGeneration | None) -> None:
    generation, files = place.prepare(evolution, score.files)
    pictures, repeats = len(generation.codes), evolution.plan.repeats
    rows = place.answers(generation.number, len(evolution.units))

    def shown(showings: range) -> Image:
        return evolution.images(generation.codes[[showing % pictures for showing in showings]])

    before = generation.number * evolution.shown_each
    answering: Iterator[list[list[float]]] = score.respond(
        shown, files * repeats, len(rows), before, place.place(generation.number)
    )
    for new in answering:
        place.answer(generation.number, new, len(rows))
        rows += new
        if watch is not None:
            watch(generation, rows)
    told(place, evolution, generation, torch.tensor(rows, dtype=torch.float64))


def _by_generation(place: RunFolder, evolution: Evolution) -> tuple[Tensor, Tensor]:
    """(mean, highest) response of each unit to its own new pictures `[generation, unit]`, by responses.csv."""
    import csv

    file, names = place.folder / RESPONSES, evolution.units
    found: dict[tuple[int, str], list[float]] = {}
    if file.is_file():
        with file.open(newline="", encoding="utf-8") as opened:
            for row in csv.DictReader(opened):
                value = float(row[row["unit"] if len(names) > 1 else "response"])
                if int(row["picture"]) < len(names) * evolution.plan.size and not math.isnan(value):
                    found.setdefault((int(row["generation"]), row["unit"]), []).append(value)
    count = 1 + max((number for number, _ in found), default=-1)
    mean, highest = (torch.full((count, len(names)), torch.nan, dtype=torch.float64) for _ in range(2))
    for (number, name), values in found.items():
        mean[number, names.index(name)], highest[number, names.index(name)] = sum(values) / len(values), max(values)
    return mean, highest


def _named(score: Any) -> dict[str, Any]:
    name = getattr(score, "__qualname__", type(score).__qualname__)
    return {"kind": "function", "function": f"{getattr(score, '__module__', '')}:{name}"}
