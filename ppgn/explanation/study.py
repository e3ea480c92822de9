"""What all parts of a report share: the target, the real pictures, their responses and codes, and a second network."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional

from ppgn import images, loaders
from ppgn.bundle import Bundle
from ppgn.errors import printable, required
from ppgn.explanation.options import ExplainOptions
from ppgn.explanation.target import AT_ONCE, Target
from ppgn.probe import Preprocessed, Probe, list_layers
from ppgn.types import Image, ImageSpec

LAYERS = 24
"""Layers of a second network that are looked at, evenly spread over its depth."""
Tick = Callable[[int], object]
"""Called with the number of passes of a picture through a network that are done since the last call; a gradient counts 3."""
_log = logging.getLogger("ppgn")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Real pictures at the bundle's size.

    files: their paths under the folder. classes: the number of each one's folder of a class, `[picture]`, all 0 without such
    folders. values: `[picture, channel, height, width]`, uint8. skipped: paths of files that cannot be read.
    """

    files: tuple[str, ...]
    classes: Tensor
    values: Tensor = field(repr=False)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, ...]:
        """(channel, height, width) of the pictures."""
        return tuple(self.values.shape[1:])

    def images(self, indices: Any = slice(None)) -> Image:
        """Some of the pictures, in [0, 1]."""
        return self.values[indices].float() / 255


def load_pictures(folder: str | Path, spec: ImageSpec, most: int) -> Pictures:
    """At most `most` pictures under a folder, evenly spread over its files, at a bundle's size.

    A file that cannot be read as a picture is skipped, with a warning. Raises ValueError where there are no pictures, and where
    none can be read.
    """
    root = Path(folder)
    found = images.pictures_in(root, "to measure the responses of")
    found = [found[index] for index in images.spread(len(found), most)]
    values = torch.empty(len(found), *spec.shape, dtype=torch.uint8)
    files: list[Path] = []
    faults: dict[Path, ValueError] = {}
    for file in found:
        try:
            values[len(files)] = (images.load_image(file, spec.size, spec.channels) * 255).round().to(torch.uint8)
            files.append(file.relative_to(root))
        except ValueError as fault:
            faults[file.relative_to(root)] = fault
            _log.warning(printable(f"skipped a picture: {fault}"))
    if not files:
        raise ValueError(f"none of the {len(found)} pictures in {root} can be read, expected one or more: {faults[min(faults)]}")
    names = sorted({file.parts[0] if len(file.parts) > 1 else "" for file in files})
    classes = torch.tensor([names.index(file.parts[0] if len(file.parts) > 1 else "") for file in files])
    return Pictures(tuple(map(str, files)), classes, values[: len(files)], tuple(map(str, faults)))


@dataclass(frozen=True, eq=False)
class Second:
    """A second network, that took no part in making pictures: its channels, and how far two pictures are apart for it."""

    name: str
    probe: Probe

    def vectors(self, image: Image) -> dict[str, Tensor]:
        """Layer -> means of its channels over all positions, `[picture, channel]`, without a graph."""
        with torch.no_grad():
            return {layer: value.flatten(2).mean(2) for layer, value in self._maps(image).items()}

    def distance(self, one: Image, other: Image) -> Tensor:
        """sum over layers of the mean over positions of |f / |f| - g / |g||^2, `[picture]`.

        LPIPS (Zhang et al. 2018, Eq. 1) with all its learned weights 1; f, g: the channels at a position.
        """
        with torch.no_grad():
            first, second = self._maps(one), self._maps(other)
        parts = [_unit(first[layer]).sub(_unit(second[layer])).square().sum(1).flatten(1).mean(1) for layer in first]
        return torch.stack(parts).sum(0)

    def _maps(self, image: Image) -> dict[str, Tensor]:
        """Layer -> value `[picture, channel, *position]`."""
        found = self.probe(image)
        return {layer: value.movedim(self.probe.channel_axis(layer, value), 1) for layer, value in found.items()}


