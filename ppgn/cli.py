"""The terminal: `ppgn sample`, `ppgn bundles`. A user's mistake ends in one sentence and exit status 2."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppgn.bundle import Bundle
    from ppgn.recipes import Samples

EXAMPLES = """examples:
  ppgn sample imagenette64 --class church --out church.png
  ppgn sample imagenette64 --class "golf ball" parachute --count 8 --steps 200 --seed 0 --out two.png
  ppgn sample imagenette64 --class all --count 4 --save-images samples/ --device cuda
  ppgn bundles
"""
SETTINGS = {
    "sampler": "langevin (Eq. 11) or released (the shipped code)",
    "prior": "reconstruction, denoiser or none",
    "start": "normal (noise) or codes (like those of real pictures)",
    "gradient": "of the class: log_softmax (true) or released (target only)",
    "temperature": "of the class softmax, above 1 asks for more",
    "prior-scale": "epsilon 1",
    "condition-scale": "epsilon 2",
    "noise-scale": "epsilon 3, a standard deviation",
    "step-size": "of the released sampler",
    "step-size-end": "of the released sampler, reached linearly",
}


def parser() -> argparse.ArgumentParser:
    """The command line; it needs no torch, so that --help is quick."""
    top = argparse.ArgumentParser(
        prog="ppgn",
        description="Images through a learned prior, asked for by any network you plug in.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    formatter = argparse.RawDescriptionHelpFormatter
    one = commands.add_parser("sample", help="pictures of a class", epilog=EXAMPLES, formatter_class=formatter)
    one.add_argument("bundle", help="name of a bundle (see `ppgn bundles`) or its folder")
    one.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="CLASS", default=[],
                     help="name, unique part of a name, or index; several, or `all`")  # fmt: skip
    one.add_argument("--count", type=int, default=16, help="pictures of each class (default: 16)")
    one.add_argument("--steps", type=int, help="steps of each chain (default: the bundle's)")
    one.add_argument("--seed", type=int, default=0, help="seed of each class's first chain; the next ones follow")
    one.add_argument("--out", default="samples.png", help="grid to write (default: samples.png)")
    one.add_argument("--save-images", metavar="DIR", help="also write each picture, and samples.json, into DIR")
    one.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    one.add_argument("--batch", type=int, default=32, help="chains that run at once (default: 32)")
    for name, meaning in SETTINGS.items():
        kind = str if name in ("sampler", "prior", "start", "gradient") else float
        one.add_argument(f"--{name}", type=kind, help=f"{meaning} (default: the bundle's)")
    commands.add_parser("bundles", help="list the bundles that are there")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    given = parser().parse_args(arguments)
    try:
        return {"sample": sample, "bundles": bundles}[given.command](given)
    except ValueError as fault:
        print(f"ppgn: error: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ppgn: interrupted, nothing was written", file=sys.stderr)
        return 130


def sample(given: argparse.Namespace) -> int:
    """`ppgn sample`: checks everything that can fail, runs the chains, writes the grid and what else was asked for."""
    from ppgn import bundle, images, recipes

    images.check_writable(given.out)
    folder = Path(given.save_images) if given.save_images else None
    if folder is not None:
        images.make_folder(folder)
    if given.count < 1:
        raise ValueError(f"got --count {given.count}, expected at least 1: ask for one picture or more")
    loaded = bundle.load_bundle(given.bundle, device(given.device))
    classes = chosen_classes(loaded, given.classes)
    changes = {key.replace("-", "_"): getattr(given, key.replace("-", "_")) for key in (*SETTINGS, "steps")}
    targets = [index for index in classes for _ in range(given.count)]
    seeds = [given.seed + chain for _ in classes for chain in range(given.count)]
    settings = recipes.settings_for(loaded, **changes)
    rounds = -(-len(targets) // max(1, given.batch))
    with progress(settings.steps * rounds) as watch:
        samples = recipes.sample(loaded, targets, seed=seeds, batch=given.batch, watch=watch, **changes)
    names = [loaded.class_names[index] for index in targets]
    columns = given.count if len(classes) > 1 and given.count <= 16 else None
    images.save_image(samples.grid(labels(names, samples), columns), given.out)
    print(f"wrote {given.out}: {len(targets)} pictures, mean log-probability {float(samples.log_prob.mean()):.3f}")
    if folder is not None:
        save_images(folder, loaded, names, samples)
    return 0


def device(name: str) -> Any:
    """The torch device of `auto`, `cpu`, `cuda`, `cuda:N`, ...; ValueError when it is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        there = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        raise ValueError(f"no device {name!r} here: use auto or one of {', '.join(there)}") from fault
    return chosen


def chosen_classes(loaded: Bundle, wanted: Sequence[str]) -> list[int]:
    """The indices of `--class`; `all` stands for every one."""
    from ppgn.recipes import class_index

    if not wanted:
        listed = ", ".join(loaded.class_names)
        raise ValueError(f"which class? add --class NAME (or --class all); {loaded.name} has {listed}")
    if list(wanted) == ["all"]:
        return list(range(len(loaded.class_names)))
    return [class_index(loaded.class_names, name) for name in wanted]


@contextmanager
def progress(total: int) -> Iterator[Any]:
    """A bar over all steps that shows the mean log-probability of the chains."""
    from tqdm import tqdm

    with tqdm(total=total, unit="step", desc="sampling", mininterval=0.5) as bar:

        def watch(step: int, evaluation: Any) -> None:
            if step % 5 == 0:
                bar.set_postfix_str(f"log p {float(evaluation.log_prob.mean()):.3f}", refresh=False)
            bar.update()

        yield watch


def labels(names: Sequence[str], samples: Samples) -> list[str]:
    """Class and the condition's own probability, for the grid."""
    return [f"{name} {math.exp(value):.2f}" for name, value in zip(names, samples.log_prob.tolist(), strict=True)]


def save_images(folder: Path, loaded: Bundle, names: Sequence[str], samples: Samples) -> None:
    """Each picture as PNG, then samples.json that describes them."""
    from ppgn import __version__, images

    rows = []
    for index, name in enumerate(names):
        file = f"{index:04d}_{name.replace(' ', '_')}_{samples.seeds[index]}.png"
        images.save_image(samples.images[index], folder / file)
        log_prob = float(samples.log_prob[index])
        rows.append({"file": file, "seed": samples.seeds[index], "class": name, "log_probability": log_prob})
    about = {"ppgn": __version__, "bundle": loaded.name, "settings": dataclasses.asdict(samples.settings)}
    text = json.dumps({**about, "samples": rows}, indent=2) + "\n"
    images.write_atomically(folder / "samples.json", lambda path: path.write_text(text))
    print(f"wrote {len(rows)} pictures and samples.json into {folder}")


def bundles(given: argparse.Namespace) -> int:
    """`ppgn bundles`: a line for each bundle that is there."""
    from ppgn.bundle import list_bundles

    for entry in list_bundles():
        if "error" in entry:
            print(f"{entry['name']:20} broken: {entry['error']}")
            continue
        info = entry["info"]
        size, classes = info["image"]["size"], info["class_names"]
        print(f"{entry['name']:20} {size}x{size} px, {len(classes)} classes: {', '.join(classes)}")
        print(f"{'':20} {entry['folder']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
