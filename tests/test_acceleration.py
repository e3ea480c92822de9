"""Conversion to bfloat16, and the one decider about it: what it compares, and what a failure means."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_parts
from torch import Tensor, nn

from ppgn import acceleration

SHAPE = (12,)
CODE = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(3))


def networks() -> tuple[nn.Module, nn.Module]:
    parts = tiny_parts()
    return tuple(parts[name].eval().requires_grad_(False) for name in ("generator", "encoder"))  # type: ignore[return-value]


def starts() -> Tensor:
    return CODE[:2]


def precision_of(generator: Any, encoder: Any, **options: Any) -> tuple[str, str]:
    return acceleration.network_precision(generator, encoder, starts, device=torch.device("cpu"), **options)


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


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with units for bfloat16."""
    monkeypatch.setattr("ppgn.acceleration.precision.has_bfloat16_units", lambda device: True)


@pytest.mark.parametrize(
    ("trusted", "units", "cosine", "chosen"),
    [
        (True, True, None, "bfloat16"),
        (True, False, None, "float32"),
        (False, True, 0.95, "bfloat16"),
        (False, True, 0.85, "float32"),
        (False, False, None, "float32"),
    ],
)
def test_bfloat16_is_chosen_where_a_device_has_units_for_it_and_it_is_trusted_or_its_gradients_agree(
    trusted: bool,
    units: bool,
    cosine: float | None,
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    compared: list[float] = []

    def agreed(first: Tensor, second: Tensor) -> float:
        assert cosine is not None
        compared.append(cosine)
        return cosine

    monkeypatch.setattr("ppgn.acceleration.precision.has_bfloat16_units", lambda device: units)
    monkeypatch.setattr("ppgn.acceleration.precision.agreement", agreed)
    generator, encoder = networks()
    with caplog.at_level(logging.INFO, "ppgn"):
        found = [precision_of(generator, encoder, trusted=trusted, who="tiny") for _ in range(2)]
    assert {name for name, _ in found} == {chosen}
    assert compared == ([cosine] if cosine else [])  # once while the networks live
    assert caplog.text.count(f"tiny runs in {chosen}: ") == 1
    assert (cosine is not None) is (f"gradients agree to {cosine or 0:.3f}" in caplog.text)


@pytest.mark.parametrize(("flags", "found"), [("fpu amx_bf16 amx_tile", True), ("fpu avx512_bf16", False)])
def test_a_processor_has_units_for_bfloat16_where_the_system_says_so(
    flags: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr("ppgn.acceleration.precision.PROCESSOR", tmp_path / "cpuinfo")
    acceleration.has_bfloat16_units.cache_clear()
    assert acceleration.has_bfloat16_units(torch.device("cpu")) is found
    monkeypatch.setattr("ppgn.acceleration.precision.PROCESSOR", tmp_path / "no such system")
    acceleration.has_bfloat16_units.cache_clear()
    assert not acceleration.has_bfloat16_units(torch.device("cpu"))
    acceleration.has_bfloat16_units.cache_clear()


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


@pytest.mark.parametrize("has_classes", [True, False])
@pytest.mark.usefixtures("fast")
def test_the_agreement_of_networks_is_the_lesser_one_of_the_code_and_the_first_class(has_classes: bool) -> None:
    generator, encoder = networks()
    why = precision_of(generator, encoder, has_classes=has_classes)[1]
    found = float(why.removeprefix("gradients agree to "))
    assert found == pytest.approx(min(in_both(generator, encoder, has_classes)), abs=2e-3)
    assert found < 0.9995


@pytest.mark.usefixtures("fast")
def test_the_choice_is_made_again_when_weights_change(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr("ppgn.acceleration.precision.agreement", lambda first, second: calls.append("compared") or 0.95)
    generator, encoder = networks()
    for _ in range(2):
        assert precision_of(generator, None)[0] == "bfloat16"
    assert len(calls) == 1
    precision_of(generator, encoder)
    assert len(calls) == 2
    for network in (generator, encoder):
        next(network.parameters()).add_(1.0)
        precision_of(generator, encoder)
    assert len(calls) == 4


@pytest.mark.usefixtures("fast")
def test_networks_that_cannot_run_in_bfloat16_run_in_float32(caplog: pytest.LogCaptureFixture) -> None:
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


def test_gradients_agree_by_their_direction_and_those_that_are_not_finite_with_nothing() -> None:
    first, second = torch.tensor([1e-25, 2e-25]), torch.tensor([2e-25, 1e-25])
    assert acceleration.agreement(first, second) == pytest.approx(0.8)
    assert acceleration.agreement(first, 3 * first) == pytest.approx(1)
    for other in (torch.zeros(2), torch.tensor([torch.nan, 2.0]), torch.tensor([torch.inf, 2.0])):
        assert acceleration.agreement(first, other) == acceleration.agreement(other, first) == 0


@pytest.mark.usefixtures("fast")
def test_a_choice_made_under_inference_mode_leaves_copies_that_can_be_differentiated() -> None:
    generator, encoder = networks()
    with torch.inference_mode():
        assert precision_of(generator, encoder)[0] in acceleration.DTYPES
        quick = acceleration.converted(generator, "bfloat16")
    assert float(acceleration.gradient(quick, CODE.clone()).abs().sum()) > 0
