"""Captions made of attributes and captions listed, their words, their splits, and batches over maps made once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ppgn.networks import END, MARKS, UNKNOWN
from training import CaptionData, CaptionedMaps, phrasings, singular

HUES = {"Red": (255, 0, 0), "Maroon": (255, 0, 0), "Blue": (0, 0, 255)}
LABELS = {"type": "kind", "colour": "hue"}


def write_pictures(root: Path, rows: list[dict[str, Any]]) -> None:
    """A handbag is a bar across, sunglasses are a bar down, both in their colour."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        pixels = np.full((8, 8, 3), 255, np.uint8)
        pixels[(slice(2, 6), slice(None)) if row["kind"] == "Handbags" else (slice(None), slice(2, 6))] = HUES[row["hue"]]
        pixels[0, 0] = number
        row["file"] = f"images/{number:03d}.png"
        Image.fromarray(pixels).save(root / row["file"])
    (root / "captions.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def product_table(root: Path, **changes: Any) -> CaptionData:
    """48 pictures of two products in two colours, one of the colours under two names."""
    pairs = [(kind, hue) for kind in ("Handbags", "Sunglasses") for hue in HUES]
    rows = [{"kind": kind, "hue": hue, "gender": "Unisex"} for _ in range(8) for kind, hue in pairs]
    write_pictures(root, rows)
    settings = {"image_size": 8, "labels": LABELS, "merge": {"colour": {"Red": ["Maroon"]}}, "least": 4, "batch_size": 16}
    return CaptionData(root, **{**settings, "phrased": True, "validation_share": 0.3, **changes})


def known_maps(data: CaptionData) -> CaptionData:
    """The pictures themselves as maps."""
    data.setup()
    data.keep_maps(lambda pictures: pictures)
    return data


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("handbags", "handbag"), ("watches", "watch"), ("dresses", "dress"), ("boxes", "box"), ("brushes", "brush"),
        ("ties", "tie"), ("casual shoes", "casual shoe"), ("flip flops", "flip flop"), ("jeans", "jeans"),
        ("track pants", "track pants"), ("lipgloss", "lipgloss"), ("innerwear vests", "innerwear vest"),
    ],
)  # fmt: skip
def test_one_of_several(many: str, one: str) -> None:
    assert singular(many) == one


def test_a_product_is_called_by_several_phrasings_each_with_its_colour_and_type() -> None:
    made = phrasings("Handbags", "Red", "women")
    assert {"a red handbag for women", "red handbags", "womens handbag in red", "a red handbag"} <= set(made)
    assert len(set(made)) == len(made)
    assert made == phrasings("Handbags", "Red", "women")
    for text in made:
        assert "red" in text.split() and {"handbag", "handbags"} & set(text.split())


def test_articles_pairs_and_products_for_everyone_are_spelled_as_in_english() -> None:
    assert "an orange innerwear vest" in phrasings("Innerwear Vests", "Orange")
    assert "an innerwear vest in red" in phrasings("Innerwear Vests", "Red")
    assert "a pair of blue jeans" in phrasings("Jeans", "Blue") and "a blue jeans" not in phrasings("Jeans", "Blue")
    assert {"a pair of brown sandals", "a brown sandal"} <= set(phrasings("Sandals", "Brown"))
    assert not [text for text in phrasings("Handbags", "Red") if "for" in text.split() or "s handbag" in text]


def test_captions_belong_to_their_pictures_in_both_halves_and_use_the_merged_colours(tmp_path: Path) -> None:
    data = known_maps(product_table(tmp_path))
    for part, pictures in (("train", data.train_pictures), ("validation", data.validation_pictures)):
        assert pictures is not None and len(pictures) == len(data.captions[part]) > 0
        for (picture, _), captions in zip((pictures[place] for place in range(len(pictures))), data.captions[part], strict=True):
            colour = "red" if int(picture[0, 4, 4]) == 255 else "blue"
            kind = "handbags" if int(picture[1, 4, 0]) == 0 else "sunglasses"
            assert captions[0] == f"{colour} {kind}"
    assert len(data.captions["train"]) + len(data.captions["validation"]) == 48
    assert "maroon" not in data.vocabulary


def test_a_split_in_the_table_is_obeyed_and_other_splits_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"kind": "Handbags", "hue": "Red", "split": split, "captions": [f"picture {split}"]}
        for split in ("train", "val", "test")
        for _ in range(6)
    ]
    write_pictures(tmp_path, rows)
    data = CaptionData(tmp_path, 8, labels={"kind": "kind"}, least=2, least_word=1)
    data.setup()
    assert data.captions == {"train": [["picture train"]] * 6, "validation": [["picture val"]] * 6}
    assert data.vocabulary == (*MARKS, "picture", "train")
    for row in rows:
        row["split"] = "all"
    write_pictures(tmp_path, rows)
    with pytest.raises(ValueError, match="has the splits all, expected train and val"):
        CaptionData(tmp_path, 8, labels={"kind": "kind"}, least=2).setup()


