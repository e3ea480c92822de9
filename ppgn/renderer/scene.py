"""Mitsuba 3: a mesh, a lamp and a sky in front of a camera -> a picture."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.errors import required
from ppgn.renderer.mesh import Mesh

QUICK, ANYWHERE = "llvm_ad_rgb", "scalar_rgb"
"""Mitsuba's variants: compiled by LLVM, with gradients; and one that needs nothing, three times slower, without."""
LEAST_LLVM = 19
"""The first version of LLVM with which Dr.Jit 1.5 was tried and ran: 15 and 16 end the process ("Cannot select fmaximum")."""
SKY = 0.5
"""Radiance of the sky, which is also the background: the grey 188 of 255."""
LAMP_INTENSITY = 50.0
"""Intensity of a lamp of power 1: at ten radii it is as bright as the sky."""
ROUGHNESS, SPECULAR = 0.45, 0.5


@functools.cache
def variant() -> str:
    """The variant that this machine can run: QUICK with LLVM of at least version LEAST_LLVM, else ANYWHERE.

    LLVM is the newest that Dr.Jit finds, or the file in the environment variable DRJIT_LIBLLVM_PATH. Raises ValueError without
    the package mitsuba.
    """
    mitsuba = required("mitsuba", "a renderer needs mitsuba", "ppgn[render]")
    if QUICK not in mitsuba.variants():
        return ANYWHERE
    before = mitsuba.variant()
    try:
        mitsuba.set_variant(QUICK)
        found = required("drjit", "a renderer needs drjit", "ppgn[render]").detail.llvm_version()
    except ImportError:  # Dr.Jit's own word for a machine without LLVM
        found = (0,)
    if before is not None:
        mitsuba.set_variant(before)
    return QUICK if found[0] >= LEAST_LLVM else ANYWHERE


@contextmanager
def in_variant(name: str) -> Iterator[Any]:
    """Mitsuba in a variant, which each thread has for itself, and afterwards in the user's own again, if there was one: a change
    loads modules of Mitsuba anew and takes long."""
    mitsuba = required("mitsuba", "a renderer needs mitsuba", "ppgn[render]")
    before = mitsuba.variant()
    if before != name:
        mitsuba.set_variant(name)
    try:
        yield mitsuba
    finally:
        if before not in (None, name):
            mitsuba.set_variant(before)


