"""The balanced training of the generator: the balance against its closed form, the adversary's shapes, frozen mixing, rates."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Timer
from test_training import QUIET, fit
from test_training import encoder as encoder
from torch import nn

from ppgn.networks import ModulatedGenerator, ModulatedGeneratorConfig
from training import (
    SHOWN,
    Balanced,
    BalancedUpdate,
    FrozenMixing,
    GeneratorSystem,
    GradientBalance,
    ImageData,
    LateAdversary,
    Noise,
    Optimisation,
    ProjectedConfig,
    ProjectedDiscriminator,
    Ruler,
    augment_pair,
    read_network,
    share_done,
)

SMALL = ModulatedGeneratorConfig(hidden=16, style=8, base_channels=8, base_size=2, widths=(8, 8))
RULER = Ruler("convnet", depths=("block0", "block1"), input_size=16, mean=(0.5,), std=(0.5,))
SOON = LateAdversary(wait=1, head_start=0, rise=2, warm_up=1)
BALANCED = Balanced(compare=RULER, discriminator=ProjectedConfig(mixed=(8, 12), pixels=(8, 8)), adversary=SOON)


def test_a_steady_gradient_comes_out_as_long_as_its_weight() -> None:
    balance = GradientBalance({"one": 0.5, "two": 3.0})
    gradient = torch.randn(4, 3)
    for _ in range(5):
        first, second = balance("one", [1e-4 * gradient])[0], balance("two", [1e4 * gradient])[0]
        torch.testing.assert_close(first, 0.5 * gradient / gradient.norm(), rtol=1e-4, atol=0)
        torch.testing.assert_close(second, 3.0 * gradient / gradient.norm(), rtol=1e-4, atol=0)


def test_a_gradient_is_divided_by_the_corrected_moving_average_of_its_length() -> None:
    balance, decay = GradientBalance({"one": 2.0}, decay=0.9), 0.9
    lengths, average = [3.0, 5.0, 0.5], 0.0
    for step, length in enumerate(lengths, 1):
        halves = [torch.tensor([0.6 * length]), torch.tensor([0.8 * length])]  # one length over both tensors
        average = decay * average + (1 - decay) * length
        factor = 2.0 / (average / (1 - decay**step))
        made = balance("one", halves)
        torch.testing.assert_close(torch.cat(made), factor * torch.cat(halves))


def test_a_share_scales_the_weight_of_one_loss_only() -> None:
    balance = GradientBalance({"one": 2.0, "two": 3.0})
    balance.weigh({"two": 0.25})
    assert balance.weights.tolist() == [2.0, 0.75]


def test_both_of_a_pair_are_augmented_alike_and_gradients_flow() -> None:
    first = torch.rand(6, 3, 16, 20)
    second = first.clone().requires_grad_(True)
    torch.manual_seed(3)
    shown, other = augment_pair(first, second)
    torch.testing.assert_close(shown, other.detach(), rtol=0, atol=0)
    assert shown.shape == first.shape
    assert not torch.allclose(shown, first)
    assert torch.allclose(shown[0], shown[0]) and not torch.allclose(shown[0], augment_pair(first, first)[0][0])
    other.sum().backward()
    assert second.grad is not None and bool((second.grad != 0).any((1, 2, 3)).all())


def test_the_hole_and_the_frame_are_grey_and_the_hole_spans_two_fifths() -> None:
    shown, _ = augment_pair(torch.ones(64, 1, 40, 40), torch.ones(64, 1, 40, 40))
    grey = (shown == 0.5).float().mean((1, 2, 3))
    assert float(grey.min()) >= 0.03  # a quarter of the hole at least lies inside
    assert float(grey.max()) <= 0.16 + 0.125 * 2  # the hole's square, and the frame of a move of an eighth of both sides


def trunk_maps(count: int = 2) -> list[torch.Tensor]:
    return [torch.randn(count, 5, 13, 13), torch.randn(count, 6, 6, 6), torch.randn(count, 7, 3, 3)]


def test_mixed_maps_keep_their_places_and_every_tower_gives_a_score() -> None:
    judge = ProjectedDiscriminator(ProjectedConfig(mixed=(9, 8, 10, 12), pixels=(4, 6)), 3, (5, 6, 7), code_size=11)
    maps = trunk_maps()
    mixed = judge.mixing.fit(maps)(maps)
    assert [tuple(one.shape) for one in mixed] == [(2, 8, 13, 13), (2, 10, 6, 6), (2, 12, 3, 3)]
    assert judge(torch.rand(2, 3, 16, 16), mixed, torch.randn(2, 11)).shape == (2, 4)
    assert [tuple(tower(one).shape[1:]) for tower, one in zip(judge.towers, mixed, strict=False)] == [
        (12, 3, 3),
        (12, 3, 3),
        (12, 3, 3),
    ]


def test_scores_depend_on_the_code() -> None:
    judge = ProjectedDiscriminator(ProjectedConfig(mixed=(8, 10, 12), pixels=(4, 6)), 3, (5, 6, 7), code_size=11).eval()
    mixed, picture = judge.mixing(trunk_maps()), torch.rand(2, 3, 16, 16)
    first, second = (judge(picture, mixed, torch.randn(2, 11)) for _ in range(2))
    assert bool((first != second).all())


def test_a_mixing_has_nothing_to_train_and_carries_the_scale_of_real_maps() -> None:
    mixing, maps = FrozenMixing((5, 6, 7), (8, 8, 8)), trunk_maps(64)
    assert not list(mixing.parameters())
    scaled = mixing.fit([maps[0] * 100, maps[1], maps[2]])([maps[0] * 100, maps[1], maps[2]])
    plain = mixing.fit(maps)(maps)
    for one, other in zip(scaled, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_more_maps_than_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="gives 3 maps, expected at most 2"):
        ProjectedDiscriminator(ProjectedConfig(mixed=(4, 4)), 3, (5, 6, 7), code_size=4)


def test_the_sum_of_balanced_gradients_is_that_of_the_losses_apart() -> None:
    """The generator's gradient against backward passes of every loss alone, from the same random numbers."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(1, 5, 3, 2, 1), nn.Tanh(), nn.Conv2d(5, 6, 3, 2, 1)).requires_grad_(False).double()

    def look(pictures: torch.Tensor) -> list[torch.Tensor]:
        first = trunk[1](trunk[0](pictures))
        return [first, trunk[2](first)]

    generator = nn.Sequential(nn.Linear(4, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))).double()
    judge = ProjectedDiscriminator(ProjectedConfig(mixed=(3, 4), pixels=(4,)), 1, (5, 6), 4).double().eval()
    balance = Balanced().balance()
    still = torch.optim.SGD(judge.parameters(), 0.0), torch.optim.SGD(generator.parameters(), 0.0)
    pictures, code = torch.rand(3, 1, 8, 8).double(), torch.randn(3, 4).double()
    torch.manual_seed(5)
    BalancedUpdate(generator, judge, balance, look, look)(pictures, code, still[1], still[0])
    found = [weights.grad.clone() for weights in generator.parameters() if weights.grad is not None]

    made = generator(code)
    torch.manual_seed(5)
    shown, shown_made = augment_pair(pictures, made)
    maps = look(shown_made)
    own = [one.detach().requires_grad_(True) for one in maps]
    scores = judge(shown_made, judge.mixing(own), code)

    def unit(maps: list[torch.Tensor], others: list[torch.Tensor]) -> torch.Tensor:
        unit_length = ([nn.functional.normalize(one, dim=1) for one in some] for some in (maps, others))
        pairs = zip(*unit_length, strict=True)
        return sum(((a - b).square().sum(1).mean() for a, b in pairs), torch.zeros(()))

    grad = torch.autograd.grad
    features = grad(unit(own, look(shown)), own)
    projected = grad(-scores[:, :-1].mean(0).sum(), own, retain_graph=True)

    def scaled(weight: float, gradients: Any) -> list[torch.Tensor]:
        return [weight * gradient / torch.stack([one.norm() for one in gradients]).norm() for gradient in gradients]

    at_maps = [one + other for one, other in zip(scaled(0.5, features), scaled(0.6, projected), strict=True)]
    at_seen = scaled(0.9, grad(maps, shown_made, at_maps, retain_graph=True))[0]
    at_seen = at_seen + scaled(0.3, grad(-scores[:, -1].mean(), shown_made, retain_graph=True))[0]
    total = grad(shown_made, made, at_seen, retain_graph=True)[0]
    total = total + scaled(0.6, grad(unit(look(made), look(pictures)), made, retain_graph=True))[0]
    total = total + scaled(0.15, grad((made - pictures).abs().mean(), made, retain_graph=True))[0]
    expected = grad(made, list(generator.parameters()), total)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)


