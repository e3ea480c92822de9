"""The values inside a network: layers by dotted name, before or after their activation, in one pass that stops early."""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ppgn.probe.recorder import Complete, Recorder, Side
from ppgn.probe.seen import Seen, as_image, check_eval
from ppgn.types import Image


class Probe:
    """Values of some layers of a network in one forward pass, which ends when it has the last of them.

    network: a module in eval mode, or Seen(module, ...). layers: names as in `named_modules` ("features.10"). activation:
    "before" takes the input of the activation that a layer is or ends in, "after" the output of the activation that
    is the next to get the layer's output (module or function), None (default) what the layer itself returns. Of a
    layer that a pass uses several times the first use counts. In-place work that comes later does not change the values.
    shared: keep the last values while their image tensor lives unchanged, so that several conditions cost one pass (the
    graph is shared too: differentiate their sum).

    Raises ValueError for an unknown layer (with the nearest names) or a wrong `activation`; when called, for a network in
    train mode, and for a layer that the pass does not use, that returns no tensor, or that has no activation after it.
    """

    def __init__(
        self, network: nn.Module | Seen, layers: str | Sequence[str], *, activation: Side | None = None, shared: bool = False
    ) -> None:
        self.network = network
        self.layers = (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
        self.activation: Side | None = activation
        self.shared = shared
        self._modules = {name: _find(module_of(network), name) for name in self.layers}
        self._last: tuple[weakref.ref[Tensor], int, dict[str, Tensor]] | None = None
        if not self.layers:
            raise ValueError("a probe got no layer, expected at least one: pass the name of a layer")
        if activation not in (None, "before", "after"):
            raise ValueError(f"a probe got activation={activation!r}, expected 'before', 'after' or None: pass one of them")

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """The value of each layer asked for, by name, `[chain, *layer]`, in the order asked for."""
        if not self.shared:
            return self._run(image)
        needs_graph = image.requires_grad and torch.is_grad_enabled()
        if self._last is not None:
            known, version, values = self._last
            with_graph = any(value.requires_grad for value in values.values())
            if known() is image and version == image._version and (with_graph or not needs_graph):
                return dict(values)
        values = self._run(image)
        self._last = (weakref.ref(image), image._version, values)
        return dict(values)

    def _run(self, image: Image) -> dict[str, Tensor]:
        check_eval(module_of(self.network))
        recorder = Recorder(self.layers, self.activation)
        handles = []
        try:
            for layer, module in self._modules.items():
                handles.append(module.register_forward_hook(recorder.hook(layer)))
            if self.activation is None:
                self.network(image)
            else:
                with recorder:
                    self.network(image)
        except Complete as complete:
            if complete.recorder is not recorder:
                raise
        finally:
            for handle in handles:
                handle.remove()
        recorder.check()
        return {layer: as_image(recorder.values[layer], image) for layer in self.layers}


class Layer:
    """One layer as a function, image -> value `[chain, *layer]`: what conditions on a layer are made from.

    network: a module, Seen, or a Probe that has the layer already (`shared`, say). Raises ValueError as Probe, and
    when a Probe lacks the layer or looks at the other side of its activation.
    """

    def __init__(self, network: nn.Module | Seen | Probe, layer: str, *, activation: Side | None = None) -> None:
        self.probe = network if isinstance(network, Probe) else Probe(network, layer, activation=activation)
        self.name = layer
        if layer not in self.probe.layers:
            raise ValueError(
                f"the layer {layer!r} is not among the probe's {list(self.probe.layers)}, expected one of them: "
                f"make the probe with this layer too"
            )
        if activation not in (None, self.probe.activation):
            raise ValueError(
                f"the layer {layer!r} is asked for {activation!r} its activation, expected the probe's own "
                f"{self.probe.activation!r}: leave it out, or make another probe"
            )

    def __call__(self, image: Image) -> Tensor:
        return self.probe(image)[self.name]


def module_of(network: nn.Module | Seen) -> nn.Module:
    """The module whose layers have names."""
    return network.network if isinstance(network, Seen) else network


def _find(network: nn.Module, layer: str) -> nn.Module:
    modules = dict(network.named_modules(remove_duplicate=False))
    if layer == "" or layer not in modules:
        nearest = difflib.get_close_matches(layer, [name for name in modules if name], 3, cutoff=0)
        raise ValueError(
            f"{type(network).__name__} has no layer {layer!r}, expected a name such as {', '.join(nearest) or '(it has none)'}: "
            f"choose one that list_layers gives"
        )
    return modules[layer]
