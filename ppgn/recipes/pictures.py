"""Chains that begin at a picture: on from it, or into a hole in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn import starts
from ppgn.bundle import Bundle
from ppgn.conditions.pixels import check_known, composite, fitted
from ppgn.recipes.classes import asked_of, of_chains
from ppgn.recipes.collected import Samples, Watch, collect, seeds_of
from ppgn.recipes.named import kind_of, settings_for
from ppgn.recipes.runs import run
from ppgn.recipes.seamless import seamless
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import Hole, device_of
from ppgn.samplers.langevin import clip
from ppgn.seeds import START, normal
from ppgn.types import Code, Condition, Encoder, Evaluation, Image

RELEASED_CONTEXT_SCALE = 1e-9
"""Epsilon 4 of the released in-painting example."""
INPAINTING: dict[str, Any] = {
    "sampler": "released",  # its step shrinks to nothing, so the known pixels are fitted finely; Eq. 11 overshoots at this scale
    "prior_scale": 0.5,
    "condition_scale": 50.0,
    "noise_scale": 0.0,
    "step_size": 0.1,
    "step_size_end": 0.0,
    "steps": 100,
    "precision": "float32",  # known pixels are fitted more finely than bfloat16 can tell them apart
}
"""What `in_paint` changes of the bundle's own settings when no recipe is named: the best of those tried on training pictures of
imagenette64 (docs/inpainting.md). The scales set only ratios; context and prior are of one size once the known pixels fit."""
INPAINTING_CONTEXT_SCALE = 1e-4
"""Epsilon 4 beside them."""
INPAINTING_START_NOISE = 0.3
"""The start_noise of `ppgn inpaint`."""
INPAINTING_TEXTURE = 0.5
"""How much of the sample's texture a filling gets: on training pictures less has the smaller error, more the nearer features."""


@dataclass(frozen=True, eq=False)
class Filled:
    """Pictures with a filled hole: samples (whose images are G(code) everywhere), and the picture `[channel, height, width]` and
    mask that were given (or one for each chain)."""

    samples: Samples
    picture: Tensor
    known: Tensor

    @property
    def images(self) -> Image:
        """`[chain, channel, height, width]`: the sample in the hole and the picture, exactly, where it is known."""
        return composite(self.samples.images, self.picture, self.known)

    def blended(self, texture: float = INPAINTING_TEXTURE) -> Image:
        """The same without a seam: a share `texture` of the sample's edges and texture in the hole, with its colours shifted
        smoothly until they fit the picture at the border (`recipes.seamless`). Raises ValueError for texture outside [0, 1]."""
        if not 0 <= texture <= 1:
            raise ValueError(
                f"a filling got texture {texture}, expected it in [0, 1]: 1 is all of the sample's, 0 smooth colours"
            )
        return seamless(self.samples.images, self.picture, self.known, texture)


def from_picture(
    bundle: Bundle,
    picture: Tensor,
    condition: Condition | str | int | Sequence[int],
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int = 32,
    watch: Watch | None = None,
    recipe: str | None = None,
    **changes: Any,
) -> Samples:
    """`count` chains from the code of one picture `[channel, height, width]` in [0, 1]; otherwise as `sample`.

    count: 1, or as many as classes are listed; chains without noise differ only by their classes. The released example takes
    200 steps of 0.5, DGN-AM 30 of 1. Raises ValueError for a picture of another size than the bundle's, or outside [0, 1].
    """
    settings = settings_for(bundle, recipe, kind=kind_of(bundle, condition), **changes)
    asked, count = asked_of(bundle, condition, count, default=1)
    start = picture_code(bundle, picture, settings)

    def batch_of(chosen: slice, seeds: Sequence[int]) -> Iterator[Evaluation]:
        wanted = of_chains(asked, range(*chosen.indices(count)))
        return run(bundle, wanted, seeds, settings, repeated(start, seeds))

    return collect(batch_of, seeds_of(seed, count), batch, settings, watch)


def in_paint(
    bundle: Bundle,
    picture: Tensor,
    known: Tensor,
    condition: Condition | str | int | Sequence[int] | None = None,
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int = 32,
    watch: Watch | None = None,
    recipe: str | None = None,
    context_scale: float | None = None,
    fill: float | Sequence[float] | None = None,
    start_noise: float = 0.0,
    **changes: Any,
) -> Filled:
    """`count` fillings of the hole in one picture `[channel, height, width]`, or one of each of several, `[chain, channel,
    height, width]`: from the code of the masked picture, with the composite in front of E and the condition (PPGN 4.3), and
    the known pixels as a further term.

    known: 1 where pixels are known, 0 in the hole (see `ppgn.masks`); several pictures may have one mask each. condition: as
    `sample`, or None. count: 1, or as many as classes or pictures are given. recipe: by default the bundle's settings changed
    by INPAINTING; "noiseless_joint_ppgn_h_released" with steps=21, step_size_end=1e-32, noise_scale=0.0 is the released
    example. context_scale: epsilon 4 of the released code, for pixels from 0 to 255; 0 for none, by default
    INPAINTING_CONTEXT_SCALE, or the released 1e-9 where a recipe is named. fill: the colour of the hole at the start, by
    default the mean of the known pixels. start_noise: N(0, start_noise^2), in standard deviations of each unit over real
    pictures, is added to each chain's starting code, then clipped to [code_low, code_high]; without, a picture is always
    filled alike.

    Raises ValueError for pictures or masks that do not fit, and for a negative scale.
    """
    settings = inpainting_settings(bundle, recipe, kind=kind_of(bundle, condition), **changes)
    if context_scale is None:
        context_scale = INPAINTING_CONTEXT_SCALE if recipe is None else RELEASED_CONTEXT_SCALE
    check_scales(start_noise, context_scale)
    count = _count_of(picture, count)
    if condition is None:
        asked, count = None, 1 if count is None else count
    else:
        asked, count = asked_of(bundle, condition, count, default=1)
    hole, start = hole_and_start(bundle, picture, known, settings, context_scale, fill)

    def batch_of(chosen: slice, seeds: Sequence[int]) -> Iterator[Evaluation]:
        wanted = of_chains(asked, range(*chosen.indices(count)))
        code = _noised(bundle, start[chosen] if len(start) > 1 else repeated(start, seeds), seeds, start_noise, settings)
        return run(bundle, wanted, seeds, settings, code, _hole_of(hole, chosen))

    return Filled(collect(batch_of, seeds_of(seed, count), batch, settings, watch), hole.picture, hole.known)


