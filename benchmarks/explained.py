"""Reports of `ppgn explain` for units of EfficientNet-Lite0 and of SqueezeNet 1.0, and their table.

    python benchmarks/explained.py --images FOLDER --squeezenet squeezenet1_0_deepcompression_fp16.pth --out reports

Ten units of Lite0 at three depths and five of SqueezeNet 1.0, drawn with a seed; the second network of Lite0 is
SqueezeNet 1.0, and that of SqueezeNet is Lite2, because Lite0 is the trunk of the bundle's encoder.
A command for each layer makes the reports of all its units, about three minutes each on two idle cores. A killed run goes on.
The tables and the figure of docs/explain.md are what this prints and writes. FOLDER: real pictures in folders of classes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from runs import exit_on_mistake

from ppgn import images

DRAWN = {
    "lite": {"block4.depthwise": (240, 3), "block10.depthwise": (672, 3), "head": (1280, 4)},
    "squeezenet": {"features.5": (256, 2), "features.9": (384, 2), "features.12": (512, 1)},
}
"""Network -> layer -> (its units, how many of them are drawn). Those of Lite0 stand before or behind a ReLU6: the outputs of its
blocks are linear bottlenecks, in which a unit is a direction like any other."""
INPUT = {"size": "227", "mean": "0.40784,0.45882,0.48235", "std": "0.0039216"}
"""Of SqueezeNet 1.0, with channels blue, green, red."""
MADE = ["--facet-steps", "40", "--facet-share", "0.1", "--steps", "20"]
"""The defaults when the reports of docs/explain.md were made."""
SHOWN = 4
"""Pictures of each kind and unit in the figure."""


def drawn(layers: dict[str, tuple[int, int]], seed: int) -> dict[str, list[int]]:
    """Layer -> its units, drawn without replacement."""
    chance = random.Random(seed)
    return {layer: chance.sample(range(units), count) for layer, (units, count) in layers.items()}


def words(network: str, address: str, given: argparse.Namespace, out: Path) -> list[str]:
    """The command of a report."""
    squeezenet = {"weights": given.squeezenet, **INPUT}
    own, other = (("lite:0", "torchvision:squeezenet1_0"), ("torchvision:squeezenet1_0", "lite:2"))[network != "lite"]
    prefix = "second-" if network == "lite" else ""
    flags = [part for name, value in squeezenet.items() for part in (f"--{prefix}{name}", value)] + [f"--{prefix}bgr"]
    asked = ["--network", own, "--unit", address, "--images", given.images, "--second", other, *flags]
    return ["explain", *asked, *MADE, "--seed", str(given.seed), "--out", str(out)]


def made(network: str, layer: str, units: list[int], given: argparse.Namespace) -> list[dict[str, Any]]:
    """The reports of some units of a layer."""
    out = Path(given.out) / f"{network}_{layer}"
    address = f"{layer}:{','.join(map(str, units))}"
    subprocess.run([sys.executable, "-m", "ppgn", *words(network, address, given, out)], check=True)
    files = [out / "report.json"] if len(units) == 1 else [out / f"{layer}_{unit}" / "report.json" for unit in units]
    return [json.loads(file.read_text()) | {"folder": file.parent, "of": network} for file in files]


FIRST = "| unit | multiple of the best real | at the highest lambda, in std | its random direction, in std | seconds |"
SECOND = "| unit | matching unit (correlation) | 95 % of real | synthetic | random direction | top real | passes |"


def first_row(report: dict[str, Any]) -> str:
    """The unit's synthetic pictures and its sweep, and the seconds of all parts."""
    parts = report["parts"]
    source = parts["synthetic"]["sources"][0]
    last = [_interval(parts["sweep"][name][-1]["response"]) for name in ("unit", "control")]
    seconds = f"{sum(report['seconds'].values()):.0f}"
    multiple = "-" if source["mean_multiple"] is None else f"{source['mean_multiple']:.2f}"
    return f"| {' | '.join([_name(report), multiple, *last, seconds])} |"


def second_row(report: dict[str, Any]) -> str:
    """The second network's matching unit, and its responses to sets of pictures."""
    found = report["parts"]["transfer"]
    sets = [*(_interval(found["sets"][name]) for name in ("synthetic", "control")), _short(found["sets"]["real"]["mean"])]
    match = f"{found['layer']}:{found['unit']} ({found['correlation']:.2f})"
    threshold = _short(found["threshold"])
    passes = "yes" if found["verdict"] else "no"
    passes += ", control too" if found["sets"]["control"]["mean"] > found["threshold"] else ""
    return f"| {' | '.join([_name(report), match, threshold, *sets, passes])} |"


def _name(report: dict[str, Any]) -> str:
    return report["name"] if report["of"] == "lite" else f"SqueezeNet {report['name']}"


def _interval(one: dict[str, float]) -> str:
    return f"{_short(one['mean'])} ({_short(one['low'])}, {_short(one['high'])})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


def figure(reports: list[dict[str, Any]], out: Path) -> None:
    """For each unit a row: its top real pictures, then its synthetic ones."""
    tiles, labels = [], []
    for report in reports:
        top = [row["picture"] for row in report["parts"]["real"]["top"][:SHOWN]]
        synthetic = [row["picture"] for row in report["parts"]["synthetic"]["sources"][0]["images"][::2][:SHOWN]]
        tiles += [images.load_image(report["folder"] / "real" / f"{name}.png") for name in top]
        tiles += [images.load_image(report["folder"] / "synthetic" / f"{name}.png") for name in synthetic]
        labels += [report["name"], *[""] * (SHOWN - 1), "synthetic", *[""] * (SHOWN - 1)]
    images.save_image(images.grid(tiles, labels, 2 * SHOWN), out)


@exit_on_mistake()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="folder of real pictures")
    parser.add_argument("--squeezenet", required=True, help="weights of SqueezeNet 1.0, a state dict of torchvision's")
    parser.add_argument("--of", nargs="+", choices=tuple(DRAWN), default=list(DRAWN), help="networks whose units are explained")
    parser.add_argument("--out", default="reports", help="folder of the reports")
    parser.add_argument("--seed", type=int, default=0, help="of the units and of the chains")
    given = parser.parse_args()
    asked = ((network, *row) for network in given.of for row in drawn(DRAWN[network], given.seed).items())
    reports = [one for network, layer, units in asked for one in made(network, layer, units, given)]
    for head, line in ((FIRST, first_row), (SECOND, second_row)):
        print(head, "|" + " --- |" * (head.count("|") - 1), *(line(report) for report in reports), "", sep="\n")
    figure(reports, Path(given.out) / "explained.jpg")


if __name__ == "__main__":
    main()
