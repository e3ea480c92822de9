"""BigGAN-AM beside its published loop, written out with torch.optim.Adam; and the adapter of pytorch-pretrained-biggan."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import ppgn
from ppgn import chain, loaders
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from ppgn.objective import Objective, Term
from ppgn.priors import NoPrior
from ppgn.samplers import BigGanAm
from ppgn.seeds import normal
from ppgn.types import CodeSpace
from training import ClassGenerator, one_hot

LATENT, EMBEDDING, LOW, HIGH = 6, 4, -0.59, 0.61
"""The range is the released one of 256 px."""


def networks() -> tuple[nn.Module, nn.Module]:
    """A class-conditional generator, code (z, c) -> image, and a classifier of its images."""
    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.Linear(LATENT + EMBEDDING, 24), nn.Tanh(), nn.Linear(24, 3 * 4 * 4), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 4))
    )
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 5))
    for network in (generator, classifier):
        for weight in network.parameters():
            weight.data = 2 * weight.data
        network.double().requires_grad_(False)
    return generator, classifier


def published(
    seed: int, first: Tensor, target: int, latents: int, draws: int, steps: int, decay: float, alpha: float
) -> list[Tensor]:
    """The released loop, run_biggan_am of biggan_am.py, with the latents of a chain: the embedding after each step.

    alpha: of the paper's diversity term with distances of pixels, over all pairs.
    """
    generator, classifier = networks()
    embedding = first[None].clone().requires_grad_()
    optimizer = torch.optim.Adam([embedding], lr=0.1, weight_decay=decay)
    labels = torch.full((latents,), target)
    found = []
    for draw in range(draws):
        zs = normal([seed], draw, (latents, LATENT), dtype=torch.float64)[0]
        for _ in range(steps):
            optimizer.zero_grad()
            repeated = torch.clamp(embedding, LOW, HIGH).repeat(latents, 1)
            images = generator(torch.cat([zs, repeated], 1))
            loss = nn.CrossEntropyLoss()(classifier(images), labels)
            ratios = [
                (images[one] - images[other]).norm() / (zs[one] - zs[other]).norm()
                for one, other in itertools.combinations(range(latents), 2)
            ]
            loss = loss - alpha * torch.stack(ratios).mean()
            loss.backward()
            optimizer.step()
            found.append(embedding.detach()[0].clone())
    return found


def objective(target: int) -> Objective:
    generator, classifier = networks()
    low, high = (torch.full((LATENT + EMBEDDING,), bound, dtype=torch.float64) for bound in (LOW, HIGH))
    low[:LATENT], high[:LATENT] = -torch.inf, torch.inf
    term = Term("class", lambda image: functional.log_softmax(classifier(image), 1)[:, target])
    return Objective(generator, NoPrior(), [term], CodeSpace((LATENT + EMBEDDING,), low, high))


@pytest.mark.parametrize(("decay", "diversity"), [(0.9, 0.0), (0.0, 0.0), (0.02, 3.0)])
def test_twenty_steps_are_those_of_the_published_loop(decay: float, diversity: float) -> None:
    sampler = BigGanAm(weight_decay=decay, latents=5, steps_per_draw=8, embedding_units=EMBEDDING, diversity=diversity)
    first = torch.tensor([[0.1, -0.2, 0.6, 0.55], [0.0, 0.3, -0.4, -0.58]], dtype=torch.float64)
    code = torch.cat([torch.zeros(2, LATENT, dtype=torch.float64), first], 1)
    states = [state for state, _ in chain.run(sampler, objective(3), sampler.init(code, (7, 8)), 20)]
    outside = 0
    for row, seed in enumerate((7, 8)):
        expected = published(seed, first[row], 3, 5, 3, 8, decay, diversity)[:20]
        for state, embedding in zip(states, expected, strict=True):
            torch.testing.assert_close(state.carry["embedding"][row], embedding, rtol=0, atol=1e-6)
            torch.testing.assert_close(state.code[row, LATENT:], embedding.clamp(LOW, HIGH), rtol=0, atol=1e-6)
            outside += int((embedding != embedding.clamp(LOW, HIGH)).sum())
    assert decay > 0.5 or outside > 10  # without much decay the clamp is seen
    assert not torch.equal(states[6].code[:, :LATENT], states[7].code[:, :LATENT])  # drawn anew after 8 steps


def test_diversity_moves_pictures_of_one_embedding_apart() -> None:
    settings = {"latents": 10, "steps_per_draw": 5, "embedding_units": EMBEDDING, "weight_decay": 0.0}
    apart = []
    for diversity in (0.0, 20.0):
        sampler = BigGanAm(**settings, diversity=diversity)
        code = torch.zeros(3, LATENT + EMBEDDING, dtype=torch.float64)
        state = [state for state, _ in chain.run(sampler, objective(3), sampler.init(code, range(3)), 40)][-1]
        zs = normal(range(3), 9, (50, LATENT), dtype=torch.float64)  # latents that no step has seen
        codes = torch.cat([zs, state.code[:, None, LATENT:].expand(-1, 50, -1)], 2)
        images = networks()[0](codes.flatten(0, 1)).unflatten(0, (3, 50)).flatten(2)
        apart.append(torch.cdist(images, images).mean((1, 2)))
    assert bool((apart[1] > apart[0]).all()) and float(apart[1].mean() / apart[0].mean()) > 1.03, apart


def test_the_evaluation_is_the_mean_over_the_latents_that_share_the_embedding() -> None:
    sampler = BigGanAm(latents=4, embedding_units=EMBEDDING)
    state = sampler.init(torch.zeros(1, LATENT + EMBEDDING, dtype=torch.float64), (3,))
    _, found = sampler.step(state, objective(1))
    latents = normal([3], 0, (4, LATENT), dtype=torch.float64)[0]
    codes = torch.cat([latents, torch.zeros(4, EMBEDDING, dtype=torch.float64)], 1)
    torch.testing.assert_close(found.log_prob[0], objective(1).score(codes).mean())
    assert torch.equal(found.code[0], codes[0])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"latents": 0}, "latents 0"),
        ({"weight_decay": -1.0}, "weight_decay -1.0"),
        ({"embedding_units": -2}, "embedding_units -2"),
        ({"diversity": -0.1}, "diversity -0.1"),
        ({"diversity": 0.1, "latents": 1}, "among 1 latent"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BigGanAm(**settings)


def test_codes_without_a_latent_and_an_embedding_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[2, 3\] for 4 embedding units"):
        BigGanAm(embedding_units=4).init(torch.zeros(2, 3), (0, 1))


@pytest.fixture
def gan() -> nn.Module:
    """BigGAN-deep with random weights, narrow and of 16 px."""
    package = pytest.importorskip("pytorch_pretrained_biggan", reason='pip install "ppgn[biggan]"')
    torch.manual_seed(0)
    layers = [(True, 16, 8), (True, 8, 4), (False, 4, 2), (False, 2, 1)]
    config = package.BigGANConfig(
        output_dim=16, z_dim=8, class_embed_dim=8, channel_width=4, num_classes=6, layers=layers, attention_layer_position=1
    )
    made = package.BigGAN(config)
    nn.init.ones_(made.generator.bn.weight)
    nn.init.zeros_(made.generator.bn.bias)
    return made.eval()


def test_the_bundle_makes_biggans_own_pictures_of_its_own_classes(gan: nn.Module) -> None:
    bundle = loaders.biggan(gan, truncation=0.4)
    z, label = torch.randn(2, 8), functional.one_hot(torch.tensor([1, 4]), 6).float()
    code = torch.cat([z, bundle.generator.embeddings[[1, 4]]], 1)
    with torch.no_grad():
        torch.testing.assert_close(bundle.generator(code), (gan(z, label, 0.4) + 1) / 2)
    assert bundle.image.size == (16, 16) and torch.equal(bundle.code.clip(code), code)
    least = gan.embeddings.weight.min()  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.equal(bundle.code.low, torch.cat([torch.full((8,), -torch.inf), least.expand(8)]))


def test_the_three_starts_are_the_mean_a_class_and_a_likely_class(gan: nn.Module) -> None:
    bundle = loaders.biggan(gan)
    known = bundle.generator.embeddings

    def first(**changes: object) -> Tensor:
        return ppgn.sample(bundle, bright, count=12, steps=1, latents=2, **changes).codes[:, 8:]

    torch.testing.assert_close(first(start="mean", start_std=0.0, draws=1), known.mean(0).expand(12, 8))
    drawn = torch.cdist(first(start="codes", draws=1), known)
    assert drawn.min(1).values.max() < 1e-5 and len(set(drawn.argmin(1).tolist())) > 2
    assert torch.cdist(first(start="codes", draws=9), known).min(1).values.max() < 1e-5


def test_a_bundle_of_biggan_is_moved_by_its_own_recipe(gan: nn.Module) -> None:
    bundle = loaders.biggan(gan)
    made = ppgn.sample(bundle, bright, count=2, steps=6, latents=3, draws=2)
    assert made.recipe.to_json()["sampler"]["name"] == "biggan_am"
    assert (made.codes[:, 8:] <= bundle.code.high[8:]).all() and (made.codes[:, 8:] >= bundle.code.low[8:]).all()  # pyright: ignore


def bright(image: Tensor) -> Tensor:
    return 50 * image.mean((1, 2, 3))


def test_a_gan_of_a_linear_first_layer_makes_its_own_pictures_from_embeddings() -> None:
    torch.manual_seed(0)
    config = ImageGeneratorConfig(code_size=9, hidden=(5,), base_channels=8, stages=((4, 4),), code_scale=1.7)
    network = ImageGenerator(config).eval()
    classes = one_hot(torch.arange(3), 3)
    bundle = loaders.class_conditional(network, classes)
    z, label = torch.randn(4, 6), torch.tensor([1, 0, 2, 1])
    with torch.no_grad():
        expected = ClassGenerator(network, 6)(classes[label], z)
        made = bundle.generator(torch.cat([z, bundle.generator.embeddings[label]], 1))
    torch.testing.assert_close(made, expected)
    assert bundle.code.shape == (6 + 5,) and network.fully_connected[0].in_features == 9  # the network is as it was
    found = ppgn.sample(bundle, bright, count=3, steps=4, latents=2, draws=3)
    assert bool((found.codes[:, 6:] != bundle.generator.embeddings[0]).any())


def test_a_gan_without_a_linear_first_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="has no linear layer, expected a linear one inside it for a latent and 3 class units"):
        loaders.class_conditional(nn.Conv2d(3, 3, 1), torch.eye(3))
    with pytest.raises(ValueError, match="a first layer of 2 units"):
        loaders.class_conditional(nn.Sequential(nn.Linear(2, 3)), torch.eye(3))
