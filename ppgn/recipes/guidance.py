"""Training-free guidance as changes of a recipe: a condition on the picture of the denoised code, on any noise-level prior.

Rules and forms are as published, constants where a comment says so. Strengths hold for the papers' pixels from -1 to 1 and
their losses, and for no other codes; ours are for standardised codes and log-probabilities, chosen by the look of a few pictures
of imagenette64. Levels are those of the sampler (20 to 0.02), or of the bundle's own recipe where that has some.
"""

from __future__ import annotations

from typing import Any

_GUIDED: dict[str, Any] = {
    "sampler": "guided",
    "prior": "noise_level",
    "generator": "generator",
    "measure": "log_softmax",  # a classifier's log p(y | x), as in all four papers
    "temperature": 1.0,
    "bounds": "none",
    "start": "mean",
    "start_std": 0.0,  # noise of the first level around the mean of the codes: x_T ~ N(0, 1)
    "draws": 1,
    "view": "whole",
    "schedule": "constant",
    "clean_steps": 0,
    "clean_scale": 0.0,
    "eta": 0.0,
    "recurrences": 1,
    "recur_lowest": 0.0,
    "recur_highest": 1e9,
    "smoothing": 0.0,
    "smoothing_draws": 1,
    "through": True,
    "condition_limit": 0.0,
    "steps": 101,  # 100 in FreeDoM and TFG
    "tries": 1,
    "precision": "float32",
}
GUIDANCE: dict[str, dict[str, Any]] = {
    "dps": {  # Chung et al. 2023, "Diffusion posterior sampling for general noisy inverse problems", Algorithm 1
        **_GUIDED,
        "rule": "dps",
        "condition_scale": 1.0,  # zeta 0.3 to 1 (configs of the released code)
        "eta": 1.0,  # ancestral steps; 1000 in the paper
    },
    "freedom": {  # Yu et al. 2023, "FreeDoM: training-free energy-guided conditional diffusion model"
        **_GUIDED,
        "rule": "freedom",
        # denoising.py, clip_ddim_diffusion: l2 = l1 * 0.02, a root mean square over 3 * 256^2 pixels, 8.9 times as long as the
        # noise in one direction. In 512 units the same length is 0.39; in Stable Diffusion's 4 * 64^2 it is 0.07.
        "condition_scale": 0.4,
        "eta": 1.0,  # its c3 is the standard deviation of an ancestral step
        "recurrences": 10,  # for ImageNet
        "recur_lowest": 3.443,  # timesteps 500 to 800 of 1000 with beta from 1e-4 to 0.02
        "recur_highest": 25.74,
        "steps": 301,  # ours: about 60 levels, of which those in that range ten times
    },
    "universal_guidance": {  # Bansal et al. 2023, "Universal guidance for diffusion models", Algorithm 1
        **_GUIDED,
        "rule": "universal_guidance",
        "condition_scale": 1.0,  # ours: p(code) p(y | code)
        "clean_steps": 2,  # backward guidance, m; ours
        "clean_scale": 0.1,  # ours
        "recurrences": 4,  # k, at every level; 6 to 10 in the paper
        "steps": 201,  # ours: 50 levels
    },
    "tfg": {  # Ye et al. 2024, "TFG: unified training-free guidance for diffusion models", Algorithm 1
        **_GUIDED,
        "rule": "tfg",
        "condition_scale": 2.0,  # rho of label guidance on ImageNet
        "clean_scale": 0.5,  # mu
        "clean_steps": 4,  # N_iter
        "smoothing": 0.1,  # gamma
        "smoothing_draws": 4,  # eps_bsz
        "schedule": "increase",
        "eta": 1.0,
        "condition_limit": 0.5,  # ours, where tfg.py clips gradients: without it one chain in four leapt
    },
}
"""Method -> its changes of the bundle's recipe, by names on one level."""
