"""The page of a report and the index of several, on a made-up report with a picture of its own colour for each file."""

import base64
import copy
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from ppgn.explanation import index_page, report_page

EVIL = '<script>alert("x")</script>&\'/a"b.png'
PARTS = ("real", "synthetic", "sweep", "nearby", "where", "transfer")
Report = dict[str, Any]


def real() -> Report:
    percentiles = {"1": 0.0, "5": 0.1, "25": 0.4, "50": 0.7, "75": 1.1, "95": 1.6, "99": 1.9}
    files = ("church/a.png", "church/b.png", "tench/c.png")
    top = [{"file": file, "response": 2.0 - place / 4, "picture": f"top_{place}"} for place, file in enumerate(files)]
    whole = {"peak": [4, 4], "box": [2, 2, 4, 4]}
    top[:2] = [{**one, **whole, "patch": f"patch_{place}"} for place, one in enumerate(top[:2])]
    top[2] |= {"box": None, "patch": None}
    shape = {"count": 1000, "mean": 0.8, "std": 0.5, "least": 0.0, "most": 2.0, "zero_share": 0.125}
    spread = {"percentiles": percentiles, "histogram": {"edges": [0.0, 1.0, 2.0], "counts": [700, 300]}}
    median = [{"file": "tench/d.png", "response": 0.7, "picture": "median_0"}]
    field = {"height": 60, "width": 61, "share": 0.9, "pictures": 3}
    return {**shape, **spread, "top": top, "median": median, "receptive_field": field}


def synthetic() -> Report:
    near = {"file": "church/a.png", "distance": 0.4, "picture": "natural128_0_nearest"}
    facets = [{"facet": 0, "pictures": 5, "response": 4.6, "multiple": 2.3, "picture": "natural128_0", "nearest": near}]
    facets.append({"facet": 1, "pictures": 4, "response": 4.2, "multiple": 2.1, "picture": "natural128_1", "nearest": None})
    pixels = [{"facet": None, "pictures": None, "response": 9.0, "multiple": 4.5, "picture": "lucid_0", "nearest": None}]
    learned = {"name": "natural128", "kind": "learned prior", "images": facets, "mean_multiple": 2.2}
    return {
        "best_real": 2.0,
        "sources": [{"name": "lucid", "kind": "hand-made prior", "images": pixels, "mean_multiple": 4.5}, learned],
    }


def sweep() -> Report:
    def row(name: str, strength: float, response: float) -> Report:
        mean = {"mean": response, "low": response - 0.1, "high": response + 0.2}
        chain = {"tau": 3.0, "effective": 8.0, "r_hat": 1.0 + strength / 10, "picture": name}
        distance = {"mean": 0.5, "low": 0.4, "high": 0.6}
        return {"strength": strength, "response": mean, "gap": 1.0 + strength, "distance": distance, "frechet": None, **chain}

    shared = row("unit_0", 0.0, 0.1)
    unit, control = [shared, row("unit_1", 2.0, 1.9)], [shared, row("control_1", 2.0, 0.15)]
    moving = {"unit": [1.0, 0.5, 0.2], "control": [1.0, 0.4, -0.1]}
    settings = {"kept": 3, "step_size": 0.3, "steps": 24, "chains": 4, "std": 0.5}
    return {**settings, "unit": unit, "control": control, "autocorrelation": moving}


def nearby() -> Report:
    change = {"goal": 2.4, "reached": True, "response": 2.5, "code_distance": 3.0, "feature_distance": 0.12, "steps": 9}
    ways = {way: {**change, "picture": f"0_{way}", "difference": f"0_{way}_difference"} for way in ("up", "down")}
    start = {"file": "tench/e.png", "response": 1.3, "start": 1.2, "picture": "0", "reconstruction": "0_start"}
    pair = {"code_distance": 9.0, "feature_distance": 0.47, "pairs": 20}
    mean = {way: {"code_distance": 3.0, "feature_distance": 0.12} for way in ways}
    return {"pictures": [{**start, **ways}], "rule": "twice or half", "same_class": pair, "any_class": pair, "mean": mean}


def where() -> Report:
    row = {"name": "real 1", "response": 2.0, "picture": "real_0", "maps": {"saliency": "real_0_saliency", "occlusion": None}}
    left_out = dict.fromkeys(("guided backpropagation", "deconvolution"), "The network has no ReLU.")
    return {"methods": ["saliency", "occlusion"], "rows": [row], "relus": 0, "left_out": left_out}


