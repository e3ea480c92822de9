"""A plug-in under check: calls it as a chain does, and names what goes wrong in the call itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from ppgn.checks.introspection import held, modules_in, tensors_in
from ppgn.checks.watch import Watch, elsewhere, is_elsewhere
from ppgn.types import Image

RANGES: dict[str, Callable[[Image], Image]] = {
    "255 * image": lambda image: 255 * image,
    "2 * image - 1": lambda image: 2 * image - 1,
}
"""Pixels that a function expects that was not made for [0, 1]: [0, 255] or [-1, 1]."""


class Plugin:
    """A plug-in with its name in sentences (`who`: "the condition"); given_pixels: its only input is an image in [0, 1].

    function: the plug-in itself, or a dictionary of objects by name whose calls are only `watched`. running: the modules that
    ran in train mode in the last call, by name.
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
        """The first of RANGES in which the function runs and has a finite gradient other than 0, or None."""
        for name, change in RANGES.items():
            with suppress(Exception), torch.enable_grad():  # a range in which it fails as well does not fit
                leaf = change(image.detach()).requires_grad_()
                gradient = torch.autograd.grad(self.function(leaf * 1).sum(), leaf)[0]
                if bool(gradient.any()) and bool(gradient.isfinite().all()):
                    return name
        return None

    @contextmanager
    def watched(self, *inputs: Tensor) -> Iterator[None]:
        """Around a call: ValueError when a network ran in train mode that must not, is on another device, or got gradients."""
        watch = Watch()
        weights = [(name, tensor) for name, tensor in tensors_in(self._things) if tensor.is_leaf]
        before = [_grad_and_version(tensor) for _, tensor in weights]
        modules = modules_in(self._things).items()
        handles = [
            module.register_forward_pre_hook(watch.hook(name))
            for name, module in modules
            if not isinstance(module, torch.jit.ScriptModule)  # which takes no hooks
        ]
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
                if is_elsewhere(tensor, device):
                    return elsewhere(f"it holds {name!r} on {tensor.device}", device)
        fitting = self.fitting_range(inputs[0]) if self.given_pixels else None
        if fitting is None:
            return None
        return (
            f"expects another range: it fails on pixels in [0, 1] and runs on {fitting}, expected one that takes pixels "
            f"in [0, 1]: begin it with image = {fitting}"
        )


def _left_behind(who: str, where: str) -> str:
    return (
        f"{who} left a gradient behind in the .grad of {where}, expected none: replace backward() inside it by "
        f"torch.autograd.grad, or leave differentiation to the chain"
    )


def _grad_and_version(tensor: Tensor) -> tuple[Tensor | None, int]:
    return tensor.grad, 0 if tensor.grad is None else tensor.grad._version


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
