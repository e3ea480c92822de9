"""The variants that benchmarks/quality.py measures: name -> settings that replace the bundle's, "recipe" for a method's."""

from __future__ import annotations

from typing import Any

RELEASED = "_released"
FIVE = ("ppgn_x", "dgn_am", "ppgn_h", "joint_ppgn_h", "noiseless_joint_ppgn_h")
"""The methods of the papers."""
EQ_11 = {"sampler": "langevin", "temperature": 3.0}
"""The papers' rule, from the default's start."""
GAUSSIAN = {"start": "codes", "draws": 1}
ADAPTIVE: dict[str, dict[str, Any]] = {
    "default": {},
    **{f"temperature {value:g}": {"temperature": value} for value in (1.0, 2.0, 3.0, 5.0)},
    **{f"{steps} steps": {"steps": steps} for steps in (10, 15, 50)},
    "Gaussian start": GAUSSIAN,
    "Gaussian start, 50 steps, temperature 5": {**GAUSSIAN, "steps": 50, "temperature": 5.0},
    "1 draw": {"draws": 1},
    "160 draws": {"draws": 160},
    "step size 0.2": {"step_size": 0.2},
    "step size 0.3 to 0.03": {"step_size": (0.3, 0.03)},
    **{f"prior scale {scale:g}": {"prior_scale": scale} for scale in (0.05, 0.5)},
    "momentum 0.5": {"momentum": 0.5},
}
LANGEVIN: dict[str, dict[str, Any]] = {
    "": {},
    **{f", {steps} steps": {"steps": steps} for steps in (1, 5, 10, 15, 50, 100)},
    **{f", Gaussian start, {steps} steps": {**GAUSSIAN, "steps": steps} for steps in (25, 35, 200)},
    ", chosen Gaussian start": {"start": "codes", "draws": 40, "draw_power": 2.0},
    ", 1 draw": {"draws": 1},
    **{f", {draws} draws": {"draws": draws} for draws in (10, 160)},
    **{f", draw power {power:g}": {"draw_power": power} for power in (1.0, 4.0)},
    **{f", prior scale {scale:g}": {"prior_scale": scale} for scale in (0.0, 0.05, 0.5)},
    ", prior denoiser": {"prior": "denoiser"},
    ", prior noise level": {"prior": "noise_level", "level": 0.3},
    **{f", condition scale {scale:g}": {"condition_scale": scale} for scale in (10.0, 25.0, 100.0, 200.0)},
    **{f", noise {scale:g}": {"noise_scale": scale} for scale in (0.1, 0.3, 1.0)},
    **{f", temperature {value:g}": {"temperature": value} for value in (1.0, 2.0, 5.0)},
}
ANNEALED: dict[str, Any] = {
    "sampler": "annealed",
    "prior": "noise_level",
    "levels": (0.5, 0.05),
    "step_size": 0.2,
    "corrections": 2,
    "condition_scale": 10.0,
    "temperature": 3.0,
}
VARIANTS: dict[str, dict[str, Any]] = {
    **ADAPTIVE,
    **{name: {"recipe": name} for name in FIVE},
    **{name + RELEASED: {"recipe": name + RELEASED} for name in FIVE[2:]},
    **{f"Eq. 11{name}": {**EQ_11, **changes} for name, changes in LANGEVIN.items()},
    "annealed": ANNEALED,
}


def is_of_papers(name: str) -> bool:
    """Whether a variant is a method of the papers."""
    return name.removesuffix(RELEASED) in FIVE
