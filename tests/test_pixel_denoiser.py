"""PPGN-x: the pixel denoiser, its training, and pixels as a generator."""

import dataclasses
import json
import math

import pytest
import torch
from lightning import Trainer
from torch import Tensor
from torch.nn import functional

from ppgn import networks
from ppgn.chain import run
from ppgn.checks import check_generator, check_prior, check_sampler
from ppgn.generators import IdentityGenerator, IdentityGeneratorConfig
from ppgn.networks import PixelDenoiser, PixelDenoiserConfig
from ppgn.objective import Objective, Term
from ppgn.priors import Denoiser
from ppgn.samplers import Langevin
from ppgn.types import CodeSpace
from training import ImageData, PixelDenoiserSystem, read_checkpoint, read_network

SMALL = PixelDenoiserConfig(channels=1, width=8, blocks=1)


def pictures(count: int = 3, channels: int = 1, size: int = 8) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def trained(config: PixelDenoiserConfig = SMALL) -> PixelDenoiser:
    """Weights that do something: a fresh network is the identity."""
    torch.manual_seed(0)
    network = PixelDenoiser(config)
    with torch.no_grad():
        network.last.weight.normal_(std=0.05)
        network.last.bias.fill_(0.01)
    return network.eval().requires_grad_(False)


def test_an_untrained_denoiser_is_the_identity() -> None:
    image = pictures(channels=3)
    assert torch.equal(PixelDenoiser(PixelDenoiserConfig())(image), image)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_a_bias_of_the_last_layer_is_added_to_the_pixels_of_its_own_channel(patch: int) -> None:
    network = PixelDenoiser(PixelDenoiserConfig(channels=2, width=4, blocks=1, patch=patch))
    with torch.no_grad():
        network.last.bias[: patch**2] = 0.25  # pyright: ignore[reportOptionalSubscript]
    image = pictures(channels=2)
    added = network(image) - image
    torch.testing.assert_close(added[:, 0], torch.full_like(added[:, 0], 0.25))
    assert added[:, 1].abs().max() == 0


def test_blocks_of_zeros_leave_two_convolutions_of_the_pixels_scaled_to_minus_one_to_one() -> None:
    network, image = trained(PixelDenoiserConfig(channels=1, width=8, blocks=2, patch=1)), pictures()
    for weights in network.blocks.parameters():
        weights.zero_()
    features = functional.conv2d(2 * image - 1, network.first.weight, network.first.bias, padding=1).relu()
    expected = image + functional.conv2d(features, network.last.weight, network.last.bias, padding=1)
    torch.testing.assert_close(network(image), expected)


def test_the_default_denoiser_has_fewer_than_a_million_and_a_half_weights_and_no_batch_norm() -> None:
    network = PixelDenoiser(PixelDenoiserConfig())
    assert sum(weights.numel() for weights in network.parameters()) < 1_500_000
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules())


def test_moving_a_picture_by_a_patch_moves_its_denoised_picture_away_from_the_border() -> None:
    network, image = trained(), pictures(size=24)
    moved = network(image.roll(2, -1))
    torch.testing.assert_close(moved[..., 10:16, 10:16], network(image)[..., 10:16, 8:14])


def test_a_picture_that_patches_do_not_tile_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got a picture of 8x7 pixels, expected multiples of 2"):
        trained()(pictures()[..., :7])


def test_it_comes_back_from_its_json_description() -> None:
    network = trained()
    again = networks.build(network.architecture, json.loads(json.dumps(dataclasses.asdict(network.config))))
    again.load_state_dict(network.state_dict())
    assert type(again) is type(network) and torch.equal(again(pictures()), network(pictures()))


def test_pictures_need_not_be_square() -> None:
    image = torch.rand(2, 1, 6, 10)
    assert trained()(image).shape == image.shape
    assert torch.equal(IdentityGenerator(IdentityGeneratorConfig(1, 6, 10))(image), image)


def test_the_identity_generator_keeps_the_contract_and_has_no_weights() -> None:
    generator = IdentityGenerator(IdentityGeneratorConfig(channels=1, height=8, width=8))
    code = pictures()
    check_generator(generator, code)
    assert torch.equal(generator(code), code) and not generator.state_dict()


