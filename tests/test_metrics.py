"""The measures of quality, against closed forms and independent implementations."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_bundle
from PIL import Image
from torch import Tensor, nn

from ppgn import metrics, named, recipes
from ppgn.probe import Seen


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_accuracy_confusion_and_calibration_of_a_hand_made_table() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    told = metrics.classified(probabilities.log(), torch.tensor([0, 1, 1, 0]))
    assert told["accuracy"] == pytest.approx(0.75)
    assert told["standard_error"] == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert told["per_class"] == pytest.approx([1.0, 0.5])
    assert told["confusion"] == [[2, 0], [1, 1]]
    # two pictures of confidence 0.9 are right half of the time; one of 0.8 and one of 0.6 are right
    assert told["calibration_error"] == pytest.approx((2 * abs(0.9 - 0.5) + abs(0.8 - 1) + abs(0.6 - 1)) / 4, abs=1e-6)


def test_the_reliability_bins_add_up_to_the_calibration_error() -> None:
    logits, classes = drawn(200, 5).float() * 2, torch.arange(200) % 5
    told = metrics.classified(logits, classes)
    gaps = [one["pictures"] * abs(one["confidence"] - one["accuracy"]) for one in told["reliability"]]
    assert sum(one["pictures"] for one in told["reliability"]) == 200
    assert sum(gaps) / 200 == pytest.approx(told["calibration_error"], abs=1e-6)


def test_a_class_without_pictures_has_no_accuracy() -> None:
    assert metrics.classified(torch.eye(3), torch.tensor([0, 0, 2]))["per_class"] == [0.5, None, 1.0]


def test_the_frechet_distance_of_a_shift_is_its_square_and_of_a_scale_that_of_the_standard_deviations() -> None:
    real = drawn(500, 4)
    assert metrics.frechet_distance(real, real + 3) == pytest.approx(4 * 9, rel=1e-6)
    centred = real - real.mean(0)
    expected = float(torch.cov(centred.T).trace())  # (2 - 1)^2 tr C
    assert metrics.frechet_distance(centred, 2 * centred) == pytest.approx(expected, rel=1e-6)


def test_the_kernel_distance_is_the_unbiased_estimate_when_one_subset_holds_all() -> None:
    real, made = drawn(30, 6), drawn(30, 6, seed=1) + 0.5
    kernels = [(one @ other.T / 6 + 1) ** 3 for one, other in ((real, real), (made, made), (real, made))]
    within = sum(float(kernel.sum() - kernel.trace()) / (30 * 29) for kernel in kernels[:2])
    mean, spread = metrics.kernel_distance(real, made)
    assert mean == pytest.approx(within - 2 * float(kernels[2].mean()), rel=1e-6)
    assert spread == pytest.approx(0, abs=1e-6)


def test_the_kernel_distance_leaves_the_random_state_alone_and_repeats() -> None:
    before = torch.get_rng_state()
    assert metrics.kernel_distance(drawn(30, 3), drawn(20, 3)) == metrics.kernel_distance(drawn(30, 3), drawn(20, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_inception_score_is_the_number_of_classes_for_sure_and_even_answers_and_one_for_equal_ones() -> None:
    assert metrics.inception_score(100 * torch.eye(5)) == pytest.approx(5, rel=1e-5)
    assert metrics.inception_score(torch.tensor([[1.0, 2, 3]] * 4)) == pytest.approx(1, rel=1e-5)


def test_precision_recall_density_and_coverage_are_those_of_the_prdc_package() -> None:
    prdc = pytest.importorskip("prdc")
    real, made = drawn(60, 3), 0.7 * drawn(50, 3, seed=1) + 0.4
    expected = prdc.compute_prdc(real.numpy(), made.numpy(), nearest_k=5)
    assert metrics.manifold(real, made, 5) == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-6)


def test_on_a_line_the_manifold_scores_can_be_counted_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0]])  # balls of the nearest neighbour: radius 1, 1, 2
    made = torch.tensor([[0.5], [10.0]])  # radius 9.5 each
    told = metrics.manifold(real, made, nearest=1)
    assert told == pytest.approx({"precision": 1 / 2, "recall": 1.0, "density": 2 / 2, "coverage": 2 / 3})


def test_too_few_pictures_for_the_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 5"):
        metrics.manifold(drawn(5, 2), drawn(9, 2))


def test_a_copy_has_ratio_zero_and_a_stranger_its_distance_over_that_to_the_next_training_picture() -> None:
    training = torch.tensor([[0.0, 0.0], [4.0, 0.0], [10.0, 0.0]])
    found = metrics.copies(torch.tensor([[4.0, 0.0], [0.0, 2.0], [16.0, 0.0]]), training)
    assert found.index.tolist() == [1, 0, 2]
    assert found.ratio.tolist() == pytest.approx([0, 2 / 4, 6 / 6])
    assert found.told() == pytest.approx({"below_one": 2 / 3, "least_ratio": 0.0, "median_ratio": 0.5})


def test_a_training_picture_that_is_there_twice_is_no_suspect_unless_it_is_copied() -> None:
    found = metrics.copies(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [0.0], [9.0]]))
    assert found.ratio.tolist() == [math.inf, 0.0]


def test_feature_diversity_is_the_mean_cosine_distance_of_two_pictures_of_a_class() -> None:
    features = torch.tensor([[1.0, 0], [0, 2.0], [3.0, 0], [1, 1.0], [2.0, 2]])
    classes = torch.tensor([0, 0, 0, 1, 1])  # class 0: distances 1, 0, 1; class 1: 0
    assert metrics.feature_diversity(features, classes) == pytest.approx(2 / 3 / 2)
    assert math.isnan(metrics.feature_diversity(features[:1], classes[:1]))


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (64, 3), (256, 1)])
def test_structure_diversity_is_zero_for_copies_and_near_one_for_noise(size: int, channels: int) -> None:
    noise = torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(0))
    classes = torch.zeros(4, dtype=torch.long)
    assert metrics.structure_diversity(noise[:1].expand(4, -1, -1, -1), classes) == pytest.approx(0, abs=1e-5)
    assert 0.5 < metrics.structure_diversity(noise, classes) <= 1


def test_structure_diversity_draws_the_same_pairs_for_the_same_seed() -> None:
    pictures, classes = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(6, dtype=torch.long)
    first, again, other = (metrics.structure_diversity(pictures, classes, pairs=3, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_lpips_is_zero_for_copies_only_and_needs_weights_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    pictures, classes = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(3, dtype=torch.long)
    with pytest.raises(ValueError, match="nothing|download"):
        metrics.perceptual_diversity(pictures, classes, "squeeze")
    with pytest.raises(ValueError, match="alex, vgg, squeeze"):
        metrics.perceptual_diversity(pictures, classes, "resnet")
    file = tmp_path / "hub" / "checkpoints" / models.SqueezeNet1_1_Weights.IMAGENET1K_V1.value.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1(weights=None).state_dict(), file)
    assert metrics.perceptual_diversity(pictures, classes, "squeeze") > 0.01
    assert metrics.perceptual_diversity(pictures[:1].expand(3, -1, -1, -1), classes, "squeeze") == pytest.approx(0, abs=1e-6)


def test_inception_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="pip install torch-fidelity|download"):
        metrics.inception_network()


@pytest.mark.parametrize("phi", [0.9, 0.3, 0.0, -0.5])
def test_the_integrated_time_of_an_exact_ar1_autocorrelation_is_its_closed_form(phi: float) -> None:
    rho = torch.tensor([phi**lag for lag in range(400)], dtype=torch.float64)
    assert metrics.integrated_time(rho) == pytest.approx((1 + phi) / (1 - phi), rel=1e-9)


def test_the_integrated_time_of_a_simulated_ar1_is_near_its_closed_form() -> None:
    noise, phi = drawn(4, 20000, 2), 0.8
    values = [noise[:, 0] / math.sqrt(1 - phi**2)]
    for step in range(1, noise.shape[1]):
        values.append(phi * values[-1] + noise[:, step])
    told = metrics.mixing(torch.stack(values, 1))
    assert told["tau"] == pytest.approx(9, rel=0.1)
    assert told["effective"] == pytest.approx(4 * 20000 / told["tau"])
    assert told["autocorrelation"][:3] == pytest.approx([1, 0.8, 0.64], abs=0.02)


def test_the_autocorrelation_is_the_sum_of_its_definition() -> None:
    series = drawn(2, 7, 3)
    centred = (series - series.mean(1, keepdim=True)).numpy()
    products = [sum((centred[:, i] * centred[:, i + lag]).sum() for i in range(7 - lag)) for lag in range(7)]
    assert metrics.autocorrelation(series).numpy() == pytest.approx(np.array(products) / products[0])


def test_the_time_of_a_trend_is_long_and_of_a_chain_at_rest_unknown() -> None:
    assert metrics.mixing(torch.arange(100.0)[None])["effective_per_chain"] < 5
    assert math.isnan(metrics.mixing(torch.full((2, 10), 3.7))["tau"])
    assert math.isnan(metrics.mixing(3.7 + 1e-8 * drawn(2, 10))["tau"])
    assert math.isnan(metrics.mixing(torch.tensor([[0.0, 1] * 10]))["effective"])


@pytest.mark.parametrize("series", [torch.zeros(4), torch.zeros(2, 1), torch.full((2, 5), math.nan)])
def test_a_series_that_cannot_be_correlated_is_refused(series: Tensor) -> None:
    with pytest.raises(ValueError, match="at least 2 steps"):
        metrics.autocorrelation(series)


def test_passes_counts_what_each_network_is_given_while_it_is_open_only() -> None:
    networks = {"one": nn.Linear(2, 2), "two": nn.Identity(), "none": None}
    with metrics.Passes(networks) as passes:
        networks["one"](torch.zeros(3, 2))
        networks["one"](torch.zeros(4, 2))
    networks["two"](torch.zeros(5, 2))
    assert passes.counts == {"one": 7, "two": 0, "none": 0}


def test_a_chain_of_five_steps_passes_generator_and_encoder_five_times_for_each_sample() -> None:
    bundle = tiny_bundle()
    with metrics.Passes(bundle.parts) as passes:
        recipes.sample(bundle, "tench", count=3, steps=5)
    assert passes.counts["generator"] == passes.counts["encoder"] == 15


def test_activation_compares_the_logit_of_the_class_with_the_best_real_picture() -> None:
    logits, classes = torch.tensor([[5.0, 0], [1, 0], [0, 3]]), torch.tensor([0, 0, 1])
    told = metrics.activation(logits, classes, torch.tensor([[4.0, 9], [2, 9]]), torch.tensor([0, 0]))
    assert told["per_class"] == [
        {"class": 0, "mean": 3.0, "best": 5.0, "real_mean": 3.0, "real_best": 4.0},
        {"class": 1, "mean": 3.0, "best": 3.0, "real_mean": None, "real_best": None},
    ]
    assert told["above_best_real"] == pytest.approx(0.5)


def test_the_judge_gives_its_logits_in_the_order_asked_for_and_its_pooled_maps_in_one_pass() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    seen = Seen(network, 8, 0.0, 1.0)
    layer = metrics.feature_layer(seen, 8, 3, outputs=5)
    judge = metrics.Judge(seen, [3, 1], layer)
    grey = torch.rand(2, 1, 8, 8)
    passes = metrics.Passes({"network": network})
    with passes, torch.no_grad():
        judged = judge.judged([grey], [0, 1])
    colours = grey.expand(-1, 3, -1, -1)
    with torch.no_grad():
        assert torch.allclose(judged.logits, network(colours)[:, [3, 1]])
        assert torch.allclose(judged.features, network[0](colours).mean((2, 3)))
    assert passes.counts["network"] == 2


def test_the_layer_of_features_is_the_last_map_that_does_not_hold_the_scores() -> None:
    scores = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert metrics.feature_layer(Seen(scores, 8, 0.0, 1.0), 8, 3, outputs=5) == "1"
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.Linear(6, 5))
    assert metrics.feature_layer(Seen(flat, 8, 0.0, 1.0), 8, 3, outputs=5) == "1"
    with pytest.raises(ValueError, match="no layer of features"):
        metrics.feature_layer(Seen(nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()), 8, 0.0, 1.0), 8, 3, outputs=5)


def test_the_own_classifier_judges_as_the_bundle_does() -> None:
    bundle = tiny_bundle()
    judge = metrics.Judge(named.network("bundle:classifier", bundle=bundle), [2, 0], "trunk.block1", channels=1)
    image = torch.rand(3, 1, 8, 8)
    logits, features = judge(image)
    with torch.no_grad():
        expected = bundle.encoder.logits_from_code(bundle.encoder(image))
        maps = bundle.encoder.maps(image)[-1]
    assert torch.allclose(logits, expected[:, [2, 0]])
    assert torch.allclose(features, maps.mean((2, 3)))


def test_classes_are_found_by_any_of_their_names_and_the_nearest_are_named() -> None:
    listed = ["tench, Tinca tinca", "gas pump, gasoline pump", "golf_ball"]
    assert metrics.class_columns(listed, ["golf ball", "Tench", "type:gas pump"], "judge") == [2, 0, 1]
    with pytest.raises(ValueError, match="'golf ball'"):
        metrics.class_columns(listed, ["golf bal"], "judge")


def test_a_class_folder_takes_pictures_evenly_and_knows_what_is_missing(tmp_path: Path) -> None:
    for name, count in (("golf_ball", 5), ("tench", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.new("L", (9, 8), 50 * number).save(tmp_path / name / f"{number}.png")
        (tmp_path / name / "notes.txt").write_text("no picture")
    folder = metrics.class_folder(tmp_path, ["tench", "golf ball", "church"], [1, 0], 2, size=8, channels=1)
    assert [file.stem for file in folder.files] == ["0", "2", "0", "1"]
    assert folder.classes == (1, 1, 0, 0)
    loaded = torch.cat(list(folder.batches(3)))
    assert loaded.shape == (4, 1, 8, 8)
    assert loaded[:, 0, 4, 4].tolist() == pytest.approx([0, 100 / 255, 0, 50 / 255])
    with pytest.raises(ValueError, match="'church'.*golf ball, tench"):
        metrics.class_folder(tmp_path, ["church"], [0], 2, 8, 1)
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [{"class": "church", "file": "golf_ball/3.png"}]}))
    assert metrics.class_folder(tmp_path, ["church"], [0], 0, 8, 1).files == (tmp_path / "golf_ball/3.png",)


def test_halves_share_each_class_and_like_takes_as_many_as_wanted() -> None:
    classes = torch.tensor([0, 0, 1, 1, 1, 1])
    one, other = metrics.halves(classes)
    assert sorted(torch.cat([one, other]).tolist()) == list(range(6))
    assert classes[one].tolist() == [0, 1, 1]
    assert metrics.like(classes, torch.tensor([1, 1, 0])).tolist() == [0, 2, 3]


def test_distances_of_sets_do_not_hang_on_the_units_of_the_features() -> None:
    real, made = drawn(40, 4), drawn(40, 4, seed=1) + 1
    assert metrics.between(1000 * real, 1000 * made) == pytest.approx(metrics.between(real, made), rel=1e-6)
    assert metrics.between(real[:1], made)["frechet"] is metrics.between(real[:5], made)["coverage"] is None


def test_what_is_not_finite_becomes_null() -> None:
    assert metrics.finite({"a": [1.0, math.nan], "b": (math.inf, 2)}) == {"a": [1.0, None], "b": [None, 2]}


def test_real_pictures_score_as_well_as_real_pictures() -> None:
    features, classes = drawn(200, 8), torch.arange(200) % 2
    logits = torch.nn.functional.one_hot(classes, 2).float() * 5
    one, other = metrics.halves(classes)
    judged = metrics.Judged(classes[other], logits[other], features[other])
    pictures = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    told = metrics.report(judged, pictures, features[one])
    assert told["accuracy"] == 1
    assert told["coverage"] > 0.9
    assert abs(told["kernel"]) < 0.2
    assert told["copies"] is None