def second_network(name: str, network: Preprocessed, spec: ImageSpec) -> Second:
    """A second network with at most LAYERS of its maps or tokens. Grey pictures are repeated in the channels that it takes.

    Raises ValueError for a network that has none.
    """
    if spec.channels == 1 and network.grey_channels == 1:
        network = copy.copy(network)
        network.grey_channels = loaders.input_channels(network.network, 1)
    listed = list_layers(network, spec.size, spec.channels)
    named = [one.name for one in listed if len(one.shape) in (2, 3)]
    if not named:
        raise ValueError(f"the network {name} has no layer of maps or tokens, expected one: name another second network")
    # The last of each share of the depth, so that the deepest layer is among them.
    chosen = [named[-(-(share + 1) * len(named) // LAYERS) - 1] for share in range(LAYERS)]
    return Second(name, Probe(network, list(dict.fromkeys(chosen))))


def spread_of(responses: Tensor) -> float:
    """The standard deviation of responses, 1 where they are all the same or there is only one."""
    return float(responses.double().std()) or 1.0 if len(responses) > 1 else 1.0


def _unit(maps: Tensor) -> Tensor:
    return functional.normalize(maps, dim=1, eps=1e-10)


@dataclass(frozen=True, eq=False)
class Study:
    """What the parts of one report are made from.

    responses: of the target to the pictures, `[picture]`. codes: of the pictures by the bundle's encoder, `[picture, *code]`, or
    None. vectors: layer of the second network -> `[picture, channel]`. bundles: further bundles of the synthetic part.
    """

    bundle: Bundle
    target: Target
    pictures: Pictures
    responses: Tensor
    codes: Tensor | None
    second: Second | None
    vectors: Mapping[str, Tensor]
    options: ExplainOptions = ExplainOptions()
    bundles: tuple[Bundle, ...] = ()

    @property
    def std(self) -> float:
        """The standard deviation of the finite real responses, 1 where they are all the same or there is only one."""
        return spread_of(self.known)

    @property
    def known(self) -> Tensor:
        """The real responses that are finite, `[picture]`."""
        return self.responses[self.responses.isfinite()]

    @cached_property
    def features(self) -> Tensor | None:
        """Of the pictures, of length 1, `[picture, feature]`: the deepest layer of the second network, else codes, else None."""
        if self.vectors:
            return functional.normalize(self.vectors[list(self.vectors)[-1]], dim=1)
        if self.codes is None or self.bundle.encoder is None:
            return None
        return functional.normalize(self.codes.flatten(1), dim=1)

    def features_of(self, image: Image) -> Tensor:
        """The same features of other pictures, `[picture, feature]`. Raises ValueError where there are none."""
        if self.second is not None:
            found = self.second.vectors(image.to(self.bundle.device))
            return functional.normalize(found[list(found)[-1]].cpu(), dim=1)
        if self.bundle.encoder is None:
            raise ValueError(f"{self.bundle.name} has no encoder, expected one, or a second network: name one")
        with torch.no_grad():
            return functional.normalize(self.bundle.encoder(image.to(self.bundle.device)).flatten(1).cpu(), dim=1)

    def distances(self, image: Image) -> Tensor:
        """1 - cosine of the features of other pictures and of the real ones, `[picture, real picture]`."""
        if self.features is None:
            raise ValueError("real pictures have no features, expected an encoder of the bundle or a second network: name one")
        return 1 - self.features_of(image) @ self.features.T

    @property
    def order(self) -> Tensor:
        """The pictures by their response, the highest first, those that are not finite last, `[picture]`."""
        ranks = self.responses.where(self.responses.isfinite(), -torch.inf)
        return ranks.argsort(descending=True, stable=True)


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a report: data, as JSON, and pictures by their file's name without its folder and ending."""

    data: dict[str, Any]
    pictures: dict[str, Pillow.Image] = field(default_factory=dict)


def split_pass(function: Callable[[Image], Any], pictures: Pictures, tick: Tick) -> list[Any]:
    """function(AT_ONCE pictures at a time), as a list of its values."""
    found = []
    for first in range(0, len(pictures), AT_ONCE):
        some = pictures.images(slice(first, first + AT_ONCE))
        found.append(function(some))
        tick(len(some))
    return found


def student_t() -> Any:
    """SciPy's distribution. Raises ValueError where it is not installed."""
    return required("scipy.stats", "intervals need SciPy", "ppgn[explain]").t


def mean_interval(values: Tensor, count: float) -> dict[str, float | None]:
    """Mean and 95 % interval of values of which `count` are independent, by Student's t; no interval for fewer than two.

    Raises ValueError without SciPy.
    """
    student = student_t()
    mean = float(values.double().mean())
    if count < 2 or values.numel() < 2:
        return {"mean": mean, "low": None, "high": None}
    error = float(student.ppf(0.975, count - 1)) * float(values.double().std()) / math.sqrt(count)
    return {"mean": mean, "low": mean - error, "high": mean + error}