@pytest.mark.parametrize("shape", [(2, 64), (2, 3, 8, 8), (2, 1, 8, 7)])
def test_the_identity_generator_refuses_codes_that_are_no_pictures_of_its_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \('chain', 1, 8, 8\)"):
        IdentityGenerator(IdentityGeneratorConfig(channels=1, height=8, width=8))(torch.zeros(shape))


def ppgn_x(network: PixelDenoiser) -> Objective:
    """log p(y | x) = -|x|^2 / 2, whose gradient is -x."""
    generator = IdentityGenerator(IdentityGeneratorConfig(channels=1, height=8, width=8))
    term = Term("energy", lambda image: -0.5 * image.square().sum((1, 2, 3)))
    return Objective(generator, Denoiser(network), [term], CodeSpace((1, 8, 8), low=0.0, high=1.0))


def test_a_step_of_ppgn_x_is_equation_11_on_pixels() -> None:
    network, image = trained(), 0.4 + 0.2 * pictures()
    sampler = Langevin(prior_scale=0.5, condition_scale=0.1)
    state, evaluation = sampler.step(sampler.init(image, [0, 1, 2]), ppgn_x(network))
    torch.testing.assert_close(evaluation.image, image)
    torch.testing.assert_close(state.code, image + 0.5 * (network(image) - image) - 0.1 * image)


def test_the_pixel_prior_and_the_ppgn_x_chain_keep_their_contracts() -> None:
    network, image = trained(), pictures()
    check_prior(Denoiser(network), image, image)
    check_sampler(Langevin(prior_scale=0.5, condition_scale=0.01, noise_scale=0.1), ppgn_x(network), image)


def test_the_bounds_of_the_space_keep_pixels_of_a_noisy_chain_between_zero_and_one() -> None:
    sampler = Langevin(prior_scale=0.5, condition_scale=0.01, noise_scale=1.0)
    states = [state.code for state, _ in run(sampler, ppgn_x(trained()), sampler.init(pictures(), [0, 1, 2]), 5)]
    assert min(code.min() for code in states) == 0 and max(code.max() for code in states) == 1


def test_the_loss_of_the_identity_is_the_variance_of_the_noise() -> None:
    system = PixelDenoiserSystem(SMALL, noise=0.3)
    system.network = PixelDenoiser(SMALL)
    torch.manual_seed(0)
    loss, identity = system.losses(pictures(count=400))
    assert loss == identity
    spread = 0.09 * math.sqrt(2 / (400 * 64))
    assert abs(float(identity) - 0.09) < 5 * spread


def test_the_loss_compares_with_the_clean_picture() -> None:
    class Grey(PixelDenoiser):
        def forward(self, image: Tensor) -> Tensor:
            return torch.full_like(image, 0.5)

    system = PixelDenoiserSystem(SMALL)
    system.network = Grey(SMALL)
    loss, _ = system.losses(pictures())
    torch.testing.assert_close(loss, (pictures() - 0.5).square().mean())


@pytest.mark.parametrize("noise", [0.0, -0.1, math.nan])
def test_training_without_noise_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        PixelDenoiserSystem(noise=noise)


def fit(folder, **settings) -> PixelDenoiserSystem:
    data = ImageData("digits", image_size=8, channels=1, batch_size=64, flip=False)
    system = PixelDenoiserSystem(PixelDenoiserConfig(width=16, blocks=1), noise=0.3, learning_rate=1e-2)
    torch.manual_seed(0)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=folder, **quiet, **settings)  # type: ignore[arg-type]
    trainer.fit(system, data)
    trainer.save_checkpoint(folder / "last.ckpt")
    return system


def test_after_four_epochs_of_digits_the_error_is_less_than_half_of_the_identitys_and_the_checkpoint_reads_back(tmp_path) -> None:
    system = fit(tmp_path, max_epochs=4)
    content = read_checkpoint(tmp_path / "last.ckpt")
    assert content["scores"]["val/loss"] < 0.5 * content["scores"]["val/identity"]
    assert content["scores"]["val/identity"] == pytest.approx(0.09, rel=0.05)
    assert content["class_names"] == [str(digit) for digit in range(10)]
    network = read_network(tmp_path / "last.ckpt", "pixel_denoiser")
    assert system.network is not None and network.config == PixelDenoiserConfig(channels=1, width=16, blocks=1)
    torch.testing.assert_close(network(pictures()), system.network(pictures()))
    assert not network.training and not any(weights.requires_grad for weights in network.parameters())
