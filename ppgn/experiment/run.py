"""Evolutions from their beginning to their end, in memory or in a folder that a kill cannot harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from ppgn import images, loaders, requests
from ppgn.bundle import Bundle
from ppgn.errors import one_line
from ppgn.experiment.evolution import Evolution, Generation, Plan
from ppgn.experiment.first import codes_of_pictures
from ppgn.experiment.folder import RunFolder
from ppgn.experiment.plot import line_plot
from ppgn.experiment.scores import FunctionScore, Score
from ppgn.types import Code, Image

OnGeneration: TypeAlias = Callable[[Generation, list[list[float]]], None]
"""Called with each generation and the responses `[showing, unit]` so far, also while it is being answered."""
BY_HAND = {"kind": "by hand"}
"""What evolve.json says of the score where a person answers."""


@dataclass(frozen=True, eq=False)
class Evolved:
    """What an evolution has found. images: `[unit, channel, height, width]`, the best of the pictures that were evolved for each;
    codes: `[unit, *code]`; responses: mean response of each; measured: how often each was shown and answered; mean, highest: of
    the new pictures of each generation `[generation, unit]`."""

    units: tuple[str, ...]
    images: Image = field(repr=False)
    codes: Code = field(repr=False)
    responses: tuple[float, ...]
    measured: tuple[int, ...]
    mean: Tensor = field(repr=False)
    highest: Tensor = field(repr=False)


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
    codes, responses and the state are kept; the same call goes on there, also with a larger budget. natural: a folder of pictures
    at whose codes the search begins: the genetic algorithm shows them first, CMA-ES and NES begin at their mean. plan: fields of
    `Plan`: method, population, repeats, elite, seed, settings. Raises ValueError for what does not fit, and where a unit has no
    response in a whole generation.
    """
    bundle = loaders.bundle(bundle)
    chosen = Plan(budget=budget, **plan)
    answering = cast(Score, score if hasattr(score, "respond") else FunctionScore(cast(Any, score), len(units), _named(score)))
    if folder is not None:
        return _evolved(bundle, answering, chosen, units, images.make_folder(folder), natural, watch)
    with TemporaryDirectory() as place:
        return _evolved(bundle, answering, chosen, units, Path(place), natural, watch)


def open_run(
    folder: Path, bundle: Bundle, plan: Plan, units: tuple[str, ...], about: dict[str, Any], natural: str | Path | None = None
) -> tuple[RunFolder, Evolution]:
    """The run in a folder and its evolution: begun now, or as it was left, also with another budget.

    about: what the score is. Raises ValueError where the folder holds another evolution (of another bundle, plan, score, of other
    weights or code), or something else.
    """
    place = RunFolder(folder)
    stated = {
        "bundle": bundle.name, "folder": None if bundle.folder is None else str(Path(bundle.folder).absolute()),
        "weights": requests.weights_of(bundle), "units": list(units), "score": about,
        "natural": None if natural is None else str(natural), "plan": asdict(plan),
        "rule": requests.fingerprint(plan.rule(), weights=True) if ":" in plan.method else None,
    }  # fmt: skip
    stated = json.loads(json.dumps(stated))
    if not place.is_begun:
        place.check_new()
        if natural is not None and plan.method == "random":
            raise ValueError("got natural pictures with the method random, expected one that begins at them: leave them out")
        codes = None if natural is None else codes_of_pictures(bundle, natural, plan.size * len(units))
        evolution = Evolution(bundle, plan, units, codes)
        place.save_state(evolution)
        place.write_about(stated)
        return place, evolution
    before = place.about()
    odd = [name for name in stated if name != "folder" and _identity(before.get(name)) != _identity(stated[name])]
    if odd:
        plans = before.get("plan"), stated["plan"]
        odd += [f"{name} ({plans[0].get(name)}, now {plans[1][name]})" for name in stated["plan"]
                if isinstance(plans[0], dict) and name != "budget" and plans[0].get(name) != plans[1][name]]  # fmt: skip
        named = " and ".join(f"another {name}" for name in odd if name != "plan")
        raise ValueError(
            f"{folder} holds an evolution with {named or 'another plan'}, expected that of this run: give another folder, or the "
            f"same arguments to go on"
        )
    evolution = Evolution(bundle, plan, units, None, *place.state(bundle.device))
    if before["plan"] != stated["plan"]:
        place.write_about({**before, "plan": stated["plan"]})
    return place, evolution


