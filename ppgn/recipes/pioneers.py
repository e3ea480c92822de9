"""Methods of 2009 to 2023 that optimise a picture without a learned generator, as changes of a recipe.

Step sizes: the papers' are in the units of their networks' inputs and activations, and hold for no other network. Here methods
that take the gradient as it is divide it by its mean size (`samplers.Regularised`), and the steps are ours: those of 2015 were
chosen by the look of pictures of four classes with EfficientNet-Lite0 at 224 pixels. All else is as published where a comment
says so.
"""

from __future__ import annotations

from typing import Any

_GREY: dict[str, Any] = {
    "sampler": "regularised",
    "generator": "pixels",
    "prior": "none",
    "measure": "logit",
    "bounds": "fixed",
    "bounds_low": 0.0,
    "bounds_high": 1.0,
    "start": "normal",
    "start_mean": 0.5,
    "start_std": 10 / 255,  # the toolbox of Yosinski et al. 2015: mean picture + N(0, 10^2), pixels to 255
    "draws": 1,
    "view": "whole",
    "gradient_rule": "unit_mean",
    "step_size": 0.01,
    "prior_scale": 1.0,
    "velocity_decay": 0.0,
    "pixel_decay": 0.0,
    "blur_width": 0.0,
    "blur_every": 0,
    "norm_percentile": 0.0,
    "contribution_percentile": 0.0,
    "contrast": 0.0,
    "denoise_weight": 0.0,
    "centre_width": 0.0,
    "steps": 200,
    "tries": 1,
    "precision": "float32",
}
_WHOLE: dict[str, Any] = {"bounds": "none", "draws": 1, "measure": "logit", "prior": "none", "start": "normal", "start_mean": 0.0,
                          "tries": 1, "precision": "float32", "prior_scale": 0.0}  # fmt: skip
PIONEERS: dict[str, dict[str, Any]] = {
    "erhan_2009": {**_GREY, "start_std": 0.25, "contrast": 0.25},  # the picture's norm is fixed; ours is that of real pictures
    "simonyan_2013": {
        **_GREY,
        "prior": "hand_made",  # score - lambda |x|^2
        "variation_weight": 0.0,
        "norm_weight": 0.01,
        "norm_power": 2.0,
        "mean_weight": 0.0,
    },
    "yosinski_2015": {
        **_GREY,
        "pixel_decay": 1e-4,  # Table 1, third row
        "blur_width": 1.0,
        "blur_every": 4,
        "step_size": (0.2, 0.005),  # ours: large steps give contrast, small ones at the end take the noise away
        "steps": 302,  # ours; the last picture comes behind a blur
    },
    "mahendran_2015": {
        **_GREY,
        "prior": "hand_made",
        "variation_weight": 0.1,
        "variation_power": 2.0,  # of networks deeper than edges, section 4.2
        "norm_weight": 0.01,
        "norm_power": 6.0,  # section 3.1
        "mean_weight": 0.0,
        "velocity_decay": 0.9,  # section 3.2
        "step_size": (0.08, 0.003),  # ours
        "prior_scale": (1.0, 0.2),  # ours: shapes first, then details
        "view": "random",
        "view_jitter": 8,  # of the extended paper (2016)
        "steps": 300,  # ours
    },
    "deepdream": {
        **_GREY,
        "step_size": 1.5 / 255,  # dream.ipynb, make_step
        "view": "random",
        "view_jitter": 32,
        "steps": 11,  # 10 updates an octave
    },
    "mfv": {
        **_GREY,
        "step_size": (1 / 255, 2 / 255),  # act_max.tvd.mean.py, the first of four stages
        "denoise_weight": 0.4 * 255,
        "view": "crop",
        "view_spread": 0.3,
        "steps": 190,
    },
    "style_transfer": {
        **_WHOLE,
        "sampler": "adam",  # L-BFGS in the paper
        "generator": "pixels",
        "prior": "hand_made",  # ours: without, strided convolutions draw a grid
        "variation_weight": 1.0,
        "variation_power": 2.0,
        "norm_weight": 0.0,
        "mean_weight": 0.0,
        "prior_scale": 0.01,
        "bounds": "fixed",
        "bounds_low": 0.0,
        "bounds_high": 1.0,
        "step_size": (0.05, 0.005),
        "nesterov": False,
        "view": "whole",
        "steps": 300,
    },
    "inversion": {
        **_WHOLE,
        "sampler": "adam",  # gradient descent with momentum in the paper
        "generator": "pixels",
        "bounds": "fixed",
        "bounds_low": 0.0,
        "bounds_high": 1.0,
        "start_mean": 0.5,
        "start_std": 0.1,
        "step_size": (0.05, 0.001),
        "nesterov": False,
        "view": "whole",
        "steps": 400,  # experiment_cnn.m
    },
    "lucid": {
        **_WHOLE,
        "sampler": "adam",
        "generator": "fourier",
        "start_std": 0.01,  # optvis/param/spatial.py
        "step_size": 0.05,  # optvis/render.py
        "nesterov": False,
        "view": "random",  # optvis/transform.py, standard_transforms
        "view_count": 1,
        "view_frame": 12,
        "view_jitter": 6,  # 8 and 4 pixels of range
        "view_smallest": 1 / 1.1,
        "view_largest": 1 / 0.9,
        "view_rotation": 10.0,
        "view_wander": 0.0,
        "view_noise": 0.0,
        "steps": 512,  # optvis/render.py
    },
    "maco": {
        **_WHOLE,
        "sampler": "adam",
        "generator": "phase",
        "start_std": 1.0,
        "step_size": 1.0,  # horama, NAdam
        "nesterov": True,
        "view": "random",
        "view_count": 6,
        "view_frame": 0,
        "view_jitter": 0,
        "view_smallest": 0.8,  # ours; horama sees 0.25 to 0.3 of 1280 pixels at once, more than there are in a picture of 224
        "view_largest": 1.0,
        "view_rotation": 0.0,
        "view_wander": 0.05,
        "view_noise": 0.05,
        "steps": 256,
    },
}
"""Method -> its changes of the bundle's recipe, by names on one level."""
