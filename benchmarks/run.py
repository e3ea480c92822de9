"""All timings in one run: the cost of a step, peers, scaling, quality, OpenCV, start-up, training; printed, stored as JSON.

    python benchmarks/run.py --out timings.json
    python benchmarks/run.py --only steps scaling startup
    python benchmarks/run.py --judge squeezenet1_0.pth --labels labels.tsv --pictures imagenette64 --encoder last.ckpt

`quality` needs --judge and --labels, `training` needs --pictures and --encoder; without them they are left out, with a line that
says so. One thread, alternating order, medians of --repeats. Each table also has a script in this folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import caffe_opencv
import peers
import scaling
import startup
import steps
import time_to_quality
import torch
import training_speed
from timing import machine

from ppgn import images

NEEDS = {"quality": ("judge", "labels"), "training": ("pictures", "encoder")}


def tables(given: argparse.Namespace) -> dict[str, tuple[Callable[[], Any], Callable[[Any], str]]]:
    """Name -> (the measurement, the report of its result)."""
    return {
        "steps": (lambda: steps.measure(given.repeats), steps.report),
        "peers": (lambda: peers.measure(given.repeats), peers.report),
        "scaling": (lambda: scaling.measure(given.repeats), scaling.report),
        "quality": (lambda: time_to_quality.measure(given.judge, given.labels), time_to_quality.report),
        "caffe": (lambda: caffe_opencv.measure(given.repeats), caffe_opencv.report),
        "startup": (lambda: startup.measure(given.repeats), startup.report),
        "training": (lambda: training_speed.measure(given.pictures, given.encoder, given.repeats), training_speed.report),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(tables(argparse.Namespace()))
    options.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="TABLE", help=f"some of {', '.join(names)} (default: all)"
    )
    options.add_argument("--repeats", type=int, default=5, help="rounds that count (default: 5)")
    options.add_argument("--judge", type=Path, help="SqueezeNet 1.0 weights, torchvision's keys")
    options.add_argument("--labels", type=Path, help="index, wnid and name of the judge's 1000 classes")
    options.add_argument("--pictures", type=Path, help="folder of imagenette64, for training")
    options.add_argument("--encoder", type=Path, help="checkpoint of scripts/train_encoder.py, for training")
    options.add_argument("--out", type=Path, default=Path("runs/timings.json"), help="file for all results")
    given = options.parse_args()
    torch.set_num_threads(1)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": machine()}
    print(json.dumps(found["machine"]))
    for name, (measure, report) in tables(given).items():
        lacking = [need for need in NEEDS.get(name, ()) if getattr(given, need) is None]
        if name not in given.only:
            continue
        if lacking:
            print(f"\n## {name}: left out, needs --{' and --'.join(lacking)}")
            continue
        found[name] = measure()
        print(f"\n## {name}\n\n{report(found[name])}", flush=True)
        images.write_atomically(given.out, lambda place: place.write_text(json.dumps(found, indent=1)))
    print(f"\nwrote {given.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
