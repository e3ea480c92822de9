"""Attention heads: what each head of a module of attention adds to its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, einsum, nn
from torch.linalg import vector_norm
from torch.nn import functional

from ppgn.errors import ProbeError

PROJECTIONS = ("proj", "out_proj", "o_proj", "output.dense")
"""Names of the projection of the heads' outputs: timm's, CLIP's and torch's, ViT's and DINOv2's in transformers, BERT's."""
COUNTS = ("num_heads", "num_attention_heads", "n_heads")


@dataclass(frozen=True)
class Heads:
    """The heads of a module of attention, whose outputs side by side are the input of its projection."""

    attention: nn.Module
    projection: nn.Linear
    count: int

    @property
    def watched(self) -> nn.Module:
        """The module whose inputs `read` takes: the projection, which torch's own module does not call."""
        return self.attention if isinstance(self.attention, nn.MultiheadAttention) else self.projection

    def read(self, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> Tensor:
        """|W_h z_h| `[chain, token, head]` of the inputs of `watched`: the norm of what head h adds to the token.

        z_h: the head's output; W_h: its columns of the projection, without bias. z_h alone is known only up to a linear map
        that W_h undoes; the product is not (Kobayashi et al. 2020, "Attention is not only a weight", Eq. 5 to 8).
        """
        module = self.attention
        value = _outputs(module, inputs, options) if isinstance(module, nn.MultiheadAttention) else inputs[0]
        outputs = value.unflatten(-1, (self.count, -1))
        columns = self.projection.weight.unflatten(1, (self.count, -1))
        return vector_norm(einsum("...hw,ohw->...ho", outputs, columns), dim=-1)


def heads_of(module: nn.Module) -> Heads | None:
    """The heads of a module of attention (timm's, transformers', torch's); None for another module."""
    count = next((found for name in COUNTS if isinstance(found := getattr(module, name, None), int)), 0)
    children = dict(module.named_modules())
    projection = next((children[name] for name in PROJECTIONS if name in children), None)
    if count < 1 or not isinstance(projection, nn.Linear) or projection.in_features % count:
        return None
    return Heads(module, projection, count)


def _outputs(module: nn.MultiheadAttention, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> Tensor:
    """The heads' outputs side by side `[chain, token, feature]`, computed again, as torch's module does not show them."""
    names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask")
    named: dict[str, Any] = {**dict(zip(names, inputs, strict=False)), **options}
    masked = [name for name in ("attn_mask", "key_padding_mask") if named.get(name) is not None]
    if masked or module.bias_k is not None or module.add_zero_attn:
        raise ProbeError(
            f"heads of a {type(module).__name__} with {masked[0] if masked else 'bias_k or add_zero_attn'} were asked for, "
            f"expected attention between all tokens: ask for a unit of a layer of its block"
        )
    tokens = [named[name] if module.batch_first else named[name].transpose(0, 1) for name in ("query", "key", "value")]
    joint = module.in_proj_weight
    weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight) if joint is None else joint.chunk(3)
    biases = (None,) * 3 if module.in_proj_bias is None else module.in_proj_bias.chunk(3)
    query, key, value = (
        functional.linear(part, weight, bias).unflatten(-1, (module.num_heads, -1)).transpose(1, 2)
        for part, weight, bias in zip(tokens, weights, biases, strict=True)
    )
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
