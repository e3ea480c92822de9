"""`ppgn evaluate`: samples of a bundle, or pictures in a folder, scored beside real pictures: a table, JSON and a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppgn.cli import request_flags
from ppgn.cli.outputs import add_overwrite, check_inputs_kept
from ppgn.cli.values import BUNDLE, NETWORKS, numbers, size
from ppgn.progress import bar

if TYPE_CHECKING:
    from ppgn.evaluation import EvaluationOptions, OnProgress

EXAMPLES = """examples:
  ppgn evaluate imagenette64 --real val/ --train train/ --judge torchvision:resnet18 --judge-weights resnet18.pth
  ppgn evaluate imagenette64 --real val/ --class church parachute --count 20 --sampler langevin --condition-scale 50
  ppgn evaluate faces --real faces/ --network lite:0 --judge torchvision:resnet18        classes of a network, judged by another
  ppgn evaluate imagenette64 --real val/ --samples samples/     pictures of `ppgn sample --save-images`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command but for device and recipe, which all commands that sample share."""
    parser.description = (
        "Score samples of a bundle, or pictures in a folder, beside real pictures: a table, scores.json and index.html."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("bundle", help=BUNDLE)
    parser.add_argument("--real", required=True, metavar="FOLDER",
                        help="real pictures that nothing was trained on, a folder for each class; or the folder of the table "
                        "that the bundle was trained on, whose held-out pictures are taken")  # fmt: skip
    parser.add_argument("--train", metavar="FOLDER", help="training pictures in the same form, to find copies of them")
    parser.add_argument("--samples", metavar="FOLDER",
                        help="pictures to score instead of sampling: likewise, or from `ppgn sample --save-images`")  # fmt: skip
    parser.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="CLASS",
                        help="name, unique part of a name, or index (unless names are numbers); several, `all`, or GROUP:all "
                        "(default: all)")  # fmt: skip
    parser.add_argument("--count", type=int, help="samples of each class (default: 10, fewer for many classes; all of --samples)")
    parser.add_argument("--real-count", type=int, default=40, help="real pictures of each class, 0 for all (default: 40)")
    parser.add_argument("--train-count", type=int, default=200, help="training pictures of each class, 0 for all (default: 200)")
    parser.add_argument("--chain-steps", type=int, help="steps of a long chain of each class, 0 for none (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first chain of each class; the next ones count up")
    parser.add_argument("--batch", type=int, default=32, help="chains that run at once (default: 32)")
    parser.add_argument("--lpips", nargs="?", const="alex", metavar="NET",
                        help="diversity by LPIPS too: alex, vgg or squeeze, where its weights are on this machine")  # fmt: skip
    parser.add_argument("--inception", action="store_true",
                        help="FID and KID in Inception's features too, where its weights are on this machine")  # fmt: skip
    parser.add_argument("--out", default="evaluation", metavar="FOLDER",
                        help="folder for scores.json and index.html (default: evaluation)")  # fmt: skip
    add_overwrite(parser)
    request_flags.add_network(parser, "is asked for its classes (--class, or those in --real); without --judge it judges, too")
    _add_judge(parser)


def _add_judge(parser: argparse.ArgumentParser) -> None:
    judge = parser.add_argument_group("the judge, best a network that took no part in training or sampling")
    judge.add_argument("--judge", default="bundle:classifier", metavar="NAME", help=f"{NETWORKS} (default: the last)")
    judge.add_argument("--judge-weights", metavar="FILE", help="state dict (.pth, .safetensors) or torchvision's name of it")
    judge.add_argument("--judge-size", type=size, metavar="H[,W]", help="size of its input in pixels (default: the library's)")
    judge.add_argument("--judge-mean", type=numbers, metavar="R,G,B",
                       help="mean of its input, in the order of its channels (default: the library's)")  # fmt: skip
    judge.add_argument("--judge-std", type=numbers, metavar="R,G,B", help="std of its input (default: the library's)")
    judge.add_argument("--judge-bgr", action="store_true", help="its channels are blue, green, red (Caffe)")
    judge.add_argument("--judge-classes", nargs="+", metavar="FILE|NAME",
                       help="its classes in their order, as names or in a file, one a line (default: the library's)")  # fmt: skip
    judge.add_argument("--judge-layer", metavar="LAYER", help="layer of the features (default: the last map; see `ppgn layers`)")


def run(given: argparse.Namespace) -> int:
    """Checks all that can fail, evaluates, writes the folder and prints the table; returns the exit status."""
    from ppgn import evaluation, images
    from ppgn.cli.terminal import load, stops_without_warning

    check_inputs_kept(given, given.out, ("scores.json", "index.html"))
    options = options_of(given)
    task = evaluation.prepare(load(given), given.real, options)
    folder = images.make_folder(given.out)  # before hours of sampling
    with images.alone_in(folder):
        with stops_without_warning(), _bars() as on_progress:
            evaluated = evaluation.run(task, on_progress)
        for reason in evaluated.stopped:
            print(f"ppgn: stopped: {reason}", file=sys.stderr)
        scores, page = evaluated.save(folder)
    print(evaluated.table())
    print(f"\nwrote {scores} and {page}")
    return 0


def options_of(given: argparse.Namespace) -> EvaluationOptions:
    """The options of an evaluation from parsed arguments."""
    from ppgn.cli.recipe_flags import changes as changes_of
    from ppgn.evaluation import EvaluationOptions, JudgeSource

    if given.network is None:
        request_flags.check_described(given)
    classes: Any = given.judge_classes or ()
    if len(classes) == 1:  # a file, as a judge of one class could not tell any apart
        classes = Path(classes[0])
    adapter = {name: getattr(given, f"judge_{name}") for name in ("weights", "size", "mean", "std", "bgr", "layer")}
    names = ("train", "samples", "count", "seed", "batch", "real_count", "train_count", "chain_steps", "lpips", "inception")
    changes = {name: value for name, value in changes_of(given).items() if value is not None}
    return EvaluationOptions(
        classes=given.classes or "all",
        judge=JudgeSource(given.judge, classes=classes, **adapter),
        recipe=changes.pop("recipe", None),
        changes=changes,
        network=None if given.network is None else request_flags.plugged(given),
        **{name: getattr(given, name) for name in names},
    )


@contextmanager
def _bars() -> Iterator[OnProgress]:
    """A progress bar for the current stage, which disappears at its end."""
    bars: dict[str, Any] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            close()
            bars[stage] = bar(stage, total=total, unit="part", leave=False)
        bars[stage].total = total
        bars[stage].update(done - bars[stage].n)

    def close() -> None:
        while bars:
            bars.popitem()[1].close()

    try:
        yield show
    finally:
        close()
