"""The picture and the figures of docs/generators.md#renderer: objects in random poses, as EfficientNet-Lite0 sees them.

    pip install "ppgn[render,demo]"
    python benchmarks/poses.py --docs docs

Of each object: the share of random rotations that are recognised, and that fool. Of the school bus: the same with all ten
units of the code at random; maps of the probability of "school bus"; the best pose by the gradient and by evolution, the worst by
evolution, beside the best and the worst of as many random rotations. Prints all of it with the processor's seconds, of all cores
together. Writes poses.json into --out and poses.jpg into --docs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from runs import exit_on_mistake
from timing import machine
from torch import Tensor

import ppgn
from ppgn import evaluation, images, loaders, renderer, requests

NETWORK, BUS = "lite:0", "school bus"
CLASSES = {
    "school_bus": BUS,
    "traffic_light": "traffic light",
    "soccer_ball": "soccer ball",
    "mug": "coffee mug",
    "teapot": "teapot",
    "umbrella": "umbrella",
}
MAP = (17, 9)
SHOWN, CHAINS = 6, 2


def shares(count: int, many: int) -> dict[str, Any]:
    """The figures of each object."""
    found: dict[str, Any] = {}
    for name, wanted in CLASSES.items():
        bundle = loaders.bundle(f"render:{name}")
        cases = {"rotations": (renderer.ROTATION, many if wanted == BUS else count)}
        cases |= {"all units": (renderer.NAMES, many)} if wanted == BUS else {}
        for case, (free, poses) in cases.items():
            begun = time.process_time()
            size = MAP if wanted == BUS and case == "rotations" else (0, 0)
            one = evaluation.poses(bundle, wanted, NETWORK, count=poses, free=free, map_size=size)
            print(f"{name}, {case}, {time.process_time() - begun:.0f} s: {one.line()}; {one.scores['mistakes']}", flush=True)
            found[f"{name}, {case}"] = one
    return found


def searched(bundle: ppgn.Bundle, budget: int, steps: int) -> dict[str, Tensor]:
    """The poses that searches find: codes by name."""
    request = requests.parse(bundle, class_=BUS, network=requests.Plugged(NETWORK))
    begun = time.process_time()
    rule = {"sampler": "adaptive", "prior_scale": 0.0, "step_size": (0.15, 0.0)}
    climbed = ppgn.sample(bundle, request, count=CHAINS, steps=steps, **rule)
    print(f"gradient: {CHAINS} chains, {steps} steps: {time.process_time() - begun:.0f} s", flush=True)
    network, target = loaders.network(NETWORK), loaders.class_names(NETWORK).index(BUS)

    def log_odds(picture: Tensor) -> Tensor:
        value = network(picture).log_softmax(1)[:, target]
        return value - torch.log1p(-value.exp().clamp(max=1 - 1e-6))

    found = {"gradient": climbed.codes[climbed.log_prob.argmax()]}
    for name, sign in (("evolved best", 1), ("evolved worst", -1)):
        begun = time.process_time()
        run = ppgn.evolve(bundle, score=lambda picture, sign=sign: sign * log_odds(picture), budget=budget)
        print(f"{name}: {budget} pictures: {time.process_time() - begun:.0f} s", flush=True)
        found[name] = run.codes[0]
    return found


def drawn(found: dict[str, Any], poses: dict[str, Tensor], bundle: ppgn.Bundle) -> Any:
    """Objects, the map of yaw and pitch, mistakes and searched poses on one sheet."""
    network, names = loaders.network(NETWORK), loaders.class_names(NETWORK)
    tiles, labels = [], []

    def add(bundle: ppgn.Bundle, code: Tensor, note: str = "") -> None:
        picture = bundle.generator(code[None])
        share, best = network(picture).softmax(1).max(1)
        tiles.append(picture[0])
        labels.append(f"{note}{names[int(best)]} {float(share):.2f}")

    with torch.no_grad():
        for name in CLASSES:
            add(loaders.bundle(f"render:{name}"), renderer.pose(yaw=-40, pitch=15))
        seen = found["school_bus, rotations"].seen
        wrong = torch.where(seen.best == names.index(BUS), -1.0, seen.confidence).argsort(descending=True)[:SHOWN]
        for one in wrong:
            add(bundle, seen.codes[one])
        for name, code in poses.items():
            add(bundle, code, f"{name}: ")
        for note, best in (("random best: ", True), ("random worst: ", False)):
            add(bundle, seen.codes[seen.probability.argmax() if best else seen.probability.argmin()], note)
        probability = torch.tensor(found["school_bus, rotations"].scores["maps"]["pitch"]["probability"])
        plane = evaluation.drawn_map(probability).resize((224, 224 * MAP[1] // MAP[0]))
        tile = torch.ones(3, 224, 224)
        tile[:, 54 : 54 + plane.height] = images.as_picture(plane)
        tiles.append(tile)
        labels.append("P(school bus), yaw across, pitch up")
    return images.grid(tiles, labels, SHOWN)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=50, help="random poses of each object (default: 50)")
    options.add_argument("--many", type=int, default=150, help="of the school bus (default: 150)")
    options.add_argument("--budget", type=int, default=160, help="pictures of an evolution (default: 160)")
    options.add_argument("--steps", type=int, default=6, help="steps along the gradient (default: 6)")
    options.add_argument("--docs", type=Path, default=Path("docs"), help="folder for the picture (default: docs)")
    options.add_argument("--out", type=Path, default=Path("poses"), help="folder for the figures (default: poses)")
    given = options.parse_args()
    torch.set_num_threads(1)
    with exit_on_mistake():
        print(f"{machine()}; Mitsuba's {renderer.variant()}", flush=True)
        found = shares(given.count, given.many)
        bundle = loaders.bundle("render:school_bus")
        poses = searched(bundle, given.budget, given.steps)
        picture = drawn(found, poses, bundle)
    folder = images.make_folder(given.out)
    values = {name: renderer.values_of(code) for name, code in poses.items()}
    scores = {"shares": {name: one.scores for name, one in found.items()}, "searched": values}
    (folder / "poses.json").write_text(json.dumps(scores, indent=2) + "\n")
    images.save_image(picture, given.docs / "poses.jpg")


if __name__ == "__main__":
    main()
