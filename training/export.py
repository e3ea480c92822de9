"""Checkpoints -> a bundle: gathers the parts of a run, measures the codes of its pictures, writes `checkpoints/NAME/`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ppgn.bundle import save_bundle
from ppgn.networks import RectifiedGaussian, RectifiedGaussianConfig
from ppgn.recipes import Settings
from training.data import ImageData
from training.denoiser import over_pictures
from training.encoder import CODE_LAYERS
from training.files import read_checkpoint, read_network

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
"""first_encoder: the one that the code comes from, where the encoder was given new classes since (`--model.code_from`)."""
CHECKPOINT = Path("checkpoints") / "last.ckpt"


def export(
    run: Path,
    name: str,
    out: Path | None = None,
    settings: Settings = Settings(),
    plugged: dict[str, Any] | None = None,
    caption: dict[str, Any] | None = None,
    papers: dict[str, Any] | None = None,
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
        settings: how its chains run unless told otherwise.
        plugged: what is different for units, other networks and functions, whose gradients have sizes of their own.
        caption: what is different for captions of the bundle's own captioner.
        papers: what is different for the named methods of the papers, in their form as Eq. 11.
        precisions: those below float32 in which samples were measured to be as good.
        licence: of the weights.
        source: who made them, from what.
        data: which pictures, which split.
        scores: measured figures with the script and the date.
    """
    out = out or Path("checkpoints") / name
    generator_run = run / "generator"
    encoder, class_names = encoder_of(run)
    parts: dict[str, Any] = {"encoder": encoder, "generator": read_network(generator_run / CHECKPOINT, "generator")}
    for stage, kind in KINDS.items():
        if (run / stage / CHECKPOINT).is_file():
            parts[stage] = read_network(run / stage / CHECKPOINT, kind)
    configs = {stage: run_config(run / stage) for stage in STAGES if (run / stage / "config.yaml").is_file()}
    pictures = ImageData(**configs["generator"]["data"])
    pictures.setup()
    before_relu = fc6_before_relu(encoder, pictures.train_pictures)
    parts["start"] = RectifiedGaussian(RectifiedGaussianConfig(before_relu.shape[1])).fit(before_relu)
    hparams: Any = pictures.hparams
    save_bundle(
        out,
        name=name,
        parts=parts,
        code=code_statistics(before_relu.relu()),
        image={"size": hparams.image_size, "channels": hparams.channels},
        class_names=class_names,
        recipe={
            "name": "class",
            "settings": dataclasses.asdict(settings),
            "plugged": changed_settings(settings, plugged),
            "caption": changed_settings(settings, caption),
            "papers": changed_settings(settings, papers),
            "precisions": list(precisions),
        },
        training={stage: without_paths(config) for stage, config in configs.items()},
        data={"name": data or hparams.name, "train": len(pictures.train_pictures or []), "split": "train"},
        licence=licence,
        source=source,
        scores={**{stage: stage_scores(run / stage) for stage in configs}, **(scores or {})},
    )
    return out


def encoder_of(run: Path) -> tuple[Any, list[str]]:
    """The encoder and its classes: that under `run`/encoder where it makes the codes that the generator was trained on (its
    head may know other classes by now), else the generator's own copy. ValueError where a classifier knows other classes."""
    trained, path = run / "generator" / CHECKPOINT, run / "encoder" / CHECKPOINT
    encoder, class_names = read_network(trained, "encoder"), read_checkpoint(trained)["class_names"]
    if path.is_file():
        own, known = (
            {key: value for key, value in one.state_dict().items() if key.split(".")[0] in CODE_LAYERS}
            for one in (read_network(path, "encoder"), encoder)
        )
        if own.keys() != known.keys() or not all(torch.equal(own[key], known[key]) for key in own):
            raise ValueError(
                f"{path} makes other codes than the generator was trained on: train the generator with it, or move it"
            )
        encoder, class_names = read_network(path, "encoder"), read_checkpoint(path)["class_names"]
    classifier = run / "classifier" / CHECKPOINT
    if classifier.is_file() and read_checkpoint(classifier)["class_names"] != class_names:
        raise ValueError(f"{classifier} knows other classes than the encoder: train one of them again on the same data")
    return encoder, list(class_names)


def changed_settings(settings: Settings, changes: dict[str, Any] | None) -> dict[str, Any]:
    """The changes, once they are found to be settings; ValueError or TypeError where they are not."""
    changed = dataclasses.asdict(dataclasses.replace(settings, **(changes or {})))
    return {name: changed[name] for name in changes or {}}


def run_config(folder: Path) -> dict[str, Any]:
    """The configuration that LightningCLI left in a run folder."""
    return yaml.safe_load((folder / "config.yaml").read_text())


def stage_scores(folder: Path) -> dict[str, Any]:
    """What the stage's last validation logged, and how many updates were made."""
    content = read_checkpoint(folder / CHECKPOINT)
    return {**content["scores"], **({"updates": content["updates"]} if "updates" in content else {})}


def fc6_before_relu(encoder: Any, pictures: Any) -> Tensor:
    """fc6 of all pictures before its ReLU, `[picture, code]`."""
    return over_pictures(lambda images: encoder.fc6_before_relu(encoder.maps(images)[-1]), pictures)


def code_statistics(codes: Tensor) -> dict[str, Any]:
    """Per-unit mean, std and the range [0, mean + 3 std] that DGN-AM clips to, over codes `[picture, unit]`."""
    mean, std = codes.mean(0), codes.std(0)
    return {
        "shape": [codes.shape[1]],
        "mean": rounded(mean),
        "std": rounded(std),
        "low": 0.0,
        "high": rounded(mean + 3 * std),
        "active": round(float((codes > 0).float().mean()), 4),
        "pictures": len(codes),
    }


def rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in torch.as_tensor(values).tolist()]


def without_paths(config: Any) -> Any:
    """The configuration less what was left at nothing, and what only means something on the machine that trained."""
    private = {"root", "default_root_dir", "trunk_weights", "code_from", "encoder", "ckpt_path", "logger", "callbacks", "plugins"}
    if isinstance(config, dict):
        return {key: without_paths(value) for key, value in config.items() if key not in private and value is not None}
    return config
