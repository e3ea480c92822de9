"""The layers Embed and LSTM, which run over sequences `[time, sequence, ...]`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.caffe.settings import Settings, Shape, blob, needed, optional_blob


class Embed(nn.Module):
    """Whole numbers -> the rows of the weights with these numbers. Blobs: weight `[input_dim, out]`, bias `[out]`."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.words, outputs = needed(settings, "input_dim"), needed(settings, "num_output")
        self.weight = blob(self.words, outputs)
        self.bias = optional_blob(settings, outputs)

    def forward(self, bottom: Tensor) -> Tensor:
        words = bottom.long()
        if words.numel() and not words.is_meta:
            low, high = int(words.min()), int(words.max())
            if low < 0 or high >= self.words:
                raise ValueError(
                    f"it got words from {low} to {high}, expected 0 to {self.words - 1}: use the vocabulary of these weights"
                )
        rows = functional.embedding(words, self.weight)
        return rows if self.bias is None else rows + self.bias


class Lstm(nn.Module):
    """Caffe's LSTM over x `[time, sequence, ...]`, cont `[time, sequence]` and an optional static input `[sequence, ...]`:

        i, f, o, g = W_xc x_t + b_c + W_hc (cont_t h_{t-1}) + W_xc_static x_static      in this order, `out` numbers each
        c_t = cont_t sigmoid(f) c_{t-1} + sigmoid(i) tanh(g),    h_t = sigmoid(o) tanh(c_t)

    cont is 0 where a sequence begins. Both layers of LRCN's factored captioner are of this kind; the image is the static input of
    the second (Donahue et al. 2015). Before the first step h and c are 0. With expose_hidden they are h_0 and c_0
    `[1, sequence, out]`, and the last ones are returned too. Nothing is kept from call to call. Blobs: W_xc `[4 out, in]`,
    b_c `[4 out]`, W_xc_static `[4 out, static]` with a static input, W_hc `[4 out, out]`.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.outputs, self.exposed = needed(settings, "num_output"), bool(settings.get("expose_hidden", False))
        if len(shapes) not in ((4, 5) if self.exposed else (2, 3)) or len(shapes[0]) < 2:
            raise ValueError(
                f"its bottoms are {[list(shape) for shape in shapes]}, expected x, cont, an optional static input and, with "
                f"expose_hidden, h_0 and c_0: correct the prototxt"
            )
        self.has_static = len(shapes) in (3, 5)
        self.w_xc, self.b_c = blob(4 * self.outputs, prod(shapes[0][2:])), blob(4 * self.outputs)
        self.w_xc_static = blob(4 * self.outputs, prod(shapes[2][1:])) if self.has_static else None
        self.w_hc = blob(4 * self.outputs, self.outputs)

    def forward(self, words: Tensor, cont: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        self._check(words, cont, others)
        inputs = functional.linear(words.flatten(2) if words.ndim > 2 else words[..., None], self.w_xc, self.b_c)
        if self.w_xc_static is not None:
            inputs = inputs + functional.linear(others[0].reshape(len(others[0]), -1), self.w_xc_static)
        if self.exposed:
            hidden, cell = (state[0] for state in others[-2:])
        else:
            hidden = cell = inputs.new_zeros(words.shape[1], self.outputs)
        outputs = []
        for step_inputs, kept in zip(inputs, cont[..., None].to(inputs.dtype), strict=True):
            gates = step_inputs + functional.linear(kept * hidden, self.w_hc)
            enter, forget, leave, new = gates.chunk(4, -1)
            cell = kept * forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            hidden = leave.sigmoid() * cell.tanh()
            outputs.append(hidden)
        stacked = torch.stack(outputs)
        return (stacked, hidden[None], cell[None]) if self.exposed else stacked

    def _check(self, words: Tensor, cont: Tensor, others: Sequence[Tensor]) -> None:
        sequences = words.shape[1]
        right = [prod(words.shape[2:]) == self.w_xc.shape[1], cont.shape == words.shape[:2]]
        if self.w_xc_static is not None:
            right += [len(others[0]) == sequences, prod(others[0].shape[1:]) == self.w_xc_static.shape[1]]
        if self.exposed:
            right += [tuple(state.shape) == (1, sequences, self.outputs) for state in others[-2:]]
        if not all(right):
            shapes = [list(bottom.shape) for bottom in (words, cont, *others)]
            expected = "expected x and cont of as many steps and sequences, and the declared sizes"
            raise ValueError(f"its bottoms are {shapes}, {expected}: give inputs of these shapes")
