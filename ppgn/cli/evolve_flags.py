"""Flags of `ppgn evolve`, and what they say: the plan, the noise and the network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ppgn import experiment
from ppgn.cli import request_flags, terminal
from ppgn.cli.recipe_flags import Flag, add_flag, flags_of, named_in
from ppgn.cli.values import BUNDLE
from ppgn.evolution import RULES

HELP = {
    "step_size": "first standard deviation of codes, in units of each unit's spread over real pictures",
    "covariance": "auto, full, separable, vd or vkd",
    "sphere": "keep the length of codes (Wang & Ponce 2022)",
    "centre": "show the centre of the search, too, which depends on no lucky response",
    "mutation_rate": "probability that a unit of a code mutates",
    "mutation_size": "standard deviation of a mutation, in units of each unit's spread",
    "selectivity": "how sharply better pictures are preferred as parents",
    "heritability": "share of units from the first of two parents",
    "conserved": "best pictures of a generation that are shown again in the next",
    "radius": "distance of the pictures of a pair from the centre, in units of each unit's spread",
    "rate": "step along the estimated gradient",
}
"""Setting of a method -> its help."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds all flags but the settings of the methods."""
    parser.add_argument("bundle", help=f"{BUNDLE}; or ask, or tell")
    parser.add_argument("rest", nargs="*", metavar="RUN [RESPONSES]", help="of ask and tell: the run, and a CSV of responses "
                        "with the columns picture and response, or one for each unit")  # fmt: skip
    answers = parser.add_argument_group("what answers")
    answers.add_argument("--score", metavar="MODULE:FUNCTION", help="your function, or FILE.py:FUNCTION: images [picture, "
                         "channel, height, width] in [0, 1] -> a number each, or one for each of --units")  # fmt: skip
    answers.add_argument("--unit", metavar="LAYER:UNIT", help="of --network, or of the bundle's encoder; several as layer:0-3")
    answers.add_argument("--exec", metavar="COMMAND", help="a program, in quotes, that gets the paths of pictures in the place "
                         "of {images} and prints a line for each, with a number, or one for each unit")  # fmt: skip
    answers.add_argument("--timeout", type=float, default=600.0, metavar="S", help="seconds that the program may be silent "
                         "(default: %(default)g)")  # fmt: skip
    answers.add_argument("--units", nargs="+", metavar="NAME", help="names of the numbers of --score, --exec or a person, where "
                         "there are several, such as a name for each electrode")  # fmt: skip
    answers.add_argument("--noise", metavar="KIND:SIZE", help="of --unit and --score: poisson:GAIN (spikes, mean GAIN times the "
                         "response) or gaussian:SD")  # fmt: skip
    request_flags.add_network(parser, "--unit looks at")
    search = parser.add_argument_group("the search")
    search.add_argument("--budget", type=int, default=3000, metavar="N", help="pictures shown in all (default: %(default)s)")
    search.add_argument("--method", default="cma", metavar="NAME",
                        help="cma (CMA-ES, pycma), genetic (XDream's genetic algorithm), nes (a natural evolution strategy), "
                        "random, or my_module:Rule of your own (default: %(default)s)")  # fmt: skip
    search.add_argument(
        "--population", type=int, default=0, metavar="N", help="pictures of a generation (default: 20; 40 for nes)"
    )
    search.add_argument("--repeats", type=int, default=1, metavar="N", help="showings of each picture, whose mean counts")
    search.add_argument("--elite", type=int, default=0, metavar="N", help="best pictures shown again in each generation")
    search.add_argument("--seed", type=int, default=0, help="of the first unit; the next ones count up")
    search.add_argument("--natural", metavar="FOLDER", help="real pictures at whose codes the search begins")
    after = parser.add_argument_group("what the evolved picture predicts")
    after.add_argument("--predict", metavar="FOLDER", help="real pictures to show at the end, ranked by their distance to the "
                       "evolved picture, beside the responses they evoke")  # fmt: skip
    after.add_argument("--predict-count", type=int, default=500, metavar="N", help="how many of them (default: %(default)s)")
    after.add_argument("--features", metavar="LAYER", help="of --network, or of the bundle's encoder: distances in this layer, "
                       "too")  # fmt: skip
    parser.add_argument("--out", default="evolved", metavar="FOLDER", help="the run: evolve.json, responses.csv, all codes, best "
                        "pictures, evolve.png (default: %(default)s)")  # fmt: skip
    terminal.add_device(parser)


def add_settings(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Adds the settings of all methods, and of one's own that the command line names. Raises ValueError where it cannot be
    imported."""
    group = parser.add_argument_group("settings of the methods")
    for flag in _flags(named_in(words, "method")):
        add_flag(parser, group, flag, f"{HELP.get(flag.name, flag.name.replace('_', ' '))} ({_defaults(flag)})")


def plan(given: argparse.Namespace) -> experiment.Plan:
    """The plan of a command line. Raises ValueError for one that cannot be."""
    names = ("budget", "method", "population", "repeats", "elite", "seed")
    settings = {flag.name: getattr(given, flag.name) for flag in _flags(given.method)}
    chosen = {name: value for name, value in settings.items() if value is not None}
    return experiment.Plan(**{name: getattr(given, name) for name in names}, settings=chosen)


def others(given: argparse.Namespace) -> list[str]:
    """The flags that were typed beside those of `ask` and `tell`."""
    plain = argparse.ArgumentParser()
    add_arguments(plain)
    add_settings(plain, ["--method", given.method])
    defaults = vars(plain.parse_args([given.bundle]))
    skipped = ("bundle", "rest", "method", "device")
    return [
        f"--{name.replace('_', '-')}" for name, value in defaults.items() if name not in skipped and vars(given)[name] != value
    ]


def noise(given: argparse.Namespace) -> experiment.Noise:
    """The noise of --noise KIND:SIZE. Raises ValueError where it cannot be read."""
    kind, _, size = given.noise.partition(":")
    try:
        return experiment.Noise(kind, float(size or 1), given.seed)
    except ValueError as fault:
        raise ValueError(
            f"cannot read --noise {given.noise}, expected poisson:GAIN or gaussian:SD with numbers above 0"
        ) from fault


def _flags(method: str | None) -> list[Flag]:
    """The flags of the settings of all methods, and of one's own."""
    own = {method: experiment.rule_named(method)} if method is not None and ":" in method else {}
    kinds: dict[str, Any] = {**RULES, **own}
    return [flag for flag in flags_of("", kinds) if flag.name != "population"]


def _defaults(flag: Flag) -> str:
    return ", ".join(f"{method}: {str(default).replace('%', '%%')}" for method, default in flag.owners.items())