def test_the_adversary_comes_late_and_is_held_back_when_it_wins() -> None:
    rule = LateAdversary(wait=10, head_start=5, rise=20, learning_rate=1.0, warm_up=4)
    assert [rule.discriminator_rate(9, 0.0, 4.0), rule.discriminator_rate(10, 0.0, 4.0)] == [0.0, 1.0]
    assert rule.discriminator_rate(10, 0.0, 2.5) == pytest.approx(0.5)
    assert rule.discriminator_rate(10, 0.0, 0.2) == pytest.approx(0.05)
    assert [rule.share(15), rule.share(25), rule.share(99)] == [0.0, 0.5, 1.0]
    assert [rule.generator_rate(2.0, updates, 0.0) for updates in (0, 1, 9)] == [0.5, 1.0, 2.0]
    assert [rule.fall(done) for done in (0.0, 0.6, 0.8, 1.0)] == pytest.approx([1.0, 1.0, 0.5, 0.05])


def test_a_continued_training_lets_the_discriminator_learn_alone_first() -> None:
    rule = LateAdversary(wait=10, continued=True)
    assert rule.generator_rate(1.0, 9, 0.0) == 0.0 < rule.generator_rate(1.0, 10, 0.0)
    assert rule.discriminator_rate(0, 0.0, 4.0) > 0


