"""Conditions that match something measured in another image: a code, a feature map, its Gram matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ppgn.probe import Probe
from ppgn.types import Image, LogProb, shown


class FeatureMatch:
    """log N(target; features(image), std^2) per chain, without its constant: -sum over units of (difference / std)^2 / 2.

    features: image -> `[chain, *code]`; an encoder (its code, as inversion does), or `Layer(network, name)` (its feature
    map; Mahendran & Vedaldi 2015, Eq. 1). target: `[*code]` for all chains, or `[chain, *code]`. std: in units of the
    code, one or per unit. Raises ValueError unless std > 0, and when the target has another shape than the features.
    """

    def __init__(self, features: Callable[[Image], Tensor], target: Tensor, std: float | Tensor = 1.0) -> None:
        self.features = features
        self.target = target.detach().clone()
        self.std = check_std("a match", std)

    @classmethod
    def to_picture(cls, features: Callable[[Image], Tensor], picture: Image, std: float | Tensor = 1.0) -> FeatureMatch:
        """Match what `features` gives for a picture, `[channel, height, width]`, or one per chain."""
        with torch.no_grad():
            target = features(picture if picture.ndim == 4 else picture[None])
        return cls(features, target if picture.ndim == 4 else target[0], std)

    def __call__(self, image: Image) -> LogProb:
        values = self.features(image)
        if self.target.shape not in (values.shape, values.shape[1:]):
            raise ValueError(
                f"a match got a target of shape {tuple(self.target.shape)}, expected {tuple(values.shape[1:])} or one per "
                f"chain, {tuple(values.shape)}: measure the target by the same features"
            )
        return gaussian(values - self.target.to(values), self.std)


class GramMatch:
    """-sum over layers of weight * sum((gram - gram of the picture)^2) / (4 channels^2) / (2 std^2): `[chain]`.

    Gram matrices (see `gram`) know which channels occur together, not where (Gatys et al. 2016, Eq. 3 to 5, per position).
    probe: the layers, in one pass. picture: `[channel, height, width]`, of any size the network takes. weights: by layer
    name, by default 1 / number of layers. Raises ValueError unless std > 0, when a weight names no layer of the probe,
    and for a layer that is no `[chain, channel, height, width]`.
    """

    def __init__(self, probe: Probe, picture: Tensor, weights: Mapping[str, float] | None = None, std: float = 1.0) -> None:
        self.probe = probe
        self.weights = dict.fromkeys(probe.layers, 1 / len(probe.layers)) if weights is None else dict(weights)
        self.std = check_std("a style", std)
        unknown = sorted(set(self.weights) - set(probe.layers))
        if unknown:
            raise ValueError(
                f"a style got a weight for the layer {unknown[0]!r}, expected one of the probe's {list(probe.layers)}: "
                f"add it to the probe or drop the weight"
            )
        with torch.no_grad():
            self.grams = {layer: gram(value)[0] for layer, value in probe(picture[None]).items()}

    def __call__(self, image: Image) -> LogProb:
        values = self.probe(image)
        total = image.new_zeros(len(image))
        for layer, weight in self.weights.items():
            difference = gram(values[layer]) - self.grams[layer].to(values[layer])
            total = total + weight / (4 * difference.shape[1] ** 2) * gaussian(difference, self.std)
        return total


def gram(maps: Tensor) -> Tensor:
    """Mean over positions of f_i f_j: maps `[chain, channel, *position]` -> `[chain, channel, channel]`."""
    if maps.ndim < 3:
        raise ValueError(
            f"a Gram matrix got shape {tuple(maps.shape)}, expected [chain, channel, height, width]: choose a layer of maps"
        )
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def gaussian(difference: Tensor, std: float | Tensor) -> LogProb:
    """-sum of (difference / std)^2 / 2 over all axes but the chain's: `[chain]`."""
    spread = std.to(difference) if isinstance(std, Tensor) else std
    return -0.5 * ((difference / spread) ** 2).flatten(1).sum(1)


def check_std(who: str, std: float | Tensor) -> float | Tensor:
    """std, or ValueError unless all of it is positive and finite."""
    given = torch.as_tensor(std)
    if not bool(((given > 0) & (given < torch.inf)).all()):
        raise ValueError(f"{who} got std {shown(std)}, expected positive numbers: pass std > 0")
    return std
