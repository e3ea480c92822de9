"""How good is natural128? Reconstructions, drawn codes, samples of objects and scenes, and pairs of both, by judges apart.

    python benchmarks/natural.py --judge efficientnet-lite2.pth --squeezenet squeezenet1_0.pth \\
        --labels imagenet1000_labels.tsv --imagenette imagenette128 --scenes miniplaces128 --objects miniimagenet84 \\
        --only reconstructions draws samples scenes pairs --out runs/natural

The judge is EfficientNet-Lite2, a sister of the encoder's trunk; SqueezeNet 1.0 judges too. Scenes are judged by a linear
classifier over SqueezeNet 1.0's maps of the training scenes. Of ten Imagenette classes a judge chooses among the ten. Seeds begin
at `--seed`. Results are printed and kept in `--out`, with the pictures, none selected.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from heldout import Judge, diversity, judge_indices
from natural_judges import BATCH, LinearJudge, Lite, batches, linear_judge
from runs import add_settings, exit_on_mistake, recipe_of
from torch import Tensor
from torchvision.datasets import ImageFolder
from tqdm import tqdm

import ppgn
from ppgn import evaluation, images, starts
from ppgn.probe import Passes
from ppgn.types import CodeSpace

TEN = ("tench", "english springer", "cassette player", "chain saw", "church", "french horn", "garbage truck", "gas pump",
       "golf ball", "parachute")  # fmt: skip


DRAWS = 2000
"""Codes that are drawn without a request."""


class Yard:
    """What every part is measured with: options, bundle, judges."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.bundle = given, ppgn.load(given.bundle)
        self.classes = list(self.bundle.classes)
        self.lite2 = Lite(given.judge)
        ten = judge_indices(given.labels, TEN)
        squeezenet = Judge(given.squeezenet, ten)
        self.judges = {
            "Lite2": lambda pictures: self.lite2(pictures)[0][:, ten],
            "SqueezeNet": lambda pictures: squeezenet(pictures)[0],
        }
        self.recipe = recipe_of(self.bundle, dict(given.set))

    def features(self, pictures: Tensor) -> Tensor:
        """Lite2's pooled features `[picture, feature]`."""
        return self.lite2(pictures)[1]

    def scenes(self) -> tuple[LinearJudge, list[str]]:
        """The judge of scenes, trained once, and their names in its order."""
        return linear_judge(self.given.squeezenet, self.given.scenes / "train", self.given.out / "scene_judge.pt")

    def right(self, pictures: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """By judge, whether it names the class `[picture]`, a number among the TEN."""
        return {name: (over(judge, pictures).argmax(1) == classes).float() for name, judge in self.judges.items()}

    def sample(self, requests: list[Any], first: int) -> Tensor:
        """One sample of each request, seeds first, first + 1, ..."""
        parts = []
        for begin in tqdm(range(0, len(requests), BATCH), "sampling", leave=False):
            seeds = list(range(first + begin, first + begin + len(requests[begin : begin + BATCH])))
            parts.append(ppgn.sample(self.bundle, requests[begin : begin + BATCH], seed=seeds, recipe=self.recipe).images)
        return torch.cat(parts)


@torch.no_grad()
def over(network: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """The network over pictures, BATCH at a time."""
    return torch.cat([network(batch) for batch in pictures.split(BATCH)])


def validation(root: Path, names: list[str] | tuple[str, ...]) -> tuple[list[str], Tensor]:
    """(files, numbers of their classes in `names`) of `root/val/<class>/*`, in order."""
    folder = ImageFolder(str(root / "val"))
    plain = [name.replace("_", " ").lower() for name in folder.classes]
    found = [(path, names.index(plain[label])) for path, label in folder.samples if plain[label] in names]
    return [path for path, _ in found], torch.tensor([label for _, label in found])


def reconstructions(yard: Yard) -> dict[str, Any]:
    """All validation pictures of the ten classes, and what the generator makes of their codes."""
    paths, classes = validation(yard.given.imagenette, TEN)
    scores: dict[str, Any] = {"pictures": len(paths)}
    made, real = [], []
    with torch.no_grad():
        for batch in batches(paths, yard.bundle.image.size):
            real.append(batch)
            made.append(yard.bundle.generator(yard.bundle.encoder(batch)))
    sets = {"real": torch.cat(real), "reconstructed": torch.cat(made)}
    for name, pictures in sets.items():
        for judge, right in yard.right(pictures, classes).items():
            scores[f"{name}, {judge}"] = float(right.mean())
            scores[f"{name}, {judge}, by class"] = by_class(right, classes)
    half, others = evaluation.split_halves(classes)
    reference = over(yard.features, sets["real"][half])
    compared = others[evaluation.match_counts(classes[others], torch.arange(10).repeat_interleave(yard.given.count))]
    for name, pictures in sets.items():
        distances = evaluation.set_distances(reference, over(yard.features, pictures[compared]))
        scores[f"coverage, FID, {len(compared)} {name}"] = [distances["coverage"], distances["frechet"]]
    return scores


@torch.no_grad()
def draws(yard: Yard) -> dict[str, Any]:
    """DRAWS codes drawn without a request: their length, the surest hundred, and how far all pictures are from real ones."""
    bundle, given = yard.bundle, yard.given
    roots = (given.imagenette, given.objects, given.scenes)
    paths = sorted(str(path) for root in roots for path in (root / "train").rglob("*.*"))
    real = torch.cat(list(batches(random.Random(0).sample(paths, DRAWS), bundle.image.size)))
    start = starts.GuidedCodes(guidance=0.0) if given.stochastic else starts.NoiseLevelCodes()
    space, passes = CodeSpace(bundle.code.shape, relu=False), Passes(bundle.parts)
    seeds = range(given.seed, given.seed + DRAWS)
    drawn = torch.cat(
        [start.draw(part, range(1), space, passes)[0] for part in (seeds[k : k + 500] for k in range(0, DRAWS, 500))]
    )
    codes = {
        "draws": drawn,
        "real codes": over(lambda batch: bundle.encoder.fc6_before_relu(bundle.encoder.maps(batch)[-1]), real),
    }
    pictures = {name: over(bundle.generator, code.relu()) for name, code in codes.items()}
    images.save_image(images.grid(pictures["draws"][:100], columns=10, scale=1), given.out / "draws.png")
    model, reference = bundle.parts["noise_level"], over(yard.features, real)
    scores = {}
    for name, code in codes.items():
        scores[f"norm, {name}"] = float(((code - model.mean) / model.std).norm(dim=1).mean())
        scores[f"FID, {name}"] = evaluation.set_distances(reference, over(yard.features, pictures[name]))["frechet"]
        sure, shown = surest(yard, bundle.encoder.logits_from_code(code.relu()).softmax(1), pictures[name])
        scores |= {f"{key}, {name}": value for key, value in sure.items()}
        images.save_image(images.grid(shown, columns=10, scale=1), given.out / f"surest_{name.split()[0]}.png")
    return scores


def surest(yard: Yard, probability: Tensor, pictures: Tensor) -> tuple[dict[str, float], Tensor]:
    """(how many of the hundred surest pictures Lite2 confirms: of all objects among all, of the TEN among the TEN; the former).

    probability: of the bundle's classes, by the head from the code, `[picture, class]`.
    """
    names = [name.removeprefix("object:") for name in yard.classes if name.startswith("object:")]
    scores, shown = {}, []
    for chosen, among in ((names, "all objects"), (list(TEN), "ten")):
        confidence, label = probability[:, [yard.classes.index(f"object:{name}") for name in chosen]].max(1)
        best = confidence.topk(100).indices
        columns = judge_indices(yard.given.labels, chosen)
        said = over(lambda batch, columns=columns: yard.lite2(batch)[0][:, columns], pictures[best]).argmax(1)
        scores[f"surest confirmed, {among}"] = float((said == label[best]).float().mean())
        shown.append(pictures[best])
    return scores, shown[0]


def samples(yard: Yard) -> dict[str, Any]:
    """`--count` samples of each of the ten classes with the default recipe, beside real validation pictures."""
    count = yard.given.count
    classes = torch.arange(10).repeat_interleave(count)
    begun = time.perf_counter()
    made = yard.sample([yard.classes.index(f"object:{TEN[index]}") for index in classes], yard.given.seed)
    seconds = time.perf_counter() - begun
    shown = made.reshape(10, count, *made.shape[1:])[:, :10].flatten(0, 1)
    images.save_image(images.grid(shown, columns=min(10, count), scale=1), yard.given.out / "samples.png")
    paths, labels = validation(yard.given.imagenette, TEN)
    reference, compared = evaluation.split_halves(labels)
    real = torch.cat(list(batches([paths[index] for index in torch.cat([reference, compared])], yard.bundle.image.size)))
    features = over(yard.features, real)
    half = len(reference)
    of_samples = over(yard.features, made)
    scores: dict[str, Any] = {"samples": len(made), "seconds": seconds}
    right = yard.right(made, classes)
    scores |= {f"right, {name}": float(found.mean()) for name, found in right.items()}
    scores["right, Lite2, by class"] = by_class(right["Lite2"], classes)
    squeezed = Judge(yard.given.squeezenet, [0])
    sets = (("real", real[half:], features[half:], labels[compared]), ("samples", made, of_samples, classes))
    for name, part, by_lite2, of in sets:
        scores[f"diversity, Lite2, {name}"] = diversity(by_lite2, of)
        scores[f"diversity, SqueezeNet, {name}"] = diversity(over(lambda batch: squeezed(batch)[1], part), of)
    distances = evaluation.set_distances(features[:half], of_samples)
    scores["coverage, FID"] = [distances["coverage"], distances["frechet"]]
    return scores


def scenes(yard: Yard) -> dict[str, Any]:
    """`--scene-count` samples of each of the hundred scenes, and real validation pictures: top-1 and top-5."""
    judge, names = yard.scenes()
    paths, labels = validation(yard.given.scenes, names)
    real = over(judge, torch.cat(list(batches(paths, yard.bundle.image.size))))
    classes = torch.arange(len(names)).repeat_interleave(yard.given.scene_count)
    made = yard.sample([yard.classes.index(f"scene:{names[index]}") for index in classes], yard.given.seed)
    images.save_image(images.grid(made[:: yard.given.scene_count], columns=10, scale=1), yard.given.out / "scenes.png")
    logits = over(judge, made)
    return {
        f"{name}, top-{k}": top(part, of, k)
        for k in (1, 5)
        for name, part, of in (("real", real, labels), ("samples", logits, classes))
    }


def pairs(yard: Yard) -> dict[str, Any]:
    """100 random pairs of an object and a scene, a sample each: does the judge of each name it among its first k?"""
    judge, names = yard.scenes()
    objects = [name.removeprefix("object:") for name in yard.classes if name.startswith("object:")]
    columns, chance = judge_indices(yard.given.labels, objects), random.Random(0)
    chosen = [(chance.randrange(len(objects)), chance.randrange(len(names))) for _ in range(100)]
    made = yard.sample([f"object:{objects[a]} & scene:{names[b]}" for a, b in chosen], yard.given.seed)
    labels = [f"{objects[a]}, {names[b]}" for a, b in chosen]
    images.save_image(images.grid(made[:20], labels[:20], columns=5), yard.given.out / "pairs.png")
    first, second = (torch.tensor(part) for part in zip(*chosen, strict=True))
    by_object, by_scene = over(lambda batch: yard.lite2(batch)[0][:, columns], made), over(judge, made)
    scores = {}
    for k in (1, 5):
        found = [(part.topk(k, 1).indices == of[:, None]).any(1) for part, of in ((by_object, first), (by_scene, second))]
        scores |= {f"object, top-{k}": float(found[0].float().mean()), f"scene, top-{k}": float(found[1].float().mean())}
        scores[f"both, top-{k}"] = float((found[0] & found[1]).float().mean())
    return scores


def top(logits: Tensor, classes: Tensor, k: int) -> float:
    """Share of pictures whose class is among the first k."""
    return float((logits.topk(k, 1).indices == classes[:, None]).any(1).float().mean())


def by_class(right: Tensor, classes: Tensor) -> dict[str, float]:
    """Share of right answers of each of the TEN."""
    return {name: round(float(right[classes == index].mean()), 3) for index, name in enumerate(TEN)}


PARTS = {part.__name__: part for part in (reconstructions, draws, samples, scenes, pairs)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="natural128")
    for name in ("judge", "squeezenet", "labels", "imagenette", "scenes", "objects", "out"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--count", type=int, default=50, help="samples of each of the ten classes (default: 50)")
    options.add_argument("--scene-count", type=int, default=10, help="samples of each scene (default: 10)")
    options.add_argument("--stochastic", action="store_true", help="draw with the noise of the guided start")
    add_settings(options)
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with exit_on_mistake():
        yard = Yard(given)
    about = {"bundle": str(given.bundle), "seed": given.seed, "recipe": yard.recipe.to_json(), "torch": torch.__version__,
             "machine": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}  # fmt: skip
    for name in given.only:
        scores = PARTS[name](yard)
        print(f"{name}:", json.dumps(scores, indent=1), flush=True)
        images.write_atomically(
            given.out / f"{name}.json", lambda place, found=scores: place.write_text(json.dumps({**about, **found}, indent=1))
        )


if __name__ == "__main__":
    main()
