"""Up and down from a picture: the smallest changes found that raise and lower the response to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ppgn import images, recipes, requests, sampling
from ppgn.explanation.study import Part, Study, Tick
from ppgn.explanation.target import AT_ONCE
from ppgn.samplers import Adaptive
from ppgn.seeds import Stream, generator
from ppgn.types import Code, Image

FROM, TO = 0.50, 0.95
"""Shares of the ranks of positive real responses between which the pictures lie."""
PULL = 0.05
"""Prior scale: the share of its way to the picture's code that a chain goes back at a step."""
STEP_SIZE = 0.05
"""Of `Adaptive`, in standard deviations of a code unit. Of 0.05, 0.1 and 0.2 falling to 0.02, with pulls of 0.05, 0.1 and 0.1,
on four pictures and natural128's trunk.block10:17, the smallest changes were 0.033, 0.042 and 0.055."""
HALVINGS = 6
"""Of the line from the picture's code to the chain's: the change is known to 1 / 64 of its length."""
PAIRS = 30
"""Pairs of real pictures of one class, and as many of any, with whose distances those of changes are compared."""
DIRECTIONS = {"up": 1.0, "down": -1.0}
RULE = (
    "up: twice the response to the reconstruction, or one standard deviation of the real responses more where that response is "
    "not positive; down: half of it, or one standard deviation less"
)
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of red, green and blue, ITU-R BT.709
SHARE = 0.995
"""Of the pixels of all difference maps that stay below white and above black."""
Pairs: TypeAlias = list[tuple[int, int]]


def passes(study: Study) -> int:
    """Passes of a picture through a network that `nearby` makes; a gradient counts 3."""
    if study.codes is None:
        return 0
    count = len(_chosen(study))
    chains = 2 * count * (6 * study.options.nearby_steps + 1 + 2 * HALVINGS)
    compared = 0 if study.second is None else 2 * (2 * count + sum(map(len, _pairs(study).values())))
    return 2 * count + chains + compared


def nearby(study: Study, tick: Tick) -> Part:
    """Real pictures with responses from the median to the 95th percentile of the positive ones, and the smallest changes of each.

    A chain begins at the code E(picture) and climbs, or descends, to a goal (RULE), while the prior's direction is back to that
    code. At the goal the condition's gradient ends, so that a chain slides along it to where it is nearest to E(picture). The
    line from there to the nearest code of the chain that reaches the goal is then halved until the change is the smallest.

    Changes are compared with the reconstruction G(E(picture)), in response as in distance: of codes the root mean square over
    units in standard deviations of a unit, of pictures the second network's (`Second.distance`). A difference map is
    0.5 + gain * (luminance of the changed picture - that of the reconstruction). Without an encoder its data is
    {"left_out": reason}.
    """
    if study.codes is None:
        return Part({"left_out": f"The bundle {study.bundle.name} has no encoder, which gives the codes of pictures."})
    rows: list[dict[str, Any]] = []
    shown: dict[str, Image] = {}
    chosen, most = _chosen(study), AT_ONCE // len(DIRECTIONS)
    for first in range(0, len(chosen), most):
        rows += _changed(study, chosen[first : first + most], first, shown, tick)
    gain = _difference_maps(rows, shown)
    data: dict[str, Any] = {"pictures": rows, "rule": RULE, "gain": gain}
    data |= {name: _distances(study, pairs, tick) for name, pairs in _pairs(study).items()}
    data["mean"] = {direction: _means([row[direction] for row in rows]) for direction in DIRECTIONS}
    return Part(data, {name: images.to_pil(image) for name, image in shown.items()})


def _chosen(study: Study) -> list[int]:
    """Places of the pictures that are changed, the lowest response first."""
    order = study.responses.argsort(stable=True).tolist()
    order = [place for place in order if study.responses[place] > 0] or order
    between = order[int(FROM * len(order)) : int(TO * len(order))] or order
    return [between[number] for number in images.spread(len(between), study.options.nearby)]


