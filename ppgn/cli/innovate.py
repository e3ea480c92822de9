"""`ppgn innovate`: an innovation engine, a gallery with a picture for every class and the ancestors of each."""

from __future__ import annotations

import argparse

from ppgn import illumination
from ppgn.cli import illumination_flags
from ppgn.seeds import check_seeds

EXAMPLES = """examples:
  ppgn innovate --network torchvision:squeezenet1_0 --weights squeezenet.pth --folder gallery --budget 40000
  ppgn innovate --network torchvision:resnet18 --weights resnet18.pth --folder gallery --budget 400000 --device cuda
  ppgn innovate --network my_module:network --size 227 --mean 0.5 --std 0.5 --names classes.txt --folder gallery
The same command goes on where it ended, also after a kill and with a larger --budget; gallery/index.html shows the pictures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "An innovation engine (Nguyen, Yosinski & Clune 2015): MAP-Elites over the classes of a network, in which any picture "
        "may become the elite of any class. Writes a gallery that shows from what each picture came."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("--folder", required=True, metavar="DIR", help="the run: index.html, curve.csv and the state")
    parser.add_argument("--class", dest="class_", nargs="+", default=["all"], metavar="CLASS",
                        help="names or numbers of classes (default: all)")  # fmt: skip
    parser.add_argument("--budget", type=int, default=40000, metavar="N", help="pictures in all (default: %(default)s)")
    illumination_flags.add_search(parser, 400)
    illumination_flags.add_network(parser, "says what a picture is")


def run(given: argparse.Namespace) -> int:
    """Searches until the budget is spent, and writes the gallery."""
    check_seeds([given.seed])
    if given.population < 1 or given.budget < given.population:
        raise ValueError(
            f"got --budget {given.budget} for generations of --population {given.population}, expected at least one generation: "
            f"raise --budget, or lower --population to 1 or more"
        )
    found = illumination_flags.asked(given)
    classes = illumination_flags.chosen(found, given.class_, given.network)
    made = illumination_flags.illuminated(given, found, classes, given.budget // given.population, given.folder)
    if made is None:
        return 130
    illumination.write_page(made, f"{given.folder}/index.html", f"Innovation engine on {given.network}")
    print(f"{illumination_flags.summary(made)} after {made.search.generation * given.population} pictures")
    print(f"wrote {given.folder}/index.html and curve.csv")
    return 0
