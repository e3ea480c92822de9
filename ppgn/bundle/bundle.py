"""A bundle in memory: networks, the spaces of their codes and images, and recipes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.acceleration import device_of
from ppgn.bundle.fit import check_scores
from ppgn.conditions import class_groups
from ppgn.errors import BundleError, one_line
from ppgn.types import CodeSpace, ImageSpec

LISTED_PARTS = 12
"""Parts that a printed bundle names."""


@dataclass(eq=False, repr=False)
class Bundle:
    """The networks that chains run through, and what is known of them.

    parts: networks by name; "generator" is always there. code, image: the spaces that the generator maps from and to. classes:
    names of the encoder's scores. groups: those that classes such as "type:Handbags" stand in (`conditions.class_groups`); none:
    all classes are alternatives. alternatives: of classes in groups, whether a picture shows a class of one group or another,
    not one of each. recipes: kind of request ("class", "plugged", "caption") -> the recipe found best for it, as
    JSON. papers: the same for the named methods of the papers, which start from them. precisions: those below float32 in which
    samples were measured to be as good. info: licence, source, training, data and scores, "facts" measured beside the code
    space, and "parts", the description of each part with its SHA-256. folder: None where the bundle was not loaded.
    Raises BundleError without a generator, and ValueError for classes and groups that do not go together.
    """

    name: str
    parts: dict[str, Any]
    code: CodeSpace
    image: ImageSpec
    classes: tuple[str, ...] = ()
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    papers: dict[str, dict[str, Any]] = field(default_factory=dict)
    precisions: tuple[str, ...] = ()
    alternatives: bool = False
    groups: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    _home: torch.device = field(default=torch.device("cpu"), repr=False)

    def __post_init__(self) -> None:
        if "generator" not in self.parts:
            raise BundleError(f"bundle {self.name} has the parts {list(self.parts)}, expected a generator: add one")
        class_groups(self.classes, self.groups)

    def __repr__(self) -> str:
        """At most 20 lines that say what the bundle is and has; its fields hold the rest."""
        height, width = self.image.size
        lines = [f"Bundle {self.name!r}: {width}x{height} px, codes {list(self.code.shape)}, on {self.device}"]
        lines += [f"  {part}: {type(network).__name__}" for part, network in list(self.parts.items())[:LISTED_PARTS]]
        lines += [f"  and {len(self.parts) - LISTED_PARTS} more parts"] if len(self.parts) > LISTED_PARTS else []
        listed = shorten(", ".join(self.classes), 80, placeholder=" ...")
        lines.append(f"  {len(self.classes)} classes: {listed}" if self.classes else "  no classes")
        lines.append(f"  recipes: {', '.join(self.recipes) or 'none'}")
        return "\n".join(lines + ([] if self.folder is None else [f"  folder: {self.folder}"]))

    @property
    def generator(self) -> Any:
        """Code -> image; every bundle has one."""
        return self.parts["generator"]

    @property
    def encoder(self) -> Any:
        """None in a bundle without an encoder; priors and requests that need it say so."""
        return self.parts.get("encoder")

    @property
    def denoiser(self) -> Any:
        """None in a bundle without a denoiser."""
        return self.parts.get("denoiser")

    @property
    def class_groups(self) -> dict[str, tuple[int, int]]:
        """Group -> (first, last + 1) of its classes; a single group, "", of a bundle without `groups`."""
        return class_groups(self.classes, self.groups)

    @property
    def device(self) -> torch.device:
        """Where the generator's weights are, else those of any other part; without weights, where `to` put the bundle."""
        modules = [part for part in (self.generator, *self.parts.values()) if isinstance(part, nn.Module)]
        tensors = (tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))
        return next((tensor.device for tensor in tensors), self._home)

    def to(self, device: torch.device | str) -> Bundle:
        """Moves every network, and the numbers of the code space; returns this bundle. ValueError for an unknown device."""
        device = device_of(device)
        for part in self.parts.values():
            if isinstance(part, nn.Module):
                part.to(device)
        self.code, self._home = self.code.to(device), device
        return self

    @classmethod
    @torch.inference_mode(False)
    def of(
        cls,
        generator: Callable[[Tensor], Tensor],
        code_shape: Sequence[int],
        *,
        name: str = "generator",
        encoder: Callable[[Tensor], Tensor] | None = None,
        classes: Sequence[str] = (),
        groups: Sequence[str] = (),
        low: float | Tensor | None = None,
        high: float | Tensor | None = None,
        mean: float | Tensor = 0.0,
        std: float | Tensor | None = None,
        relu: bool = False,
        parts: Mapping[str, Any] | None = None,
        recipes: Mapping[str, dict[str, Any]] | None = None,
    ) -> Bundle:
        """A bundle of anybody's generator: codes `[chain, *code_shape]` -> images `[chain, channel, height, width]` in [0, 1].

        The size of the images is that of one pass of zeros. Networks are frozen and put into evaluation mode, in place.
        low, high, mean, std, relu: see CodeSpace; a bound alone leaves the other side open. classes: names of the scores
        `encoder.logits_from_code(code)`; groups: those of classes such as "type:Bag", in their order. parts: more networks by
        name, such as a "denoiser" or a "classifier". Raises ValueError where the generator takes no such code, or makes no such
        image, for numbers that are not one per unit, and where the encoder scores another number of classes.
        """
        given = {"generator": generator, **({} if encoder is None else {"encoder": encoder}), **(parts or {})}
        for part in given.values():
            if isinstance(part, nn.Module):
                _out_of_inference_mode(part.eval().requires_grad_(False))
        shape = tuple(code_shape)
        if low is not None or high is not None:
            low, high = -math.inf if low is None else low, math.inf if high is None else high
        numbers = {"low": low, "high": high, "mean": mean, "std": std}
        units: dict[str, Any] = {number: _per_unit(number, value, shape) for number, value in numbers.items()}
        space = CodeSpace(shape, **units, relu=relu)
        made = cls(name, given, space, ImageSpec(1, 1), tuple(classes), dict(recipes or {}), groups=tuple(groups))
        made.image = _image_of(generator, made.code.shape, made.device)
        made.to(made.device)
        check_scores(made.encoder, torch.zeros(1, *made.image.shape, device=made.device), made.classes)
        return made


