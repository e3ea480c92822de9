"""The page of a search: one HTML file that says what was searched, what the trials came to, and why this setting."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ppgn import evaluation, images
from ppgn.tuning import proposals, report, space
from ppgn.tuning.figure import COLOURS, figure, outside
from ppgn.tuning.search import MARKS, Tuning
from ppgn.tuning.trial import Trial
from ppgn.tuning.why import reasons

if TYPE_CHECKING:
    from ppgn.tuning.record import Study

SIDE = 160
"""Most pixels of a picture's side."""
STYLE = """
.pairs { display: flex; flex-wrap: wrap; gap: .5rem } .pairs figure { width: 6rem; font-size: .8rem; overflow-wrap: anywhere }
.pairs img { width: 6rem; display: block; margin-bottom: 2px; border-bottom: 3px solid currentColor }
tr.chosen { font-weight: bold } th.text { text-align: left } td.text { min-width: 10rem } figure svg { width: 36rem }
:root { color-scheme: light dark }
@media (prefers-color-scheme: dark) {
body { background: #14171b; color: #e4e4e4 } th, td { border-color: #3a3f46 } td.text { color: #b4b4b4 }
pre { background: #20252b } }
"""


def page(study: Study, use: str = "") -> str:
    """A search as one HTML document that needs nothing else; the same one however often the search was stopped.

    It says what was searched, why the best trial is the best, shows all trials and their frontier, and the pictures of the best
    one beside the default's. use: how its recipe is used, in code; by default in Python. Raises ValueError as `Study.best` does.
    """
    tuning, trials, best = study.tuning, study.trials, study.best
    parts = [*_summary(study, use), *_pictures(study), *_trials(tuning, trials, best), *_searched(tuning, trials, best)]
    stored = html.escape(json.dumps(best.recipe.to_json(), indent=1))
    parts += ["<h2>The whole recipe</h2>", f"<details><summary>{best.title}</summary><pre>{stored}</pre></details>"]
    return evaluation.document(f"Tuning {tuning.bundle.name}", parts, STYLE + COLOURS)


def _summary(study: Study, use: str) -> list[str]:
    tuning = study.tuning
    read = f"recipe = ppgn.recipes.read_recipe({str(study.folder / 'settings.json')!r})"
    use = use or f"{read}\nsamples = ppgn.sample({tuning.bundle.name!r}, ..., recipe=recipe)"
    names = ", ".join(dict.fromkeys(tuning.request.names))
    return [
        f"<h1>{html.escape(tuning.bundle.name)}: {html.escape(names)}</h1>",
        "<h2>Why this setting</h2>",
        *(f"<p>{html.escape(sentence)}</p>" for sentence in reasons(tuning, study.trials)),
        "<p>Chains differ by chance, and the best of many trials is partly luck: look at pictures from other seeds before you "
        "believe a small gain.</p>",
        "<h2>How to use it</h2>",
        f"<pre>{html.escape(use)}</pre>",
    ]


def _pictures(study: Study) -> list[str]:
    best, rows = study.best, [trial for trial in report.rows(study.trials) if not trial.stopped]
    other = study.trials[0] if best.number else next((trial for trial in rows if trial is not best), best)
    if other.stopped or other is best:
        other = None
    several = study.tuning.request.names if len(set(study.tuning.request.names)) > 1 else [""] * len(study.tuning.request)
    above = study.pictures(best)
    below = [None] * len(above) if other is None else study.pictures(other)
    parts = [f"<h2>Pictures of {best.subject}" + ("" if other is None else f" (above) and of {other.subject} (below)") + "</h2>"]
    parts += ["<p>Pictures above each other are of the same chain, from the same seed.</p>", '<div class="pairs">']
    for name, seed, one, two in zip(
        report.shown(several), report.shown([str(seed) for seed in study.tuning.seeds]), above, below, strict=True
    ):
        drawn = f'<div class="chosen">{_embedded(one, f"{best.title}, seed {seed}")}</div>'
        if two is not None and other is not None:
            drawn += f'<div class="kept">{_embedded(two, f"{other.title}, seed {seed}")}</div>'
        parts.append(f"<figure>{drawn}<figcaption>{html.escape(name)} seed {seed}</figcaption></figure>")
    return [*parts, "</div>"]


