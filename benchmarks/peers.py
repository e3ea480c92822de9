"""The cost of a step in pixel space, here and in other libraries for feature visualisation.

    python benchmarks/peers.py [--json FILE] [--repeats 5] [--steps 16]

A unit of torchvision's resnet18 (random weights, seed 0) at 224 px, 1 and 8 pictures at once. Ours is the loop of this package on
pixels (IdentityGenerator, no prior, Unit) with the network plugged in by hand; "lucid" and "maco" are these recipes, with the
same network. A peer is compared with ours that does the same work: as shipped with "lucid" (one view) or "maco" (six crops), bare
with plain pixels. "folded" is the network as
`ppgn sample --network torchvision:resnet18` runs it: BatchNorms in the convolutions, channels last, in float32 and in bfloat16,
which is chosen where it is at least a fifth faster (`loaders.in_precision`). A peer runs "as shipped" (as its README shows, at
this picture size, with weights as torchvision gives them and its augmentations), "frozen" (after `network.requires_grad_(False)`)
and "frozen, bare" (also without the augmentations that it allows to leave out). Seconds count from the first pass of the network
in a call to the first of its last step, so imports and set-up do not count; medians over rounds in alternating order, one thread.
The report names the peers that are not installed. They require old versions, so install them beside another torch with --no-deps.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timing
import torch
from peer_libraries import LIBRARIES, OURS, Job, device
from torchvision import models

SIZE = 224
PICTURES = (1, 8)
"""Pictures at once."""
MANNERS = ("as shipped", "frozen", "frozen, bare")
WITHOUT = {"captum": "no equivalent on the package index: captum.optim is on its branch optim-wip only"}
"""Libraries that cannot be measured -> why."""
MEMORY_STEPS = 2


@dataclass(frozen=True)
class Way:
    """A library in one of MANNERS, for this many pictures at once."""

    library: str
    manner: str
    pictures: int

    @property
    def at_once(self) -> int:
        return 1 if LIBRARIES[self.library].serial else self.pictures

    def run(self, size: int, steps: int) -> Job:
        """`steps` steps with a new network of the same weights."""
        torch.manual_seed(0)
        network = models.resnet18(weights=None).eval().to(device()).requires_grad_(self.manner == MANNERS[0])
        job = Job(network, self.at_once, size, steps, self.manner == MANNERS[2])
        network.register_forward_pre_hook(lambda module, inputs: job.note(inputs[0].shape))
        LIBRARIES[self.library].run(job)
        return job


def missing() -> dict[str, str]:
    """Library -> why it is not measured; the other libraries are imported."""
    found = dict(WITHOUT)
    for name, library in LIBRARIES.items():
        try:
            load(name)
        except ImportError as error:
            installed = importlib.util.find_spec(library.module.partition(".")[0])
            reason = f"does not import ({error})" if installed else "not installed"
            found[name] = f"{reason}: pip install {name}"
    return found


def load(name: str) -> None:
    """Import a library; TensorFlow gets as many threads as torch has."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    importlib.import_module(LIBRARIES[name].module)
    if name == "xplique":
        threading = importlib.import_module("tensorflow").config.threading
        threading.set_intra_op_parallelism_threads(torch.get_num_threads())
        threading.set_inter_op_parallelism_threads(torch.get_num_threads())


@dataclass(frozen=True)
class Call:
    """What is measured of a call, per step: seconds, seconds that the process was running (all its threads), pictures that the
    network is given, and pixels divided by size^2."""

    seconds: float
    processor_seconds: float
    passes: float
    pixels: float

    @property
    def seconds_a_pixel(self) -> float:
        return self.seconds / self.pixels


def called(way: Way, size: int, steps: int) -> Call:
    """The measures of `steps` steps; one more is run, whose beginning ends the last of them."""
    job = way.run(size, steps + 1)
    runs, left = divmod(len(job.times), steps + 1)
    if left or not runs:
        raise RuntimeError(f"{way} ran the network {len(job.times)} times in {steps + 1} steps, expected a multiple")
    shapes, several = job.shapes[: runs * steps], way.pictures // way.at_once
    given = sum(shape[0] for shape in shapes)
    pixels = sum(shape[0] * shape[2] * shape[3] for shape in shapes) / size**2
    seconds, processor = (times[runs * steps] - times[0] for times in (job.times, job.processor_times))
    return Call(*(several * value / steps for value in (seconds, processor, given, pixels)))


def ways_of(libraries: Sequence[str], pictures: int) -> list[Way]:
    """Each library in each manner; ours freezes the network by itself, so it has only that manner."""
    return [Way(name, manner, pictures) for name in libraries for manner in (MANNERS[1:2] if name in OURS else MANNERS)]


