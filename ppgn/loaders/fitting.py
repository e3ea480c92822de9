"""A state dict of somebody else's -> the values of a network: other prefixes, another head, heads that only train."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ppgn.loaders.lite import of_lite
from ppgn.loaders.weights import read_weights
from ppgn.networks import EfficientNetLite
from ppgn.types import check_finite

PREFIXES = ("module", "model", "_orig_mod", "backbone", "encoder", "net", "network")
"""Names under which wrappers hold a network: DataParallel, Lightning modules, torch.compile, MMPretrain, and users' own."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Prefixes of the heads that GoogLeNet and Inception have in training only."""
_log = logging.getLogger("ppgn")


def load_weights(module: nn.Module, file: str | Path, trust: bool = False) -> None:
    """Fills a network from a state dict in a file. trust: see `read_weights`.

    A prefix of `PREFIXES`, or several, is removed. A last layer of another number of classes takes the place of the network's
    own. Raises ValueError where the two do not fit otherwise, and for weights that are not finite.
    """
    state = read_weights(file, trust)
    if isinstance(module, EfficientNetLite):
        state = of_lite(module, state, file)
    state = _without_prefix(state, module, file)
    own = tuple(f"{name}." for name, _ in module.named_children())
    state = {key: value for key, value in state.items() if not key.startswith(AUXILIARY) or key.startswith(own)}
    _resize_head(module, state, file)
    expected = module.state_dict()
    shared = [key for key in expected if key in state]
    shapes = {key: (list(state[key].shape), list(expected[key].shape)) for key in shared}
    faults = {
        "lacks": [key for key in expected if key not in state and not key.endswith("num_batches_tracked")],
        "has unknown": [key for key in state if key not in expected],
        "has whole numbers in place of": [
            key for key in shared if expected[key].is_floating_point() and not state[key].is_floating_point()
        ],
        "has another shape of": [f"{key} {found} for {wanted}" for key, (found, wanted) in shapes.items() if found != wanted],
    }
    found = [f"{fault} {len(keys)} values (first {keys[0]})" for fault, keys in faults.items() if keys]
    if found:
        raise ValueError(
            f"{file} does not fit {type(module).__name__}: it {' and '.join(found)}, expected its {len(expected)} values and no "
            f"others: give weights of this network"
        )
    check_finite({name: state[name] for name, _ in module.named_parameters() if name in state}, file)
    module.load_state_dict(state)


def _without_prefix(state: Mapping[str, Tensor], module: nn.Module, file: str | Path) -> dict[str, Tensor]:
    """The values under the prefix that fits the network best, by the names that its library has today."""
    expected = set(module.state_dict())
    pattern = re.compile(rf"(?:(?:{'|'.join(PREFIXES)})\.)+")
    longest = {match[0] for key in state if (match := pattern.match(key))}
    prefixes = {found[: dot.end()] for found in longest for dot in re.finditer(r"\.", found)}  # "module.", "module.model."
    stripped = {
        prefix: {_current(key.removeprefix(prefix), expected): value for key, value in state.items() if key.startswith(prefix)}
        for prefix in ("", *sorted(prefixes, key=len))
    }
    best = max(stripped, key=lambda prefix: len(expected & set(stripped[prefix])))
    others = [key for key in state if not key.startswith(best)]
    if others:
        _log.warning(f"{file}: took the {len(stripped[best])} values under {best!r}, and not {len(others)} others ({others[0]})")
    return stripped[best]


def _current(key: str, expected: set[str]) -> str:
    """The name of a value today: torchvision's published densenets have norm.1 for norm1."""
    return key if key in expected else re.sub(r"\b(norm|conv)\.([12])\.", r"\1\2.", key)


def _resize_head(module: nn.Module, state: Mapping[str, Tensor], file: str | Path) -> None:
    """Gives the last layer as many outputs as its weights in the file have, where nothing else differs."""
    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    name, head = layers[-1] if layers else ("", None)
    weight = state.get(f"{name}.weight")
    if head is None or weight is None or weight.ndim != head.weight.ndim or weight.shape[1:] != head.weight.shape[1:]:
        return
    count, before = len(weight), len(head.weight)
    if count == before:
        return
    head.weight = nn.Parameter(head.weight.new_empty(weight.shape))
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias.new_empty(count))
    if isinstance(head, nn.Linear):
        head.out_features = count
    else:
        head.out_channels = count
    _log.warning(f"{file}: its head {name} has {count} outputs, {type(module).__name__} has {before}: its classes are numbers")
