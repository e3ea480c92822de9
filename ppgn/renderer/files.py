"""Meshes of files: .ply and .obj, read by Mitsuba."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ppgn.errors import one_line
from ppgn.renderer.mesh import Mesh
from ppgn.renderer.scene import ANYWHERE, in_variant

KINDS = (".ply", ".obj")
GREY = 0.5
"""Reflectance of a mesh without colours."""


def read_mesh(file: str | Path) -> Mesh:
    """The mesh of a .ply or .obj file; colours are those of a .ply's vertices ("r", "g", "b"), else grey.

    Raises ValueError for another kind of file, and for one that Mitsuba cannot read.
    """
    path = Path(file)
    if path.suffix.lower() not in KINDS or not path.is_file():
        raise ValueError(f"got the mesh {str(file)!r}, expected a file that ends in {' or '.join(KINDS)}: check the path")
    with in_variant(ANYWHERE) as mitsuba:
        try:
            numbers = mitsuba.traverse(mitsuba.load_dict({"type": path.suffix.lower()[1:], "filename": str(path)}))
        except RuntimeError as fault:  # whatever its readers say
            raise ValueError(f"cannot read {path} ({one_line(fault)}), expected a mesh of triangles: save it again") from fault
        names = [name for name in numbers.keys() if name in ("vertex_color", "vertex_r")]  # noqa: SIM118
        vertices = torch.from_numpy(np.array(numbers["vertex_positions"])).reshape(-1, 3).float()
        faces = torch.from_numpy(np.array(numbers["faces"]).astype(np.int64)).reshape(-1, 3)
        stored = np.array(numbers[names[0]]) if names else np.full(vertices.numel(), GREY)
    return Mesh(vertices, faces, torch.from_numpy(stored).reshape(-1, 3).float().clamp(0, 1))
