"""Conversion to bfloat16, and the one decider about it: what is measured, what is kept, and what a failure means."""

import copy
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_parts
from torch import Tensor, nn

from ppgn import acceleration

SHAPE = (12,)
CODE = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test; the file that measurements are kept in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ppgn" / "speed.json"


def networks() -> tuple[nn.Module, nn.Module]:
    parts = tiny_parts()
    return tuple(parts[name].eval().requires_grad_(False) for name in ("generator", "encoder"))  # type: ignore[return-value]


def starts() -> Tensor:
    return CODE[:2]


def precision_of(generator: Any, encoder: Any, **options: Any) -> tuple[str, str]:
    return acceleration.network_precision(generator, encoder, SHAPE, starts, device=torch.device("cpu"), **options)


def test_bfloat16_is_near_and_its_results_are_float32_and_the_network_keeps_its_type() -> None:
    generator, encoder = networks()
    quick = acceleration.Converted(generator, "bfloat16")
    image = quick(CODE)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, generator(CODE), atol=0.02, rtol=0.0)
    assert not torch.equal(image, generator(CODE))
    assert quick.config == generator.config
    assert next(generator.parameters()).dtype == torch.float32
    quick = acceleration.Converted(encoder, "bfloat16")
    assert {value.dtype for value in [*quick.maps(image), quick.logits_from_code(quick(image))]} == {torch.float32}
    with pytest.raises(ValueError, match="'float16', expected float32 or bfloat16"):
        acceleration.Converted(generator, "float16")


def test_a_copy_is_made_once_and_again_when_weights_change_and_float32_needs_none() -> None:
    generator, _ = networks()
    quick = acceleration.converted(generator, "bfloat16")
    assert acceleration.converted(generator, "bfloat16") is quick
    assert acceleration.converted(quick, "bfloat16") is quick
    assert acceleration.converted(generator, "float32") is generator
    before = quick(CODE)
    next(generator.parameters()).mul_(2.0)
    assert not torch.equal(acceleration.converted(generator, "bfloat16")(CODE), before)
    with pytest.raises(ValueError, match="got function to run in bfloat16, expected a torch.nn.Module"):
        acceleration.converted(lambda code: code, "bfloat16")


def test_cast_layers_compute_in_bfloat16_between_sums_in_float32() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Conv1d(1, 1, 1))
    cast = acceleration.cast_layers(network, "bfloat16")
    assert [next(layer.parameters()).dtype for layer in cast] == [torch.bfloat16, torch.bfloat16, torch.float32]
    assert next(network.parameters()).dtype == torch.float32


def test_maps_of_three_dimensions_have_no_layout_with_channels_last() -> None:
    assert acceleration.to_channels_last(nn.Sequential(nn.Conv3d(1, 1, 1)))


