"""A plug-in under check: calls it as a chain does, and names what goes wrong in the call itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from ppgn.checks.held import held, modules_in, tensors_in
from ppgn.types import Image

RANGES: dict[str, Callable[[Image], Image]] = {
    "255 * image": lambda image: 255 * image,
    "2 * image - 1": lambda image: 2 * image - 1,
}
"""What a function that was made for other pixels than [0, 1] may want: [0, 255] or [-1, 1]."""
DROPS = ("dropout", "droppath", "dropblock", "stochasticdepth")
"""Parts of the names of the layers that other packages drop things by."""


class Plugin:
    """`who` ("the condition") for sentences, and its function; given_pixels: its one input is an image in [0, 1].

    running: after a call, the networks' modules that ran in it in train mode, by name.
    """

    def __init__(self, who: str, function: Any, *, given_pixels: bool = False) -> None:
        self.who = who
        self.function = function
        self.given_pixels = given_pixels
        self.running: list[str] = []
        self._things = held(function)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function's value for copies of the inputs; ValueError unless it is a tensor and nothing else was changed."""
        with torch.inference_mode(False):  # whose tensors have no version
            copies = [tensor.clone() for tensor in inputs]
            versions = [copy._version for copy in copies]
            with self.watched(*inputs):
                value = self.function(*copies)
        if not isinstance(value, Tensor):
            raise ValueError(f"{self.who} returned {type(value).__name__}, expected a tensor: convert its result")
        if value.device != inputs[0].device:
            raise ValueError(
                f"{self.who} has a device mismatch: it returned a tensor on {value.device} for an input on {inputs[0].device}, "
                f"expected one device: move its networks and tensors with .to(its input's device)"
            )
        changed = [copy._version != version for copy, version in zip(copies, versions, strict=True)]
        if any(changed) or not all(torch.equal(*pair) for pair in zip(inputs, copies, strict=True)):
            raise ValueError(
                f"{self.who} changed its input in place, expected it left as it was: replace += and functions that end in _ "
                f"(mul_, clamp_) by those that return a new tensor, or clone it first"
            )
        return value

    def with_gradient(self, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """The value, and the gradient of a sum over it with unequal weights, or None where the two are not connected."""
        with torch.inference_mode(False), torch.enable_grad():
            leaf = source.detach().clone().requires_grad_()
            value = self(leaf)
            if leaf.grad is not None:
                raise ValueError(_left_behind(self.who, "its input"))
            if not value.requires_grad:
                return value, None
            # Equal weights would hide the gradient of anything that is normalised to a constant sum.
            units = value.shape[1:]
            weights = 1 + torch.arange(units.numel(), dtype=value.dtype, device=value.device).reshape(units)
            gradient = torch.autograd.grad((value * weights).sum(), leaf, allow_unused=True)[0]
        return value.detach(), gradient

    def fitting_range(self, image: Image) -> str | None:
        """The first of RANGES in which the function runs and has a finite gradient other than 0, where [0, 1] failed."""
        for name, change in RANGES.items():
            with suppress(Exception), torch.enable_grad():  # what fails there as well does not fit
                leaf = change(image.detach()).requires_grad_()
                gradient = torch.autograd.grad(self.function(leaf * 1).sum(), leaf)[0]
                if bool(gradient.any()) and bool(gradient.isfinite().all()):
                    return name
        return None

    @contextmanager
    def watched(self, *inputs: Tensor) -> Iterator[None]:
        """Around one call: ValueError when a network ran in train mode that must not, is elsewhere, or got gradients."""
        watch = _Watch()
        weights = [(name, tensor) for name, tensor in tensors_in(self._things) if tensor.is_leaf]
        before = [_grad_and_version(tensor) for _, tensor in weights]
        handles = [module.register_forward_pre_hook(watch.hook(name)) for name, module in modules_in(self._things).items()]
        try:
            yield
        except Exception as error:
            fault = watch.elsewhere or self._cause(error, *inputs)
            if fault is None:
                raise
            raise ValueError(f"{self.who} {fault} ({type(error).__name__}: {_first_line(error)})") from error
        finally:
            for handle in handles:
                handle.remove()
        self.running = watch.running
        fault = (watch.elsewhere if watch.on_meta else None) or watch.in_train_mode
        if fault is not None:
            raise ValueError(f"{self.who} {fault}")
        for (name, tensor), (grad, version) in zip(weights, before, strict=True):
            now, version_now = _grad_and_version(tensor)
            if now is not grad or version_now != version:
                raise ValueError(_left_behind(self.who, repr(name)))

    def _cause(self, error: Exception, *inputs: Tensor) -> str | None:
        """Why the call may have failed: a tensor on another device, or pixels of another range than it expects."""
        device = inputs[0].device
        if isinstance(error, RuntimeError):
            for name, tensor in tensors_in(self._things):
                if _is_elsewhere(tensor, device):
                    return _elsewhere(f"it holds {name!r} on {tensor.device}", device)
        fitting = self.fitting_range(inputs[0]) if self.given_pixels else None
        if fitting is None:
            return None
        return (
            f"expects another range: it fails on pixels in [0, 1] and runs on {fitting}, expected one that takes pixels "
            f"in [0, 1]: begin it with image = {fitting}"
        )


class _Watch:
    """What forward pre-hooks see: the modules that run in train mode, and the first fault of each kind.

    A module that is elsewhere than its input may still move it by itself; on the meta device, which holds no numbers, it cannot,
    and some then make up a result without an error.
    """

    def __init__(self) -> None:
        self.running: list[str] = []
        self.in_train_mode: str | None = None
        self.elsewhere: str | None = None
        self.on_meta = False

    def hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            called = f"its module {name!r} ({type(module).__name__})"
            if module.training:
                self.running.append(called)
            self.in_train_mode = self.in_train_mode or _mode_fault(called, module)
            device = next((tensor.device for tensor in inputs if isinstance(tensor, Tensor)), None)
            own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
            away = next((tensor.device for tensor in own if device is not None and _is_elsewhere(tensor, device)), None)
            if away is not None and device is not None and self.elsewhere is None:
                self.elsewhere, self.on_meta = _elsewhere(f"{called} is on {away}", device), away.type == "meta"

        return note


def _mode_fault(called: str, module: nn.Module) -> str | None:
    """Why this module must not run as it is: it mixes chains, draws random numbers, or changes its own statistics."""
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
    """How often it drops something in train mode; a low rate may not show in a few calls."""
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return module.dropout
    if isinstance(module, _DropoutNd) or any(word in type(module).__name__.lower() for word in DROPS):
        rates = [getattr(module, name) for name in ("p", "drop_prob", "prob") if hasattr(module, name)]
        return (rates[0] or 0.0) if rates else 1.0
    return 0.0


def _elsewhere(what: str, device: torch.device) -> str:
    return f"has a device mismatch: {what} and got a tensor on {device}, expected one device: move it with .to({str(device)!r})"


def _is_elsewhere(tensor: Tensor, device: torch.device) -> bool:
    return tensor.device != device and tensor.ndim > 0  # torch itself takes single numbers from anywhere


def _left_behind(who: str, where: str) -> str:
    return (
        f"{who} left a gradient behind in the .grad of {where}, expected none: replace backward() inside it by "
        f"torch.autograd.grad, or leave differentiation to the chain"
    )


def _grad_and_version(tensor: Tensor) -> tuple[Tensor | None, int]:
    return tensor.grad, 0 if tensor.grad is None else tensor.grad._version


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
