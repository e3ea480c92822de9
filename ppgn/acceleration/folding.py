"""BatchNorms in evaluation mode are constants: they fit into the weights of the convolutions before them."""

from __future__ import annotations

import copy
import inspect
import logging
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ppgn.errors import one_line

FOLDED = "folded_batch_norms"
"""An attribute of a network whose BatchNorms are in its convolutions: its weights no longer fit its config."""
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_log = logging.getLogger("ppgn")


def folded(network: nn.Module, *, traced: bool = False, layers: Collection[str] = ()) -> nn.Module:
    """The network with BatchNorms put into the weights of the convolutions before them; changed in place and returned.

    w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta: the same function but for rounding. The
    identity replaces a BatchNorm, so its name still stands for the same value. The convolution before it now has that value
    too, so convolutions among `layers`, or at the end of one of them, are left as they are.

    Neighbours in an `nn.Sequential` are folded. With `traced`, so are all pairs that torch.fx finds one behind the other in a
    pass, where it can follow the network. Norms that are more than a BatchNorm (timm's BatchNormAct2d) are left.

    Raises ValueError for a network in training mode, whose BatchNorms are no constants.
    """
    if network.training:
        raise ValueError("got a network in training mode, expected evaluation mode: call its eval() before folding")
    pairs = {**dict(_neighbours(network)), **(dict(_traced(network)) if traced else {})}
    count = 0
    convolution: Any
    norm: Any
    with torch.inference_mode(False), torch.no_grad():
        for first, second in pairs.items():
            convolution, norm = (network.get_submodule(name) for name in (first, second))
            if _folds(convolution, norm) and not any(_inside(first, layer) and not _inside(second, layer) for layer in layers):
                fused = fuse_conv_bn_eval(convolution, norm, transpose=isinstance(convolution, TRANSPOSED))
                _put(network, first, fused.requires_grad_(False))
                _put(network, second, nn.Identity().eval())
                count += 1
    if count:
        setattr(network, FOLDED, count)
    return network


def _inside(module: str, layer: str) -> bool:
    return f"{module}.".startswith(f"{layer}.")


def _neighbours(network: nn.Module) -> Iterator[tuple[str, str]]:
    for prefix, parent in network.named_modules():
        if isinstance(parent, nn.Sequential):
            # named_children leaves out a module that stands there twice
            names = [f"{prefix}.{name}" if prefix else name for name in parent._modules]
            yield from zip(names, names[1:], strict=False)


def _traced(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Modules of which the second gets the output of the first, and nothing else does; each is used once in a pass."""
    from torch import fx  # deferred: `import ppgn` does not need it

    try:
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        followed = copy.deepcopy(network, shared)  # tracing may leave its values in a network
        inputs = inspect.signature(network.forward).parameters.values()
        defaults = {argument.name: argument.default for argument in inputs if argument.default is not argument.empty}
        graph = fx.Tracer().trace(followed, concrete_args=defaults)
    except Exception as fault:  # whatever somebody's forward raises when its tensors have no values
        _log.info(f"BatchNorms of {type(network).__name__} are folded in part: torch.fx cannot follow it ({one_line(fault)})")
        return
    used = Counter(node.target for node in graph.nodes if node.op == "call_module")
    used.update(str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr")  # weights used elsewhere
    for node in graph.nodes:
        source: Any = node.args[0] if node.op == "call_module" and node.args else None
        alone = isinstance(source, fx.Node) and source.op == "call_module" and len(source.users) == 1
        if alone and used[source.target] == used[node.target] == 1:
            yield str(source.target), str(node.target)


def _folds(convolution: Any, norm: Any) -> bool:
    return type(convolution) in CONVOLUTIONS and type(norm) in NORMS and norm.track_running_stats


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    network.get_submodule(parent)._modules[last] = module
