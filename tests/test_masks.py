"""Masks: which pixels are known, and where the hole is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ppgn import seeds
from ppgn.images import box_mask, file_mask, random_mask


def hole(mask: torch.Tensor) -> tuple[int, int, int, int]:
    """left, top, width, height of the zeros, which must be a whole rectangle in a mask of ones."""
    rows, columns = (mask[0] == 0).nonzero().unbind(1)
    left, top = int(columns.min()), int(rows.min())
    width, height = int(columns.max()) - left + 1, int(rows.max()) - top + 1
    assert len(rows) == width * height
    assert int(mask.sum()) == mask.numel() - width * height
    return left, top, width, height


def test_a_box_mask_is_zero_in_the_box_and_one_elsewhere() -> None:
    expected = torch.tensor([[[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1.0]]])
    assert torch.equal(box_mask((1, 1, 3, 2), (4, 5)), expected)


def test_a_box_may_be_text_and_may_fill_the_picture_to_its_edges() -> None:
    assert torch.equal(box_mask("1, 1,3,2", (4, 5)), box_mask((1, 1, 3, 2), (4, 5)))
    assert hole(box_mask("2,1,3,3", (4, 5))) == (2, 1, 3, 3)
    assert not box_mask("0,0,6,6", 6).any()


@pytest.mark.parametrize("box", ["-1,0,2,2", "0,-1,2,2", "3,0,3,2", "0,3,2,2", "0,0,6,1", (0, 0, 1, 5)])
def test_a_box_that_leaves_the_picture_is_refused(box: str | tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected x within 0 to 5 and y within 0 to 4: move it or make it smaller"):
        box_mask(box, (4, 5))


@pytest.mark.parametrize(
    "box", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "", "1,2,3,4.5", (0.5, 1, 1, 1), (0, 0, float("inf"), 1), (1, 2, None, 3), 7]
)
def test_a_box_that_is_not_four_whole_numbers_is_refused(box: object) -> None:
    with pytest.raises(ValueError, match="expected four whole numbers, left,top,width,height"):
        box_mask(box, 8)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("box", ["1,1,0,2", "1,1,2,0", "1,1,-1,2"])
def test_a_box_without_a_pixel_is_refused(box: str) -> None:
    with pytest.raises(ValueError, match="a width and height of at least 1"):
        box_mask(box, 8)


@pytest.mark.parametrize("size", [0, (0, 4), (4, -1)])
def test_a_mask_without_a_pixel_is_refused(size: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected .height, width. of at least 1"):
        box_mask("0,0,1,1", size)


def test_a_random_hole_has_the_asked_size_and_reaches_every_place() -> None:
    holes = [hole(random_mask((2, 3), (3, 5), seed)) for seed in range(100)]
    assert {each[2:] for each in holes} == {(3, 2)}
    assert {each[:2] for each in holes} == {(left, top) for left in range(3) for top in range(2)}


def test_a_random_hole_is_a_function_of_its_seed() -> None:
    assert torch.equal(random_mask(28, 64, 5), random_mask(28, 64, 5))
    assert hole(random_mask(28, 64, 5)) != hole(random_mask(28, 64, 6))
    assert random_mask(28, 64, 5).shape == (1, 64, 64)


def test_a_random_hole_is_drawn_from_its_own_stream_of_random_numbers() -> None:
    left, top = (seeds.uniform([5], 0, (2,), stream=seeds.Stream.HOLE_PLACE, dtype=torch.float64)[0] * 37).long().tolist()
    assert hole(random_mask(28, 64, 5)) == (left, top, 28, 28)


def test_a_random_hole_as_large_as_the_picture_has_one_place() -> None:
    assert hole(random_mask(4, 4, 3)) == (0, 0, 4, 4)


@pytest.mark.parametrize(
    ("size", "seed", "says"), [((3, 6), 0, "at most the picture's 5x5"), (0, 0, "at least 1"), (2, -1, "seed")]
)
def test_a_random_hole_that_cannot_be_is_refused(size: int | tuple[int, int], seed: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        random_mask(size, 5, seed)


def test_white_and_transparent_pixels_of_a_mask_file_are_the_hole(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 127, 128], [255, 0, 0]], dtype=np.uint8)).save(tmp_path / "grey.png")
    assert torch.equal(file_mask(tmp_path / "grey.png", (2, 3)), torch.tensor([[[1, 1, 0], [0, 1, 1.0]]]))
    erased = np.zeros((2, 3, 4), dtype=np.uint8)
    erased[..., 3] = [[255, 255, 0], [0, 255, 255]]
    Image.fromarray(erased).save(tmp_path / "erased.png")
    assert torch.equal(file_mask(tmp_path / "erased.png", (2, 3)), file_mask(tmp_path / "grey.png", (2, 3)))


def test_a_mask_file_of_another_size_without_a_hole_or_missing_is_refused(tmp_path: Path) -> None:
    Image.new("L", (4, 3), "black").save(tmp_path / "black.png")
    with pytest.raises(ValueError, match="black.png is 4x3 pixels .width x height., expected the 3x4 to which"):
        file_mask(tmp_path / "black.png", (4, 3))
    with pytest.raises(ValueError, match="black.png has no hole, expected white pixels"):
        file_mask(tmp_path / "black.png", (3, 4))
    with pytest.raises(ValueError, match="there is no picture .*none.png"):
        file_mask(tmp_path / "none.png", 4)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="cannot read .*text.png as a picture"):
        file_mask(tmp_path / "text.png", 4)
