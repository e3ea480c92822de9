"""Objects made in code, of classes that networks of ImageNet know; x is their length, y upwards, z towards the viewer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ppgn.renderer.mesh import Colour, Mesh, box, cylinder, grid, joined, lathe, sphere, tube

BLACK: Colour = (0.02, 0.02, 0.02)
WHITE: Colour = (0.85, 0.85, 0.85)
YELLOW: Colour = (0.85, 0.45, 0.01)
GLASS: Colour = (0.05, 0.07, 0.09)
RUBBER: Colour = (0.03, 0.03, 0.035)
STEEL: Colour = (0.4, 0.4, 0.42)
RED: Colour = (0.6, 0.02, 0.02)


def school_bus() -> Mesh:
    """A yellow bus with a hood, windows, black rails and four wheels."""
    parts = [
        box((6.0, 2.2, 2.2), YELLOW, (-0.6, 0.6, 0.0)),
        box((5.8, 0.16, 2.0), (0.8, 0.75, 0.6), (-0.6, 1.75, 0.0)),
        box((1.3, 1.0, 2.0), YELLOW, (3.0, 0.0, 0.0)),
        box((0.15, 0.25, 2.2), BLACK, (3.7, -0.45, 0.0)),
        box((0.15, 0.25, 2.2), BLACK, (-3.65, -0.4, 0.0)),
        box((0.05, 0.9, 1.9), GLASS, (2.41, 1.1, 0.0)),
        box((0.05, 0.7, 1.6), GLASS, (-3.61, 1.1, 0.0)),
        box((0.04, 0.55, 1.1), BLACK, (3.66, 0.05, 0.0)),
    ]
    for side in (-1.0, 1.0):
        parts += [box((0.56, 0.6, 0.04), GLASS, (-3.1 + 0.72 * number, 1.1, side * 1.11)) for number in range(7)]
        parts += [box((5.9, 0.07, 0.05), BLACK, (-0.6, height, side * 1.11)) for height in (0.55, 0.2, -0.15)]
        parts += [box((0.05, 0.22, 0.22), WHITE, (3.67, 0.1, side * 0.75)), box((0.05, 0.2, 0.2), RED, (2.42, 1.62, side * 0.7))]
        parts += [box((0.05, 0.2, 0.2), RED, (-3.62, 0.3, side * 0.9)), box((0.3, 0.3, 0.1), BLACK, (2.6, 0.7, side * 1.3))]
        for length in (2.7, -2.2):
            wheel = [cylinder(0.55, 0.4, RUBBER), cylinder(0.25, 0.42, STEEL)]
            parts += [part.turned(0, 90).moved((length, -0.55, side * 0.95)) for part in wheel]
    return joined(parts)


def traffic_light() -> Mesh:
    """Red, yellow and green lamps under hoods in a black case on a pole; the red one is lit."""
    parts = [box((1.2, 3.3, 0.8), BLACK), cylinder(0.12, 2.0, STEEL).moved((0.0, -2.6, -0.1))]
    parts += [box((1.6, 3.7, 0.06), BLACK, (0.0, 0.0, -0.1))]
    lamps: list[Colour] = [(0.98, 0.05, 0.02), (0.45, 0.28, 0.01), (0.02, 0.3, 0.12)]
    for number, colour in enumerate(lamps):
        height = 1.05 - 1.05 * number
        parts.append(sphere(0.42, colour).stretched((1.0, 1.0, 0.35)).moved((0.0, height, 0.4)))
        angle = torch.linspace(math.radians(-20), math.radians(200), 24)
        rim = torch.stack([0.46 * angle.cos(), 0.46 * angle.sin() + height, torch.full((24,), 0.4)], -1)
        parts.append(_hood(rim, 0.5))
    return joined(parts)


def _hood(rim: Tensor, depth: float) -> Mesh:
    """A visor from a line of points `[point, 3]` towards the viewer."""
    return grid(torch.stack([rim, rim + torch.tensor([0.0, 0.0, depth])]), BLACK)


def soccer_ball() -> Mesh:
    """A white ball with twelve black pentagons."""
    golden = (1 + math.sqrt(5)) / 2
    corners = torch.tensor([
        [(0.0, first, second * golden), (first, second * golden, 0.0), (second * golden, 0.0, first)]
        for first in (-1, 1) for second in (-1, 1)
    ]).reshape(-1, 3)  # fmt: skip
    corners = corners / corners.norm(dim=1, keepdim=True)

    def colour_of(points: Tensor) -> Tensor:
        nearness = points / points.norm(dim=1, keepdim=True) @ corners.T
        best = nearness.topk(3, dim=1).values
        black = best[:, 0] > math.cos(math.radians(21))
        seam = (best[:, 0] - best[:, 1] < 0.02) & ~black
        colours = torch.tensor(WHITE).repeat(len(points), 1)
        colours[seam] = torch.tensor((0.25, 0.25, 0.25))
        colours[black] = torch.tensor(BLACK)
        return colours

    return sphere(1.0, WHITE, 96, 192).painted(colour_of)


def mug() -> Mesh:
    """A white mug with coffee and a handle."""
    outside = [(0.0, -1.0), (0.85, -1.0), (0.9, -0.95), (0.9, 1.0), (0.87, 1.03), (0.83, 1.0), (0.83, 0.7)]
    angle = torch.linspace(math.radians(-100), math.radians(100), 32)
    handle = torch.stack([0.85 + 0.55 * angle.cos(), 0.62 * angle.sin(), torch.zeros(32)], -1)
    coffee = lathe([(0.83, 0.7), (0.0, 0.7)], (0.06, 0.025, 0.01))
    return joined([lathe(outside, WHITE), coffee, tube(handle, 0.11, WHITE)])


def teapot() -> Mesh:
    """A round white pot with lid, spout and handle."""
    body = [(0.0, -0.8), (0.6, -0.8), (0.85, -0.6), (1.05, -0.2), (1.05, 0.15), (0.85, 0.5), (0.55, 0.68)]
    lid = [(0.55, 0.68), (0.5, 0.76), (0.3, 0.86), (0.1, 0.92), (0.08, 0.98), (0.16, 1.06), (0.14, 1.16), (0.0, 1.2)]
    angle = torch.linspace(math.radians(75), math.radians(285), 32)
    handle = torch.stack([-0.9 + 0.65 * angle.cos(), 0.05 + 0.5 * angle.sin(), torch.zeros(32)], -1)
    along = torch.linspace(0, 1, 24)
    spout = torch.stack([0.85 + 0.85 * along, -0.3 + 0.2 * along + 0.75 * along**2, torch.zeros(24)], -1)
    china: Colour = (0.75, 0.77, 0.8)
    return joined([lathe(body, china), lathe(lid, china), tube(handle, 0.1, china), tube(spout, 0.28 - 0.17 * along, china)])


def umbrella() -> Mesh:
    """An open red umbrella with a stick and a hook."""
    points = []
    for row in range(13):
        polar = math.radians(70) * row / 12
        angle = torch.linspace(0, 2 * math.pi, 97)
        sag = 1 - 0.12 * (row / 12) ** 2 * (4 * angle).sin().abs().neg().add(1)
        radius = 1.5 * math.sin(polar) * sag
        points.append(
            torch.stack([radius * angle.cos(), torch.full_like(angle, 1.5 * math.cos(polar)), radius * angle.sin()], -1)
        )
    canopy = grid(torch.stack(points), RED)
    bend = torch.linspace(0, math.pi, 16)
    hook = torch.stack([0.15 - 0.15 * bend.cos(), -0.9 - 0.15 * bend.sin(), torch.zeros(16)], -1)
    return joined([canopy, cylinder(0.03, 2.6, STEEL).moved((0.0, 0.4, 0.0)), tube(hook, 0.05, (0.1, 0.05, 0.02))])


OBJECTS = {
    "school_bus": school_bus,
    "traffic_light": traffic_light,
    "soccer_ball": soccer_ball,
    "mug": mug,
    "teapot": teapot,
    "umbrella": umbrella,
}
"""Name -> a function that makes the mesh. EfficientNet-Lite0 recognises each from the front (benchmarks/poses.py)."""
