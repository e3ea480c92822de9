"""One forward pass per image, shared by everything that needs its results."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor, is_grad_enabled

from ppgn.types import Code, Image


class Memo:
    """function(image), computed once per image tensor: the last result is kept while its image lives unchanged.

    function: image -> a tensor or a list of tensors. A result without a graph is computed again where a gradient is needed.
    """

    def __init__(self, function: Callable[[Image], Any]) -> None:
        self.function = function
        self._image: weakref.ref[Tensor] | None = None
        self._version = -1
        self._result: Any = None

    def __call__(self, image: Image) -> Any:
        if not self.holds(image):
            self._result = self.function(image)
            self._image, self._version = weakref.ref(image), image._version
        return self._result

    def holds(self, image: Image) -> bool:
        """Whether the result for this image is kept, with a graph where a gradient is needed."""
        needs_graph = image.requires_grad and is_grad_enabled()
        known = self._image is not None and self._image() is image and self._version == image._version
        return known and not (needs_graph and not _has_graph(self._result))


class EncoderPass:
    """An encoder that runs once per image tensor (see `Memo`) for the prior's code, the class's logits and the captioner's maps.

    encoder: a network with `encoder(image) -> code` and `encoder.logits_from_code(code)`; for maps it also needs `maps(image)`
    and `code_from_pool5(last map)`, as Fc6Encoder has them. The code is made from the maps where these are known already.
    """

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self._maps = Memo(lambda image: encoder.maps(image))
        self._code = Memo(self._encoded)

    def _encoded(self, image: Image) -> Code:
        return self.encoder.code_from_pool5(self._maps(image)[-1]) if self._maps.holds(image) else self.encoder(image)

    def maps(self, image: Image) -> list[Tensor]:
        """The encoder's feature maps `[chain, channel, height, width]`, pool5 last."""
        return self._maps(image)

    def code(self, image: Image) -> Code:
        """E(image), `[chain, code]`."""
        return self._code(image)

    def logits(self, image: Image) -> Tensor:
        """Class scores before the softmax, `[chain, class]`. Raises ValueError for an encoder without a head."""
        if not hasattr(self.encoder, "logits_from_code"):
            raise ValueError(
                f"the encoder {type(self.encoder).__name__} has no logits_from_code, expected it for scores of classes: "
                f"add it, or ask for a unit or a function"
            )
        return self.encoder.logits_from_code(self.code(image))


def _has_graph(result: Any) -> bool:
    return result.requires_grad if isinstance(result, Tensor) else result[-1].requires_grad
