"""The page without a browser: what is on screen as a command and as Python, the house of networks, painted holes."""

import base64
import gc
import io
import json
import shlex
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from safetensors.torch import load_file
from test_web_parts import KNOWN, place
from torch import Tensor

import ppgn
from ppgn import cli, images, loaders
from ppgn.web import Asked, House, Visitor, Visitors, WebOptions, export, known_pixels, page, wishes

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["place"]


SHIPPED = ppgn.load("imagenette64")


def asked(*texts: str, recipe: str = "", **changes: Any) -> Asked:
    return Asked(tuple(wishes.read_wish(text, KNOWN) for text in texts), recipe, changes)


def begun(name: str, wanted: Asked, count: int = 2, seed: int = 5, visitor: Visitor | None = None, **options: Any) -> Visitor:
    """A visitor whose run has begun as the page begins one."""
    visitor, bundle = visitor or Visitor(), SHIPPED if name == "imagenette64" else ppgn.load(name)
    request = wishes.request_of(bundle, wanted.wishes, KNOWN) if wanted.wishes else None
    given = {} if "hole" in options else {"recipe": wanted.recipe or None, **wanted.changes}
    visitor.begin(bundle, request, wanted, count, seed, where=name, **options, **given)
    return visitor


def gone(visitor: Visitor, steps: int = 1000) -> Visitor:
    for _ in visitor.go(steps):
        pass
    return visitor


def turned(visitor: Visitor, wanted: Asked) -> Visitor:
    assert visitor.bundle is not None
    visitor.ask(wanted, wishes.request_of(visitor.bundle, wanted.wishes, KNOWN))
    return visitor


def on_screen(visitor: Visitor) -> list[bytes]:
    return [images.to_pil(image).convert("RGB").tobytes() for image in export.shown(visitor)]


def in_folder(folder: str, rows: str) -> list[bytes]:
    about = json.loads((Path(folder) / {"samples": "samples.json", "fillings": "inpaint.json"}[rows]).read_text())
    return [Pillow.open(Path(folder) / row["file"]).convert("RGB").tobytes() for row in about[rows]]


def by_command(visitor: Visitor) -> list[bytes]:
    """The pictures that the exported command writes into the working directory."""
    words = shlex.split(export.command(visitor, KNOWN))
    assert words[0] == "ppgn", words
    assert cli.main(words[1:]) == 0
    return in_folder("samples", "samples") if words[1] == "sample" else in_folder("filled", "fillings")


def by_python(visitor: Visitor) -> list[bytes]:
    """The pictures that the exported Python writes into the working directory; its codes are those on screen to the bit."""
    made: dict[str, Any] = {}
    exec(compile(export.python(visitor, KNOWN), "again.py", "exec"), made)
    assert visitor.run is not None and torch.equal(made["run"].samples.codes, visitor.run.samples.codes)
    assert torch.equal(made["run"].samples.images, visitor.run.samples.images)
    return in_folder("samples", "samples") if visitor.hole is None else in_folder("filled", "fillings")


def files_of(visitor: Visitor, to: Path) -> list[str]:
    """Moves the exported files into a folder; their names."""
    made = export.files(visitor, KNOWN)
    for file in made:
        Path(file).rename(to / Path(file).name)
    Path(made[0]).parent.rmdir()
    return [Path(file).name for file in made]


def test_the_command_of_a_run_of_the_shipped_bundle_makes_its_pictures_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    visitor = gone(begun("imagenette64", asked("church", steps=3)))
    assert by_command(visitor) == on_screen(visitor)


