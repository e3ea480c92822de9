"""Reports of what a unit wants: the parts against closed forms, a whole report, a killed run, and the command."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_bundle
from torch import Tensor, nn

import ppgn
from ppgn import explanation, images, requests
from ppgn.bundle import Bundle
from ppgn.cli import main
from ppgn.evaluation import between_chains
from ppgn.explanation import ExplainOptions, Pictures, Reading, Study, Target
from ppgn.networks import NoiseLevelDenoiser, NoiseLevelDenoiserConfig
from ppgn.probe import Passes, Preprocessed

QUICK: dict[str, Any] = {
    "top": 2, "facets": 2, "per_facet": 1, "facet_steps": 2, "method": "", "strengths": (1.0,), "chains": 2, "steps": 16,
    "nearby": 1, "nearby_steps": 2, "where": 1, "pictures": 40,
}  # fmt: skip


def target(function: Callable[[Tensor], Tensor]) -> Target:
    return Target(requests.function(function), None, lambda: Passes({}))


def test_a_sweep_of_a_linear_world_has_the_known_mean_spread_and_correlation() -> None:
    # r = w . z with z ~ N(0, I): p(z) exp(lambda r / |w|) is N(lambda w / |w|, I), so r / |w| is N(lambda, 1).
    weight = torch.tensor([3.0, -4.0, 12.0])
    options = ExplainOptions(chains=100, steps=200, step_size=0.3)
    response = target(lambda image: image[:, 0, 0] @ weight)
    found = explanation.sampled(lambda noise: noise[:, None, None], (3,), response, (0.0, 2.0), 13.0, options, lambda count: None)
    series = found.responses[..., 100:] / 13
    assert series.mean((1, 2)).tolist() == pytest.approx([0, 2], abs=0.1)
    assert series.flatten(1).std(1).tolist() == pytest.approx([1, 1], rel=0.05)
    for chains in series:
        known = between_chains(chains)
        rho = ppgn.evaluation.autocorrelation(chains - chains.mean())[1]
        assert float(rho) == pytest.approx(0.7, abs=0.05)  # 1 - step_size
        tau = 1.7 / 0.3  # (1 + rho) / (1 - rho)
        assert known["tau"] == pytest.approx(tau, rel=0.2)
        mixed = explanation.mixed_r_hat(133, 0.3)  # of which 100 steps count
        assert mixed is not None and known["r_hat"] == pytest.approx(mixed, abs=0.01)


def test_chains_that_stay_apart_have_a_large_r_hat_and_few_independent_values() -> None:
    noise = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
    mixed, apart = between_chains(noise), between_chains(noise + 3 * torch.arange(4)[:, None])
    assert mixed["r_hat"] == pytest.approx(1, abs=0.02) and mixed["effective"] > 250
    assert apart["r_hat"] > 3 and apart["effective"] < 12
    assert math.isnan(between_chains(torch.ones(2, 8))["r_hat"])
    with pytest.raises(ValueError, match="at least 8 steps"):
        between_chains(noise[:, :7])


def linear_study(count: int = 200) -> Study:
    """Pictures of 2 x 2 noise; the target is the first pixel; a second network sees the pixels and their negatives."""
    torch.manual_seed(0)
    values = (torch.rand(count, 1, 2, 2) * 255).to(torch.uint8)
    pictures = Pictures(tuple(map(str, range(count))), torch.zeros(count, dtype=torch.long), values)
    network = nn.Sequential(nn.Conv2d(1, 4, 2, bias=False), nn.Flatten())
    weight: Any = network[0].weight
    weight.data.copy_(torch.eye(4).reshape(4, 1, 2, 2) * torch.tensor([-1.0, 2, 1, 1])[:, None, None, None])
    second = explanation.Second("second", ppgn.probe.Probe(Preprocessed(network, None, 0.0, 1.0), "0"))
    one = target(lambda image: image[:, 0, 0, 1])
    images_ = pictures.images()
    return Study(ppgn.load("pixels:2x2x1"), one, pictures, one.measured(images_), None, second, second.vectors(images_))


def test_transfer_finds_the_matching_unit_and_only_exciting_sets_pass_the_percentile() -> None:
    study = linear_study()
    low, high = torch.zeros(3, 2, 1, 2, 2), torch.ones(3, 2, 1, 2, 2)
    found = explanation.transferred(study, {"synthetic": high, "control": low}, lambda count: None).data
    assert (found["layer"], found["unit"], found["candidates"]) == ("0", 1, 4)
    assert found["correlation"] == pytest.approx(1, abs=1e-5)
    assert found["threshold"] == pytest.approx(2 * float(study.responses.quantile(0.95)), abs=0.1)  # of a half
    assert found["sets"]["synthetic"] == {"mean": 2, "low": 2, "high": 2, "count": 6, "groups": 3, "share_above": 1}
    assert found["sets"]["real"]["mean"] > found["threshold"] and found["sets"]["real"]["count"] == 9
    assert found["verdict"] is True and found["sets"]["control"]["share_above"] == 0


def test_the_control_has_the_norm_of_the_unit_and_nothing_in_common_with_it() -> None:
    network = Preprocessed(nn.Sequential(nn.Conv2d(3, 8, 1)), None, 0.0, 1.0)
    weight = torch.zeros(8)
    weight[2] = 2.0
    one = Target(requests.unit(network, "0:2"), Reading(network, "0", weight), lambda: Passes({}))
    control = one.control(0)
    assert control is not None and control.reading is not None
    assert float(control.reading.weight.norm()) == pytest.approx(2)
    assert float(control.reading.weight @ weight) == pytest.approx(0, abs=1e-6)
    picture = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(control.response(picture), control.reading.vectors(picture) @ control.reading.weight)
    assert torch.equal(control.reading.weight, one.control(0).reading.weight)  # type: ignore[union-attr]
    assert not torch.equal(control.reading.weight, one.control(1).reading.weight)  # type: ignore[union-attr]


def folder_of_pictures(root: Path, count: int = 40) -> Path:
    torch.manual_seed(1)
    for number in range(count):
        images.save_image(torch.rand(3, 8, 8), images.make_folder(root / f"class{number % 2}") / f"{number}.png")
    return root


def make_bundle() -> Bundle:
    """The tiny bundle with a score model of its codes."""
    bundle = tiny_bundle()
    torch.manual_seed(3)
    model = NoiseLevelDenoiser(NoiseLevelDenoiserConfig(code_size=12, width=8, blocks=1, steps=3))
    return replace(bundle, parts={**bundle.parts, "noise_level": model.eval().requires_grad_(False)})


def network() -> Preprocessed:
    torch.manual_seed(2)
    return Preprocessed(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten()), None, 0.0, 1.0)


def test_a_report_is_whole_and_a_killed_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    bundle, folder = make_bundle(), folder_of_pictures(tmp_path / "pictures")
    wanted = requests.unit(network(), "0:0,1")
    seen: list[str] = []

    def kill(count: int, total: int, what: str) -> None:
        seen.append(what)
        if what.endswith("0:1: sweep"):
            raise KeyboardInterrupt

    given = {"folder": folder, "second": network(), **QUICK}
    with pytest.raises(KeyboardInterrupt):
        explanation.explain(bundle, wanted, tmp_path / "out", watch=kill, **given)
    first = json.loads((tmp_path / "out" / "0_0" / "report.json").read_text())
    assert list(first["parts"]) == list(explanation.PARTS)
    seen.clear()
    kept: list[Any] = []
    given |= {"watch": lambda count, total, what: seen.append(what), "on_kept": kept.append}
    reports = explanation.explain(bundle, wanted, tmp_path / "out", **given)
    assert kept == [{"0:0": list(explanation.PARTS), "0:1": ["real", "synthetic"]}]
    assert {what for what in seen if ":" in what} == {f"0:1: {part}" for part in ("sweep", "nearby", "where", "transfer")}
    assert [report["name"] for report in reports] == ["0:0", "0:1"]
    assert reports[0]["parts"] == first["parts"]
    for place in ("0_0", "0_1"):
        page = (tmp_path / "out" / place / "report.html").read_text()
        assert "<html" in page and "http" not in page.replace("http-equiv", "")
    assert "0_1/report.html" in (tmp_path / "out" / "index.html").read_text()
    with pytest.raises(ValueError, match="another options"):
        explanation.explain(bundle, wanted, tmp_path / "out", **{**given, "seed": 1})


def test_parts_that_show_others_are_made_anew_with_them(tmp_path: Path) -> None:
    bundle, wanted = make_bundle(), requests.unit(network(), "0:0")
    given = {"folder": folder_of_pictures(tmp_path / "pictures"), "second": network(), **QUICK}
    (report,) = explanation.explain(bundle, wanted, tmp_path / "out", parts=["real", "transfer", "where"], **given)
    assert report["parts"]["transfer"]["sets"].keys() == {"real"} and len(report["parts"]["where"]["rows"]) == 1

    def kill(count: int, total: int, what: str) -> None:
        if what.endswith("sweep"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explanation.explain(bundle, wanted, tmp_path / "out", parts=["synthetic", "sweep"], watch=kill, **given)
    (report,) = explanation.explain(bundle, wanted, tmp_path / "out", **given)
    assert set(report["parts"]["transfer"]["sets"]) == {"real", "synthetic", "control", "sweep", "sweep_control"}
    assert len(report["parts"]["where"]["rows"]) == 2
    other = network()
    other.network[0].weight.data.mul_(2)  # type: ignore[index]
    with pytest.raises(ValueError, match="another second_weights"):
        explanation.explain(bundle, wanted, tmp_path / "out", **{**given, "second": other})


def test_a_class_of_the_bundle_is_explained_under_priors_of_bundles_without_classes(tmp_path: Path) -> None:
    bundle, folder = make_bundle(), folder_of_pictures(tmp_path / "pictures")
    given = {**QUICK, "method": "lucid", "method_steps": 1, "bundles": [bundle], "folder": folder, "parts": ["synthetic"]}
    (report,) = explanation.explain(bundle, requests.parse(bundle, class_=["tench"]), tmp_path / "out", **given)
    sources = report["parts"]["synthetic"]["sources"]
    assert [one["kind"] for one in sources] == ["learned prior", "learned prior", "hand-made prior"]
    pictures = [row["picture"] for one in sources for row in one["images"]]
    assert len(set(pictures)) == len(pictures)  # the same bundle twice


def test_folders_of_targets_are_different_on_any_disk() -> None:
    folders_of = importlib.import_module("ppgn.explanation.folder").folders_of
    names = ["../a:b", "a_b", "A b", "\u732b", "\u72ac", "layer4.1:17@centre", "x" * 300]
    assert folders_of(names) == ["a_b", "a_b_2", "A_b_3", "target", "target_2", "layer4.1_17@centre", "x" * 100]


def test_the_second_network_gets_pictures_on_the_device_of_the_bundle() -> None:
    class Seen:
        def vectors(self, image: Tensor) -> dict[str, Tensor]:
            return {"0": torch.ones(len(image), 4) if image.device.type == "meta" else torch.zeros(0)}

    study: Any = replace(linear_study(), bundle=SimpleNamespace(device=torch.device("meta")), second=Seen())  # type: ignore[arg-type]
    assert study.distances(torch.zeros(2, 1, 2, 2)).shape == (2, 200)


def attention() -> Preprocessed:
    """Patches as tokens, and attention with two heads."""

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 8, 2, stride=2)
            self.attn = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, image: Tensor) -> Tensor:
            tokens = self.patches(image).flatten(2).mT
            return self.attn(tokens, tokens, tokens, need_weights=False)[0]

    torch.manual_seed(0)
    return Preprocessed(Tokens(), None, 0.0, 1.0)


def test_heads_of_attention_and_directions_of_its_output_are_measured_as_they_respond(tmp_path: Path) -> None:
    bundle, network = make_bundle(), attention()
    pictures = folder_of_pictures(tmp_path / "pictures")
    for wanted in (requests.unit(network, "attn:1"), requests.direction(network, "attn", torch.randn(8))):
        (report,) = explanation.explain(
            bundle, wanted, tmp_path / wanted.names[0], folder=pictures, parts=["real", "sweep"], **QUICK
        )
        (row,) = report["parts"]["real"]["top"][:1]
        image = images.load_image(pictures / row["file"], (8, 8), 1)[None]
        assert float(wanted.condition(Passes({}))(image)) == pytest.approx(row["response"], abs=1e-5)
        assert (report["parts"]["sweep"]["control"] is None) == (wanted.names[0] == "attn:1")


def test_responses_that_are_not_finite_and_short_chains_and_grey_pictures_make_a_report(tmp_path: Path) -> None:
    second = Preprocessed(nn.Sequential(nn.Conv2d(3, 4, 3)), None, [0.5] * 3, [1.0] * 3)
    bright = requests.function(lambda image: image.mean((1, 2, 3)).sub(0.5).sqrt())
    given = {**QUICK, "steps": 1, "second": second, "folder": folder_of_pictures(tmp_path / "pictures")}
    (report,) = explanation.explain(make_bundle(), bright, tmp_path / "out", parts=["real", "transfer"], **given)
    real, transfer = report["parts"]["real"], report["parts"]["transfer"]
    assert real["count"] == 40 and len(real["top"]) > 0 and (transfer.get("left_out") or math.isfinite(transfer["correlation"]))
    (report,) = explanation.explain(
        make_bundle(), requests.unit(network(), "0:0"), tmp_path / "short", parts=["sweep"], **{**given, "pictures": 1}
    )
    assert report["parts"]["sweep"]["std"] == 1 and report["parts"]["sweep"]["autocorrelation"]["unit"] == []


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    bundle, folder = make_bundle(), folder_of_pictures(tmp_path / "pictures")
    counts: list[tuple[int, int]] = []
    watch = lambda count, total, what: counts.append((count, total))  # noqa: E731
    explanation.explain(bundle, requests.unit(network(), "0:0"), tmp_path / "out", folder=folder, watch=watch, **QUICK)
    assert len({total for _, total in counts}) == 1
    assert sum(count for count, _ in counts) == counts[0][1]


def test_without_real_pictures_the_prior_s_take_their_place(tmp_path: Path) -> None:
    (report,) = explanation.explain(make_bundle(), requests.unit(network(), "0:0"), tmp_path, parts=["real", "sweep"], **QUICK)
    assert report["pictures"] == {"folder": None, "count": 40, "skipped": []}
    assert report["parts"]["real"]["count"] == 40


def test_the_command_explains_a_unit_of_the_bundle_and_refuses_what_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of_pictures(tmp_path / "pictures")
    few = ["--top", "2", "--parts", "real", "--images", str(folder), "--out", str(tmp_path / "out")]
    assert main(["explain", "imagenette64", "--unit", "trunk.12:7", *few]) == 0
    assert "report.html" in capsys.readouterr().out and (tmp_path / "out" / "real" / "top_0.png").is_file()
    for words, said in (
        (["--unit", "trunk.1222:7"], "no layer"),
        (["--unit", "trunk.12:7", "--second-weights", "a.pth"], "--second"),
        (["--unit", "trunk.12:7", "--step-size", "2"], "between 0 and 1"),
        (["--unit", "trunk.12:7", "--second", "bundle:classifier"], "another network than is explained"),
        ([], "nothing to explain"),
    ):
        assert main(["explain", "imagenette64", *words, *few]) == 2
        assert said in capsys.readouterr().err


def test_both_facets_of_a_unit_that_is_the_maximum_of_two_are_found_in_ten_of_ten_runs() -> None:
    """Pictures that are bright on the left, on the right, or nowhere; the unit takes the brighter side."""
    torch.manual_seed(0)
    sides = torch.zeros(60, 1, 8, 8)
    sides[:20, :, :, :4] = sides[20:40, :, :, 4:] = 0.8
    values = (sides + 0.2 * torch.rand(60, 1, 8, 8)).mul(255).to(torch.uint8)
    pictures = Pictures(tuple(map(str, range(60))), torch.zeros(60, dtype=torch.long), values)

    def left(image: Tensor) -> Tensor:
        return image[..., :4].mean((1, 2, 3)) - image[..., 4:].mean((1, 2, 3))

    unit = target(lambda image: torch.maximum(left(image), -left(image)))
    shown = pictures.images()
    synthetic = explanation.PARTS["synthetic"]
    for seed in range(10):
        options = ExplainOptions(facets=2, per_facet=2, facet_steps=10, method="", seed=seed)
        study = Study(ppgn.load("pixels:8x8x1"), unit, pictures, unit.measured(shown), shown, None, {}, options)
        made = synthetic.synthetic(study, lambda count: None)
        rows = made.data["sources"][0]["images"]
        drawn = torch.stack([torch.from_numpy(np.array(made.pictures[row["picture"]])) for row in rows])[:, None] / 255
        facet = torch.tensor([row["facet"] for row in rows])
        found = {bool(left(drawn[facet == one]).mean() > 0) for one in (0, 1)}
        assert found == {True, False}, seed
        assert all(row["response"] > 0.6 for row in rows)


@pytest.mark.parametrize("kind", ["latent", "direction", "function", "class", "before the activation"])
def test_whatever_can_be_asked_for_gets_a_report(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(4)
    weight, bias, offset = torch.randn(5, 4), torch.randn(5), torch.randn(4)
    one, folder = network(), folder_of_pictures(tmp_path / "pictures")
    wanted: Any = {
        "latent": lambda: requests.latent(one, "0", weight, bias, 3, offset=offset),
        "direction": lambda: requests.direction(one, "0", weight[0]),
        "function": lambda: requests.function(lambda image: image.mean((1, 2, 3))),
        "class": lambda: "tench",
        "before the activation": lambda: requests.unit(one, "1:2", activation="before"),
    }[kind]()
    (report,) = explanation.explain(make_bundle(), wanted, tmp_path / "out", folder=folder, second=network(), **QUICK)
    parts = report["parts"]
    assert list(parts) == list(explanation.PARTS)
    sees_a_layer = kind not in ("function", "class")
    assert (parts["sweep"]["control"] is not None) == sees_a_layer
    assert [source["kind"] for source in parts["synthetic"]["sources"]] == ["learned prior"] + ["control"] * sees_a_layer
    if kind == "latent":
        shown = images.load_image(folder / parts["real"]["top"][0]["file"], channels=1)
        value = one.network[0](shown[None]).mean((2, 3))  # type: ignore[index]
        best = float(((value - offset) @ weight[3] + bias[3])[0])
        assert parts["real"]["top"][0]["response"] == pytest.approx(best, abs=0.02)


def test_targets_are_those_of_a_report_and_their_maps_are_had_without_one() -> None:
    bundle = make_bundle()
    one, other = explanation.targets(bundle, requests.unit(network(), "0:0,1"))
    assert (one.name, other.name) == ("0:0", "0:1")
    image = torch.rand(1, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(network().network[0](image)[:, 1].mean(), image)  # type: ignore[index]
    values = explanation.maps(other, image.detach(), ["saliency"])["saliency"]
    torch.testing.assert_close(values.float(), gradient[:, 0].abs())


def test_the_command_says_which_parts_were_there_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of_pictures(tmp_path / "pictures", 4)
    command = ["explain", "imagenette64", "--top", "2", "--where", "1", "--images", str(folder), "--out", str(tmp_path / "out")]
    for parts, said in (
        (["real"], None),
        (["real"], "kept 2 of 2 parts that were there: all of 2 targets"),
        (["real", "where"], "kept 2 of 4 parts that were there: real of 2 targets"),
    ):
        assert main([*command, "--unit", "trunk.12:7,8", "--parts", *parts]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kept")]
        assert lines == ([] if said is None else [said])
    (tmp_path / "out" / "trunk.12_8" / "where" / "real_0.png").unlink()
    assert main([*command, "--unit", "trunk.12:7,8", "--parts", "where", "real"]) == 0
    said = "kept 3 of 4 parts that were there: all of trunk.12:7; real of trunk.12:8"
    assert said in capsys.readouterr().out.splitlines()
