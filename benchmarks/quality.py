"""How good are samples, and what makes them so? Every variant by the same judge and seeds: a table, the frontier, the pictures.

    python benchmarks/quality.py --judge squeezenet1_0.pth --labels imagenet1000_labels.tsv --real imagenette64/val \\
        --train imagenette64/train --out runs/quality

A variant (quality_variants.py) is the bundle's default with a change, a method of the papers, or Eq. 11 from the default's start
with another prior, noise, condition scale, number of steps or start. Each is sampled `--count` times a class with seeds 0, 1,
..., judged as in heldout.py, and compared with real validation pictures as `ppgn evaluate` does. These are split in two: samples
are compared with one half, and so are as many pictures of the other half ("real", the ceiling) and what the generator makes of
their codes ("real codes"). `--baseline NAME=FOLDER` adds other pictures, a folder for each class. Results are kept in `--out`, a
file for each variant: after an interruption the same command goes on. `--only` picks variants. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from heldout import Judge, judge_indices, judging, real_pictures
from quality_plot import frontier
from quality_variants import VARIANTS
from runs import add_settings, exit_on_mistake, recipe_of
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

import ppgn
from ppgn import evaluation, images
from ppgn.types import Evaluation

COLUMNS = (
    "pictures", "number", "accuracy", "diversity, judge", "diversity, encoder", "FID", "precision", "coverage", "copies",
    "s each",
)  # fmt: skip
SHOWN = ("accuracy", "feature_diversity", "diversity_encoder", "frechet", "precision", "coverage")
Scores = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Yard:
    """What every variant is measured with: bundle, judge, features `[picture, feature]` of the real pictures to compare with, and
    of the training pictures, or None."""

    bundle: Any
    judge: Judge
    reference: Tensor
    training: Tensor | None

    def judged(self, pictures: Tensor, classes: Tensor) -> tuple[evaluation.Judged, Tensor]:
        """(what the judge sees; the pooled features of the bundle's encoder, `[picture, feature]`)."""
        outputs = []
        with torch.no_grad():
            for batch in tqdm(pictures.split(50), "judging", leave=False):
                outputs.append((*self.judge(batch), self.bundle.encoder.maps(batch)[-1].mean((2, 3))))
        logits, features, by_encoder = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return evaluation.Judged(classes, logits, features), by_encoder

    def scores(self, pictures: Tensor, judged: evaluation.Judged, by_encoder: Tensor, compared: Tensor | None = None) -> Scores:
        """The scores of pictures. compared: features to compare with the reference, by default those of the pictures."""
        copies = None if self.training is None else evaluation.copies(judged.features, self.training)
        scores = evaluation.report(judged, pictures, self.reference, compared, copies)
        return evaluation.json_safe({**scores, "diversity_encoder": evaluation.feature_diversity(by_encoder, judged.classes)})


def kept(path: Path, request: dict[str, Any], make: Callable[[], Scores]) -> Scores:
    """The content of the file if it answers this request; else the scores are computed now and written."""
    if path.is_file():
        found = json.loads(path.read_text())
        if found.get("request") == request:
            return found
    found = {"request": request, **make()}
    images.write_atomically(path, lambda place: place.write_text(json.dumps(found, indent=1)))
    return found


def features_of(given: argparse.Namespace, name: str, root: Path, count: int, judge: Judge, bundle: Any) -> dict[str, Tensor]:
    """Classes, logits, both features and pictures of a folder, kept in --out."""
    path = given.out / f"{name}_{count}.safetensors"
    if not path.is_file():
        pictures, classes = real_pictures(root, bundle.classes, count, bundle.image.size)
        judged, by_encoder = Yard(bundle, judge, torch.empty(0), None).judged(pictures, classes)
        found = {"classes": classes, "logits": judged.logits, "features": judged.features}
        found |= {"encoder": by_encoder, "pictures": pictures}
        images.write_atomically(path, lambda place: save_file(found, place))
    return load_file(path)


def sampled(yard: Yard, given: argparse.Namespace, name: str, recipe: ppgn.Recipe) -> Scores:
    """Scores of `--count` samples of each class by a variant; a grid of the first ten of each is written."""
    names = yard.bundle.classes
    classes = torch.arange(len(names)).repeat_interleave(given.count)
    seeds = list(range(given.seed, given.seed + given.count)) * len(names)
    begun = time.perf_counter()
    with tqdm(total=-(-len(seeds) // 50) * recipe.steps, desc=name, leave=False) as bar:

        def watch(step: int, evaluation: Evaluation) -> None:
            bar.update()

        samples = ppgn.sample(yard.bundle, classes.tolist(), seed=seeds, batch=50, watch=watch, recipe=recipe)
    seconds = time.perf_counter() - begun
    pictures = samples.images.clamp(0, 1)
    shown = pictures.reshape(len(names), given.count, *pictures.shape[1:])[:, :10].flatten(0, 1)
    images.save_image(images.grid(shown, columns=min(10, given.count), scale=1), given.out / f"{slug(name)}.png")
    scores = yard.scores(pictures, *yard.judged(pictures, classes))
    return {**scores, "seconds_per_sample": seconds / len(seeds), "stopped": len(samples.stopped)}


def slug(name: str) -> str:
    """The name as a file name."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)


def row(name: str, scores: Scores) -> str:
    """A row of the table."""
    figures = " | ".join(f"{scores[key]:.3f}" if scores[key] is not None else "-" for key in SHOWN)
    copies = "-" if scores["copies"] is None else f"{scores['copies']['below_one']:.3f}"
    seconds = f"{scores['seconds_per_sample']:.2f}" if "seconds_per_sample" in scores else ""
    return f"| {name} | {scores['pictures']} | {figures} | {copies} | {seconds} |"


@dataclass(frozen=True, eq=False)
class Study:
    """A run of the benchmark: its options, its yard, and the real pictures by `features_of`."""

    given: argparse.Namespace
    yard: Yard
    real: dict[str, Tensor]

    @property
    def about(self) -> dict[str, Any]:
        """The part of a request that all results share."""
        given = self.given
        return {"count": given.count, "real_count": given.real_count, "train_count": given.train_count if given.train else None}

    @property
    def weights(self) -> str:
        """A digest of the bundle's parts."""
        return hashlib.sha256(json.dumps(self.yard.bundle.info["parts"], sort_keys=True).encode()).hexdigest()

    def path(self, name: str) -> Path:
        """The file of a result."""
        return self.given.out / f"{slug(name)}_{self.given.count}.json"

    def results(self, variants: dict[str, ppgn.Recipe]) -> Iterator[tuple[str, Scores]]:
        """(name, scores) of real pictures, their codes, baselines and variants, each as it is ready."""
        names, count = self.yard.bundle.classes, self.given.count
        other = evaluation.split_halves(self.real["classes"])[1]
        wanted = torch.arange(len(names)).repeat_interleave(count)
        compared = other[evaluation.match_counts(self.real["classes"][other], wanted)]
        yield "real", kept(self.path("real"), self.about, lambda: self.of_real(other, compared))
        about = {**self.about, "weights": self.weights}
        yield "real codes", kept(self.path("real codes"), about, lambda: self.of_codes(compared))
        for name, folder in self.given.baseline:
            yield name, kept(self.path(name), {**self.about, "folder": folder}, lambda folder=folder: self.of_folder(folder))
        for name, recipe in tqdm(variants.items(), "variants"):
            request = {**about, "seed": self.given.seed, "recipe": recipe.to_json()}
            request |= {"torch": torch.__version__, "machine": platform.processor()}
            scores = kept(self.path(name), request, lambda name=name, recipe=recipe: sampled(self.yard, self.given, name, recipe))
            yield name, scores

    def of_real(self, other: Tensor, compared: Tensor) -> Scores:
        """The ceiling: the other half of the real pictures, of which `compared` are compared with the reference as a set."""
        judged = evaluation.Judged(*(self.real[key][other] for key in ("classes", "logits", "features")))
        return self.yard.scores(
            self.real["pictures"][other], judged, self.real["encoder"][other], self.real["features"][compared]
        )

    def of_codes(self, compared: Tensor) -> Scores:
        """G(E(x)) of the real pictures that are compared: no model of the codes can do better."""
        bundle = self.yard.bundle
        with torch.no_grad():
            decoded = torch.cat([bundle.generator(bundle.encoder(batch)) for batch in self.real["pictures"][compared].split(50)])
        return self.yard.scores(decoded, *self.yard.judged(decoded.clamp(0, 1), self.real["classes"][compared]))

    def of_folder(self, folder: str) -> Scores:
        """Pictures made by something else."""
        bundle = self.yard.bundle
        pictures, classes = real_pictures(Path(folder), bundle.classes, self.given.count, bundle.image.size)
        return self.yard.scores(pictures, *self.yard.judged(pictures, classes))


def named_folder(text: str) -> tuple[str, str]:
    """ "GAN=FOLDER" -> ("GAN", "FOLDER"). Raises ArgumentTypeError without an equals sign."""
    name, sign, folder = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=FOLDER: write GAN=pictures, say")
    return name, folder


def options() -> argparse.ArgumentParser:
    """The options of the script."""
    parser = judging(__doc__)
    parser.set_defaults(real_count=0)
    parser.add_argument("--train", type=Path, help="training pictures, likewise, to find copies of them")
    parser.add_argument("--train-count", type=int, default=0, help="training pictures of each class, 0 for all (default: 0)")
    parser.add_argument("--count", type=int, default=20, help="samples of each class (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sample of each class (default: 0)")
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), metavar="VARIANT", help="these variants only")
    add_settings(parser, "those of all variants")
    parser.add_argument("--baseline", nargs="*", default=[], type=named_folder, metavar="NAME=FOLDER", help="other pictures")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"), help="folder of the results (default: runs/quality)")
    parser.add_argument("--plot", type=Path, default=Path("docs/quality.svg"), help="file for the frontier")
    return parser


def main() -> None:
    given = options().parse_args()
    images.make_folder(given.out)
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
        changes = {name: {**VARIANTS[name], **dict(given.set)} for name in given.only or VARIANTS}
        variants = {name: recipe_of(bundle, changed) for name, changed in changes.items()}
    judge = Judge(given.judge, judge_indices(given.labels, bundle.classes))
    real = features_of(given, "real", given.real, given.real_count, judge, bundle)
    training = features_of(given, "train", given.train, given.train_count, judge, bundle) if given.train else None
    half = evaluation.split_halves(real["classes"])[0]
    yard = Yard(bundle, judge, real["features"][half], None if training is None else training["features"])
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    found = {}
    for name, scores in Study(given, yard, real).results(variants):
        found[name] = scores
        tqdm.write(row(name, scores))
    frontier(found, given.plot)


if __name__ == "__main__":
    main()