def test_the_python_of_a_run_of_the_shipped_bundle_makes_its_pictures_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins at a picture, is stopped, asked for something else, and fills a hole in what came out."""
    monkeypatch.chdir(tmp_path)
    visitor = Visitor(code=torch.rand(1, *SHIPPED.code.shape, generator=torch.Generator().manual_seed(1)))
    gone(begun("imagenette64", asked("church", steps=3), visitor=visitor, start_noise=0.3), 2)
    gone(turned(visitor, asked("parachute", "-0.5 * church", steps=2)), 1)
    files_of(visitor, tmp_path)
    expected = on_screen(visitor)
    assert by_python(visitor) == expected and expected[0] != expected[1]
    hole = export.shown(visitor)[1], images.box_mask("16,16,32,32", (64, 64))
    gone(begun("imagenette64", asked("church"), visitor=visitor, hole=hole), 3)
    files_of(visitor, tmp_path)
    expected = on_screen(visitor)
    assert by_python(visitor) == expected and expected[0] != expected[1]


RUNS = [
    asked("tench"),
    asked("tench", "-0.123456789 * golf ball", steps=3, step_size=(0.3, 0.01)),
    asked("golf ball", recipe="ppgn_h", steps=3, noise_scale=0.1),
    asked("golf ball", recipe="ppgn_h_released", sampler="langevin", condition_limit=0.5, steps=3, start_mean=-1e-5),
    asked("unit trunk.block0.0:3", steps=3, measure="log_softmax"),
    asked("unit trunk.block0.0:3", steps=3, measure="log_softmax", temperature=2.0),
    asked("0.5 * unit trunk.block0.0:3", "tench", steps=3, temperature=2.0),
    asked("-1 * 2 of my_parts:network", steps=3, temperature=2.0),
    asked("unit 0:1 of my_parts:network", recipe="ppgn_h", steps=3),
    asked("function my_parts:bright", steps=3, temperature=3.0),
    asked("tench", sampler="adam", nesterov=True, steps=4),
]


def named(wanted: Asked) -> str:
    return " ".join([*map(str, wanted.wishes), wanted.recipe, *wanted.changes])


@pytest.mark.parametrize("wanted", RUNS, ids=named)
def test_command_and_python_make_the_pictures_on_screen(wanted: Asked, place: Path) -> None:
    visitor = gone(begun("tiny", wanted))
    expected = on_screen(visitor)
    assert by_python(visitor) == expected
    for file in Path("samples").iterdir():
        file.unlink()
    assert by_command(visitor) == expected
    assert expected[0] != expected[1]


def test_a_run_that_was_stopped_is_made_again_up_to_there(place: Path) -> None:
    steady = gone(begun("tiny", asked("tench", steps=9, step_size=0.2)), 4)
    assert steady.run is not None and (steady.run.step, steady.run.left) == (4, 5)
    assert by_command(steady) == on_screen(steady) == by_python(steady)
    falling = gone(begun("tiny", asked("tench", steps=9, step_size=(0.2, 0.1))), 4)
    assert export.command(falling, KNOWN).startswith("# the chains were stopped before their end: the Python below")
    assert by_python(falling) == on_screen(falling)


def test_a_run_that_was_stopped_and_went_on_is_one_run(place: Path) -> None:
    visitor = gone(gone(begun("tiny", asked("tench")), 2))
    assert [(call.name, call.steps) for call in visitor.calls] == [("begin", 0), ("steps", 5)]
    assert by_command(visitor) == on_screen(visitor)


def test_a_run_that_was_stopped_while_it_began_has_one_step_to_show(place: Path) -> None:
    visitor = begun("tiny", asked("tench", steps=4))
    visitor.stop.set()
    gone(visitor)
    assert visitor.run is not None and (visitor.run.step, visitor.run.left) == (1, 3)
    assert by_python(visitor) == on_screen(visitor)


def test_a_run_that_was_turned_to_something_else_is_made_again_by_python_alone(place: Path) -> None:
    visitor = gone(begun("tiny", asked("tench", steps=4, noise_scale=0.2)), 2)
    gone(turned(visitor, asked("golf ball", "-1 * tench", recipe="ppgn_h", steps=3)))
    gone(turned(visitor, asked("unit trunk.block0.0:3", steps=2)))
    assert [call.name for call in visitor.calls] == ["begin", "steps", "ask", "steps", "ask", "steps"]
    assert export.command(visitor, KNOWN).startswith("# what was wanted changed on the way")
    assert by_python(visitor) == on_screen(visitor)


def test_what_is_pending_is_asked_before_the_next_step(place: Path) -> None:
    visitor = begun("tiny", asked("tench", steps=4))
    steps = visitor.go(100)
    next(steps)
    wanted = asked("golf ball", steps=2)
    assert visitor.bundle is not None
    visitor.pending = (wanted, wishes.request_of(visitor.bundle, wanted.wishes, KNOWN))
    assert len(list(steps)) == 2
    assert [(call.name, call.steps) for call in visitor.calls] == [("begin", 0), ("steps", 1), ("ask", 0), ("steps", 2)]
    assert export.asked_of(visitor) == wanted
    assert by_python(visitor) == on_screen(visitor)


def test_a_run_that_began_at_the_code_of_a_picture_is_made_again_with_its_files(place: Path) -> None:
    visitor = gone(begun("tiny", asked("tench")))
    assert visitor.run is not None
    visitor.code = visitor.run.samples.codes[1:2].clone()
    gone(begun("tiny", asked("golf ball", steps=3), seed=8, visitor=visitor, start_noise=0.2))
    assert export.command(visitor, KNOWN).startswith("# the chains began at a picture's code")
    assert {"start.safetensors", "codes.safetensors", "grid.png", "film.gif", "page.html"} <= set(files_of(visitor, place))
    assert torch.equal(load_file("codes.safetensors")["code"], visitor.run.samples.codes)
    expected, codes = on_screen(visitor), visitor.run.samples.codes
    assert by_python(visitor) == expected and not torch.equal(codes[0], codes[1])
    assert [Pillow.open(f"picture_{seed}.png").convert("RGB").tobytes() for seed in (8, 9)] == expected
    assert (place / "again.py").read_text() == export.python(visitor, KNOWN)


def some_hole(picture: Tensor) -> tuple[Tensor, Tensor]:
    return picture, images.box_mask("2,2,4,4", (8, 8))


@pytest.mark.parametrize("wanted", [asked(), asked("tench"), asked("tench", "0.5 * unit trunk.block0.0:3")], ids=named)
def test_a_filled_hole_is_made_again_with_its_files(wanted: Asked, place: Path) -> None:
    """The picture is one that a chain made, whose pixels no file of 8 bits holds."""
    picture = gone(begun("tiny", asked("tench")))
    visitor = gone(begun("tiny", wanted, hole=some_hole(export.shown(picture)[0])))
    files_of(visitor, place)
    expected = on_screen(visitor)
    assert by_python(visitor) == expected
    for file in Path("filled").iterdir():
        file.unlink()
    assert by_command(visitor) == expected


def test_a_hole_that_something_else_fills_on_the_way_is_made_again_by_python(place: Path) -> None:
    visitor = gone(begun("tiny", asked("tench"), hole=some_hole(torch.rand(1, 8, 8))), 3)
    gone(turned(visitor, asked("golf ball")), 4)
    files_of(visitor, place)
    assert export.command(visitor, KNOWN).startswith("# what was wanted changed")
    assert by_python(visitor) == on_screen(visitor)


def test_wishes_and_targets_that_no_command_says_are_said_in_python(place: Path) -> None:
    both = gone(begun("tiny", asked("tench", "-0.5 * tench", "unit fc8:1", steps=3)))
    assert export.command(both, KNOWN).startswith("# one command cannot say these wishes together")
    measured = gone(begun("tiny", asked("tench", "unit fc8:1", steps=3, measure="logit")))
    assert export.command(measured, KNOWN).startswith("# one command cannot say these wishes together")
    each = gone(begun("tiny", asked("all", steps=3), count=4))
    assert export.command(each, KNOWN).startswith("# each chain has a target of its own")
    for visitor in (both, measured, each):
        assert by_python(visitor) == on_screen(visitor)


def test_a_direction_is_exported_beside_the_python_without_a_path_of_the_server(place: Path) -> None:
    (place / "uploads").mkdir()
    (place / "stripes.safetensors").rename(place / "uploads" / "stripes.safetensors")
    known = wishes.Known({}, directions={"stripes": (str(place / "uploads" / "stripes.safetensors"), "trunk.block0.0")})
    wanted = Asked((wishes.read_wish("direction stripes", known),), "", {"steps": 3})
    visitor, bundle = Visitor(), ppgn.load("tiny")
    visitor.begin(bundle, wishes.request_of(bundle, wanted.wishes, known), wanted, 2, 5, where="tiny", steps=3)
    gone(visitor)
    for file in export.files(visitor, known):
        Path(file).rename(place / Path(file).name)
    text = (place / "again.py").read_text()
    assert text == export.python(visitor, known) and "uploads" not in text
    exec(compile(text, "again.py", "exec"), {})
    assert in_folder("samples", "samples") == on_screen(visitor)


def test_there_is_nothing_to_export_before_a_run(place: Path) -> None:
    assert export.command(Visitor(), KNOWN) == "" == export.python(Visitor(), KNOWN)
    with pytest.raises(ValueError, match="got no pictures to save"):
        export.files(Visitor(), KNOWN)
    with pytest.raises(ValueError, match="got no pictures to save"):
        export.files(begun("tiny", asked("tench")), KNOWN)


def test_a_bundle_is_named_as_on_the_page_and_tries_are_none(place: Path) -> None:
    about = json.loads(Path("bundles/tiny/bundle.json").read_text())
    about["recipes"]["class"]["retries"]["tries"] = 3
    Path("bundles/tiny/bundle.json").write_text(json.dumps(about))
    Path("bundles").rename("elsewhere")
    visitor = gone(begun("elsewhere/tiny", asked("tench")))
    assert " elsewhere/tiny " in export.command(visitor, KNOWN)
    assert by_command(visitor) == on_screen(visitor) == by_python(visitor)


def test_a_visitor_runs_one_thing_at_a_time() -> None:
    visitor = Visitor()
    with visitor.alone(), pytest.raises(ValueError, match="expected one at a time"), visitor.alone():
        pass
    with visitor.alone():
        pass


def test_a_stop_that_comes_before_the_first_step_lets_one_step_be_seen(place: Path) -> None:
    visitor = Visitor()
    with visitor.alone():
        visitor.stop.set()  # while the start is chosen
        gone(begun("tiny", asked("tench", steps=4), visitor=visitor))
        assert visitor.run is not None and visitor.run.step == 1
    with visitor.alone():
        assert gone(visitor).run is visitor.run and visitor.run.left == 0


def test_what_an_earlier_run_was_to_go_on_with_is_forgotten(place: Path) -> None:
    visitor = gone(begun("tiny", asked("tench", steps=2)))
    assert visitor.bundle is not None
    late = asked("golf ball", steps=2)
    visitor.pending = (late, wishes.request_of(visitor.bundle, late.wishes, KNOWN))  # after the last step
    with visitor.alone():
        gone(turned(visitor, asked("-1 * tench", steps=1)))
    assert [str(wish) for call in visitor.calls if call.asked for wish in call.asked.wishes] == ["tench", "-1 * tench"]


def test_files_of_a_visitor_go_with_the_next_ones_and_with_the_visitor(place: Path) -> None:
    visitor = gone(begun("tiny", asked("tench", steps=2)))
    first = export.files(visitor, KNOWN)
    (visitor.room / "files" / "old").touch()
    assert export.files(visitor, KNOWN) == first
    room = visitor.room
    assert room.is_dir()
    del visitor
    gc.collect()
    assert not room.exists()


def test_visitors_who_do_nothing_are_forgotten_where_there_are_too_many() -> None:
    visitors = Visitors()
    first, second = visitors.of("first"), visitors.of("second")
    with first.alone():
        for number in range(1200):
            visitors.of(str(number))
        assert visitors.of("first") is first and visitors.of("second") is not second
    assert len(visitors) <= 502


# The house of networks


def test_the_house_refuses_what_the_page_was_not_started_with(place: Path) -> None:
    house = House(WebOptions(bundles=("tiny",), networks=KNOWN.networks))
    assert house.bundle("tiny").name == "tiny"
    for junk in ("imagenette64", "", "../bundles/tiny", "os:system", str(place / "bundles" / "tiny"), None, ["tiny"], {}):
        with pytest.raises(ValueError, match="got the bundle .*, expected tiny: choose one"):
            house.bundle(junk)
    for junk in ("lite:0", "os:system", "bundle:classifier", None, ["my_parts:network"]):
        with pytest.raises(ValueError, match="got the network .*, expected my_parts:network: choose one"):
            house.network(junk, "tiny")
        with pytest.raises(ValueError, match="got the network"):
            house.layers(junk, "tiny")
    with pytest.raises(ValueError, match="got the bundle"):
        house.network("my_parts:network", "imagenette64")
    assert "trunk.block0.0" in [layer.name for layer in house.layers("", "tiny")]
    assert "0" in [layer.name for layer in house.layers("my_parts:network", "tiny")]


def test_the_house_loads_each_network_once_also_for_several_visitors_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, str]] = []
    bundle, network = loaders.bundle, loaders.network

    def slow_bundle(name: Any, *given: Any) -> Any:
        if isinstance(name, str):
            loaded.append(("bundle", name))
            time.sleep(0.05)
        return bundle(name, *given)

    def slow_network(name: str, *given: Any, **options: Any) -> Any:
        loaded.append(("network", name))
        time.sleep(0.05)
        return network(name, *given, **options)

    monkeypatch.setattr(loaders, "bundle", slow_bundle)
    monkeypatch.setattr(loaders, "network", slow_network)
    house = House(WebOptions(bundles=("tiny",), networks=KNOWN.networks))
    found: list[tuple[Any, Any, Any]] = []

    def visit() -> None:
        found.append((house.bundle("tiny"), house.network("my_parts:network", "tiny"), house.layers("", "tiny")))

    threads = [threading.Thread(target=visit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and all(one is other for row in found for one, other in zip(row, found[0], strict=True))
    assert sorted(loaded) == [("bundle", "tiny"), ("network", "bundle:classifier"), ("network", "my_parts:network")]


def test_choices_are_wishes_that_are_read_back(place: Path) -> None:
    house = House(WebOptions(bundles=("tiny",), functions=("my_parts:bright",)))
    house.bundle("tiny").classes = ("tench", "text book", "2 * church")
    read = [wishes.read_wish(text, house.options.known) for text in house.choices("tiny")]
    assert [(wish.kind, wish.value) for wish in read] == [
        ("class", "tench"), ("class", "text book"), ("class", "2 * church"), ("function", "my_parts:bright")
    ]  # fmt: skip


def test_the_page_is_built_with_its_tabs_and_without_a_server(place: Path) -> None:
    pytest.importorskip("gradio", reason="the page is made of Gradio: pip install 'ppgn[web]'")
    blocks = page(WebOptions(bundles=("tiny",), networks=KNOWN.networks))
    labels = [block.label for block in blocks.blocks.values() if type(block).__name__ == "Tab"]
    assert labels == ["Sample", "Neurons", "Map", "Evolve", "Story"]
    assert not blocks.is_running and not blocks.analytics_enabled
    assert not blocks.api_open  # a direct call would pass the queue by


# Painted holes


def painted(mask: Pillow.Image) -> dict[str, str]:
    return {"mask": f"data:image/png;base64,{base64.b64encode(png(mask)).decode()}"}


def png(mask: Pillow.Image) -> bytes:
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def mask_of(box: tuple[int, int, int, int] = (1, 2, 4, 6), size: tuple[int, int] = (10, 8), mode: str = "L") -> Pillow.Image:
    mask = Pillow.new(mode, size, "black")
    mask.paste("white", box)
    return mask


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_white_is_the_hole(mode: str) -> None:
    known = known_pixels(painted(mask_of(mode=mode)), (8, 10))
    expected = torch.ones(1, 8, 10)
    expected[:, 2:6, 1:4] = 0
    assert torch.equal(known, expected)


def data(raw: bytes) -> dict[str, str]:
    return {"mask": f"data:image/png;base64,{base64.b64encode(raw).decode()}"}


def jpeg() -> bytes:
    buffer = io.BytesIO()
    mask_of().save(buffer, "JPEG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of which the head says that it has 60000 x 60000 pixels."""
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    return png(mask_of())[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png(mask_of())[33:]


@pytest.mark.parametrize(
    ("junk", "sentence"),
    [
        (None, "got no painted hole"),
        ([], "got no painted hole"),
        ("data:image/png;base64,", "got no painted hole"),
        ({}, "got no painted hole"),
        ({"mask": None}, "got no painted hole"),
        ({"mask": ["x"]}, "got no painted hole"),
        ({"mask": ""}, "got no painted hole"),
        ({"mask": "/etc/passwd"}, "got no painted hole"),
        ({"mask": "http://example.org/mask.png"}, "got no painted hole"),
        ({"mask": "data:image/png;base64," + "A" * 5_000_000}, "got no painted hole"),
        ({"mask": "data:image/png;base64,not base64!"}, "cannot be read"),
        ({"mask": "data:image/png;base64,\u00e9\u00e9"}, "cannot be read"),
        ({"mask": "data:image/png;base64,"}, "cannot be read"),
        (data(b"no picture"), "cannot be read"),
        (data(png(mask_of())[:40]), "cannot be read"),
        (data(jpeg()), "cannot be read"),
        (data(bomb()), "cannot be read"),
        (painted(mask_of(size=(8, 10))), "got a hole of 8x10 pixels, expected 10x8"),
        (painted(mask_of(size=(2000, 2000))), "got a hole of 2000x2000 pixels, expected 10x8"),
        (painted(Pillow.new("L", (10, 8), "black")), "got no painted hole"),
        (painted(Pillow.new("L", (10, 8), "white")), "got a hole that is the whole picture"),
    ],
)
def test_what_is_no_hole_is_refused(junk: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        known_pixels(junk, (8, 10))


WHOLE = png(mask_of())


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, len(WHOLE))
)
@settings(deadline=None, max_examples=200)
def test_a_broken_mask_is_read_or_refused_in_a_sentence(changes: list[tuple[int, int]], cut: int) -> None:
    raw = bytearray(WHOLE)
    for at, value in changes:
        raw[at] = value
    for tried in (bytes(raw), bytes(raw[:cut])):
        try:
            known = known_pixels(data(tried), (8, 10))
        except ValueError:
            continue
        assert known.shape == (1, 8, 10) and 0 < float(known.mean()) < 1
