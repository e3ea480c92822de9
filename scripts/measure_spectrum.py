"""Measures the mean magnitude spectrum of pictures, under which `phase` generators (MACO) draw.

    python scripts/measure_spectrum.py imagenette128/train miniplaces128/train --out ppgn/generators/spectrum.safetensors

Each picture is scaled and cropped to a square, its colours are decorrelated (`generators.decorrelated`), a Hann window keeps its
edges from counting as lines, and |rfft2| is averaged over pictures in float64.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from ppgn import images
from ppgn.generators import decorrelated
from ppgn.progress import bar


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", nargs="+", type=Path, help="folders of pictures")
    options.add_argument("--size", type=int, default=128, help="of the square pictures (default: %(default)s)")
    options.add_argument("--most", type=int, default=10000, help="pictures read of each folder (default: %(default)s)")
    options.add_argument("--out", type=Path, default=Path("spectrum.safetensors"))
    given = options.parse_args()
    window = torch.hann_window(given.size, periodic=False, dtype=torch.float64)
    total, count = torch.zeros(3, given.size, given.size // 2 + 1, dtype=torch.float64), 0
    for folder in given.folders:
        files = images.picture_files(folder, images.picture_extensions())
        for index in bar("measuring", images.spread(len(files), given.most)):
            picture = decorrelated(images.load_image(files[index], given.size).double())
            centred = picture - picture.mean((1, 2), keepdim=True)
            total += torch.fft.rfft2(centred * window[:, None] * window, norm="ortho").abs()
            count += 1
    magnitude = (total / count).half()
    images.write_atomically(
        given.out, lambda path: save_file({"magnitude": magnitude.contiguous()}, path, {"pictures": str(count)})
    )
    print(f"wrote {given.out}: the mean over {count} pictures, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
