"""The values of chosen layers, recorded while one forward pass runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ppgn.errors import ProbeError
from ppgn.probe.heads import Heads
from ppgn.probe.outputs import first_tensor

Side: TypeAlias = Literal["before", "after"]
ACTIVATIONS = frozenset(  # as functions of torch, of torch.nn.functional (modules call these) and of Tensor; in place with _
    ("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh")
    + ("softplus", "softsign", "logsigmoid", "hardswish", "hardsigmoid", "hardtanh")
)


class Complete(BaseException):
    """Ends a pass; not an Exception, so that no network catches it by accident."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder


class Recorder(TorchFunctionMode):
    """The values of `layers`, filled by hooks; raises Complete at the last one. As a function mode it also sees activations."""

    def __init__(self, layers: Sequence[str], side: Side | None) -> None:
        super().__init__()
        self.layers = layers
        self.side = side
        self.values: dict[str, Tensor] = {}
        self._waiting: dict[str, Tensor] = {}  # outputs of layers, until their activation is called
        self._activated: tuple[Tensor, Tensor] | None = None  # input and output of the last activation
        self._thread = threading.get_ident()

    def hook(self, layer: str, heads: Heads | None = None) -> Any:
        """A forward hook with keywords that records the layer's first output, or the values of its heads, in the thread that
        made the recorder."""

        def note(module: nn.Module, inputs: Any, options: Any, output: Any) -> None:
            if layer in self.values or layer in self._waiting or threading.get_ident() != self._thread:
                return
            value = first_tensor(output) if heads is None else heads.read(inputs, options)
            if value is None:
                raise ProbeError(
                    f"the layer {layer!r} returned {type(output).__name__}, expected a tensor: name a layer inside it"
                )
            self._note(layer, value)

        return note

    def _note(self, layer: str, value: Tensor) -> None:
        if self._activated is not None and self._activated[1] is value:  # the layer is, or ends in, an activation
            self._keep(layer, self._activated[0] if self.side == "before" else value)
        elif self.side == "after":
            self._waiting[layer] = value
        else:
            self._keep(layer, value)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "").rstrip("_") not in ACTIVATIONS:
            return func(*args, **kwargs)
        source = args[0] if args else kwargs["input"]
        before = source.clone() if self.side == "before" else source  # it may be overwritten in place
        result = func(*args, **kwargs)
        self._activated = (before, result)
        for layer in [name for name, value in self._waiting.items() if value is source]:
            del self._waiting[layer]
            self._keep(layer, result)
        return result

    def _keep(self, layer: str, value: Tensor) -> None:
        last = len(self.values) + 1 == len(self.layers)
        self.values[layer] = value if last else value.clone()  # what runs on may work in place
        if last:
            raise Complete(self)

    def check(self) -> None:
        """Raises ProbeError for a layer that the finished pass has not recorded."""
        for layer in self.layers:
            if layer in self._waiting:
                raise ProbeError(
                    f"no activation got the output of the layer {layer!r} itself, expected one after it: "
                    f"name the activation's own layer or the one before it, or leave activation out"
                )
            if layer not in self.values:
                raise ProbeError(
                    f"the layer {layer!r} was not used in a pass over an image, expected one that is: "
                    f"choose one that list_layers gives"
                )
