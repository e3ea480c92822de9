"""Chains that fill a hole in a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import loaders, recipes, requests, starts
from ppgn.bundle import Bundle
from ppgn.images import as_mask, as_picture, check_known, composite, fitted, seamless, with_hole
from ppgn.recipes import Hole, Recipe, Setup
from ppgn.requests import Request
from ppgn.samplers import Linear, ReleasedLangevin
from ppgn.sampling.batches import Begin, run_batches
from ppgn.sampling.pictures import checked_picture, encoder_of, noised, repeated
from ppgn.sampling.samples import OnStep, Samples, refuse_retries, seeds_of
from ppgn.types import Code, Image, real, shown

RELEASED_CONTEXT_SCALE = 1e-9
"""Epsilon 4 of the released in-painting example."""
INPAINTING: dict[str, Any] = {
    # The step of the released rule shrinks to nothing, so the known pixels are fitted finely; Eq. 11 overshoots at this scale.
    "sampler": ReleasedLangevin(prior_scale=0.5, condition_scale=50.0, noise_scale=0.0, step_size=Linear(0.1, 0.0)),
    "steps": 100,
    "precision": "float32",  # known pixels are fitted more finely than bfloat16 can tell them apart
}
"""Changes of the bundle's recipe for `in_paint` without a named recipe: the best of those tried on training pictures of
imagenette64 (docs/inpainting.md). The scales set only ratios; context and prior are of one size once the known pixels fit."""
INPAINTING_CONTEXT_SCALE = 1e-4
"""Epsilon 4 beside them."""
INPAINTING_START_NOISE = 0.3
"""The start_noise of the command `ppgn inpaint`."""
INPAINTING_TEXTURE = 0.5
"""The share of the sample's texture in a filling: on training pictures less has the smaller error, more the nearer features."""


@dataclass(frozen=True, eq=False, repr=False)
class Inpainted:
    """Pictures with a filled hole.

    samples: of the chains, whose images are G(code) everywhere. picture `[channel, height, width]` and known, the mask: as given
    to `in_paint`, or one per chain.
    """

    samples: Samples
    picture: Tensor
    known: Tensor

    def __repr__(self) -> str:
        """A line; the fields hold the rest."""
        return f"<Inpainted: the hole of {int((self.known == 0).sum())} pixels in {self.samples}>"

    @property
    def images(self) -> Image:
        """The sample in the hole and the picture, exactly, where it is known: `[chain, channel, height, width]`."""
        return composite(self.samples.images, self.picture, self.known)

    def blended(self, texture: float = INPAINTING_TEXTURE) -> Image:
        """The images without a seam (`images.seamless`).

        In the hole stands a share `texture` of the sample's edges and texture, with its colours shifted smoothly until they fit
        the picture at the border. Raises ValueError for texture outside [0, 1].
        """
        if not 0 <= texture <= 1:
            raise ValueError(
                f"a filling got texture {texture}, expected it in [0, 1]: 1 is all of the sample's, 0 smooth colours"
            )
        return seamless(self.samples.images, self.picture, self.known, texture)


def in_paint(
    bundle: Bundle | str | Path,
    picture: Any,
    known: Any,
    wanted: Any = None,
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int = 32,
    watch: OnStep | None = None,
    recipe: str | Recipe | None = None,
    context_scale: float | None = None,
    fill: float | Sequence[float] | None = None,
    start_noise: float = 0.0,
    **changes: Any,
) -> Inpainted:
    """`count` fillings of the hole in one picture `[channel, height, width]`, or one of each of several, `[chain, channel,
    height, width]`: from the code of the masked picture, with the composite in front of E and the condition (PPGN 4.3), and
    the known pixels as a further term.

    picture and known: tensors, floating-point arrays or of Pillow, known also of Booleans. known: 1 where pixels are known, 0 in
    the hole (`images.box_mask`); several pictures may have one mask each. wanted: as `sample`, or None. count: 1, or as many as
    are listed, or as pictures are given. recipe: by default the bundle's changed by INPAINTING;
    "noiseless_joint_ppgn_h_released" with steps=21, step_size=(1, 1e-32), noise_scale=0.0 is the released example.
    context_scale: epsilon 4 of the released code, for pixels from 0 to 255; 0 for none, by default INPAINTING_CONTEXT_SCALE, or
    the released 1e-9 where a recipe is named. fill: the colour of the hole at the start, by default the mean of the known
    pixels. start_noise: N(0, start_noise^2), in standard deviations of each unit over real pictures, is added to each chain's
    starting code, then clipped to the recipe's bounds; without, a picture is always filled alike.

    Raises ValueError for pictures or masks that do not fit, and for a negative scale.
    """
    setup, request, begin, hole, chains = prepared_hole(
        bundle, picture, known, wanted, count, recipe, context_scale, fill, start_noise, changes
    )
    samples = run_batches(setup, request, seeds_of(seed, chains), batch, watch, begin)[0]
    return Inpainted(samples, hole.picture, hole.known)


