"""Tensors in whatever a network or a layer returns: a tensor, tuple, dictionary, dataclass or transformers' ModelOutput."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

SCORES = ("logits", "scores", "out", "output", "outputs")
"""Names under which networks return the scores of classes: transformers' first, torchvision's third."""


def named_tensors(output: Any) -> dict[str, Tensor]:
    """The tensors in an output, in its order, by name: "logits", "aux.0"; "" is the output itself."""
    if isinstance(output, Tensor):
        return {"": output}
    found: dict[str, Tensor] = {}
    for name, part in _parts(output):
        found |= {f"{name}.{inner}" if inner else name: tensor for inner, tensor in named_tensors(part).items()}
    return found


def first_tensor(output: Any) -> Tensor | None:
    """The first part of an output, where it is a tensor, else None.

    Attention returns its weights beside its output, recurrent layers their state, transformers' encoders all their layers.
    """
    parts = _parts(output)
    value = parts[0][1] if parts else output
    return value if isinstance(value, Tensor) else None


def score_names(output: Any) -> list[str]:
    """The tensors of an output that may be scores of classes: the first with a name of `SCORES`, else all `[chain, class]`."""
    found = named_tensors(output)
    for wanted in SCORES:
        called = [name for name in found if name.rpartition(".")[2] == wanted]
        if called:
            return called[:1]
    return [name for name, tensor in found.items() if tensor.ndim == 2 and tensor.is_floating_point()]


def scores_of(output: Any) -> Any:
    """The scores of classes in an output (`score_names`): of a tuple's the first; the output itself where they are not clear."""
    names = score_names(output)
    if isinstance(output, Tensor) or not names or (len(names) > 1 and not isinstance(output, tuple | list)):
        return output
    return named_tensors(output)[names[0]]


def _parts(output: Any) -> list[tuple[str, Any]]:
    if isinstance(output, Mapping):  # transformers' ModelOutput is one, without the parts that are None
        return [(str(name), part) for name, part in output.items()]
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in dataclasses.fields(output)]
    if isinstance(output, tuple | list):
        names = getattr(output, "_fields", range(len(output)))
        return [(str(name), part) for name, part in zip(names, output, strict=True)]
    return []