def reopen_run(folder: str | Path, load: Callable[[str], Bundle], method: str | None = None) -> tuple[RunFolder, Evolution]:
    """The run of a person in a folder, by evolve.json alone. load: the name or folder of a bundle -> the bundle.

    method: of a run with a rule of one's own, that rule again: no code is imported because a file names it. Raises ValueError
    where the run cannot be read, where something else than a person answers, and where the bundle has other weights than the run
    began with.
    """
    about = RunFolder(folder).about()
    try:
        if about["score"] != BY_HAND:
            kind = about["score"].get("kind")
            raise ValueError(f"{folder} is answered by a {kind}, expected a run that a person answers: go on with its command")
        rule = about["plan"]["method"]
        if ":" in rule and rule != method:
            raise ValueError(f"{folder} was begun with the method {rule}, expected it named again, as its code is to run: add it")
        stored = about["folder"]
        bundle = load(stored if stored is not None and Path(stored).is_dir() else about["bundle"])
        plan, units = Plan(**about["plan"]), tuple(about["units"])
        return open_run(Path(folder), bundle, plan, units, about["score"], about["natural"])
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"{folder} holds no whole evolve.json ({one_line(fault)}), expected an evolution") from fault


def tell_and_save(place: RunFolder, evolution: Evolution, generation: Generation, answers: Tensor) -> None:
    """Tells the evolution, then writes its table, its best pictures and its state: with the state the generation is done.

    Raises ValueError for answers that cannot be told, which are set aside.
    """
    try:
        evolution.tell(answers)
    except ValueError:
        place.set_aside(generation.number)
        raise
    place.record(evolution, generation, answers)
    _write_pictures(place, evolution, generation.number)
    place.save_state(evolution)


def result_of(place: RunFolder, evolution: Evolution) -> Evolved:
    """What the run has found so far, from its state and its table."""
    best = [evolution.best(unit) for unit in range(len(evolution.units))]
    codes = torch.stack([code for code, _, _ in best])
    responses, measured = tuple(value for _, value, _ in best), tuple(count for _, _, count in best)
    return Evolved(evolution.units, evolution.images(codes), codes, responses, measured, *place.course(evolution))


def _evolved(
    bundle: Bundle, score: Score, plan: Plan, units: tuple[str, ...], folder: Path, natural: Any, watch: OnGeneration | None
) -> Evolved:
    with images.alone_in(folder):
        place, evolution = open_run(folder, bundle, plan, units, score.describe(), natural)
        while not evolution.done:
            _generation(place, evolution, score, watch)
        return result_of(place, evolution)


def _generation(place: RunFolder, evolution: Evolution, score: Score, watch: OnGeneration | None) -> None:
    generation, files = place.prepare(evolution, score.files)
    pictures, repeats = len(generation.codes), evolution.plan.repeats
    rows = place.answers(generation.number, len(evolution.units))

    def shown(showings: range) -> Image:
        return evolution.images(generation.codes[[showing % pictures for showing in showings]])

    before = generation.number * evolution.shown_each
    for new in score.respond(shown, files * repeats, len(rows), before, place.place(generation.number)):
        place.answer(generation.number, new, len(rows))
        rows += new
        if watch is not None:
            watch(generation, rows)
    tell_and_save(place, evolution, generation, torch.tensor(rows, dtype=torch.float64))


def _write_pictures(place: RunFolder, evolution: Evolution, number: int) -> None:
    """best/NUMBER.png, the best picture of each unit so far, and evolve.png, mean and highest response of each generation."""
    found = result_of(place, evolution)
    labels = [f"{name} {value:.3g}" for name, value in zip(found.units, found.responses, strict=True)]
    images.save_image(images.grid(found.images, labels), images.make_folder(place.folder / "best") / f"{number:04d}.png")
    series = {}
    for unit, name in enumerate(found.units):
        series |= {f"{name}, highest": found.highest[:, unit].tolist(), f"{name}, mean": found.mean[:, unit].tolist()}
    thin = [name for name in series if name.endswith(", mean")]
    images.save_image(line_plot(series, "generation", "response", thin), place.folder / "evolve.png")


def _identity(value: Any) -> Any:
    """What must be equal for a run to go on: of a plan everything but the budget."""
    return {name: one for name, one in value.items() if name != "budget"} if isinstance(value, dict) else value


def _named(score: Any) -> dict[str, Any]:
    name = getattr(score, "__qualname__", type(score).__qualname__)
    source = requests.fingerprint(score, weights=True)
    return {"kind": "function", "function": f"{getattr(score, '__module__', '')}:{name}", "source": source}