def measure(repeats: int = timing.REPEATS, steps: int = 16, size: int = SIZE, pictures: Sequence[int] = PICTURES) -> dict:
    """{"rows": a row for each way and number of pictures, "missing": library -> why, "machine": ...}.

    steps: of a call with a single picture; with several pictures half as many. torch's threads stay as they are.
    """
    absent = missing()
    present = [name for name in LIBRARIES if name not in absent]
    random.seed(0)
    np.random.seed(0)  # torch's seed is set for each network
    rows = []
    for count in pictures:
        found: dict[Way, list[Call]] = {way: [] for way in ways_of(present, count)}
        taken = max(2, steps if count == 1 else steps // 2)
        calls = {str(way): _noted(calls, way, size, taken) for way, calls in found.items()}
        timing.alternating(calls, repeats)
        rows += _rows({way: calls[1:] for way, calls in found.items()}, size)
    return {"rows": rows, "missing": absent, "machine": timing.machine()}


def _noted(calls: list[Call], way: Way, size: int, steps: int) -> Callable[[], None]:
    return lambda: calls.append(called(way, size, steps))


def _rows(found: dict[Way, list[Call]], size: int) -> list[dict[str, Any]]:
    reference = next(way for way in found if way.library == OURS[0])
    measures = ("seconds", "processor_seconds", "seconds_a_pixel")
    step, processor, pixel = (
        {way: statistics.median(getattr(call, name) for call in calls) for way, calls in found.items()} for name in measures
    )
    same = {way: next(other for other in found if other.library == _same_work(way)) for way in found}
    return [
        {
            "way": way.library if way.library in OURS else f"{way.library}, {way.manner}",
            "pictures": way.pictures,
            "seconds": step[way],
            "seconds_a_picture": step[way] / way.pictures,
            "of_ours": step[way] / step[reference],
            "of_ours_processor": processor[way] / processor[reference],
            "passes": statistics.mean(call.passes for call in calls) / way.pictures,
            "pixels": statistics.mean(call.pixels for call in calls) / way.pictures,
            "of_ours_a_pixel": pixel[way] / pixel[reference],
            "same_work": same[way].library,
            "of_same_work": processor[way] / processor[same[way]],
            "of_same_work_a_pixel": _processor_a_pixel(found[way]) / _processor_a_pixel(found[same[way]]),
            **memory_of(way, size),
            "augmentations": LIBRARIES[way.library].augmentations[way.manner == MANNERS[2]],
        }
        for way, calls in found.items()
    ]


def _same_work(way: Way) -> str:
    """Ours with as many views of each picture."""
    return OURS[0] if way.manner == MANNERS[2] else LIBRARIES[way.library].like


def _processor_a_pixel(calls: list[Call]) -> float:
    return statistics.median(call.processor_seconds / call.pixels for call in calls)


def memory_of(way: Way, size: int) -> dict[str, float | None]:
    """Peak MiB of a separate process, and how much of it came after imports; None where /proc does not say."""
    arguments = ["--memory-of", way.library, way.manner, str(way.pictures), str(size)]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the process that measures the memory of {way} ended with {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _print_memory(library: str, manner: str, pictures: str, size: str) -> None:
    load(library)
    before = timing.mebibytes("VmRSS")
    Way(library, manner, int(pictures)).run(int(size), MEMORY_STEPS)
    peak = timing.mebibytes("VmHWM")
    print(json.dumps({"peak_mib": peak, "steps_mib": peak - before if peak and before else None}))


def report(found: dict[str, Any]) -> str:
    """The table, and below it the libraries that are not in it."""
    names = {
        "way": "way", "pictures": "pictures", "seconds": "seconds a step", "seconds_a_picture": "per picture",
        "of_ours": "of ours", "of_ours_processor": "of ours, processor time",
        "same_work": "same work", "of_same_work": "of it, processor time", "of_same_work_a_pixel": "of it, per pixel seen",
        "passes": "passes a step and picture", "pixels": "pixels they see (ours 1)", "of_ours_a_pixel": "of ours, per pixel seen",
        "peak_mib": "peak MiB", "steps_mib": "of it after imports", "augmentations": "augmentations",
    }  # fmt: skip
    rows = [[row[key] for key in names] for row in found["rows"]]
    absent = [f"{name}: {why}" for name, why in found["missing"].items()]
    return "\n\n".join([timing.table(list(names.values()), rows), *absent])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", type=Path, help="file for everything measured")
    options.add_argument(
        "--repeats", type=int, default=timing.REPEATS, help="rounds that count (default: 5, the least for a claim)"
    )
    options.add_argument("--steps", type=int, default=16, help="steps of a call with a single picture (default: 16)")
    options.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.memory_of:
        return _print_memory(*given.memory_of)
    found = measure(given.repeats, given.steps)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    print(report(found))


if __name__ == "__main__":
    main()