def transfer() -> Report:
    sets = {"synthetic": {"mean": 3.0, "low": 2.5, "high": 3.5, "count": 8, "share_above": 0.875}}
    sets["control"] = {"mean": 0.5, "low": 0.2, "high": 0.8, "count": 8, "share_above": 0.0}
    unit = {"network": "squeezenet1_0", "layer": "features.12", "unit": 301, "correlation": 0.62, "threshold": 1.9}
    return {**unit, "sets": sets, "candidates": 1472, "verdict": True}


def report(name: str = "blocks.6.0:17") -> Report:
    parts = {"real": real(), "synthetic": synthetic(), "sweep": sweep(), "nearby": nearby(), "where": where()}
    about = {"name": name, "network": {"network": "lite:0", "kind": "unit"}, "bundle": "natural128", "second": "squeezenet1_0"}
    run = {"pictures": {"folder": "photos", "count": 1000}, "seed": 0, "options": {"top": 3}, "command": "ppgn explain a & b"}
    return {**about, **run, "seconds": {"real": 2.0}, "versions": {"torch": "2.8"}, "parts": {**parts, "transfer": transfer()}}


def names(value: Any) -> set[str]:
    """The pictures that a part names."""
    if isinstance(value, list):
        return {name for one in value for name in names(one)}
    if not isinstance(value, dict):
        return set()
    keys = ("picture", "patch", "reconstruction", "difference")
    own = {value[key] for key in keys if isinstance(value.get(key), str)} | {one for one in value.get("maps", {}).values() if one}
    return own | {name for one in value.values() for name in names(one)}


def colours(made: Report, folder: Path) -> set[tuple[int, ...]]:
    """Writes a picture of its own colour for each that a report names, and returns the colours."""
    found = set()
    for part in PARTS:
        for name in sorted(names(made["parts"][part])):
            colour = (len(found) * 5 % 256, len(found) * 11 % 256, 40)
            found.add(colour)
            (folder / part).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), colour).save(folder / part / f"{name}.png")
    return found


def embedded(page: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)]


@pytest.fixture
def page(tmp_path: Path) -> str:
    made = report()
    colours(made, tmp_path)
    return report_page(made, tmp_path)


def test_every_picture_of_the_report_is_embedded_and_described(tmp_path: Path) -> None:
    made = report()
    expected = colours(made, tmp_path)
    page = report_page(made, tmp_path)
    assert {image.convert("RGB").getpixel((0, 0)) for image in embedded(page)} == expected
    assert len(embedded(page)) == page.count("<img ") == len(re.findall(r'alt="[^"]+"', page))


def test_a_large_picture_is_embedded_as_a_small_jpeg(tmp_path: Path) -> None:
    made = report()
    colours(made, tmp_path)
    Image.new("RGB", (1000, 500), "red").save(tmp_path / "sweep" / "unit_1.png")
    (large,) = [image for image in embedded(report_page(made, tmp_path)) if image.format == "JPEG"]
    assert large.size == (640, 320)


def test_the_page_needs_nothing_else_and_runs_nothing(page: str) -> None:
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "prefers-color-scheme: dark" in page


def test_the_links_to_the_sections_arrive_and_the_tags_are_closed(page: str) -> None:
    targets = re.findall(r'href="#(\w+)"', page)
    assert targets == [*PARTS, "made"]
    assert all(page.count(f'id="{one}"') == 1 for one in targets)
    tags = ("div", "section", "figure", "table", "p", "span", "svg", "details", "figcaption", "td", "th", "tr")
    assert {tag: page.count(f"</{tag}>") for tag in tags} == {tag: len(re.findall(rf"<{tag}[ >]", page)) for tag in tags}


def test_the_page_opens_with_a_sentence_of_what_was_found(page: str) -> None:
    lead = re.sub("<[^>]+>", "", page[page.index('<p class="lead">') : page.index("</p>", page.index('<p class="lead">'))])
    assert lead == (
        "In 1,000 real pictures blocks.6.0:17 responds most to church: 2 of the 3 top pictures are there, the best with 2.00; "
        "a synthetic picture reaches 2.30 times that; the best-matching unit of a second network responds to the synthetic "
        "pictures too."
    )
    assert page.index("<img ") < page.index("<table")
    assert '<p class="soft">lite:0 · natural128</p>' in page


