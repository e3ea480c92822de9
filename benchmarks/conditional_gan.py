"""Pictures of the class-conditional GAN, the floor that samples are compared with: FOLDER/<class>/<number>.png.

    python benchmarks/conditional_gan.py --checkpoint runs/imagenette64/conditional_gan/checkpoints/last.ckpt --out gan
    ppgn evaluate imagenette64 --samples gan --real imagenette64/val

Picture `number` of a class has seed `--seed` + number. No picture is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ppgn import images
from training import ConditionalGan, read_conditional_gan


def write(gan: ConditionalGan, out: Path, count: int, seed: int, batch: int) -> int:
    """Write `count` pictures of each class into `out` and return how many that is; ValueError where `out` holds files already."""
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty, expected a new folder: the pictures of two runs would be mixed")
    folders = [images.make_folder(out / name.replace(" ", "_")) for name in gan.class_names]
    with tqdm(total=count * len(folders), desc="pictures") as progress:
        for target, folder in enumerate(folders):
            for first in range(0, count, batch):
                chosen = range(first, min(first + batch, count))
                pictures = gan.generator.sample(target, range(seed + chosen.start, seed + chosen.stop), len(folders))
                for number, picture in zip(chosen, pictures, strict=True):
                    images.save_image(picture, folder / f"{number:05d}.png")
                progress.update(len(chosen))
    return count * len(folders)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--checkpoint", type=Path, required=True, help="last.ckpt of scripts/train_conditional_gan.py")
    options.add_argument("--count", type=int, default=100, help="pictures of each class (default: 100)")
    options.add_argument("--seed", type=int, default=0, help="seed of the first picture of each class (default: 0)")
    options.add_argument("--batch", type=int, default=50, help="pictures at once (default: 50)")
    options.add_argument("--out", type=Path, required=True, help="a new folder")
    given = options.parse_args()
    for name, least in {"count": 1, "batch": 1, "seed": 0}.items():
        if getattr(given, name) < least:
            options.error(f"got --{name} {getattr(given, name)}, expected at least {least}: pass a larger number")
    try:
        written = write(read_conditional_gan(given.checkpoint), given.out, given.count, given.seed, given.batch)
    except ValueError as fault:
        options.error(str(fault))
    print(f"wrote {written} pictures into {given.out}")


if __name__ == "__main__":
    main()
