"""Values of the layers of a network by dotted name, before or after their activation, in one pass that stops early."""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ppgn.errors import ProbeError
from ppgn.images import height_and_width
from ppgn.probe.axes import axis_of, channel_axis
from ppgn.probe.heads import heads_of
from ppgn.probe.preprocessed import Preprocessed, as_image, check_eval
from ppgn.probe.recorder import Complete, Recorder, Side
from ppgn.probe.tokens import Tokens, tokens_of
from ppgn.types import Image


class Probe:
    """Values of some layers of a network in one forward pass, which ends at the last of them.

    network: a module in eval mode, or Preprocessed(module, ...). layers: names as in `named_modules` ("features.10"), or unique
    endings of them ("conv5"). activation: "before" takes the input of the activation that a layer is or ends in; "after" takes
    the output of the next activation (module or function) that gets the layer's output; None takes the output of the layer
    itself. The first use of a layer in the pass counts. Later in-place operations do not change the values. shared: keep the
    last values while their image tensor lives unchanged, so that several conditions cost one pass; they share its graph too, so
    differentiate their sum. heads: of a module of attention take one value per head (`Heads.read`) in the place of its output.

    Raises ValueError for an unknown layer (with the nearest names) and for a wrong `activation`. A call raises ValueError for a
    network in train mode and for a layer that the pass does not use, that returns no tensor, or that has no activation behind it.
    """

    def __init__(
        self,
        network: nn.Module | Preprocessed,
        layers: str | Sequence[str],
        *,
        activation: Side | None = None,
        shared: bool = False,
        heads: bool = False,
    ) -> None:
        self.network = network
        self.layers = (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
        self.activation: Side | None = activation
        self.shared = shared
        module = module_of(network)
        self.names = {name: layer_name(module, name) for name in self.layers if not isinstance(module, torch.jit.ScriptModule)}
        self.modules = {name: _hookable(module, name) for name in self.layers}
        self.heads = {name: found for name, one in self.modules.items() if heads and (found := heads_of(one))}
        """Layer -> its heads, where their values are taken."""
        self._last: tuple[weakref.ref[Tensor], int, dict[str, Tensor]] | None = None
        if not self.layers:
            raise ValueError("a probe got no layer, expected at least one: pass the name of a layer")
        if activation not in (None, "before", "after"):
            raise ValueError(f"a probe got activation={activation!r}, expected 'before', 'after' or None: pass one of them")

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Layer -> value `[chain, *layer]` for images `[chain, channel, height, width]`, in the order of `layers`."""
        if not self.shared:
            return self._fed(image)
        needs_graph = image.requires_grad and torch.is_grad_enabled()
        if self._last is not None:
            known, version, values = self._last
            with_graph = any(value.requires_grad for value in values.values())
            if known() is image and version == image._version and (with_graph or not needs_graph):
                return dict(values)
        values = self._fed(image)
        self._last = (weakref.ref(image), image._version, values)
        return dict(values)

    def _fed(self, image: Image) -> dict[str, Tensor]:
        if not (isinstance(self.network, Preprocessed) and self.network.one_by_one):
            return self._run(image)
        runs = [self._run(part) for part in image.split(1)]
        return {layer: torch.cat([run[layer] for run in runs]) for layer in self.layers}

    def _run(self, image: Image) -> dict[str, Tensor]:
        check_eval(module_of(self.network))
        recorder = Recorder(self.layers, self.activation)
        handles = []
        try:
            for layer, module in self.modules.items():
                heads = self.heads.get(layer)
                watched = module if heads is None else heads.watched
                handles.append(watched.register_forward_hook(recorder.hook(layer, heads), with_kwargs=True))
            with nullcontext() if self.activation is None else recorder:
                self.network(image)
        except Complete as complete:
            if complete.recorder is not recorder:
                raise
        finally:
            for handle in handles:
                handle.remove()
        recorder.check()
        return {layer: as_image(recorder.values[layer], image) for layer in self.layers}

    def channel_axis(self, layer: str, value: Tensor) -> int:
        """The axis of channels, or of heads, in a layer's value (`axis_of`)."""
        if layer in self.heads:
            return channel_axis(value.ndim)
        return axis_of(module_of(self.network), self.names[layer], value.shape)

    def tokens(self, image: Image) -> Tokens:
        """The order of the network's tokens for such images."""
        given = self.network.size if isinstance(self.network, Preprocessed) else None
        return tokens_of(
            module_of(self.network), height_and_width((image.shape[-2], image.shape[-1]) if given is None else given)
        )


class Layer:
    """One layer as a function, image -> value `[chain, *layer]`, for conditions on that layer.

    network: a module, Preprocessed, or a Probe that has the layer already, such as a shared one. Raises ValueError as Probe does,
    and for a Probe that lacks the layer, or takes the other side of its activation or the output of attention for its heads.
    """

    def __init__(
        self,
        network: nn.Module | Preprocessed | Probe,
        layer: str,
        *,
        activation: Side | None = None,
        heads: bool = False,
    ) -> None:
        self.probe = network if isinstance(network, Probe) else Probe(network, layer, activation=activation, heads=heads)
        self.name = layer
        if layer not in self.probe.layers:
            raise ValueError(
                f"the layer {layer!r} is not among the probe's {list(self.probe.layers)}, expected one of them: "
                f"make the probe with this layer too"
            )
        if activation not in (None, self.probe.activation):
            raise ValueError(
                f"the layer {layer!r} got activation={activation!r}, expected the probe's own "
                f"{self.probe.activation!r}: leave it out, or make another probe"
            )
        if heads != (layer in self.probe.heads) and heads_of(self.probe.modules[layer]):
            raise ValueError(
                f"the layer {layer!r} is attention, whose {'heads' if heads else 'output'} the probe does not take, expected "
                f"them: make the probe with heads={heads}"
            )

    def __call__(self, image: Image) -> Tensor:
        return self.probe(image)[self.name]


def module_of(network: nn.Module | Preprocessed) -> nn.Module:
    """The module whose layers have names: the network, or the one that Preprocessed holds. ProbeError for anything else."""
    module = network.network if isinstance(network, Preprocessed) else network
    if not isinstance(module, nn.Module):
        raise ProbeError(
            f"got {type(module).__name__} for a network, expected a module of torch: pass the network itself, bundle.encoder, say"
        )
    return module


def _hookable(network: nn.Module, name: str) -> nn.Module:
    """The layer of that name (see `layer_name`). Raises ProbeError where it, or the network, is scripted or traced."""
    layer = None if isinstance(network, torch.jit.ScriptModule) else network.get_submodule(layer_name(network, name))
    if layer is None or isinstance(layer, torch.jit.ScriptModule):
        raise ProbeError(
            f"the layer {name!r} is in a network that was scripted or traced, whose layers cannot be seen, expected a module of "
            f"Python: give the one from before torch.jit, or ask for a class"
        )
    return layer


def layer_name(network: nn.Module, layer: str) -> str:
    """The whole name of a layer in `named_modules` for its name or a unique ending of it: "conv5" -> "trunk.layers.conv5".

    Raises ValueError with the nearest names where none fits, and with the fitting names where several do.
    """
    names = [name for name, _ in network.named_modules(remove_duplicate=False) if name]
    if layer in names:
        return layer
    ends = [name for name in names if layer and name.endswith(f".{layer}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ValueError(
            f"the layer {layer!r} of {type(network).__name__} fits {len(ends)} names ({', '.join(ends[:5])}), expected a unique "
            f"ending: write more of the name"
        )
    nearest = difflib.get_close_matches(layer, names, 3, cutoff=0)
    raise ValueError(
        f"{type(network).__name__} has no layer {layer!r}, expected a name such as {', '.join(nearest) or '(it has none)'}: "
        f"choose one that list_layers gives"
    )
