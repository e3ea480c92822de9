"""The figure of a search: what every trial reached against how far from real pictures it went."""

from __future__ import annotations

from collections.abc import Sequence

from ppgn import evaluation
from ppgn.tuning import report
from ppgn.tuning.search import Tuning
from ppgn.tuning.trial import Trial, best_of

OUTSIDE = 1.6
"""How far beyond the limit of the gap the figure shows trials, in multiples of it."""
COLOURS = """
.kept { color: #1f5fa8 } .out { color: #b3541e } .real { color: #6b6b6b } .chosen { color: #0f7a3d } .line { color: #1f5fa8 }
@media (prefers-color-scheme: dark) {
.kept, .line { color: #7db4f0 } .out { color: #f0a070 } .real { color: #a8a8a8 } .chosen { color: #63cf8f } }
"""


def figure(tuning: Tuning, trials: Sequence[Trial]) -> str:
    """All trials that ran as dots, the frontier as a line, the chosen trial in a ring, those left out as crosses: SVG."""
    best, line = best_of(trials), report.frontier(tuning, trials)
    measure = report.measure(tuning)
    dots: list[evaluation.Dot] = []
    labelled = {trial.number for trial in (best, trials[0], *line)}
    for trial in sorted(trials, key=lambda trial: (trial is not best, trial.number)):
        if trial.means is None:
            continue
        value, gap, _ = trial.means
        out = report.broken(tuning, trial)
        text = f"{trial.title}: {measure} {report.number(value)}, gap {report.number(gap)}" + (
            f", left out: {out}" if out else ""
        )
        kind, shape = ("out", "cross") if out else ("kept", "dot")
        label = trial.title if trial.number in labelled else ""
        if trial is best:
            dots.append(evaluation.Dot(gap, value, text, "chosen", "ring", label))
            label = ""
        dots.append(evaluation.Dot(gap, value, text, kind, shape, label))
    if tuning.reference.means is not None:
        value, gap, _ = tuning.reference.means
        dots.append(evaluation.Dot(gap, value, f"realistic codes: {value:.3g}", "real", "square", "realistic codes"))
    points = [(gap, value) for value, gap, _ in (trial.means for trial in line if trial.means is not None)]
    across = "gap: distance from what the generator knows (1: realistic codes)"
    return evaluation.scatter(dots, points, across, measure, _spans(tuning, trials), tuning.most_gap)


def outside(tuning: Tuning, trials: Sequence[Trial]) -> int:
    """How many trials the figure draws at its edge, as they are further out."""
    (left, right), (low, high) = _spans(tuning, trials)
    ran = [trial.means for trial in trials if trial.means is not None]
    return sum(not (left <= gap <= right and low <= value <= high) for value, gap, _ in ran)


def _spans(tuning: Tuning, trials: Sequence[Trial]) -> tuple[tuple[float, float], tuple[float, float]]:
    """(least, most) gap and value shown: those of realistic codes, of the chosen trial, the default and the frontier up to
    OUTSIDE of the limit; the other trials may be further out."""
    ran = [trial.means for trial in trials if trial.means is not None]
    named = [trial.means for trial in (tuning.reference, best_of(trials), trials[0]) if trial.means is not None]
    kept = [trial.means for trial in trials if trial.means is not None and trial.excess == 0]
    right = max(gap for _, gap, _ in [*kept, *named])
    if tuning.most_gap < 3 * right:
        right = max(right, tuning.most_gap, min(OUTSIDE * tuning.most_gap, max(gap for _, gap, _ in ran)))
    line = [trial.means for trial in report.frontier(tuning, trials) if trial.means is not None]
    values = [value for value, gap, _ in [*named, *line] if gap <= right]
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or max(1e-6, 0.1 * abs(high))
    return (0.0, 1.05 * right), (low - room, high + 1.5 * room)
