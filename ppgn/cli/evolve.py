"""`ppgn evolve`: pictures for what only answers with numbers: a function, a unit, a program, or a person with a table."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ppgn import experiment, images, loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.cli import evolve_flags, request_flags, signals, terminal
from ppgn.probe import Layer

WORDS = ("ask", "tell")
EXAMPLES = """examples:
  ppgn evolve imagenette64 --unit trunk.12:7 --budget 3000 --out unit
  ppgn evolve imagenette64 --unit trunk.12:7 --noise poisson:0.1 --repeats 2 --elite 2 --out noisy
  ppgn evolve imagenette64 --score my_module:response --out mine          a function of an image batch
  ppgn evolve imagenette64 --exec "./show {images}" --out neuron          a program that prints a number for each picture
  ppgn evolve imagenette64 --unit trunk.12:7 --out unit --predict photos  ... and what it predicts of real pictures
  ppgn evolve imagenette64 --budget 400 --out session                     nothing that answers: then
  ppgn evolve ask session                                                 writes the next pictures and ends
  ppgn evolve tell session responses.csv                                  takes the numbers, minutes or days later
The same command goes on where it ended, also after a kill."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Evolve pictures in the space of codes, for whatever gives a number for a picture and no gradient. Several units get an "
        "evolution each, in one stream of pictures, and each picture's response to every unit is recorded."
    )
    parser.epilog = EXAMPLES
    evolve_flags.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Evolves until the budget is spent; or asks, or tells, once."""
    if given.bundle in WORDS:
        if others := evolve_flags.others(given):
            raise ValueError(
                f"got {', '.join(others)} with ppgn evolve {given.bundle}, expected none: the run knows how it began; to raise "
                f"the budget, use the command that began it"
            )
        return (_ask if given.bundle == "ask" else _tell)(given.rest, given.method)
    if given.rest:
        raise ValueError(f"got {' '.join(given.rest)!r} beside the bundle, expected nothing more: give the run with --out")
    bundle = terminal.load(given)
    score, units = _score(given, bundle)
    plan = evolve_flags.plan(given)
    if score is None:
        folder = images.make_folder(given.out)
        with images.alone_in(folder):
            experiment.open_run(folder, bundle, plan, units, experiment.BY_HAND, given.natural)
        return _ask([given.out], given.method)
    try:
        with _progress(plan, len(units)) as watch:
            about = {"units": units, "folder": given.out, "natural": given.natural, "watch": watch, **vars(plan)}
            found = experiment.evolve(bundle, score, **about)
    except KeyboardInterrupt as end:
        kept = f"all responses are in {given.out}, and the same command goes on from there"
        print(f"\nppgn: {signals.how(end)}: {kept}", file=sys.stderr)
        return 130
    for name, response, times in zip(found.units, found.responses, found.measured, strict=True):
        print(f"{name}: {response:.4g}, the mean of {times} showing{'' if times == 1 else 's'}")
    print(f"wrote responses.csv, all codes, the best pictures and evolve.png into {given.out}")
    if given.predict is not None:
        _predict(given, bundle, score, plan, units)
    return 0


def _predict(given: argparse.Namespace, bundle: Bundle, score: Any, plan: experiment.Plan, units: tuple[str, ...]) -> None:
    folder = Path(given.out)
    features = {}
    if given.features is not None:
        name = given.network or loaders.BUNDLE_CLASSIFIER
        features[f"{name} {given.features}"] = Layer(
            request_flags.plugged(given).loaded(bundle, [given.features]), given.features
        )
    with images.alone_in(folder):
        place, evolution = experiment.open_run(folder, bundle, plan, units, score.describe(), given.natural)
        found = experiment.predict(place, evolution, score, given.predict, given.predict_count, features)
    for unit, spaces in found.items():
        for space, one in spaces.items():
            about = f"{one.correlation:.2f} ({one.low:.2f} to {one.high:.2f})"
            print(f"{unit}: nearness in {space} and response, rank correlation {about}")
    print(f"wrote prediction.json and prediction_0.png, ... into {folder}")


def _ask(words: list[str], method: str) -> int:
    folder = _folder(words, 1)
    with images.alone_in(folder):
        place, evolution = experiment.reopen_run(folder, loaders.bundle, method)
        if evolution.done:
            print(f"the budget of {evolution.plan.budget} pictures is spent: the best are in {folder / 'best'}")
            return 0
        generation, files = place.prepare(evolution, True)
    repeats, table = evolution.plan.repeats, files[0].parent / "responses.csv"
    times = "once" if repeats == 1 else f"{repeats} times"
    print(f"generation {generation.number} of {evolution.generations}: {len(files)} pictures in {files[0].parent}")
    print(f"show each {times}, fill in the responses in {table}, then:\n  ppgn evolve tell {folder} {table}")
    return 0


def _tell(words: list[str], method: str) -> int:
    folder = _folder(words, 2)
    with images.alone_in(folder):
        place, evolution = experiment.reopen_run(folder, loaders.bundle, method)
        if evolution.done or not place.is_shown(evolution.state.step):
            what = "the budget is spent" if evolution.done else f"generation {evolution.state.step} was not asked for yet"
            raise ValueError(f"{what}, expected pictures that wait for responses: see ppgn evolve ask {folder}")
        generation, files = place.prepare(evolution, True)
        responses = experiment.read_responses(words[1], len(files), evolution.plan.repeats, evolution.units, generation.number)
        place.answer(generation.number, responses.tolist(), 0)
        experiment.tell_and_save(place, evolution, generation, responses)
    best = ", ".join(f"{name} {evolution.best(unit)[1]:.4g}" for unit, name in enumerate(evolution.units))
    print(f"took {len(responses)} responses of generation {generation.number}; best so far: {best}")
    return 0


def _folder(words: list[str], wanted: int) -> Path:
    if len(words) != wanted:
        form = "ppgn evolve ask RUN" if wanted == 1 else "ppgn evolve tell RUN RESPONSES.csv"
        raise ValueError(f"got {len(words)} arguments, expected {wanted}: write {form}")
    if not Path(words[0]).is_dir():
        raise ValueError(f"there is no folder {words[0]}, expected a run: begin one with ppgn evolve BUNDLE --out {words[0]}")
    return Path(words[0])


def _score(given: argparse.Namespace, bundle: Bundle) -> tuple[Any, tuple[str, ...]]:
    """(what answers, None for a person; the names of its units)."""
    chosen = [name for name in ("score", "unit", "exec") if getattr(given, name) is not None]
    if len(chosen) > 1:
        raise ValueError(f"got --{' and --'.join(chosen)}, expected one of them: leave the others out")
    if given.network is not None and given.unit is None and given.features is None:
        raise ValueError("got --network without --unit, expected a unit of it: add --unit LAYER:UNIT, or --features LAYER")
    if given.noise is not None and chosen not in (["unit"], ["score"]):
        raise ValueError("got --noise without --unit or --score, expected one of them: leave it out")
    units = tuple(given.units or ("response",))
    noise = None if given.noise is None else evolve_flags.noise(given)
    if given.unit is not None:
        network = None if given.network is None else request_flags.plugged(given)
        request = requests.parse(bundle, unit=given.unit, network=network)
        setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", precision="float32"), request)
        return experiment.unit_score(setup, request, noise), request.names
    if given.score is not None:
        function = loaders.import_callable(given.score)
        source = requests.fingerprint(function, weights=True)
        about = {"kind": "function", "function": given.score, "source": source}
        return experiment.FunctionScore(function, len(units), about, noise), units
    return None if given.exec is None else experiment.ProgramScore(given.exec, len(units), given.timeout), units


@contextmanager
def _progress(plan: experiment.Plan, units: int) -> Iterator[experiment.OnGeneration]:
    """A bar over the pictures shown, with the highest response of the generation."""
    each = plan.shown_each(units)
    with terminal.late_bar("evolving", total=plan.budget // each * each, unit="picture") as bar_of:

        def watch(generation: experiment.Generation, rows: list[list[float]]) -> None:
            before = generation.number * each
            shown = bar_of(initial=before)
            own: list[list[float]] = [[] for _ in range(units)]
            for showing, row in enumerate(rows):
                unit = generation.owners[showing % len(generation.codes)]
                own[unit] += [row[unit]] if math.isfinite(row[unit]) else []
            best = ", ".join(f"{max(values):.3g}" if values else "none" for values in own)
            shown.set_postfix_str(f"generation {generation.number}, highest {best}", False)
            shown.update(before + len(rows) - shown.n)

        yield watch
