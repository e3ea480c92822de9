"""Watches the modules of a plug-in while it runs: their mode, and the device of their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

DROPS = ("dropout", "droppath", "dropblock", "stochasticdepth")
"""Parts of the class names of the layers by which other packages drop activations or branches."""


class Watch:
    """Forward pre-hooks that note the modules that run in train mode, and the first fault of each kind.

    A module on another device than its input may still move the input by itself. On the meta device, which holds no numbers, it
    cannot, and some modules then make up a result without an error.
    """

    def __init__(self) -> None:
        self.running: list[str] = []
        self.in_train_mode: str | None = None
        self.elsewhere: str | None = None
        self.on_meta = False

    def hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        """The forward pre-hook of the module with that name."""

        def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            called = f"its module {name!r} ({type(module).__name__})"
            if module.training:
                self.running.append(called)
            self.in_train_mode = self.in_train_mode or _mode_fault(called, module)
            device = next((tensor.device for tensor in inputs if isinstance(tensor, Tensor)), None)
            own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
            away = next((tensor.device for tensor in own if device is not None and is_elsewhere(tensor, device)), None)
            if away is not None and device is not None and self.elsewhere is None:
                self.elsewhere, self.on_meta = elsewhere(f"{called} is on {away}", device), away.type == "meta"

        return note


def _mode_fault(called: str, module: nn.Module) -> str | None:
    """The reason why this module must not run as it is: it mixes chains, draws random numbers, or changes its statistics."""
    if isinstance(module, _BatchNorm) and module.running_mean is None:
        return (
            f"lets chains depend on each other: {called} keeps no running statistics and normalises by the batch, even after "
            f"eval(): make it with track_running_stats=True, or use GroupNorm"
        )
    if isinstance(module, _NormBase) and module.training and module.track_running_stats:
        kind = "BatchNorm" if isinstance(module, _BatchNorm) else "InstanceNorm"
        does = "normalises by the batch" if isinstance(module, _BatchNorm) else "overwrites its running statistics"
        return f"has {kind} in train mode: {called} {does}, expected eval mode: call eval() on the network"
    if module.training and _drop_rate(module) > 0:
        return f"has dropout left on: {called} is in train mode, expected eval mode: call eval() on the network"
    return None


def _drop_rate(module: nn.Module) -> float:
    """The rate at which it drops something in train mode; a low one may not show in a few calls."""
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return module.dropout
    if isinstance(module, _DropoutNd) or any(word in type(module).__name__.lower() for word in DROPS):
        rates = [getattr(module, name) for name in ("p", "drop_prob", "prob") if hasattr(module, name)]
        return (rates[0] or 0.0) if rates else 1.0
    return 0.0


def elsewhere(what: str, device: torch.device) -> str:
    """The fault of weights (`what`: "its module 'fc' is on meta") on another device than their input."""
    return f"has a device mismatch: {what} and got a tensor on {device}, expected one device: move it with .to({str(device)!r})"


def is_elsewhere(tensor: Tensor, device: torch.device) -> bool:
    """Whether a tensor is on another device and minds it: torch itself takes single numbers from anywhere."""
    return tensor.device != device and tensor.ndim > 0
