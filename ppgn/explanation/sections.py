"""The sections of a report's page, one function for each part: how to read it, its pictures, its plots, its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ppgn.explanation import plots
from ppgn.explanation.markup import (
    ABSENT,
    STRIP,
    Data,
    code,
    escaped,
    figure,
    file_name,
    interval,
    number,
    percent,
    picture,
    plural,
    reading,
    table,
    within,
)
from ppgn.explanation.sweep_section import sweep
from ppgn.explanation.synthetic import CONTROL

WITH_RELUS = "Guided backpropagation and deconvolution change the gradient at"
"""Said before the number of ReLUs."""


def real(part: Data, folder: Path, report: Data) -> list[str]:
    """Top and median pictures and patches, and how the responses are distributed."""
    top = [_response(folder / "real", one, "top real picture", one.get("box")) for one in part["top"]]
    patches = [
        figure(picture(folder / "real" / f"{one['patch']}.png", f"patch of {one['file']}"), f"<b>{number(one['response'])}</b>")
        for one in part["top"]
        if one.get("patch")
    ]
    median = [_response(folder / "real", one, "median real picture") for one in part["median"]]
    said = "Pictures of the folder by their response. The median pictures show what the top pictures must differ from."
    field = part.get("receptive_field")
    if field is not None:
        said += (
            f" The box is where the response comes from: the receptive field by gradient, "
            f"{number(field['height'])} x {number(field['width'])} pixels (median of {plural(field['pictures'], 'picture')}). "
            f"Each side holds {percent(field['share'])} of the squared gradient."
        )
    parts = [reading(said, "The order holds for this folder only: what is not in it cannot be found in it."), _row("Top", top)]
    parts += [_row("Their patches", patches), _row("Median", median), '<div class="plots">', _distribution(part, report)]
    facts = {"pictures": number(part["count"]), "mean": number(part["mean"]), "standard deviation": number(part["std"])}
    facts |= {"least": number(part["least"]), "most": number(part["most"]), "exactly zero": percent(part["zero_share"])}
    facts |= {f"{name} % percentile": number(value) for name, value in part["percentiles"].items()}
    return [*parts, table(["response", ""], [[escaped(name), value] for name, value in facts.items()], "responses"), "</div>"]


def synthetic(part: Data, folder: Path, report: Data) -> list[str]:
    """Facets from each prior beside their nearest real pictures."""
    control = " The control are pictures for a random direction of the layer, with the unit's response to them."
    parts = [
        reading(
            "Pictures that were made to raise the response. A learned prior keeps them near pictures; a hand-made prior only "
            "smooths them. Right of a picture: the real picture that is nearest to it."
            + (control if any(source["kind"] == CONTROL for source in part["sources"]) else ""),
            "A high multiple shows that the response can be raised, not that such pictures occur. A picture that equals its "
            "nearest real one would be a copy.",
        )
    ]
    rows = []
    for source in part["sources"]:
        drawn = [_facet(folder / "synthetic", one) for one in source["images"]]
        parts.append(_row(f"{source['name']} ({source['kind']})", drawn, "row wide"))
        best = max((one["response"] for one in source["images"] if one["response"] is not None), default=None)
        cells = [str(len(source["images"])), number(best), number(source["mean_multiple"])]
        rows.append([f"{code(source['name'])} ({escaped(source['kind'])})", *cells])
    best_real = f"The best real picture responds with {number(part['best_real'])}; multiples are of that."
    head = ["source", "pictures", "best response", "mean multiple"]
    return [*parts, f"<p>{best_real}</p>", table(head, rows, "sources")]


def nearby(part: Data, folder: Path, report: Data) -> list[str]:
    """Real pictures whose response is raised and lowered, with difference maps and distances."""
    said = "Each row starts at a real picture. A chain raises or lowers the response while it stays near. Maps show the change."
    limits = (
        "The reconstruction is what the generator makes of the picture: compare changes with it, not with the original, "
        "of whose response it may have lost a part."
    )
    rule = f" The rule: {escaped(part['rule'].rstrip('.'))}." if isinstance(part.get("rule"), str) else ""
    parts = [reading(said + rule, limits)]
    rows = []
    for one in part["pictures"]:
        parts.append(STRIP + "".join(_changed(folder / "nearby", one)) + "</div></div>")
        for way in ("up", "down"):
            change = one.get(way) or {}
            cells = [number(change.get(key)) for key in ("goal", "response", "code_distance", "feature_distance", "steps")]
            reached = ABSENT if change.get("reached") is None else "yes" if change["reached"] else "no"
            rows.append([code(one["file"]), way, number(one["start"]), cells[0], cells[1], reached, *cells[2:]])
    key = "code_distance" if within(part, "same_class", "feature_distance") is None else "feature_distance"
    name = key.replace("_", " ")
    compared = {
        "raised": within(part, "mean", "up", key),
        "lowered": within(part, "mean", "down", key),
        "two pictures of one class": within(part, "same_class", key),
        "any two pictures": within(part, "any_class", key),
    }
    chart = plots.intervals({what: (value, 0, value) for what, value in compared.items()}, f"mean {name}")
    raised, lowered, same, others = (number(value, 2) for value in compared.values())
    up, down = (percent(within(part, "mean", way, "reached")) for way in ("up", "down"))
    apart = f"any two pictures are {others} apart" if same == ABSENT else f"two pictures of one class are {same} apart"
    parts.append(
        f"<p>In {name}, raising moves a picture by {raised} on average and lowering by {lowered}, where the goal is reached, in "
        f"{up} and {down} of the pictures; {apart}, by their reconstructions."
        + ("" if key == "feature_distance" else " A second network would also measure feature distances.")
        + "</p>"
    )
    head = ["picture", "way", "start", "goal", "response", "reached", "code distance", "feature distance", "steps"]
    return [*parts, f'<div class="plots">{chart}</div>', table(head, rows, "changes")]


def where(part: Data, folder: Path, report: Data) -> list[str]:
    """Attribution maps of real and synthetic pictures."""
    methods = part["methods"]
    said = "Attribution maps by captum: where each method says that the response comes from."
    limits = (
        "They are no proof: methods differ, and guided backpropagation and deconvolution follow edges even in a network that was "
        "not trained."
    )
    head = "".join(f'<th scope="col">{escaped(name.replace("_", " "))}</th>' for name in ("", "picture", *methods))
    body = ""
    for one in part["rows"]:
        names = [one["picture"], *(within(one, "maps", method) for method in methods)]
        alts = [one["name"], *(f"{method} of {one['name']}" for method in methods)]
        cells = [
            picture(folder / "where" / f"{name}.png", alt) if name else ABSENT for name, alt in zip(names, alts, strict=True)
        ]
        shown = "".join(f"<td>{cell}</td>" for cell in cells)
        body += f'<tr><th scope="row">{escaped(one["name"])}<br><span>{number(one["response"])}</span></th>{shown}</tr>'
    missing = [
        f"<p>Left out: {escaped(name.replace('_', ' '))}. {escaped(reason)}</p>"
        for name, reason in (part.get("left_out") or {}).items()
    ]
    relu = part.get("relus")
    about = "" if relu is None else f'<p class="soft">{WITH_RELUS} {plural(relu, "ReLU")}.</p>'
    box = 'class="scroll" tabindex="0" role="region" aria-label="attribution maps"'
    return [reading(said, limits), f'<div {box}><table class="maps"><tr>{head}</tr>{body}</table></div>', *missing, about]


def transfer(part: Data, folder: Path, report: Data) -> list[str]:
    """The response of a second network's best-matching unit to the synthetic pictures."""
    best = f"{code(part['layer'])}, unit {code(part['unit'])} of {code(part['network'])}"
    said = (
        f"A second network that took no part in making the pictures. Its unit that goes best with this one over real "
        f"pictures, of {number(part['candidates'])}, is {best}; correlation over held-out "
        f"real pictures {number(part['correlation'], 2)}."
    )
    limits = (
        "The line is the 95th percentile of its response to real pictures. A set whose mean lies above it excites that "
        "unit more than 95 % of real pictures do; intervals (Student's t) count facets or chains, not pictures. A low "
        "correlation makes the test weak."
    )
    names = {
        "real": "top real pictures",
        "synthetic": "synthetic pictures",
        "control": "random direction",
        "sweep": "the sweep's set",
        "sweep_control": "the sweep's random direction",
    }
    sets: dict[str, Data] = {names.get(str(key), str(key)): value for key, value in part["sets"].items() if value}
    chart = plots.intervals(
        {name: (one["mean"], one.get("low"), one.get("high")) for name, one in sets.items()},
        "response of the second network's unit",
        part["threshold"],
        "95 % of real pictures",
    )
    rows = [[escaped(name), interval(one), number(one["count"]), percent(one["share_above"])] for name, one in sets.items()]
    verdict = {True: "It transfers", False: "It does not transfer"}.get(part["verdict"], "No verdict")
    share = percent(within(sets, names["synthetic"], "share_above"))
    verdict += f": {share} of the synthetic pictures lie above the line." if share != ABSENT else "."
    found = table(["set", "mean response", "pictures", "above 95 % of real"], rows, "transfer")
    return [reading(said, limits), f"<p><b>{verdict}</b></p>", chart, found]


