"""A plugged-in network in bfloat16: what it takes and gives, and when it is chosen."""

import importlib
import logging
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from torch import nn

import ppgn
from ppgn import acceleration, loaders
from ppgn.conditions import Unit
from ppgn.probe import Preprocessed, Probe


def built() -> Preprocessed:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))
    return Preprocessed(network, 8, (0.5, 0.4, 0.3), 0.25)


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_network_in_bfloat16_takes_and_gives_what_the_image_has() -> None:
    plain = built()
    quick = loaders.in_precision(plain, IMAGES, "bfloat16")
    assert (quick.network[0].weight.dtype, plain.network[0].weight.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(quick(IMAGES), plain(IMAGES), atol=0.02, rtol=0.02)
    assert not torch.equal(quick(IMAGES), plain(IMAGES))
    found = Probe(quick, ("0", "2"))(IMAGES)
    assert {value.dtype for value in found.values()} == {torch.float32} == {quick(IMAGES).dtype}
    gradients = []
    for seen in (plain, quick):
        leaf = IMAGES.clone().requires_grad_()
        gradients.append(torch.autograd.grad(Unit(seen, "2:1")(leaf).sum(), leaf)[0].flatten())
    assert gradients[1].dtype == torch.float32
    assert float(nn.functional.cosine_similarity(*gradients, 0)) > 0.99
    assert loaders.in_precision(quick, IMAGES) is quick
    assert loaders.in_precision(plain, IMAGES, "float32") is plain


def test_a_double_network_gives_floats_to_float_images() -> None:
    plain, double = built(), built()
    double.network.double()
    torch.testing.assert_close(double(IMAGES), plain(IMAGES))
    assert double(IMAGES.double()).dtype == torch.float64


@pytest.mark.parametrize(("agreement", "chosen"), [(0.99, torch.bfloat16), (0.5, torch.float32)])
def test_auto_takes_bfloat16_where_the_device_has_units_for_it_and_gradients_agree(
    agreement: float, chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ppgn.acceleration.precision.agreement", lambda first, second: agreement)
    assert loaders.in_precision(built(), IMAGES).network[0].weight.dtype == (
        chosen if acceleration.has_bfloat16_units(IMAGES.device) else torch.float32
    )
    monkeypatch.setattr("ppgn.acceleration.precision.has_bfloat16_units", lambda device: True)
    with caplog.at_level(logging.INFO, "ppgn"):
        found = loaders.in_precision(built(), IMAGES, layers=("2",))
    assert found.network[0].weight.dtype == chosen
    assert f"gradients agree to {agreement:.3f}" in caplog.text


def test_gradients_that_lead_elsewhere_are_no_agreement() -> None:
    """A sum of large numbers that cancel loses what is left of them in bfloat16."""

    class Cancels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([1000.0, -1001.3]))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            own = image.flatten(1)
            return own * self.weight[0] + own * self.weight[1]

    plain = Preprocessed(Cancels(), 8, 0.0, 1.0)
    one, other = (acceleration.gradient(seen, IMAGES) for seen in (plain, loaders.in_precision(plain, IMAGES, "bfloat16")))
    assert acceleration.agreement(one, other) < acceleration.AGREEMENT


def test_a_network_that_fails_in_bfloat16_stays_as_it_is_and_an_unknown_precision_is_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppgn.acceleration.precision.has_bfloat16_units", lambda device: True)

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.held = nn.Linear(3 * 64, 4), [torch.rand(4, 2)]  # which no .to() finds

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.linear(image.flatten(1)) @ self.held[0]

    seen = Preprocessed(Constant(), 8, 0.0, 1.0)
    with caplog.at_level(logging.INFO, "ppgn"):
        assert loaders.in_precision(seen, IMAGES, name="mine:seen") is seen
    assert "mine:seen runs in float32: bfloat16 could not be tried (RuntimeError" in caplog.text
    with pytest.raises(ValueError, match="expected auto, float32, bfloat16"):
        loaders.in_precision(seen, IMAGES, "half")


def test_a_stated_precision_is_taken_whatever_type_the_network_has() -> None:
    double = built()
    double.network.double()
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16), ("auto", torch.float64)):
        assert loaders.in_precision(double, IMAGES, precision).network[0].weight.dtype == dtype
    seen = built()
    seen.network.held = seen.network[0].weight.requires_grad_() * 2  # type: ignore[assignment] - such a tensor has no copy
    with pytest.raises(ValueError, match="mine:seen cannot be converted to bfloat16"):
        loaders.in_precision(seen, IMAGES, "bfloat16", name="mine:seen")
    assert loaders.in_precision(seen, IMAGES, name="mine:seen") is seen


def test_a_copy_made_under_inference_mode_can_be_differentiated_outside() -> None:
    with torch.inference_mode():
        quick = loaders.in_precision(built(), IMAGES, "bfloat16")
    leaf = IMAGES.clone().requires_grad_()
    assert float(torch.autograd.grad(quick(leaf).sum(), leaf)[0].abs().sum()) > 0


def test_the_benchmark_says_what_a_unit_reaches_each_way_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    network_precision = importlib.import_module("network_precision")
    torch.manual_seed(0)
    seen = Preprocessed(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)), 8, 0.5, 0.25)
    bundle = tiny_bundle()
    rows = [network_precision.of_unit(bundle, seen, "2", unit, 2, 3) for unit in (0, 1)]
    samples = ppgn.sample(bundle, Unit(seen, "2:1"), count=2, steps=3)
    assert rows[1]["float32"]["reached"] == pytest.approx(float(seen(samples.images)[:, 1].mean((1, 2)).mean()))
    assert rows[1]["network"]["reached"] == pytest.approx(rows[1]["float32"]["reached"], abs=0.02)
    assert 0.98 < rows[0]["agreement"] < 1.0
    told = network_precision.report([{**rows[0], way: {"reached": 2.0, "seconds": 1.0}} for way in ("float32", "network")] * 3)
    assert told.splitlines()[-1].startswith("| median | - | - | - |")
