"""Reports of broken units, odd pictures and damaged folders: a report, or one sentence before long work."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from PIL import Image as Pillow
from torch import nn

from ppgn import explanation, images, requests
from ppgn.probe import Preprocessed

QUICK: dict[str, Any] = {"top": 2, "facets": 4, "per_facet": 1, "facet_steps": 1, "method": "", "pictures": 40}


def network() -> Preprocessed:
    torch.manual_seed(2)
    return Preprocessed(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten()), None, 0.0, 1.0)


def pictures(root: Path, count: int = 5, alike: bool = False) -> Path:
    torch.manual_seed(1)
    one = torch.rand(1, 8, 8)
    for number in range(count):
        images.save_image(one if alike else torch.rand(1, 8, 8), images.make_folder(root) / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda image: torch.zeros(len(image)), "not connected to the picture"),
        (lambda image: image.detach().mean((1, 2, 3)), "not connected to the picture"),
        (lambda image: image.mean((2, 3)), r"returned shape \(2, 1\) for 2 pictures"),
        (lambda image: image.mean(), r"returned shape \(\) for 2 pictures"),
        (lambda image: 1.0, "returned float for 2 pictures"),
        (lambda image: image.mean((1, 2, 3)) * torch.nan, "all 5 real pictures are NaN or infinite"),
    ],
)
def test_a_function_without_gradient_shape_or_numbers_is_refused_before_any_part_is_made(
    tmp_path: Path, function: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        explanation.explain(
            tiny_bundle(), requests.function(function), tmp_path / "out", folder=pictures(tmp_path / "pictures"), **QUICK
        )
    assert not list((tmp_path / "out").rglob("*.json"))


def test_a_huge_constant_response_and_copies_of_one_picture_make_a_report(tmp_path: Path) -> None:
    constant = requests.function(lambda image: image.sum((1, 2, 3)) * 0 + 1e20)
    folder = pictures(tmp_path / "pictures", 12, alike=True)
    (report,) = explanation.explain(
        tiny_bundle(), constant, tmp_path / "out", folder=folder, parts=["real", "synthetic"], **QUICK
    )
    real, (source,) = report["parts"]["real"], report["parts"]["synthetic"]["sources"]
    assert max(real["histogram"]["counts"]) == 12 and real["std"] == 0
    assert [row["facet"] for row in source["images"]] == [None] * 4


def test_pictures_that_cannot_be_read_are_skipped_with_a_warning_and_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, whole = pictures(tmp_path / "pictures", 4), pictures(tmp_path / "whole", 4)
    content = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(content[: len(content) // 2])  # truncated
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "text.jpg").write_text("no picture")
    (whole / "1.png").unlink()
    given: dict[str, Any] = {**QUICK, "parts": ["real"], "top": 4}
    (report,) = explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", folder=folder, **given)
    skipped = ["1.png", str(Path("a", "b", "text.jpg"))]
    assert report["pictures"] == {"folder": str(folder), "count": 3, "skipped": skipped}
    assert json.loads((tmp_path / "out" / "report.json").read_text())["pictures"]["skipped"] == skipped
    assert [str(folder / name) in record.getMessage() for name, record in zip(skipped, caplog.records, strict=True)] == [True] * 2
    assert {(record.name, record.levelname) for record in caplog.records} == {("ppgn", "WARNING")}
    assert "3 of " in (page := (tmp_path / "out" / "report.html").read_text()) and "2 skipped that cannot be read" in page
    (other,) = explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "other", folder=whole, **given)
    assert other["parts"] == report["parts"] and "skipped that" not in (tmp_path / "other" / "report.html").read_text()


def test_a_folder_of_unreadable_pictures_is_refused_in_a_sentence_with_the_first(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures", 3)
    for file in folder.iterdir():
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 3 pictures in .* can be read, expected one or more: cannot read .*0\.png"):
        explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", folder=folder, **QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="its names are Unicode")
def test_names_that_are_no_unicode_or_html_stand_in_the_page_as_text(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures", 1)
    for name in (b"\xff.png", b"<script>'\"\n.png"):
        Pillow.new("CMYK", (1, 1)).convert("RGB").save(tmp_path / "one.png")
        try:
            os.rename(tmp_path / "one.png", os.path.join(os.fsencode(folder), name))
        except OSError:
            pytest.skip("a disk that takes no such names")
    given = {"folder": folder, "parts": ["real"], **QUICK, "top": 3}
    wanted = requests.unit(network(), "0:0,1")
    explanation.explain(tiny_bundle(), wanted, tmp_path / "out", **given)
    for page in ("0_0/report.html", "index.html"):
        assert "<script" not in (tmp_path / "out" / page).read_text(encoding="utf-8")
    assert r"\udcff.png" in (tmp_path / "out" / "0_0" / "report.html").read_text(encoding="utf-8")


def test_a_part_whose_pictures_are_lost_or_damaged_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = {"folder": pictures(tmp_path / "pictures"), "parts": ["real"], **QUICK}
    for damage in (Path.unlink, lambda file: file.write_bytes(b"\x89PNG")):
        (first,) = explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", **given)
        damage(tmp_path / "out" / "real" / "top_1.png")
        (again,) = explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", **given)
        assert again["parts"] == first["parts"] and "top_1.png is missing or damaged" in caplog.text
        assert images.is_whole_picture(tmp_path / "out" / "real" / "top_1.png")
        caplog.clear()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda report: {**report, "seconds": None}, "is no report of ppgn"),
        (lambda report: {**report, "parts": []}, "is no report of ppgn"),
        (lambda report: {**report, "ppgn": "0.0.0"}, "another ppgn"),
    ],
)
def test_reports_of_another_kind_or_version_are_refused(tmp_path: Path, change: Any, said: str) -> None:
    given = {"folder": pictures(tmp_path / "pictures"), "parts": ["real"], **QUICK}
    (report,) = explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", **given)
    (tmp_path / "out" / "report.json").write_text(json.dumps(change(report)))
    with pytest.raises(ValueError, match=said):
        explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", **given)


def test_a_file_that_nests_too_deeply_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("[" * 100000)
    with pytest.raises(ValueError, match="is no report of ppgn"):
        explanation.explain(
            tiny_bundle(), requests.unit(network(), "0:0"), tmp_path, folder=pictures(tmp_path / "pictures"), **QUICK
        )


@pytest.mark.parametrize(
    ("module", "part", "said"),
    [
        ("captum.attr", "where", "need captum"),
        ("sklearn.manifold", "synthetic", "need scikit-learn"),
        ("scipy.stats", "sweep", "need SciPy"),
        ("scipy.stats", "transfer", "need SciPy"),
    ],
)
def test_a_package_that_is_not_installed_is_told_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, part: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=said):
        explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", parts=["real", part], **QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strengths": (1e300,)}, "at most 1e\\+06"),
        ({"seed": 2**64 - 2}, "expected a whole number in"),
        ({"step_size": 1.0}, "between"),
    ],
)
def test_options_beyond_numbers_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        explanation.ExplainOptions(**options)


@pytest.mark.parametrize(
    ("name", "nearest"), [("facetz", "facets"), ("strength", "strengths"), ("folders", "folder"), ("options", "parts")]
)
def test_an_option_that_there_is_not_is_told_with_the_nearest(name: str, nearest: str, tmp_path: Path) -> None:
    said = rf"a report has no option '{name}', expected one such as {nearest}: correct it"
    with pytest.raises(ValueError, match=said):
        explanation.explain(tiny_bundle(), requests.unit(network(), "0:0"), tmp_path / "out", **{name: 3})
    assert not (tmp_path / "out").exists()


def test_directions_of_another_size_are_refused_and_one_of_zeros_has_no_control(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="7"):
        explanation.explain(tiny_bundle(), requests.direction(network(), "0", torch.ones(7)), tmp_path / "out", **QUICK)
    given = {"folder": pictures(tmp_path / "pictures"), "parts": ["synthetic"], **QUICK}
    (report,) = explanation.explain(tiny_bundle(), requests.direction(network(), "0", torch.zeros(4)), tmp_path / "out", **given)
    assert [source["kind"] for source in report["parts"]["synthetic"]["sources"]] == ["learned prior"]


def test_a_unit_that_fails_leaves_the_other_reports_whole_and_its_own_with_what_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearby = explanation.PARTS["nearby"]
    made = nearby.nearby

    def failing(study: Any, tick: Any) -> Any:
        if study.target.name == "0:0":
            raise ValueError("the unit burst")
        return made(study, tick)

    monkeypatch.setattr(nearby, "nearby", failing)
    given: dict[str, Any] = {**QUICK, "folder": pictures(tmp_path / "pictures"), "nearby": 1, "nearby_steps": 2, "where": 1}
    with pytest.raises(ValueError, match=r"report of 0:0 ended before its last part \(1 of 2 reports\): the unit burst"):
        explanation.explain(tiny_bundle(), requests.unit(network(), "0:0,1"), tmp_path / "out", **given)
    parts = {one: json.loads((tmp_path / "out" / one / "report.json").read_text())["parts"] for one in ("0_0", "0_1")}
    assert list(parts["0_0"]) == ["real", "synthetic", "sweep"] and list(parts["0_1"]) == list(explanation.PARTS)
    assert "This part was not made" in (tmp_path / "out" / "0_0" / "report.html").read_text()
    assert "0_1/report.html" in (tmp_path / "out" / "index.html").read_text()


def test_the_index_lists_the_reports_of_all_calls_into_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out, given = tmp_path / "out", {"folder": pictures(tmp_path / "pictures"), "parts": ["real"], **QUICK}

    def linked(units: str) -> list[str]:
        explanation.explain(tiny_bundle(), requests.unit(network(), f"0:{units}"), out, **given)
        return re.findall(r'href="([^"]+)/report.html"', (out / "index.html").read_text(encoding="utf-8"))

    assert linked("2,1") == ["0_2", "0_1"]
    assert linked("0,3") == ["0_0", "0_3", "0_1", "0_2"]
    assert "What 4 units respond to" in (out / "index.html").read_text(encoding="utf-8")
    (out / "0_1" / "real" / "top_0.png").unlink()  # of another call
    (out / "0_2" / "report.json").write_text("{}")
    (out / "0_3" / "report.html").unlink()  # as after a kill
    (out / "notes").mkdir()
    assert linked("0") == [".", "0_0", "0_1"]  # one unit stands in the folder itself
    (record,) = caplog.records
    assert str(out / "0_2" / "report.json") in record.getMessage() and "no report of ppgn" in record.getMessage()
    assert linked("3,0") == ["0_3", "0_0", ".", "0_1"]


def test_a_killed_call_keeps_the_reports_in_the_index_that_are_whole(tmp_path: Path) -> None:
    given: dict[str, Any] = {"folder": pictures(tmp_path / "pictures"), **QUICK, "where": 1}
    wanted = requests.unit(network(), "0:0,1")
    explanation.explain(tiny_bundle(), wanted, tmp_path / "out", parts=["real"], **given)

    def kill(count: int, total: int, what: str) -> None:
        if what == "0:0: where":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explanation.explain(tiny_bundle(), wanted, tmp_path / "out", parts=["real", "where"], watch=kill, **given)
    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert all(f"{name}/report.html" in index for name in ("0_0", "0_1"))
