"""How good are samples, and what makes them so? Every variant by the same judge and seeds: a table, the frontier, the pictures.

    python benchmarks/quality.py --judge squeezenet1_0.pth --labels imagenet1000_labels.tsv --real imagenette64/val \\
        --train imagenette64/train --out runs/quality

A variant is the bundle's default with something changed, a method of the papers, or Eq. 11 from the default's start with another
prior, noise, condition scale, number of steps, start. Each is sampled `--count` times a class from the seeds 0, 1, ..., judged
as in heldout.py, and compared with real validation pictures as `ppgn evaluate` does: those are split in two, samples are compared
with one half, and so are as many of the other half ("real", the ceiling) and what the generator makes of their codes ("real
codes"). `--baseline NAME=FOLDER` adds pictures made by something else, a folder for each class. Results are kept in --out, one
file a variant: a run that was killed goes on, `--only` picks variants. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from heldout import Judge, judge_indices, judging, real_pictures, value_of
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

import ppgn
from ppgn import images, metrics, recipes
from ppgn.types import Evaluation

RELEASED = "_released"
FIVE = ("ppgn_x", "dgn_am", "ppgn_h", "joint_ppgn_h", "noiseless_joint_ppgn_h")
EQ_11 = {"sampler": "langevin", "step_size": 1.0, "step_size_end": 1.0, "temperature": 3.0}  # the papers' rule
GAUSSIAN = {"start": "codes", "draws": 1}
ADAPTIVE: dict[str, dict[str, Any]] = {
    "default": {},
    **{f"temperature {value:g}": {"temperature": value} for value in (1.0, 2.0, 3.0, 5.0)},
    **{f"{steps} steps": {"steps": steps} for steps in (10, 15, 50)},
    "Gaussian start": GAUSSIAN,
    "Gaussian start, 50 steps, temperature 5": {**GAUSSIAN, "steps": 50, "temperature": 5.0},
    "1 draw": {"draws": 1},
    "160 draws": {"draws": 160},
    "step size 0.2": {"step_size_end": 0.2},
    "step size 0.3 to 0.03": {"step_size": 0.3, "step_size_end": 0.03},
    **{f"prior scale {scale:g}": {"prior_scale": scale} for scale in (0.05, 0.5)},
    "momentum 0.5": {"momentum": 0.5},
}
LANGEVIN: dict[str, dict[str, Any]] = {
    "": {},
    **{f", {steps} steps": {"steps": steps} for steps in (1, 5, 10, 15, 50, 100)},
    **{f", Gaussian start, {steps} steps": {**GAUSSIAN, "steps": steps} for steps in (25, 35, 200)},
    ", chosen Gaussian start": {"start": "codes", "draws": 40, "draw_power": 2.0},
    ", 1 draw": {"draws": 1},
    **{f", {draws} draws": {"draws": draws} for draws in (10, 160)},
    **{f", draw power {power:g}": {"draw_power": power} for power in (1.0, 4.0)},
    **{f", prior scale {scale:g}": {"prior_scale": scale} for scale in (0.0, 0.05, 0.5)},
    ", prior denoiser": {"prior": "denoiser"},
    ", prior noise level": {"prior": "noise_level", "level": 0.3},
    **{f", condition scale {scale:g}": {"condition_scale": scale} for scale in (10.0, 25.0, 100.0, 200.0)},
    **{f", noise {scale:g}": {"noise_scale": scale} for scale in (0.1, 0.3, 1.0)},
    **{f", temperature {value:g}": {"temperature": value} for value in (1.0, 2.0, 5.0)},
}
VARIANTS: dict[str, dict[str, Any]] = {
    **ADAPTIVE,
    **{name: {"recipe": name} for name in FIVE},
    **{name + RELEASED: {"recipe": name + RELEASED} for name in FIVE[2:]},
    **{f"Eq. 11{name}": {**EQ_11, **changes} for name, changes in LANGEVIN.items()},
    "annealed": {
        "sampler": "annealed",
        "prior": "noise_level",
        "step_size": 0.2,
        "corrections": 2,
        "condition_scale": 10.0,
        "step_size_end": 1.0,
        "temperature": 3.0,
    },
}
HEAD = (
    "pictures",
    "number",
    "accuracy",
    "diversity, judge",
    "diversity, encoder",
    "FID",
    "precision",
    "coverage",
    "copies",
    "s each",
)
NEAR = ((0.66, 0.92), (0.41, 0.58))
"""Accuracies and diversities of what can stand beside real pictures."""
SHOWN = ("accuracy", "feature_diversity", "diversity_encoder", "frechet", "precision", "coverage")


@dataclasses.dataclass(frozen=True, eq=False)
class Yard:
    """What every variant is measured with: bundle, judge, features of the real pictures to compare with, and of training ones."""

    bundle: Any
    judge: Judge
    reference: Tensor
    training: Tensor | None

    def judged(self, pictures: Tensor, classes: Tensor) -> tuple[metrics.Judged, Tensor]:
        """The judge's view, and the pooled features of the bundle's encoder."""
        outputs = []
        with torch.no_grad():
            for batch in tqdm(pictures.split(50), "judging", leave=False):
                outputs.append((*self.judge(batch), self.bundle.encoder.maps(batch)[-1].mean((2, 3))))
        logits, features, own = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return metrics.Judged(classes, logits, features), own

    def scores(self, pictures: Tensor, judged: metrics.Judged, own: Tensor, compared: Tensor | None = None) -> dict[str, Any]:
        found = None if self.training is None else metrics.copies(judged.features, self.training)
        told = metrics.report(judged, pictures, self.reference, compared, found)
        return metrics.finite({**told, "diversity_encoder": metrics.feature_diversity(own, judged.classes)})


def kept(path: Path, asked: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the file says if it answers what is asked; else made now and written."""
    if path.is_file():
        told = json.loads(path.read_text())
        if told["asked"] == asked:
            return told
    told = {"asked": asked, **make()}
    images.write_atomically(path, lambda place: place.write_text(json.dumps(told, indent=1)))
    return told