class Scene:
    """A mesh under an even sky and a lamp, seen by a camera that moves: the mesh stays, so rays meet it the same way each time.

    size: (height, width); samples: rays of a pixel. Direct light alone, with shadows.
    """

    def __init__(self, mesh: Mesh, size: tuple[int, int], samples: int, name: str | None = None) -> None:
        self.variant, self.samples, self.size = name or variant(), samples, size
        with in_variant(self.variant) as mitsuba:
            look = mitsuba.ScalarTransform4f().look_at([0, 0, 0], [0, 0, -1], [0, 1, 0])
            self._forward = np.array(look.matrix, dtype=np.float64)
            self._scene = mitsuba.load_dict(self._described(look, _mesh(mitsuba, mesh)))
            self._numbers = mitsuba.traverse(self._scene)

    def _described(self, look: Any, mesh: Any) -> dict[str, Any]:
        film = {
            "type": "hdrfilm", "height": self.size[0], "width": self.size[1], "pixel_format": "rgb",
            "rfilter": {"type": "box"},  # pixels share no sample, so sums have one order: the same picture every time
        }  # fmt: skip
        rays = {"type": "multijitter", "sample_count": self.samples}
        camera = {"type": "perspective", "fov": 35, "fov_axis": "smaller", "near_clip": 0.01, "to_world": look}
        return {
            "type": "scene",
            "integrator": {"type": "direct", "emitter_samples": 2, "bsdf_samples": 1},
            "camera": {**camera, "film": film, "sampler": rays},
            "sky": {"type": "constant", "radiance": {"type": "rgb", "value": SKY}},
            "lamp": {"type": "point", "position": [0, 0, 0], "intensity": {"type": "rgb", "value": LAMP_INTENSITY}},
            "mesh": mesh,
        }

    def radiance(self, camera: Tensor, lamp: Tensor, power: float, field_of_view: float) -> Tensor:
        """Linear light `[3, height, width]`, the same each time.

        camera: `[4, 4]`, from its own coordinates (it looks along -z) to the mesh's; lamp: `[3]` in the mesh's. field_of_view: in
        degrees, of the picture's smaller side.
        """
        with in_variant(self.variant) as mitsuba:
            self._set(mitsuba, camera, lamp, power, field_of_view)
            found = np.array(mitsuba.render(self._scene, seed=0, spp=self.samples))
        return torch.from_numpy(found).permute(2, 0, 1).float()

    def lamp_gradients(
        self, camera: Tensor, lamp: Tensor, power: float, field_of_view: float, of_light: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gradients of (lamp, power) for that of the light `[3, height, width]`, by Mitsuba: surfaces get brighter or darker, but
        no shadow moves.

        Raises ValueError for a variant without gradients.
        """
        if self.variant != QUICK:
            raise ValueError(
                f"the gradient of the renderer needs Mitsuba's {QUICK}, got {self.variant}, as there is no LLVM of version "
                f"{LEAST_LLVM} or later: install one (libllvm{LEAST_LLVM}), set DRJIT_LIBLLVM_PATH to its file, or take "
                f"gradient 'differences'"
            )
        with in_variant(self.variant) as mitsuba:
            drjit = required("drjit", "a renderer needs drjit", "ppgn[render]")
            given = self._set(mitsuba, camera, lamp, power, field_of_view, attached=True)
            picture = mitsuba.render(self._scene, self._numbers, seed=0, spp=self.samples)
            weight = mitsuba.Float(of_light.permute(1, 2, 0).float().contiguous().flatten().numpy())
            drjit.backward(drjit.sum(picture.array * weight))
            found = [torch.from_numpy(np.array(drjit.grad(one))).float() for one in given]
            self._set(mitsuba, camera, lamp, power, field_of_view)
        return found[0].reshape(3), LAMP_INTENSITY * found[1].reshape(3).sum()

    def _set(
        self, mitsuba: Any, camera: Tensor, lamp: Tensor, power: float, field_of_view: float, attached: bool = False
    ) -> list[Any]:
        """Sets all numbers and returns those of lamp and power; attached: with gradients."""
        lit = mitsuba.Point3f(*(float(one) for one in lamp)), mitsuba.Color3f(LAMP_INTENSITY * power)
        if attached:
            required("drjit", "a renderer needs drjit", "ppgn[render]").enable_grad(*lit)
        placed = camera.double().numpy() @ self._forward
        self._numbers["camera.to_world"] = type(self._numbers["camera.to_world"])(placed.tolist())
        self._numbers["lamp.position"], self._numbers["lamp.intensity.value"] = lit
        self._numbers["camera.x_fov"] = field_of_view
        self._numbers.update()
        return list(lit)


def _mesh(mitsuba: Any, given: Mesh) -> Any:
    base = {"type": "mesh_attribute", "name": "vertex_color"}
    inside = {"type": "principled", "base_color": base, "roughness": ROUGHNESS, "specular": SPECULAR}
    about = mitsuba.Properties()
    about["bsdf"] = mitsuba.load_dict({"type": "twosided", "inside": inside})
    mesh = mitsuba.Mesh("mesh", len(given.vertices), len(given.faces), has_vertex_normals=True, props=about)
    mesh.add_attribute("vertex_color", 3, given.colours.float().flatten().tolist())
    numbers = mitsuba.traverse(mesh)
    numbers["faces"] = type(numbers["faces"])(given.faces.flatten().numpy().astype(np.uint32))
    numbers["vertex_positions"] = type(numbers["vertex_positions"])(given.vertices.float().flatten().numpy())
    numbers.update()
    return mesh
