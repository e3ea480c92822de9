"""Do samples show the type and the colour of their request, also in pairs that training never saw? Separate judges decide.

    python benchmarks/composition.py --root fashion_products64 --judge runs/products64/judge/checkpoints/last.ckpt

A judge is a checkpoint of scripts/train_encoder.py with other weights than the bundle's encoder, trained on the same split
(training/configs/products64_judge.yaml). The probabilities of several judges are multiplied. Of the `--pairs`, the same share
is absent from training as of all pairs of its classes, unless `--absent` says otherwise. `--seed` orders both kinds of pairs.
Pair number i, from 0, is sampled once, with seed i and the bundle's recipe. No sample is selected by eye. The judges also see
held-out pictures: all of them, and one of each pair, since rare pairs are sampled as often as frequent ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image as Pillow
from runs import add_settings, exit_on_mistake, recipe_of
from torch import Tensor
from tqdm import tqdm

import ppgn
from ppgn import images
from ppgn.types import Evaluation
from training import read_checkpoint, read_network

Pair: TypeAlias = tuple[int, ...]
"""A class of each group."""
Groups: TypeAlias = Mapping[str, tuple[int, int]]
Judge: TypeAlias = Callable[[Tensor], Tensor]
"""Pictures `[picture, channel, height, width]` -> logits `[picture, class]` of the bundle's classes."""
Measure: TypeAlias = Callable[[argparse.Namespace, ppgn.Bundle, ppgn.Recipe], dict[str, Any]]
"""(options, bundle, recipe) -> the numbers."""
BATCH = 50
SHOWN = 20
"""Pairs of each kind in the grid."""
MISTAKES = 8
"""Mistakes that are listed, the most frequent first."""


def table_for(bundle: ppgn.Bundle, root: Path) -> images.Table:
    """The table in `root` that the bundle was trained on; ValueError where it was trained on something else."""
    found = images.table_of(bundle.info.get("training", {}), bundle.classes, root)
    if found is None:
        raise ValueError(f"bundle {bundle.name} was not trained on a table in {root}: give its table, or choose another")
    return found


def pairs_of(labels: Iterable[Pair]) -> tuple[list[Pair], list[Pair]]:
    """(pairs that occur, pairs that do not occur though each of their classes does), sorted."""
    present = set(labels)
    occurring = [sorted(set(column)) for column in zip(*present, strict=True)]
    return sorted(present), [pair for pair in itertools.product(*occurring) if pair not in present]