def features_of(given: argparse.Namespace, name: str, root: Path, count: int, judge: Judge, bundle: Any) -> dict[str, Tensor]:
    """Classes, logits, both features and pictures of a folder, kept in --out."""
    path = given.out / f"{name}_{count}.safetensors"
    if not path.is_file():
        pictures, classes = real_pictures(root, bundle.class_names, count, bundle.image_size)
        judged, own = Yard(bundle, judge, torch.empty(0), None).judged(pictures, classes)
        found = {"classes": classes, "logits": judged.logits, "features": judged.features, "own": own, "pictures": pictures}
        images.write_atomically(path, lambda place: save_file(found, place))
    return load_file(path)


def sampled(yard: Yard, given: argparse.Namespace, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """`--count` samples of each class by a variant, their scores, and a grid of the first ten."""
    names = yard.bundle.class_names
    classes = torch.arange(len(names)).repeat_interleave(given.count)
    seeds = list(range(given.seed, given.seed + given.count)) * len(names)
    begun = time.perf_counter()
    with tqdm(total=-(-len(seeds) // 50) * recipes.settings_for(yard.bundle, **changes).steps, desc=name, leave=False) as bar:

        def watch(step: int, evaluation: Evaluation) -> None:
            bar.update()

        samples = ppgn.sample(yard.bundle, classes.tolist(), seed=seeds, batch=50, watch=watch, **changes)
    seconds = time.perf_counter() - begun
    pictures = samples.images.clamp(0, 1)
    shown = pictures.reshape(len(names), given.count, *pictures.shape[1:])[:, :10].flatten(0, 1)
    images.save_image(images.grid(shown, columns=min(10, given.count), scale=1), given.out / f"{slug(name)}.png")
    told = yard.scores(pictures, *yard.judged(pictures, classes))
    return {**told, "seconds_per_sample": seconds / len(seeds), "stopped": len(samples.stopped)}


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)


def row(name: str, told: dict[str, Any]) -> str:
    figures = " | ".join(f"{told[key]:.3f}" if told[key] is not None else "-" for key in SHOWN)
    copies = "-" if told["copies"] is None else f"{told['copies']['below_one']:.3f}"
    seconds = f"{told['seconds_per_sample']:.2f}" if "seconds_per_sample" in told else ""
    return f"| {name} | {told['pictures']} | {figures} | {copies} | {seconds} |"


def short(name: str) -> str:
    """Grey dots are all of Eq. 11."""
    return name.removeprefix("Eq. 11, ")


def is_of_papers(name: str) -> bool:
    return name.removesuffix(RELEASED) in FIVE


def colour_of(name: str) -> str:
    if name.startswith("real"):
        return "#c2571a"
    return "#1f5fa8" if name in ADAPTIVE else "#2a7f3f" if is_of_papers(name) else "#777777"


def _is_along(name: str) -> bool:
    return name.startswith("temperature ") or name == "default"


def frontier(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Accuracy against diversity, a dot a variant, and the upper right, which is good, once more and larger."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "ppgn"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(15, 8), width_ratios=(1, 2.2))
    places = {name: (told["accuracy"], told["diversity_encoder"]) for name, told in found.items()}
    inside = {
        name for name, place in places.items() if all(low <= at <= high for at, (low, high) in zip(place, NEAR, strict=True))
    }
    for axes, own in zip(panels, (set(places) - inside, inside), strict=True):
        for number, name in enumerate(sorted(places, key=lambda name: places[name][1])):
            colour = colour_of(name)
            axes.scatter(*places[name], color=colour, marker="s" if is_of_papers(name) else "o", s=24, zorder=2)
            if name in own:  # on both sides in turn: neighbours would cover each other
                side = {"xytext": (4, -2)} if number % 2 else {"xytext": (-4, -2), "horizontalalignment": "right"}
                axes.annotate(short(name), places[name], textcoords="offset points", fontsize=7, color=colour, **side)
        along = {told["asked"]["settings"]["temperature"]: name for name, told in found.items() if _is_along(name)}
        axes.plot(*zip(*(places[along[value]] for value in sorted(along)), strict=True), color="#1f5fa8", alpha=0.4, zorder=1)
        axes.set_xlabel("judged to be of the class asked for (held-out SqueezeNet 1.0)")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("diversity within a class (cosine distance of SqueezeNet 1.1 features)")
    panels[0].set_title("all (named on the right where they are near)", fontsize=9)
    panels[0].margins(x=0.2)
    panels[1].set(xlim=NEAR[0], ylim=NEAR[1])
    panels[1].set_title("blue: the default with a change, grey: Eq. 11 with a change, green: the papers' methods", fontsize=9)
    figure.tight_layout()
    images.write_atomically(path, lambda place: figure.savefig(place, format=path.suffix[1:], metadata={"Date": None}))


def main() -> None:
    options = judging(__doc__)
    options.set_defaults(real_count=0)
    options.add_argument("--train", type=Path, help="training pictures, likewise: are samples copies of them?")
    options.add_argument("--train-count", type=int, default=0, help="of each class, 0 for all (default: 0)")
    options.add_argument("--count", type=int, default=20, help="samples of each class (default: 20)")
    options.add_argument("--seed", type=int, default=0, help="the first of each class (default: 0)")
    options.add_argument("--only", nargs="*", choices=list(VARIANTS), metavar="VARIANT", help="these variants only")
    options.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of all variants")
    options.add_argument("--baseline", nargs="*", default=[], metavar="NAME=FOLDER", help="pictures made by something else")
    options.add_argument("--out", type=Path, default=Path("runs/quality"), help="where results are kept")
    options.add_argument("--plot", type=Path, default=Path("docs/quality.svg"))
    given = options.parse_args()
    images.make_folder(given.out)
    bundle = ppgn.load(given.bundle)
    judge = Judge(given.judge, judge_indices(given.labels, bundle.class_names))
    real = features_of(given, "real", given.real, given.real_count, judge, bundle)
    training = features_of(given, "train", given.train, given.train_count, judge, bundle) if given.train else None
    half, other = metrics.halves(real["classes"])
    wanted = torch.arange(len(bundle.class_names)).repeat_interleave(given.count)
    compared = other[metrics.like(real["classes"][other], wanted)]
    yard = Yard(bundle, judge, real["features"][half], None if training is None else training["features"])

    def of_real() -> dict[str, Any]:
        own = metrics.Judged(*(real[key][other] for key in ("classes", "logits", "features")))
        return yard.scores(real["pictures"][other], own, real["own"][other], real["features"][compared])

    def of_codes() -> dict[str, Any]:
        """G(E(x)) of the real pictures that are compared: what no model of the codes can pass."""
        with torch.no_grad():
            decoded = torch.cat([bundle.generator(bundle.encoder(batch)) for batch in real["pictures"][compared].split(50)])
        return yard.scores(decoded, *yard.judged(decoded.clamp(0, 1), real["classes"][compared]))

    about = {"count": given.count, "real_count": given.real_count, "train_count": given.train_count if given.train else None}
    weights = hashlib.sha256(json.dumps(bundle.info["parts"], sort_keys=True).encode()).hexdigest()
    found = {"real": kept(given.out / f"real_{given.count}.json", about, of_real)}
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    print(row("real", found["real"]), flush=True)
    found["real codes"] = kept(given.out / f"real_codes_{given.count}.json", {**about, "weights": weights}, of_codes)
    print(row("real codes", found["real codes"]), flush=True)
    for entry in given.baseline:
        name, folder = entry.split("=", 1)

        def of_baseline(folder: str = folder) -> dict[str, Any]:
            pictures, classes = real_pictures(Path(folder), bundle.class_names, given.count, bundle.image_size)
            return yard.scores(pictures, *yard.judged(pictures, classes))

        found[name] = kept(given.out / f"{slug(name)}_{given.count}.json", {**about, "folder": folder}, of_baseline)
        print(row(name, found[name]), flush=True)
    if odd := [entry for entry in given.set if "=" not in entry]:
        options.error(f"got --set {odd[0]}, expected KEY=VALUE: write precision=float32, say")
    for_all = {key: value_of(text) for key, text in (entry.split("=", 1) for entry in given.set)}
    for name in tqdm(given.only or VARIANTS, "variants"):
        changes = {**VARIANTS[name], **for_all}
        settings = dataclasses.asdict(recipes.settings_for(bundle, **changes))
        asked = {
            **about,
            "seed": given.seed,
            "weights": weights,
            "settings": settings,
            "torch": torch.__version__,
            "machine": platform.processor(),
        }
        path = given.out / f"{slug(name)}_{given.count}.json"
        found[name] = kept(path, asked, lambda name=name, changes=changes: sampled(yard, given, name, changes))
        tqdm.write(row(name, found[name]))
    frontier(found, given.plot)


if __name__ == "__main__":
    main()