def test_what_was_not_found_is_said_as_it_is(tmp_path: Path) -> None:
    made = report()
    colours(made, tmp_path)
    made["pictures"] = {"folder": None, "count": 256}
    made["parts"]["transfer"]["verdict"] = False
    made["parts"]["nearby"]["mean"] = {way: {"feature_distance": 0.12, "reached": 2 / 3} for way in ("up", "down")}
    made["parts"]["sweep"] |= {"control": None, "control_left_out": "There is <no> control."}
    page = report_page(made, tmp_path)
    assert "to the synthetic pictures less than to the top 5 % of real ones." in page
    assert "pictures drawn from natural128" in page and "256 of the prior" in page and "None" not in page
    assert "in 66.7 % and 66.7 % of the pictures" in page
    assert "There is &lt;no&gt; control." in page
    assert "60 x 61 pixels (median of 3 pictures). Each side holds 90 % of the squared gradient." in page


def test_the_plots_are_well_formed_and_show_every_strength(page: str) -> None:
    plots = re.findall(r"<svg.*?</svg>", page)
    assert len(plots) == 7
    for plot in plots:
        ElementTree.fromstring(plot)
    natural = next(plot for plot in plots if "gap of the prior" in plot)
    assert [natural.count(f"λ {strength}<") for strength in (0, 2)] == [1, 2]
    lanes = next(plot for plot in plots if "histogram" in plot)
    assert lanes.count("<path") == 1 + 3  # the axes, and a mark for each synthetic picture
    assert all(f">{name} %<" in lanes for name in (50, 95))


