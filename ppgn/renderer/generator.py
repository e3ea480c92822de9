"""A renderer as a generator: the code of a pose -> a picture, with a gradient by differences or Mitsuba's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ppgn.renderer.mesh import Mesh
from ppgn.renderer.pose import LAMP, NAMES, UNITS, View, view_of
from ppgn.renderer.scene import Scene
from ppgn.types import Code, Image

GRADIENTS = ("differences", "automatic")
STEP = 0.02
"""Of differences, in units of the code: 3.6 degrees of yaw. At half of it the jitter of the rays shows in small pictures."""
LARGEST_SIDE = 4096


class MeshGenerator(nn.Module):
    """G(code): a mesh in the pose, light and camera of a code `[chain, 10]` (`UNITS`), rendered by Mitsuba 3; sRGB in [0, 1].

    The same code is the same picture, alone and in a batch. gradient: "differences", dG/du = (G(u + STEP) - G(u - STEP)) / 2 STEP
    for each unit, 20 pictures; or "automatic", Mitsuba's own for the three units of the lamp, which sees how surfaces are lit but
    no shadow that moves, and differences for the others, whose edges move (it needs LLVM). size: a side or (height, width) in
    pixels. samples: rays of a pixel; Mitsuba rounds them up to a grid. Renders on the CPU. Raises ValueError for settings that
    there are not, for codes of another shape, and for codes outside [-1, 1] in a unit that is no turn; a code that is not finite
    is a picture of NaN.
    """

    vertices: Tensor
    faces: Tensor
    colours: Tensor

    def __init__(self, mesh: Mesh, size: int | tuple[int, int] = 224, samples: int = 16, gradient: str = GRADIENTS[0]) -> None:
        super().__init__()
        self.size: tuple[int, int] = (size, size) if isinstance(size, int) else size
        if not all(1 <= side <= LARGEST_SIDE for side in self.size) or samples < 1 or gradient not in GRADIENTS:
            raise ValueError(
                f"a renderer got size {size}, {samples} samples and gradient {gradient!r}, expected sides of 1 to "
                f"{LARGEST_SIDE}, at least 1 sample, and {' or '.join(GRADIENTS)}: correct them"
            )
        self.samples, self.gradient = samples, gradient
        whole = mesh.normalised()
        for name, value in (("vertices", whole.vertices), ("faces", whole.faces), ("colours", whole.colours)):
            self.register_buffer(name, value)
        self._scene: Scene | None = None

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return (len(UNITS),)

    @property
    def scene(self) -> Scene:
        """Mitsuba's scene, made at first use."""
        if self._scene is None:
            mesh = Mesh(self.vertices.cpu().float(), self.faces.cpu(), self.colours.cpu().float())
            self._scene = Scene(mesh, self.size, self.samples)
        return self._scene

    def __getstate__(self) -> dict[str, Any]:
        """Copies and other processes make a scene of their own."""
        return {**super().__getstate__(), "_scene": None}

    def forward(self, code: Code) -> Image:
        """Pictures `[chain, 3, height, width]` of codes `[chain, 10]`."""
        _check(code)
        found = _Rendered.apply(code, self)
        assert isinstance(found, Tensor)
        return found

    def render(self, code: Code) -> Image:
        """The pictures without a gradient."""
        return srgb(self.radiance(code)).to(code)

    def radiance(self, code: Code) -> Tensor:
        """Linear light `[chain, 3, height, width]` without a gradient."""
        with torch.no_grad():
            view = view_of(code.detach().cpu().float())
            dark = torch.full((3, *self.size), torch.nan)
            lights = [dark if part is None else self.scene.radiance(*part) for part in _parts(view)]
        return torch.stack(lights) if lights else torch.empty(0, 3, *self.size)


class _Rendered(torch.autograd.Function):
    """Rendering; its gradient is that of central differences, all with the same rays, or of the lamp Mitsuba's own."""

    @staticmethod
    def forward(ctx: Any, code: Tensor, generator: MeshGenerator) -> Tensor:
        ctx.save_for_backward(code)
        ctx.generator = generator
        return generator.render(code)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (code,) = ctx.saved_tensors
        found, of_image, generator = torch.zeros_like(code), gradients[0], ctx.generator
        automatic = generator.gradient == "automatic"
        for unit, name in enumerate(NAMES):
            if not (automatic and name in LAMP):
                step = torch.zeros_like(code)
                step[:, unit] = STEP
                change = generator.render(code + step) - generator.render(code - step)
                found[:, unit] = (change * of_image).flatten(1).sum(1) / (2 * STEP)
        return (found + _of_lamp(generator, code, of_image) if automatic else found), None


def _of_lamp(generator: MeshGenerator, code: Code, of_image: Image) -> Code:
    """Mitsuba's gradient of codes `[chain, 10]`, in the units of the lamp alone."""
    light = generator.radiance(code).requires_grad_()
    with torch.enable_grad():
        (of_light,) = torch.autograd.grad(srgb(light), light, of_image.cpu().float())
        leaf = code.detach().cpu().float().requires_grad_()
        view = view_of(leaf)
    of_lamp, of_power = torch.zeros_like(view.lamp), torch.zeros_like(view.power)
    for chain, part in enumerate(_parts(view)):
        if part is not None:
            of_lamp[chain], of_power[chain] = generator.scene.lamp_gradients(*part, of_light[chain])
    (found,) = torch.autograd.grad((view.lamp, view.power), leaf, (of_lamp, of_power))
    chosen = torch.tensor([name in LAMP for name in NAMES])
    return torch.where(chosen, found, 0.0).to(code)


def _parts(view: View) -> list[tuple[Tensor, Tensor, float, float] | None]:
    """What the scene takes of each chain; None where a number is not finite."""
    found = []
    for chain in range(len(view.power)):
        camera, lamp, power, field_of_view = (part[chain].detach() for part in view)
        finite = bool(torch.cat([camera.flatten(), lamp, power[None], field_of_view[None]]).isfinite().all())
        found.append((camera, lamp, float(power), float(field_of_view)) if finite else None)
    return found


def srgb(radiance: Tensor) -> Tensor:
    """Linear light, any shape, as pixels in [0, 1]: the curve of IEC 61966-2-1, clipped."""
    light = radiance.clamp(0, 1)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def _check(code: Code) -> None:
    if code.ndim != 2 or code.shape[1] != len(UNITS):
        raise ValueError(
            f"a renderer got a code of shape {tuple(code.shape)}, expected ('chain', {len(UNITS)}), {', '.join(NAMES)}: start "
            f"from ppgn.renderer.pose(), or from its random poses"
        )
    for number, unit in enumerate(UNITS):
        if unit.scale != "turn" and bool((code[:, number].abs() > 1 + 1e-5).any()):
            worst = float(code[:, number].abs().nan_to_num(0).max())
            raise ValueError(
                f"a renderer got {worst:.3g} for {unit.name}, expected -1 to 1: clip codes to the bounds of the bundle's space"
            )