def prepared_hole(
    bundle: Bundle | str | Path,
    picture: Any,
    known: Any,
    wanted: Any,
    count: int | None,
    recipe: str | Recipe | None,
    context_scale: float | None,
    fill: float | Sequence[float] | None,
    start_noise: float,
    changes: Mapping[str, Any],
) -> tuple[Setup, Request | None, Begin, Hole, int]:
    """(setup, request, the chains' beginning, the hole, how many chains) of the arguments of `in_paint`."""
    refuse_retries(changes, "in-painting")
    bundle = loaders.bundle(bundle)
    picture, count = _counted(as_picture(picture, bundle.image.channels), count)
    request = None if wanted is None else requests.of(bundle, wanted, count, default=1)
    count = len(request) if request is not None else 1 if count is None else count
    chosen = inpainting_recipe(bundle, recipe, kind="class" if request is None else request.kind, **changes)
    if context_scale is None:
        context_scale = INPAINTING_CONTEXT_SCALE if recipe is None else RELEASED_CONTEXT_SCALE
    check_scales(start_noise, context_scale)
    setup = recipes.prepare(bundle, chosen, request)
    hole, start = hole_and_start(bundle, picture, known, chosen, context_scale, fill)

    def code(chains: Sequence[int], seeds: Sequence[int]) -> Code:
        own = start[list(chains)] if len(start) > 1 else repeated(start, seeds)
        return noised(setup, own, seeds, start_noise)

    return setup, request, Begin(code, lambda chains: _hole_of(hole, chains)), hole, count


def inpainting_recipe(bundle: Bundle, recipe: str | Recipe | None = None, *, kind: str = "class", **changes: Any) -> Recipe:
    """The recipe of `in_paint`: the bundle's changed by INPAINTING, or with a recipe named as `recipes.recipe_for`."""
    if recipe is not None:
        return recipes.recipe_for(bundle, kind, recipe, **changes)
    return recipes.recipe_for(bundle, kind, None, **INPAINTING).changed(**changes)


def check_scales(start_noise: float, context_scale: float | None) -> None:
    """Raises ValueError for a scale of `in_paint` that is negative or not finite."""
    if not 0 <= real(start_noise) < math.inf:
        raise ValueError(
            f"in-painting got start_noise {shown(start_noise)}, expected at least 0: 0 fills one picture in one way only"
        )
    if context_scale is not None and not 0 <= real(context_scale) < math.inf:
        raise ValueError(
            f"in-painting got context_scale {shown(context_scale)}, expected at least 0: 0 leaves the known pixels out"
        )


def _counted(picture: Tensor, count: int | None) -> tuple[Tensor, int | None]:
    """The picture, and the number of chains: of several pictures as many as there are, else the one given."""
    pictures = len(picture) if picture.ndim == 4 else 1
    if pictures > 1 and count not in (None, pictures):
        raise ValueError(f"got {pictures} pictures for {count} chains: leave count out, or give one picture per chain")
    return picture, pictures if pictures > 1 else count


def _hole_of(hole: Hole, chains: Sequence[int]) -> Hole:
    """The hole of some of the chains, where each has a picture or mask of its own."""
    picture, known = (one[list(chains)] if one.ndim == 4 and len(one) > 1 else one for one in (hole.picture, hole.known))
    return Hole(picture, known, hole.context_scale)


def hole_and_start(
    bundle: Bundle,
    picture: Tensor,
    known: Any,
    recipe: Recipe,
    context_scale: float,
    fill: float | Sequence[float] | None,
) -> tuple[Hole, Code]:
    """The hole, and the codes of the masked pictures: `[1, *code]`, or one for each of several pictures.

    Arguments and errors as `in_paint`; fill None is the mean colour of the known pixels.
    """
    # A single picture keeps its layout in memory, on which the rounding of convolutions depends.
    checked = [checked_picture(bundle, one) for one in (picture if picture.ndim == 4 else [picture])]
    pictures = torch.stack(checked) if picture.ndim == 4 else checked[0][None]
    picture = pictures if picture.ndim == 4 else pictures[0]
    known = with_hole(check_known(as_mask(known), picture).to(picture))
    mask = fitted(picture, known, pictures)[1].expand_as(pictures)
    colour = (pictures * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp_min(1.0)
    start = starts.from_masked_image(encoder_of(bundle, recipe), pictures, known, colour.clamp(0, 1) if fill is None else fill)
    return Hole(picture, known, context_scale), start