def test_text_from_files_is_escaped_everywhere(tmp_path: Path) -> None:
    made = report(EVIL)
    expected = colours(made, tmp_path)

    def spoiled(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: spoiled(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [spoiled(one, key) for one in value]
        return EVIL if isinstance(value, str) and key in ("file", "name", "rule", "network", "layer", "folder") else value

    made = {**spoiled(made), "bundle": EVIL, "command": EVIL, "options": {EVIL: EVIL}, "versions": {EVIL: EVIL}}
    made["parts"]["where"]["left_out"] = {EVIL: EVIL}
    made["parts"]["transfer"] = {"left_out": EVIL}
    page = report_page(made, tmp_path)
    assert "<script" not in page and "b.png" in page
    assert "alert(&quot;x&quot;)" in page
    assert len({image.getpixel((0, 0)) for image in embedded(page)}) == len(expected)
    for plot in re.findall(r"<svg.*?</svg>", page):
        ElementTree.fromstring(plot)
    (tmp_path / "index").mkdir()
    assert "<script" not in index_page([made], ["."], tmp_path)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_was_left_out_says_why(part: str, tmp_path: Path) -> None:
    made = report()
    colours(made, tmp_path)
    made["parts"][part] = {"left_out": "There is <no> encoder."}
    assert "There is &lt;no&gt; encoder." in report_page(made, tmp_path)
    assert "report.html" in index_page([made], ["."], tmp_path)
    del made["parts"][part]
    assert "This part was not made." in report_page(made, tmp_path)


def test_a_report_of_no_parts_is_still_a_page(tmp_path: Path) -> None:
    page = report_page({"name": "a", "parts": {}}, tmp_path)
    assert page.count("This part was not made.") == len(PARTS)
    assert "Transfer: no verdict" in index_page([{"name": "a", "parts": {}}], ["a"], tmp_path)


def test_numbers_that_are_null_become_dashes(tmp_path: Path) -> None:
    made = report()
    colours(made, tmp_path)

    def emptied(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: one if name in ("histogram", "box") else emptied(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [emptied(one, key) for one in value]
        return None if isinstance(value, int | float) else value

    page = report_page(emptied(made), tmp_path)
    assert "None" not in page and "nan" not in re.sub(r"base64,[^\"]+", "", page)
    assert "Transfer: no verdict." in index_page([emptied(made)], ["."], tmp_path)


def test_optional_parts_of_parts_may_be_null(tmp_path: Path) -> None:
    made = report()
    made["parts"]["real"]["receptive_field"] = None
    made["parts"]["sweep"] |= {"control": None, "autocorrelation": {"unit": [], "control": None}}
    for row in made["parts"]["sweep"]["unit"]:
        row["distance"] = None
    made["parts"]["nearby"] |= {"mean": {"up": None, "down": None}, "same_class": None, "any_class": None}
    del made["parts"]["transfer"]["sets"]["control"]
    colours(made, tmp_path)
    page = report_page(made, tmp_path)
    assert "random direction" not in page
    assert "receptive field" not in page


def test_the_index_links_each_report_and_shows_its_best_pictures(tmp_path: Path) -> None:
    folders = ["blocks.6.0:17", "a b#2"]
    reports = [report(name) for name in ("first", "second")]
    reports[1] = copy.deepcopy(reports[1])
    reports[1]["parts"]["transfer"]["verdict"] = False
    for made, folder in zip(reports, folders, strict=True):
        colours(made, tmp_path / folder)
    page = index_page(reports, folders, tmp_path)
    # A colon before the first slash would be read as the scheme of an address.
    assert re.findall(r'href="([^"]+)"', page) == ["blocks.6.0%3A17/report.html", "a%20b%232/report.html"]
    shown = [image.convert("RGB").getpixel((0, 0)) for image in embedded(page)]
    files = [tmp_path / folder / name for folder in folders for name in ("real/top_0.png", "synthetic/natural128_0.png")]
    assert shown == [Image.open(file).convert("RGB").getpixel((0, 0)) for file in files]
    assert "Transfer to a second network: 1 of 2." in page
    assert not re.search(r"https?:", page)


def test_the_index_refuses_another_number_of_folders_than_reports(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter|longer"):
        index_page([report()], [], tmp_path)


def test_figures_have_as_many_digits_as_they_mean(tmp_path: Path) -> None:
    made = report()
    made["parts"]["real"] |= {"least": float("nan"), "most": 12345.6, "zero_share": 1.0, "mean": -2.0}
    made["parts"]["sweep"]["control"][1]["response"] = {"mean": 0.228, "low": -0.0721, "high": 0.528}
    made["parts"]["transfer"]["sets"]["control"] |= {"mean": 0.0, "low": 0.0, "high": 0.0}
    colours(made, tmp_path)
    page = report_page(made, tmp_path).replace("\N{MINUS SIGN}", "-")
    rows = (
        "least</td><td>-",
        "most</td><td>12,346",
        "exactly zero</td><td>100 %",
        "mean</td><td>-2.00",
        "5 % percentile</td><td>0.100",
    )
    assert all(f"<td>{row}</td>" in page for row in rows)
    assert "<td>0.228 (-0.072 to 0.528)</td>" in page
    assert "<td>random direction</td><td>0 (0 to 0)</td><td>8</td><td>0 %</td>" in page


def test_plots_of_nothing_are_left_out_and_those_of_one_value_are_drawn(tmp_path: Path) -> None:
    made = report()
    colours(made, tmp_path)
    made["parts"]["real"]["histogram"]["counts"] = [0, 0]
    made["parts"]["sweep"] |= {"autocorrelation": {"unit": [None], "control": [float("nan")]}}
    assert len(re.findall("<svg", report_page(made, tmp_path))) == 5
    made["parts"]["real"]["histogram"] = {"edges": [1.0, 1.0], "counts": [5]}
    made["parts"]["synthetic"]["sources"][0]["images"][0]["response"] = 1e9
    made["parts"]["sweep"] |= {"unit": made["parts"]["sweep"]["unit"][:1], "control": None}
    made["parts"]["transfer"] |= {"threshold": 0.0, "sets": {"synthetic": {"mean": 0.0, "low": 0.0, "high": 0.0, "count": 1}}}
    made["parts"]["transfer"]["sets"]["synthetic"]["share_above"] = None
    plots = re.findall(r"<svg.*?</svg>", report_page(made, tmp_path))
    assert len(plots) == 6
    for plot in plots:
        ElementTree.fromstring(plot)
        assert not re.search(r"\bnan\b|\binf\b", plot)
    assert ">up to 1e+09<" in plots[0]


def test_the_page_shows_a_map_of_each_method_or_says_why_it_was_left_out(tmp_path: Path) -> None:
    made = report()
    colours(made, tmp_path)
    page = report_page(made, tmp_path)
    for method in ("guided backpropagation", "deconvolution"):
        assert f"Left out: {method}. The network has no ReLU." in page
    methods = ["saliency", "deconvolution", "occlusion"]
    made["parts"]["where"] |= {"methods": methods, "left_out": {}, "relus": 7}
    made["parts"]["where"]["rows"][0]["maps"] = {method: f"real_0_{method}" for method in methods}
    colours(made, tmp_path)
    page = report_page(made, tmp_path)
    assert "Left out" not in page and "Guided backpropagation and deconvolution change the gradient at 7 ReLUs." in page
    assert '<th scope="col">deconvolution</th>' in page and 'alt="deconvolution of real 1"' in page
