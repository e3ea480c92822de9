"""The measures of quality, against closed forms and independent implementations."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_bundle
from torch import Tensor, nn

from ppgn import evaluation, sampling


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_accuracy_confusion_and_calibration_of_a_hand_made_table() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    scores = evaluation.classified(probabilities.log(), torch.tensor([0, 1, 1, 0]))
    assert scores["accuracy"] == pytest.approx(0.75)
    assert scores["standard_error"] == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert scores["per_class"] == pytest.approx([1.0, 0.5])
    assert scores["confusion"] == [[2, 0], [1, 1]]
    # two pictures of confidence 0.9 are right half of the time; one of 0.8 and one of 0.6 are right
    assert scores["calibration_error"] == pytest.approx((2 * abs(0.9 - 0.5) + abs(0.8 - 1) + abs(0.6 - 1)) / 4, abs=1e-6)


def test_the_reliability_bins_add_up_to_the_calibration_error() -> None:
    logits, classes = normal(200, 5).float() * 2, torch.arange(200) % 5
    scores = evaluation.classified(logits, classes)
    gaps = [one["pictures"] * abs(one["confidence"] - one["accuracy"]) for one in scores["reliability"]]
    assert sum(one["pictures"] for one in scores["reliability"]) == 200
    assert sum(gaps) / 200 == pytest.approx(scores["calibration_error"], abs=1e-6)


def test_a_class_without_pictures_has_no_accuracy() -> None:
    assert evaluation.classified(torch.eye(3), torch.tensor([0, 0, 2]))["per_class"] == [0.5, None, 1.0]


def test_the_frechet_distance_of_a_shift_is_its_square_and_of_a_scale_that_of_the_standard_deviations() -> None:
    real = normal(500, 4)
    assert evaluation.frechet_distance(real, real + 3) == pytest.approx(4 * 9, rel=1e-6)
    centred = real - real.mean(0)
    expected = float(torch.cov(centred.T).trace())  # (2 - 1)^2 tr C
    assert evaluation.frechet_distance(centred, 2 * centred) == pytest.approx(expected, rel=1e-6)


def test_the_kernel_distance_is_the_unbiased_estimate_when_one_subset_holds_all() -> None:
    real, generated = normal(30, 6), normal(30, 6, seed=1) + 0.5
    kernels = [(one @ other.T / 6 + 1) ** 3 for one, other in ((real, real), (generated, generated), (real, generated))]
    within = sum(float(kernel.sum() - kernel.trace()) / (30 * 29) for kernel in kernels[:2])
    mean, spread = evaluation.kernel_distance(real, generated)
    assert mean == pytest.approx(within - 2 * float(kernels[2].mean()), rel=1e-6)
    assert spread == pytest.approx(0, abs=1e-6)


def test_the_kernel_distance_leaves_the_random_state_alone_and_repeats() -> None:
    before = torch.get_rng_state()
    assert evaluation.kernel_distance(normal(30, 3), normal(20, 3)) == evaluation.kernel_distance(normal(30, 3), normal(20, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_inception_score_is_the_number_of_classes_for_sure_and_even_answers_and_one_for_equal_ones() -> None:
    assert evaluation.inception_score(100 * torch.eye(5)) == pytest.approx(5, rel=1e-5)
    assert evaluation.inception_score(torch.tensor([[1.0, 2, 3]] * 4)) == pytest.approx(1, rel=1e-5)


def test_precision_recall_density_and_coverage_are_those_of_the_prdc_package() -> None:
    prdc = pytest.importorskip("prdc")
    real, generated = normal(60, 3), 0.7 * normal(50, 3, seed=1) + 0.4
    expected = prdc.compute_prdc(real.numpy(), generated.numpy(), nearest_k=5)
    assert evaluation.manifold(real, generated, 5) == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-6
    )


def test_on_a_line_the_manifold_scores_can_be_counted_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0]])  # balls of the nearest neighbour: radius 1, 1, 2
    generated = torch.tensor([[0.5], [10.0]])  # radius 9.5 each
    scores = evaluation.manifold(real, generated, nearest=1)
    assert scores == pytest.approx({"precision": 1 / 2, "recall": 1.0, "density": 2 / 2, "coverage": 2 / 3})


def test_too_few_pictures_for_the_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 5"):
        evaluation.manifold(normal(5, 2), normal(9, 2))


def test_a_copy_has_ratio_zero_and_a_stranger_its_distance_over_that_to_the_next_training_picture() -> None:
    training = torch.tensor([[0.0, 0.0], [4.0, 0.0], [10.0, 0.0]])
    found = evaluation.copies(torch.tensor([[4.0, 0.0], [0.0, 2.0], [16.0, 0.0]]), training)
    assert found.index.tolist() == [1, 0, 2]
    assert found.ratio.tolist() == pytest.approx([0, 2 / 4, 6 / 6])
    assert found.summary() == pytest.approx({"below_one": 2 / 3, "least_ratio": 0.0, "median_ratio": 0.5})


def test_a_training_picture_that_is_there_twice_is_no_suspect_unless_it_is_copied() -> None:
    found = evaluation.copies(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [0.0], [9.0]]))
    assert found.ratio.tolist() == [math.inf, 0.0]


def test_feature_diversity_is_the_mean_cosine_distance_of_two_pictures_of_a_class() -> None:
    features = torch.tensor([[1.0, 0], [0, 2.0], [3.0, 0], [1, 1.0], [2.0, 2]])
    classes = torch.tensor([0, 0, 0, 1, 1])  # class 0: distances 1, 0, 1; class 1: 0
    assert evaluation.feature_diversity(features, classes) == pytest.approx(2 / 3 / 2)
    assert math.isnan(evaluation.feature_diversity(features[:1], classes[:1]))


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (64, 3), (256, 1)])
def test_structure_diversity_is_zero_for_copies_and_near_one_for_noise(size: int, channels: int) -> None:
    noise = torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(0))
    classes = torch.zeros(4, dtype=torch.long)
    assert evaluation.structure_diversity(noise[:1].expand(4, -1, -1, -1), classes) == pytest.approx(0, abs=1e-5)
    assert 0.5 < evaluation.structure_diversity(noise, classes) <= 1


def test_structure_diversity_draws_the_same_pairs_for_the_same_seed() -> None:
    pictures, classes = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(6, dtype=torch.long)
    first, again, other = (evaluation.structure_diversity(pictures, classes, pairs=3, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_lpips_is_zero_for_copies_only_and_needs_weights_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    pictures, classes = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(3, dtype=torch.long)
    with pytest.raises(ValueError, match="nothing|download"):
        evaluation.perceptual_diversity(pictures, classes, "squeeze")
    with pytest.raises(ValueError, match="alex, vgg, squeeze"):
        evaluation.perceptual_diversity(pictures, classes, "resnet")
    file = tmp_path / "hub" / "checkpoints" / models.SqueezeNet1_1_Weights.IMAGENET1K_V1.value.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1(weights=None).state_dict(), file)
    assert evaluation.perceptual_diversity(pictures, classes, "squeeze") > 0.01
    assert evaluation.perceptual_diversity(pictures[:1].expand(3, -1, -1, -1), classes, "squeeze") == pytest.approx(0, abs=1e-6)


def test_inception_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="needs torch-fidelity, which is not installed: `pip install torch-fidelity`|download"):
        evaluation.inception_network()


@pytest.mark.parametrize("phi", [0.9, 0.3, 0.0, -0.5])
def test_the_integrated_time_of_an_exact_ar1_autocorrelation_is_its_closed_form(phi: float) -> None:
    rho = torch.tensor([phi**lag for lag in range(400)], dtype=torch.float64)
    assert evaluation.integrated_time(rho) == pytest.approx((1 + phi) / (1 - phi), rel=1e-9)


def test_the_integrated_time_of_a_simulated_ar1_is_near_its_closed_form() -> None:
    noise, phi = normal(4, 20000, 2), 0.8
    values = [noise[:, 0] / math.sqrt(1 - phi**2)]
    for step in range(1, noise.shape[1]):
        values.append(phi * values[-1] + noise[:, step])
    scores = evaluation.mixing(torch.stack(values, 1))
    assert scores["tau"] == pytest.approx(9, rel=0.1)
    assert scores["effective"] == pytest.approx(4 * 20000 / scores["tau"])
    assert scores["autocorrelation"][:3] == pytest.approx([1, 0.8, 0.64], abs=0.02)


def test_the_autocorrelation_is_the_sum_of_its_definition() -> None:
    series = normal(2, 7, 3)
    centred = (series - series.mean(1, keepdim=True)).numpy()
    products = [sum((centred[:, i] * centred[:, i + lag]).sum() for i in range(7 - lag)) for lag in range(7)]
    assert evaluation.autocorrelation(series).numpy() == pytest.approx(np.array(products) / products[0])


def test_the_time_of_a_trend_is_long_and_of_a_chain_at_rest_unknown() -> None:
    assert evaluation.mixing(torch.arange(100.0)[None])["effective_per_chain"] < 5
    assert math.isnan(evaluation.mixing(torch.full((2, 10), 3.7))["tau"])
    assert math.isnan(evaluation.mixing(3.7 + 1e-8 * normal(2, 10))["tau"])
    assert math.isnan(evaluation.mixing(torch.tensor([[0.0, 1] * 10]))["effective"])


@pytest.mark.parametrize("series", [torch.zeros(4), torch.zeros(2, 1), torch.full((2, 5), math.nan)])
def test_a_series_that_cannot_be_correlated_is_refused(series: Tensor) -> None:
    with pytest.raises(ValueError, match="at least 2 steps"):
        evaluation.autocorrelation(series)


def test_a_pass_counter_counts_what_each_network_is_given_inside_its_block_only() -> None:
    networks = {"one": nn.Linear(2, 2), "two": nn.Identity(), "none": None}
    with evaluation.PassCounter(networks) as counter:
        networks["one"](torch.zeros(3, 2))
        networks["one"](torch.zeros(4, 2))
    networks["two"](torch.zeros(5, 2))
    assert counter.counts == {"one": 7, "two": 0, "none": 0}


def test_a_chain_of_five_steps_passes_generator_and_encoder_five_times_for_each_sample() -> None:
    bundle = tiny_bundle()
    with evaluation.PassCounter(bundle.parts) as counter:
        sampling.sample(bundle, "tench", count=3, steps=5)
    assert counter.counts["generator"] == counter.counts["encoder"] == 15


def test_activation_compares_the_logit_of_the_class_with_the_best_real_picture() -> None:
    logits, classes = torch.tensor([[5.0, 0], [1, 0], [0, 3]]), torch.tensor([0, 0, 1])
    scores = evaluation.activation(logits, classes, torch.tensor([[4.0, 9], [2, 9]]), torch.tensor([0, 0]))
    assert scores["per_class"] == [
        {"class": 0, "mean": 3.0, "best": 5.0, "real_mean": 3.0, "real_best": 4.0},
        {"class": 1, "mean": 3.0, "best": 3.0, "real_mean": None, "real_best": None},
    ]
    assert scores["above_best_real"] == pytest.approx(0.5)


def test_halves_share_each_class_and_matched_counts_are_those_wanted() -> None:
    classes = torch.tensor([0, 0, 1, 1, 1, 1])
    one, other = evaluation.split_halves(classes)
    assert sorted(torch.cat([one, other]).tolist()) == list(range(6))
    assert classes[one].tolist() == [0, 1, 1]
    assert evaluation.match_counts(classes, torch.tensor([1, 1, 0])).tolist() == [0, 2, 3]


def test_distances_of_sets_do_not_depend_on_the_units_of_the_features() -> None:
    real, generated = normal(40, 4), normal(40, 4, seed=1) + 1
    assert evaluation.set_distances(1000 * real, 1000 * generated) == pytest.approx(
        evaluation.set_distances(real, generated), rel=1e-6
    )
    assert (
        evaluation.set_distances(real[:1], generated)["frechet"]
        is evaluation.set_distances(real[:5], generated)["coverage"]
        is None
    )


def test_numbers_that_are_not_finite_become_null_in_json() -> None:
    assert evaluation.json_safe({"a": [1.0, math.nan], "b": (math.inf, 2)}) == {"a": [1.0, None], "b": [None, 2]}


def test_real_pictures_score_as_well_as_real_pictures() -> None:
    features, classes = normal(200, 8), torch.arange(200) % 2
    logits = torch.nn.functional.one_hot(classes, 2).float() * 5
    one, other = evaluation.split_halves(classes)
    judged = evaluation.Judged(classes[other], logits[other], features[other])
    pictures = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    scores = evaluation.report(judged, pictures, features[one])
    assert scores["accuracy"] == 1
    assert scores["coverage"] > 0.9
    assert abs(scores["kernel"]) < 0.2
    assert scores["copies"] is None
