"""Do samples show the type and the colour asked for, also in pairs that training never saw? Judges that took no part say so.

    python benchmarks/composition.py --root fashion_products64 --judge runs/products64/judge/checkpoints/last.ckpt

A judge is a checkpoint of scripts/train_encoder.py with other weights than the bundle's encoder, trained on the same split
(training/configs/products64_judge.yaml); of several judges the probabilities are multiplied. Of the `--pairs`, as large a share
is absent from training as of all pairs of its classes, unless `--absent` says otherwise. `--seed` orders both kinds; pair number
i, from 0, is sampled once, with seed i and the bundle's own settings. None is selected by eye. The judges see held-out pictures,
too: all of them, and one of each pair, since samples are asked for rare pairs as often as for frequent ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from heldout import value_of
from torch import Tensor
from tqdm import tqdm

import ppgn
from ppgn import images, recipes
from ppgn.conditions.classes import class_groups
from ppgn.tables import Table, table_of
from ppgn.types import Evaluation
from training.files import read_checkpoint, read_network

Pair: TypeAlias = tuple[int, ...]
"""One class of each group."""
Groups: TypeAlias = Mapping[str, tuple[int, int]]
Judge: TypeAlias = Callable[[Tensor], Tensor]
"""Pictures `[picture, channel, height, width]` -> logits `[picture, class]` of the bundle's classes."""
Measure: TypeAlias = Callable[[argparse.Namespace, ppgn.Bundle, dict[str, Any]], dict[str, Any]]
"""(options, bundle, changed settings) -> the figures."""
BATCH = 50
SHOWN = 20  # pairs of each half in the picture
MISTAKES = 8


def table_for(bundle: ppgn.Bundle, root: Path) -> Table:
    """`tables.table_of`, or ValueError where the bundle was not trained on the table in `root`."""
    found = table_of(bundle.info, root)
    if found is None:
        raise ValueError(f"bundle {bundle.name} was not trained on a table in {root}: give its table, or choose another")
    return found


def pairs_of(labels: Iterable[Pair]) -> tuple[list[Pair], list[Pair]]:
    """(pairs that occur, pairs that do not though each of their classes does), sorted."""
    present = set(labels)
    occurring = [sorted(set(column)) for column in zip(*present, strict=True)]
    return sorted(present), [pair for pair in itertools.product(*occurring) if pair not in present]


