"""`ppgn example N`: the seven scripts of the released code, with its constants, on any bundle."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import chain, images, loaders
from ppgn.bundle import Bundle
from ppgn.cli import outputs, request_flags, terminal
from ppgn.cli.values import BUNDLE
from ppgn.images import composite
from ppgn.sampling import OnStep, examples

WANTED = {  # what each needs, what it may have, beside seeds and steps
    1: (("classes",), ()),
    2: (("classes",), ()),
    3: (("unit",), ("network",)),
    4: (("unit", "network"), ()),
    5: (("caption",), ()),
    6: (("classes", "picture"), ()),
    7: (("classes", "picture"), ("box",)),
}
OF_CLASSES = [number for number, (needed, _) in WANTED.items() if "classes" in needed]
FLAGS = {
    "classes": "--class",
    "unit": "--unit",
    "network": "--network",
    "caption": "--caption",
    "picture": "--from",
    "box": "--box",
}
SHOWN = 100
"""Pictures on a sheet, evenly spaced over those kept; a folder or a video gets them all."""
EXAMPLES = """the examples (defaults: released steps, one seed, ten for 7):
  ppgn example 1 --class church                            a class, every 5th picture
  ppgn example 2 --class church parachute --out walk.gif   several classes in one chain
  ppgn example 3 --unit trunk.12:7@centre                  a hidden unit, resets, pictures with p > 0.98
  ppgn example 4 --unit layer4:7@centre --network torchvision:resnet18 --weights resnet18.pth
  ppgn example 5 --caption "a red bag"                     needs a bundle with a captioner
  ppgn example 6 --class church --from dog.jpg             from a real picture
  ppgn example 7 --class church --from church.jpg          the hole in a picture
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = "One of the seven scripts of the released code, with its constants, on any bundle."
    parser.epilog = EXAMPLES
    parser.add_argument("number", type=int, choices=range(1, 8), metavar="N", help="1 to 7")
    parser.add_argument("--bundle", default="imagenette64", help=f"{BUNDLE} (default: imagenette64)")
    parser.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="CLASS", default=[], help="of the bundle")
    parser.add_argument("--unit", metavar="LAYER:UNIT", help="a hidden unit, or a class by its number alone")
    parser.add_argument("--caption", metavar="TEXT", help="a sentence")
    parser.add_argument("--from", dest="picture", metavar="PICTURE", help="a real picture")
    parser.add_argument("--box", metavar="L,T,W,H", help="the hole (default: 100 of 256 of the side, at random)")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="a chain each")
    parser.add_argument("--steps", type=int, help="for each condition (default: as released)")
    request_flags.add_network(parser, "the unit is of")
    outputs.add_overwrite(parser)
    terminal.add_device(parser)
    parser.add_argument("--out", default="example.png", help=".png or .jpg for a sheet, .gif, .mp4 (default: example.png)")
    parser.add_argument("--save-images", metavar="DIR", help="also write every picture kept into DIR")


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the example, writes what the released script saves."""
    _take_class_numbers(given)
    _check(given)
    outputs.check_inputs_kept(given, given.save_images, ("*_seed*_step*.png",))
    moving = Path(given.out).suffix.lower() in images.FASTEST
    images.check_video(given.out) if moving else images.check_writable(given.out)
    folder = images.make_folder(given.save_images) if given.save_images else None
    example = _example(given, terminal.load(given))
    kept: list[Tensor] = []
    steps = (example.steps_each * len(example.stages) + 1) * len(example.state.seeds)
    with terminal.stops_without_warning(), terminal.progress(steps) as watch:
        for number, sample in enumerate(_kept(example, watch)):
            image = _whole(example, sample.image)
            if folder is not None:
                images.save_image(image, folder / f"{number:04d}_seed{sample.seed}_step{sample.step:04d}.png")
            kept.append(image)
    if not kept:
        raise ValueError(f"example {given.number} kept no picture above its threshold: give more --steps, or another unit")
    chosen = kept[:: -(-len(kept) // SHOWN)]
    images.save_video(kept, given.out) if moving else images.save_image(images.grid(chosen), given.out)
    print(f"wrote {given.out}: {len(kept)} pictures of example {given.number}")
    return 0


def _take_class_numbers(given: argparse.Namespace) -> None:
    """A bare number as --unit is a unit of the last layer, a class, as in the released scripts: 13, or 13,14 for several."""
    numbers = (given.unit or "").split(",")
    if given.number in OF_CLASSES and all(number.isdecimal() for number in numbers):
        given.classes, given.unit = [*given.classes, *numbers], None


def _check(given: argparse.Namespace) -> None:
    needed, allowed = WANTED[given.number]
    there = {name for name in FLAGS if getattr(given, name) not in (None, [])}
    missing = [FLAGS[name] for name in needed if name not in there]
    odd = [FLAGS[name] for name in FLAGS if name in there and name not in (*needed, *allowed)]
    if missing or odd:
        what = f"needs {' and '.join(missing)}" if missing else f"has no use for {' and '.join(odd)}"
        raise ValueError(f"example {given.number} {what}: see `ppgn example --help`")
    if given.number != 2 and len(given.classes) > 1:
        raise ValueError(f"example {given.number} got {len(given.classes)} classes, expected one: example 2 takes several")


def _example(given: argparse.Namespace, loaded: Bundle) -> examples.Example:
    options: dict[str, Any] = {name: getattr(given, name) for name in ("seeds", "steps") if getattr(given, name) is not None}
    wanted = given.classes[0] if given.classes else ""
    seen = None
    if given.network is not None:
        adapter = {name: getattr(given, name) for name in ("size", "mean", "std", "bgr")}
        seen = loaders.network(given.network, given.weights, bundle=loaded, **adapter)
    if given.number == 1:
        return examples.example_1(loaded, wanted, **options)
    if given.number == 2:
        return examples.example_2(loaded, given.classes, **options)
    if given.number == 3:
        return examples.example_3(loaded, given.unit, network=seen, **options)
    if given.number == 4:
        return examples.example_4(loaded, given.unit, seen, **options)  # type: ignore[arg-type]
    if given.number == 5:
        return examples.example_5(loaded, given.caption, **options)
    picture = images.load_image(given.picture, loaded.image.size, loaded.image.channels)
    if given.number == 6:
        return examples.example_6(loaded, wanted, picture, **options)
    known = None if given.box is None else images.box_mask(given.box, loaded.image.size)
    return examples.example_7(loaded, wanted, picture, known, **options)


def _kept(example: examples.Example, watch: OnStep) -> Iterator[chain.Sample]:
    return example.kept([lambda state, evaluation: watch(state.step, evaluation)])


@torch.no_grad()
def _whole(example: examples.Example, image: Tensor) -> Tensor:
    """The image, inside the picture where a hole was filled."""
    return image if example.hole is None else composite(image[None], example.hole.picture, example.hole.known)[0]
