"""The table of an evaluation: its measures, of samples and of real pictures."""

from __future__ import annotations

from typing import Any

MEASURES = {
    "accuracy": ("accuracy", "judged as the requested class"),
    "calibration_error": ("calibration error", "of the judge on these pictures; 0 is calibrated"),
    "inception_score": ("Inception-style score", "by this judge; 1 to the number of classes"),
    "frechet": ("Fréchet distance (FID)", "low is near real pictures; compare equal numbers of pictures only"),
    "kernel": ("kernel distance (KID)", "low is near real pictures"),
    "precision": ("precision", "fraction of these pictures near a real one"),
    "recall": ("recall", "fraction of real pictures near one of these"),
    "density": ("density", "like precision; crowded regions count more"),
    "coverage": ("coverage", "fraction of real pictures with one of these among their neighbours"),
    "feature_diversity": ("diversity, features", "cosine distance between pictures of a class"),
    "structure_diversity": ("diversity, 1 - MS-SSIM", "between pictures of a class, in pixels"),
    "lpips": ("diversity, LPIPS", "between pictures of a class"),
    "inception_frechet": ("FID, Inception", "in the features of torchmetrics' Inception"),
    "inception_kernel": ("KID, Inception", "in the features of torchmetrics' Inception"),
}
"""Key of a score -> its name and its meaning."""


def number(value: float | None, digits: int = 3) -> str:
    """A figure as text; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if abs(value) >= 10**-digits or value == 0 else f"{value:.2g}"


def judge_label(scores: dict[str, Any]) -> str:
    """The judge's name, and whether it was held out of training and sampling."""
    return f"{scores['judge']['name']} ({'held out' if scores['judge']['held_out'] else 'not held out'})"


def rows(scores: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """(measure, figure of the samples, figure of the real pictures, meaning) for each measure that was taken."""
    samples, real = scores["samples"], scores["real"]
    found = []
    for key, (name, meaning) in MEASURES.items():
        if samples.get(key) is not None or real.get(key) is not None:
            figures = [number(column.get(key)) for column in (samples, real)]
            if key == "accuracy":
                errors = [number(column["standard_error"]) for column in (samples, real)]
                figures = [f"{figure} ± {error}" for figure, error in zip(figures, errors, strict=True)]
            found.append((name, *figures, meaning))
    if samples["copies"] is not None:
        figures = [number(column["copies"]["below_one"]) for column in (samples, real)]
        found.append(("distance ratio below 1", *figures, "fraction nearer to a training picture than that is to any other"))
    best = number(scores["activation"]["above_best_real"])
    found.append(("above the best real picture", best, "-", "fraction of samples with a higher logit of their class"))
    return [*found, *_chain_rows(scores)]


def _chain_rows(scores: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Cost and mixing, where the pictures were sampled by this evaluation."""
    found = []
    cost, chain = scores["cost"], scores["chain"]
    if cost is not None:
        passes = ", ".join(f"{name} {count:.0f}" for name, count in cost["passes_per_sample"].items())
        found.append(("seconds per sample", number(cost["seconds_per_sample"]), "-", f"passes per sample: {passes}"))
    for key, name in (("log_prob", "log-probability"), ("features", "features")):
        if chain is not None and chain[key] is not None:
            effective = f"{number(chain[key]['effective_per_chain'], 1)} independent values in {chain['steps']} steps"
            found.append((f"autocorrelation time, {name}", number(chain[key]["tau"], 1), "-", f"steps; {effective}"))
    return found


def markdown(scores: dict[str, Any]) -> str:
    """The table in Markdown, under a line that names bundle and judge."""
    title = f"{scores['bundle']}, judged by {judge_label(scores)}"
    head = f"| measure | samples, {scores['samples']['pictures']} | real, {scores['real']['pictures']} | |"
    lines = [f"| {' | '.join(row)} |" for row in rows(scores)]
    return "\n".join([title, "", head, "| --- | --- | --- | --- |", *lines])
