"""The pictures of docs/pixels.md: two photos of scikit-learn through DeepDream and style transfer, by natural128's trunk.

    python benchmarks/dreams.py --docs docs

Writes dream.jpg and style.jpg; prints the seconds of each picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from timing import machine

import ppgn
from ppgn import images, loaders, methods

SIZE = (320, 480)
LAYERS = ("trunk.block4", "trunk.block7", "trunk.block10")
WEIGHTS = (10.0, 30.0, 100.0)


def photo(name: str) -> torch.Tensor:
    """A photo that comes with scikit-learn, `[3, *SIZE]`."""
    from sklearn import datasets

    return images.cover(torch.from_numpy(datasets.load_sample_image(name)).permute(2, 0, 1) / 255, SIZE)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--docs", type=Path, default=Path("docs"), help="folder for the pictures (default: docs)")
    given = options.parse_args()
    torch.set_num_threads(1)
    bundle = ppgn.load(methods.BUNDLE)
    network, usual = loaders.trunk(bundle), methods.layers_of(bundle)
    content, other = photo("china.jpg"), photo("flower.jpg")
    print(machine())
    tiles, labels = [content], ["photo"]
    for layer in (*LAYERS, f"{usual.dream}, guided"):
        begun = time.monotonic()
        guide = other if "guided" in layer else None
        tiles.append(methods.dream(network, layer.partition(",")[0], content, guide=guide).picture)
        labels.append(layer.removeprefix("trunk."))
        print(f"dream {layer}: {time.monotonic() - begun:.1f} s")
    begun = time.monotonic()
    tiles.append(methods.dream(network, usual.dream, size=SIZE, steps=21, octaves=6).picture)
    print(f"dream of noise: {time.monotonic() - begun:.1f} s")
    images.save_image(images.grid(tiles, [*labels, "from noise, 20 steps"], 3, scale=1), given.docs / "dream.jpg")
    tiles, labels = [content, other], ["content", "style"]
    for weight in WEIGHTS:
        begun = time.monotonic()
        layers = {"content_layer": usual.content, "style_layers": usual.style}
        tiles.append(methods.transfer_style(network, content, other, style_weight=weight, **layers).images[0])
        labels.append(f"style weight {weight:g}")
        print(f"style weight {weight:g}: {time.monotonic() - begun:.1f} s")
    images.save_image(images.grid(tiles, labels, len(tiles), scale=1), given.docs / "style.jpg")


if __name__ == "__main__":
    main()
