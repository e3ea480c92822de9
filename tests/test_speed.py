"""Folding, layout, precision and compilation change the time and not the function; a step costs what it must, counted."""

import copy
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle
from torch import nn

from ppgn import bundle as bundles
from ppgn import measured, recipes, speed
from ppgn.conditions import ClassLogProb
from ppgn.metrics import Passes
from ppgn.probe import Seen
from ppgn.recipes import precision, wiring


def test_a_loaded_bundle_is_folded_and_only_an_unfolded_one_can_be_saved_again(tmp_path: Path) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    quick, plain = bundles.load_bundle(folder), bundles.load_bundle(folder, fold=False)
    code = torch.rand(3, *plain.code_shape)
    torch.testing.assert_close(quick.generator(code), plain.generator(code))
    assert plain.generator.upconvolutions[0][1].__class__ is nn.BatchNorm2d
    assert quick.generator.upconvolutions[0][1].__class__ is nn.Identity
    info = plain.info
    told: dict[str, Any] = {key: info[key] for key in ("name", "code", "image", "class_names", "recipe")}
    bundles.save_bundle(tmp_path / "again", parts=plain.parts, **told)
    with pytest.raises(bundles.BundleError, match="fold=False"):
        bundles.save_bundle(tmp_path / "folded", parts=quick.parts, **told)


def test_bfloat16_is_near_and_its_results_are_float32_and_the_bundle_keeps_its_own() -> None:
    bundle = tiny_bundle()
    quick = speed.Hastened(bundle.generator, "bfloat16")
    code = torch.rand(3, *bundle.code_shape)
    made = quick(code)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, bundle.generator(code), atol=0.02, rtol=0.0)
    assert not torch.equal(made, bundle.generator(code))
    assert quick.config == bundle.generator.config
    assert next(bundle.generator.parameters()).dtype == torch.float32
    encoder = speed.Hastened(bundle.encoder, "bfloat16")
    assert {one.dtype for one in [*encoder.maps(made), encoder.logits_from_code(encoder(made))]} == {torch.float32}
    with pytest.raises(ValueError, match="choose float32, bfloat16"):
        speed.Hastened(bundle.generator, "float16")


def test_samples_in_bfloat16_run_in_it_and_say_so() -> None:
    bundle = tiny_bundle()
    plain = recipes.sample(bundle, 1, count=2, steps=3)
    quick = recipes.sample(bundle, 1, count=2, steps=3, precision="bfloat16")
    assert quick.settings.precision == "bfloat16"
    assert not torch.equal(quick.images, plain.images)
    torch.testing.assert_close(quick.images, plain.images, atol=0.05, rtol=0.0)
    again = recipes.sample(bundle, 1, count=1, steps=3, seed=1, precision="bfloat16")
    torch.testing.assert_close(again.images[0], quick.images[1], atol=0.02, rtol=0.0)


