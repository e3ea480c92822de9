"""Autoencoders of diffusers as generator and encoder, against the library's own encode and decode."""

from pathlib import Path
from typing import Any

import pytest
import torch
from latent_networks import autoencoder
from torch import Tensor

import ppgn
from ppgn.latent_diffusion import AUTOENCODERS, LatentEncoder, LatentEncoderConfig, LatentGenerator, described

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 16, 24, generator=torch.Generator().manual_seed(7))


def of_processor(decoded: Tensor) -> Tensor:
    from diffusers.image_processor import VaeImageProcessor

    return VaeImageProcessor().postprocess(decoded, output_type="pt")


@pytest.mark.parametrize("kind", AUTOENCODERS)
def test_codes_and_pictures_are_those_of_the_library(kind: str) -> None:
    network = autoencoder(kind)
    generator, encoder = LatentGenerator.of(network, 16, 24), LatentEncoder.of(network, 16, 24)
    found = network.encode(2 * pictures() - 1)
    latent = found.latent_dist.mode() if kind == "AutoencoderKL" else found.latent if kind == "AutoencoderDC" else found.latents
    shift = network.config.get("shift_factor") or 0.0
    codes = (latent - shift) * network.config.scaling_factor  # as StableDiffusion3Img2ImgPipeline.prepare_latents does
    assert codes.shape[1:] == generator.code_shape == encoder.code_shape == (4, 8, 12)
    torch.testing.assert_close(encoder(pictures()), codes)
    decoded = network.decode(codes / network.config.scaling_factor + shift).sample
    torch.testing.assert_close(generator(codes), of_processor(decoded))
    assert float(generator(10 * codes).min()) >= 0 and float(generator(10 * codes).max()) <= 1


def test_mean_and_standard_deviation_of_latents_are_undone() -> None:
    plain = autoencoder("AutoencoderKL", scaling_factor=0.5, shift_factor=None)
    scaled = autoencoder("AutoencoderKL", scaling_factor=0.5, shift_factor=None, latents_mean=(1.0, 2.0, 3.0, 4.0),
                         latents_std=(0.5, 1.0, 2.0, 4.0))  # fmt: skip
    mean, std = (torch.tensor(scaled.config[f"latents_{name}"]).reshape(1, 4, 1, 1) for name in ("mean", "std"))
    latent = plain.encode(2 * pictures() - 1).latent_dist.mode()
    codes = (latent - mean) * 0.5 / std  # as StableDiffusionXLImg2ImgPipeline.prepare_latents does
    torch.testing.assert_close(LatentEncoder.of(scaled, 16, 24)(pictures()), codes)
    torch.testing.assert_close(LatentGenerator.of(scaled, 16, 24)(codes), LatentGenerator.of(plain, 16, 24)(latent * 0.5))


@pytest.mark.parametrize("kind", ["AutoencoderKL", "AutoencoderTiny", "AutoencoderDC"])
def test_gradients_agree_with_finite_differences(kind: str) -> None:
    plain = {"encoder_block_types": "ResBlock", "decoder_block_types": "ResBlock"}
    network = autoencoder(kind, **(plain if kind == "AutoencoderDC" else {}))
    generator = LatentGenerator.of(network.double(), 8).double()
    code = 0.1 * torch.randn(1, *generator.code_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    towards = torch.randn(code.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    leaf = code.requires_grad_()
    gradient = torch.autograd.grad((weights * generator(leaf)).sum(), leaf)[0]
    size, tolerance = (1e-4, 5e-3) if kind == "AutoencoderDC" else (1e-6, 1e-4)  # whose norms compute in float32
    ahead, behind = ((weights * generator(code.detach() + step * towards)).sum() for step in (size, -size))
    assert float((gradient * towards).sum()) == pytest.approx(float(ahead - behind) / (2 * size), rel=tolerance)


def test_a_pair_makes_a_bundle_that_samples() -> None:
    """Six lines of a user."""
    network = autoencoder("AutoencoderTiny")
    encoder = LatentEncoder.of(network, 16)
    bundle = ppgn.Bundle.of(LatentGenerator.of(network, 16), (4, 8, 8), encoder=encoder, std=1.0)
    found = ppgn.sample(bundle, lambda image: 50 * image.mean((1, 2, 3)), count=2, steps=4, sampler="adaptive", step_size=0.5)
    assert found.images.shape == (2, 3, 16, 16)
    assert float(found.images.mean((1, 2, 3)).min()) > float(bundle.generator(torch.zeros(1, 4, 8, 8)).mean())


def test_a_size_that_no_code_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 2"):
        LatentGenerator.of(autoencoder("AutoencoderKL"), 17)
    with pytest.raises(ValueError, match="expected AutoencoderKL"):
        described("AutoencoderKLWan", {}, 16)


def test_a_folder_of_save_pretrained_is_read_and_pickles_are_refused(tmp_path: Path) -> None:
    network: Any = autoencoder("VQModel")
    network.save_pretrained(tmp_path / "safe" / "vqvae")
    network.save_pretrained(tmp_path / "pickled" / "vqvae", safe_serialization=False)
    config = LatentEncoderConfig(**described("VQModel", network.config, 16, 24, "vqvae"))
    read = LatentEncoder.of_folder(tmp_path / "safe", config)
    torch.testing.assert_close(read(pictures()), LatentEncoder.of(network, 16, 24)(pictures()))
    with pytest.raises(ValueError, match="expected config.json and safetensors"):
        LatentEncoder.of_folder(tmp_path / "pickled", config)
