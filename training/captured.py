"""An update captured once and replayed, where the device can; launching its thousand kernels takes longer than running them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.optim import Optimizer

WARM_UP = 3
"""Updates before the capture, in which libraries choose their kernels and optimizers make their state."""


def captured(
    update: Callable[[], None], optimizers: Iterable[Optimizer], report: Callable[..., None]
) -> Callable[[], None] | None:
    """The update as a CUDA graph; None where there is no CUDA device or the capture fails, which is reported.

    The update must read its inputs from tensors that stay where they are, decide nothing by values on the device, and use
    optimizers made with `capturable`. It runs a few times here, so that the rates should stand at 0.
    """
    if not torch.cuda.is_available():
        return None
    try:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                update()
        torch.cuda.current_stream().wait_stream(beside)
        torch.cuda.synchronize()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)  # so that gradients live in the graph's own memory
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            update()
    except RuntimeError as fault:
        torch.cuda.synchronize()
        report(event="not captured", reason=str(fault).splitlines()[0][:300])
        return None
    report(event="captured")
    return graph.replay
