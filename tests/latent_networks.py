"""Real classes of diffusers at a small size with random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

diffusers = pytest.importorskip("diffusers")

BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
SMALL = {"block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1}


def autoencoder(kind: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "AutoencoderKL": {**BLOCKS, **SMALL, "latent_channels": 4, "scaling_factor": 0.4, "shift_factor": 0.3},
        "VQModel": {**BLOCKS, **SMALL, "latent_channels": 4, "scaling_factor": 0.7, "num_vq_embeddings": 32},
        "AutoencoderTiny": {
            "encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8), "num_encoder_blocks": (1, 1),
            "num_decoder_blocks": (1, 1), "latent_channels": 4, "scaling_factor": 1.5, "shift_factor": 0.2,
        },
        "AutoencoderDC": {
            "latent_channels": 4, "attention_head_dim": 4, "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
            "decoder_block_types": ("ResBlock", "EfficientViTBlock"), "encoder_block_out_channels": (8, 16),
            "decoder_block_out_channels": (8, 16), "encoder_layers_per_block": (1, 1), "decoder_layers_per_block": (1, 1),
            "encoder_qkv_multiscales": ((), (5,)), "decoder_qkv_multiscales": ((), (5,)), "scaling_factor": 0.6,
        },
    }[kind]  # fmt: skip
    return getattr(diffusers, kind)(**{**settings, **changes}).eval().requires_grad_(False)


def unet(**changes: Any) -> Any:
    torch.manual_seed(1)
    settings = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "block_out_channels": (8, 16),
                "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
                "norm_num_groups": 4, "attention_head_dim": 4}  # fmt: skip
    return diffusers.UNet2DModel(**{**settings, **changes}).eval()


def prompted_unet(**changes: Any) -> Any:
    torch.manual_seed(2)
    settings = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "block_out_channels": (8, 16),
                "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "norm_num_groups": 4, "attention_head_dim": 2,
                "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "cross_attention_dim": 16}  # fmt: skip
    return diffusers.UNet2DConditionModel(**{**settings, **changes}).eval()


def class_transformer(out_channels: int = 8) -> Any:
    torch.manual_seed(3)
    made = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=out_channels, num_layers=2,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10, norm_num_groups=4,
    )  # fmt: skip
    return spread(made)


def flow_transformer() -> Any:
    torch.manual_seed(4)
    made = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=4, num_attention_heads=2,
        joint_attention_dim=16, caption_projection_dim=8, pooled_projection_dim=12, out_channels=4, pos_embed_max_size=8,
    )  # fmt: skip
    return spread(made)


def spread(network: Any) -> Any:
    """Gives values to weights that begin as zeros, such as those of adaptive norms."""
    generator = torch.Generator().manual_seed(5)
    for weight in network.parameters():
        if not bool(weight.any()):
            weight.data = 0.1 * torch.randn(weight.shape, generator=generator)
    return network.eval()


def save(folder: Path, **parts: Any) -> Path:
    """A pipeline's folder as save_pretrained writes it."""
    import json

    for name, part in parts.items():
        part.save_pretrained(folder / name)
    listed = {name: ["diffusers", type(part).__name__] for name, part in parts.items()}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "DiffusionPipeline", **listed}))
    return folder
