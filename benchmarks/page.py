"""How long until the page opens and a first picture stands, how many frames move a second, and the pictures of docs/page.md.

    python benchmarks/page.py --images imagenette128/val --out docs

Starts `ppgn web` as a user does, and drives it in Debian's chromium through Playwright. Needs `pip install playwright`.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from runs import exit_on_mistake
from timing import machine

from ppgn import images

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTH, HEIGHT = 1180, 900
PHONE = {"x": 0, "y": 790, "width": 390, "height": 1230}
"""The part of the narrow page with the painted hole and what fills it."""
QUALITY, WIDEST = 82, 960


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def shot(page: Any, file: Path, clip: dict[str, int] | None = None) -> None:
    """A screenshot as a JPEG."""
    page.wait_for_timeout(400)
    png = file.with_suffix(".png")
    page.screenshot(path=str(png), full_page=True, **({"clip": clip} if clip else {}))
    picture = Pillow.open(png).convert("RGB")
    picture.thumbnail((WIDEST, 3 * WIDEST))
    picture.save(file, quality=QUALITY)
    png.unlink()


def status(page: Any, word: str, of: str = "status") -> None:
    """Waits for a word in a tab's status."""
    page.wait_for_function(f"document.querySelector('#{of}')?.innerText.includes('{word}')")


def tab(page: Any, name: str) -> None:
    """Shows a tab."""
    page.get_by_role("tab", name=name, exact=True).click()


def timed(page: Any, port: int, begun: float) -> None:
    """Prints the times of a first visit, from the command on."""
    while not is_open(port):
        time.sleep(0.1)
    print(f"served {time.perf_counter() - begun:.1f} s after the command")
    page.goto(f"http://127.0.0.1:{port}")
    page.wait_for_selector("button#start")
    print(f"page open {time.perf_counter() - begun:.1f} s after the command")
    page.wait_for_selector("button#start:not([disabled])")
    print(f"networks loaded {time.perf_counter() - begun:.1f} s after the command")
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => window.seen.push(performance.now()))
        .observe(document.querySelector('#pictures'), {subtree: true, attributes: true, attributeFilter: ['src']}); }"""
    )
    clicked = time.perf_counter()
    page.click("button#start")
    page.wait_for_selector("#pictures .tiles img")
    print(f"first picture {time.perf_counter() - clicked:.1f} s after the click")
    status(page, "done")
    print(f"four chains of 25 steps {time.perf_counter() - clicked:.1f} s after the click")
    frames = sorted(set(page.evaluate("window.seen.map(one => Math.round(one / 20))")))
    print(f"{(len(frames) - 1) / ((frames[-1] - frames[0]) * 0.02):.1f} frames a second")


def tour(page: Any, out: Path, photo: str) -> None:
    """A screenshot of each tab."""
    page.click("#pictures button:nth-child(2)")
    page.wait_for_selector("#large img")
    shot(page, out / "page_sample.jpg")
    tab(page, "Map")
    page.click("button#draw-map")
    page.wait_for_selector("#plane .plane button")
    shot(page, out / "page_map.jpg")
    tab(page, "Neurons")
    page.set_input_files("#look-at input[type=file]", photo)
    page.wait_for_selector("#look-at img")
    page.click("button#look")
    page.wait_for_selector("#activations .tiles img")
    page.click("#activations button:nth-child(3)")
    page.wait_for_selector("button#where")
    page.click("button#where")
    page.wait_for_selector("#attributions .tiles img")
    page.click("button#explain")
    page.wait_for_selector("#found .tiles img")
    shot(page, out / "page_neurons.jpg")
    tab(page, "Evolve")
    page.click("button#evolve-begin")
    status(page, "Generation 1", "evolve-status")
    for liked in (3, 8):
        page.click(f"#generation button:nth-child({liked})")
    status(page, "2 so far", "evolve-status")
    shot(page, out / "page_evolve.jpg")
    tab(page, "Story")
    page.click("button#story-begin")
    status(page, "8 of 8", "story-status")
    shot(page, out / "page_story.jpg")


def small(browser: Any, url: str, out: Path, photo: str) -> None:
    """A hole that is painted at a phone's width, in dark colours."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", is_mobile=True, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_selector("button#start:not([disabled])")
    page.locator("#hole button.label-wrap").first.click()
    page.set_input_files("#upload input[type=file]", photo)
    status(page, "Paint a hole")
    page.locator("#painter .add").click()
    page.locator("button#fill").click()
    status(page, "done")
    shot(page, out / "page_phone.jpg", PHONE)
    context.close()


@exit_on_mistake()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="folder of real pictures")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the screenshots (default: %(default)s)")
    parser.add_argument("--times", action="store_true", help="times alone, no screenshots")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise ValueError("found no chromium, expected Debian's: apt install chromium")
    photo = str(images.pictures_in(Path(given.images), "for the screenshots")[0])
    port = free_port()
    words = ["-m", "ppgn", "web", "imagenette64", "natural128", "--images", given.images, "--port", str(port)]
    print(machine())
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(180_000)
        begun = time.perf_counter()
        process = subprocess.Popen([sys.executable, *words])
        try:
            timed(page, port, begun)
            if not given.times:
                tour(page, given.out, photo)
                small(browser, f"http://127.0.0.1:{port}", given.out, photo)
        finally:
            browser.close()
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