def _trials(tuning: Tuning, trials: Sequence[Trial], best: Trial) -> list[str]:
    line = report.frontier(tuning, trials)
    far = outside(tuning, trials)
    edge = f" {far} further out {'is' if far == 1 else 'are'} drawn at the edge." if far else ""
    rows = [*line, *(trial for trial in (trials[0], best) if trial not in line)]
    return [
        "<h2>The frontier</h2>",
        '<p><b class="kept">Dots</b> kept both limits, <b class="out">crosses</b> did not and are left out, the '
        '<b class="chosen">ring</b> is the chosen trial, the <b class="real">square</b> realistic codes, whatever they show. The '
        "line joins the "
        "trials that no other one beats in both: with a smaller gap you get no more, for more you pay with a larger gap. Those "
        f"that are too much alike are no part of it. The dashed line is the limit of the gap.{edge}</p>",
        f'<figure class="scroll">{figure(tuning, trials)}</figure>',
        "<h3>Trials on the frontier, from the smallest gap on, the chosen one and the default</h3>",
        _table(tuning, rows, best),
        "<ul>" + "".join(f"<li>{html.escape(one)}</li>" for one in report.legend(tuning)) + "</ul>",
        f"<details><summary>All {len(trials)} trials</summary>{_table(tuning, trials, best)}</details>",
    ]


def _table(tuning: Tuning, rows: Sequence[Trial], best: Trial) -> str:
    body = "<tr>" + "".join(f"<th>{html.escape(one)}</th>" for one in report.headings(tuning)) + "</tr>"
    for trial in rows:
        cells = [*report.cells(tuning, trial), report.broken(tuning, trial)]
        cells[0] += " (chosen)" if trial is best else ""
        drawn = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        body += f'<tr class="chosen">{drawn}</tr>' if trial is best else f"<tr>{drawn}</tr>"
    return f'<div class="scroll"><table>{body}</table></div>'


def _searched(tuning: Tuning, trials: Sequence[Trial], best: Trial) -> list[str]:
    """Request, seeds and limits in sentences; the settings with their ranges as a table."""
    flat, steps = tuning.recipe.flat(), tuning.recipe.steps
    places = [space.place(trial.recipe, tuning.ranges) for trial in (trials[0], best)]
    rows = [["setting", "least", "most", "default", "chosen", "what it is, unit", "why this range"]]
    for name, span in tuning.ranges.items():
        what, unit, why = space.meaning(flat["sampler"], name)
        rows.append([name, *map(report.number, (*span, *(place[name] for place in places))), f"{what}, {unit}", why])
    least = max(1, steps // MARKS)
    why = f"measured after every {MARKS}th part; a trial counts with its best, as fewer steps cost no trial"
    rows.append(["steps", *map(str, (least, steps, steps, best.recipe.steps)), "of a chain", why])
    body = ""
    for row in rows:
        cell = "th" if row is rows[0] else "td"
        drawn = "".join(f"<{cell}>{html.escape(one)}</{cell}>" for one in row[:-2])
        body += f"<tr>{drawn}" + "".join(f'<{cell} class="text">{html.escape(one)}</{cell}>' for one in row[-2:]) + "</tr>"
    held = [name for name in space.SEARCHED[flat["sampler"]] if name not in tuning.ranges]
    listed = ", ".join(held)
    return [
        "<h2>What was searched</h2>",
        *(f"<p>{html.escape(sentence)}</p>" for sentence in _about(tuning, trials)),
        f'<div class="scroll"><table>{body}</table></div>',
        f"<p>Not searched, as it was given or changes nothing here: {listed}.</p>" if held else "",
    ]


def _about(tuning: Tuning, trials: Sequence[Trial]) -> list[str]:
    asked = ", ".join(f"{name} ({count} chains)" for name, count in Counter(tuning.request.names).items())
    seeds = list(dict.fromkeys(tuning.seeds))
    spread = f"{seeds[0]} to {seeds[-1]}" if seeds == list(range(seeds[0], seeds[-1] + 1)) else ", ".join(map(str, seeds))
    enough = "" if tuning.enough is None else f" Above {tuning.enough:g} more counts as no better."
    return [
        f"Bundle {tuning.bundle.name}, sampler {tuning.recipe.flat()['sampler']}, {len(trials)} trials. Asked for: {asked}, with "
        f"the seeds {spread} in every trial.{enough}",
        "Trial 0 is the default, so the result is never behind it on these seeds. Up to trial "
        f"{proposals.STARTUP - 1} the places are random, later ones are where Optuna's tree-structured Parzen estimator expects "
        "more. Ranges are searched on a logarithmic scale. They follow from the mean sizes of code, prior and gradient at "
        "realistic codes, so they fit what is asked for.",
    ]


def _embedded(picture: Tensor, text: str) -> str:
    return evaluation.embedded(images.to_pil(images.at_most(picture, SIDE).clamp(0, 1)), text)