@pytest.mark.parametrize(
    ("trusted", "seconds", "cosine", "chosen"),
    [
        (True, (1.0, 0.3), None, "bfloat16"),
        (True, (1.0, 0.9), None, "float32"),
        (False, (1.0, 0.3), 0.95, "bfloat16"),
        (False, (1.0, 0.3), 0.85, "float32"),
        (False, (1.0, 0.9), None, "float32"),
    ],
)
def test_bfloat16_is_chosen_where_it_is_faster_and_trusted_or_its_gradients_agree(
    trusted: bool,
    seconds: tuple[float, float],
    cosine: float | None,
    chosen: str,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    measured: list[str] = []

    def timed(*ways: object, at: Tensor) -> dict[str, float]:
        measured.append("seconds")
        return dict(zip(("float32", "bfloat16"), seconds, strict=True))

    def agreed(first: Tensor, second: Tensor) -> float:
        measured.append("gradients")
        assert cosine is not None
        return cosine

    monkeypatch.setattr("ppgn.acceleration.timings.seconds_of_both", timed)
    monkeypatch.setattr("ppgn.acceleration.timings.agreement", agreed)
    generator, encoder = networks()
    with caplog.at_level(logging.INFO, "ppgn"):
        found = [precision_of(generator, encoder, key="tiny 1", trusted=trusted, who="tiny") for _ in range(2)]
        found.append(precision_of(*networks(), key="tiny 1", trusted=trusted, who="tiny"))  # as in another process
    assert {name for name, _ in found} == {chosen}
    assert measured == ["seconds", *(["gradients"] if cosine else [])]
    kept = json.loads(cache.read_text())
    of_both = dict(zip(("float32", "bfloat16"), seconds, strict=True))
    assert list(kept.values()) == [of_both, *([{"cosine": cosine}] if cosine else [])]
    assert [key.partition(" tiny 1")[2] for key in kept] == ["", *([" agreement"] if cosine else [])]
    assert caplog.text.count(f"tiny runs in {chosen}: a pass in bfloat16 takes {seconds[1]:.2f} of the time") == 2
    assert (cosine is not None) is (f"gradients agree to {cosine or 0:.3f}" in caplog.text)


def in_both(generator: nn.Module, encoder: nn.Module, has_classes: bool) -> list[float]:
    """The cosines of the gradients of half the mean square of E(G(code)) and of log p(first class), computed here."""

    def gradients(dtype: torch.dtype) -> list[Tensor]:
        decode, encode = (copy.deepcopy(network).to(dtype) for network in (generator, encoder))
        leaf = starts().clone().requires_grad_()
        code = encode(decode(leaf.to(dtype)))
        values = [code.float().square().mean() / 2]
        values += [encode.logits_from_code(code).float().log_softmax(1)[:, 0].sum()] if has_classes else []
        return [torch.autograd.grad(value, leaf, retain_graph=True)[0].flatten() for value in values]

    pairs = zip(gradients(torch.float32), gradients(torch.bfloat16), strict=True)
    return [float(nn.functional.cosine_similarity(*pair, 0)) for pair in pairs]


class Fast:
    """Makes bfloat16 twice as fast."""

    def __call__(self, *ways: Callable[[Tensor], Tensor], at: Tensor) -> dict[str, float]:
        assert [way(at).dtype for way in ways] == [torch.float32] * 2
        assert at.shape == (8, *SHAPE)
        return {"float32": 1.0, "bfloat16": 0.5}


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppgn.acceleration.timings.seconds_of_both", Fast())


@pytest.mark.parametrize("has_classes", [True, False])
@pytest.mark.usefixtures("fast")
def test_the_agreement_of_networks_is_the_lesser_one_of_the_code_and_the_first_class(has_classes: bool, cache: Path) -> None:
    generator, encoder = networks()
    precision_of(generator, encoder, has_classes=has_classes)
    found = [value["cosine"] for value in json.loads(cache.read_text()).values() if "cosine" in value]
    assert found == pytest.approx([min(in_both(generator, encoder, has_classes))], abs=1e-3)
    assert found[0] < 0.999


@pytest.mark.usefixtures("fast")
def test_an_agreement_below_zero_is_kept_too(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cosines = iter([0.7, -0.1])
    monkeypatch.setattr("ppgn.acceleration.timings.agreement", lambda first, second: next(cosines))
    for _ in range(2):
        assert precision_of(*networks(), has_classes=True, key="same")[0] == "float32"
    assert 0 < min(value.get("cosine", 1.0) for value in json.loads(cache.read_text()).values()) < 1e-30


@pytest.mark.usefixtures("fast")
def test_without_an_encoder_the_pictures_are_compared_and_without_a_key_the_weights_are_it(cache: Path) -> None:
    generator, encoder = networks()
    assert precision_of(generator, None)[0] == "bfloat16"
    assert len(json.loads(cache.read_text())) == 2
    precision_of(networks()[0], None)
    assert len(json.loads(cache.read_text())) == 2
    precision_of(generator, encoder)
    assert len(json.loads(cache.read_text())) == 4
    generator.to_pixels.bias.add_(1.0)  # type: ignore[union-attr,operator]
    precision_of(generator, None)
    assert len(json.loads(cache.read_text())) == 6


def test_networks_that_cannot_run_in_bfloat16_run_in_float32(caplog: pytest.LogCaptureFixture, cache: Path) -> None:
    class Picky(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, code: Tensor) -> Tensor:
            return self.network(code.float() @ torch.eye(code.shape[1]))

    generator, encoder = networks()
    with caplog.at_level(logging.INFO, "ppgn"):
        name, why = precision_of(Picky(generator), encoder, who="picky")
    assert name == "float32"
    assert why.startswith("bfloat16 could not be tried (RuntimeError: ")
    assert f"picky runs in float32: {why}" in caplog.text
    name, why = precision_of(lambda code: generator(code), encoder)
    assert (name, "expected a torch.nn.Module" in why) == ("float32", True)
    assert not cache.exists()


def test_gradients_agree_by_their_direction_and_those_that_are_not_finite_with_nothing() -> None:
    first, second = torch.tensor([1e-25, 2e-25]), torch.tensor([2e-25, 1e-25])
    assert acceleration.agreement(first, second) == pytest.approx(0.8)
    assert acceleration.agreement(first, 3 * first) == pytest.approx(1)
    for other in (torch.zeros(2), torch.tensor([torch.nan, 2.0]), torch.tensor([torch.inf, 2.0])):
        assert acceleration.agreement(first, other) == acceleration.agreement(other, first) == 0


def test_a_precision_without_hope_is_timed_once() -> None:
    calls: list[str] = []

    def way(name: str, seconds: float) -> Callable[[Tensor], Tensor]:
        def call(leaf: Tensor) -> Tensor:
            calls.append(name)
            time.sleep(seconds)
            return leaf

        return call

    found = acceleration.seconds_of_both(way("plain", 0.01), way("quick", 0.1), torch.zeros(2))
    assert calls == ["plain"] * 4 + ["quick"]
    assert found["bfloat16"] >= 0.1 > found["float32"] >= 0.01
    acceleration.seconds_of_both(way("plain", 0.02), way("quick", 0.01), torch.zeros(2))
    assert calls[5:] == ["plain"] * 4 + ["quick"] * 4


def test_seconds_of_both_precisions_are_measured_and_kept(cache: Path) -> None:
    precision_of(*networks(), key="tiny 2", trusted=True)
    kept = json.loads(cache.read_text())
    assert [set(value) for value in kept.values()] == [{"float32", "bfloat16"}]
    assert all(0 < seconds < 5 for value in kept.values() for seconds in value.values())
    precision_of(*networks(), key="tiny 2", trusted=True)
    assert json.loads(cache.read_text()) == kept


def test_a_spoilt_cache_and_a_missing_home_only_cost_a_measurement(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[float] = []

    def measure() -> dict[str, float]:
        measured.append(1.0)
        return {"seconds": 1.0}

    def kept() -> dict[str, float]:
        return acceleration.cached("key", ["seconds"], measure)

    assert kept() == kept() == {"seconds": 1.0}
    assert len(measured) == 1
    for spoilt in ("null", "[]", '{"key": null}', '{"key": {"seconds": -1}}', "{"):
        cache.write_text(spoilt)
        assert kept() == {"seconds": 1.0}
    assert len(measured) == 6

    def no_home() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert kept() == kept() == {"seconds": 1.0}
    assert len(measured) == 8


@pytest.mark.usefixtures("fast")
def test_a_choice_made_under_inference_mode_leaves_copies_that_can_be_differentiated() -> None:
    generator, encoder = networks()
    with torch.inference_mode():
        assert precision_of(generator, encoder)[0] in acceleration.DTYPES
        quick = acceleration.converted(generator, "bfloat16")
    assert float(acceleration.gradient(quick, CODE.clone()).abs().sum()) > 0