@pytest.mark.parametrize("cache", [None, "float32"])
def test_the_balanced_training_is_an_option_of_the_generators_system(cache: Any, encoder: Path, tmp_path: Path) -> None:
    rule = Optimisation(learning_rate=0.01)
    system = GeneratorSystem(encoder, modulated=SMALL, balanced=BALANCED, optimisation=rule, cache_features=cache)
    fit(system, tmp_path, steps=4)
    assert int(system.updates) == 4
    network = read_network(tmp_path / "last.ckpt", "generator")
    assert isinstance(network, ModulatedGenerator)
    assert float(network.code_scale) > 0
    made = network(torch.rand(2, 12))
    assert made.shape == (2, 1, 8, 8) and bool(made.isfinite().all())
    assert (tmp_path / "reconstructions.png").is_file()
    assert set(SHOWN) <= {name.removeprefix("train/") for name in system.trainer.callback_metrics}


def test_a_balanced_training_goes_on_with_its_balance(encoder: Path, tmp_path: Path) -> None:
    first = GeneratorSystem(encoder, modulated=SMALL, balanced=BALANCED)
    fit(first, tmp_path, steps=4)
    again = GeneratorSystem(encoder, modulated=SMALL, balanced=BALANCED)
    trainer = Trainer(default_root_dir=tmp_path, max_epochs=2, limit_train_batches=3, limit_val_batches=0, **QUIET)
    data = ImageData("digits", image_size=8, channels=1, flip=False)
    trainer.fit(again, datamodule=data, ckpt_path=str(tmp_path / "last.ckpt"), weights_only=True)
    assert int(again.updates) == 7
    assert again.balanced_training is not None
    counts = dict(zip(again.balanced_training.balance.names, again.balanced_training.balance.count.tolist(), strict=True))
    assert (counts["image"], counts["projected"]) == (7, 6)  # the adversary waited for one update
    assert float(again.balanced_training.loss) != 4.0


def test_the_share_of_a_training_that_is_over_goes_by_time_where_time_is_limited() -> None:
    class Half(Timer):
        def time_elapsed(self, stage: Any = None) -> float:
            return 30.0

        def time_remaining(self, stage: Any = None) -> float:
            return 90.0

    limits: dict[str, Any] = {"max_epochs": 5, "max_steps": -1, "num_training_batches": 20}
    assert share_done(SimpleNamespace(callbacks=[Half("00:00:02:00")], **limits), 50, 2) == 0.25  # type: ignore[arg-type]
    assert share_done(SimpleNamespace(callbacks=[], **limits), 50, 2) == 0.5  # type: ignore[arg-type]
    endless = SimpleNamespace(callbacks=[], max_epochs=-1, max_steps=-1, num_training_batches=20)
    assert share_done(endless, 50) == 0.0  # type: ignore[arg-type]


def test_noise_and_balance_are_refused_together(encoder: Path) -> None:
    with pytest.raises(ValueError, match="knows no noise"):
        GeneratorSystem(encoder, balanced=BALANCED, noise=Noise(code=0.1))
