"""An LSTM whose gradient between steps can be cut, and whose steps can be taken one at a time."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

State: TypeAlias = tuple[Tensor, Tensor]
"""The output and the cell of an LSTM, `[caption, hidden]` each."""


class Lstm(nn.Module):
    """c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c') with gates i, f, g, o = inputs + W h (Hochreiter & Schmidhuber 1997).

    Written out because truncation acts between two steps, and because cuDNN's LSTM has no gradient in evaluation mode.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(size, 4 * hidden)
        self.recurrent = nn.Linear(hidden, 4 * hidden, bias=False)

    def start(self, captions: int) -> State:
        """The state before the first step, all zeros."""
        zero = self.recurrent.weight.new_zeros(captions, self.recurrent.in_features)
        return zero, zero

    def step(self, inputs: Tensor, state: State) -> State:
        """The state after inputs `[caption, 4 hidden]`."""
        hidden, cell = state
        in_, forget, new, out = (inputs + self.recurrent(hidden)).chunk(4, -1)
        cell = forget.sigmoid() * cell + in_.sigmoid() * new.tanh()
        return out.sigmoid() * cell.tanh(), cell

    def forward(self, inputs: Tensor, truncated: bool = False) -> Tensor:
        """Outputs `[caption, length, hidden]` for inputs `[caption, length, 4 hidden]`; truncated: no gradient between steps."""
        state, outputs = self.start(len(inputs)), []
        for one in inputs.unbind(1):
            state = self.step(one, (state[0].detach(), state[1].detach()) if truncated else state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)
