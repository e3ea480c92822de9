"""The page in a real browser: what a visitor does, and that nothing else is asked of the network."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
LACKING = [name for name in ("gradio", "playwright", "axe_playwright_python", "captum") if importlib.util.find_spec(name) is None]
if LACKING or not Path(CHROMIUM).exists():
    needed = ", ".join(LACKING) or "Debian's chromium"
    pytest.skip(f"the browser tests need {needed}", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a browser and chains of a trained bundle, which it stops in time

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"]  # fmt: skip
SERVER = """
import socket, sys
real = socket.getaddrinfo, socket.socket.connect
def told(host):
    if str(host) not in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "None"):
        with open(sys.argv[1], "a") as file:
            file.write(f"{host}\\n")
def getaddrinfo(host, *given, **named):
    told(host)
    return real[0](host, *given, **named)
def connect(self, address):
    if isinstance(address, tuple):
        told(address[0])
    return real[1](self, address)
socket.getaddrinfo, socket.socket.connect = getaddrinfo, connect
from ppgn.cli import main
raise SystemExit(main(sys.argv[2:]))
"""
"""The command, in a process that writes down every other host that it looks up or connects to."""
BRIGHT = "def bright(image):\n    return 50 * image.mean((1, 2, 3))\n"
PATIENCE = int(os.environ.get("WEB_PATIENCE", 120_000))
"""Milliseconds, for a machine that is busy."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    (folder / "mine.py").write_text(BRIGHT)
    (folder / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        noise = random.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Pillow.fromarray(noise).resize((64, 64)).save(folder / "photos" / f"{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return folder


@pytest.fixture(scope="module")
def server(room: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["web", "imagenette64", "products64", "--condition", "mine:bright", "--network", "lite:0", "--images", "photos",
             "--port", str(port)]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with (room / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(room / "hosts"), *words], cwd=room, env=env, stdout=log, stderr=log
        )
        try:
            _wait_for(port, process, room)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in (room / "server.log").read_text()


def _wait_for(port: int, process: subprocess.Popen[bytes], room: Path) -> None:
    for _ in range(240):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, (room / "server.log").read_text()
        time.sleep(0.5)
    raise AssertionError("the server did not open its port in two minutes")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    """A new visitor. Afterwards: no script failed, and no other host was asked."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    yield (opened := visit(context, server))
    assert opened.faults == []
    context.close()


def visit(context: Any, server: str) -> Any:
    page = context.new_page()
    page.faults = []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda fault: page.faults.append(str(fault)))
    page.on("request", lambda asked: None if _is_here(asked.url, server) else page.faults.append(asked.url))
    page.goto(server)
    page.wait_for_selector("button#start:not([disabled])")
    return page


def _is_here(url: str, server: str) -> bool:
    return url.startswith((server, "data:", "blob:"))


def tab(page: Any, name: str) -> None:
    """Shows a tab, which stands in a menu where the page is narrow."""
    if not page.get_by_role("tab", name=name, exact=True).is_visible():
        page.click(".overflow-menu > button")
        page.click(f".overflow-dropdown button:has-text('{name}')")
        return
    page.get_by_role("tab", name=name, exact=True).click()


def opened(page: Any, part: str) -> None:
    """Opens an accordion that is closed."""
    page.locator(f"#{part} > button, #{part} button.label-wrap").first.click()


def status(page: Any, word: str, of: str = "status") -> str:
    """The line of a tab's status, once it has the word in it."""
    page.wait_for_function(f"document.querySelector('#{of}')?.innerText.includes({json.dumps(word)})")
    return page.inner_text(f"#{of}").strip()


def want(page: Any, *wishes: str) -> None:
    """Types wishes in the place of those that stand there."""
    box = page.locator("#wanted input")
    box.click()
    for _ in range(4):
        box.press("Backspace")
    for wish in wishes:
        box.fill(wish)
        box.press("Enter")
    box.press("Escape")


def choose_bundle(page: Any, name: str, first: str) -> None:
    page.click("#bundle input")
    page.get_by_role("option", name=name).click()
    page.wait_for_function(f"document.querySelector('#wanted').innerText.includes({json.dumps(first)})")


def chains(page: Any, count: int) -> None:
    page.locator("#chains input[type=number]").fill(str(count))
    page.locator("#chains input[type=number]").press("Tab")


def pictures(page: Any, part: str = "pictures") -> list[str]:
    return page.eval_on_selector_all(f"#{part} .tiles img", "all => all.map(one => one.src)")


def pixels(url: str) -> np.ndarray[Any, Any]:
    import base64
    import io

    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_a_class_runs_to_its_end_and_the_exported_command_makes_the_same_pictures(page: Any, room: Path) -> None:
    chains(page, 2)
    page.click("button#start")
    status(page, "done after 25 steps")
    shown = pictures(page)
    assert len(shown) == 2
    assert page.locator("#curves svg").count() == 3
    opened(page, "export")
    page.wait_for_selector("#command .cm-content")
    command = " ".join(page.inner_text("#command .cm-content").split())
    assert command.startswith("ppgn sample imagenette64 --class church --count 2 --seed 0")
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], cwd=room, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for url, file in zip(shown, sorted((room / "samples").glob("*.png")), strict=True):
        np.testing.assert_array_equal(pixels(url), np.asarray(Pillow.open(file).convert("RGB")))


def test_the_grid_moves_at_two_frames_a_second_or_more(page: Any) -> None:
    page.evaluate(
        """() => { window.frames_ = []; new MutationObserver(() => window.frames_.push(performance.now()))
        .observe(document.querySelector('#pictures'), {subtree: true, attributes: true, attributeFilter: ['src']}); }"""
    )
    page.click("button#start")
    status(page, "done")
    times = sorted(set(page.evaluate("window.frames_.map(one => Math.round(one / 20))")))
    assert len(times) >= 6, times
    rate = (len(times) - 1) / ((times[-1] - times[0]) * 0.02)
    assert rate > (2 if (os.getloadavg()[0] < 2) else 0.5), rate


def test_a_run_stops_goes_on_and_turns_to_another_wish(page: Any) -> None:
    chains(page, 2)
    page.click("button#start")
    status(page, "step")
    page.click("button#stop")
    stopped = int(re.search(r"stopped after (\d+) steps", status(page, "stopped after")).group(1))  # type: ignore[union-attr]
    assert stopped < 25
    before = pictures(page)
    want(page, "parachute")
    page.click("button#go-on")
    assert "parachute" in status(page, "parachute: done after")
    assert pictures(page) != before
    opened(page, "export")
    page.wait_for_selector("#python .cm-content")
    text = page.inner_text("#python")
    assert f"list(run.steps({stopped}))" in text and "run.ask(" in text
    assert "no single command" in page.inner_text("#command")


def test_stop_is_heard_while_a_run_begins(page: Any) -> None:
    page.click("button#start")
    page.click("button#stop")
    assert int(re.search(r"stopped after (\d+) steps", status(page, "stopped after")).group(1)) < 5  # type: ignore[union-attr]


def test_another_bundle_in_mid_run_leaves_the_chains_their_own_wishes(page: Any) -> None:
    chains(page, 2)
    page.click("button#start")
    status(page, "step")
    choose_bundle(page, "products64", "type:Backpacks")
    assert status(page, "done").startswith("church: done after 25 steps")
    assert page.inner_text("button#start").strip() == "Start" and page.inner_text("button#go-on").strip() == "Go on"
    page.click("button#go-on")
    status(page, "no run of this bundle")
    page.click("#pictures button:nth-child(1)")
    page.click("button#begin-here")
    status(page, "no chosen picture of this bundle")


def test_what_cannot_be_added_is_said_at_once(page: Any) -> None:
    opened(page, "adding")
    before = page.inner_text("#wanted")
    page.click("button#add-sentence")
    status(page, "got no sentence")
    page.fill("#sentence textarea, #sentence input", "a red handbag")
    page.click("button#add-sentence")
    status(page, "has no captioner")
    page.fill("#unit input", "99999")
    page.click("button#add-unit")
    status(page, "99999")
    assert page.inner_text("#wanted") == before


def test_a_wish_that_changes_while_chains_run_turns_them(page: Any) -> None:
    chains(page, 4)
    page.click("button#start")
    status(page, "church: step")
    want(page, "golf ball")
    assert "golf ball" in status(page, "done")


def test_weights_and_negative_ones_are_wished(page: Any) -> None:
    chains(page, 1)
    want(page, "church", "-0.3 * parachute")
    page.click("button#start")
    assert "church + -0.3 * parachute" in status(page, "done")
    opened(page, "export")
    page.wait_for_selector("#command .cm-content")
    assert "--class church parachute --weight 1 -0.3" in " ".join(page.inner_text("#command .cm-content").split())


def test_a_picture_opens_and_becomes_the_next_start(page: Any) -> None:
    chains(page, 2)
    page.click("button#start")
    status(page, "done")
    page.click("#pictures button:nth-child(2)")
    page.wait_for_selector("#large img")
    assert page.get_attribute("#pictures button:nth-child(2)", "aria-pressed") == "true"
    page.click("button#begin-here")
    status(page, "begins at picture 2")
    want(page, "parachute")
    page.click("button#start")
    status(page, "parachute: done")
    opened(page, "export")
    page.wait_for_selector("#python .cm-content")
    assert 'load_file("start.safetensors")' in page.inner_text("#python")
    page.click("button#save")
    page.wait_for_selector("#files a")
    names = page.inner_text("#files")
    for name in ("grid.png", "film.gif", "codes.safetensors", "page.html", "again.py", "start.safetensors"):
        assert Path(name).stem in names, names


def test_a_painted_hole_is_filled_and_the_rest_stays(page: Any, room: Path) -> None:
    picture = room / "photos" / "3.png"
    opened(page, "hole")
    page.set_input_files("#upload input[type=file]", str(picture))
    status(page, "Paint a hole")
    page.wait_for_selector("#painter canvas")
    page.locator("#painter canvas").scroll_into_view_if_needed()
    box = page.locator("#painter canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=6)
    page.mouse.up()
    chains(page, 1)
    page.click("button#fill")
    status(page, "done")
    (shown,) = pictures(page)
    filled, real = pixels(shown).astype(int), np.asarray(Pillow.open(picture).convert("RGB")).astype(int)
    assert np.abs(filled - real)[:16].max() <= 1
    assert np.abs(filled - real)[28:36, 28:36].mean() > 2


def test_a_box_is_painted_by_keyboard(page: Any, room: Path) -> None:
    opened(page, "hole")
    page.set_input_files("#upload input[type=file]", str(room / "photos" / "4.png"))
    status(page, "Paint a hole")
    page.focus("#painter .add")
    page.keyboard.press("Enter")
    chains(page, 1)
    page.focus("button#fill")
    page.keyboard.press("Enter")
    status(page, "done")
    assert len(pictures(page)) == 1


def test_what_is_no_picture_is_refused_in_a_sentence(page: Any, room: Path) -> None:
    opened(page, "hole")
    page.set_input_files("#upload input[type=file]", str(room / "broken.png"))
    assert "as a picture" in status(page, "cannot read broken.png")
    page.click("button#fill")
    assert "no painted hole" in status(page, "got no")


def test_a_mistake_has_the_sentence_of_the_command_line(page: Any) -> None:
    want(page, "unit trunk.99:7")
    page.click("button#start")
    text = status(page, "trunk.99")
    assert page.locator("#status [role=alert]").count() == 1 and "\n" not in text
    want(page, "church")
    chains(page, 1)
    page.click("button#start")
    status(page, "done")


def test_a_sentence_is_drawn(page: Any) -> None:
    choose_bundle(page, "products64", "type:Backpacks")
    chains(page, 1)
    want(page)
    opened(page, "adding")
    page.fill("#sentence textarea, #sentence input", "a red handbag")
    page.click("button#add-sentence")
    page.wait_for_function("document.querySelector('#wanted').innerText.includes('sentence a red handbag')")
    page.click("button#start")
    page.wait_for_selector("#pictures .tiles img")
    page.click("button#stop")
    assert "a red handbag" in status(page, "stopped after")


def test_a_function_of_the_command_line_is_wished(page: Any) -> None:
    chains(page, 1)
    want(page, "function mine:bright")
    page.click("button#start")
    assert "function mine:bright" in status(page, "done")


def test_the_settings_of_a_rule_are_sliders_and_reach_the_chains(page: Any) -> None:
    chains(page, 1)
    opened(page, "how")
    page.wait_for_selector("#form details")
    assert page.locator("#form [aria-label='momentum, slider']").count() == 1  # a field of the adaptive rule
    page.get_by_label("sampler", exact=True).select_option("langevin")
    page.wait_for_selector("#form [aria-label='condition limit, slider']")
    page.get_by_label("steps", exact=True).fill("3")
    page.click("button#start")
    status(page, "done after 3 steps")
    opened(page, "export")
    page.wait_for_selector("#command .cm-content")
    assert "--sampler langevin --steps 3" in " ".join(page.inner_text("#command .cm-content").split())


def test_a_unit_is_picked_by_a_click_explained_and_wished(page: Any, room: Path) -> None:
    tab(page, "Neurons")
    page.set_input_files("#look-at input[type=file]", str(room / "photos" / "5.png"))
    page.wait_for_selector("#look-at img")
    page.click("button#look")
    page.wait_for_selector("#activations .tiles img")
    label = page.inner_text("#activations button:nth-child(3) span")
    page.click("#activations button:nth-child(3)")
    unit = label.partition(":")[0]
    assert f":{unit}." in status(page, "Unit ", "neuron-status")
    page.click("button#where")
    page.wait_for_selector("#attributions .tiles img")
    assert [one.strip() for one in page.locator("#attributions span").all_inner_texts()] == [
        "saliency", "guided backpropagation", "deconvolution", "occlusion"
    ]  # fmt: skip
    page.click("button#explain")
    page.wait_for_selector("#found .tiles img")
    labels = page.locator("#found span").all_inner_texts()
    assert sum("real" in one for one in labels) == 6 and sum("made" in one for one in labels) == 3
    page.click("button#want")
    status(page, "Added", "neuron-status")
    tab(page, "Sample")
    assert f":{unit}" in page.inner_text("#wanted")


def test_a_click_on_the_map_begins_chains_there(page: Any) -> None:
    chains(page, 1)
    tab(page, "Map")
    page.click("button#draw-map")
    page.wait_for_selector("#plane .plane button.real")
    assert page.locator("#plane .plane button").count() == 12 + 40
    page.locator("#plane .plane button").nth(3).click(force=True)
    status(page, "done")
    assert len(pictures(page)) == 1


def test_a_person_is_the_neuron_for_three_generations(page: Any) -> None:
    tab(page, "Evolve")
    page.click("button#evolve-begin")
    status(page, "Generation 1", "evolve-status")
    for generation in (2, 3, 4):
        before = pictures(page, "generation")
        page.click("#generation button:nth-child(2)")
        status(page, "(1 so far)", "evolve-status")
        page.click("#generation button:nth-child(5)")
        status(page, "(2 so far)", "evolve-status")
        page.click("button#evolve-next")
        status(page, f"Generation {generation}", "evolve-status")
        assert len(before) == 12 and pictures(page, "generation") != before
    page.click("button#evolve-next")
    assert "click them first" in status(page, "no picture that you like", "evolve-status")


def test_the_story_is_told_and_stops(page: Any) -> None:
    tab(page, "Story")
    page.click("button#story-begin")
    page.wait_for_selector("#story .tiles img")
    page.click("button#story-stop")
    page.wait_for_timeout(1500)
    labels = page.locator("#story span").all_inner_texts()
    assert labels[0].startswith("2009 erhan_2009")


def test_two_visitors_have_pictures_of_their_own(browser: Any, server: str) -> None:
    contexts = [browser.new_context(), browser.new_context()]
    visitors = [visit(context, server) for context in contexts]
    for page, wish in zip(visitors, ("church", "golf ball"), strict=True):
        chains(page, 2)
        want(page, wish)
    for page in visitors:
        page.click("button#start")
    lines = [status(page, "done") for page in visitors]
    assert lines[0].startswith("church") and lines[1].startswith("golf ball")
    assert pictures(visitors[0]) != pictures(visitors[1])
    for page, context in zip(visitors, contexts, strict=True):
        assert page.faults == []
        context.close()


def test_a_reload_in_mid_run_gives_a_page_that_works(page: Any) -> None:
    page.click("button#start")
    status(page, "step")
    page.reload()
    page.wait_for_selector("button#start:not([disabled])")
    chains(page, 1)
    page.click("button#start")
    status(page, "done")
    assert len(pictures(page)) == 1


def test_it_fits_a_phone(browser: Any, server: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visit(context, server)
    chains(page, 2)
    page.click("button#start")
    status(page, "done")
    for name in ("Sample", "Neurons", "Map"):
        tab(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, server: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
    page = visit(context, server)
    chains(page, 1)
    page.click("button#start")
    status(page, "done")
    for part in ("adding", "how", "hole", "export"):
        opened(page, part)
    page.wait_for_selector("#form details")
    for name in ("Sample", "Neurons", "Map", "Evolve", "Story"):
        tab(page, name)
        page.wait_for_timeout(500)
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["help"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found
                   if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert serious == [], (name, serious)
    context.close()


def test_no_other_host_was_asked_by_the_server(page: Any, room: Path) -> None:
    chains(page, 1)
    page.click("button#start")
    status(page, "done")
    assert not (room / "hosts").exists(), (room / "hosts").read_text()
