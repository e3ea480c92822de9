"""The section of a report's page on the sweep: samples of p(x) exp(lambda response), and their diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppgn.explanation import plots
from ppgn.explanation.markup import (
    STRIP,
    Data,
    escaped,
    figure,
    interval,
    number,
    picture,
    plural,
    reading,
    setting,
    table,
    within,
)


def sweep(part: Data, folder: Path, report: Data) -> list[str]:
    """Samples of p(x) exp(lambda response) for a unit and for a random direction, with their diagnostics."""
    unit, control = part["unit"], part.get("control") or []
    drawn = {"unit": unit, "random direction": control} if control else {"unit": unit}
    said = (
        f"Samples of p(x) exp(λ response): {plural(part['chains'], 'chain')} of {plural(part['steps'], 'step')} for each "
        "strength λ, in nats per standard deviation of the real responses. λ = 0 is the prior alone. "
        + ("The control climbs a random direction of equal norm; its curve should stay flat." if control else "")
    )
    limits = (
        "Few effective samples, or an R-hat far above what chains of this length have in equilibrium "
        f"({number(part.get('mixed_r_hat'), 2)}), mean that the chains have not mixed: read such a row as pictures, not as a "
        "distribution."
    )
    charts = [
        _strengths(drawn),
        _natural(drawn, "distance", "distance to real"),
        _natural(drawn, "gap", "gap of the prior"),
    ]
    lags = {name: within(part, "autocorrelation", key) or [] for name, key in (("unit", "unit"), ("random direction", "control"))}
    points = {name: [plots.Point(lag, one) for lag, one in enumerate(values)] for name, values in lags.items() if values}
    charts.append(plots.curves(points, "lag in steps", "autocorrelation", marks=False))
    parts = [reading(said, limits), f"<p>{_mixing(drawn)}</p>"]
    for name, rows in drawn.items():
        title = "Last pictures of the chains" if name == "unit" else "The control"
        parts += [f"<h3>{title}</h3>", STRIP.replace("strip", "strip wide")]
        parts += [_sheet(folder / "sweep", name, one) for one in rows] + ["</div></div>"]
    head = ["climbs", "λ", "response", "gap", "distance", "Fréchet", "tau", "effective", "R-hat"]
    cells = [_sweep_row(name, one) for name, rows in drawn.items() for one in rows]
    settings = (
        f"Step size {setting(part['step_size'])}, in the space of the noise from which the bundle's model makes codes. Of the "
        f"{plural(part['steps'], 'step')} the first quarter does not count; behind it {plural(part['kept'], 'picture')} of each "
        "chain are kept. Gap: how far the joint prior would move a picture's code, |E(G(E(x))) - E(x)| / |E(x)|. Distance: 1 - "
        "cosine of features to the nearest real picture. Tau: steps for one independent value; effective: how many there are. Of "
        "the control the unit's response is measured on kept pictures alone, so that it has no tau, effective number and R-hat."
    )
    return [
        *parts,
        '<div class="plots">',
        *charts,
        "</div>",
        table(head, cells, "diagnostics"),
        f"<p>{escaped(reason)}</p>" if (reason := part.get("control_left_out")) else "",
        f'<p class="soft">{settings}</p>',
    ]


def _sheet(folder: Path, name: str, one: Data) -> str:
    what = f"λ = {setting(one['strength'])}"
    drawn = picture(folder / f"{one['picture']}.png", f"{name}, {what}: last pictures of the chains")
    return figure(drawn, f"<b>{what}</b><br>response {number(within(one, 'response', 'mean'), 2)} std")


def _strengths(drawn: Mapping[str, Sequence[Data]]) -> str:
    points = {
        name: [plots.Point(one["strength"], within(one, "response", "mean"), y_interval=_ends(one["response"])) for one in rows]
        for name, rows in drawn.items()
    }
    return plots.curves(points, "strength λ", "response (std of real)")


def _natural(drawn: Mapping[str, Sequence[Data]], key: str, name: str) -> str:
    """How far from natural, upwards, against the response, with lambda at each point."""
    points = {}
    for series, rows in drawn.items():
        points[series] = []
        for place, one in enumerate(rows):
            mean = within(one[key], "mean") if isinstance(one[key], Mapping) else one[key]
            shared = place == 0 and len(points) > 1  # the control starts where the unit starts
            ends, label = (_ends(one["response"]), _ends(one[key])), "" if shared else f"λ {setting(one['strength'])}"
            points[series].append(plots.Point(within(one, "response", "mean"), mean, *ends, label))
    return plots.curves(points, "response (std of real)", f"{name} (low: natural)")


def _ends(value: Any) -> tuple[float | None, float | None]:
    return within(value, "low"), within(value, "high")


def _mixing(drawn: Mapping[str, Sequence[Data]]) -> str:
    """What the sweep found, in words."""
    last = {name: rows[-1] for name, rows in drawn.items() if rows}
    if not last:
        return ""
    found = [f"the {name} {interval(row['response'])} std" for name, row in last.items()]
    said = f"At λ = {setting(next(iter(last.values()))['strength'])} the mean response is, with its 95 % interval: "
    base, low = within(drawn["unit"][0], "response", "high"), within(drawn["unit"][-1], "response", "low")
    verdict = (
        ""
        if base is None or low is None
        else " The sweep raised the unit."
        if low > base
        else " The interval reaches down to λ = 0."
    )
    return f"{said}{', '.join(found)}.{verdict}"


def _sweep_row(name: str, one: Data) -> list[str]:
    cells = [setting(one["strength"]), interval(one["response"]), number(one["gap"]), interval(one["distance"])]
    return [name, *cells, *(number(one.get(key)) for key in ("frechet", "tau", "effective", "r_hat"))]
