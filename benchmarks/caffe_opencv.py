"""The released pair of networks in full size, imported and in OpenCV's reader; and the cost of reading a CaffeNet.

    python benchmarks/caffe_opencv.py

Both read the same files of Caffe with random weights. The forward pass alone is timed, of a single code and a single picture, on
one thread each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import alternating, table

from ppgn import acceleration, importers

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from caffe_files import measured  # pyright: ignore[reportMissingImports] - tests/ has the writer of such files
from caffe_pairs import write_pair  # pyright: ignore[reportMissingImports]

MIB = 2**20


def ours(network: Callable[[torch.Tensor], torch.Tensor], data: np.ndarray) -> Callable[[], np.ndarray]:
    """A forward pass of the imported network."""
    batch = torch.from_numpy(data)

    def call() -> np.ndarray:
        with torch.inference_mode():
            return network(batch).numpy()

    return call


def opencv(files: tuple[str, str], data: np.ndarray, output: str) -> Callable[[], np.ndarray]:
    """A forward pass of the same files in OpenCV, to a blob."""
    import cv2

    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromCaffe(*files)

    def call() -> np.ndarray:
        network.setInput(data)
        return network.forward(output)

    return call


def measure(repeats: int = 5) -> dict[str, Any]:
    """Network -> seconds of a forward pass both ways, their ratio, and the largest difference as a share of the largest number.

    "reading": seconds to read CaffeNet's weights, and the memory that it takes as a share of the file's size.
    """
    with tempfile.TemporaryDirectory() as folder:
        generator, encoder = write_pair(Path(folder), width=1)
        decoder = importers.read_generator(importers.Files(*generator))
        seen = importers.read_encoder(importers.Files(*encoder), decoder.image_size, code="fc8")
        draw, found = np.random.default_rng(0), {}
        pairs = {
            "fc6 generator": (generator, decoder.network, draw.standard_normal((1, *decoder.code_shape), np.float32), "deconv0"),
            "CaffeNet to fc8": (encoder, seen.trunk, 60 * draw.standard_normal((1, 3, *seen.input_size), np.float32), "fc8"),
        }
        for name, (files, network, data, output) in pairs.items():
            ways = {"ours": ours(acceleration.to_channels_last(network), data), "opencv": opencv(files, data, output)}
            first, second = (way() for way in ways.values())
            times = alternating(ways, repeats)
            found[name] = {
                **times,
                "ratio": times["ours"] / times["opencv"],
                "difference": float(abs(first - second).max() / abs(second).max()),
            }
        size = Path(encoder[1]).stat().st_size
        small = write_pair(Path(tempfile.mkdtemp(dir=folder)), width=16)[1][1]
        memory, seconds, _ = measured(Path(small), Path(encoder[1]))
        found["reading"] = {"mib": size / MIB, "seconds": seconds, "memory_share": memory / size}
    return found


def report(found: dict[str, Any]) -> str:
    """The tables of both."""
    keys = ("ours", "opencv", "ratio", "difference")
    rows = [[name, *(values[key] for key in keys)] for name, values in found.items() if "ratio" in values]
    reading = found["reading"]
    forward = table(["forward pass", "ours, s", "OpenCV, s", "ours / OpenCV", "largest difference"], rows)
    rows = [[reading["mib"], reading["seconds"], reading["memory_share"]]]
    return forward + "\n\n" + table(["CaffeNet's weights, MiB", "read in, s", "memory / size"], rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5, help="rounds that count (default: 5)")
    torch.set_num_threads(1)
    print(report(measure(options.parse_args().repeats)))


if __name__ == "__main__":
    main()
