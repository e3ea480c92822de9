"""The code of a renderer: pose of the object, lamp and camera, each unit from -1 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ppgn.seeds import Stream, uniform
from ppgn.types import Code


@dataclass(frozen=True)
class Unit:
    """A unit of the code. low, high: its values at -1 and 1. scale: "linear"; "geometric", low (high / low)^((u + 1) / 2); or
    "turn", linear and the same again after 2. even: how values spread in random poses, "all" alike or as the "sine" of angles."""

    name: str
    low: float
    high: float
    unit: str
    scale: str = "linear"
    spread: str = "all"

    def value(self, code: Tensor) -> Tensor:
        """The value of numbers of the code, any shape."""
        if self.scale == "geometric":
            return self.low * (self.high / self.low) ** ((code + 1) / 2)
        return self.low + (self.high - self.low) * (code + 1) / 2

    def code(self, value: float) -> float:
        """The number of the code for a value. Raises ValueError outside the range of a unit that is no turn."""
        if self.scale != "turn" and not self.low <= value <= self.high:
            raise ValueError(
                f"a pose got {self.name} {value:g}, expected {self.low:g} to {self.high:g} {self.unit}: choose one in between"
            )
        if self.scale == "geometric":
            return 2 * math.log(value / self.low) / math.log(self.high / self.low) - 1
        return 2 * (value - self.low) / (self.high - self.low) - 1


UNITS = (
    Unit("yaw", -180, 180, "degrees", "turn"),
    Unit("pitch", -90, 90, "degrees", spread="sine"),
    Unit("roll", -180, 180, "degrees", "turn"),
    Unit("x", -0.5, 0.5, "half pictures"),
    Unit("y", -0.5, 0.5, "half pictures"),
    Unit("distance", 2.5, 10, "radii", "geometric"),
    Unit("lamp_azimuth", -180, 180, "degrees", "turn"),
    Unit("lamp_elevation", -90, 90, "degrees", spread="sine"),
    Unit("lamp_power", 0.75, 12, "times the sky", "geometric"),
    Unit("field_of_view", 25, 49, "degrees", "geometric"),
)
"""The units of a code, in their order; first yaw (about the upright axis), then pitch (towards the viewer), then roll (in the
picture). The object's radius is the unit of length; the lamp is `LAMP_DISTANCE` of them away."""
NAMES = tuple(unit.name for unit in UNITS)
ROTATION = ("yaw", "pitch", "roll")
LAMP = ("lamp_azimuth", "lamp_elevation", "lamp_power")
LAMP_DISTANCE = 10.0


class View(NamedTuple):
    """What a renderer needs of a code, in the coordinates of the object: camera `[chain, 4, 4]`, from coordinates in which it
    stands at 0 and looks along -z; lamp `[chain, 3]`; power and field_of_view (degrees) `[chain]`."""

    camera: Tensor
    lamp: Tensor
    power: Tensor
    field_of_view: Tensor


def view_of(code: Code) -> View:
    """The view of codes `[chain, 10]`, differentiable."""
    values = {unit.name: unit.value(code[:, number]) for number, unit in enumerate(UNITS)}
    angles = {name: torch.deg2rad(values[name]) for name in (*ROTATION, "lamp_azimuth", "lamp_elevation")}
    half = values["distance"] * torch.tan(torch.deg2rad(values["field_of_view"] / 2))
    place = torch.stack([values["x"] * half, values["y"] * half, -values["distance"]], 1)
    level = angles["lamp_elevation"].cos()
    lamp = torch.stack(
        [level * angles["lamp_azimuth"].sin(), angles["lamp_elevation"].sin(), level * angles["lamp_azimuth"].cos()], 1
    )
    turned = (_about(2, angles["roll"]) @ _about(0, angles["pitch"]) @ _about(1, angles["yaw"])).mT
    camera = torch.eye(4, dtype=code.dtype).repeat(len(code), 1, 1)
    camera[:, :3, :3], camera[:, :3, 3] = turned, -(turned @ place[..., None])[..., 0]
    return View(camera, LAMP_DISTANCE * (turned @ lamp[..., None])[..., 0], values["lamp_power"], values["field_of_view"])


def _about(axis: int, angle: Tensor) -> Tensor:
    """The rotations `[chain, 3, 3]` about an axis, counterclockwise as seen against it."""
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    found = torch.eye(3, dtype=angle.dtype, device=angle.device).repeat(len(angle), 1, 1)
    found[:, first, first] = found[:, second, second] = angle.cos()
    found[:, second, first], found[:, first, second] = angle.sin(), -angle.sin()
    return found


def pose(**values: float) -> Tensor:
    """The code `[10]` of values in their own units, such as `pose(yaw=-40, distance=5)`; others are those of `STANDARD`.

    Raises ValueError for an unknown name, and outside the range of a unit.
    """
    check_names(list(values))
    given = {**STANDARD, **values}
    return torch.tensor([unit.code(float(given[unit.name])) for unit in UNITS])


def values_of(code: Tensor) -> dict[str, float]:
    """The values of a code `[10]` in their own units; turns from -180 to 180."""
    found = {unit.name: float(unit.value(code[number])) for number, unit in enumerate(UNITS)}
    return {unit.name: _turned(found[unit.name]) if unit.scale == "turn" else found[unit.name] for unit in UNITS}


def _turned(angle: float) -> float:
    return (angle + 180) % 360 - 180


STANDARD = {
    "yaw": 0.0, "pitch": 0.0, "roll": 0.0, "x": 0.0, "y": 0.0, "distance": 4.0,
    "lamp_azimuth": 40.0, "lamp_elevation": 45.0, "lamp_power": 3.0, "field_of_view": 35.0,
}  # fmt: skip
"""The object from its front, lit from the upper right."""


def random_poses(seeds: Sequence[int], free: Sequence[str] = NAMES, draw: int = 0) -> Code:
    """Codes `[len(seeds), 10]`: the free units at random, the others as in `STANDARD`; a function of seed and draw alone.

    Rotations are spread evenly over all rotations, the lamp over the sphere, all else over its range. ValueError for unknown
    names.
    """
    return posed(uniform(seeds, draw, (len(UNITS),), stream=Stream.START), free)


def posed(quantile: Tensor, free: Sequence[str] = NAMES) -> Code:
    """Codes `[chain, 10]` of numbers in [0, 1], the shares of random poses that lie below in each unit."""
    check_names(free)
    found = pose().to(quantile).repeat(len(quantile), 1)
    for number, unit in enumerate(UNITS):
        if unit.name in free:
            even = 2 * quantile[:, number] - 1
            found[:, number] = even if unit.spread == "all" else even.clamp(-1, 1).asin() / (math.pi / 2)
    return found


def check_names(names: Sequence[str]) -> None:
    """Raises ValueError for a name that no unit has."""
    if odd := [name for name in names if name not in NAMES]:
        raise ValueError(f"got {odd[0]!r} of a pose, expected {', '.join(NAMES)}: choose among them")


class PoseStart(nn.Module):
    """N(0, 1) -> codes of random poses, all units free: the start "codes" of a renderer."""

    def forward(self, noise: Tensor) -> Tensor:
        """Codes of the shape of the noise, `[chain, 10]`."""
        return posed(0.5 + 0.5 * torch.erf(noise / math.sqrt(2)))