def _changed(study: Study, places: list[int], first: int, shown: dict[str, Image], tick: Tick) -> list[dict[str, Any]]:
    """The rows of some of the real pictures, whose chains run at once; their pictures, named from `first` on, go into shown."""
    assert study.codes is not None
    begin = study.codes[places].to(study.bundle.device)
    start, response = _seen(study, begin)
    tick(2 * len(places))
    rows: list[dict[str, Any]] = []
    for index, place in enumerate(places):
        name = str(first + index)
        row = {"file": study.pictures.files[place], "response": float(study.responses[place]), "start": float(response[index])}
        rows.append(row | {"picture": name, "reconstruction": f"{name}_start"})
        shown |= {name: study.pictures.images(place), f"{name}_start": start[index]}
    signs = torch.tensor([sign for sign in DIRECTIONS.values() for _ in places])
    begin, start, response = (torch.cat([value] * len(DIRECTIONS)) for value in (begin, start, response))
    goals = torch.where(response > 0, response * 2.0**signs, response + signs * study.std)
    chains = _Chains(study, begin, goals, signs)
    code, image, steps = chains.run(tick)
    code, image, response = chains.halved(code, image, tick)
    measured = {"goal": goals, "reached": chains.reaches(response), "response": response, "code_distance": chains.distance(code)}
    measured |= {"feature_distance": _feature_distance(study, start, image, tick), "steps": steps}
    for chain, (direction, row) in enumerate((direction, row) for direction in DIRECTIONS for row in rows):
        changed = f"{row['picture']}_{direction}"
        row[direction] = {key: None if values is None else values[chain].item() for key, values in measured.items()}
        row[direction] |= {"picture": changed, "difference": f"{changed}_difference"}
        shown[changed] = image[chain]
    return rows


def _seen(study: Study, code: Code) -> tuple[Image, Tensor]:
    """G(code), and the responses to it on the CPU."""
    with torch.no_grad():
        image = study.bundle.generator(code)
    return image, study.target.measured(image)


@dataclass(frozen=True, eq=False)
class _Chains:
    """Chains from codes `[chain, *code]` towards goals `[chain]`: at least them where the sign is 1, at most where it is -1."""

    study: Study
    begins: Code
    goals: Tensor
    signs: Tensor

    def reaches(self, response: Tensor) -> Tensor:
        return self.signs * (response - self.goals) >= 0

    def distance(self, code: Code) -> Tensor:
        return _code_distance(self.study, code, self.begins)

    def run(self, tick: Tick) -> tuple[Code, Image, Tensor]:
        """Of each chain the nearest code that reaches the goal, else the one that comes nearest to it; its image; and the steps
        until the goal was reached first."""
        study, count = self.study, len(self.begins)
        goals, signs = self.goals.to(self.begins.device), self.signs.to(self.begins.device)

        def lack(image: Image) -> Tensor:
            return (signs * (study.target.response(image) - goals)).clamp(max=0.0)

        bounds = recipes.FixedBounds() if study.bundle.code.relu else recipes.NoBounds()
        back = _Back(self.begins)
        recipe = recipes.Recipe(Adaptive(PULL, STEP_SIZE), back, bounds=bounds, steps=study.options.nearby_steps)
        setup = recipes.prepare(study.bundle, recipe)
        objective = recipes.objective(setup, requests.function(lack, count))
        worth, steps = torch.full((count,), -torch.inf), torch.full((count,), recipe.steps)
        code, image = self.begins, None
        for step, now in enumerate(sampling.evaluations(setup, objective, [study.options.seed] * count, self.begins)):
            missing = now.log_prob.float().cpu()
            # A code that reaches the goal is worth more than 0, and the more the nearer it is.
            value = torch.where(missing < 0, missing, 1 / (1 + self.distance(now.code)))
            better, worth = value > worth, torch.maximum(value, worth)
            code = _where(better, now.code, code)
            image = now.image if image is None else _where(better, now.image, image)
            steps = torch.where(missing < 0, steps, steps.clamp(max=step))
            tick(6 * count)
        assert image is not None
        return code, image, steps

    def halved(self, code: Code, image: Image, tick: Tick) -> tuple[Code, Image, Tensor]:
        """The nearest code on the lines from the beginnings to these codes that still reaches the goal, of those that do; with
        its image and response."""
        response = self.study.target.measured(image)
        reached = self.reaches(response)
        tick(len(code))
        low, high, end = torch.zeros(len(code)), torch.ones(len(code)), code
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            between = self.begins + middle.to(end).reshape(-1, *[1] * (end.ndim - 1)) * (end - self.begins)
            seen, value = _seen(self.study, between)
            inside = self.reaches(value) & reached
            low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
            code, image, response = _where(inside, between, code), _where(inside, seen, image), _where(inside, value, response)
            tick(2 * len(code))
        return code, image, response


