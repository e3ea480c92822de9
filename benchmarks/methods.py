"""The five methods of the PPGN paper, measured and side by side: docs/methods.jpg and the tables of docs/methods.md.

    python benchmarks/methods.py --judge squeezenet1_0.pth --labels imagenet1000_labels.tsv --real imagenette64/val

Every method makes `--count` samples of each class from the same seeds (`--released-count` with the released rule). Then
`--chains` chains of each class run on. The distance between pictures of the same chain, `--every` steps apart, shows how well a
method mixes. The picture shows a single class: nine real pictures that excite the class unit most, nine samples of each method
(seeds 0 to 8), nine random real pictures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from heldout import Judge, diversity, judge_indices, judging, real_pictures, score
from PIL import Image, ImageDraw, ImageFont
from runs import evaluations, exit_on_mistake
from torch import Tensor
from tqdm import tqdm

import ppgn
from ppgn import images, recipes, requests
from ppgn.bundle import Bundle
from ppgn.conditions import Logit

METHODS = ("ppgn_x", "dgn_am", "ppgn_h", "joint_ppgn_h", "noiseless_joint_ppgn_h")
RELEASED = ("ppgn_h_released", "joint_ppgn_h_released", "noiseless_joint_ppgn_h_released")
ABSTRACT = (1e-5, 1e-3, 1e-1)
"""Epsilon 1 of the released example, "more abstract", and "ignores the class"; 101 steps each."""


@dataclass(frozen=True)
class Measured:
    """The pictures of a method `[class * count, 3, height, width]`, and its row of the table."""

    pictures: Tensor
    row: dict[str, Any]


def measure(bundle: Bundle, judge: Judge, method: str, count: int, **changes: Any) -> Measured:
    """`count` samples of each class by a method: the condition's probability of the class, judged accuracy, diversity."""
    classes = torch.arange(len(bundle.classes)).repeat_interleave(count)
    seeds = list(range(count)) * len(bundle.classes)
    begun = time.perf_counter()
    samples = ppgn.sample(bundle, classes.tolist(), seed=seeds, batch=50, recipe=method, **changes)
    seconds = time.perf_counter() - begun
    scores = score(judge, bundle.encoder, samples.images, classes)
    by_logit = isinstance(samples.recipe.measure, Logit)
    probability = encoder_probability(bundle, samples, classes) if by_logit else float(samples.log_prob.exp().mean())
    row = {"method": method, **changes, "recipe": samples.recipe.to_json(), "samples": len(seeds)}
    row |= {"steps": samples.recipe.steps, "probability": probability, "seconds": seconds}
    return Measured(samples.images, row | {key: scores[key] for key in ("accuracy", "diversity", "diversity_encoder")})


def encoder_probability(bundle: Bundle, samples: ppgn.Samples, classes: Tensor) -> float:
    """The encoder's mean probability of the class, where the condition was its logit."""
    with torch.no_grad():
        logits = bundle.encoder.logits_from_code(bundle.encoder(samples.images))
    return float(logits.softmax(1).gather(1, classes[:, None]).mean())


def mixing(bundle: Bundle, method: str, given: argparse.Namespace) -> float:
    """Diversity of the pictures of a chain, `--every` steps apart after the first `--every`, averaged over chains."""
    recipe = recipes.recipe_for(bundle, "class", method, steps=given.steps + 1)
    classes = [index for index in range(len(bundle.classes)) for _ in range(given.chains)]
    steps = evaluations(bundle, classes, list(range(given.chains)) * len(bundle.classes), recipe)
    seen = [evaluation.image for step, evaluation in enumerate(steps) if step and step % given.every == 0]
    with torch.no_grad():
        features = torch.cat([bundle.encoder.maps(batch)[-1].mean((2, 3)) for batch in seen])
    return diversity(features, torch.arange(len(classes)).repeat(len(seen)))


def exciting(bundle: Bundle, index: int, pictures: Tensor, count: int = 9) -> Tensor:
    """The pictures with the highest logit of the class, by the bundle's classifier."""
    with torch.no_grad():
        logits = torch.cat([bundle.encoder.logits_from_code(bundle.encoder(batch))[:, index] for batch in pictures.split(64)])
    return pictures[logits.topk(count).indices]


