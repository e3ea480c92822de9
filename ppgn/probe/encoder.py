"""One forward pass of a network, whatever is asked of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor, is_grad_enabled

from ppgn.types import Code, Image


class Once:
    """function(image), computed once for each image tensor: the last result is kept while its image lives unchanged.

    function: image -> a tensor or a list of tensors. A result without gradient is not reused where one is needed.
    """

    def __init__(self, function: Callable[[Image], Any]) -> None:
        self.function = function
        self._image: weakref.ref[Tensor] | None = None
        self._version = -1
        self._result: Any = None

    def __call__(self, image: Image) -> Any:
        needs_graph = image.requires_grad and is_grad_enabled()
        known = self._image is not None and self._image() is image and self._version == image._version
        if not known or (needs_graph and not _has_graph(self._result)):
            self._result = self.function(image)
            self._image, self._version = weakref.ref(image), image._version
        return self._result


class EncoderPass:
    """An encoder that sees each image tensor once: the prior asks for its code, a class for its logits, a captioner for its maps.

    encoder: a network with `encoder(image) -> code` and `encoder.logits_from_code(code)`. with_maps: its maps are asked for too;
    then it needs `maps(image)` and `code_from_pool5(last map)`, as Fc6Encoder has them. See `Once`.
    """

    def __init__(self, encoder: Any, with_maps: bool = False) -> None:
        self.encoder = encoder
        self._maps = Once(encoder.maps) if with_maps else None
        self._code = Once((lambda image: encoder.code_from_pool5(self.maps(image)[-1])) if with_maps else encoder)

    def maps(self, image: Image) -> list[Tensor]:
        """The encoder's feature maps `[chain, channel, height, width]`. ValueError unless made `with_maps`."""
        if self._maps is None:
            raise ValueError("the maps of an encoder's pass were asked for, expected a pass that keeps them: pass with_maps=True")
        return self._maps(image)

    def code(self, image: Image) -> Code:
        """E(image), `[chain, code]`."""
        return self._code(image)

    def logits(self, image: Image) -> Tensor:
        """Class scores before the softmax, `[chain, class]`."""
        return self.encoder.logits_from_code(self.code(image))


def _has_graph(result: Any) -> bool:
    return result.requires_grad if isinstance(result, Tensor) else result[-1].requires_grad