@pytest.mark.parametrize(
    ("allowed", "seconds", "cosine", "chosen"),
    [
        (True, (1.0, 0.3), None, "bfloat16"),
        (True, (1.0, 0.9), None, "float32"),
        (False, (1.0, 0.3), 0.95, "bfloat16"),
        (False, (1.0, 0.3), 0.85, "float32"),
        (False, (1.0, 0.9), None, "float32"),
    ],
)
def test_auto_takes_bfloat16_where_it_is_faster_here_and_as_good_by_measurement_or_gradients(
    allowed: bool,
    seconds: tuple[float, float],
    cosine: float | None,
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle, measured = tiny_bundle(), []
    bundle.info["recipe"]["precisions"] = ["bfloat16"] if allowed else []

    def told(*ways: object, at: torch.Tensor) -> dict[str, float]:
        measured.append("seconds")
        return dict(zip(("float32", "bfloat16"), seconds, strict=True))

    def agreed(bundle: object) -> float:
        measured.append("gradients")
        assert cosine is not None
        return cosine

    monkeypatch.setattr("ppgn.measured.seconds_of_both", told)
    monkeypatch.setattr(precision, "agreement_of", agreed)
    monkeypatch.setattr(precision, "_said", set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with caplog.at_level(logging.INFO, "ppgn"):
        for _ in range(2):
            assert recipes.settings_for(bundle, precision="auto").precision == chosen
    assert measured == ["seconds", *(["gradients"] if cosine else [])]
    kept = list(json.loads((tmp_path / "ppgn" / "speed.json").read_text()).values())
    assert kept == [dict(zip(("float32", "bfloat16"), seconds, strict=True)), *([{"cosine": cosine}] if cosine else [])]
    assert caplog.text.count(f"runs in {chosen}: a step in bfloat16 takes {seconds[1]:.2f} of the time") == 1
    assert (cosine is not None) is (f"gradients agree to {cosine or 0:.3f}" in caplog.text)


def test_the_agreement_of_a_bundle_is_the_lesser_one_of_its_code_and_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tiny_bundle()
    code = precision.two_starts(bundle)

    def gradients(dtype: torch.dtype) -> list[torch.Tensor]:
        generator, encoder = (copy.deepcopy(part).to(dtype) for part in (bundle.generator, bundle.encoder))
        leaf = code.clone().requires_grad_()
        again = encoder(generator(leaf.to(dtype)))
        values = again.float().square().mean() / 2, encoder.logits_from_code(again).float().log_softmax(1)[:, 0].sum()
        return [torch.autograd.grad(value, leaf, retain_graph=True)[0].flatten() for value in values]

    pairs = zip(gradients(torch.float32), gradients(torch.bfloat16), strict=True)
    expected = min(float(nn.functional.cosine_similarity(*pair, 0)) for pair in pairs)
    assert precision.agreement_of(bundle) == pytest.approx(expected, abs=1e-3)
    assert expected < 0.99
    told = iter([0.7, 0.8, -0.1, 0.9])
    monkeypatch.setattr(measured, "agreement", lambda one, other: next(told))
    assert precision.agreement_of(bundle) == 0.7
    assert 0 < precision.agreement_of(bundle) < 1e-30


def test_auto_runs_in_float32_what_cannot_be_had_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, code: torch.Tensor) -> torch.Tensor:
            return self.network(code.float() @ torch.eye(code.shape[1]))

    bundle = tiny_bundle()
    bundle.parts["generator"] = Picky(bundle.generator)
    monkeypatch.setattr(precision, "_said", set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with caplog.at_level(logging.INFO, "ppgn"):
        assert recipes.settings_for(bundle, precision="auto").precision == "float32"
    assert "bfloat16 could not be tried (RuntimeError: " in caplog.text


def test_gradients_that_are_not_finite_agree_with_nothing() -> None:
    one = torch.tensor([1.0, 2.0])
    assert measured.agreement(one, 3 * one) == pytest.approx(1)
    for other in (torch.zeros(2), torch.tensor([torch.nan, 2.0]), torch.tensor([torch.inf, 2.0])):
        assert measured.agreement(one, other) == measured.agreement(other, one) == 0


def test_a_hopeless_precision_is_tried_once() -> None:
    calls: list[str] = []

    def way(name: str, seconds: float) -> Any:
        def call(leaf: torch.Tensor) -> torch.Tensor:
            calls.append(name)
            time.sleep(seconds)
            return leaf

        return call

    found = measured.seconds_of_both(way("plain", 0.01), way("quick", 0.1), torch.zeros(2))
    assert calls == ["plain"] * 4 + ["quick"]
    assert found["bfloat16"] >= 0.1 > found["float32"] >= 0.01
    assert len(calls) == 5
    measured.seconds_of_both(way("plain", 0.02), way("quick", 0.01), torch.zeros(2))
    assert calls[5:] == ["plain"] * 4 + ["quick"] * 4


def test_what_auto_measures_is_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tiny_bundle()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = precision.seconds_of(bundle)
    assert set(found) == {"float32", "bfloat16"}
    assert all(0 < value < 5 for value in found.values())
    assert precision.seconds_of(bundle) == found


def test_compilation_that_fails_is_said_once_and_the_network_runs_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: nn.Module) -> Any:
        def call(*given: Any) -> Any:
            raise RuntimeError("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    bundle = tiny_bundle()
    code = torch.rand(2, *bundle.code_shape)
    quick = speed.Hastened(bundle.generator, "float32", compiled=True)
    with pytest.warns(speed.CompileFailed, match="no compiler"):
        made = quick(code)
    assert torch.equal(made, bundle.generator(code))
    assert torch.equal(quick(code), made)
    wrong = torch.rand(2, 5)
    with pytest.raises(RuntimeError):
        quick(wrong)


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
    recipes.sample(bundle, 1, count=3, steps=4)
    assert counted.seen == {"ImageGenerator": [3] * 4, "Fc6Encoder": [3] * 4}
    for handle in counted.handles:
        handle.remove()
    assert [hooks_of(network) for network in networks] == before == [0, 0]
    for network in networks:
        assert all(one.grad is None and not one.requires_grad for one in network.parameters())


def test_a_weight_that_wants_a_gradient_gets_none_from_a_step() -> None:
    """The backward pass goes to the code alone, whatever a plugged network's weights ask for."""
    bundle = tiny_bundle()
    plugged = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(1))
    recipes.sample(bundle, lambda image: plugged(image)[:, 0], count=2, steps=2)
    assert all(one.grad is None for one in plugged.parameters())


def test_a_step_never_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a sampler's step turns a tensor into a number, a truth or a list."""
    bundle = tiny_bundle()
    settings = recipes.settings_for(bundle, steps=2, start="normal")
    objective = wiring.objective_for(bundle, [1, 2], settings)
    sampler = wiring.sampler_for(bundle, objective, settings)
    state = sampler.init(torch.rand(2, *bundle.code_shape), (0, 1))

    def waits(self: torch.Tensor, *given: object) -> None:
        raise AssertionError("a step waits for the device")

    for name in ("__bool__", "item", "tolist", "__float__", "__int__", "numpy", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    state, _ = sampler.step(state)
    assert sampler.step(state)[0].step == 2


def test_a_network_that_takes_views_of_its_maps_can_be_plugged_in() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 9, 2)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            maps = nn.functional.max_pool2d(self.convolution(image), 2)
            return self.head(maps.view(len(maps), -1))

    seen = Seen(Views(), 8, 0.0, 1.0)
    recipes.sample(tiny_bundle(), ClassLogProb(seen, 1), count=2, steps=2)
    assert speed.laid_out(nn.Sequential(nn.Conv3d(1, 1, 1)))  # maps of three dimensions have no such layout


def test_weights_that_change_are_seen_in_bfloat16_too() -> None:
    bundle = tiny_bundle()
    before = recipes.sample(bundle, 1, count=1, steps=2, precision="bfloat16").images
    bundle.generator.to_pixels.bias.add_(1.0)
    after = recipes.sample(bundle, 1, count=1, steps=2, precision="bfloat16").images
    assert float((after - before).abs().min()) > 0.01


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_samples_are_made_under_any_mode_and_outside_it_again(mode: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle = tiny_bundle()
    bundle.info["recipe"]["precisions"] = ["bfloat16"]
    with mode():
        inside = [recipes.sample(bundle, 1, count=1, steps=2, precision=one).images for one in ("auto", "bfloat16")]
    outside = recipes.sample(bundle, 1, count=1, steps=2, precision="bfloat16").images
    assert torch.equal(inside[1], outside)


def test_a_spoilt_cache_and_a_missing_home_are_no_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tiny_bundle()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    precision.seconds_of(bundle)
    file = tmp_path / "ppgn" / "speed.json"
    for spoilt in ("null", "[]", json.dumps(dict.fromkeys(json.loads(file.read_text()))), "{"):
        file.write_text(spoilt)
        assert precision.seconds_of(bundle)["float32"] > 0
    monkeypatch.setattr(measured, "_kept_in", lambda: None)
    assert precision.seconds_of(bundle)["float32"] > 0


@pytest.mark.parametrize("recipe", recipes.NAMED)
def test_a_named_method_is_float32_and_tries_once_whatever_the_bundle_does(recipe: str) -> None:
    bundle = tiny_bundle()
    stored = bundle.info["recipe"]
    stored["settings"].update(tries=3, precision="bfloat16")
    stored["caption"] = {"tries": 2}
    for kind in ("class", "caption", "plugged"):
        settings = recipes.settings_for(bundle, recipe, kind=kind)
        assert (settings.tries, settings.precision) == (1, "float32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_passes_are_counted_where_they_are_made_and_no_hook_stays(precision: str) -> None:
    bundle = tiny_bundle()
    settings = recipes.settings_for(bundle, steps=4, precision=precision)
    for _ in range(2):
        with Passes(recipes.running(bundle, settings)) as passes:
            recipes.sample(bundle, 1, count=3, steps=4, precision=precision)
        assert (passes.counts["generator"], passes.counts["encoder"]) == (12, 12)
    assert sum(hooks_of(network) for network in recipes.running(bundle, settings).values()) == 0
