"""What a browser may send to the handlers of the page, called as Gradio calls them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file
from test_web_parts import KNOWN, place

import ppgn
from ppgn.web import WebOptions, page, wishes

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["place"]


def handlers(place: Path) -> dict[str, Any]:
    """The functions that Gradio calls, by their names; of equal names the last."""
    pytest.importorskip("gradio", reason="the page is made of Gradio: pip install 'ppgn[web]'")
    blocks = page(WebOptions(bundles=("tiny",), networks=KNOWN.networks))
    return {function.name: function.fn for function in blocks.fns.values()}


def answered(handler: Any, *given: Any, event: Any = None, session: str = "one") -> list[str]:
    """The lines of status that a handler answers."""
    found = handler(SimpleNamespace(session_hash=session), event, *given)
    rows = [found] if isinstance(found, dict) else list(found)
    return [value for row in rows for value in row.values() if isinstance(value, str)]


def test_what_no_browser_of_ours_sends_is_answered_in_a_sentence(place: Path) -> None:
    by_name = handlers(place)
    event = SimpleNamespace(index=[], x="1", y=None, name=[], choice={})
    form = {"kind": "class", "recipe": "the bundle's own", "groups": [], "members": {"sampler": []}}
    for name, given in {
        "on_bundle": [["tiny"]], "on_member": ["tiny", form], "on_recipe": ["tiny", 3, {}], "on_direction": [None, "", "", None],
        "on_unit": [[], "", "", "x"], "on_sentence": [None, "x" * 400], "on_network": ["tiny", {}], "on_take": [],
        "on_use": ["tiny"], "on_go_on": ["tiny", ["tench"], None], "on_fill": ["tiny", [], form, 1, 0, None],
        "on_want": [[]], "on_look": ["tiny", "", ""],
    }.items():  # fmt: skip
        (*_, last) = answered(by_name[name], *given, event=event)
        assert 'role="alert"' in last, name


def test_a_fault_of_any_kind_is_answered_in_a_sentence(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    (line,) = answered(handlers(place)["on_unit"], 7, "", "", 1)
    assert "the run failed" in line and "the terminal of `ppgn web` has the details" in line
    assert "a run of the page failed" in caplog.text


def test_uploads_are_pictures_that_no_other_program_reads(place: Path) -> None:
    by_name, picture = handlers(place), Pillow.new("RGB", (9, 9), "red")
    for kind, is_read in {"png": True, "jpeg": True, "webp": True, "eps": False, "ppm": False, "tiff": False}.items():
        picture.save(place / "upload", kind)
        found = answered(by_name["on_upload"], "tiny", str(place / "upload"))
        assert any("cannot read upload as a picture, expected" in line for line in found) != is_read, kind
        assert not any(str(place) in line for line in found)


def test_a_direction_is_kept_and_takes_the_name_of_no_other(place: Path) -> None:
    add, wanted = handlers(place)["on_direction"], []
    for name in ("codes", "codes", "codes 2"):
        save_file({"direction": torch.zeros(8)}, f"{name}.safetensors")
        found = add(SimpleNamespace(session_hash="one"), None, wanted, "", "trunk.block0.0", str(place / f"{name}.safetensors"))
        (wanted,) = [value for value in found.values() if isinstance(value, list)]
        Path(f"{name}.safetensors").unlink()
    assert wanted == ["direction codes", "direction codes 2", "direction codes 2 2"]


def test_a_place_on_a_map_begins_chains_of_its_own_bundle_alone(place: Path) -> None:
    by_name = handlers(place)
    click = SimpleNamespace(x=0.5, y=0.5)
    (line,) = answered(by_name["on_click"], "tiny", event=click)
    assert "got no place on a map" in line
    assert "pictures by PCA" in answered(by_name["on_draw"], "tiny", "PCA")[-1]
    (line,) = answered(by_name["on_click"], "tiny", event=click)
    assert "Chains begin there" in line
    (line,) = answered(by_name["on_click"], "other", event=click)
    assert "got the bundle" in line


def test_more_wishes_than_a_page_takes_are_refused(place: Path) -> None:
    listed = [wishes.read_wish("tench", KNOWN)] * 33
    with pytest.raises(ValueError, match="got 33 wishes, expected at most 32"):
        wishes.request_of(ppgn.load("tiny"), listed, KNOWN)