def test_rare_words_of_titles_are_unknown_and_those_of_made_captions_are_known(tmp_path: Path) -> None:
    rows = [{"kind": "Handbags", "hue": "Red", "captions": [f"Palm Handbag Nr{place}"]} for place in range(30)]
    rows += [{"kind": "Handbags", "hue": "Blue", "captions": ["Palm, Orange!"]}]
    write_pictures(tmp_path, rows)
    data = CaptionData(tmp_path, 8, labels=LABELS, least=1, phrased=True, least_word=3, validation_share=0.2, split_seed=1)
    data.setup()
    assert {"palm", "handbag", "red", "blue"} <= set(data.vocabulary)
    assert not {"nr0", "orange"} & set(data.vocabulary)
    words = data.words_of("Palm Orange, Red")
    assert words.tolist() == [data.vocabulary.index("palm"), UNKNOWN, data.vocabulary.index("red"), END]


def test_made_captions_say_for_whom_but_not_for_everyone(tmp_path: Path) -> None:
    rows = [{"kind": "Handbags", "hue": "Red", "gender": who} for who in ("Women", "Unisex") for _ in range(12)]
    write_pictures(tmp_path, rows)
    data = CaptionData(tmp_path, 8, labels=LABELS, least=1, phrased=True, validation_share=0.3)
    data.setup()
    found = {tuple(captions) for own in data.captions.values() for captions in own}
    assert found == {tuple(phrasings("Handbags", "Red", "women")), tuple(phrasings("Handbags", "Red"))}


@pytest.mark.parametrize(
    ("labels", "said"), [(None, "labels none, expected type and colour"), ({"type": "kind"}, "labels type,")]
)
def test_captions_cannot_be_made_without_type_and_colour(labels: dict[str, str] | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CaptionData(labels=labels, phrased=True)


def test_pictures_without_a_caption_are_counted(tmp_path: Path) -> None:
    rows = [{"kind": "Handbags", "hue": "Red", "captions": ["a bag"] if place else []} for place in range(12)]
    write_pictures(tmp_path, rows)
    with pytest.raises(ValueError, match="1 (train|validation) pictures have no caption"):
        CaptionData(tmp_path, 8, labels={"kind": "kind"}, least=1, validation_share=0.3).setup()


def test_a_training_batch_has_one_caption_and_one_version_of_each_picture_at_random() -> None:
    torch.manual_seed(0)
    plain = torch.arange(3.0)[:, None, None, None]
    words = [[torch.tensor([2, END]), torch.tensor([2, 3, END])], [torch.tensor([4, END])], [torch.tensor([5, END])]]
    pictures = CaptionedMaps([plain, -1 - plain], words, draw=True)
    seen_maps, seen_words = set(), set()
    for _ in range(60):
        batch = pictures.__getitems__([0, 2])
        assert batch.owner.tolist() == [0, 1] and batch.places.tolist() == [0, 2]
        assert batch.words[1, :2].tolist() == [5, END] and set(batch.words[1, 2:].tolist()) <= {-1}
        seen_maps.add(tuple(batch.maps.flatten().tolist()))
        seen_words.add(tuple(word for word in batch.words[0].tolist() if word >= 0))
    assert seen_maps == {(0, 2), (0, -3), (-1, 2), (-1, -3)}
    assert seen_words == {(2, END), (2, 3, END)}


def test_a_validation_batch_has_every_caption_of_each_picture(tmp_path: Path) -> None:
    data = known_maps(product_table(tmp_path))
    shown: list[int] = []
    for batch in data.val_dataloader():
        for row, place in enumerate(batch.places.tolist()):
            own = batch.words[batch.owner == row].tolist()
            wanted = [data.words_of(text).tolist() for text in data.captions["validation"][place]]
            assert [[word for word in words if word >= 0] for words in own] == wanted
        shown += batch.places.tolist()
    assert shown == list(range(len(data.captions["validation"])))


def test_maps_are_made_once_for_pictures_and_their_mirror_images(tmp_path: Path) -> None:
    data, calls = product_table(tmp_path), []
    data.setup()
    for _ in range(2):
        data.keep_maps(lambda pictures: calls.append(len(pictures)) or pictures)  # type: ignore[func-returns-value]
    assert sum(calls) == 2 * len(data.captions["train"]) + len(data.captions["validation"])
    plain, mirrored = data.maps["train"]
    assert plain.dtype == torch.float16 and torch.equal(plain.flip(-1), mirrored)
    alone = known_maps(product_table(tmp_path, flip=False))
    assert len(alone.maps["train"]) == 1
