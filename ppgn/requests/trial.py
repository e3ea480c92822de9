"""A plugged-in network, and what is asked of it, tried on two pictures of the bundle before any chain runs."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ppgn import checks, loaders
from ppgn.bundle import Bundle
from ppgn.conditions import LogSoftmax
from ppgn.errors import ProbeError, one_line
from ppgn.probe import Passes, Preprocessed, scores_of, weights_dtype
from ppgn.requests.request import Request
from ppgn.types import Image, LogProb

AT_ONCE = 8
"""Targets whose gradients are computed in one pass, which bounds its memory."""
TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-3}
ROUGH = 0.25
"""Relative difference that is allowed in lower precision, where rounding alone moves gradients of deep networks by 10 %."""
PASSED_ON = ("ViewBackward", "UnsafeViewBackward", "ReshapeAliasBackward", "ToCopyBackward", "CloneBackward", "AliasBackward")
"""Names of steps of autograd that change no number."""
_log = logging.getLogger("ppgn")


def fitted(
    seen: Preprocessed, bundle: Bundle, name: str, value_of: Callable[[Preprocessed], Callable[[Image], Any]]
) -> tuple[Preprocessed, Any]:
    """(the network, fed with the bundle's images as it takes them, its value for two of them, or one where it takes only one).

    A grey image is repeated in the channels of its first convolution, or in three, where it does not take one channel. value_of:
    network -> the function of an image that is asked for. Raises ValueError for a network that fails on these images.
    """
    images = loaders.two_images(bundle)
    wanted = loaders.input_channels(seen.network, bundle.image.channels)
    grey = [1] if bundle.image.channels > 1 else [1, 3] if wanted == 1 else [wanted, 1]
    faults: list[Exception] = []
    for channels in grey:
        fed = copy.copy(seen)
        fed.grey_channels = channels
        for count in (2, 1):
            fed.one_by_one = seen.one_by_one or count == 1
            try:
                with torch.no_grad():
                    value = value_of(fed)(images[:count])
            except ProbeError:
                raise
            except Exception as fault:  # a user's network can raise anything
                faults.append(fault)
                continue
            found = scores_of(value)
            if not isinstance(found, Tensor) or found.ndim < 1 or len(found) == count or count == 1:
                return fed, value
    if wanted != bundle.image.channels > 1:
        raise ValueError(
            f"the network takes {wanted} channels, {bundle.name} makes images of {bundle.image.channels}, expected as many "
            f"({one_line(faults[-1])}): use another network, or convert them in a function of your own"
        ) from faults[-1]
    raise ValueError(
        f"{name} failed on an image ({one_line(faults[0])}): check the size, mean and precision of its input"
    ) from faults[0]


def with_graph(function: Callable[[Image], Tensor], bundle: Bundle) -> Tensor:
    """function(two images of the bundle), with the graph of its gradient."""
    with torch.inference_mode(False), torch.enable_grad():
        return function(loaders.two_images(bundle).clone().requires_grad_() * 1)


def check_scores(found: Tensor, name: str) -> None:
    """Raises ValueError for scores `[chain, class]` that are probabilities already, or of one class."""
    remedy = "return the scores before it, or their logarithm, or choose measure logit, which takes them as they are"
    if found.shape[1] == 1:
        raise ValueError(
            f"{name} has one score, whose softmax is always 1, expected one for each of several classes: ask for a unit of its "
            f"last layer, or return two scores"
        )
    if float(found.detach().min()) >= 0 and bool(((found.detach().sum(1) - 1).abs() < 0.01).all()):
        raise ValueError(f"{name} ends in a softmax (its scores sum to 1), expected scores of any size: {remedy}")
    if _last_step(found).startswith("Sigmoid"):
        raise ValueError(f"{name} ends in a sigmoid, expected scores of any size: {remedy}")


def _last_step(value: Tensor) -> str:
    """The name of the step of autograd that made the numbers of a tensor."""
    step = value.grad_fn
    while step is not None and step.name().startswith(PASSED_ON) and step.next_functions:
        step = step.next_functions[0][0]
    return "" if step is None else step.name()


def check_request(request: Request, seen: Preprocessed, bundle: Bundle, name: str) -> None:
    """Checks the contract of conditions on two pictures, and warns of units without a gradient.

    Raises ValueError for a network that is random, mixes chains, or has no gradient, with the fix (`checks.check_condition`).
    """
    images = loaders.two_images(bundle)
    passes = Passes({}, measure=LogSoftmax())
    try:
        silent = _silent(request, passes, images) if request.noun != "class" else []
    except Exception as fault:  # a user's network can raise anything
        raise ValueError(
            f"{name} has no gradient in two images of {bundle.name} ({one_line(fault)}), expected one: correct this error"
        ) from fault
    loud = next((target for target in range(len(request)) if target not in silent), 0)

    def condition(image: Image) -> LogProb:
        return request.select([loud] * len(image)).condition(passes)(image)

    tolerance = TOLERANCES.get(weights_dtype(seen.network), ROUGH)
    try:
        checks.check_condition(condition, images, tolerance=tolerance, flat=loud in silent)
    except ValueError as fault:
        raise ValueError(f"{name} breaks the contract of conditions: {fault}") from fault
    except Exception as fault:  # a user's network can raise anything
        raise ValueError(f"{name} failed on two images of {bundle.name} ({one_line(fault)}): correct this error") from fault
    if silent:
        names = ", ".join(request.names[target] for target in silent[:5]) + (", ..." if len(silent) > 5 else "")
        _log.warning(
            f"{name}: the gradient of {len(silent)} of {len(request)} targets ({names}) is exactly 0 in two pictures of "
            f"{bundle.name}, so chains may not move, and searches may see nothing but zeros: it may be dead, or silent behind a "
            f"ReLU; ask for the layer before the activation, for another position, or for another unit"
        )


def _silent(request: Request, passes: Passes, images: Image) -> list[int]:
    """The targets whose gradient is exactly 0 in each of the images."""
    found: list[int] = []
    for first in range(0, len(request), AT_ONCE):
        targets = range(first, min(first + AT_ONCE, len(request)))
        chains = [target for target in targets for _ in images]
        with torch.inference_mode(False), torch.enable_grad():
            leaf = images.detach().repeat(len(targets), 1, 1, 1).requires_grad_()
            value = request.select(chains).condition(passes)(leaf * 1)
            gradient = torch.autograd.grad(value.sum(), leaf, allow_unused=True)[0] if value.requires_grad else None
        if gradient is not None:  # the contract refuses a network without any
            moves = gradient.reshape(len(targets), -1).any(1).tolist()
            found += [target for target, moved in zip(targets, moves, strict=True) if not moved]
    return found
