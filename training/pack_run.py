"""Data packs -> head and generator within a limit of seconds: what an accelerator of a few minutes is used for."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import images
from ppgn.networks import Fc6EncoderConfig, ModulatedGeneratorConfig
from training.encoder import build_encoder
from training.head import Pool5Keeper, train_head
from training.labels import Groups, accuracies
from training.packs import decode, open_packs
from training.side_by_side import Draws, draw_weights
from training.trunks import LITE0, trunk_settings
from training.weight_files import fill, load_weights, save_weights

BATCH = 256
"""Pictures in a pass without gradients."""
SHOWN_PAIRS = 32
"""Validation pictures beside their reconstructions in grid.jpg."""
SEEN = 160
"""Side of the pictures that the trunk sees, whatever the size of those that the generator makes."""
HEAD = ("reduce", "fc6", "fc7", "fc8")
"""The modules of Fc6Encoder that are trained here."""


@dataclass(frozen=True)
class PackSettings:
    """Of a run on packs.

    seconds: limit of the whole run, from its start; reserve: of them kept for writing and judging at the end. updates: at most so
    many in a run; 0: as many as the time allows. batch: pictures an
    update. learning_rate: the generator's; ema: decay of the moving average of its weights an update. head_epochs: over pictures
    and mirrors. limit: pictures that are read; 0: all. draws: see ImageData. processes: that decode; 0: one for each core.
    device: "cuda", "cpu"; "auto" takes what is there. eager: no captured update. stride: updates between two looks at the clock.
    report_seconds: between two lines of the log, after each of which the weights that are finite are kept. state_seconds: between
    two writings of state.pt.
    """

    seconds: float = 560.0
    reserve: float = 15.0
    updates: int = 0
    batch: int = 64
    learning_rate: float = 5e-4
    ema: float = 0.9993
    head_epochs: float = 12.0
    limit: int = 0
    draws: Draws = "pictures"
    processes: int = 0
    device: str = "auto"
    eager: bool = False
    stride: int = 4
    report_seconds: float = 10.0
    state_seconds: float = 180.0


class Run:
    """Clock, log, device and precision of a run."""

    def __init__(self, settings: PackSettings, out: Path) -> None:
        self.settings, self.out, self.begun = settings, out, time.monotonic()
        out.mkdir(parents=True, exist_ok=True)
        chosen = settings.device
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if chosen == "auto" else chosen)
        self.precision: Callable[[], AbstractContextManager[Any]] = partial(
            torch.autocast, self.device.type, torch.bfloat16, cache_enabled=False
        )  # a cache of cast weights would go stale inside an update, and cannot be captured
        self.quick = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        (out / "log.jsonl").write_text("")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def report(self, **values: Any) -> None:
        """A line of JSON, printed and written to log.jsonl."""
        rounded = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()}
        line = json.dumps({"seconds": round(self.elapsed, 1), **rounded})
        print(line, flush=True)
        with (self.out / "log.jsonl").open("a") as file:
            file.write(line + "\n")


@dataclass(frozen=True)
class PackedPictures:
    """What training reads, on the device: uint8 pictures, labels `[picture, group]`, codes of pictures and of their mirrors.

    likely: how likely each picture is drawn, summed up. validation_pool5: `[picture, channel, height, width]`. codes:
    `[2, picture, code]`.
    """

    pictures: Tensor
    labels: Tensor
    likely: Tensor
    validation: Tensor
    validation_labels: Tensor
    validation_pool5: Tensor
    groups: Groups
    codes: Tensor


def encoder_for(classes: int, code_size: int, trunk: Path | None, run: Run) -> Any:
    """natural128's encoder: EfficientNet-Lite0 at SEEN px, its maps at strides 4, 8, 16 and 32, under a new head."""
    config = Fc6EncoderConfig(classes=classes, trunk=LITE0, input_size=SEEN, code_size=code_size, **trunk_settings(LITE0))
    encoder: Any = build_encoder(config, trunk)
    encoder = encoder.to(run.device, memory_format=torch.channels_last)
    encoder.trunk.to(run.quick)
    return encoder.eval()


def seen(pictures: Tensor) -> Tensor:
    """uint8 pictures as the networks take them."""
    return (pictures.float() / 255).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def pool5_of(encoder: Any, pictures: Tensor, run: Run, mirrored: bool = False) -> Tensor:
    """pool5 `[picture, channel, height, width]` of uint8 pictures, or of their mirrors."""
    parts = []
    for some in pictures.split(BATCH):
        with run.precision():
            parts.append(encoder.maps(seen(some.flip(-1) if mirrored else some))[-1].to(run.quick))
    return torch.cat(parts)


