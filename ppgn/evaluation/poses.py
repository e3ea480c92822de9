"""How a network sees an object from all sides: the share of poses that it recognises, and maps of its confidence."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import __version__, images, loaders, requests
from ppgn.bundle import Bundle
from ppgn.evaluation.html import document, embedded
from ppgn.evaluation.judges import listed_names
from ppgn.evaluation.options import JudgeSource
from ppgn.evaluation.progress import OnProgress, ignore, tracked
from ppgn.evaluation.report import json_safe
from ppgn.probe import Preprocessed
from ppgn.renderer import NAMES, ROTATION, UNITS, MeshGenerator, check_names, pose, random_poses, values_of
from ppgn.types import Code, at_least_one

SURE = 0.5
"""Probability of another class from which a network is fooled, not only unsure."""
AT_ONCE, SHOWN = 16, 8


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network makes of poses. codes `[pose, 10]`; probability `[pose]` of the class; best and confidence `[pose]`, the
    likeliest class and its probability."""

    codes: Code
    probability: Tensor
    best: Tensor
    confidence: Tensor


@dataclass(frozen=True, eq=False)
class Poses:
    """The result of `poses`. scores: all figures, as JSON has them: "recognised" and "fooled", shares of the random poses, each
    with its 95 % interval; "mistakes", the classes taken for it; "maps". pictures: the maps and sheets by name."""

    scores: dict[str, Any]
    pictures: dict[str, Pillow.Image]
    seen: Seen

    def line(self) -> str:
        """The figures as a sentence."""
        (low, high), count = self.scores["recognised_interval"], self.scores["count"]
        return (
            f"{self.scores['network']} recognises {100 * self.scores['recognised']:.1f} % of the poses ({100 * low:.1f} to "
            f"{100 * high:.1f}; {count} random poses) as {self.scores['class']}, and takes "
            f"{100 * self.scores['fooled']:.1f} % for something else with a probability of {SURE} or more"
        )

    def save(self, folder: str | Path) -> Path:
        """Writes poses.json, the pictures and index.html into the folder; returns the page. ValueError for one that cannot be
        written."""
        text = json.dumps(self.scores, indent=2, allow_nan=False) + "\n"
        title = f"Poses of {self.scores['object']}"
        parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(self.line())}.</p>"]
        parts += [f"<h2>{html.escape(name)}</h2>{embedded(one, name)}" for name, one in self.pictures.items()]
        folder = images.make_folder(folder)
        images.write_atomically(folder / "poses.json", lambda path: path.write_text(text, encoding="utf-8"))
        for name, picture in self.pictures.items():
            images.save_image(picture, folder / f"{name}.png")
        page = document(title, parts)
        images.write_atomically(folder / "index.html", lambda path: path.write_text(page, encoding="utf-8"))
        return folder / "index.html"


def poses(
    bundle: Bundle | str,
    wanted: str | int,
    judge: str | JudgeSource,
    *,
    count: int = 500,
    seed: int = 0,
    free: Sequence[str] = ROTATION,
    map_size: tuple[int, int] = (25, 13),
    on_progress: OnProgress = ignore,
) -> Poses:
    """Shows a network the object of a renderer in random poses, and on the grids yaw x pitch and yaw x distance.

    bundle: of a renderer, or "render:school_bus". wanted: the class of the judge that the object is, by name or number. count:
    random poses, each a function of (seed, number); free: the units of the code that are random, by default the three of the
    rotation; the others are `renderer.STANDARD`. map_size: poses across and upwards, (0, 0) for no maps. A pose is recognised
    where the class is the likeliest, and fools where another one has a probability of at least SURE (Alcorn et al. 2019 count
    all that are not recognised). Raises ValueError for a bundle that renders nothing, and an unknown class, judge or unit.
    """
    bundle = loaders.bundle(bundle)
    source = judge if isinstance(judge, JudgeSource) else JudgeSource(judge)
    check_names(free)
    at_least_one("a count of poses", count, "ask for one or more")
    if not is_renderer(bundle) or not source.held_out:
        raise ValueError(
            f"got the bundle {bundle.name} and the judge {source.name}, expected a renderer, such as render:school_bus, and a "
            f"network that knows its object: give both"
        )
    network = source.network or loaders.network(source.name, **source.adapter)
    network.network.to(bundle.device)
    names = _names(network, source, bundle)
    target = requests.class_index(names, wanted, source.name)
    codes = torch.cat([random_poses([seed], free, number) for number in range(count)])
    seen = look(bundle, network, target, codes, "random poses", on_progress)
    maps, drawn = {}, {}
    for upwards in ("pitch", "distance") if min(map_size) > 0 else ():
        grid, axes = map_codes(upwards, map_size)
        found = look(bundle, network, target, grid, f"yaw and {upwards}", on_progress).probability.reshape(map_size[::-1])
        maps[upwards] = {**axes, "probability": found.tolist()}
        drawn[f"yaw_{upwards}"] = drawn_map(found)
    scores = {"ppgn": __version__, "object": bundle.name, "network": source.name, "class": names[target], "seed": seed}
    scores |= {"free": list(free), **figures(seen, target, names), "maps": maps}
    return Poses(json_safe(scores), {**drawn, **_sheets(bundle, seen, target, names)}, seen)


