"""Checkpoints -> a bundle: gathers the parts of a run, measures the codes of its pictures, writes `checkpoints/NAME/`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ppgn.bundle import check_place, save_bundle
from ppgn.errors import one_line
from ppgn.networks import RectifiedGaussian, RectifiedGaussianConfig
from ppgn.recipes import Recipe
from ppgn.types import ImageSpec
from training.checkpoints import read_classes, read_network, read_scores
from training.data import ImageData
from training.denoiser import over_pictures
from training.encoder import CODE_LAYERS
from training.frozen import codes_before_relu
from training.noise_level import trained_noise_level

KINDS = {
    "denoiser": "denoiser",
    "joint_generator": "generator",
    "pixel_denoiser": "pixel_denoiser",
    "noise_level": "noise_level",
    "classifier": "encoder",
    "captioner": "captioner",
    "second_captioner": "captioner",
}
"""Stages that a bundle can do without -> what their checkpoints call the network."""
STAGES = ("first_encoder", "encoder", "generator", *KINDS)
"""first_encoder: the encoder that the code comes from, where the encoder was given new classes since (`--model.code_from`)."""
CHECKPOINT = Path("checkpoints") / "last.ckpt"


def export(
    run: Path,
    name: str,
    out: Path | None = None,
    recipes: dict[str, dict[str, Any]] | None = None,
    papers: dict[str, dict[str, Any]] | None = None,
    precisions: tuple[str, ...] = (),
    licence: str = "unstated",
    source: str = "trained with ppgn",
    data: str = "",
    scores: dict[str, Any] | None = None,
) -> Path:
    """Writes the networks trained under `run`/encoder, `run`/generator and, where they are there, those of the other STAGES.

    Args:
        run: folder that holds the run folders of the three training scripts.
        name: what `ppgn sample` will call the bundle.
        out: where to write; `checkpoints/NAME` by default. An old bundle there is replaced once the new one is complete.
        recipes: how its chains run, by kind of request: "class"; "plugged" for units, other networks and functions, whose
            gradients have sizes of their own; "caption" for its own captioner. As JSON; what a recipe leaves out has its default.
        papers: by kind too, the recipes that the named methods of the papers start from, in their form as Eq. 11.
        precisions: those below float32 in which samples were measured to be as good.
        licence: of the weights.
        source: who made them, from what.
        data: which pictures, which split.
        scores: measured figures with the script and the date.
    """
    out = out or Path("checkpoints") / name
    check_place(out)
    stored = {"recipes": whole_recipes(recipes), "papers": whole_recipes(papers)}  # first, as what follows takes minutes
    parts, classes, groups = networks_of(run)
    configs = {stage: run_config(run / stage) for stage in STAGES if (run / stage / "config.yaml").is_file()}
    data_set = ImageData(**configs["generator"]["data"])
    data_set.setup()
    pictures: Any = data_set.train_pictures
    codes = over_pictures(partial(codes_before_relu, parts["encoder"]), pictures)
    rectified = hasattr(parts["encoder"], "fc6_before_relu")
    if codes.ndim == 2:
        parts["start"] = RectifiedGaussian(RectifiedGaussianConfig(codes.shape[1])).fit(codes)
    stored["recipes"] = ({} if rectified else representation_recipes("noise_level" in parts)) | stored["recipes"]
    space = code_statistics(codes.relu() if rectified else codes, rectified)
    channels, height, width = pictures[0][0].shape
    return save_bundle(
        out, name=name, parts=parts, code=space, image=ImageSpec(height, width, channels),
        classes=classes, groups=groups, recipes=stored["recipes"], papers=stored["papers"], precisions=precisions,
        training={stage: without_paths(config) for stage, config in configs.items()},
        data={"name": data or data_set.hparams["name"], "train": len(pictures), "split": "train"},
        licence=licence, source=source,
        scores={stage: read_scores(run / stage / CHECKPOINT) for stage in configs} | (scores or {}),
    )  # fmt: skip


def networks_of(run: Path) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """The networks trained under `run` by their names in a bundle, the encoder's classes and their groups."""
    encoder, classes, groups = encoder_of(run)
    parts = {"encoder": encoder, "generator": read_network(run / "generator" / CHECKPOINT, "generator")}
    for stage, kind in KINDS.items():
        if (run / stage / CHECKPOINT).is_file():
            read = trained_noise_level if kind == "noise_level" else partial(read_network, part=kind)
            parts[stage] = read(run / stage / CHECKPOINT)
    return parts, classes, groups


