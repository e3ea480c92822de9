"""Why a search chose its setting, in sentences with their numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ppgn.tuning import report
from ppgn.tuning.search import Tuning
from ppgn.tuning.trial import Trial, best_of


def reasons(tuning: Tuning, trials: Sequence[Trial]) -> list[str]:
    """The rule that chose, how near the limits the chosen trial is, what was left out, and the runner-up.

    Raises ValueError where the chains of all trials stopped: nothing is chosen then.
    """
    best = best_of(trials)
    if best.means is None:
        raise ValueError(f"the chains of all {len(trials)} trials stopped, expected one that ran: begin with smaller scales")
    value, gap, diversity = best.means
    kept = [trial for trial in trials if trial.order[0] == 1]
    near = (
        f"Its gap is {gap:.3g} times that of realistic codes, {gap / tuning.most_gap:.2f} of the limit {tuning.most_gap:g}. Its "
        f"diversity is {diversity:.3g} times theirs; the limit is at least {tuning.least_diversity:g}."
    )
    found = [_rule(tuning, trials, best, kept), near, _left_out(tuning, trials, value)]
    found.append(_nearer(tuning, trials, best))
    others = sorted((trial for trial in kept if trial is not best), key=lambda trial: trial.order, reverse=True)
    if others and others[0].subject not in found[-1]:
        found.append(f"Next within the limits: {_told(others[0])}.")
    return [sentence for sentence in found if sentence]


def _told(trial: Trial) -> str:
    value, gap, diversity = trial.means or (math.nan,) * 3
    return f"{trial.subject} with {value:.3g} at a gap of {gap:.3g} and a diversity of {diversity:.3g}"


def _nearer(tuning: Tuning, trials: Sequence[Trial], best: Trial) -> str:
    """The two next trials of the frontier with a smaller gap: what a more realistic setting would cost."""
    gap = best.gap or 0.0
    nearer = [trial for trial in report.frontier(tuning, trials) if trial.gap is not None and trial.gap < gap]
    if not nearer:
        return "No other trial of the frontier has a smaller gap."
    return f"On the frontier with a smaller gap, so nearer to real pictures: {'; '.join(map(_told, nearer[:-3:-1]))}."


def _rule(tuning: Tuning, trials: Sequence[Trial], best: Trial, kept: Sequence[Trial]) -> str:
    """Which rule of `Trial.order` chose the best trial."""
    value, gap, diversity = best.means or (0.0, 0.0, 0.0)
    name, measure = best.subject[0].upper() + best.subject[1:], report.measure(tuning)
    chains = f"a mean over {len(tuning.request)} chains"
    if best.excess:
        return (
            f"No trial kept both limits. {name} comes nearest: it breaks them by {best.excess:.3g} in all. Its {measure} is "
            f"{value:.3g}, {chains}."
        )
    among = "the only trial that kept" if len(kept) == 1 else f"of the {len(kept)} trials that kept"
    equal = [trial for trial in kept if trial.log_prob == best.log_prob]
    if tuning.enough is not None and math.isclose(value, tuning.enough, rel_tol=1e-6):
        return (
            f"{len(equal)} of the {len(kept)} trials that kept both limits reached a {measure} of {tuning.enough:g}, "
            f"from where more is no merit. Of them {best.subject} has the highest diversity less what the gap is above 1: "
            f"{diversity:.3g} - {max(0.0, gap - 1):.3g} = {best.order[2]:.3g}."
        )
    first = f"{name} is {among} both limits" if len(kept) == 1 else f"{name} has the highest {measure} {among} both limits"
    beside = [f"realistic codes, whatever they show, have {report.number(tuning.reference.log_prob)}"]
    if best.number:
        beside.insert(0, f"the default has {report.number(trials[0].log_prob)}")
    return f"{first}: {value:.3g}, {chains}; {', '.join(beside)}."


def _left_out(tuning: Tuning, trials: Sequence[Trial], value: float) -> str:
    """How many trials were left out and why, and the best value among them where it is above the chosen one."""
    whys = [why for trial in trials if (why := report.broken(tuning, trial))]
    if not whys:
        return "No trial was left out."
    meanings = {
        "gap": f"a gap above {tuning.most_gap:g}", "diversity": f"a diversity below {tuning.least_diversity:g}",
        "gap and diversity": "both gap and diversity outside of the limits", "stopped": "chains that became infinite or NaN",
    }  # fmt: skip
    counted = ", ".join(f"{whys.count(why)} with {text}" for why, text in meanings.items() if why in whys)
    found = f"Left out: {counted}." + (" The default is among them." if report.broken(tuning, trials[0]) else "")
    higher = [(trial.means[0], trial) for trial in trials if trial.means and trial.excess and trial.means[0] > value]
    if higher:
        most, trial = max(higher, key=lambda pair: pair[0])
        found += f" The highest value among them is {most:.3g}, of {trial.subject} ({report.broken(tuning, trial)})."
    return found
