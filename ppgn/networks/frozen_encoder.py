"""Any published network as the encoder: the value of one of its layers is the code. Nothing of it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ppgn.images import Size, height_and_width, normalise, resize
from ppgn.networks.published import PUBLISHED, timm_network, transformers_network
from ppgn.probe import Preprocessed, Probe, layer_name, tokens_of, weights_dtype

CODES = ("map", "class", "mean")
"""What becomes the code: a layer's map, its class token, or the mean over its places."""


@dataclass(frozen=True)
class FrozenEncoderConfig:
    """A network by name, the layer whose value is the code, and the network's input.

    network: "timm:NAME", "torchvision:NAME", "lite:0", or "hf:NAME" with `settings`, its config of transformers as JSON. code:
    what of the layer is the code: "map", its patch tokens or its map `[channel, row, column]`; "class", the class token; "mean",
    the mean over the places. Of a layer that is a vector it is that. code_shape: of one code. maps: more layers, whose maps
    feature matching compares. input_size, mean, std, bgr: as in Preprocessed.
    """

    network: str
    layer: str
    code: str = "map"
    code_shape: tuple[int, ...] = ()
    maps: tuple[str, ...] = ()
    input_size: Size = 224
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    bgr: bool = False
    settings: str = ""


class FrozenEncoder(nn.Module):
    """Image -> code, the value of a layer of a network that somebody trained (Zheng et al. 2025, "Diffusion transformers with
    representation autoencoders").

    Tokens become a map row by row, without those of class and registers. Gradients run to the image and to no weight. Raises
    ValueError for an unknown network or layer, another `code` than CODES, and tokens that make no map.
    """

    architecture = "frozen_encoder"
    stored_dtype = torch.float32
    """The published weights are kept as they are."""

    def __init__(self, config: FrozenEncoderConfig, network: nn.Module | None = None) -> None:
        super().__init__()
        if config.code not in CODES:
            raise ValueError(f"a frozen encoder got code {config.code!r}, expected {', '.join(CODES)}: choose one of these")
        self.config = config
        with torch.device("cpu"):  # also where bundles are built without memory: tables that no file holds need values
            self.network = built(config) if network is None else network
        self.requires_grad_(False).eval()
        self.layers = tuple(layer_name(self.network, layer) for layer in (*config.maps, config.layer))

    @classmethod
    def of(
        cls, seen: Preprocessed, name: str, layer: str, code: str = "map", maps: Sequence[str] = (), settings: str = ""
    ) -> FrozenEncoder:
        """That of a loaded network; its code's shape is measured. The arguments are the fields of the config."""
        size = height_and_width(224 if seen.size is None else seen.size)
        mean, std = (tuple(torch.as_tensor(value).reshape(-1).tolist()) for value in (seen.mean, seen.std))
        fields = {"network": name, "layer": layer, "code": code, "maps": tuple(maps), "settings": settings}
        common = {"input_size": size, "mean": mean, "std": std, "bgr": seen.bgr}
        config = FrozenEncoderConfig(**fields, **common)
        with torch.no_grad():
            found = cls(config, seen.network)(torch.zeros(1, max(3, len(mean)), *size))
        return cls(FrozenEncoderConfig(**fields, **common, code_shape=tuple(found.shape[1:])), seen.network)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code: `[channel, row, column]`, or `[channel]`."""
        return self.config.code_shape

    @property
    def probed(self) -> list[str]:
        """The whole names of the layers whose values are used."""
        return [f"network.{layer}" for layer in self.layers]

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stays in evaluation mode."""
        return super().train(False)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Maps `[picture, channel, row, column]` of the layers `config.maps`, then that of the code, in one pass.

        image: `[picture, channel, height, width]` in [0, 1], resized and normalised here. Vectors are maps of one place.
        """
        return self._maps(image, self.layers)

    def code_from_pool5(self, last: Tensor) -> Tensor:
        """The code `[picture, *code]` from the last of `maps`."""
        if self.config.code == "mean":
            return last.mean((2, 3))
        return last.flatten(1) if len(self.code_shape) == 1 or last.shape[2:] == (1, 1) else last

    def forward(self, image: Tensor) -> Tensor:
        """The code `[picture, *code]` of pictures `[picture, channel, height, width]` in [0, 1]."""
        return self.code_from_pool5(self._maps(image, self.layers[-1:])[-1])

    def _maps(self, image: Tensor, layers: Sequence[str]) -> list[Tensor]:
        config = self.config
        if image.shape[1] == 1:
            image = image.expand(-1, max(3, len(config.mean)), -1, -1)
        prepared = normalise(resize(image, config.input_size), config.mean, config.std, config.bgr)
        probe = Probe(self.network, layers)
        values = probe(prepared.to(weights_dtype(self.network, image.dtype)))
        last = len(layers) - 1
        return [
            self._as_map(probe, layer, values[layer], place == last and config.code == "class").to(image.dtype)
            for place, layer in enumerate(layers)
        ]

    def _as_map(self, probe: Probe, layer: str, value: Tensor, of_class: bool) -> Tensor:
        if value.ndim == 2:
            return value[:, :, None, None]
        tokens = tokens_of(self.network, height_and_width(self.config.input_size))
        if of_class:
            if value.ndim != 3 or not tokens.class_token(value.shape[1]):
                raise ValueError(
                    f"the layer {layer!r} of {self.config.network} has the shape {list(value.shape[1:])} and no class token: "
                    f"choose code 'map' or 'mean', or another layer"
                )
            return value[:, 0, :, None, None]
        if value.ndim == 4:
            return value.movedim(probe.channel_axis(layer, value), 1)
        grid = tokens.patches(value.shape[1]) if value.ndim == 3 else None
        if grid is None:
            raise ValueError(
                f"the layer {layer!r} of {self.config.network} has the shape {list(value.shape[1:])}, expected a map, tokens of "
                f"patches or a vector: name another layer"
            )
        return value[:, grid[0] :].transpose(1, 2).unflatten(2, grid[1])


def built(config: FrozenEncoderConfig) -> nn.Module:
    """The network of a config with random weights. Raises ValueError for an unknown one."""
    source, _, name = config.network.partition(":")
    if source == "timm":
        return timm_network(name, config.input_size).module
    if source == "hf" and config.settings:
        return transformers_network(config.settings).module
    if source not in PUBLISHED:
        raise ValueError(
            f"got {config.network!r} as a frozen network, expected timm:NAME, torchvision:NAME, lite:0 or hf:NAME: name one"
        )
    return PUBLISHED[source](name).module