def inpainting_settings(bundle: Bundle, recipe: str | None = None, *, kind: str = "class", **changes: Any) -> Settings:
    """The settings of `in_paint`: without a recipe the bundle's own changed by INPAINTING; else as `settings_for`."""
    given = {name: value for name, value in changes.items() if value is not None}
    return settings_for(bundle, recipe, kind=kind, **{**(INPAINTING if recipe is None else {}), **given})


def check_scales(start_noise: float, context_scale: float | None) -> None:
    """ValueError for a scale of `in_paint` that is negative or no number."""
    if not 0 <= start_noise < math.inf:
        raise ValueError(f"in-painting got start_noise {start_noise}, expected at least 0: 0 fills one picture in one way only")
    if context_scale is not None and not 0 <= context_scale < math.inf:
        raise ValueError(f"in-painting got context_scale {context_scale}, expected at least 0: 0 leaves the known pixels out")


def _count_of(picture: Tensor, count: int | None) -> int | None:
    """As many chains as there are pictures, when there is more than one."""
    pictures = len(picture) if picture.ndim == 4 else 1
    if pictures > 1 and count not in (None, pictures):
        raise ValueError(f"got {pictures} pictures for {count} chains: leave count out, or give one picture a chain")
    return pictures if pictures > 1 else count


def _hole_of(hole: Hole, chosen: slice) -> Hole:
    """What these chains know, when each has its own picture or mask."""
    picture, known = (one[chosen] if one.ndim == 4 and len(one) > 1 else one for one in (hole.picture, hole.known))
    return Hole(picture, known, hole.context_scale)


def _noised(bundle: Bundle, code: Code, seeds: Sequence[int], start_noise: float, settings: Settings) -> Code:
    """code + N(0, (start_noise * std of each unit)^2), clipped; as it is for 0."""
    if start_noise == 0:
        return code
    spread = 1.0 if settings.generator == "pixels" else torch.as_tensor(bundle.info["code"]["std"]).to(code)
    noise = normal(seeds, 0, code.shape[1:], stream=START, dtype=code.dtype, device=code.device)
    return clip(code + start_noise * spread * noise, (settings.code_low, settings.code_high))


def picture_code(bundle: Bundle, picture: Tensor, settings: Settings) -> Code:
    """The code `[1, *code]` of a picture; the picture itself where pixels are the code."""
    return starts.from_image(_encoder(bundle, settings), _checked(bundle, picture)[None])


def hole_and_start(
    bundle: Bundle,
    picture: Tensor,
    known: Tensor,
    settings: Settings,
    context_scale: float,
    fill: float | Sequence[float] | None,
) -> tuple[Hole, Code]:
    """What in-painting knows, and the codes of the masked pictures: `[1, *code]`, or one for each of several pictures."""
    pictures = torch.stack([_checked(bundle, one) for one in picture]) if picture.ndim == 4 else _checked(bundle, picture)[None]
    picture = pictures if picture.ndim == 4 else pictures[0]
    known = check_known(known, picture).to(picture)
    mask = fitted(picture, known, pictures)[1].expand_as(pictures)
    colour = (pictures * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp_min(1.0)
    start = starts.from_masked_image(_encoder(bundle, settings), pictures, known, colour.clamp(0, 1) if fill is None else fill)
    return Hole(picture, known, context_scale), start


def repeated(code: Code, seeds: Sequence[int]) -> Code:
    """One code `[1, *code]` for every chain, `[len(seeds), *code]`."""
    return code.expand(len(seeds), *code.shape[1:])


def _encoder(bundle: Bundle, settings: Settings) -> Encoder:
    return (lambda image: image) if settings.generator == "pixels" else bundle.encoder


def _checked(bundle: Bundle, picture: Tensor) -> Tensor:
    shape = (bundle.channels, bundle.image_size, bundle.image_size)
    if tuple(picture.shape) != shape:
        raise ValueError(
            f"got a picture of shape {tuple(picture.shape)}, expected [channel, height, width] = {list(shape)} for bundle "
            f"{bundle.name}: load it with images.load_image, or resize it"
        )
    if not bool(((picture >= 0) & (picture <= 1)).all()):
        raise ValueError("got a picture with values outside [0, 1], expected pixels in [0, 1]: divide by 255")
    return picture.to(device_of(bundle))
