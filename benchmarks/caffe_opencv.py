"""The released pair of networks, of full size, imported and in OpenCV's reader; and what reading a CaffeNet costs.

    python benchmarks/caffe_opencv.py

Random weights in files of Caffe's, the same for both; one thread each; the forward pass alone, of one code and of one picture.
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

from ppgn import speed
from ppgn.caffe import parts

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from caffe_files import measured  # pyright: ignore[reportMissingImports] - the writer of such files is the tests'
from caffe_pairs import write_pair  # pyright: ignore[reportMissingImports]

MIB = 2**20


def ours(network: Callable[[torch.Tensor], torch.Tensor], data: np.ndarray) -> Callable[[], np.ndarray]:
    given = torch.from_numpy(data)

    def call() -> np.ndarray:
        with torch.inference_mode():
            return network(given).numpy()

    return call


def opencv(files: tuple[str, str], data: np.ndarray, output: str) -> Callable[[], np.ndarray]:
    import cv2

    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromCaffe(*files)

    def call() -> np.ndarray:
        network.setInput(data)
        return network.forward(output)

    return call


def measure(repeats: int = 5) -> dict[str, Any]:
    """Network -> seconds of a forward pass in either, their ratio, and the largest difference as a share of the largest number.

    And of reading CaffeNet's weights the seconds, and the memory as a share of the file's size.
    """
    with tempfile.TemporaryDirectory() as folder:
        generator, encoder = write_pair(Path(folder), width=1)
        made = parts.read_generator(parts.Files(*generator))
        seen = parts.read_encoder(parts.Files(*encoder), made.image_size, code="fc8")
        draw, found = np.random.default_rng(0), {}
        pairs = {
            "fc6 generator": (generator, made.network, draw.standard_normal((1, *made.code_shape), np.float32), "deconv0"),
            "CaffeNet to fc8": (encoder, seen.trunk, 60 * draw.standard_normal((1, 3, *seen.input_size), np.float32), "fc8"),
        }
        for name, (files, network, data, output) in pairs.items():
            ways = {"ours": ours(speed.laid_out(network), data), "opencv": opencv(files, data, output)}
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
    rows = [[name, one["ours"], one["opencv"], one["ratio"], one["difference"]] for name, one in found.items() if "ratio" in one]
    reading = found["reading"]
    forward = table(["forward pass", "ours, s", "OpenCV, s", "ours / OpenCV", "largest difference"], rows)
    rows = [[reading["mib"], reading["seconds"], reading["memory_share"]]]
    return forward + "\n\n" + table(["CaffeNet's weights, MiB", "read in, s", "memory / size"], rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5, help="(default: 5)")
    torch.set_num_threads(1)
    print(report(measure(options.parse_args().repeats)))


if __name__ == "__main__":
    main()
