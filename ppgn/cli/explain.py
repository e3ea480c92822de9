"""`ppgn explain`: what a unit, direction, latent, class or function wants, as a report."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ppgn import acceleration, explanation, loaders, methods, requests
from ppgn.bundle import Bundle
from ppgn.cli import request_flags, signals, terminal
from ppgn.cli.values import numbers, size
from ppgn.explanation import ExplainOptions
from ppgn.probe import Preprocessed

HELP = {
    "top": "real pictures of each kind that are shown",
    "facets": "facets that are looked for in the exciting pictures",
    "per_facet": "synthetic pictures of each facet",
    "facet_steps": "steps of the chains of facets",
    "facet_share": "of the real pictures, the most exciting ones, among which facets are looked for",
    "method": "pixels with a hand-made prior: a recipe of docs/pixels.md; 'none' leaves it out",
    "method_steps": "steps of that recipe",
    "strengths": "lambda of the sweep, in nats per standard deviation of the real responses",
    "chains": "chains of each strength",
    "steps": "steps of each of these chains",
    "step_size": "of these chains, between 0 and 1; smaller is closer to the density, and slower",
    "nearby": "pictures whose response is raised and lowered",
    "nearby_steps": "steps of each of these chains",
    "where": "pictures of each kind that get maps",
    "pictures": "at most so many real pictures, evenly spread over the files",
    "seed": "of the first chain",
}
INPUT: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("weights", "FILE", str), ("size", "H[,W]", size), ("mean", "R,G,B", numbers), ("std", "R,G,B", numbers),
)  # fmt: skip
"""What says how the second network takes pictures: the name of a flag behind --second-, its form, and what reads it."""
EXAMPLES = """examples:
  ppgn explain --network lite:0 --unit block15:17 --images photos --out report
  ppgn explain --network torchvision:resnet50 --unit layer4:0-19 --images photos      twenty reports and an index
  ppgn explain --network lite:0 --layer head --direction concept.safetensors --images photos
  ppgn explain --network lite:0 --layer head --sae dictionary.safetensors --latent 12 --images photos
  ppgn explain --network lite:0 --class church --images photos --second torchvision:resnet18
  ppgn explain imagenette64 --unit trunk.12:7            of the bundle's encoder, without real pictures