def drawn(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """`count` pairs in an order by chance; where there are fewer, that order again and again. ValueError where there is none."""
    if not pairs:
        raise ValueError(f"got no pair to draw {count} from: training saw all pairs of its classes, or none")
    return list(itertools.islice(itertools.cycle(random.Random(seed).sample(pairs, len(pairs))), count))


def read_judge(path: Path, bundle: ppgn.Bundle) -> Judge:
    """The classifier of a checkpoint; ValueError where it is the bundle's own encoder or lacks one of the bundle's classes."""
    network, names = read_network(path, "encoder"), read_checkpoint(path)["class_names"]
    lacking = [name for name in bundle.class_names if name not in names]
    if lacking:
        raise ValueError(f"the judge {path} knows no {', '.join(lacking)}: train it on the bundle's table")
    own, head = bundle.encoder.fc8.weight.cpu(), network.fc8.weight
    if own.shape == head.shape and torch.allclose(own, head, atol=1e-3):
        raise ValueError(f"the judge {path} is the bundle's own encoder: train another one with products64_judge.yaml")
    columns = [names.index(name) for name in bundle.class_names]
    return lambda pictures: classified(network, pictures)[:, columns]


def classified(encoder: Any, pictures: Tensor) -> Tensor:
    """An encoder's logits `[picture, class]`."""
    return encoder.logits_from_code(encoder(pictures))


@torch.no_grad()
def judged(judges: Sequence[Judge], pictures: Tensor, groups: Groups) -> Tensor:
    """The class of each group that the judges hold likeliest, `[picture, group]`: argmax of sum over judges of log softmax."""
    found = []
    for batch in tqdm(pictures.split(BATCH), "judging", leave=False):
        logits = [judge(batch) for judge in judges]
        votes = [sum(one[:, first:last].log_softmax(1) for one in logits) for first, last in groups.values()]
        best = [torch.as_tensor(vote).argmax(1) + first for vote, (first, _) in zip(votes, groups.values(), strict=True)]
        found.append(torch.stack(best, 1))
    return torch.cat(found)


def score(asked: Tensor, found: Tensor, groups: Groups) -> dict[str, Any]:
    """Shares of pictures with the class asked for, by group and in all groups at once; both `[picture, group]`."""
    right = asked == found
    shares = dict(zip(groups, right.float().mean(0).tolist(), strict=True))
    return {"pictures": len(asked), **shares, "both": float(right.all(1).float().mean())}


def mistakes(asked: Tensor, found: Tensor, names: tuple[str, ...]) -> dict[str, list[tuple[str, str, int]]]:
    """Group -> (asked for, judged, how often) of its most frequent mistakes; both `[picture, group]`."""
    groups = class_groups(names)
    by_group = {}
    for group, wanted, seen_as in zip(groups, asked.unbind(1), found.unbind(1), strict=True):
        wrong = wanted != seen_as
        counted = Counter(zip(wanted[wrong].tolist(), seen_as[wrong].tolist(), strict=True)).most_common(MISTAKES)
        by_group[group] = [(short(names[a]), short(names[b]), times) for (a, b), times in counted]
    return by_group


def short(name: str) -> str:
    """ "colour:Navy Blue" -> "Navy Blue"."""
    return name.partition(":")[2]


def sampled(bundle: ppgn.Bundle, pairs: Sequence[Pair], changes: Mapping[str, Any]) -> recipes.Samples:
    """One sample of each pair, seeds 0, 1, ..., under a bar."""
    steps = recipes.settings_for(bundle, **changes).steps
    with tqdm(total=steps * math.ceil(len(pairs) / BATCH), desc="sampling", mininterval=1.0) as bar:

        def watch(step: int, evaluation: Evaluation) -> None:
            bar.update()

        return ppgn.sample(bundle, list(pairs), seed=0, batch=BATCH, watch=watch, **changes)


def held_out(table: Table, bundle: ppgn.Bundle) -> tuple[Tensor, Tensor]:
    """Pictures that no network was trained on, `[picture, channel, size, size]` in [0, 1], and their pairs `[picture, group]`."""
    pixels = [images.load_image(path, bundle.image_size, bundle.channels) for path, _ in table.held_out]
    return torch.stack(pixels), torch.tensor([label for _, label in table.held_out])


def picture_of(bundle: ppgn.Bundle, table: Table, made: Tensor, asked: Tensor, found: Tensor, absent: int) -> Any:
    """The first samples of pairs in training, a training picture of each, and the first samples of the `absent` last pairs."""
    begin = len(asked) - absent
    present, unseen = range(min(SHOWN, begin)), range(begin, begin + min(SHOWN, absent))
    paths = {label: path for path, label in reversed(table.training)}
    seen = [images.load_image(paths[tuple(asked[index].tolist())], bundle.image_size, bundle.channels) for index in present]

    def label(index: int) -> str:
        names = ", ".join(short(bundle.class_names[one]) for one in asked[index].tolist())
        wrong = [
            short(bundle.class_names[b]) for a, b in zip(asked[index].tolist(), found[index].tolist(), strict=True) if a != b
        ]
        return names + (f"\njudged {', '.join(wrong)}" if wrong else "")

    labels = [*(label(index) for index in present), *("training picture" for _ in present)]
    labels += [f"absent: {label(index)}" for index in unseen]
    return images.grid([*made[list(present)], *seen, *made[list(unseen)]], labels, columns=10, scale=2)


def measure(given: argparse.Namespace, bundle: ppgn.Bundle, changes: dict[str, Any]) -> dict[str, Any]:
    """Runs everything, writes the picture, and returns the figures."""
    table, groups = table_for(bundle, given.root), bundle.class_groups
    judges = [read_judge(path, bundle) for path in given.judge]
    present, absent = pairs_of(label for _, label in table.training)
    share = len(absent) / (len(present) + len(absent))
    unseen = round(share * given.pairs) if given.absent is None else given.absent
    pairs = drawn(present, given.pairs - unseen, given.seed) + (drawn(absent, unseen, given.seed) if unseen else [])
    begun = time.perf_counter()
    made = sampled(bundle, pairs, changes)
    seconds = time.perf_counter() - begun
    asked, found = torch.tensor(pairs), judged(judges, made.images, groups)
    own = judged([lambda pictures: classified(bundle.encoder, pictures)], made.images, groups)
    real, real_pairs = held_out(table, bundle)
    real_found = judged(judges, real, groups)
    if given.grid:
        images.save_image(picture_of(bundle, table, made.images, asked, found, unseen), given.grid)
    told = enumerate(zip(pairs, found.tolist(), strict=True))
    return {
        "pairs_in_training": len(present),
        "pairs_absent": len(absent),
        "rows": rows_of(asked, found, unseen, groups) | real_rows(real_pairs, real_found, groups),
        "own": score(asked, own, groups),
        "mistakes": {
            "samples": mistakes(asked, found, bundle.class_names),
            "real pictures": mistakes(real_pairs, real_found, bundle.class_names),
        },
        "samples": [{"seed": seed, "asked": wanted, "judged": seen_as} for seed, (wanted, seen_as) in told],
        "seconds": seconds,
    }


def rows_of(asked: Tensor, found: Tensor, absent: int, groups: Groups) -> dict[str, Any]:
    """Scores of the samples `[picture, group]`, of which the last `absent` were asked for pairs absent from training."""
    begin = len(asked) - absent
    return {
        "samples, pairs in training": score(asked[:begin], found[:begin], groups),
        "samples, absent pairs": score(asked[begin:], found[begin:], groups),
        "samples, all": score(asked, found, groups),
    }


def real_rows(pairs: Tensor, found: Tensor, groups: Groups) -> dict[str, Any]:
    """Scores of the held-out pictures `[picture, group]`, and of the first of each pair among them."""
    first: dict[Pair, int] = {}
    for index, pair in enumerate(pairs.tolist()):
        first.setdefault(tuple(pair), index)
    rows = {"real held-out pictures": slice(None), "real, one of each pair": list(first.values())}
    return {name: score(pairs[part], found[part], groups) for name, part in rows.items()}


def report(result: dict[str, Any], groups: Groups) -> None:
    """The table, and what was taken for what."""
    columns = (*groups, "both")
    print(f"| pictures | number | {' | '.join(f'{name} right' for name in columns)} |\n| --- | --- |{' --- |' * len(columns)}")
    for name, row in result["rows"].items():
        print(f"| {name} | {row['pictures']} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")
    own = ", ".join(f"{name} {result['own'][name]:.3f}" for name in columns)
    print(f"\nthe bundle's own encoder finds in all samples {own}; sampling took {result['seconds']:.0f} s")
    print(f"training saw {result['pairs_in_training']} pairs of its classes, {result['pairs_absent']} it did not")
    for what, by_group in result["mistakes"].items():
        for group, wrong in by_group.items():
            print(f"{group} of {what}: " + (", ".join(f"{a} judged {b} {times}" for a, b, times in wrong) or "no mistake"))


def options_for(about: str | None) -> argparse.ArgumentParser:
    """The options that benchmarks of products64 have in common."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="products64")
    options.add_argument("--judge", type=Path, nargs="+", required=True, help="checkpoints of scripts/train_encoder.py")
    options.add_argument("--root", type=Path, required=True, help="folder with the table that the bundle was trained on")
    options.add_argument("--seed", type=int, default=0, help="of all that is drawn by chance: the order of the pairs")
    options.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings other than the bundle's")
    options.add_argument("--grid", type=Path, help="write some samples here")
    options.add_argument("--json", type=Path, help="write the figures here")
    return options


def run(given: argparse.Namespace, measure: Measure, report: Callable[[dict[str, Any], Groups], None]) -> None:
    """Measures, tells, and writes the figures; a mistake is a sentence and status 2."""
    try:
        bundle = ppgn.load(given.bundle)
        changes = {key: value_of(text) for key, text in (entry.split("=", 1) for entry in given.set)}
        result = measure(given, bundle, changes)
    except ValueError as fault:
        print(f"error: {fault}", file=sys.stderr)
        raise SystemExit(2) from fault
    report(result, bundle.class_groups)
    if given.json:
        about = {"bundle": bundle.name, "settings": changes, "judges": [str(path) for path in given.judge], "seed": given.seed}
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        given.json.write_text(json.dumps({**about, **machine, **result}, indent=2))


def main() -> None:
    options = options_for(__doc__)
    options.add_argument("--pairs", type=int, default=200, help="samples, one a pair (default: 200)")
    options.add_argument("--absent", type=int, help="of these, pairs absent from training (default: their share of all pairs)")
    given = options.parse_args()
    if given.pairs < 2 or not 0 <= (given.absent or 0) < given.pairs:
        options.error(f"got --pairs {given.pairs} and --absent {given.absent}, expected at least 2, some of them of training")
    run(given, measure, report)


if __name__ == "__main__":
    main()
