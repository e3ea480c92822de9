"""Labels of grids are readable in the scripts that the system has a font for."""

import pytest
import torch
from PIL import ImageFont

from ppgn import images


def has_font(name: str) -> bool:
    try:
        return bool(ImageFont.truetype(name, 11))
    except OSError:
        return False


@pytest.mark.skipif(not has_font("DejaVuSans.ttf"), reason="this system has no DejaVu Sans")
def test_labels_of_other_scripts_are_letters_where_the_system_has_a_font_for_them() -> None:
    cat, garden, latin = (images.grid(torch.ones(1, 3, 64, 64), [label]) for label in ("кот", "сад", "cat"))
    assert cat.size == garden.size and cat.tobytes() != garden.tobytes()
    assert latin.size[0] == cat.size[0]
    assert images.grid_size(1, (64, 64), ["кот"]) == (cat.height, cat.width)
