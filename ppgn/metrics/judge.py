"""The network that judges pictures: logits of the classes in question and pooled features, from one pass."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn.probe import Seen, list_layers
from ppgn.types import Image


@dataclass(frozen=True, eq=False)
class Judged:
    """Of each picture, on the CPU: the class it is asked for `[picture]`, logits `[picture, class]`, features
    `[picture, feature]`."""

    classes: Tensor
    logits: Tensor
    features: Tensor

    def __getitem__(self, pictures: Tensor) -> Judged:
        """Those of some pictures, by index or mask."""
        return Judged(self.classes[pictures], self.logits[pictures], self.features[pictures])


class Judge:
    """Image `[picture, channel, height, width]` in [0, 1] -> (logits `[picture, class]`, features `[picture, feature]`).

    seen: the network behind what turns an image into its input. columns: which of its outputs are the classes in question, in
    their order. layer: whose value, averaged over its map or its tokens, is the features. channels: what the network takes; grey
    pictures are shown to a network for colours three times. Raises ValueError when called, for an output that is not
    `[picture, class]`, and pictures of other channels.
    """

    def __init__(self, seen: Seen, columns: Sequence[int], layer: str, channels: int = 3) -> None:
        modules = dict(seen.network.named_modules())
        if layer not in modules or not layer:
            nearest = difflib.get_close_matches(layer, [name for name in modules if name], 3, cutoff=0)
            raise ValueError(f"the judge has no layer {layer!r}, expected a name such as {', '.join(nearest)}: choose one")
        self.seen, self.columns, self.layer, self.channels = seen, list(columns), layer, channels
        self._module = modules[layer]

    @torch.no_grad()
    def __call__(self, image: Image) -> tuple[Tensor, Tensor]:
        if image.shape[1] not in (1, self.channels):
            raise ValueError(f"the judge takes {self.channels} channels, got {image.shape[1]}: choose another judge")
        values: list[Any] = []
        handle = self._module.register_forward_hook(lambda module, inputs, output: values.append(output))
        try:
            logits = self.seen(image.clamp(0, 1).expand(-1, self.channels, -1, -1))
        finally:
            handle.remove()
        if logits.ndim != 2 or logits.shape[1] <= max(self.columns):
            raise ValueError(
                f"the judge returned {list(logits.shape)}, expected [picture, class] with at least {max(self.columns) + 1} "
                f"classes: check its class names"
            )
        if not values or not isinstance(values[0], Tensor):
            raise ValueError(f"the judge's layer {self.layer!r} gave no tensor for a picture: choose another layer")
        return logits[:, self.columns], _pooled(values[0])

    def judged(self, batches: Iterable[Image], classes: Sequence[int] | Tensor) -> Judged:
        """All pictures of the batches, one class for each. Raises ValueError where there is none."""
        outputs = [[part.float().cpu() for part in self(batch)] for batch in batches]
        if not outputs:
            raise ValueError("the judge got no picture, expected at least one: check the folder")
        logits, features = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return Judged(torch.as_tensor(classes, dtype=torch.long), logits, features)


def _pooled(value: Tensor) -> Tensor:
    """`[picture, channel, ...]` averaged over its map, `[picture, token, feature]` over its tokens."""
    if value.ndim <= 2:
        return value.reshape(len(value), -1)
    return value.mean(1) if value.ndim == 3 else value.flatten(2).mean(2)


def feature_layer(seen: Seen, size: int | tuple[int, int], channels: int, outputs: int) -> str:
    """The last layer with a map or tokens that is not the map of class scores (`outputs` channels), else the last vector of
    another length. Raises ValueError where the network has neither."""
    layers = list_layers(seen, size, channels)
    maps = [one.name for one in layers if len(one.shape) in (2, 3) and one.channels != outputs]
    vectors = [one.name for one in layers if len(one.shape) == 1 and one.channels != outputs]
    if not maps and not vectors:
        raise ValueError("the judge has no layer of features beside its class scores: name one, or choose another judge")
    return (maps or vectors)[-1]


def class_columns(listed: Sequence[str], wanted: Sequence[str], whose: str) -> list[int]:
    """Where classes stand among those listed, by name (case, underscores and further synonyms after a comma aside).

    Raises ValueError for the first name that is not there, with the nearest ones.
    """
    places: dict[str, int] = {}
    for index, names in enumerate(listed):
        for name in [names, *names.split(",")]:
            places.setdefault(plain(name), index)
    for name in wanted:
        if plain(name) not in places:
            nearest = ", ".join(repr(one) for one in difflib.get_close_matches(plain(name), places, 3, cutoff=0.5))
            raise ValueError(
                f"{whose} knows no class {name!r} among its {len(listed)}{f' (nearest: {nearest})' if nearest else ''}: "
                f"list its classes in their order with --judge-classes, or ask for others"
            )
    return [places[plain(name)] for name in wanted]


def plain(name: str) -> str:
    """A class name to compare: lower case, spaces for underscores, without its group ("type:Handbags")."""
    return name.rpartition(":")[2].replace("_", " ").strip().lower()
