"""Pictures on disk -> batches: every source, its split, its errors, and what happens to the pixels on the way."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ppgn import images
from training import ImageData, PictureFolder, Pictures, augment, centre_crop, check_folder, folder_digest, open_source

SHARED = Path(os.environ.get("PPGN_SHARED", Path(__file__).parents[2] / "shared"))


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (12, 10)) -> Image.Image:
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def fill(folder: Path, count: int, first: int = 0, mode: str = "RGB") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        picture(seed, mode).save(folder / f"{seed:03d}.png")
    return folder


def folder_data(root: Path, **changes: Any) -> ImageData:
    data = ImageData("folder", root, **{"image_size": 8, "batch_size": 4, **changes})
    data.setup()
    return data


def file_names(source: Any, part: str) -> set[str]:
    subset = getattr(source, part)
    return {"/".join(Path(subset.dataset.samples[index][0]).parts[-2:]) for index in subset.indices}


@pytest.mark.parametrize("validation", ["val", "validation", "valid", "test"])
def test_a_folder_with_a_split_keeps_it(tmp_path, validation):
    for split, count in (("train", 5), (validation, 2)):
        fill(tmp_path / split / "sea_lion", count)
        fill(tmp_path / split / "cat", count)
    source = open_source("folder", tmp_path, False)
    assert source.class_names == ("cat", "sea lion")
    assert (len(source.train), len(source.validation)) == (10, 4)
    assert {label for _, label in source.validation} == {0, 1}


CLUTTER = (".ipynb_checkpoints", "__MACOSX", ".Trash", "@eaDir", "$RECYCLE.BIN")


@pytest.mark.parametrize("clutter", CLUTTER)
def test_what_a_system_leaves_in_a_folder_is_neither_a_class_nor_a_picture(tmp_path: Path, clutter: str) -> None:
    for place in ("cat", "dog", clutter, f"cat/{clutter}"):
        fill(tmp_path / place, 3)
    (tmp_path / "cat" / "._000.png").write_bytes(b"\x00\x05\x16\x07")  # as macOS writes beside each file of a foreign disk
    (tmp_path / "Thumbs.db").write_bytes(b"")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"")
    source = open_source("folder", tmp_path, False)
    assert source.class_names == ("cat", "dog")
    assert len(source.train) + len(source.validation) == 6
    assert len(images.picture_files(tmp_path, [".png"])) == 6


def test_the_two_halves_of_a_split_must_have_the_same_classes(tmp_path):
    for path in ("train/cat", "train/dog", "val/cat"):
        fill(tmp_path / path, 2)
    with pytest.raises(ValueError, match=r"same class folders; they differ in \['dog'\]"):
        open_source("folder", tmp_path, False)


def test_a_folder_without_a_split_is_split_alike_after_it_moved_and_gained_pictures(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "here" / name, 30)
    before = open_source("folder", tmp_path / "here", False, validation_share=0.25)
    held_out, kept = file_names(before, "validation"), file_names(before, "train")
    assert held_out.isdisjoint(kept) and len(held_out | kept) == 60
    assert 5 <= len(held_out) <= 25

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").rename(tmp_path / "elsewhere" / "there")
    fill(tmp_path / "elsewhere" / "there" / "ant", 10)  # sorts first: every index moves
    after = open_source("folder", tmp_path / "elsewhere" / "there", False, validation_share=0.25)
    assert {name for name in file_names(after, "validation") if not name.startswith("ant")} == held_out
    assert {name for name in file_names(after, "train") if not name.startswith("ant")} == kept


def test_another_split_seed_holds_out_other_pictures(tmp_path):
    fill(tmp_path / "cat", 60)
    first, second = (open_source("folder", tmp_path, False, split_seed=seed, validation_share=0.3) for seed in (0, 1))
    assert file_names(first, "validation") != file_names(second, "validation")


@pytest.mark.parametrize("split_seed", range(5))
def test_a_small_folder_still_holds_one_picture_out(tmp_path, split_seed):
    fill(tmp_path / "cat", 3)
    source = open_source("folder", tmp_path, False, split_seed=split_seed, validation_share=0.001)
    assert (len(source.train), len(source.validation)) == (2, 1)


@pytest.mark.parametrize("split_seed", range(5))
def test_every_class_keeps_a_picture_to_train_on(tmp_path, split_seed):
    for name in ("ant", "bee", "cat"):
        fill(tmp_path / name, 2)
    fill(tmp_path / "dog", 1)
    source = open_source("folder", tmp_path, False, split_seed=split_seed, validation_share=0.9)
    assert {label for _, label in source.train} == {0, 1, 2, 3}
    assert 1 <= len(source.validation) <= 3


def test_a_class_folder_is_one_class_however_a_disk_stores_its_name(tmp_path):
    for half, name in (("train", "Caf\u00e9"), ("val", "Cafe\u0301")):
        fill(tmp_path / half / name, 2)
        fill(tmp_path / half / "Cafz", 1)  # stands between the two spellings
    source = open_source("folder", tmp_path, False)
    assert source.class_names == ("Cafz", "Caf\u00e9")
    assert sorted(label for _, label in source.validation) == [0, 1, 1]
    assert images.split_position("Caf\u00e9/1.png", 0) == images.split_position("Cafe\u0301/1.png", 0)


@pytest.mark.parametrize("names", [("sea lion", "sea_lion"), ("Caf\u00e9", "Cafe\u0301")])
def test_two_folders_of_one_class_are_refused(tmp_path, names):
    for name in names:
        fill(tmp_path / name, 2)
    with pytest.raises(ValueError, match="several folders of the class .*: merge or rename"):
        open_source("folder", tmp_path, False)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda root: None, "no folder of pictures at"),
        (lambda root: root.mkdir(), "no class folders in"),
        (lambda root: [fill(root / "cat", 3), (root / "dog").mkdir()], "no pictures in class folder .*dog"),
        (lambda root: fill(root / "cat", 1), "only 1 pictures, too few to hold 10% out"),
    ],
    ids=["missing", "without classes", "empty class", "one picture"],
)
def test_a_folder_that_cannot_be_trained_on_is_refused_with_its_path(tmp_path, prepare, sentence):
    prepare(tmp_path / "root")
    with pytest.raises(ValueError, match=sentence) as fault:
        open_source("folder", tmp_path / "root", False)
    assert str(tmp_path / "root") in str(fault.value)


def truncated_jpeg(path: Path) -> None:
    picture(0, size=(64, 64)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:400])


def truncated_png(path: Path) -> None:
    picture(0, size=(64, 64)).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:400])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("half.jpg", truncated_jpeg),
        ("half.png", truncated_png),
        ("text.png", lambda path: path.write_text("this is not a picture")),
        ("empty.png", lambda path: path.write_bytes(b"")),
    ],
)
@pytest.mark.parametrize("cache_gib", [2.0, 0.0], ids=["cached", "streamed"])
def test_a_broken_picture_is_named(tmp_path, name, spoil, cache_gib):
    fill(tmp_path / "train" / "cat", 2)
    fill(tmp_path / "val" / "cat", 2)
    spoil(tmp_path / "train" / "cat" / name)
    with pytest.raises(ValueError, match=f"broken picture .*{name} .*: delete it or replace it"):
        list(folder_data(tmp_path, cache_gib=cache_gib, batch_size=3).train_dataloader())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_and_colour_pictures_become_the_channels_asked_for(tmp_path, channels, mode):
    fill(tmp_path / "train" / "cat", 4, mode=mode)
    fill(tmp_path / "val" / "cat", 4, mode=mode)
    pictures, labels = next(iter(folder_data(tmp_path, channels=channels).val_dataloader()))
    assert pictures.shape == (4, channels, 8, 8) and pictures.dtype == torch.uint8
    assert labels.tolist() == [0] * 4
    if mode == "L" and channels == 3:
        assert torch.equal(pictures[:, 0], pictures[:, 2])


def test_a_turned_a_transparent_and_a_16_bit_picture_are_read_as_seen(tmp_path):
    for split in ("train", "val"):
        fill(tmp_path / split / "cat", 1)
    top_white = np.zeros((8, 8, 3), np.uint8)
    top_white[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(top_white).save(tmp_path / "val" / "cat" / "a_turned.png", exif=exif)
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "val" / "cat" / "b_clear.png")
    Image.fromarray(np.full((8, 8), 32896, np.uint16)).save(tmp_path / "val" / "cat" / "c_deep.png")
    data = ImageData("folder", tmp_path, image_size=8, batch_size=4)
    data.setup()
    source = open_source("folder", tmp_path, False).validation
    turned, clear, deep = (centre_crop(source[index][0], 8, 3) for index in (1, 2, 3))
    assert (turned[:, :4] == 0).all() and (turned[:, 4:] == 255).all()
    assert (clear == 255).all()
    assert (deep == 128).all()


@pytest.mark.parametrize("size", [(40, 20), (20, 40)])
def test_the_centre_of_an_oblong_picture_is_kept(size):
    array = np.zeros((size[1], size[0]), np.uint8)
    array[size[1] // 2 - 10 : size[1] // 2 + 10, size[0] // 2 - 10 : size[0] // 2 + 10] = 200
    cropped = centre_crop(Image.fromarray(array), 20, 1)
    assert cropped.shape == (1, 20, 20)
    assert (cropped == 200).all()


@pytest.mark.parametrize(("size", "wanted"), [((40, 20), (10, 20)), ((20, 40), (20, 10)), ((9, 33), (48, 80))])
def test_a_picture_covers_a_size_of_another_shape_and_its_centre_is_kept(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, size[0]).round().astype(np.uint8)
    cropped = centre_crop(Image.fromarray(np.tile(ramp, (size[1], 1))), wanted, 1)
    assert cropped.shape == (1, *wanted)
    assert (cropped[:, 0] == cropped[:, -1]).all()
    turned = cropped.float() + cropped.flip(-1)
    torch.testing.assert_close(turned, torch.full_like(turned, 255.0), atol=3, rtol=0)


def test_pictures_that_are_not_square_are_batches_of_that_height_and_width(tmp_path: Path) -> None:
    for split in ("train", "val"):
        fill(tmp_path / split / "cat", 4)
    data = folder_data(tmp_path, image_size=(6, 10))
    assert data.picture_size == (6, 10)
    assert next(iter(data.train_dataloader()))[0].shape == (4, 3, 6, 10)
    moved = augment(torch.rand(2, 3, 6, 10), flip=True, shift=2)
    assert moved.shape == (2, 3, 6, 10)
    with pytest.raises(ValueError, match=r"got the size \(6, 0\), expected \(height, width\) of at least 1"):
        folder_data(tmp_path, image_size=(6, 0))


def test_a_picture_of_the_right_size_passes_unchanged():
    original = picture(3, size=(8, 8))
    assert np.array_equal(centre_crop(original, 8, 3).permute(1, 2, 0).numpy(), np.asarray(original))


def test_streamed_pictures_equal_cached_ones(tmp_path):
    for split in ("train", "val"):
        fill(tmp_path / split / "cat", 5)
        fill(tmp_path / split / "dog", 5, first=50)
    cached, streamed = folder_data(tmp_path), folder_data(tmp_path, cache_gib=0.0)
    assert isinstance(cached.train_pictures, Pictures) and isinstance(streamed.train_pictures, Pictures)
    assert cached.train_pictures.cached is not None and streamed.train_pictures.cached is None
    for ours, theirs in zip(cached.val_dataloader(), streamed.val_dataloader(), strict=True):
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    for index in range(10):
        assert torch.equal(cached.train_pictures[index][0], streamed.train_pictures[index][0])


def test_validation_is_mixed_so_that_a_few_batches_hold_every_class(tmp_path):
    for split in ("train", "val"):
        for name in "abcd":
            fill(tmp_path / split / name, 16)
    _, labels = next(iter(folder_data(tmp_path, batch_size=32).val_dataloader()))
    assert set(labels.tolist()) == {0, 1, 2, 3}


def test_a_data_set_smaller_than_a_batch_still_gives_a_batch(tmp_path):
    for split in ("train", "val"):
        fill(tmp_path / split / "cat", 3)
    assert [len(batch[0]) for batch in folder_data(tmp_path, batch_size=64).train_dataloader()] == [3]


def test_augment_moves_each_picture_to_a_place_in_its_own_reflected_copy():
    torch.manual_seed(0)
    pictures = torch.rand(6, 3, 8, 8)
    moved = augment(pictures, flip=True, shift=2)
    assert moved.shape == pictures.shape
    for before, after in zip(pictures, moved, strict=True):
        padded = np.pad(before.numpy(), ((0, 0), (2, 2), (2, 2)), mode="reflect")
        mirrored = np.pad(before.numpy()[..., ::-1], ((0, 0), (2, 2), (2, 2)), mode="reflect")
        places = [(y, x) for y in range(5) for x in range(5)]
        candidates = [source[:, y : y + 8, x : x + 8] for source in (padded, mirrored) for y, x in places]
        assert sum(np.array_equal(candidate, after.numpy()) for candidate in candidates) == 1


def test_augment_mirrors_about_half_of_the_pictures_and_only_if_asked():
    torch.manual_seed(0)
    pictures = torch.rand(400, 1, 4, 4)
    mirrored = (augment(pictures, flip=True, shift=0) == pictures.flip(-1)).flatten(1).all(1)
    assert 150 < int(mirrored.sum()) < 250
    assert torch.equal(augment(pictures, flip=False, shift=0), pictures)


def test_digits_need_no_files_and_hold_every_fifth_picture_out(tmp_path):
    from sklearn.datasets import load_digits

    data = ImageData("digits", tmp_path / "nowhere", image_size=8, channels=1, batch_size=64)
    data.setup()
    assert data.class_names == tuple("0123456789")
    train, held_out = data.train_pictures, data.validation_pictures
    assert train is not None and held_out is not None
    assert (len(train), len(held_out)) == (1437, 360)
    original = load_digits().images[1]  # the first of the training pictures; 16 is white
    assert np.abs(train[0][0][0].numpy() / 255 - original / 16).max() <= 0.5 / 255


@pytest.mark.parametrize("name", ["cifar10", "mnist", "fashion_mnist", "imagenette"])
def test_a_missing_torchvision_set_is_named_with_the_setting_that_fetches_it(tmp_path, name):
    with pytest.raises(ValueError, match="set data.download to true") as fault:
        open_source(name, tmp_path, False)
    assert name in str(fault.value).lower() and str(tmp_path) in str(fault.value)


def test_an_unknown_data_set_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'imagenet', expected one of folder, table, digits"):
        open_source("imagenet", tmp_path, False)


def test_real_mnist_is_read_as_its_bytes_stand(tmp_path):
    if not (SHARED / "data" / "mnist").is_dir():
        pytest.skip("no MNIST: set PPGN_SHARED to the folder that holds data/mnist/*.gz")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (SHARED / "data" / "mnist").glob("*.gz"):
        with gzip.open(path) as packed, (raw / path.stem).open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    source = open_source("mnist", tmp_path, False)
    assert (len(source.train), len(source.validation), len(source.class_names)) == (60000, 10000, 10)
    held_out = Pictures(source.validation, 28, 1, 0.0, "validation")
    pixels = np.frombuffer((raw / "t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    labels = np.frombuffer((raw / "t10k-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    made, classes = held_out.__getitems__([0, 5000, 9999])
    assert np.array_equal(made.numpy(), pixels[[0, 5000, 9999]])
    assert classes.tolist() == labels[[0, 5000, 9999]].tolist()


def link(place: Path, target: str | Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def all_files(source: Any) -> list[str]:
    return sorted(part.dataset.samples[index][0] for part in (source.train, source.validation) for index in part.indices)


@pytest.mark.parametrize(
    "links",
    [
        {"cat/up": ".."},
        {"cat/up": "..", "dog/up": "../..", "dog/deep/up": "../.."},
        {"again": "."},
        {"above": ".."},
        {"cat/loop": "loop", "loop": "loop"},
        {"cat/to_dogs_parent": "../../pictures"},
        {"cat/deep/self": "."},
        {"cat/a_first": "deep"},
    ],
)
def test_links_that_go_round_add_no_picture_and_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, links: dict[str, str]
) -> None:
    root = tmp_path / "pictures"
    for name in ("cat", "cat/deep", "dog"):
        fill(root / name, 4)
    before = all_files(open_source("folder", root, False))
    digest = folder_digest(root)
    for place, target in links.items():
        link(root / place, target)
    source = open_source("folder", root, False)
    assert source.class_names == ("cat", "dog")
    assert all_files(source) == before and len(before) == 12
    assert folder_digest(root) == digest
    assert "left out" in caplog.text and next(iter(links)) in caplog.text
    told = len(caplog.messages)
    open_source("folder", root, False)
    assert len(caplog.messages) == told


def test_linked_classes_folders_and_files_are_read_once_in_each_class(tmp_path: Path) -> None:
    root, disk = tmp_path / "pictures", tmp_path / "disk"
    fill(disk / "cat", 3)
    fill(disk / "more" / "deep", 2)
    picture(9).save(disk / "one.png")
    link(disk / "cat" / "up", "..")  # leads to what holds the linked class
    fill(root / "dog", 3)
    link(root / "cat", disk / "cat")
    link(root / "dog" / "linked.png", disk / "one.png")
    link(root / "dog" / "more", disk / "more")
    link(root / "dog" / "same", disk / "more")
    source = open_source("folder", root, False)
    files = [str(Path(file).relative_to(root)) for file in all_files(source)]
    names = [f"cat/00{index}.png" for index in range(3)] + [f"dog/00{index}.png" for index in range(3)]
    assert files == [*names, "dog/linked.png", "dog/more/deep/000.png", "dog/more/deep/001.png"]
    assert len(images.picture_files(root / "cat", [".png"])) == 3


def test_links_that_lead_nowhere_are_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path / "cat", 3)
    for place in ("cat/gone.png", "cat/lost.png"):
        link(tmp_path / place, "/nowhere.png")
    assert len(all_files(open_source("folder", tmp_path, False))) == 3
    open_source("folder", tmp_path, False)
    assert [line for line in caplog.messages if "left out 2 links to files that are not there" in line and "gone.png" in line]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("training", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize("validation", ["Val", "validation", "Valid", "dev", "Eval", "TEST"])
def test_a_split_is_known_by_its_usual_names_in_any_case(tmp_path: Path, training: str, validation: str) -> None:
    for half, count in ((training, 4), (validation, 2)):
        for name in ("cat", "dog"):
            fill(tmp_path / half / name, count)
    source = open_source("folder", tmp_path, False)
    assert source.class_names == ("cat", "dog")
    assert (len(source.train), len(source.validation)) == (8, 4)
    check_folder(PictureFolder(tmp_path))


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (["cat", "test"], (8, "cat", "test")),
        (["cat", "train", "val"], (12, "cat", "train", "val")),
        (["Dev", "cat", "test/deep", "test"], (16, "Dev", "cat", "test")),
        (["Train/cat", "Train/dog"], (8, "cat", "dog")),
        (["train/cat", "train/dog", "val/cat", "val/dog", "test", "previews"], (16, "cat", "dog")),
    ],
)
def test_classes_may_be_called_as_splits_are(tmp_path: Path, classes: list[str], found: tuple[Any, ...]) -> None:
    for place in classes:
        fill(tmp_path / place, 4)
    source = open_source("folder", tmp_path, False)
    assert (len(source.train) + len(source.validation), *source.class_names) == found


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["Val/cat", "Val/dog", "Test/cat", "Test/dog"], "has the splits Val and Test and none to train on"),
        (["test/cat", "test/dog"], "has the splits test and none to train on"),
        (["train/cat", "Training/cat", "val/cat"], "has train and Training, expected one folder of training pictures"),
        (["train/cat", "Val/cat", "val/cat"], "expected one folder of held-out pictures"),
        (["Train/cat", "Train/dog", "Val/cat", "Val/bird"], r"Train and .*Val must have the same class folders; they differ in"),
        (["cat", "dog", "val/cat", "val/dog"], "has the class cat itself and in val, expected"),
        (["train/steam", "train/diesel", "car"], "has the class folders train/diesel and car, expected all in one place"),
        (["train", "val"], "no class folders in .*train"),
    ],
)
def test_splits_that_cannot_be_used_are_a_sentence(tmp_path: Path, places: list[str], said: str) -> None:
    for place in places:
        fill(tmp_path / place, 3)
    with pytest.raises(ValueError, match=said):
        open_source("folder", tmp_path, False)
