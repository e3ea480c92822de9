"""What is worth asking of a network of a known family: layers, position, side of the activation, and its usual input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ppgn.conditions import Position, spelled
from ppgn.images import height_and_width
from ppgn.probe import Preprocessed, Side, heads_of

Numbers = tuple[float, ...]
IMAGENET: tuple[Numbers, Numbers] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES: tuple[Numbers, Numbers] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP: tuple[Numbers, Numbers] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SIZE = 224
NEURONS = ("mlp.fc1", "mlp.0", "mlp.gate_proj", "mlp.up_proj", "mlp.c_fc")
"""The first layer of a block's MLP, before its activation: timm's and transformers', torchvision's, SwiGLU's and DINOv3's in
transformers, open_clip's."""
GATED = ("GluMlp", "SwiGLU", "SwiGLUPacked")
"""timm's MLPs whose neurons are products of two halves of the first layer; `mlp.norm` has the products."""


@dataclass(frozen=True)
class Family:
    """Networks with the same layers in every library: the class of the network, the names of its blocks or stages, and mean and
    standard deviation of its input where the network does not state them."""

    name: str
    classes: str
    blocks: str
    normalisation: tuple[Numbers, Numbers] = IMAGENET
    transformer: bool = False
    activation: Side | None = None


BLOCKS = r"(transformer\.res)?blocks\.\d+|encoder\.layers\.encoder_layer_\d+|(encoder\.|model\.)?layers?\.\d+"
FAMILIES = (
    Family("ResNet", r"ResNet(Model)?", r"layer\d|encoder\.stages\.\d+", activation="before"),  # its stages end in a ReLU
    Family("ConvNeXt", r"(DINOv3)?ConvNe[xX]t(V2)?(Model)?", r"(encoder\.|model\.)?stages\.\d+|features\.[1357]"),
    Family("EfficientNet", r"EfficientNet(Model|Lite)?", r"(encoder\.)?blocks\.\d+|features\.\d+|block\d+"),
    Family("CLIP", r"CLIPVision(Model|Transformer)", BLOCKS, CLIP, True),
    Family("SigLIP", r"Siglip2?Vision(Model|Transformer)", BLOCKS, HALVES, True),
    Family("DINO", r"D(ino|INO)[vV][23].*Model", BLOCKS, IMAGENET, True),
    Family("ViT", r"(ViT|DeiT|Beit)Model", BLOCKS, HALVES, True),
    Family("ViT", r"VisionTransformer\w*|Eva|Beit", BLOCKS, IMAGENET, True),  # of torchvision, timm and open_clip
)


@dataclass(frozen=True)
class Preset:
    """Layers of a network that are worth asking for, and how.

    layers: early, middle, late; of a convolutional network stages, of a transformer the first layer of an MLP, whose neurons are
    clearer than keys, queries or values (Ghiasi et al. 2022, "What do Vision Transformers Learn?"). The last block of a
    transformer is left out, as only its class token may reach the output. attention: of the same blocks. position: of
    `UnitAddress`; mean over a transformer's patches, None over a map (Olah et al. 2017, "Feature Visualization": channels).
    channel_axis: of `Unit`. activation: "before" where the layers end in a ReLU, behind which silent units have no gradient.
    size, mean, std: as in Preprocessed.
    """

    family: str
    layers: tuple[str, ...]
    attention: tuple[str, ...]
    position: Position
    channel_axis: int
    activation: Side | None
    size: int | tuple[int, int]
    mean: float | Sequence[float]
    std: float | Sequence[float]

    def addresses(self, unit: int = 0) -> tuple[str, ...]:
        """The address of that unit in each of the layers: "blocks.3.mlp.fc1:0@mean"."""
        where = spelled(self.position)
        return tuple(f"{layer}:{unit}{f'@{where}' if where else ''}" for layer in self.layers)

    @property
    def depths(self) -> dict[str, str]:
        """Layer -> "early", "middle" or "late"."""
        words = ("early", "middle", "late")
        return dict(zip(self.layers, words if len(self.layers) == len(words) else words[-len(self.layers) :], strict=True))


def preset(network: nn.Module | Preprocessed) -> Preset | None:
    """What is worth asking of a ResNet, ConvNeXt, EfficientNet or vision transformer (ViT, DeiT, BEiT, DINO, CLIP, SigLIP) of
    torchvision, timm or transformers; None for other networks."""
    module = network.network if isinstance(network, Preprocessed) else network
    for name, inner in module.named_modules():
        for family in FAMILIES:
            if re.fullmatch(family.classes, type(inner).__name__) and (blocks := _blocks(inner, family)):
                return _of_family(network, f"{name}." if name else "", inner, family, blocks)
    return None


def _blocks(network: nn.Module, family: Family) -> list[str]:
    return [name for name, _ in network.named_modules() if re.fullmatch(family.blocks, name)]


def _of_family(network: nn.Module | Preprocessed, prefix: str, inner: nn.Module, family: Family, blocks: list[str]) -> Preset:
    last = len(blocks) - 1
    late = max(last - 1, min(last, 1)) if family.transformer else last
    chosen = [blocks[place] for place in sorted({len(blocks) // 4, min(len(blocks) // 2, late), late})]
    attention: list[str] = []
    layers = list(chosen)
    if family.transformer:
        layers = [f"{block}.{_neurons(inner.get_submodule(block))}".rstrip(".") for block in chosen]
        children = [(block, *child) for block in chosen for child in inner.get_submodule(block).named_children()]
        attention = [f"{block}.{name}" for block, name, child in children if heads_of(child)]
    seen = network if isinstance(network, Preprocessed) else None
    size, mean, std = (seen.size, seen.mean, seen.std) if seen else _input(inner, family)
    return Preset(
        family.name,
        tuple(prefix + layer for layer in layers),
        tuple(prefix + layer for layer in attention),
        "mean" if family.transformer else None,
        2 if family.transformer else 1,
        family.activation,
        SIZE if size is None else size,
        mean,
        std,
    )


def _neurons(block: nn.Module) -> str:
    """The layer of a transformer's block whose units are the neurons of its MLP; "" is the block itself."""
    modules = dict(block.named_modules())
    if type(modules.get("mlp")).__name__ in GATED:
        return "mlp.norm"
    return next(name for name in (*NEURONS, "mlp", "") if name in modules)


def _input(network: Any, family: Family) -> tuple[tuple[int, int], Numbers, Numbers]:
    """(size, mean, std) that a network states, timm's in its pretrained_cfg, else those of its family."""
    stated = getattr(network, "pretrained_cfg", None) or {}
    mean, std = family.normalisation
    built = getattr(getattr(network, "patch_embed", None), "img_size", None) or getattr(network, "image_size", None)
    size = built or getattr(getattr(network, "config", None), "image_size", None) or stated.get("input_size", (3, SIZE, SIZE))[1:]
    mean, std = (getattr(network, f"image_{name}", None) or value for name, value in (("mean", mean), ("std", std)))
    return height_and_width(size), tuple(stated.get("mean", mean)), tuple(stated.get("std", std))
