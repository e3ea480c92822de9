"""An in-silico laboratory behind `ppgn evolve --exec`: prints the spikes of a tiring neuron for each picture.

    ppgn evolve imagenette64 --exec "python scripts/laboratory.py neuron.json {images}" --out session

neuron.json: {"bundle": "imagenette64", "unit": "trunk.12:7", "session": "session.json", "neuron": {"gain": 5}}; "neuron" holds
fields of `ppgn.experiment.SpikingNeuron`. The session file keeps the neuron's state and the names of all pictures shown.
"""

import json
import sys
from pathlib import Path

import ppgn
from ppgn import recipes, requests
from ppgn.experiment import Laboratory, unit_score
from training import one_sentence


def main(settings: str, *pictures: str) -> None:
    """Show the pictures in their order."""
    given = json.loads(Path(settings).read_text(encoding="utf-8"))
    bundle = ppgn.load(given["bundle"])
    request = requests.parse(bundle, unit=given["unit"])
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", precision="float32"), request)
    score = unit_score(setup, request)
    laboratory = Laboratory(score.function, bundle.image, Path(given["session"]), given.get("neuron", {}))
    for picture in pictures:
        print(laboratory.show(picture), flush=True)


if __name__ == "__main__":
    with one_sentence():
        main(*sys.argv[1:])
