"""Reports of `ppgn explain` for units of EfficientNet-Lite0 and of SqueezeNet 1.0, each by one command, and their table.

    python benchmarks/explained.py --images FOLDER --squeezenet squeezenet1_0_deepcompression_fp16.pth --out reports

Ten units of Lite0 at three depths and five of SqueezeNet 1.0, drawn with a seed; the second network of Lite0 is
SqueezeNet 1.0, and that of SqueezeNet is Lite2, because Lite0 is the trunk of the bundle's encoder.
About 2.5 minutes each on two idle cores. A killed run goes on. The table and the figure of docs/explain.md are what this prints
and writes. FOLDER: real pictures in folders of classes, best of many classes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runs import exit_on_mistake

from ppgn import images

LITE = {"block4": (40, 3), "block8": (112, 3), "block15": (320, 4)}
SQUEEZENET = {"features.5": (256, 2), "features.9": (384, 2), "features.12": (512, 1)}
"""Layer -> (its units, how many of them are drawn)."""
INPUT = {"size": "227", "mean": "0.40784,0.45882,0.48235", "std": "0.0039216"}
"""Of SqueezeNet 1.0, with channels blue, green, red."""
SHOWN = 4
"""Pictures of each kind and unit in the figure."""


def drawn(layers: dict[str, tuple[int, int]], seed: int) -> list[str]:
    """Addresses of units of each layer, drawn without replacement."""
    chance = random.Random(seed)
    return [f"{layer}:{unit}" for layer, (units, count) in layers.items() for unit in chance.sample(range(units), count)]


def words(network: str, address: str, given: argparse.Namespace, out: Path) -> list[str]:
    """The command of a report."""
    squeezenet = {"weights": given.squeezenet, **INPUT}
    own, other = (("lite:0", "torchvision:squeezenet1_0"), ("torchvision:squeezenet1_0", "lite:2"))[network != "lite"]
    prefix = "second-" if network == "lite" else ""
    flags = [part for name, value in squeezenet.items() for part in (f"--{prefix}{name}", value)] + [f"--{prefix}bgr"]
    asked = ["--network", own, "--unit", address, "--images", given.images, "--second", other, *flags]
    return ["explain", *asked, "--seed", str(given.seed), "--out", str(out)]


def made(network: str, address: str, given: argparse.Namespace) -> dict[str, Any]:
    """The report of a unit, with the seconds of its command as "wall"."""
    out = Path(given.out) / f"{network}_{address.replace(':', '_')}"
    clock = out / "wall.json"
    if not clock.is_file():
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ppgn", *words(network, address, given, out)], check=True)
        images.write_atomically(clock, lambda path: path.write_text(json.dumps(time.perf_counter() - begin)))
    report = json.loads((out / "report.json").read_text())
    wall = max(json.loads(clock.read_text()), sum(report["seconds"].values()))  # the clock of a resumed run saw only its end
    return report | {"wall": wall, "folder": out, "of": network}


def row(report: dict[str, Any]) -> str:
    """A line of the table."""
    parts = report["parts"]
    source, transfer = parts["synthetic"]["sources"][0], parts["transfer"]
    sets = transfer["sets"]
    last = {name: parts["sweep"][name][-1]["response"] for name in ("unit", "control")}
    cells = [
        f"{report['of']} {report['name']}",
        "-" if source["mean_multiple"] is None else f"{source['mean_multiple']:.2f}",
        *(_interval(one) for one in last.values()),
        f"{transfer['layer']}:{transfer['unit']} ({transfer['correlation']:.2f})",
        f"{transfer['threshold']:.3g}",
        *(_interval(sets[name]) for name in ("synthetic", "control")),
        "yes" if transfer["verdict"] else "no",
        "yes" if sets["control"]["mean"] > transfer["threshold"] else "no",
        f"{report['wall']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = """| unit | multiple of the best real | at lambda 32, in std | the random direction's | matching unit (correlation) |
 95 % of real | synthetic pictures | random direction | passes | the control passes | seconds |""".replace("\n", "")


def _interval(one: dict[str, float]) -> str:
    return f"{one['mean']:.3g} ({one['low']:.3g} to {one['high']:.3g})"


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
    parser.add_argument("--out", default="reports", help="folder of the reports")
    parser.add_argument("--seed", type=int, default=0, help="of the units and of the chains")
    given = parser.parse_args()
    reports = [made("lite", address, given) for address in drawn(LITE, given.seed)]
    reports += [made("squeezenet", address, given) for address in drawn(SQUEEZENET, given.seed)]
    print(f"{HEAD}\n|{' --- |' * 11}")
    for report in reports:
        print(row(report))
    figure(reports, Path(given.out) / "explained.jpg")


if __name__ == "__main__":
    main()
