"""What score models take beside code and timestep: embeddings of a prompt, a class, the size of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

TOKENS = 77
"""Of CLIP's text encoder, on whose embeddings these models were trained."""
SIZES = 6
"""Numbers of SDXL's time_ids: original height and width, top and left of the crop, target height and width."""


def empty_inputs(network: Any, code_shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Inputs of no prompt, `[1, ...]` each, by the names of forward's arguments.

    Embeddings of zeros, DiT's class of no class; that of an empty prompt needs the text encoder. Raises ValueError for a class
    of network that is not known.
    """
    settings, kind = network.config, type(network).__name__
    if kind == "UNet2DModel":
        return {} if settings.get("num_class_embeds") is None else {"class_labels": torch.zeros(1, dtype=torch.long)}
    if kind == "DiTTransformer2DModel":
        return {"class_labels": torch.tensor([int(settings["num_embeds_ada_norm"])])}
    if kind == "SD3Transformer2DModel":
        return {
            "encoder_hidden_states": torch.zeros(1, TOKENS, settings["joint_attention_dim"]),
            "pooled_projections": torch.zeros(1, settings["pooled_projection_dim"]),
        }
    if kind == "UNet2DConditionModel":
        found = {"encoder_hidden_states": torch.zeros(1, TOKENS, settings["cross_attention_dim"])}
        return found | (_of_sdxl(settings, code_shape) if settings.get("addition_embed_type") == "text_time" else {})
    raise ValueError(
        f"got {kind} as a score model, expected UNet2DModel, UNet2DConditionModel, DiTTransformer2DModel or "
        f"SD3Transformer2DModel: pass one of these"
    )


def _of_sdxl(settings: Mapping[str, Any], code_shape: tuple[int, ...]) -> dict[str, Tensor]:
    pooled = settings["projection_class_embeddings_input_dim"] - SIZES * settings["addition_time_embed_dim"]
    height, width = (8 * side for side in code_shape[1:])
    sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32)
    return {"added_cond_kwargs.text_embeds": torch.zeros(1, pooled), "added_cond_kwargs.time_ids": sizes}


def arguments(network: Any, inputs: Mapping[str, Tensor], code: Tensor, timestep: Tensor) -> dict[str, Any]:
    """The arguments of forward for codes `[chain, *code]` at timesteps `[chain]`; "a.b" of the inputs stands for a["b"]."""
    first = "sample" if type(network).__name__.startswith("UNet") else "hidden_states"
    given: dict[str, Any] = {first: code, "timestep": timestep}
    for name, value in inputs.items():
        moved = value.to(code.device, code.dtype if value.is_floating_point() else value.dtype)
        each = moved.expand(len(code), *moved.shape[1:])
        group, _, member = name.rpartition(".")
        if group:
            given.setdefault(group, {})[member] = each
        else:
            given[name] = each
    return given