def _out_of_inference_mode(network: nn.Module) -> None:
    """Copies the weights that were made under `torch.inference_mode()`, through which no gradient can run."""
    for module in network.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.is_inference():
                setattr(module, name, nn.Parameter(weight.clone(), requires_grad=False))
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_inference():
                setattr(module, name, buffer.clone())


def _per_unit(name: str, value: Any, shape: tuple[int, ...]) -> Any:
    """A number as it is, several as a tensor. Raises ValueError where these do not broadcast to the shape of a code."""
    if value is None or isinstance(value, int | float):
        return value
    found = torch.as_tensor(value)
    try:
        found.expand(shape)
    except RuntimeError as fault:
        raise ValueError(
            f"{name} of the codes got shape {list(found.shape)}, expected a number, or {list(shape)}, one per unit: pass either"
        ) from fault
    return found


def _image_of(generator: Callable[[Tensor], Tensor], code_shape: tuple[int, ...], device: torch.device) -> ImageSpec:
    try:
        with torch.no_grad():
            image = generator(torch.zeros(1, *code_shape, device=device))
    except Exception as fault:  # whatever somebody's forward raises
        raise ValueError(
            f"the generator does not take a code of shape {[1, *code_shape]} ({one_line(fault)}): pass the code_shape it expects"
        ) from fault
    shape = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
    if not isinstance(image, Tensor) or image.ndim != 4 or len(image) != 1:
        raise ValueError(
            f"the generator made {shape} of a code of shape {[1, *code_shape]}, expected an image [1, channel, height, width]: "
            f"wrap it in a function that returns one"
        )
    return ImageSpec(height=image.shape[2], width=image.shape[3], channels=image.shape[1])