@torch.no_grad()
def codes_of(encoder: Any, pool5: Tensor) -> Tensor:
    return torch.cat([encoder.code_from_pool5(some.float()) for some in pool5.split(2048)])


def prepare(
    packs: Path, trunk: Path | None, resume: Path | None, network: ModulatedGeneratorConfig, run: Run
) -> tuple[Any, PackedPictures]:
    """The encoder, whose head is read from `resume` or trained now, and the pictures with their codes."""
    settings, code_size = run.settings, network.code_size
    content = {split: open_packs(packs, split).first(settings.limit) for split in ("train", "val")}
    processes = settings.processes or os.cpu_count() or 1
    decoded = {split: decode(packed, network.image_size, processes).to(run.device) for split, packed in content.items()}
    labels = {split: packed.group_labels().to(run.device) for split, packed in content.items()}
    groups = content["train"].class_groups
    run.report(event="pictures", **{split: len(pictures) for split, pictures in decoded.items()})
    encoder = encoder_for(len(content["train"].class_names), code_size, trunk, run)
    variants = [pool5_of(encoder, decoded["train"], run, mirrored) for mirrored in (False, True)]
    held_out = pool5_of(encoder, decoded["val"], run)
    run.report(event="features")
    handed = load_weights(resume, "head") if resume else {}
    if handed:
        fill(encoder, {**encoder.state_dict(), **handed}, resume)  # type: ignore[arg-type]
    else:
        keeper = Pool5Keeper(code_size, variants[0][0].numel()).to(run.device)
        losses = train_head(encoder, keeper, variants, labels["train"], groups, run.precision, settings.head_epochs)
        with torch.no_grad():
            losses["validation_pool5_lost"] = float(keeper(codes_of(encoder, held_out), held_out))
        run.report(event="head", **losses, **own_accuracies(encoder, held_out, labels["val"], groups))
    encoder.requires_grad_(False)
    save_weights({key: value for key, value in encoder.state_dict().items() if key.split(".")[0] in HEAD}, run.out, "head")
    (run.out / "classes.json").write_text((packs / "classes.json").read_text())
    likely = draw_weights(settings.draws, content["train"].group_labels(), content["train"].labels[:, 2])
    codes = torch.stack([codes_of(encoder, variant) for variant in variants])
    return encoder, PackedPictures(
        decoded["train"], labels["train"], likely.double().cumsum(0).to(run.device), decoded["val"], labels["val"],
        held_out, groups, codes,
    )  # fmt: skip


@torch.no_grad()
def own_accuracies(encoder: Any, pool5: Tensor, labels: Tensor, groups: Groups) -> dict[str, float]:
    """How often the head sees the right class of a group."""
    logits = encoder.logits_from_code(codes_of(encoder, pool5))
    return {f"right_{group}": float(share) for group, share in accuracies(logits, labels, groups).items()}


def draw(data: PackedPictures, count: int) -> tuple[Tensor, Tensor]:
    """(pictures, codes) of a batch; each is mirrored with probability one half. Nothing is read back from the device."""
    device = data.likely.device
    chosen = torch.searchsorted(data.likely, torch.rand(count, device=device, dtype=torch.float64))
    chosen = chosen.clamp_max(len(data.likely) - 1)
    mirrored = torch.rand(count, device=device) < 0.5
    pictures = seen(data.pictures[chosen])
    pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
    return pictures.contiguous(memory_format=torch.channels_last), data.codes[mirrored.long(), chosen]


@torch.no_grad()
def judge(encoder: Any, generator: Any, data: PackedPictures, run: Run, most: int = 1024) -> dict[str, float]:
    """How often the head sees the right class in reconstructions of validation pictures, as many as the time left allows.

    The first ones stand beside their pictures in grid.jpg.
    """
    begun, pool5 = run.elapsed, []
    for some in data.validation_pool5[:most].split(SHOWN_PAIRS):
        made = generator(codes_of(encoder, some)).clamp(0, 1)
        if not pool5:
            beside = torch.stack([seen(data.validation[: len(made)]), made], 1).flatten(0, 1)
            images.save_image(images.grid(beside.float().cpu(), columns=8, scale=1), run.out / "grid.jpg")
        pool5.append(pool5_of(encoder, (made * 255).round().to(torch.uint8), run))
        each = (run.elapsed - begun) / len(pool5)
        if run.elapsed + each > run.settings.seconds:
            break
    judged = torch.cat(pool5)
    right = own_accuracies(encoder, judged, data.validation_labels[: len(judged)], data.groups)
    return {"judged": len(judged), **right}
