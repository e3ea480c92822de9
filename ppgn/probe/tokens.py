"""The order of a vision transformer's tokens: those of class and registers first, then the patches row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")
"""Names of a class token's weights: timm's and most of transformers', torchvision's, CLIP's."""
OTHER_TOKENS = ("dist_token", "distillation_token", "reg_token", "register_tokens", "storage_tokens")
"""Names of the weights of tokens between class and patches: DeiT's, and registers of DINOv2 and v3."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a network: how many stand before the patches, whether the first is a class token, (height, width) of its
    input."""

    before: int
    has_class: bool
    size: tuple[int, int]

    def patches(self, count: int) -> tuple[int, tuple[int, int]] | None:
        """(number of the first patch, (rows, columns)) among `count` tokens; None where they make no grid shaped as the input.

        Layers before the special tokens join hold patches alone.
        """
        height, width = self.size
        for first in dict.fromkeys((self.before, 0)):
            patches = max(count - first, 0)
            rows = round(math.sqrt(patches * height / width))
            if rows and patches % rows == 0:
                return first, (rows, patches // rows)
        return None

    def class_token(self, count: int) -> bool:
        """Whether the first of `count` tokens is the class token."""
        found = self.patches(count)
        return self.has_class and (found is None or found[0] == self.before)


def tokens_of(network: nn.Module, size: tuple[int, int]) -> Tokens:
    """The order of the network's tokens, by the names of its weights. size: (height, width) of its input."""
    found: dict[str, int] = {}
    for name, weight in network.named_parameters():
        last = name.rpartition(".")[2]
        if last in (*CLASS_TOKENS, *OTHER_TOKENS):
            found.setdefault(last, weight.shape[-2] if weight.ndim > 1 else 1)
    return Tokens(sum(found.values()), any(name in found for name in CLASS_TOKENS), size)
