"""One forward pass of a network, whatever is asked of it."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from ppgn.types import Code, Image


class EncoderPass:
    """An encoder that sees each image tensor once: the prior asks for its code, the condition for its logits.

    encoder: a network with `encoder(image) -> code` and `encoder.logits_from_code(code)`. The last result is kept while
    its image lives unchanged; a result without gradient is not reused where one is needed.
    """

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self._image: weakref.ref[Tensor] | None = None
        self._version = -1
        self._code: Tensor | None = None

    def code(self, image: Image) -> Code:
        """E(image), `[chain, code]`."""
        needs_graph = image.requires_grad and torch.is_grad_enabled()
        known = self._image is not None and self._image() is image and self._version == image._version
        code = self._code
        if not known or code is None or (needs_graph and not code.requires_grad):
            code = self._code = self.encoder(image)
            self._image, self._version = weakref.ref(image), image._version
        return code

    def logits(self, image: Image) -> Tensor:
        """Class scores before the softmax, `[chain, class]`."""
        return self.encoder.logits_from_code(self.code(image))