The same command goes on where it ended, also after a kill."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "A report of what a unit wants: real pictures that excite it, synthetic ones under several priors, a set of samples\n"
        "with diagnostics and a control, changes of real pictures, maps of where, and whether a second network agrees. It is\n"
        "one HTML file, with report.json and all pictures beside it."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("bundle", nargs="?", default=methods.BUNDLE, help="whose prior makes the pictures (default: %(default)s)")
    asked = parser.add_argument_group("what to explain", "One of these; several units, latents or classes get a report each.")
    asked.add_argument("--unit", metavar="LAYER:UNIT", help="of --network, or of the bundle's encoder (see `ppgn layers`); "
                       "layer:3,8,9, layer:0-19, layer:* for several")  # fmt: skip
    asked.add_argument("--activation", choices=("before", "after"), help="read --unit's layer before or after its activation")
    asked.add_argument("--direction", metavar="FILE", help="in --layer, a .safetensors with [channel] or [direction, channel]")
    asked.add_argument("--sae", metavar="FILE", help="a sparse auto-encoder on --layer")
    asked.add_argument("--latent", type=int, nargs="+", action="extend", default=[], metavar="K", help="latents of --sae")
    asked.add_argument("--layer", metavar="LAYER", help="of --direction or --sae")
    asked.add_argument("--class", dest="class_", nargs="+", action="extend", default=[], metavar="CLASS", help="name or number")
    asked.add_argument("--condition", metavar="MODULE:FUNCTION", help="your function, images -> a response for each")
    request_flags.add_network(parser, "is explained, in the place of the bundle's encoder")
    given = parser.add_argument_group("what to explain it with")
    given.add_argument("--images", metavar="FOLDER", help="real pictures, best in a folder for each class (default: pictures "
                       "drawn from the prior)")  # fmt: skip
    given.add_argument("--second", metavar="NETWORK", help="another network that is asked whether it agrees, as --network "
                       "(default: the bundle's, unless it is the one that is explained)")  # fmt: skip
    for name, metavar, kind in INPUT:
        given.add_argument(f"--second-{name}", metavar=metavar, type=kind, help=f"as --{name}, of --second")
    given.add_argument("--second-bgr", action="store_true", help="as --bgr, of --second")
    given.add_argument("--bundles", nargs="+", default=[], metavar="BUNDLE", help="further bundles whose priors are shown")
    given.add_argument("--parts", nargs="+", choices=tuple(explanation.PARTS), default=list(explanation.PARTS), metavar="PART",
                       help=f"of the report: {', '.join(explanation.PARTS)} (default: all)")  # fmt: skip
    given.add_argument("--out", default="report", help="folder of the report (default: %(default)s)")
    _add_options(parser)
    terminal.add_device(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting of a report."""
    group = parser.add_argument_group("how much")
    for field in dataclasses.fields(ExplainOptions):
        default: Any = field.default
        several = isinstance(default, tuple)
        kind = type(default[0] if several else default)
        shown = " ".join(f"{one:g}" for one in default) if several else default
        about: dict[str, Any] = {"nargs": "+"} if several else {}
        about |= {"default": default, "metavar": "N" if kind is int else "X", "help": f"{HELP[field.name]} (default: {shown})"}
        group.add_argument(f"--{field.name.replace('_', '-')}", type=kind, **about)


def run(given: argparse.Namespace) -> int:
    """Makes the reports, and says where they are."""
    request_flags.check_described(given)
    options = {field.name: getattr(given, field.name) for field in dataclasses.fields(ExplainOptions)}
    options |= {"strengths": tuple(given.strengths), "method": "" if given.method == "none" else given.method}
    ExplainOptions(**options)  # says what is wrong before anything is read
    described = [f"--second-{name}" for name in (*(name for name, _, _ in INPUT), "bgr") if getattr(given, f"second_{name}")]
    if described and given.second is None:
        raise ValueError(f"got {', '.join(described)} without --second, expected the network they describe: add --second NETWORK")
    bundle = terminal.load(given)
    second = _second(given, bundle)
    wanted = {
        name: getattr(given, name)
        for name in ("class_", "unit", "direction", "sae", "latent", "layer", "condition", "activation")
    }
    network = None if given.network is None else request_flags.plugged(given, "float32")
    if all(wanted[name] in (None, []) for name in ("class_", "unit", "direction", "sae", "condition", "latent", "layer")):
        raise ValueError(
            f"got nothing to explain, expected --unit, --class, --direction, --sae or --condition: `ppgn layers "
            f"{given.network or bundle.name}` lists the layers"
        )
    request = requests.parse(bundle, **wanted, network=network)
    command = shlex.join(["ppgn", *given.words])
    acceleration.keep_freed_memory()
    try:
        with _progress() as watch:
            reports = explanation.explain(
                bundle, request, given.out, folder=given.images, second=second, bundles=given.bundles, parts=given.parts,
                command=command, watch=watch, on_kept=lambda kept: print(_kept_line(kept, len({*given.parts}))), **options,
            )  # fmt: skip
    except KeyboardInterrupt as end:
        print(
            f"\nppgn: {signals.how(end)}: the parts that are done are kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    for report in reports:
        print(_line(report))
    page = "report.html" if len(reports) == 1 else "index.html"
    print(f"wrote {given.out}/{page}, with all numbers and pictures beside it")
    return 0


def _kept_line(kept: Mapping[str, Sequence[str]], asked: int) -> str:
    """A line about the parts that were there, with the targets that keep the same ones together. asked: parts of each."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, parts in kept.items():
        if parts:
            alike.setdefault(tuple(parts), []).append(name)
    count, total = sum(map(len, kept.values())), asked * len(kept)
    which = [
        f"{'all' if len(parts) == asked else ', '.join(parts)} of {names[0] if len(names) == 1 else f'{len(names)} targets'}"
        for parts, names in alike.items()
    ]
    return f"kept {count} of {total} parts that were there: {'; '.join(which)}"


def _line(report: Mapping[str, Any]) -> str:
    """A line about a target: how it responds to synthetic pictures, and whether a second network agrees."""
    sources = report["parts"].get("synthetic", {}).get("sources", [])
    text = f"{report['name']}:"
    if sources and sources[0]["mean_multiple"] is not None:
        best = max(one["multiple"] for one in sources[0]["images"])
        text += (
            f" synthetic pictures of {sources[0]['name']} excite it {sources[0]['mean_multiple']:.2f} times as much as the best"
        )
        text += f" real one on average, at best {best:.2f} times;"
    found = report["parts"].get("transfer", {})
    if found.get("verdict") is not None:
        agrees = "responds" if found["verdict"] else "does not respond"
        text += f" {found['network']} {found['layer']}:{found['unit']} {agrees} more to them than to 95 % of real pictures"
    return text.rstrip(";:")


def _second(given: argparse.Namespace, bundle: Bundle) -> explanation.Second | None:
    """The network of --second."""
    if given.second is None:
        return None
    explained = None if given.condition else (given.network or loaders.BUNDLE_CLASSIFIER, given.weights)
    if explained == (given.second, given.second_weights):
        raise ValueError(f"got {given.second} as --second, expected another network than is explained: name another one")
    options = {name: getattr(given, f"second_{name}") for name, _, _ in INPUT}
    found: Preprocessed = loaders.network(given.second, **options, bgr=given.second_bgr, bundle=bundle)
    found.network.to(bundle.device)
    return explanation.second_network(given.second, found, bundle.image)


@contextmanager
def _progress() -> Iterator[explanation.OnPasses]:
    """A bar over the passes of networks of all reports."""
    with terminal.late_bar("explaining", unit="pass") as bar_of:

        def watch(count: int, total: int, what: str) -> None:
            shown = bar_of(total=total)
            shown.set_postfix_str(what, False)
            shown.update(count)

        yield watch
