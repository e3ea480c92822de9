"""The commands by name. The parser of a command is built when it is named, so `ppgn --help` needs no torch."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

from ppgn import __version__
from ppgn.cli import positionals


class Command(NamedTuple):
    """A command, the file `ppgn/cli/NAME.py` with `add_arguments(parser)` and `run(given) -> int`.

    help: a line. chains: whether it runs chains, and so takes the flags of recipes. retries: whether chains that fail may begin
    anew in it. searches: whether it takes the settings of searches without gradients.
    """

    help: str
    chains: bool = False
    retries: bool = False
    searches: bool = False


COMMANDS = {
    "sample": Command("pictures of a class, of a unit of any network, or of your own condition", chains=True, retries=True),
    "chain": Command("chains on their way, through one class or unit after the other: a GIF, an MP4 or a sheet", chains=True),
    "inpaint": Command("fill a hole in a picture", chains=True),
    "evaluate": Command("score samples beside real pictures", chains=True, retries=True),
    "evolve": Command("pictures for a neuron, a person or a program that only answers with numbers", searches=True),
    "explain": Command("a report of what a unit, a direction, a latent or a class of a network wants"),
    "web": Command("a page in the browser: chains that move, neurons, evolution, holes to fill"),
    "dream": Command("amplify what a layer sees in a picture (DeepDream)"),
    "style": Command("the content of one picture in the style of another"),
    "invert": Command("what a layer keeps of a picture: pictures with the same features"),
    "facets": Command("the kinds of pictures that excite a unit, and a picture for each"),
    "fool": Command("pictures of which a network is sure, and in which people see nothing (evolution, gradient, one pixel)"),
    "innovate": Command("a gallery with a picture for every class of a network, and its ancestors (MAP-Elites)"),
    "tune": Command("find scales and steps for a class, a unit or your own condition (Optuna)", chains=True),
    "example": Command("one of the seven scripts of the released code, to the constant"),
    "layers": Command("list the layers of a network or of a bundle's encoder, which can be asked for"),
    "bundles": Command("list the bundles that are there"),
    "import-caffe": Command("a bundle from networks released for Caffe (.prototxt and .caffemodel)"),
    "import-diffusers": Command("a bundle of an autoencoder and a score model of the library diffusers"),
    "import-deepsim": Command("a bundle from a PyTorch port of a DeePSiM, DGN-AM or PPGN generator (upconvGAN)"),
    "import-gan": Command("a bundle from the generator of a GAN without labels (DCGAN): of a package, or a file of yours"),
}
TEXTS = ("caption", "text", "against", "prompt")
"""Arguments that may be an empty text."""
EXAMPLES = """examples:
  ppgn sample imagenette64 --class church --out church.png
  ppgn sample imagenette64 --network torchvision:resnet18 --weights resnet18.pth --unit layer4.1.conv2:17
  ppgn sample imagenette64 --condition my_module:my_function
  ppgn chain imagenette64 --class church parachute "golf ball" --steps 40 --out walk.gif
  ppgn inpaint imagenette64 photo.jpg --box 20,20,28,28 --out filled.png
  ppgn sample --help
"""


class OneLine(argparse.ArgumentParser):
    """A parser that says in one line what it cannot read; all flags are a page of their own, --help."""

    def error(self, message: str) -> NoReturn:
        where = "" if "--help" in message else f" (see {self.prog} --help)"
        self.exit(2, f"{self.prog}: error: {message}{where}\n")


def module_of(command: str) -> Any:
    """The file of a command."""
    return importlib.import_module(f"ppgn.cli.{command.replace('-', '_')}")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line, with the name of the command as "command" and all that was typed as "words". Ends the program for --help
    and for what cannot be read. Raises ValueError for an empty value."""
    typed = list(words)
    style: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    about = "Images through a learned prior, asked for by any network you plug in."
    top = OneLine(prog="ppgn", description=about, epilog=EXAMPLES, **style)
    top.add_argument("--version", action="version", version=f"ppgn {__version__}")
    named = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    first = words[0] if words else ""
    if first and not first.startswith("-") and first not in COMMANDS:
        near = _nearest(first, COMMANDS)
        top.error(f"no command {first!r}: {f'did you mean {near[0]}? ' if near else ''}there is {', '.join(COMMANDS)}")
    parsers = {name: named.add_parser(name, help=command.help, **style) for name, command in COMMANDS.items()}
    if first in COMMANDS:
        _fill(parsers[first], first, words)
        words = [first, *positionals.first(parsers[first], words[1:])]
    given, unknown = top.parse_known_args(words)
    if unknown:
        flags = [f"--{name.strip('_').replace('_', '-')}" for name in vars(given)]
        is_flag = unknown[0].startswith("-")
        near = _nearest(unknown[0], flags) if is_flag else []
        what = f"no flag {unknown[0]}" if is_flag else f"{unknown[0]!r} belongs to no flag"
        parsers[first].error(f"{what}: {f'did you mean {near[0]}? ' if near else ''}see ppgn {first} --help")
    _check_given(parsers[first], given)
    given.words = typed
    return given


def _check_given(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Raises ValueError for an empty value, such as that of an unset variable of the shell, where it is not a text to read."""
    for action in parser._actions:
        value = getattr(given, action.dest, None)
        if action.dest not in TEXTS and "" in (value if isinstance(value, list) else [value]):
            name = action.option_strings[0] if action.option_strings else action.dest.upper()
            remedy = "give one, or leave it out" if action.option_strings and not action.required else "give one"
            raise ValueError(f"got {name} with nothing, such as an unset variable of the shell, expected a value: {remedy}")


def _nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known word that is most like it, if any is."""
    import difflib  # deferred: `ppgn --help` does not need it

    return difflib.get_close_matches(word, list(known), 1)


def _fill(parser: argparse.ArgumentParser, name: str, words: Sequence[str]) -> None:
    """Adds the arguments of a command, and those that all commands with chains share."""
    module_of(name).add_arguments(parser)
    if COMMANDS[name].chains:
        from ppgn.cli import recipe_flags, terminal  # which need torch

        recipe_flags.add_arguments(parser, words, COMMANDS[name].retries)
        terminal.add_arguments(parser)
    if COMMANDS[name].searches:
        from ppgn.cli import evolve_flags

        evolve_flags.add_settings(parser, words)