SECTIONS: dict[str, tuple[str, Callable[[Data, Path, Data], list[str]]]] = {
    "real": ("Real", real),
    "synthetic": ("Synthetic", synthetic),
    "sweep": ("A set, not an optimum", sweep),
    "nearby": ("Up and down from a picture", nearby),
    "where": ("Where", where),
    "transfer": ("Transfer", transfer),
}
"""Part of a report -> its heading, and what makes its HTML from its data, the folder of its pictures and the whole report."""


def _row(title: str, figures: Sequence[str], style: str = "row") -> str:
    return f'<h3>{escaped(title)}</h3><div class="{style}">{"".join(figures)}</div>' if figures else ""


def _response(folder: Path, one: Data, what: str, box: Sequence[float] | None = None) -> str:
    drawn = picture(folder / f"{one['picture']}.png", f"{what}, {one['file']}, response {number(one['response'])}", box)
    return figure(drawn, f"<b>{number(one['response'])}</b><br>{file_name(one['file'])}")


def _distribution(part: Data, report: Data) -> str:
    """The histogram of real responses with the synthetic ones above it."""
    sources = within(report, "parts", "synthetic", "sources") or []
    marks = {one["name"]: [image["response"] for image in one["images"] if image["response"] is not None] for one in sources}
    lines = {name: value for name, value in part["percentiles"].items() if value is not None}
    edges, counts = part["histogram"]["edges"], part["histogram"]["counts"]
    return plots.responses(edges, counts, lines, marks, "response", "real pictures (root scale)")


