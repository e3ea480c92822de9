"""`ppgn example N`: the seven scripts of the released code, with its constants, on any bundle."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import bundle, chain, images, masks, named, video
from ppgn.cli.sample import device, progress, stops_without_warning
from ppgn.conditions.pixels import composite
from ppgn.recipes import examples

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
SHOWN = 100
"""Pictures on a sheet, evenly spaced over those kept; a folder or a video gets them all."""


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the example, writes what the released script saves."""
    _take_class_numbers(given)
    _check(given)
    moving = Path(given.out).suffix.lower() in video.FASTEST
    video.check_video(given.out) if moving else images.check_writable(given.out)
    folder = images.make_folder(given.save_images) if given.save_images else None
    example = _example(given, bundle.load_bundle(given.bundle, device(given.device)))
    kept: list[Tensor] = []
    with stops_without_warning(), progress(example.steps_each * len(example.samplers) + 1) as watch:
        for number, sample in enumerate(_kept(example, watch)):
            image = _whole(example, sample.image)
            if folder is not None:
                images.save_image(image, folder / f"{number:04d}_seed{sample.seed}_step{sample.step:04d}.png")
            kept.append(image)
    if not kept:
        raise ValueError(f"example {given.number} kept no picture above its threshold: give more --steps, or another unit")
    chosen = kept[:: -(-len(kept) // SHOWN)]
    video.save_video(kept, given.out) if moving else images.save_image(images.grid(chosen), given.out)
    print(f"wrote {given.out}: {len(kept)} pictures of example {given.number}")
    return 0


def _take_class_numbers(given: argparse.Namespace) -> None:
    """A bare number as --unit is a unit of the last layer, a class, as in the released scripts: 13, or 13,14 for several."""
    numbers = (given.unit or "").split(",")
    if given.number in OF_CLASSES and all(number.isdecimal() for number in numbers):
        given.classes, given.unit = [*given.classes, *numbers], None


def _check(given: argparse.Namespace) -> None:
    needed, allowed = WANTED[given.number]
    options = {
        "classes": "--class",
        "unit": "--unit",
        "network": "--network",
        "caption": "--caption",
        "picture": "--from",
        "box": "--box",
    }
    there = {name for name in options if getattr(given, name) not in (None, [])}
    missing = [options[name] for name in needed if name not in there]
    odd = [options[name] for name in options if name in there and name not in (*needed, *allowed)]
    if missing or odd:
        what = f"needs {' and '.join(missing)}" if missing else f"has no use for {' and '.join(odd)}"
        raise ValueError(f"example {given.number} {what}: see `ppgn example --help`")
    if given.number != 2 and len(given.classes) > 1:
        raise ValueError(f"example {given.number} got {len(given.classes)} classes, expected one: example 2 takes several")


def _example(given: argparse.Namespace, loaded: bundle.Bundle) -> examples.Example:
    options: dict[str, Any] = {name: getattr(given, name) for name in ("seeds", "steps") if getattr(given, name) is not None}
    wanted = given.classes[0] if given.classes else ""
    seen = None if given.network is None else named.network(given.network, given.weights, bundle=loaded)
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
    picture = images.load_image(given.picture, loaded.image_size, loaded.channels)
    if given.number == 6:
        return examples.example_6(loaded, wanted, picture, **options)
    known = None if given.box is None else masks.box_mask(given.box, loaded.image_size)
    return examples.example_7(loaded, wanted, picture, known, **options)


def _kept(example: examples.Example, watch: Any) -> Iterator[chain.Sample]:
    return example.kept([lambda state, evaluation: watch(state.step, evaluation)])


@torch.no_grad()
def _whole(example: examples.Example, image: Tensor) -> Tensor:
    """The image, inside the picture where a hole was filled."""
    return image if example.hole is None else composite(image[None], example.hole.picture, example.hole.known)[0]
