"""The page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppgn import evaluation
from ppgn.explanation.markup import (
    ABSENT,
    STYLE,
    code,
    escaped,
    figure,
    file_name,
    folder_of,
    number,
    pairs,
    picture,
    plural,
    table,
    within,
)
from ppgn.explanation.sections import SECTIONS
from ppgn.explanation.synthetic import LEARNED


def report_page(report: Mapping[str, Any], folder: Path) -> str:
    """A report as one HTML document. report: the data of report.json. folder: that of its pictures, `part/name.png`."""
    parts = [*_opening(report), *_pictures(report, folder), *_facts(report)]
    headings = {**{key: heading for key, (heading, _) in SECTIONS.items()}, "made": "How this was made"}
    links = "".join(f'<a href="#{key}">{heading}</a>' for key, heading in headings.items())
    parts.append(f'<nav aria-label="sections">{links}</nav>')
    for key, (heading, section) in SECTIONS.items():
        part = within(report, "parts", key)
        parts.append(f'<section id="{key}"><h2>{heading}</h2>')
        made = present(report, key)
        reason = within(part, "left_out") or "This part was not made."
        parts += [f'<p class="note">{escaped(reason)}</p>'] if made is None else section(made, folder, report)
        parts.append("</section>")
    return evaluation.document(f"What {report['name']} responds to", [*parts, *_made(report)], STYLE)


def present(report: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """A part of a report; None where it was left out."""
    part = within(report, "parts", name)
    return None if part is None or isinstance(part.get("left_out"), str) else part


def best_synthetic(report: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """(source, image) with the highest response, of a learned prior where there is one; None without any."""
    sources = within(present(report, "synthetic"), "sources") or []
    for kept in ([one for one in sources if one["kind"] == LEARNED], sources):
        found = [(one["name"], image) for one in kept for image in one["images"] if image["response"] is not None]
        if found:
            return max(found, key=lambda one: one[1]["response"])
    return None


def common_folder(report: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """(folder, top pictures in it, top pictures) of the folder with most of them; None where they lie in no folders."""
    files = [one["file"] for one in within(present(report, "real"), "top") or []]
    counts = Counter(folder_of(file) for file in files if folder_of(file))
    return (*counts.most_common(1)[0], len(files)) if counts else None


def _opening(report: Mapping[str, Any]) -> list[str]:
    """The title, and one sentence that sums the unit up."""
    real, best, transfer = present(report, "real"), best_synthetic(report), present(report, "transfer")
    said = [] if real is None else [_real(report, real)]
    if best is not None:
        many, many_real = number(best[1]["multiple"]), "that" if real is not None else "the best real response"
        much = f"{many} times {many_real}" if many != ABSENT else f"a response of {number(best[1]['response'])}"
        said.append(f"a synthetic picture reaches {much}")
    if transfer is not None and transfer["verdict"] is not None:
        does = "too" if transfer["verdict"] else "less than to the top 5 % of real ones"
        said.append(f"the best-matching unit of a second network responds to the synthetic pictures {does}")
    about = " · ".join(escaped(one) for one in (within(report, "network", "network"), report.get("bundle")) if one)
    lead = f'<p class="lead">{"; ".join(said)}.</p>' if said else ""
    return [f"<h1>{escaped(report['name'])}</h1>", f'<p class="soft">{about}</p>', lead, _drawn(report)]


def _drawn(report: Mapping[str, Any]) -> str:
    """A note where no real pictures were given."""
    pictures = report.get("pictures") or {}
    if pictures.get("folder") is not None or not pictures.get("count"):
        return ""
    told = f"No real pictures were given: what is called real on this page are pictures drawn from {report.get('bundle')}."
    return f'<p class="note">{escaped(told)}</p>'


def _real(report: Mapping[str, Any], real: Mapping[str, Any]) -> str:
    """What excites the unit in real pictures."""
    name, common, pictures = code(report["name"]), common_folder(report), plural(real["count"], "real picture")
    if common is None or common[1] == 1:
        return f"In {pictures} {name} responds with {number(real['most'])} at most"
    where = f"{code(common[0])}: {common[1]} of the {common[2]} top pictures are there"
    return f"In {pictures} {name} responds most to {where}, the best with {number(real['most'])}"


def _pictures(report: Mapping[str, Any], folder: Path) -> list[str]:
    """The top real pictures, and under them the synthetic ones of learned priors, or of any where there is none."""
    parts = []
    top = within(present(report, "real"), "top") or []
    if top:
        drawn = [
            figure(
                picture(folder / "real" / f"{one['picture']}.png", f"top real picture, {one['file']}"),
                f"<b>{number(one['response'])}</b><br>{file_name(folder_of(one['file']))}",
            )
            for one in top
        ]
        parts.append(f'<h2 class="sub">Real: the top pictures</h2><div class="row">{"".join(drawn)}</div>')
    sources = within(present(report, "synthetic"), "sources") or []
    for source in [one for one in sources if one["kind"] == LEARNED] or sources:
        drawn = [
            figure(
                picture(folder / "synthetic" / f"{one['picture']}.png", f"synthetic picture, response {number(one['response'])}"),
                f"<b>{number(one['response'])}</b><br>{number(one['multiple'])} x best real",
            )
            for one in source["images"]
        ]
        if drawn:
            parts.append(f'<h2 class="sub">Synthetic: {escaped(source["name"])}, a {escaped(source["kind"])}</h2>')
            parts.append(f'<div class="row">{"".join(drawn)}</div>')
    return parts


def _facts(report: Mapping[str, Any]) -> list[str]:
    """The numbers that a reader looks for first, large."""
    real, best, facts = present(report, "real"), best_synthetic(report), []
    if real is not None:
        most, mean, std = real["most"], real["mean"], real["std"]
        above = None if most is None or mean is None or not std else (most - mean) / std
        facts.append(
            (number(real["most"]), f"best of {plural(real['count'], 'real picture')}, {number(above)} std above the mean")
        )
    if best is not None:
        facts.append((f"{number(best[1]['multiple'])} x", f"best synthetic picture, {escaped(best[0])}, of the best real one"))
    nearby = within(present(report, "nearby"), "mean", "up", "feature_distance")
    if nearby is not None:
        same = within(report, "parts", "nearby", "same_class", "feature_distance")
        facts.append((number(nearby, 2), f"feature distance that raises a picture; two of one class: {number(same, 2)}"))
    transfer = present(report, "transfer")
    if transfer is not None:
        verdict = {True: "transfers", False: "does not transfer"}.get(transfer["verdict"], "no verdict")
        facts.append((number(transfer["correlation"], 2), f"correlation with {code(transfer['network'])}; {verdict}"))
    cells = "".join(f"<div><dt>{figure_}</dt><dd>{meaning}</dd></div>" for figure_, meaning in facts)
    return [f'<dl class="facts">{cells}</dl>'] if facts else []


def _made(report: Mapping[str, Any]) -> list[str]:
    """The command, the options, the seconds and the versions."""
    pictures = report.get("pictures") or {}
    about = {"network": within(report, "network", "network"), "bundle": report.get("bundle")}
    about["second network"] = report.get("second")
    where = "the prior" if pictures.get("folder") is None else pictures["folder"]
    skipped = len(pictures.get("skipped") or [])
    unread = f", {skipped} skipped that cannot be read" if skipped else ""
    about |= {"pictures": f"{number(pictures.get('count'))} of {where}{unread}", "seed": report.get("seed")}
    seconds = {key: value for key, value in (report.get("seconds") or {}).items() if value is not None}
    rows = [[escaped(key), number(value)] for key, value in seconds.items()]
    rows += [["together", number(sum(seconds.values()))]] if rows else []
    command = report.get("command")
    folded = {"Network": "network", "Options": "options", "Versions": "versions"}
    return [
        '<section id="made"><h2>How this was made</h2>',
        '<p class="read">Numbers and pictures are also files: <code>report.json</code>, and a folder for each part. Seconds are '
        "those of the machine that made the report.</p>",
        f"<pre>{escaped(command)}</pre>" if command else "",
        '<div class="plots">',
        pairs({key: value for key, value in about.items() if value is not None}, "what was explained"),
        table(["part", "seconds"], rows, "seconds"),
        "</div>",
        *(
            f"<details><summary>{title}</summary>{pairs(report[key], title)}</details>"
            for title, key in folded.items()
            if report.get(key)
        ),
        "</section>",
    ]