def is_renderer(bundle: Bundle) -> bool:
    """Whether the pictures of a bundle are those of an object in poses."""
    return isinstance(bundle.generator, MeshGenerator)


def look(
    bundle: Bundle, network: Preprocessed, target: int, codes: Code, stage: str = "poses", on_progress: OnProgress = ignore
) -> Seen:
    """What a network makes of codes `[pose, 10]`; target: the index of the class."""
    parts = codes.split(AT_ONCE)
    found = []
    with torch.no_grad():
        for some in tracked(parts, stage, len(parts), on_progress):
            found.append(network(bundle.generator(some.to(bundle.device))).softmax(1).float().cpu())
    shares = torch.cat(found)
    confidence, best = shares.max(1)
    return Seen(codes, shares[:, target], best, confidence)


def figures(seen: Seen, target: int, names: Sequence[str]) -> dict[str, Any]:
    """ "count", "recognised" and "fooled" (shares with 95 % intervals), "mean_probability", "mistakes" (class -> share) and
    "surest_mistake" (the pose, in its own units)."""
    right = seen.best == target
    fooled = ~right & (seen.confidence >= SURE)
    wrong = seen.best[~right].bincount(minlength=len(names))
    order = wrong.argsort(descending=True, stable=True)[:5].tolist()
    worst = int(torch.where(right, -1.0, seen.confidence).argmax())
    surest = {"class": names[int(seen.best[worst])], "probability": float(seen.confidence[worst])}
    return {
        "count": len(right),
        "recognised": float(right.float().mean()),
        "recognised_interval": interval(int(right.sum()), len(right)),
        "fooled": float(fooled.float().mean()),
        "fooled_interval": interval(int(fooled.sum()), len(right)),
        "mean_probability": float(seen.probability.mean()),
        "mistakes": {names[index]: float(wrong[index]) / len(right) for index in order if wrong[index]},
        "surest_mistake": None if bool(right.all()) else {**surest, "pose": values_of(seen.codes[worst])},
    }


def interval(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, count of total (Wilson 1927)."""
    z, share = 1.959964, count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def map_codes(upwards: str, size: tuple[int, int]) -> tuple[Code, dict[str, list[float]]]:
    """(codes of a map, row by row from the top, `[pose, 10]`; the values of "yaw" and of the unit upwards). All else is standard.

    size: poses across and upwards. Distances are spaced evenly in their logarithm."""
    across, up = torch.linspace(-1, 1, size[0]), torch.linspace(1, -1, size[1])
    found = pose().repeat(size[0] * size[1], 1)
    found[:, NAMES.index("yaw")] = across.repeat(size[1])
    found[:, NAMES.index(upwards)] = up.repeat_interleave(size[0])
    units = {unit.name: unit for unit in UNITS}
    return found, {"yaw": units["yaw"].value(across).tolist(), upwards: units[upwards].value(up).tolist()}


def drawn_map(probability: Tensor, width: int = 480) -> Pillow.Image:
    """A map `[row, column]` of probabilities as squares, from dark blue (0) over green to yellow (1)."""
    stops = torch.tensor([[0.27, 0.0, 0.33], [0.23, 0.32, 0.55], [0.13, 0.57, 0.55], [0.37, 0.79, 0.38], [0.99, 0.91, 0.14]])
    place = probability.clamp(0, 1) * (len(stops) - 1)
    low = place.floor().long().clamp(max=len(stops) - 2)
    colours = torch.lerp(stops[low], stops[low + 1], (place - low)[..., None])
    picture = images.to_pil(colours.permute(2, 0, 1))
    factor = max(1, width // picture.width)
    return picture.resize((picture.width * factor, picture.height * factor), Pillow.Resampling.NEAREST)


def _sheets(bundle: Bundle, seen: Seen, target: int, names: Sequence[str]) -> dict[str, Pillow.Image]:
    """The first recognised poses, and those that fool most."""
    right = (seen.best == target).nonzero()[:SHOWN, 0]
    mistaken = torch.where(seen.best == target, -1.0, seen.confidence)
    wrong = mistaken.argsort(descending=True, stable=True)[: min(SHOWN, int((mistaken >= 0).sum()))]
    found = {}
    for name, chosen in (("recognised", right), ("fooled", wrong)):
        if len(chosen):
            labels = [f"{names[int(seen.best[one])]} {seen.confidence[one]:.2f}" for one in chosen]
            with torch.no_grad():
                found[name] = images.grid(bundle.generator(seen.codes[chosen].to(bundle.device)).cpu(), labels, 4)
    return found


def _names(network: Preprocessed, source: JudgeSource, bundle: Bundle) -> tuple[str, ...]:
    """The classes of the judge, by number where nobody names them."""
    listed = tuple(listed_names(source, bundle))
    with torch.no_grad():
        outputs = network(torch.zeros(1, *bundle.image.shape, device=bundle.device)).shape[-1]
    if listed and len(listed) != outputs:
        raise ValueError(
            f"the judge {source.name} has {outputs} classes, got {len(listed)} names of them: list all its classes in their order"
        )
    return listed or tuple(str(index) for index in range(outputs))
