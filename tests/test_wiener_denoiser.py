"""The Wiener denoiser: exact for correlated Gaussian codes, level by level and along its flow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ppgn.networks import NoiseLevelDenoiser, NoiseLevelDenoiserConfig, WienerDenoiser, WienerDenoiserConfig, build

SIZE = 8


def correlated(count: int = 20_000) -> Tensor:
    """Codes `[count, 8]` of N(5, A A^T), whose principal directions differ by a factor of some hundreds in variance."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(SIZE, SIZE, generator=generator) * torch.logspace(0, -1.5, SIZE)[:, None]
    return 5 + torch.randn(count, SIZE, generator=generator) @ mix


def fitted(**changes: int) -> WienerDenoiser:
    torch.manual_seed(0)
    network = (
        WienerDenoiser(WienerDenoiserConfig(code_size=SIZE, components=SIZE, width=16, blocks=1, **changes))
        .eval()
        .requires_grad_(False)
    )
    network.fit(correlated())
    torch.nn.init.zeros_(network.last.bias)
    return network


@pytest.mark.parametrize("level", [0.05, 0.7, 6.0])
def test_before_training_it_is_the_posterior_mean_of_the_gaussian(level: float) -> None:
    """E[h | h + n] = m + C (C + S)^-1 (h + n - m), C the codes' covariance, S that of the noise: level^2 std^2 of each unit."""
    network, codes = fitted(), correlated(50)
    covariance, noise = torch.cov(correlated().T), torch.diag((level * correlated().std(0)) ** 2)
    expected = network.mean + (codes - network.mean) @ torch.linalg.solve(covariance + noise, covariance)
    torch.testing.assert_close(network.denoise(codes, level), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [2, 60])
def test_the_flow_ends_with_the_covariance_of_the_codes_in_any_number_of_steps(steps: int) -> None:
    drawn = fitted(steps=steps).before_relu(torch.randn(20_000, SIZE, generator=torch.Generator().manual_seed(1)))
    real = correlated()
    spread = real.std(0)
    torch.testing.assert_close(drawn.mean(0), real.mean(0), rtol=0, atol=0.03 * float(spread.max()))
    assert float(((torch.cov(drawn.T) - torch.cov(real.T)) / (spread[:, None] * spread)).abs().max()) < 0.05


def test_standardised_codes_come_back() -> None:
    network, codes = fitted(), correlated(20)
    torch.testing.assert_close(network.codes(network.standardised(codes)), codes)
    torch.testing.assert_close(network.standardised(correlated()).var(0), network.variance, rtol=1e-2, atol=0)


def test_with_one_variance_it_is_the_noise_level_denoiser() -> None:
    plain = NoiseLevelDenoiser(NoiseLevelDenoiserConfig(code_size=SIZE, width=16, blocks=1)).eval()
    wiener = WienerDenoiser(WienerDenoiserConfig(code_size=SIZE, components=SIZE, width=16, blocks=1)).eval()
    wiener.load_state_dict(plain.state_dict(), strict=False)
    torch.nn.init.normal_(plain.last.weight)
    wiener.last.load_state_dict(plain.last.state_dict())
    codes = torch.randn(4, SIZE)
    for level in (0.1, 3.0):
        torch.testing.assert_close(wiener.denoise(codes, level), plain.denoise(codes, level), rtol=1e-4, atol=1e-5)


def test_training_learns_what_is_not_gaussian() -> None:
    """Two clusters along a line: the Gaussian of the same covariance fills the gap between them, the trained flow does not."""
    from training import NoiseLevelSystem

    torch.manual_seed(0)
    side = torch.randint(2, (4000, 1)) * 2.0 - 1
    codes = torch.cat([5 + 3 * side, 5 + 3 * side, torch.full_like(side, 5.0)], 1) + 0.2 * torch.randn(4000, 3)
    network = WienerDenoiser(WienerDenoiserConfig(code_size=3, components=2, width=64, blocks=2))
    network.fit(codes)

    def between() -> float:
        """Share of draws in the middle half of the gap."""
        with torch.no_grad():
            drawn = network.before_relu(torch.randn(1000, 3))
        return float(((drawn[:, 0] - 5).abs() < 1.5).float().mean())

    assert between() > 0.3
    system, optimizer = NoiseLevelSystem(WienerDenoiserConfig()), torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(300):
        batch = codes[torch.randint(4000, (256,))]
        optimizer.zero_grad()
        system.loss(network, batch, (-0.4 + 1.2 * torch.randn(256)).exp()).backward()
        optimizer.step()
    assert between() < 0.05


def test_a_bundle_can_hold_it() -> None:
    network = fitted()
    again = build("wiener_denoiser", {"code_size": SIZE, "components": SIZE, "width": 16, "blocks": 1})
    again.load_state_dict(network.state_dict())
    noise = torch.randn(2, SIZE)
    torch.testing.assert_close(again.eval()(noise), network(noise))


def test_what_the_network_does_not_see_stays_gaussian() -> None:
    torch.manual_seed(0)
    network = WienerDenoiser(WienerDenoiserConfig(code_size=SIZE, components=3, width=16, blocks=1)).eval()
    network.fit(correlated())
    torch.nn.init.normal_(network.last.weight)
    standard, level = torch.randn(4, SIZE), torch.tensor(0.7)
    added = network.denoise_standardised(standard, level) - network.linear(standard, level)
    assert bool((added[:, :3] != 0).all()) and bool((added[:, 3:] == 0).all())
    with pytest.raises(ValueError, match="9 components for codes of 8 units"):
        WienerDenoiser(WienerDenoiserConfig(code_size=SIZE, components=9))


def test_calibrated_draws_have_the_variance_of_the_codes_again() -> None:
    """A network that pulls every component towards 0 draws codes that are too short."""
    network = fitted()
    network.residual = lambda scaled, level: -0.2 * scaled  # type: ignore[method-assign, assignment]
    noise = torch.randn(5000, SIZE, generator=torch.Generator().manual_seed(3))

    def lengths() -> Tensor:
        return network.standardised(network.before_relu(noise)).var(0) / network.variance

    assert float(lengths().max()) < 0.9
    network.calibrate()
    torch.testing.assert_close(lengths(), torch.ones(SIZE), rtol=0, atol=0.1)
