"""Score models of diffusers as the prior, against the steps of the library's own schedulers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from latent_networks import class_transformer, diffusers, flow_transformer, prompted_unet, unet
from torch import Tensor

from ppgn import chain
from ppgn.latent_diffusion import LatentScore, Parametrisation
from ppgn.objective import Objective
from ppgn.priors import NoiseLevel, SumOfPriors
from ppgn.samplers import Annealed

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = (4, 8, 8)
IMAGE = torch.zeros(2, 1, 1, 1)
PREDICTIONS = ("epsilon", "v_prediction", "sample")


def noise(seed: int = 0, chains: int = 2) -> Tensor:
    return torch.randn(chains, *SHAPE, generator=torch.Generator().manual_seed(seed))


def prior(network: Any, scheduler: Any, **inputs: Any) -> NoiseLevel:
    return NoiseLevel(LatentScore.of(network, scheduler, SHAPE, **inputs).denoise, 1.0)


def flow(prior: Any, code: Tensor, level: float, following: float) -> Tensor:
    """An Euler step of the probability flow by the prior's direction, s^2 times the score."""
    return code + (1 - following / level) * prior.at_level(level)(code, IMAGE)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_direction_is_that_of_ddim(prediction: str) -> None:
    network = unet()
    scheduler = diffusers.DDIMScheduler(prediction_type=prediction, clip_sample=False, set_alpha_to_one=False)
    scheduler.set_timesteps(20)
    kept = scheduler.alphas_cumprod
    for place in (2, 10, 18):
        time, after = (int(scheduler.timesteps[index]) for index in (place, place + 1))
        x = noise(place)
        with torch.no_grad():
            output = network(x, time).sample
        expected = scheduler.step(output, time, x).prev_sample
        level, following = (float(((1 - kept[one]) / kept[one]).sqrt()) for one in (time, after))
        found = flow(prior(network, scheduler), x / kept[time].sqrt(), level, following) * kept[after].sqrt()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"use_karras_sigmas": True}, {"timestep_spacing": "trailing"}])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_direction_is_that_of_euler(prediction: str, settings: dict[str, Any]) -> None:
    network = unet()
    scheduler = diffusers.EulerDiscreteScheduler(prediction_type=prediction, **settings)
    scheduler.set_timesteps(7)
    for place, time in enumerate(scheduler.timesteps):
        level, following = (float(scheduler.sigmas[index]) for index in (place, place + 1))
        x = noise(place) * (level**2 + 1) ** 0.5
        with torch.no_grad():
            output = network(scheduler.scale_model_input(x, time), time).sample
        expected = scheduler.step(output, time, x).prev_sample
        torch.testing.assert_close(flow(prior(network, scheduler), x, level, following), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_direction_is_that_of_a_flow(shift: float) -> None:
    network = flow_transformer()
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(6)
    given = {"encoder_hidden_states": torch.randn(1, 5, 16), "pooled_projections": torch.randn(1, 12)}
    each = {name: value.expand(2, *value.shape[1:]) for name, value in given.items()}
    scheduler.set_begin_index(1)  # the first step starts at noise alone, of which no level is a multiple
    for place in range(1, 6):
        time, (ratio, after) = scheduler.timesteps[place], (float(scheduler.sigmas[index]) for index in (place, place + 1))
        x = noise(place)
        with torch.no_grad():
            output = network(x, timestep=time.expand(2), **each).sample
        expected = scheduler.step(output, time, x).prev_sample
        found = flow(prior(network, scheduler, given=given), x / (1 - ratio), ratio / (1 - ratio), after / (1 - after))
        torch.testing.assert_close(found * (1 - after), expected, atol=1e-5, rtol=1e-5)


def sampled(prior: Any, start: Tensor, levels: list[float]) -> Tensor:
    """A run of the annealed sampler from a noisy code, without a condition."""
    sampler, objective = Annealed(levels, corrections=0), Objective(lambda code: code[:, :3], prior)
    state = sampler.init(torch.zeros_like(start), range(len(start)))
    state = type(state)(start, state.seeds)
    *_, (state, _) = chain.run(sampler, objective, state, sampler.updates)
    return state.code


def test_a_run_is_that_of_the_ddim_pipeline() -> None:
    network = unet(in_channels=3, out_channels=3)
    scheduler = diffusers.DDIMScheduler(clip_sample=False)  # whose last step goes to no noise, as ours does
    pipeline = diffusers.DDIMPipeline(network, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    expected = torch.as_tensor(
        pipeline(batch_size=2, num_inference_steps=10, generator=torch.Generator().manual_seed(3), output_type="np").images
    )
    first = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    kept = scheduler.alphas_cumprod[pipeline.scheduler.timesteps]
    levels = ((1 - kept) / kept).sqrt().tolist()
    score = NoiseLevel(LatentScore.of(network, scheduler, (3, 8, 8)).denoise, 1.0)
    found = sampled(score, first / kept[0].sqrt(), levels)
    torch.testing.assert_close((found / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1), expected, atol=1e-4, rtol=1e-4)


def test_a_run_towards_a_class_is_that_of_the_dit_pipeline() -> None:
    from latent_networks import autoencoder

    network, scheduler = class_transformer(), diffusers.DDIMScheduler(clip_sample=False)
    decoder = autoencoder("AutoencoderKL", scaling_factor=0.5, shift_factor=None)
    pipeline = diffusers.DiTPipeline(network, decoder, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline([3], guidance_scale=1.0, num_inference_steps=10, generator=torch.Generator().manual_seed(4),
                        output_type="pt").images  # fmt: skip
    first = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(4))
    kept = scheduler.alphas_cumprod[scheduler.timesteps]
    given = prior(network, scheduler, given={"class_labels": torch.tensor([3])})
    found = sampled(given, first / kept[0].sqrt(), ((1 - kept) / kept).sqrt().tolist())
    picture = (decoder.decode(found / 0.5).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(picture, torch.as_tensor(expected), atol=1e-4, rtol=1e-4)


def test_a_run_towards_a_prompt_is_that_of_the_stable_diffusion_3_pipeline() -> None:
    from latent_networks import autoencoder

    network, scheduler = flow_transformer(), diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    decoder = autoencoder("AutoencoderTiny")
    pipeline = diffusers.StableDiffusion3Pipeline(network, scheduler, decoder, *[None] * 6)
    pipeline.set_progress_bar_config(disable=True)
    inputs = {"encoder_hidden_states": torch.randn(1, 5, 16), "pooled_projections": torch.randn(1, 12)}
    empty = {name: torch.randn(value.shape) for name, value in inputs.items()}
    first, ratios = noise(9, 1), [0.95, 0.8, 0.6, 0.4, 0.2]  # not 1: the library's usual start is noise alone
    expected = pipeline(
        prompt_embeds=inputs["encoder_hidden_states"], pooled_prompt_embeds=inputs["pooled_projections"],
        negative_prompt_embeds=empty["encoder_hidden_states"], negative_pooled_prompt_embeds=empty["pooled_projections"],
        guidance_scale=4.0, sigmas=ratios, num_inference_steps=5, latents=first, output_type="latent", height=16, width=16,
    ).images  # fmt: skip
    shifted = scheduler.sigmas[:-1]
    levels = (shifted / (1 - shifted)).tolist()
    score = LatentScore.of(network, scheduler, SHAPE, 4.0, given=inputs, empty=empty)
    found = sampled(NoiseLevel(score.denoise, 1.0), first / (1 - shifted[0]), levels)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    two = SumOfPriors([NoiseLevel(score.given.denoise, 1.0), NoiseLevel(score.empty.denoise, 1.0)], [4.0, -3.0])
    torch.testing.assert_close(sampled(two, first / (1 - shifted[0]), levels), found)


def test_class_free_guidance_is_that_of_noises() -> None:
    """noise = empty + w (given - empty), as StableDiffusionPipeline mixes them."""
    network, scheduler = prompted_unet(), diffusers.EulerDiscreteScheduler()
    prompt = torch.randn(1, 7, 16)
    score = LatentScore.of(network, scheduler, SHAPE, 5.0, given={"encoder_hidden_states": prompt})
    scheduler.set_timesteps(5)
    level, time = float(scheduler.sigmas[2]), scheduler.timesteps[2]
    x = noise() * (level**2 + 1) ** 0.5
    with torch.no_grad():
        seen = scheduler.scale_model_input(x, time)
        given, empty = (network(seen, time, text.expand(2, -1, -1)).sample for text in (prompt, torch.zeros(1, 77, 16)))
    torch.testing.assert_close(score.denoise(x, level), x - level * (empty + 5 * (given - empty)), atol=1e-5, rtol=1e-4)


def test_each_chain_may_have_its_own_level() -> None:
    score = LatentScore.of(unet(), diffusers.EulerDiscreteScheduler(), SHAPE)
    together = score.denoise(noise(), torch.tensor([0.5, 4.0]))
    for place, level in enumerate((0.5, 4.0)):
        torch.testing.assert_close(together[place], score.denoise(noise()[place : place + 1], level)[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", [lambda: (unet(), diffusers.DDIMScheduler()),
                                  lambda: (flow_transformer(), diffusers.FlowMatchEulerDiscreteScheduler())])  # fmt: skip
def test_gradients_through_the_score_model_agree_with_finite_differences(make: Callable[[], Any]) -> None:
    network, scheduler = make()
    score = LatentScore.of(network.double(), scheduler, SHAPE).double()
    weights, towards = noise(1).double(), noise(2).double()
    leaf = noise().double().requires_grad_()
    gradient = torch.autograd.grad((weights * score.denoise(leaf, 1.5)).sum(), leaf)[0]
    steps = (1e-3, -1e-3)  # timesteps are embedded in float32
    ahead, behind = ((weights * score.denoise(leaf.detach() + step * towards, 1.5)).sum() for step in steps)
    assert float((gradient * towards).sum()) == pytest.approx(float(ahead - behind) / 2e-3, rel=1e-3)


def test_the_flow_of_a_score_model_ends_where_many_steps_end() -> None:
    """An analytic score, of codes ~ N(0, 1): the flow takes noise of a level s to noise / sqrt(s^2 + 1) * s."""

    class Gaussian(torch.nn.Module):
        config = diffusers.configuration_utils.FrozenDict({"in_channels": 4})

        def forward(self, sample: Tensor, timestep: Tensor) -> Any:
            kept = torch.as_tensor(diffusers.DDIMScheduler().alphas_cumprod)[timestep.round().long()].reshape(-1, 1, 1, 1)
            return type("Output", (), {"sample": (1 - kept).sqrt() * sample})()

    network = Gaussian()
    network.__class__.__name__ = "UNet2DModel"
    score = LatentScore.of(network, diffusers.DDIMScheduler(), SHAPE)
    torch.testing.assert_close(score.before_relu(noise()), noise(), atol=0.15, rtol=0.1)


def test_a_scheduler_without_noise_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one with alphas_cumprod"):
        Parametrisation.of(diffusers.ScoreSdeVeScheduler())
