"""Which axis of a layer's value holds channels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)


def channel_axis(ndim: int) -> int:
    """The axis of channels in a value of `ndim` axes, the chain axis included: 1, or 2 for `[chain, token, feature]`."""
    return 2 if ndim == 3 else 1


def axis_of(network: nn.Module, name: str, shape: Sequence[int]) -> int:
    """The axis of channels in the value of a layer: `channel_axis`, but 3 for maps `[chain, row, column, channel]`.

    Those leave linear layers and norms of ConvNeXt's blocks, what has no weights behind these, and Swin's blocks. shape: of the
    value, the chain axis included. name: the layer's whole name.
    """
    if len(shape) != 4:
        return channel_axis(len(shape))
    module = network.get_submodule(name)
    if isinstance(module, CONVOLUTIONS):
        return 1
    if isinstance(module, nn.Linear):
        return 3 if module.out_features == shape[3] else 1  # else something behind it, which is back in the usual order
    if "NHWC" in (getattr(module, "output_fmt", ""), getattr(network, "output_fmt", "")):
        return 3
    inner = [one for one in module.modules() if one is not module]
    if inner:
        linear = [one for one in inner if isinstance(one, nn.Linear)]
        last = bool(linear) and linear[-1].out_features == shape[3]
        return 3 if last and not any(isinstance(one, CONVOLUTIONS) for one in inner) else 1
    if sizes := [weight.numel() for weight in module.parameters(recurse=False)]:
        return 3 if shape[3] in sizes and (shape[1] not in sizes or _is_last(module)) else 1
    parent, _, own = name.rpartition(".")
    siblings = [child for child, _ in network.get_submodule(parent).named_children()]
    place = siblings.index(own)
    return axis_of(network, ".".join(filter(None, (parent, siblings[place - 1]))), shape) if place else 1


def _is_last(norm: nn.Module) -> bool:
    """Whether a norm of as many channels as rows takes channels last: transformers' says so, timm's is then no LayerNorm2d."""
    said = getattr(norm, "data_format", None)
    return said == "channels_last" if said else isinstance(norm, nn.LayerNorm) and not type(norm).__name__.endswith("2d")