def figure(blocks: dict[str, Tensor]) -> Image.Image:
    """Each block of nine pictures as three by three under its name, side by side."""
    tiles = [images.grid(block[:9], columns=3, scale=1) for block in blocks.values()]
    font, gap, head = ImageFont.load_default(15), 12, 26
    width, height = tiles[0].size
    canvas = Image.new("RGB", (len(tiles) * (width + gap) + gap, height + head + gap), "white")
    draw = ImageDraw.Draw(canvas)
    for place, (name, tile) in enumerate(zip(blocks, tiles, strict=True)):
        left = gap + place * (width + gap)
        canvas.paste(tile, (left, head))
        draw.text((left + width / 2, head / 2), name, fill="black", font=font, anchor="mm")
    return canvas


def measured(bundle: Bundle, judge: Judge, given: argparse.Namespace) -> Iterator[tuple[str, Measured]]:
    """All methods, then the released rule at three scales of the prior; each row is printed when it is ready."""
    for method in (*METHODS, *RELEASED):
        found = measure(bundle, judge, method, given.count if method in METHODS else given.released_count)
        found.row["mixing"] = mixing(bundle, method, given)
        print_row(found.row)
        yield method, found
    for scale in ABSTRACT:
        found = measure(bundle, judge, RELEASED[-1], given.released_count, prior_scale=scale, steps=101)
        print_row(found.row)
        yield f"prior_scale {scale:g}", found


def print_row(row: dict[str, Any]) -> None:
    name = row["method"] + (f", e1 {row['prior_scale']:g}" if "prior_scale" in row else "")
    mixed = f"{row['mixing']:.3f}" if "mixing" in row else ""
    figures = " | ".join(f"{row[key]:.3f}" for key in ("probability", "accuracy", "diversity_encoder", "diversity"))
    print(f"| {name} | {row['samples']} | {row['steps']} | {figures} | {mixed} | {row['seconds']:.0f} |", flush=True)


def options() -> argparse.ArgumentParser:
    """The options of the script."""
    parser = judging(__doc__)
    parser.add_argument("--class", dest="wanted", default="church", help="class of the picture (default: church)")
    parser.add_argument("--count", type=int, default=10, help="samples of each class, seeds 0, 1, ... (default: 10)")
    parser.add_argument("--released-count", type=int, default=4, help="the same for the released rule, 201 steps (default: 4)")
    parser.add_argument("--chains", type=int, default=1, help="chains of each class that run on (default: 1)")
    parser.add_argument("--steps", type=int, default=200, help="steps of these chains (default: 200)")
    parser.add_argument("--every", type=int, default=20, help="steps between two of their pictures (default: 20)")
    parser.add_argument("--out", type=Path, default=Path("docs/methods.jpg"), help="file for the picture")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser


def main() -> None:
    given = options().parse_args()
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
        index = requests.class_index(bundle.classes, given.wanted, groups=bundle.groups)
    judge = Judge(given.judge, judge_indices(given.labels, bundle.classes))
    print("| method | samples | steps | own p | judged right | diversity | diversity, judge | along a chain | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    pictures, classes = real_pictures(given.real, bundle.classes, given.real_count, bundle.image.size)
    real = score(judge, bundle.encoder, pictures, classes)
    figures = " | ".join(f"{real[key]:.3f}" for key in ("accuracy", "diversity_encoder", "diversity"))
    print(f"| real, validation | {len(classes)} | | | {figures} | | |")
    of_class = real_pictures(given.real, bundle.classes[index : index + 1], 0, bundle.image.size)[0]
    drawn = torch.randperm(len(of_class), generator=torch.Generator().manual_seed(0))[:9]
    found = dict(tqdm(measured(bundle, judge, given), "methods", total=len(METHODS + RELEASED + ABSTRACT)))
    blocks = {"real, most exciting": exciting(bundle, index, of_class)}
    for method in METHODS:
        first = index * given.count
        blocks[method] = found[method].pictures[first : first + 9]
    images.save_image(figure({**blocks, "real, random": of_class[drawn]}), given.out)
    if given.json:
        given.json.write_text(json.dumps({"real": real, "methods": [row.row for row in found.values()]}, indent=2))


if __name__ == "__main__":
    main()
