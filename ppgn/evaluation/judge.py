"""A judge: the network whose class scores and features the pictures are measured with, both from one pass."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn.conditions import split_group
from ppgn.probe import Preprocessed, layer_name, list_layers
from ppgn.requests import plain, same_name
from ppgn.types import Image


@dataclass(frozen=True, eq=False)
class Judged:
    """Pictures as a judge saw them, on the CPU.

    classes: the class requested for each picture, `[picture]`. logits: `[picture, class]`. features: `[picture, feature]`.
    """

    classes: Tensor
    logits: Tensor
    features: Tensor

    def __getitem__(self, pictures: Tensor) -> Judged:
        """The same for some of the pictures, by index or mask."""
        return Judged(self.classes[pictures], self.logits[pictures], self.features[pictures])


class Judge:
    """Image `[picture, channel, height, width]` in [0, 1] -> (logits `[picture, class]`, features `[picture, feature]`).

    network: a network with its image adapter. columns: its outputs that stand for the judged classes, in their order. layer: the
    name of the layer, or a unique ending of it, whose value, averaged over its map or its tokens, is the features. channels: the
    channels that the network takes; a grey channel is repeated for a colour network. Raises ValueError for a layer that is not
    there; when called, for an output other than `[picture, class]` and for pictures with other channels.
    """

    def __init__(self, network: Preprocessed, columns: Sequence[int], layer: str, channels: int = 3) -> None:
        self.network, self.columns, self.channels = network, list(columns), channels
        self.layer = layer_name(network.network, layer)
        self._module = network.network.get_submodule(self.layer)

    @torch.no_grad()
    def __call__(self, image: Image) -> tuple[Tensor, Tensor]:
        if image.shape[1] not in (1, self.channels):
            raise ValueError(
                f"the judge got pictures of {image.shape[1]} channels, expected 1 or {self.channels}: choose another judge"
            )
        values: list[Any] = []
        handle = self._module.register_forward_hook(lambda module, inputs, output: values.append(output))
        try:
            logits = self.network(image.clamp(0, 1).expand(-1, self.channels, -1, -1))
        finally:
            handle.remove()
        if logits.ndim != 2 or logits.shape[1] <= max(self.columns):
            raise ValueError(
                f"the judge returned {list(logits.shape)}, expected [picture, class] with at least {max(self.columns) + 1} "
                f"classes: check its class names"
            )
        if not values or not isinstance(values[0], Tensor):
            raise ValueError(f"the judge's layer {self.layer!r} gave no tensor, expected a map or a vector: choose another layer")
        return logits[:, self.columns], _pooled(values[0])

    def judged(self, batches: Iterable[Image], classes: Sequence[int] | Tensor) -> Judged:
        """All pictures of the batches, with one requested class for each picture; ValueError without pictures."""
        outputs = [[part.float().cpu() for part in self(batch)] for batch in batches]
        if not outputs:
            raise ValueError("the judge got no picture, expected at least one: check the folder")
        logits, features = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return Judged(torch.as_tensor(classes, dtype=torch.long), logits, features)


def _pooled(value: Tensor) -> Tensor:
    """`[picture, channel, ...]` averaged over its map, `[picture, token, feature]` averaged over its tokens."""
    if value.ndim <= 2:
        return value.reshape(len(value), -1)
    return value.mean(1) if value.ndim == 3 else value.flatten(2).mean(2)


def feature_layer(network: Preprocessed, size: int | tuple[int, int], channels: int, outputs: int) -> str:
    """The name of the last layer with a map or tokens, or else of the last vector, that does not hold the class scores.

    size: (height, width) of a picture, or the side of a square. outputs: the number of class scores; a layer with that number of
    channels holds them. Raises ValueError for a network without such a layer.
    """
    layers = list_layers(network, size, channels)
    maps = [one.name for one in layers if len(one.shape) in (2, 3) and one.channels != outputs]
    vectors = [one.name for one in layers if len(one.shape) == 1 and one.channels != outputs]
    if not maps and not vectors:
        raise ValueError("the judge has no layer of features besides its class scores: name a layer, or choose another judge")
    return (maps or vectors)[-1]


def class_columns(listed: Sequence[str], wanted: Sequence[str], judge: str, groups: Sequence[str] = ()) -> list[int]:
    """The index of each wanted class in the list of a judge's classes.

    Names are compared as `requests.same_name`, whole and then, of a wanted one in one of `groups`, without the group; a listed
    name may hold synonyms, separated by commas. judge: its name, for messages. Raises ValueError for the first wanted class that
    is not listed, with the nearest names, and for one that is listed more than once, unless both lists are the same.
    """
    if list(listed) == list(wanted):
        return list(range(len(wanted)))
    return [_column(listed, name, split_group(name, groups)[1], judge) for name in wanted]


def _column(listed: Sequence[str], whole: str, wanted: str, judge: str) -> int:
    """wanted: the whole name without its group."""
    found = _named(listed, whole) or _named(listed, wanted)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{index} {listed[index]}" for index in found[:5])
        raise ValueError(f"{judge} has {len(found)} classes {wanted!r} ({several}), expected one: list names that differ")
    names = {plain(part) for name in listed for part in (name, *name.split(","))}
    nearest = ", ".join(repr(one) for one in difflib.get_close_matches(plain(wanted), sorted(names), 3, cutoff=0.5))
    raise ValueError(
        f"{judge} has no class {wanted!r} among its {len(listed)}{f' (nearest: {nearest})' if nearest else ''}: "
        f"list the judge's classes in their order, or evaluate other classes"
    )


def _named(listed: Sequence[str], wanted: str) -> list[int]:
    """The indices of the listed names that are the wanted one, or else have it among their synonyms."""
    pairs = [(name, index) for index, names in enumerate(listed) for name in names.split(",")]
    return same_name(listed, wanted) or sorted({pairs[place][1] for place in same_name([name for name, _ in pairs], wanted)})