def drawn(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """`count` pairs in a random order; where there are fewer, that order again and again. ValueError without pairs."""
    if not pairs:
        raise ValueError(f"got no pair to draw {count} from: training saw all pairs of its classes, or none")
    return list(itertools.islice(itertools.cycle(random.Random(seed).sample(pairs, len(pairs))), count))


def read_judge(path: Path, bundle: ppgn.Bundle) -> Judge:
    """The classifier of a checkpoint; ValueError where it is the bundle's encoder or lacks a class of the bundle."""
    network, names = read_network(path, "encoder"), read_checkpoint(path)["class_names"]
    lacking = [name for name in bundle.classes if name not in names]
    if lacking:
        raise ValueError(f"the judge {path} knows no {', '.join(lacking)}: train it on the bundle's table")
    bundle_head, head = bundle.encoder.fc8.weight.cpu(), network.fc8.weight
    if bundle_head.shape == head.shape and torch.allclose(bundle_head, head, atol=1e-3):
        raise ValueError(f"the judge {path} is the bundle's own encoder: train another one with products64_judge.yaml")
    columns = [names.index(name) for name in bundle.classes]
    return lambda pictures: classified(network, pictures)[:, columns]


def classified(encoder: Any, pictures: Tensor) -> Tensor:
    """An encoder's logits `[picture, class]`."""
    return encoder.logits_from_code(encoder(pictures))


@torch.no_grad()
def judged(judges: Sequence[Judge], pictures: Tensor, groups: Groups) -> Tensor:
    """The likeliest class of each group, `[picture, group]`: argmax of the sum over judges of log softmax."""
    found = []
    for batch in tqdm(pictures.split(BATCH), "judging", leave=False):
        logits = [judge(batch) for judge in judges]
        votes = [sum(values[:, first:last].log_softmax(1) for values in logits) for first, last in groups.values()]
        best = [torch.as_tensor(vote).argmax(1) + first for vote, (first, _) in zip(votes, groups.values(), strict=True)]
        found.append(torch.stack(best, 1))
    return torch.cat(found)


def score(wanted: Tensor, found: Tensor, groups: Groups) -> dict[str, Any]:
    """Shares of pictures that show the wanted class, by group and in all groups at once; both `[picture, group]`."""
    right = wanted == found
    shares = dict(zip(groups, right.float().mean(0).tolist(), strict=True))
    return {"pictures": len(wanted), **shares, "both": float(right.all(1).float().mean())}


def mistakes(wanted: Tensor, found: Tensor, names: tuple[str, ...], groups: Groups) -> dict[str, list[tuple[str, str, int]]]:
    """Group -> (wanted class, judged class, how often) of its most frequent mistakes; both `[picture, group]`."""
    by_group = {}
    for group, right, seen in zip(groups, wanted.unbind(1), found.unbind(1), strict=True):
        wrong = right != seen
        counted = Counter(zip(right[wrong].tolist(), seen[wrong].tolist(), strict=True)).most_common(MISTAKES)
        by_group[group] = [(short(names[a]), short(names[b]), times) for (a, b), times in counted]
    return by_group


def short(name: str) -> str:
    """ "colour:Navy Blue" -> "Navy Blue"."""
    return name.partition(":")[2]


def sampled(bundle: ppgn.Bundle, pairs: Sequence[Pair], recipe: ppgn.Recipe) -> ppgn.Samples:
    """A sample of each pair, seeds 0, 1, ..., under a progress bar."""
    with tqdm(total=recipe.steps * math.ceil(len(pairs) / BATCH), desc="sampling", mininterval=1.0) as bar:

        def watch(step: int, evaluation: Evaluation) -> None:
            bar.update()

        return ppgn.sample(bundle, list(pairs), seed=0, batch=BATCH, watch=watch, recipe=recipe)


def held_out(table: images.Table, bundle: ppgn.Bundle) -> tuple[Tensor, Tensor]:
    """(pictures that no network was trained on, `[picture, channel, height, width]`; their pairs `[picture, group]`)."""
    pixels = [images.load_image(path, bundle.image.size, bundle.image.channels) for path, _ in table.held_out]
    return torch.stack(pixels), torch.tensor([label for _, label in table.held_out])


def grid_of(
    bundle: ppgn.Bundle, table: images.Table, pictures: Tensor, wanted: Tensor, found: Tensor, absent: int
) -> Pillow.Image:
    """The first samples of pairs in training, a training picture of each, and the first samples of the `absent` last pairs."""
    begin = len(wanted) - absent
    present, unseen = range(min(SHOWN, begin)), range(begin, begin + min(SHOWN, absent))
    paths = {label: path for path, label in reversed(table.training)}
    size, channels = bundle.image.size, bundle.image.channels
    seen = [images.load_image(paths[tuple(wanted[index].tolist())], size, channels) for index in present]

    def label(index: int) -> str:
        names = ", ".join(short(bundle.classes[number]) for number in wanted[index].tolist())
        pairs = zip(wanted[index].tolist(), found[index].tolist(), strict=True)
        wrong = [short(bundle.classes[b]) for a, b in pairs if a != b]
        return names + (f"\njudged {', '.join(wrong)}" if wrong else "")

    labels = [*(label(index) for index in present), *("training picture" for _ in present)]
    labels += [f"absent: {label(index)}" for index in unseen]
    return images.grid([*pictures[list(present)], *seen, *pictures[list(unseen)]], labels, columns=10, scale=2)


def measure(given: argparse.Namespace, bundle: ppgn.Bundle, recipe: ppgn.Recipe) -> dict[str, Any]:
    """Sample, judge, write the grid, and return the numbers."""
    table, groups = table_for(bundle, given.root), bundle.class_groups
    judges = [read_judge(path, bundle) for path in given.judge]
    present, absent = pairs_of(label for _, label in table.training)
    share = len(absent) / (len(present) + len(absent))
    unseen = round(share * given.pairs) if given.absent is None else given.absent
    pairs = drawn(present, given.pairs - unseen, given.seed) + (drawn(absent, unseen, given.seed) if unseen else [])
    begun = time.perf_counter()
    samples = sampled(bundle, pairs, recipe)
    seconds = time.perf_counter() - begun
    wanted, found = torch.tensor(pairs), judged(judges, samples.images, groups)
    by_encoder = judged([lambda pictures: classified(bundle.encoder, pictures)], samples.images, groups)
    real, real_pairs = held_out(table, bundle)
    real_found = judged(judges, real, groups)
    if given.grid:
        images.save_image(grid_of(bundle, table, samples.images, wanted, found, unseen), given.grid)
    rows = enumerate(zip(pairs, found.tolist(), strict=True))
    return {
        "pairs_in_training": len(present),
        "pairs_absent": len(absent),
        "rows": rows_of(wanted, found, unseen, groups) | real_rows(real_pairs, real_found, groups),
        "encoder": score(wanted, by_encoder, groups),
        "mistakes": {
            "samples": mistakes(wanted, found, bundle.classes, groups),
            "real pictures": mistakes(real_pairs, real_found, bundle.classes, groups),
        },
        "samples": [{"seed": seed, "wanted": pair, "judged": seen} for seed, (pair, seen) in rows],
        "seconds": seconds,
    }


def rows_of(wanted: Tensor, found: Tensor, absent: int, groups: Groups) -> dict[str, Any]:
    """Scores of the samples `[picture, group]`, the last `absent` of which are of pairs absent from training."""
    begin = len(wanted) - absent
    return {
        "samples, pairs in training": score(wanted[:begin], found[:begin], groups),
        "samples, absent pairs": score(wanted[begin:], found[begin:], groups),
        "samples, all": score(wanted, found, groups),
    }


def real_rows(pairs: Tensor, found: Tensor, groups: Groups) -> dict[str, Any]:
    """Scores of the held-out pictures `[picture, group]`, and of the first of each pair among them."""
    first: dict[Pair, int] = {}
    for index, pair in enumerate(pairs.tolist()):
        first.setdefault(tuple(pair), index)
    rows = {"real held-out pictures": slice(None), "real, one of each pair": list(first.values())}
    return {name: score(pairs[part], found[part], groups) for name, part in rows.items()}


def report(result: dict[str, Any], groups: Groups) -> None:
    """Print the table and the most frequent mistakes."""
    columns = (*groups, "both")
    print(f"| pictures | number | {' | '.join(f'{name} right' for name in columns)} |\n| --- | --- |{' --- |' * len(columns)}")
    for name, row in result["rows"].items():
        print(f"| {name} | {row['pictures']} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")
    by_encoder = ", ".join(f"{name} {result['encoder'][name]:.3f}" for name in columns)
    print(f"\nthe bundle's encoder finds in all samples {by_encoder}; sampling took {result['seconds']:.0f} s")
    print(f"training saw {result['pairs_in_training']} pairs of its classes and did not see {result['pairs_absent']}")
    for what, by_group in result["mistakes"].items():
        for group, wrong in by_group.items():
            print(f"{group} of {what}: " + (", ".join(f"{a} judged {b} {times}" for a, b, times in wrong) or "no mistake"))


def options_for(about: str | None) -> argparse.ArgumentParser:
    """The options that benchmarks of products64 have in common."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="products64")
    options.add_argument("--judge", type=Path, nargs="+", required=True, help="checkpoints of scripts/train_encoder.py")
    options.add_argument("--root", type=Path, required=True, help="folder with the table that the bundle was trained on")
    options.add_argument("--seed", type=int, default=0, help="seed of the order of the pairs (default: 0)")
    add_settings(options)
    options.add_argument("--grid", type=Path, help="file for a grid of samples")
    options.add_argument("--json", type=Path, help="file for the numbers")
    return options


def run(
    given: argparse.Namespace, measure: Measure, report: Callable[[dict[str, Any], Groups], None], kind: str = "class"
) -> None:
    """Measure, report, and write the numbers; a mistake ends in one sentence and status 2. kind: of request, for the recipe."""
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
        recipe = recipe_of(bundle, dict(given.set), kind)
        result = measure(given, bundle, recipe)
    report(result, bundle.class_groups)
    if given.json:
        judges = [str(path) for path in given.judge]
        about = {"bundle": bundle.name, "recipe": recipe.to_json(), "judges": judges, "seed": given.seed}
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        given.json.write_text(json.dumps({**about, **machine, **result}, indent=2))


def main() -> None:
    options = options_for(__doc__)
    options.add_argument("--pairs", type=int, default=200, help="number of samples, one of each pair (default: 200)")
    options.add_argument("--absent", type=int, help="number of pairs absent from training (default: their share of all)")
    given = options.parse_args()
    if given.pairs < 2 or not 0 <= (given.absent or 0) < given.pairs:
        options.error(f"got --pairs {given.pairs} and --absent {given.absent}, expected at least 2, some of them of training")
    run(given, measure, report)


if __name__ == "__main__":
    main()
