"""Training-free guidance on our noise-level priors: accuracy and diversity of each method beside the bundle's default.

    python benchmarks/training_free.py imagenette64 --judge squeezenet1_0.pth --labels imagenet1000_labels.tsv --count 20

Each method is sampled `--count` times a class, by the same seeds, and judged as in heldout.py: by a network that took no part in
training or sampling, or, without --judge, by the bundle's own encoder, whose gradient the chains followed. Diversity is the mean
cosine distance of two pictures of one class, in the judge's features and in the encoder's. `--set` changes all methods (fewer
steps, say), `--tuned NAME:KEY=VALUE` one of them. `--classes` takes the first few classes, `--out` keeps the pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from heldout import Judge, judge_indices, score
from runs import add_settings, exit_on_mistake, recipe_of, setting
from torch import Tensor

import ppgn
from ppgn import images
from ppgn.recipes import GUIDANCE

DEFAULT = "default"
COLUMNS = ("method", "pictures", "accuracy", "diversity, judge", "diversity, encoder", "stopped", "s each")


def own_judge(bundle: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Pictures -> (logits, pooled features) of the bundle's encoder."""

    def judge(pictures: Tensor) -> tuple[Tensor, Tensor]:
        encoder = bundle.encoder
        return encoder.logits_from_code(encoder(pictures)), encoder.maps(pictures)[-1].mean((2, 3))

    return judge


def tuned(text: str) -> tuple[str, tuple[str, Any]]:
    """ "dps:condition_scale=0.3" -> ("dps", ("condition_scale", 0.3)). Raises ArgumentTypeError for an unknown method."""
    name, _, change = text.partition(":")
    if name not in (DEFAULT, *GUIDANCE):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME:KEY=VALUE with {', '.join((DEFAULT, *GUIDANCE))}")
    return name, setting(change)


def row(bundle: Any, judge: Any, name: str, recipe: ppgn.Recipe, given: argparse.Namespace) -> str:
    """Samples a method, judges the pictures, and says the row of the table."""
    names = bundle.classes[: given.classes]
    classes = torch.arange(len(names)).repeat_interleave(given.count)
    seeds = list(range(given.seed, given.seed + given.count)) * len(names)
    begun = time.perf_counter()
    samples = ppgn.sample(bundle, classes.tolist(), seed=seeds, batch=50, recipe=recipe)
    seconds = (time.perf_counter() - begun) / len(seeds)
    pictures = samples.images.clamp(0, 1)
    if given.out is not None:
        images.save_image(images.grid(pictures, columns=given.count, scale=1), given.out / f"{name}.png")
    with torch.no_grad():
        found = score(judge, bundle.encoder, pictures, classes)
    figures = " | ".join(f"{found[key]:.3f}" for key in ("accuracy", "diversity", "diversity_encoder"))
    return f"| {name} | {len(seeds)} | {figures} | {len(samples.stopped)} | {seconds:.2f} |"


def options() -> argparse.ArgumentParser:
    """The options of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="imagenette64")
    parser.add_argument("--judge", type=Path, help="weights of SqueezeNet 1.0 (default: the bundle's own encoder judges)")
    parser.add_argument("--labels", type=Path, help="its classes, as heldout.py takes them")
    parser.add_argument("--count", type=int, default=20, help="samples of each class (default: 20)")
    parser.add_argument("--classes", type=int, help="the first so many classes (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sample of each class (default: 0)")
    parser.add_argument("--only", nargs="*", choices=[DEFAULT, *GUIDANCE], metavar="METHOD", help="these methods only")
    parser.add_argument("--tuned", nargs="*", default=[], type=tuned, metavar="NAME:KEY=VALUE", help="a setting of one method")
    parser.add_argument("--out", type=Path, help="folder for a grid of each method's pictures")
    add_settings(parser, "those of all methods but the default")
    return parser


def main() -> None:
    given = options().parse_args()
    if (given.judge is None) != (given.labels is None):
        raise SystemExit("error: got one of --judge and --labels, expected both or none")
    if given.count < 2:
        raise SystemExit("error: got a count below 2, expected at least two pictures of a class, of which diversity speaks")
    if given.out is not None:
        images.make_folder(given.out)
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
        judge = own_judge(bundle) if given.judge is None else Judge(given.judge, judge_indices(given.labels, bundle.classes))
        print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
        for name in given.only or (DEFAULT, *GUIDANCE):
            changes = {} if name == DEFAULT else {"recipe": name, **dict(given.set)}
            changes |= dict(change for method, change in given.tuned if method == name)
            print(row(bundle, judge, name, recipe_of(bundle, changes), given), flush=True)


if __name__ == "__main__":
    main()
