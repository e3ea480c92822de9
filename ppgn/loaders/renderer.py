"""`render:school_bus` or `render:mesh.ply` -> a bundle whose code is pose, light and camera of an object."""

from __future__ import annotations

import math
from typing import Any

import torch

from ppgn.bundle import Bundle
from ppgn.renderer import KINDS, OBJECTS, UNITS, Mesh, MeshGenerator, PoseStart, read_mesh, variant

RENDER, SIZE = "render", 224
RECIPE: dict[str, Any] = {
    "sampler": {"name": "ppgn.evolution:CmaEs", "population": 20, "step_size": 0.3},
    "prior": {"name": "none"},
    "start": {"name": "codes"},
    "bounds": {"name": "statistics"},
    "measure": {"name": "log_softmax", "temperature": 1.0},
    "choice": {"draws": 16, "draw_power": 1.0},
    "steps": 8,
}
"""From a likely one of 16 random poses by evolution, 160 pictures. A network's answer is so rugged in the pose that the gradient
leads down as often as up (docs/generators.md)."""


def renderer(mesh: Mesh, size: int | tuple[int, int] = SIZE, name: str = "renderer", **settings: Any) -> Bundle:
    """A bundle of a mesh; its code of ten units is described at `renderer.UNITS`, and bounded by -1 and 1 but for turns.

    size: of pictures, in pixels; settings: as `renderer.MeshGenerator`. Start "codes" is a random pose. Raises ValueError without
    Mitsuba, and as `MeshGenerator`.
    """
    variant()  # says what is not installed
    free = torch.tensor([math.inf if unit.scale == "turn" else 1.0 for unit in UNITS])
    return Bundle.of(
        MeshGenerator(mesh, size, **settings),
        (len(UNITS),),
        name=name,
        low=-free,
        high=free,
        std=1 / math.sqrt(3),  # of even numbers from -1 to 1
        parts={"start": PoseStart()},
        recipes={"plugged": RECIPE},
    )


def of_render(spec: str) -> Bundle:
    """The bundle of "render:NAME", "render:NAME:SIDE", or of a file, "render:mesh.ply:SIDE". ValueError for another text."""
    thing, _, side = spec.partition(":")[2].rpartition(":")
    if not thing:
        thing, side = side, str(SIZE)
    is_file = thing.lower().endswith(KINDS)
    if not side.isdecimal() or (thing not in OBJECTS and not is_file):
        raise ValueError(
            f"cannot read {spec!r}, expected render:OBJECT or render:OBJECT:SIDE, the object a file of {' or '.join(KINDS)} or "
            f"one of {', '.join(OBJECTS)}: write render:school_bus"
        )
    return renderer(read_mesh(thing) if is_file else OBJECTS[thing](), int(side), name=spec)