@dataclass(frozen=True, eq=False)
class _Back:
    """The direction of each chain to the code where it began."""

    begins: Code

    def __call__(self, code: Code, image: Image) -> Code:
        return self.begins - code


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """The rows of one where chosen, else of the other."""
    return torch.where(chosen.to(one.device).reshape(-1, *[1] * (one.ndim - 1)), one, other)


def _difference_maps(rows: list[dict[str, Any]], shown: dict[str, Image]) -> float:
    """Adds the maps of the rows' changes to the pictures shown; returns their gain, one for all of them."""
    found: dict[str, Tensor] = {}
    for row in rows:
        for change in (row[direction] for direction in DIRECTIONS):
            difference = shown[change["picture"]].clamp(0, 1) - shown[row["reconstruction"]].clamp(0, 1)
            weights = LUMINANCE if len(difference) == 3 else (1 / len(difference),) * len(difference)
            found[change["difference"]] = torch.einsum("chw,c->hw", difference, difference.new_tensor(weights))[None]
    largest = float(np.quantile(torch.cat(list(found.values())).abs().cpu().numpy(), SHARE))
    gain = 0.5 / max(largest, 1 / 255)
    shown.update({name: (0.5 + gain * difference).clamp(0, 1) for name, difference in found.items()})
    return gain


def _pairs(study: Study) -> dict[str, Pairs]:
    """Random pairs of two real pictures, of one class (none without classes) and of any."""
    classes, seed = study.pictures.classes, study.options.seed
    everyone = list(range(len(classes)))
    of_class = [(classes == number).nonzero()[:, 0].tolist() for number in classes.unique()]
    return {
        "same_class": _drawn(of_class if len(of_class) > 1 else [], seed, 1),
        "any_class": _drawn([everyone], seed, 2),
    }


def _drawn(groups: list[list[int]], seed: int, step: int) -> Pairs:
    """PAIRS pairs of two of a random group, none where no group has two."""
    random = generator(seed, step, Stream.CONTROL)  # of its step 0 comes the random direction
    groups = [group for group in groups if len(group) > 1]
    pairs = [random.choice(groups[random.integers(len(groups))], 2, replace=False).tolist() for _ in range(PAIRS * bool(groups))]
    return [(one, other) for one, other in pairs]


def _distances(study: Study, pairs: Pairs, tick: Tick) -> dict[str, Any]:
    """The mean distances between the reconstructions of pairs of pictures, None where there are none."""
    assert study.codes is not None
    found: dict[str, Any] = {"code_distance": None, "feature_distance": None, "pairs": len(pairs)}
    if pairs:
        one, other = (torch.tensor(places) for places in zip(*pairs, strict=True))
        found["code_distance"] = float(_code_distance(study, study.codes[one], study.codes[other]).mean())
        features = _feature_distance(study, _reconstructed(study, one), _reconstructed(study, other), tick)
        found["feature_distance"] = None if features is None else float(features.mean())
    return found


def _reconstructed(study: Study, places: Tensor) -> Image:
    """G(E(picture)) of real pictures, some at a time."""
    assert study.codes is not None
    with torch.no_grad():
        codes = study.codes[places].to(study.bundle.device)
        return torch.cat([study.bundle.generator(some).clamp(0, 1) for some in codes.split(AT_ONCE)])


def _code_distance(study: Study, one: Code, other: Code) -> Tensor:
    """Root mean square over units of the difference in standard deviations of a unit, where they are known, on the CPU."""
    difference = (one - other).flatten(1).float().cpu()
    if study.bundle.code.std is not None:
        std = torch.as_tensor(study.bundle.code.std).float().cpu().expand(one.shape[1:]).flatten()
        difference = difference[:, std > 0] / std[std > 0]  # units that are constant over real pictures do not move
    return difference.square().mean(1).sqrt()


def _feature_distance(study: Study, one: Image, other: Image, tick: Tick) -> Tensor | None:
    """Distances of the second network, some at a time, on the CPU; None without one."""
    if study.second is None:
        return None
    found = []
    for some, others in zip(one.split(AT_ONCE), other.split(AT_ONCE), strict=True):
        found.append(study.second.distance(some.to(study.bundle.device), others.to(study.bundle.device)).float().cpu())
        tick(2 * len(some))
    return torch.cat(found)


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over changes that reach their goal, None where none does or nothing was measured; and the share that does."""
    reached = [row for row in rows if row["reached"]]
    found: dict[str, Any] = {"reached": len(reached) / len(rows)}
    for key in ("code_distance", "feature_distance"):
        values = [row[key] for row in reached if row[key] is not None]
        found[key] = sum(values) / len(values) if values else None
    return found
