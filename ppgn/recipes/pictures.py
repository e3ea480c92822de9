"""Chains that begin at a picture: on from it, or into a hole in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ppgn import starts
from ppgn.bundle import Bundle
from ppgn.conditions.pixels import check_known, composite, fitted
from ppgn.recipes.classes import asked_of
from ppgn.recipes.named import settings_for
from ppgn.recipes.sampling import Samples, Watch, collect, seeds_of
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import Hole, device_of, run
from ppgn.types import Code, Condition, Encoder, Evaluation, Image

RELEASED_CONTEXT_SCALE = 1e-9
"""Epsilon 4 of the released in-painting example."""


@dataclass(frozen=True, eq=False)
class Filled:
    """Pictures with a filled hole: samples (whose images are G(code) everywhere), the picture `[channel, height, width]`
    and the mask that were given."""

    samples: Samples
    picture: Tensor
    known: Tensor

    @property
    def images(self) -> Image:
        """`[chain, channel, height, width]`: the sample in the hole and the picture, exactly, where it is known."""
        return composite(self.samples.images, self.picture, self.known)


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
    settings = settings_for(bundle, recipe, **changes)
    asked, count = asked_of(bundle, condition, count, default=1)
    start = picture_code(bundle, picture, settings)

    def batch_of(chosen: slice, seeds: Sequence[int]) -> Iterator[Evaluation]:
        wanted = asked[chosen] if isinstance(asked, list) else asked
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
    context_scale: float = RELEASED_CONTEXT_SCALE,
    fill: float | Sequence[float] | None = None,
    **changes: Any,
) -> Filled:
    """`count` fillings of the hole in one picture `[channel, height, width]`: from the code of the masked picture, with the
    composite in front of E and the condition (PPGN 4.3), and the known pixels as a further term.

    known: 1 where pixels are known, 0 in the hole (see `ppgn.masks`). condition: as `sample`, or None. context_scale: epsilon 4
    of the released code, for pixels from 0 to 255; 0 for none. fill: the colour of the hole at the start, by default the mean of
    the known pixels. count: 1, or as many as classes are listed. Raises ValueError for a picture or mask that does not fit.
    """
    settings = settings_for(bundle, recipe, **changes)
    if condition is None:
        asked, count = None, 1 if count is None else count
    else:
        asked, count = asked_of(bundle, condition, count, default=1)
    hole, start = hole_and_start(bundle, picture, known, settings, context_scale, fill)

    def batch_of(chosen: slice, seeds: Sequence[int]) -> Iterator[Evaluation]:
        wanted = asked[chosen] if isinstance(asked, list) else asked
        return run(bundle, wanted, seeds, settings, repeated(start, seeds), hole)

    return Filled(collect(batch_of, seeds_of(seed, count), batch, settings, watch), hole.picture, hole.known)


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
    """What in-painting knows, and the code `[1, *code]` of the masked picture."""
    picture = _checked(bundle, picture)
    known = check_known(known, picture).to(picture)
    mask = fitted(picture, known, picture[None])[1]
    if fill is None:
        weights = mask.expand(1, *picture.shape)[0]
        colour = (picture * weights).sum((1, 2)) / weights.sum((1, 2)).clamp_min(1.0)
        fill = colour.clamp(0, 1).tolist()
    start = starts.from_masked_image(_encoder(bundle, settings), picture[None], known, fill)
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
