"""Passes of a bundle's networks over images, shared by the prior and the conditions of one objective."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch

from ppgn.probe.encoder_pass import EncoderPass, Memo
from ppgn.types import Code, Image, LogProb


class Passes:
    """The networks of a bundle by name, and one memoised pass of each encoder over each image tensor.

    parts: part -> network. owner and remedy: the subject and the end of the sentence about a part that is lacking. measure: how
    scores of classes become a log-probability (`conditions.MEASURES`). view: what all conditions and encoders see of an image
    (in-painting: the composite), computed once per image tensor; None is the image itself. code_condition: measure -> (code ->
    log-probability per chain) where the request can be read off the code, without a picture; None where it cannot.
    """

    def __init__(
        self,
        parts: Mapping[str, Any],
        *,
        owner: str = "the bundle",
        remedy: str = "choose other settings, or a bundle that has it",
        device: torch.device | str = "cpu",
        measure: Any = None,
        view: Callable[[Image], Image] | None = None,
        code_condition: Callable[[Any], Callable[[Code], LogProb]] | None = None,
    ) -> None:
        self.parts = dict(parts)
        self.owner, self.remedy = owner, remedy
        self.device = torch.device(device)
        self.measure = measure
        self.code_condition = code_condition
        self.view: Callable[[Image], Image] = (lambda image: image) if view is None else Memo(view)

    @cached_property
    def encoder(self) -> EncoderPass:
        """The pass of the encoder. ValueError where there is none."""
        return EncoderPass(self.part("encoder"))

    @cached_property
    def classifier(self) -> EncoderPass | None:
        """The pass of a second classifier, or None."""
        return EncoderPass(self.parts["classifier"]) if "classifier" in self.parts else None

    def part(self, name: str, called: str | None = None) -> Any:
        """A network by name; ValueError saying what there is where it is lacking, which is `called` so there."""
        if name not in self.parts:
            there = ", ".join(self.parts) or "nothing"
            raise ValueError(
                f"{self.owner} has no {called or name.replace('_', ' ')}, expected one for these settings (it has {there}): "
                f"{self.remedy}"
            )
        return self.parts[name]

    def plain(self) -> Passes:
        """The same passes, shared, with the measure at temperature 1."""
        other = copy.copy(self)
        other.measure = self.measure.plain() if hasattr(self.measure, "plain") else self.measure
        return other
