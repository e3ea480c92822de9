"""`ppgn tune`: recipes tried on short chains, a page and a table that compare them, and the best one for `--settings`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ppgn import tuning
from ppgn.bundle import Bundle
from ppgn.cli import outputs, recipe_flags, request_flags, signals, terminal
from ppgn.cli.messages import in_flags
from ppgn.cli.values import BUNDLE
from ppgn.progress import bar

EXAMPLES = """examples:
  ppgn tune imagenette64 --unit trunk.12:7 --out tuned
  ppgn sample imagenette64 --unit trunk.12:7 --settings tuned/settings.json
  ppgn tune imagenette64 --network torchvision:resnet18 --weights resnet18.pth --class tabby --trials 30 --out tabby
  ppgn tune imagenette64 --condition my_module:my_function --steps 100 --most-gap 4 --out mine
  ppgn tune imagenette64 --unit trunk.12:7 --enough 60 --out realistic      as good as a real picture, then realism
  ppgn tune imagenette64 --class all --count 4 --sampler langevin --temperature 3 --out classes
  ppgn tune imagenette64 --unit trunk.12:7 --out tuned --trials 40          20 more of the first study
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command but for those of recipes and of the machine."""
    parser.description = (
        "Try recipes on short chains from the same seeds. The best one meets the condition best within two limits: how far "
        "pictures are from what the generator knows, and how alike they are. The first trial is the default. A setting that is "
        "given by its flag is not searched. A page says why the best one is. The same "
        "command again goes on where it ended."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("bundle", help=BUNDLE)
    request_flags.add_arguments(parser)
    search = parser.add_argument_group("the search")
    search.add_argument("--trials", type=int, default=20, metavar="N", help="recipes to try, with the default (default: 20)")
    search.add_argument("--count", type=int, default=8, metavar="N", help="chains of each class or unit in a trial (default: 8)")
    search.add_argument(
        "--seed", type=int, default=0, help="seed of the first chain of each class or unit; the next ones count up"
    )
    search.add_argument("--most-gap", type=float, default=tuning.MOST_GAP, metavar="LIMIT",
                        help="of |E(G(h)) - h|, how far codes h are from what the generator knows; 1 is that of realistic codes "
                        "(default: %(default)s)")  # fmt: skip
    search.add_argument("--least-diversity", type=float, default=tuning.LEAST_DIVERSITY, metavar="LIMIT",
                        help="of the chains of a class or unit; 1 is that of pictures of anything "
                        "(default: %(default)s)")  # fmt: skip
    search.add_argument("--enough", type=float, metavar="VALUE",
                        help="activation, value or log-probability above which chains have met the condition; of the recipes "
                        "that reach it the most varied one near real pictures is best (default: "
                        f"{tuning.ENOUGH} for probabilities)")  # fmt: skip
    search.add_argument("--out", default="tuned", metavar="FOLDER",
                        help="for tune.html, a page that says what was searched and why this setting; settings.json, tune.png; "
                        "and trials.json, from which it goes on (default: tuned)")  # fmt: skip
    outputs.add_overwrite(parser)


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, makes the trials that are lacking, then writes and prints the best."""
    outputs.check_inputs_kept(given, given.out, (tuning.SETTINGS, "tune.png", tuning.PAGE, "trials.json"))
    terminal.check_counts(given, "trials", "count")
    study = tuning.Study(given.out, _search(given, terminal.load(given)))
    try:
        with _progress(study, given.trials) as watch:
            study.run(given.trials, watch)
    except KeyboardInterrupt as end:
        done = f"{len(study.trials)} of {given.trials} trials: the same command goes on from there"
        print(f"\nppgn: {signals.how(end)} after {done}", file=sys.stderr)
        return 130
    use = _use(given, study)
    study.save(use)
    print(f"{study.table()}\n\n{study.legend()}\n\n{in_flags(study.verdict(), vars(given))}")
    print(f"use the recipe, here with seeds that the search did not see: `{use}`")
    print(f"wrote settings.json, trials.json, tune.png and the page {study.folder / tuning.PAGE}, which says why: open it")
    return 0


def _use(given: argparse.Namespace, study: tuning.Study) -> str:
    """The command that samples with the recipe, from the first seed that the search did not see."""
    words = ["ppgn", "sample", given.bundle, *request_flags.typed(given), "--settings", str(study.folder / tuning.SETTINGS)]
    return shlex.join([*words, "--seed", str(given.seed + given.count)])


def _search(given: argparse.Namespace, bundle: Bundle) -> tuning.Tuning:
    """`count` chains for each target, with the same seeds for all of them; what flags set is not searched."""
    targets = request_flags.request(given, bundle)
    request = targets.each(given.count)
    return tuning.Tuning(
        bundle,
        request,
        count=len(request),
        seed=[given.seed + chain for _ in range(len(targets)) for chain in range(given.count)],
        most_gap=given.most_gap,
        least_diversity=given.least_diversity,
        enough=given.enough,
        **recipe_flags.changes(given),
    )


@contextmanager
def _progress(study: tuning.Study, trials: int) -> Iterator[tuning.OnTrial]:
    """A bar over the trials that shows the best one so far."""
    done = len(study.trials)
    with bar("tuning", total=max(trials, done), initial=done, unit="trial") as shown:

        def watch(trial: tuning.Trial) -> None:
            best = tuning.best_of(study.trials)
            shown.set_postfix_str(f"best: {best.title}, {tuning.number(best.log_prob)}", refresh=False)
            shown.update()

        yield watch
