"""Repeated elements of a picture: does one of them keep the network's confidence? (Nguyen et al. 2015, section 3.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.illumination.run import Network, scored
from ppgn.types import Image, shown

NEAREST = 1 / 24
"""Least distance of two copies, as a share of the picture's longer side."""
LEAST = 0.25
"""Correlation from which a picture repeats itself."""
FALL = 0.1
"""How far the correlation falls between the picture and its copy: a ramp or a plateau is no repetition."""
COLLINEAR = 0.9
"""Cosine of the angle above which a second direction is the first one."""


@dataclass(frozen=True)
class Repetition:
    """periods: none, one or two (down, right) in pixels from a copy to the next; strength: the correlation of the picture with
    itself at the first; copies: how many there are; rows: (copies kept, confidence), the others blank; the last one is the whole
    picture."""

    periods: tuple[tuple[int, int], ...]
    strength: float
    copies: int
    rows: tuple[tuple[int, float], ...]

    @property
    def kept_by_one(self) -> float:
        """The share of the confidence that one copy alone keeps; 1 without repetition."""
        return self.rows[0][1] / self.rows[-1][1]


def repetition(network: Network, picture: Image, label: int, most: int = 8) -> Repetition:
    """The confidence in a class with 1, 2, 4, ... copies of the repeated element of a picture `[channel, height, width]`, counted
    from the middle, the rest in the picture's mean colour.

    The copies are found by autocorrelation. most: of them kept, beside all. Raises ValueError for another shape or class.
    """
    if picture.ndim != 3:
        raise ValueError(f"got a picture {shown(picture)}, expected [channel, height, width]: give one")
    periods, strength = periods_of(picture)
    cells = cells_of(picture.shape[-2:], periods)
    copies = int(cells.max()) + 1
    kept = [count for count in (2**power for power in range(32)) if count <= min(most, copies - 1)]
    blank = picture.mean((1, 2), keepdim=True)
    pictures = [torch.where(cells.to(picture.device) < count, picture, blank) for count in kept]
    scores = scored(network, torch.stack([*pictures, picture]))
    if not 0 <= label < scores.shape[1]:
        raise ValueError(f"got the label {shown(label)}, expected a class from 0 to {scores.shape[1] - 1}: give its number")
    rows = tuple(zip([*kept, copies], scores[:, label].tolist(), strict=True))
    return Repetition(periods, strength, copies, rows)


def periods_of(picture: Image) -> tuple[tuple[tuple[int, int], ...], float]:
    """The one or two shifts (down, right) at which a picture is most like itself, and the correlation at the first; () and 0
    where it does not repeat.

    Peaks of the correlation of the parts that overlap, for shifts up to half of the picture.
    """
    like = autocorrelation(picture)
    middle = like.shape[1] // 2
    is_peak = functional.max_pool2d(like[None, None], 5, 1, 2)[0, 0] == like
    is_peak[-1] = is_peak[:, 0] = is_peak[:, -1] = False
    least = max(3.0, NEAREST * max(picture.shape[-2:]))
    peaks = [(row, column - middle) for row, column in torch.nonzero(is_peak & (like >= LEAST)).tolist()]
    peaks = [peak for peak in peaks if math.hypot(*peak) >= least and (peak[0] or peak[1] > 0)]
    first = _nearest(like, [peak for peak in peaks if _falls(like, (0, 0), peak)])
    if first is None:
        return (), 0.0
    aside = []
    for peak in peaks:
        along = (peak[0] * first[0] + peak[1] * first[1]) / math.hypot(*first)
        multiple = round(along / math.hypot(*first))
        beside = multiple * first[0], multiple * first[1]
        if abs(along) < COLLINEAR * math.hypot(*peak) and _falls(like, (0, 0), peak) and _falls(like, beside, peak):
            aside.append(peak)
    second = _nearest(like, aside)
    return ((first,) if second is None else (first, second)), _at(like, *first)


def _nearest(like: Tensor, peaks: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Of peaks about as high as the highest the nearest: the others are its multiples."""
    highest = max((_at(like, *peak) for peak in peaks), default=0.0)
    return min((peak for peak in peaks if _at(like, *peak) >= 0.9 * highest), key=lambda peak: math.hypot(*peak), default=None)


def _falls(like: Tensor, start: tuple[int, int], end: tuple[int, int]) -> bool:
    """Whether the correlation falls on the way from one shift to another."""
    count = 1 + int(math.dist(start, end))
    ways = [part / count for part in range(count + 1)]
    between = [_at(like, *(round(one + way * (other - one)) for one, other in zip(start, end, strict=True))) for way in ways]
    return min(between) <= _at(like, *end) - FALL


def _at(like: Tensor, down: int, right: int) -> float:
    """The correlation at a shift, the nearest one inside, which is that at the opposite shift."""
    if down < 0:
        down, right = -down, -right
    half = like.shape[1] // 2
    return float(like[min(down, like.shape[0] - 1), half + max(-half, min(right, half))])


def autocorrelation(picture: Image) -> Tensor:
    """Correlation of a picture with itself, where both overlap, `[down, right]`: down from 0, right from minus half to half."""
    height, width = picture.shape[-2:]
    centred = (picture - picture.mean((1, 2), keepdim=True)).double()
    size = (2 * height, 2 * width)

    def lagged(first: Tensor, second: Tensor) -> Tensor:
        product = torch.fft.rfft2(first, size).conj() * torch.fft.rfft2(second, size)
        return torch.fft.irfft2(product, size).sum(0)

    ones, energy = torch.ones_like(centred), centred.square()
    both = (lagged(energy, ones).clamp_min(0) * lagged(ones, energy).clamp_min(0)).sqrt()
    like = lagged(centred, centred) / both.clamp_min(1e-9 * float(energy.sum()) + 1e-12)
    down, right = height // 2 + 1, width // 2
    return torch.cat([like[:down, -right:], like[:down, : right + 1]], 1).float()


def cells_of(size: tuple[int, ...], periods: tuple[tuple[int, int], ...]) -> Tensor:
    """The copy that each pixel belongs to `[height, width]`: 0 is the one around the middle, then those at a growing distance."""
    height, width = size
    if not periods:
        return torch.zeros(height, width, dtype=torch.long)
    first = periods[0]
    second = periods[1] if len(periods) > 1 else (-first[1], first[0])
    basis = torch.tensor([first, second], dtype=torch.float64)
    y = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width) - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float64)[None].expand(height, width) - (width - 1) / 2
    steps = (torch.stack([y, x], -1) @ torch.linalg.inv(basis)).round()
    if len(periods) == 1:
        steps[..., 1] = 0
    found, which = torch.unique(steps.flatten(0, 1), dim=0, return_inverse=True)
    order = (found @ basis).square().sum(1).argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return rank[which].reshape(height, width)
