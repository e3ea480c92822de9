"""The same eight classes and the same unit by the methods of 2009 to 2023: the figures and the table of docs/story.md.

    python benchmarks/story.py --folder runs/story

Lite0 is climbed; Lite2, which took no part in any choice of settings, judges. Pictures of a method and a class are kept in the
folder, so that a run goes on where it ended and a method that is added (`story_methods.py`) costs its own time alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lite
import torch
from natural_judges import Lite
from PIL import Image, ImageDraw, ImageFont
from runs import exit_on_mistake
from safetensors import safe_open
from safetensors.torch import save_file
from story_methods import METHODS, Method
from torch import Tensor
from tqdm import tqdm

from ppgn import images
from ppgn.evaluation import feature_diversity
from ppgn.loaders import lite_file
from ppgn.probe import Probe

CLASSES = {"toucan": 96, "jellyfish": 107, "dalmatian": 251, "ladybug": 301, "church": 497, "golf ball": 574,
           "school bus": 779, "spider web": 815}  # fmt: skip
"""Of ImageNet; the bundle natural128 knows them too."""
UNIT = "blocks.4.1:60"
"""A channel of the middle of Lite0: the first that seed 0 draws."""
HEADER = "| year | method | own p | judge's p | judged first | diversity | unit | CPU seconds |"
TILE, GAP, MARGIN, LINE = 144, 6, 120, 18


@dataclass(frozen=True)
class Drawn:
    """Pictures `[picture, 3, height, width]` of a method, in levels of 1 / 255, and the CPU seconds that each took."""

    pictures: Tensor
    seconds: float


@dataclass(frozen=True)
class Row:
    """What a method reached: of its pictures of classes, Lite0's and Lite2's probability of the class and whether Lite2 puts it
    first, each `[class, seed]`; diversity; the activation of the unit; CPU seconds a picture."""

    own: Tensor
    judged: Tensor
    first: Tensor
    diversity: float
    unit: float
    seconds: float


def drawn(name: str, method: Method, unit: str, seeds: Sequence[int], folder: Path, real: Path | None = None) -> Drawn:
    """The pictures of a unit from the folder, or made and kept there. real: pictures, for a method that begins at such."""
    file = folder / name / f"{unit.replace(':', '_')}.safetensors"
    about = {"settings": json.dumps(dict(method.settings), sort_keys=True), "seeds": json.dumps(list(seeds))}
    if file.is_file():
        with safe_open(file, "pt") as kept:
            known = kept.metadata()
            if {key: known[key] for key in about} == about:
                return Drawn(kept.get_tensor("pictures") / 255, float(known["seconds"]))
    begun = time.process_time()
    given = (real,) if method.needs_pictures else ()
    levels = (method.draw(unit, seeds, *given).clamp(0, 1) * 255).round().to(torch.uint8)
    about["seconds"] = f"{(time.process_time() - begun) / len(seeds):.2f}"
    images.make_folder(file.parent)
    images.write_atomically(file, lambda path: save_file({"pictures": levels.contiguous()}, path, about))
    return Drawn(levels / 255, float(about["seconds"]))


@torch.no_grad()
def measured(judge: Lite, classes: Mapping[str, int], of_classes: Sequence[Drawn], of_unit: Drawn, unit: str) -> Row:
    """The row of a method. of_classes: the pictures of each class."""
    own, judged, first, features = [], [], [], []
    for index, found in zip(classes.values(), of_classes, strict=True):
        own.append(lite.lite0()(found.pictures).softmax(1)[:, index])
        logits, seen = judge(found.pictures)
        judged.append(logits.softmax(1)[:, index])
        first.append(logits.argmax(1) == index)
        features.append(seen)
    labels = torch.arange(len(features)).repeat_interleave(len(features[0]))
    layer, _, channel = unit.rpartition(":")
    reached = Probe(lite.lite0(), [layer])(of_unit.pictures)[layer][:, int(channel)].mean()
    seconds = sum(found.seconds for found in of_classes) / len(of_classes)
    diversity = feature_diversity(torch.cat(features), labels)
    return Row(torch.stack(own), torch.stack(judged), torch.stack(first), diversity, float(reached), seconds)


def line(name: str, method: Method, row: Row) -> str:
    """The line of the table."""
    share = f"{int(row.first.sum())} of {row.first.numel()}"
    figures = f"{row.own.mean():.3f} | {row.judged.mean():.3f} | {share} | {row.diversity:.3f} | {row.unit:.2f}"
    return f"| {method.year} | `{name}` | {figures} | {row.seconds:.0f} |"


def figure(rows: Mapping[str, Sequence[Tensor]], labels: Mapping[str, Sequence[str]], heads: Sequence[str]) -> Image.Image:
    """A row of tiles for each name at the left, a label under each tile, and heads above the columns."""
    font, width = ImageFont.load_default(13), MARGIN + len(heads) * (TILE + GAP)
    canvas = Image.new("RGB", (width, LINE + GAP + len(rows) * (TILE + LINE + GAP)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, head in enumerate(heads):
        draw.text((MARGIN + column * (TILE + GAP) + TILE / 2, LINE / 2 + 2), head, fill="black", font=font, anchor="mm")
    for place, (name, tiles) in enumerate(rows.items()):
        top = LINE + GAP + place * (TILE + LINE + GAP)
        draw.text((MARGIN - 2 * GAP, top + TILE / 2), name, fill="black", font=font, anchor="rm", align="right")
        for column, (tile, label) in enumerate(zip(tiles, labels[name], strict=True)):
            left = MARGIN + column * (TILE + GAP)
            canvas.paste(images.to_pil(tile).resize((TILE, TILE), images.RESAMPLERS["lanczos"]), (left, top))
            draw.text((left + TILE / 2, top + TILE + LINE / 2), label, fill="black", font=font, anchor="mm")
    return canvas


def label(own: float, judged: float, first: bool) -> str:
    """Under a picture: "1.00 / 0.71 first"."""
    return f"{own:.2f} / {judged:.2f}" + (" first" if first else "")


def options() -> argparse.ArgumentParser:
    """The options of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/story"), help="where pictures are kept (default: runs/story)")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the figures (default: docs)")
    parser.add_argument("--real", type=Path, help="real pictures, a folder for each class; without, mfv is left out")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="default: all")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=list(CLASSES), help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="default: 0 1")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    return parser


