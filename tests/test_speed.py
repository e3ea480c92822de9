"""A step costs what it must, counted: passes, gradients, hooks and waits; and lower precision is taken where a recipe says so."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle
from torch import nn

import ppgn
from ppgn import recipes, requests
from ppgn.bundle import load_bundle
from ppgn.conditions import ClassLogProb
from ppgn.evaluation import PassCounter
from ppgn.probe import Preprocessed


def test_a_loaded_bundle_is_folded_and_its_generator_is_the_same_function(tmp_path: Path) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    folded, plain = load_bundle(folder), load_bundle(folder, fold=False)
    code = torch.rand(3, *plain.code.shape)
    torch.testing.assert_close(folded.generator(code), plain.generator(code))
    assert type(plain.generator.upconvolutions[0][1]) is nn.BatchNorm2d
    assert type(folded.generator.upconvolutions[0][1]) is nn.Identity


def test_samples_in_bfloat16_run_in_it_and_say_so() -> None:
    bundle = tiny_bundle()
    plain = ppgn.sample(bundle, 1, count=2, steps=3)
    quick = ppgn.sample(bundle, 1, count=2, steps=3, precision="bfloat16")
    assert quick.recipe.precision == "bfloat16"
    assert not torch.equal(quick.images, plain.images)
    torch.testing.assert_close(quick.images, plain.images, atol=0.05, rtol=0.0)
    again = ppgn.sample(bundle, 1, count=1, steps=3, seed=1, precision="bfloat16")
    torch.testing.assert_close(again.images[0], quick.images[1], atol=0.02, rtol=0.0)


class Counted:
    """Forward passes of networks, by the batch they saw."""

    def __init__(self, *networks: nn.Module) -> None:
        self.seen: dict[str, list[int]] = {type(network).__name__: [] for network in networks}
        self.handles = [network.register_forward_pre_hook(self._count) for network in networks]

    def _count(self, network: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self.seen[type(network).__name__].append(len(given[0]))


def hooks_of(network: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


def test_a_step_runs_generator_and_encoder_once_and_makes_no_weight_gradient_and_leaves_no_hook() -> None:
    bundle = tiny_bundle()
    networks = [bundle.generator, bundle.encoder]
    before = [hooks_of(network) for network in networks]
    counted = Counted(*networks)
    ppgn.sample(bundle, 1, count=3, steps=4)
    assert counted.seen == {"ImageGenerator": [3] * 4, "Fc6Encoder": [3] * 4}
    for handle in counted.handles:
        handle.remove()
    assert [hooks_of(network) for network in networks] == before == [0, 0]
    for network in networks:
        assert all(one.grad is None and not one.requires_grad for one in network.parameters())


def test_a_weight_that_wants_a_gradient_gets_none_from_a_step() -> None:
    """The backward pass goes to the code alone, whatever a plugged network's weights ask for."""
    plugged = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(1))
    ppgn.sample(tiny_bundle(), lambda image: plugged(image)[:, 0], count=2, steps=2)
    assert all(one.requires_grad and one.grad is None for one in plugged.parameters())


def test_a_step_never_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a sampler's step turns a tensor into a number, a truth or a list."""
    bundle = tiny_bundle()
    request = requests.classes(bundle, [1, 2])
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, steps=2, start="normal"), request)
    objective, sampler = recipes.objective(setup, request), setup.sampler()
    state = sampler.init(torch.rand(2, *bundle.code.shape), (0, 1))

    def waits(self: torch.Tensor, *given: object) -> None:
        raise AssertionError("a step waits for the device")

    for name in ("__bool__", "item", "tolist", "__float__", "__int__", "numpy", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    state, _ = sampler.step(state, objective)
    assert sampler.step(state, objective)[0].step == 2


def test_a_network_that_takes_views_of_its_maps_can_be_plugged_in() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 9, 2)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            maps = nn.functional.max_pool2d(self.convolution(image), 2)
            return self.head(maps.view(len(maps), -1))

    seen = Preprocessed(Views(), 8, 0.0, 1.0)
    assert len(ppgn.sample(tiny_bundle(), ClassLogProb(seen, 1), count=2, steps=2)) == 2


def test_weights_that_change_are_seen_in_bfloat16_too() -> None:
    bundle = tiny_bundle()
    before = ppgn.sample(bundle, 1, count=1, steps=2, precision="bfloat16").images
    bundle.generator.to_pixels.bias.add_(1.0)
    after = ppgn.sample(bundle, 1, count=1, steps=2, precision="bfloat16").images
    assert float((after - before).abs().min()) > 0.01


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_samples_are_made_under_any_mode_and_outside_it_again(mode: Any) -> None:
    bundle = tiny_bundle()
    bundle.precisions = ("bfloat16",)
    with mode():
        inside = [ppgn.sample(bundle, 1, count=1, steps=2, precision=one).images for one in ("auto", "bfloat16")]
    outside = ppgn.sample(bundle, 1, count=1, steps=2, precision="bfloat16").images
    assert torch.equal(inside[1], outside)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_passes_are_counted_where_they_are_made_and_no_hook_stays(precision: str) -> None:
    bundle = tiny_bundle()
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, steps=4, precision=precision), requests.classes(bundle, 1))
    for _ in range(2):
        with PassCounter(setup.networks) as passes:
            ppgn.sample(bundle, 1, count=3, steps=4, precision=precision)
        assert (passes.counts["generator"], passes.counts["encoder"]) == (12, 12)
    assert sum(hooks_of(network) for network in setup.networks.values()) == 0
