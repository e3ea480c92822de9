"""Several sources of pictures side by side, their packs, and the head that keeps pool5 on kept features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_training import fit

from ppgn.networks import efficientnet_lite0
from training import (
    UNLABELLED,
    EncoderSystem,
    ImageData,
    Pool5Keeper,
    SourceOptions,
    accuracies,
    cross_entropy,
    decode,
    draw_weights,
    open_packs,
    pack,
    read_checkpoint,
    read_network,
)

NAMES = ("object:dog", "object:garbage truck", "object:zebra", "scene:dome", "scene:kasbah")
GROUPS = {"object": (0, 3), "scene": (3, 5)}


def fill(folder: Path, count: int, level: int) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        noise = np.random.default_rng(index).integers(0, 40, (12, 10, 3))
        Image.fromarray((noise + level).astype(np.uint8)).save(folder / f"{index}.png")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[SourceOptions]:
    root = tmp_path_factory.mktemp("sources")
    for split, count in (("train", 6), ("val", 2)):
        fill(root / "a" / split / "garbage_truck", count, 0)
        fill(root / "a" / split / "dog", count, 40)
        fill(root / "b" / split / "Garbage_truck", 2 * count, 80)
        fill(root / "b" / split / "zebra", count, 120)
        fill(root / "c" / split / "kasbah", count, 160)
        fill(root / "c" / split / "dome", count, 200)
    return [SourceOptions(root / name, group) for name, group in (("a", "object"), ("b", "object"), ("c", "scene"))]


def data(sources: list[SourceOptions], **changes: Any) -> ImageData:
    made = ImageData(sources=sources, **{"image_size": 8, "batch_size": 4, **changes})
    made.setup()
    return made


def test_equal_names_in_a_group_are_one_class_and_each_picture_has_a_label_in_its_own_group(sources: Any) -> None:
    made = data(sources)
    assert made.class_names == NAMES
    labels = made.train_pictures.cached[1]
    assert labels.shape == (42, 2)
    assert bool(((labels == UNLABELLED).sum(1) == 1).all())
    assert (labels[:, 0] == 1).sum() == 6 + 12
    assert set(labels[:, 1].tolist()) == {UNLABELLED, 3, 4}
    assert len(made.validation_pictures) == 14


def test_a_missing_label_counts_nothing_in_the_loss_and_in_the_accuracy() -> None:
    logits = torch.randn(4, 5)
    labels = torch.tensor([[1, -1], [0, -1], [-1, 4], [-1, 3]])
    log_p = torch.log_softmax(logits[:, :3], 1), torch.log_softmax(logits[:, 3:], 1)
    expected = -(log_p[0][0, 1] + log_p[0][1, 0] + log_p[1][2, 1] + log_p[1][3, 0]) / 4
    torch.testing.assert_close(cross_entropy(logits, labels, GROUPS), expected)
    right = accuracies(logits, labels, GROUPS)
    assert float(right["scene"]) == float((logits[2:, 3:].argmax(1) == torch.tensor([1, 0])).float().mean())
    assert list(accuracies(logits[:2], labels[:2], GROUPS)) == ["object"]


@pytest.mark.parametrize("draws", ["sources", "classes"])
def test_draws_are_even_over_sources_or_classes(sources: Any, draws: Any) -> None:
    made = data(sources, draws=draws)
    labels = made.train_pictures.cached[1]
    owner = torch.tensor([0] * 12 + [1] * 18 + [2] * 12)
    weights = draw_weights(draws, labels, owner)
    kinds = owner if draws == "sources" else labels.amax(1)
    shares = torch.stack([weights[kinds == kind].sum() for kind in kinds.unique()])
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / len(shares)))
    assert sum(len(batch[0]) for batch in made.train_dataloader()) == 40


def test_a_margin_gives_random_crops_in_training_and_the_centre_elsewhere(sources: Any) -> None:
    made = data(sources, margin=1.5)
    centre, whole = made.train_pictures.__getitems__([0])[0][0], made.train_pictures.whole([0])[0][0]
    assert centre.shape == (3, 8, 8) and whole.shape == (3, 12, 12)
    assert torch.equal(centre, whole[:, 2:10, 2:10])
    crops = torch.stack([made.train_pictures.random_crops().__getitems__([0])[0][0] for _ in range(8)])
    assert len(crops.flatten(1).unique(dim=0)) > 1
    places = [whole[:, y : y + 8, x : x + 8] for y in range(5) for x in range(5)]
    assert all(any(torch.equal(crop, place) for place in places) for crop in crops)


def test_kept_features_and_a_margin_are_refused_together(sources: Any, tmp_path: Path) -> None:
    system = EncoderSystem("efficientnet_lite0", lite0(tmp_path), trunk_input=32, cache_features="float32")
    with pytest.raises(ValueError, match="got data.margin 1.5"):
        fit(system, tmp_path, name="folder", sources=sources, channels=3, margin=1.5)


def test_packs_hold_all_pictures_with_their_labels_in_parts_of_the_given_size(sources: Any, tmp_path: Path) -> None:
    made = data(sources, image_size=32)
    paths = pack(made, tmp_path / "packs", part_mib=0.012, quality=90)
    assert len([path for path in paths if path.name.startswith("train")]) > 1
    assert all(path.stat().st_size < 0.02 * 2**20 for path in paths)
    packed = open_packs(tmp_path / "packs", "train")
    assert packed.class_names == NAMES
    pictures = decode(packed, 32)
    assert pictures.shape == (42, 3, 32, 32)
    level = pictures.float().mean((1, 2, 3))
    labels = packed.group_labels()
    for source, name, expected in ((0, 1, 20), (0, 0, 60), (1, 1, 100), (2, 4, 180), (2, 3, 220)):
        chosen = (packed.labels[:, 2] == source) & (labels.amax(1) == name)
        assert (level[chosen] - expected).abs().max() < 12
    again = ImageData("packs", tmp_path / "packs", image_size=32)
    again.setup()
    assert again.class_names == NAMES
    assert torch.equal(again.train_pictures.cached[1], labels) and torch.equal(again.train_pictures.cached[0], pictures)


def test_missing_packs_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no data packs in"):
        open_packs(tmp_path, "train")


def test_the_keeper_measures_the_share_of_pool5_that_the_code_loses() -> None:
    keeper, pool5 = Pool5Keeper(6, 12), 5 + 3 * torch.randn(4000, 3, 2, 2)
    torch.nn.init.zeros_(keeper.back.weight)
    torch.nn.init.zeros_(keeper.back.bias)
    assert float(keeper.fit(pool5)(torch.randn(4000, 6), pool5)) == pytest.approx(1.0, abs=1e-3)
    with torch.no_grad():
        keeper.back.weight.copy_(torch.eye(12)[:, :6] / 3)
        keeper.back.bias[:6] = -keeper.mean[:6] / 3
    seen = pool5.flatten(1)
    assert float(keeper(seen[:, :6], pool5)) == pytest.approx(0.5, abs=0.01)


def lite0(folder: Path) -> Path:
    torch.manual_seed(0)
    torch.save(efficientnet_lite0().state_dict(), folder / "lite0.pth")
    return folder / "lite0.pth"


@pytest.mark.parametrize("cache", [None, "float16"])
def test_an_encoder_of_several_sources_keeps_pool5_on_kept_features(cache: Any, sources: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"reduce": 4, "code_size": 16, "hidden": 8, "depths": ("block2",), "trunk_input": 32}
    system = EncoderSystem("efficientnet_lite0", lite0(tmp_path), **settings, keep_pool5=0.5, cache_features=cache)
    fit(system, tmp_path, steps=3, name="folder", sources=sources, channels=3, image_size=32, flip=True)
    assert (tmp_path / "features.safetensors").is_file() == (cache is not None)
    found = read_checkpoint(tmp_path / "last.ckpt")
    assert tuple(found["class_names"]) == NAMES
    assert 0 < found["scores"]["val/pool5_lost"] < 5
    network = read_network(tmp_path / "last.ckpt", "encoder")
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 16)
    assert not any("keeper" in name for name in network.state_dict())