def encoder_of(run: Path) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """The encoder, its classes and their groups: that under `run`/encoder where it makes the codes that the generator was trained
    on (its head may know other classes by now), else the generator's copy. ValueError where a classifier knows other classes."""
    trained, path = run / "generator" / CHECKPOINT, run / "encoder" / CHECKPOINT
    encoder, classes = read_network(trained, "encoder"), read_classes(trained)
    if path.is_file():
        found, known = (
            {key: value for key, value in network.state_dict().items() if key.split(".")[0] in CODE_LAYERS}
            for network in (read_network(path, "encoder"), encoder)
        )
        if found.keys() != known.keys() or not all(torch.equal(found[key], known[key]) for key in found):
            raise ValueError(
                f"{path} makes other codes than the generator was trained on: train the generator with it, or move it"
            )
        encoder, classes = read_network(path, "encoder"), read_classes(path)
    classifier = run / "classifier" / CHECKPOINT
    if classifier.is_file() and read_classes(classifier) != classes:
        raise ValueError(f"{classifier} knows other classes than the encoder: train one of them again on the same data")
    return encoder, *classes


def whole_recipes(recipes: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Recipes by kind of request with all their settings. ValueError naming the kind whose recipe is wrong."""
    made = {}
    for kind, stored in (recipes or {}).items():
        try:
            made[kind] = Recipe.from_json(stored).to_json()
        except ValueError as fault:
            raise ValueError(f"the recipe for {kind} cannot be: {fault}") from fault
    return made


def run_config(folder: Path) -> dict[str, Any]:
    """The configuration that LightningCLI left in a run folder. Raises ValueError where it is none."""
    file = folder / "config.yaml"
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        if not (isinstance(found, dict) and isinstance(found.get("data"), dict)):
            raise ValueError(f"no settings of data, but {str(found)[:60]!r}")
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as fault:
        raise ValueError(
            f"{file} cannot be read ({one_line(fault)}), expected the settings that its training left: copy it again"
        ) from fault
    return found


def code_statistics(codes: Tensor, rectified: bool = True) -> dict[str, Any]:
    """The field "code": mean and std of each unit over codes `[picture, *code]`, and how many pictures were measured.

    rectified: codes after a ReLU get the range [0, mean + 3 std] that DGN-AM clips to, and the share of units that are active;
    others have no bounds.
    """
    mean, std = codes.mean(0), codes.std(0)
    found = {"shape": list(codes.shape[1:]), "mean": rounded(mean), "std": rounded(std), "pictures": len(codes)}
    if not rectified:
        return found
    active = round(float((codes > 0).float().mean()), 4)
    return found | {"low": 0.0, "high": rounded(mean + 3 * std), "relu": True, "active": active}


def rounded(values: Tensor) -> Any:
    """The values as nested lists of numbers with four decimals."""
    return values.double().round(decimals=4).tolist()


def representation_recipes(has_noise_level: bool) -> dict[str, dict[str, Any]]:
    """Recipes of a generator on a published network's codes, by kind of request.

    With a noise-level model the probability flow from noise to a code, guided by the condition; else steps from the mean code
    under R(h) = E(G(h)).
    """
    usual: dict[str, Any] = {"bounds": {"name": "none"}, "measure": {"name": "log_softmax"}, "steps": 51}
    if has_noise_level:
        flow = {"name": "annealed", "levels": {"name": "spaced", "highest": 20.0, "lowest": 0.05}, "corrections": 0}
        usual |= {"sampler": flow, "prior": {"name": "noise_level"}, "start": {"name": "mean", "std": 0.0}}
    else:
        usual |= {"sampler": {"name": "adaptive", "prior_scale": 0.05, "step_size": 0.05}, "start": {"name": "mean"}}
    return whole_recipes({"class": usual, "plugged": usual})


def without_paths(config: Any) -> Any:
    """The configuration less what was left at nothing, and what only means something on the machine that trained."""
    private = {
        "root",
        "default_root_dir",
        "trunk_weights",
        "encoder_weights",
        "code_from",
        "encoder",
        "ckpt_path",
        "logger",
        "callbacks",
        "plugins",
    }
    if isinstance(config, dict):
        return {key: without_paths(value) for key, value in config.items() if key not in private and value is not None}
    if isinstance(config, list):
        return [without_paths(item) for item in config]
    return config