def _inside(real: Path | None, word: str) -> Path | None:
    """The folder of a class."""
    return None if real is None else real / word.replace(" ", "_")


def main() -> None:
    given = options().parse_args()
    torch.set_num_threads(given.threads)
    with exit_on_mistake():
        judge = Lite(lite_file(2), 2)
    classes = {name: CLASSES[name] for name in given.classes}
    tiles, labels, units = {}, {}, {}
    print(HEADER + "\n|" + " --- |" * (HEADER.count("|") - 1))
    for name in given.methods:
        method = METHODS[name]
        if method.needs_pictures and given.real is None:
            continue
        places = tqdm(classes.items(), name, leave=False)
        of_classes = [drawn(name, method, f"classifier:{index}", given.seeds, given.folder, _inside(given.real, word))
                      for word, index in places]  # fmt: skip
        of_unit = drawn(name, method, UNIT, given.seeds, given.folder, given.real)
        row = measured(judge, classes, of_classes, of_unit, UNIT)
        print(line(name, method, row), flush=True)
        title = f"{name.removesuffix(f'_{method.year}')}\n{method.year}"
        firsts = (values[:, 0].tolist() for values in (row.own, row.judged, row.first))
        tiles[title], labels[title] = (
            [found.pictures[0] for found in of_classes],
            [label(*one) for one in zip(*firsts, strict=True)],
        )
        units[title] = of_unit.pictures
    images.save_image(figure(tiles, labels, list(classes)), given.docs / "story.jpg")
    by_seed = {f"seed {seed}": [found[place] for found in units.values()] for place, seed in enumerate(given.seeds)}
    heads = [title.replace("\n", " ") for title in units]
    images.save_image(figure(by_seed, {seed: [""] * len(heads) for seed in by_seed}, heads), given.docs / "story_unit.jpg")
    print(f"\ntorch {torch.__version__}, {given.threads} thread(s), seeds {given.seeds}")


if __name__ == "__main__":
    main()
