"""Triangle meshes made of a few shapes: boxes, tubes, surfaces of revolution and spheres, each point with a colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Colour: TypeAlias = tuple[float, float, float]
"""Reflectance of red, green and blue in [0, 1], linear (no sRGB curve)."""
Point: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices `[vertex, 3]` in lengths of its own, y upwards; faces `[face, 3]`, indices; colours `[vertex, 3]`, linear.

    Where faces share a vertex the surface looks smooth, else it has an edge. Raises ValueError for other shapes, numbers that are
    not finite, and indices of vertices that there are not.
    """

    vertices: Tensor
    faces: Tensor
    colours: Tensor

    def __post_init__(self) -> None:
        shapes = [tuple(one.shape) for one in (self.vertices, self.faces, self.colours)]
        if any(len(shape) != 2 or shape[1] != 3 or not shape[0] for shape in shapes) or shapes[0] != shapes[2]:
            raise ValueError(
                f"a mesh got vertices, faces and colours of shapes {', '.join(map(str, shapes))}, expected [vertex, 3], "
                f"[face, 3] and [vertex, 3]: give three numbers for each"
            )
        if not bool(self.vertices.isfinite().all()) or not bool(self.colours.isfinite().all()):
            raise ValueError("a mesh got vertices or colours that are not finite, expected numbers: correct them")
        if int(self.faces.min()) < 0 or int(self.faces.max()) >= len(self.vertices):
            raise ValueError(f"a mesh got faces of vertices beyond the {len(self.vertices)} that it has: count vertices from 0")

    def moved(self, by: Point) -> Mesh:
        """The mesh shifted by (x, y, z)."""
        return Mesh(self.vertices + torch.tensor(by), self.faces, self.colours)

    def turned(self, axis: int, degrees: float) -> Mesh:
        """The mesh turned about the axis 0, 1 or 2 (x, y, z), counterclockwise as seen against it."""
        first, second = [(1, 2), (2, 0), (0, 1)][axis]
        angle = math.radians(degrees)
        found = self.vertices.clone()
        found[:, first] = math.cos(angle) * self.vertices[:, first] - math.sin(angle) * self.vertices[:, second]
        found[:, second] = math.sin(angle) * self.vertices[:, first] + math.cos(angle) * self.vertices[:, second]
        return Mesh(found, self.faces, self.colours)

    def stretched(self, by: Point) -> Mesh:
        """The mesh scaled along x, y and z by positive factors."""
        return Mesh(self.vertices * torch.tensor(by), self.faces, self.colours)

    def painted(self, colour_of: Callable[[Tensor], Tensor]) -> Mesh:
        """The mesh with colours `[vertex, 3]` that a function gives its vertices."""
        return Mesh(self.vertices, self.faces, colour_of(self.vertices))

    def normalised(self) -> Mesh:
        """The mesh with the middle of its bounding box at 0 and its farthest vertex at distance 1. ValueError for a point."""
        middle = (self.vertices.amax(0) + self.vertices.amin(0)) / 2
        radius = (self.vertices - middle).norm(dim=1).max()
        if not radius > 0:
            raise ValueError("a mesh got all vertices at one point, expected a surface: give more of them")
        return Mesh((self.vertices - middle) / radius, self.faces, self.colours)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes in one."""
    starts = [0]
    for mesh in meshes[:-1]:
        starts.append(starts[-1] + len(mesh.vertices))
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(torch.cat([mesh.vertices for mesh in meshes]), torch.cat(faces), torch.cat([mesh.colours for mesh in meshes]))


def box(size: Point, colour: Colour, at: Point = (0.0, 0.0, 0.0)) -> Mesh:
    """A box with edges, its middle at a point."""
    corners, faces = [], []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            start = len(corners)
            for one, two in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = [0.0, 0.0, 0.0]
                corner[axis], corner[first], corner[second] = sign / 2, one / 2, two / 2
                corners.append(corner)
            order = (0, 1, 2, 3) if sign > 0 else (0, 3, 2, 1)
            faces += [[start + order[place] for place in triangle] for triangle in ((0, 1, 2), (0, 2, 3))]
    return _of(torch.tensor(corners), faces, colour).stretched(size).moved(at)


def grid(points: Tensor, colour: Colour) -> Mesh:
    """A smooth surface through points `[row, column, 3]`, whose last column meets the first where they are equal."""
    rows, columns = points.shape[:2]
    closed = bool((points[:, 0] - points[:, -1]).abs().max() < 1e-5)
    kept = points[:, :-1] if closed else points
    width = kept.shape[1]
    faces = []
    for row in range(rows - 1):
        for column in range(columns - 1):
            here, right = row * width + column, row * width + (column + 1) % width
            faces += [[here, here + width, right], [right, here + width, right + width]]
    return _of(kept.reshape(-1, 3), faces, colour)


def lathe(profile: Sequence[tuple[float, float]], colour: Colour, around: int = 48) -> Mesh:
    """The surface of a line of (radius, height), from bottom to top on the outside, turned about the y axis."""
    angle = torch.linspace(0, 2 * math.pi, around + 1)
    line = torch.tensor(profile)
    radius, height = line[:, :1], line[:, 1:].expand(-1, around + 1)
    return grid(torch.stack([radius * angle.cos(), height, radius * angle.sin()], -1), colour)


def tube(centres: Tensor, radius: float | Tensor, colour: Colour, around: int = 16) -> Mesh:
    """A tube about a line of points `[point, 3]` in a plane of constant z; radius: one, or one for each point."""
    along = torch.gradient(centres, dim=0)[0]
    along = along / along.norm(dim=1, keepdim=True)
    across = torch.stack([-along[:, 1], along[:, 0], torch.zeros(len(along))], -1)
    angle = torch.linspace(0, 2 * math.pi, around + 1)
    width = torch.as_tensor(radius).reshape(-1, 1, 1)
    depth = torch.tensor([0.0, 0.0, 1.0])
    return grid(centres[:, None] + width * (angle.cos()[:, None] * across[:, None] + angle.sin()[:, None] * depth), colour)


def cylinder(radius: float, height: float, colour: Colour, around: int = 32) -> Mesh:
    """A cylinder with edges and both ends about the y axis, its middle at 0."""
    half = height / 2
    ends = [lathe([(0.0, half), (radius, half)], colour, around), lathe([(radius, -half), (0.0, -half)], colour, around)]
    return joined([lathe([(radius, half), (radius, -half)], colour, around), *ends])


def sphere(radius: float, colour: Colour, rows: int = 32, around: int = 64) -> Mesh:
    """A smooth sphere about 0."""
    angles = [math.pi * row / rows for row in range(rows + 1)]
    return lathe([(radius * math.sin(angle), radius * math.cos(angle)) for angle in angles], colour, around)


def _of(vertices: Tensor, faces: Sequence[Sequence[int]], colour: Colour) -> Mesh:
    return Mesh(vertices.float(), torch.tensor(faces), torch.tensor(colour).expand(len(vertices), 3).clone())
