"""The noise-level denoiser: preconditioning, its flow on a Gaussian with a known answer, training, its place as a start."""

import torch
from conftest import tiny_bundle

import ppgn
from ppgn import recipes, requests, starts
from ppgn.networks import NoiseLevelDenoiser, NoiseLevelDenoiserConfig, build
from ppgn.types import Code, Image, LogProb


def untrained(**changes: float) -> NoiseLevelDenoiser:
    torch.manual_seed(0)
    settings = {"code_size": 6, "width": 16, "blocks": 1, **changes}
    return NoiseLevelDenoiser(NoiseLevelDenoiserConfig(**settings)).eval().requires_grad_(False)  # type: ignore[arg-type]


def test_before_training_it_is_the_exact_denoiser_of_a_standard_gaussian() -> None:
    network, code = untrained(), torch.randn(3, 6)
    torch.nn.init.zeros_(network.last.bias)
    for level in (0.1, 1.0, 7.0):
        torch.testing.assert_close(network.denoise(code, level), code / (1 + level**2))
    per_chain = torch.tensor([0.1, 1.0, 7.0])
    torch.testing.assert_close(network.denoise(code, per_chain), code / (1 + per_chain[:, None] ** 2))


def test_the_flow_of_a_gaussian_ends_with_its_own_standard_deviation() -> None:
    """The exact flow maps noise at level s to noise * s / sqrt(1 + s^2); Euler's error vanishes with the steps."""
    network = untrained(steps=2000, highest=5.0, lowest=0.01)
    torch.nn.init.zeros_(network.last.bias)
    network.mean = torch.full((6,), 50.0)  # far from the ReLU
    noise = torch.randn(4, 6)
    wanted = 50 + noise * 5 / (1 + 5.0**2) ** 0.5
    torch.testing.assert_close(network(noise), wanted, atol=2e-2, rtol=0)


def test_levels_fall_from_the_highest_to_the_lowest_and_then_to_zero() -> None:
    levels = untrained(steps=5, highest=8.0, lowest=0.1).levels()
    assert len(levels) == 6 and levels[-1] == 0
    torch.testing.assert_close(levels[[0, 4]], torch.tensor([8.0, 0.1]))
    assert bool((levels.diff() < 0).all())


def test_a_few_hundred_steps_of_training_learn_two_clusters() -> None:
    from training import NoiseLevelSystem

    torch.manual_seed(0)
    system = NoiseLevelSystem(learning_rate=3e-3)
    system.network = NoiseLevelDenoiser(NoiseLevelDenoiserConfig(code_size=2, width=64, blocks=2, steps=40))
    codes = torch.cat([torch.randn(500, 2) * 0.2 + 2, torch.randn(500, 2) * 0.2 + 6])
    system.network.fit(codes)
    optimizer = torch.optim.Adam(system.network.parameters(), 3e-3)
    for _ in range(400):
        batch = codes[torch.randint(1000, (256,))]
        level = (-0.4 + 1.2 * torch.randn(256)).exp()
        optimizer.zero_grad()
        system.loss(system.network, batch, level).backward()
        optimizer.step()
    with torch.no_grad():
        drawn = system.network(torch.randn(500, 2))
    near = (drawn[:, None] - torch.tensor([[2.0, 2.0], [6.0, 6.0]])).norm(dim=2)
    assert float((near.amin(1) < 1).float().mean()) > 0.9
    assert 0.3 < float((near.argmin(1) == 0).float().mean()) < 0.7


def test_chains_can_begin_at_codes_of_the_noise_level_denoiser() -> None:
    bundle = tiny_bundle()
    network = untrained(code_size=12)
    bundle.parts["noise_level"] = network

    def bright(image: Image) -> LogProb:
        return 5e5 * image.mean((1, 2, 3))

    def begun(count: int, seed: int, draws: int = 1) -> ppgn.Samples:
        return ppgn.sample(bundle, bright, count=count, seed=seed, steps=1, start="noise_level", draws=draws)

    torch.testing.assert_close(begun(3, 5).codes[1:2], begun(1, 6).codes)
    assert float(begun(8, 5, draws=16).log_prob.mean()) > float(begun(8, 5).log_prob.mean())


def test_draws_are_chosen_at_temperature_one_and_by_the_power_asked_for() -> None:
    """The chain climbs at temperature 4; the code chosen is that of likely_code with the class's own log-probability."""
    bundle = tiny_bundle()
    bundle.parts["noise_level"] = untrained(code_size=12)
    changes = {"start": "noise_level", "draws": 6, "draw_power": 2e6, "temperature": 4.0, "measure": "log_softmax"}
    seeds, targets = range(8), [0, 1, 2, 0, 1, 2, 0, 1]
    request = requests.of(bundle, targets)
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, **changes), request)

    def draw(number: int) -> Code:
        return starts.drawn_code(seeds, (12,), bundle.parts["noise_level"], draw=number)

    def weight(code: Code, temperature: float = 1.0, power: float = 2e6) -> LogProb:
        logits = bundle.encoder.logits_from_code(bundle.encoder(bundle.generator(code))) / temperature
        return power * logits.log_softmax(1)[range(8), targets]

    found = recipes.starting_codes(setup, seeds, recipes.objective(setup, request))
    assert torch.equal(found, starts.likely_code(seeds, 6, draw, weight))
    assert not torch.equal(found, starts.likely_code(seeds, 6, draw, lambda code: weight(code, 4.0)))
    assert not torch.equal(found, starts.likely_code(seeds, 6, draw, lambda code: weight(code, power=1.0)))
    assert torch.equal(recipes.starting_codes(setup, seeds), draw(0))


def test_a_bundle_can_hold_it() -> None:
    network = untrained()
    again = build("noise_level_denoiser", {"code_size": 6, "width": 16, "blocks": 1})
    again.load_state_dict(network.state_dict())
    noise = torch.randn(2, 6)
    assert torch.equal(again.eval()(noise), network(noise))
