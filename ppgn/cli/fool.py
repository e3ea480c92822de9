"""`ppgn fool`: pictures that are nothing, and of which a network is sure."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor

from ppgn import illumination, images, loaders, requests, sampling
from ppgn.cli import illumination_flags, outputs, request_flags, terminal
from ppgn.cli.illumination_flags import Asked
from ppgn.progress import bar
from ppgn.seeds import check_seeds

EXAMPLES = """examples:
  ppgn fool --network torchvision:squeezenet1_0 --weights squeezenet.pth --class "golf ball" --out golf_ball.png
  ppgn fool --network torchvision:resnet18 --weights resnet18.pth --class all --generations 5000 --folder run --out all.png
  ppgn fool --network my_module:lenet --size 28 --mean 0 --std 1 --class all --encoding direct --generations 200
  ppgn fool --network torchvision:resnet18 --weights resnet18.pth --class tench --method gradient
  ppgn fool --network torchvision:resnet18 --weights resnet18.pth --method one-pixel --picture photo.jpg --pixels 3
With --folder the same command goes on where it ended, also after a kill and with more --generations."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "evolution": {"generations": 200, "population": 200},
    "gradient": {},
    "one-pixel": {"generations": 100, "population": 400},
}
"""Method -> the defaults of its counts: those of the papers, but for the generations of evolution."""
OF_METHOD = {"picture": "one-pixel", "pixels": "one-pixel", "target": "one-pixel", "folder": "evolution", "steps": "gradient"}
"""Flag -> the only method that takes it."""
MOST_SHOWN = 400
"""Pictures in the grid, evenly spread where there are more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Pictures that fool a network (Nguyen, Yosinski & Clune 2015): evolved ones, which people recognise nothing in, by "
        "MAP-Elites over all classes that are named; gradient ascent from noise; or a real picture with one other pixel (Su et "
        "al. 2019)."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("--class", dest="class_", nargs="+", default=[], metavar="CLASS",
                        help="names or numbers of classes, or all; of one-pixel: what the picture shows (default: what the "
                        "network says)")  # fmt: skip
    parser.add_argument("--method", choices=tuple(DEFAULTS), default="evolution", help="(default: %(default)s)")
    parser.add_argument("--generations", type=int, metavar="N", help="(default: 200; 100 of one-pixel)")
    parser.add_argument("--out", default="fooling.png", help="grid to write (default: %(default)s)")
    search = parser.add_argument_group("evolution")
    illumination_flags.add_search(search, 0)
    search.set_defaults(population=None)
    search.add_argument("--folder", metavar="DIR", help="where the search is kept, and its gallery index.html")
    gradient = parser.add_argument_group("gradient")
    gradient.add_argument("--steps", type=int, metavar="N", help="(default: that of the recipe simonyan_2013)")
    attack = parser.add_argument_group("one pixel")
    attack.add_argument("--picture", metavar="FILE", help="a picture that the network classifies")
    attack.add_argument("--pixels", type=int, metavar="N", help="how many pixels change (default: 1)")
    attack.add_argument("--target", metavar="CLASS", help="the class that it shall be taken for (default: any other)")
    outputs.add_overwrite(parser)
    illumination_flags.add_network(parser, "is fooled")


def run(given: argparse.Namespace) -> int:
    """Writes the grid of pictures with the confidence of each, and prints how sure the network is."""
    for flag, method in OF_METHOD.items():
        if getattr(given, flag) is not None and given.method != method:
            raise ValueError(f"got --{flag} with --method {given.method}, expected it with {method}: leave it out")
    for name in ("generations", "population"):
        if given.method == "gradient" and getattr(given, name) is not None:
            raise ValueError(f"got --{name} with --method gradient, expected --steps: leave it out")
        setattr(given, name, DEFAULTS[given.method].get(name) if getattr(given, name) is None else getattr(given, name))
    if given.method != "evolution" and (given.encoding != "cppn" or given.coordinates != "centred"):
        raise ValueError(
            f"got --encoding or --coordinates with --method {given.method}, expected them with evolution: leave them out"
        )
    images.check_writable(given.out)
    outputs.check_inputs_kept(given)
    check_seeds([given.seed])
    if given.method == "one-pixel":
        return _one_pixel(given)
    if not given.class_:
        raise ValueError("which class? add --class NAME, a number, or all")
    found = illumination_flags.asked(given)
    classes = illumination_flags.chosen(found, given.class_, given.network)
    return (_evolution if given.method == "evolution" else _gradient)(given, found, classes)


def _evolution(given: argparse.Namespace, found: Asked, classes: list[int]) -> int:
    fooling = illumination_flags.illuminated(given, found, classes, given.generations, given.folder)
    if fooling is None:
        return 130
    shown = images.spread(len(classes), MOST_SHOWN)
    pictures = fooling.images(shown)
    _write(given, pictures, [found.names[classes[one]] for one in shown], fooling.confidences[shown])
    if given.folder is not None:
        illumination.write_page(fooling, f"{given.folder}/index.html", f"Pictures that fool {given.network}")
    print(f"{illumination_flags.summary(fooling)} after {fooling.search.generation} generations of {given.population}")
    print(f"wrote {given.out}" + (f" and {given.folder}/index.html" if given.folder is not None else ""))
    return 0


def _gradient(given: argparse.Namespace, found: Asked, classes: list[int]) -> int:
    bundle = loaders.bundle(f"pixels:{found.size[0]}x{found.size[1]}x{found.channels}", found.device)
    plugged = request_flags.plugged(given, "float32")
    request = requests.parse(bundle, class_=[str(one) for one in classes], network=plugged)
    changes = {} if given.steps is None else {"steps": given.steps}
    with terminal.stops_without_warning():
        made = sampling.sample(bundle, request, count=len(classes), seed=given.seed, recipe="simonyan_2013",
                               measure="log_softmax", **changes)  # fmt: skip
    terminal.report_stops(made.stopped)
    pictures = (made.images * 255).round() / 255
    scores = illumination.scored(found.network, pictures.to(found.device)).cpu()
    confidences = scores[torch.arange(len(classes)), classes]
    _write(given, pictures.cpu(), [found.names[one] for one in classes], confidences)
    print(f"median confidence {100 * float(confidences.quantile(0.5)):.2f} %; wrote {given.out}")
    return 0


def _one_pixel(given: argparse.Namespace) -> int:
    if given.picture is None:
        raise ValueError("which picture? add --picture FILE, one that the network classifies")
    if len(given.class_) > 1:
        raise ValueError(f"got {len(given.class_)} classes with --method one-pixel, expected that of the picture: give one")
    found = illumination_flags.asked(given)
    picture = images.load_image(given.picture, found.size, found.channels).to(found.device)
    scores = illumination.scored(found.network, picture[None])[0]
    label = illumination_flags.chosen(found, given.class_, given.network)[0] if given.class_ else int(scores.argmax())
    target = None if given.target is None else illumination_flags.chosen(found, [given.target], given.network)[0]
    with bar("searching", total=given.generations, unit="generation") as shown:

        def watch(generation: int, confidence: float) -> None:
            shown.set_postfix_str(f"confidence {100 * confidence:.1f} %", refresh=False)
            shown.update(generation - shown.n)

        fooled = illumination.one_pixel(
            found.network, picture, label, pixels=1 if given.pixels is None else given.pixels, target=target,
            population=given.population, iterations=given.generations, seed=given.seed, batch=given.batch, watch=watch,
        )  # fmt: skip
    now = illumination.scored(found.network, fooled.picture[None])[0]
    best = int(scores.argmax())
    both, confidences = torch.stack([picture, fooled.picture]).cpu(), torch.stack([scores[best], now[fooled.label]]).cpu()
    _write(given, both, [found.names[best], found.names[fooled.label]], confidences)
    for y, x, levels in fooled.changes:
        print(f"pixel in row {y}, column {x} is now {','.join(map(str, levels))}")
    about = found.names[label if target is None else target]
    result = f"{about} {100 * fooled.before:.1f} %, now {100 * fooled.confidence:.1f} %"
    print(f"{'fooled' if fooled.fooled else 'not fooled'} after {fooled.asked} pictures: {result}; wrote {given.out}")
    return 0


def _write(given: argparse.Namespace, pictures: Tensor, names: list[str], confidences: Tensor) -> None:
    labels = [f"{name} {100 * value:.1f} %" for name, value in zip(names, confidences.tolist(), strict=True)]
    resample = "nearest" if max(pictures.shape[-2:]) < 64 else "lanczos"
    images.save_image(images.grid(pictures, labels, resample=resample), given.out)