def _facet(folder: Path, one: Data) -> str:
    """A synthetic picture beside its nearest real one."""
    name = "" if one.get("facet") is None else f", facet {one['facet'] + 1}"
    drawn = picture(folder / f"{one['picture']}.png", f"synthetic picture{name}, response {number(one['response'])}")
    caption = f"<b>{number(one['response'])}</b>, {number(one['multiple'])} times the best real{name}"
    caption += "" if one.get("pictures") is None else f" from {plural(one['pictures'], 'real picture')}"
    near = one.get("nearest")
    if near is None:
        return figure(drawn, caption)
    drawn += picture(folder / f"{near['picture']}.png", f"nearest real picture, {near['file']}")
    return figure(
        f'<div class="pair">{drawn}</div>', f"{caption}<br>nearest, {number(near['distance'])} away: {file_name(near['file'])}"
    )


def _changed(folder: Path, one: Data) -> list[str]:
    """The pictures of one chain up and one down: original, reconstruction, and both changes with their maps."""
    shown = [(one["picture"], "real", one["response"]), (one["reconstruction"], "reconstruction", one["start"])]
    for way, name in (("up", "raised"), ("down", "lowered")):
        change = one.get(way) or {}
        shown += [(change.get("picture"), name, change.get("response")), (change.get("difference"), f"{name}: change", None)]
    return [
        figure(
            picture(folder / f"{file}.png", f"{name}, {one['file']}"),
            f"<b>{name}</b>" + ("" if value is None else f"<br>{number(value)}"),
        )
        for file, name, value in shown
        if file
    ]
