"""Which recipe makes the better generator in equal time? Both train for the same seconds of a processor, then a judge looks.

    python benchmarks/recipes.py --root imagenette --encoder encoder.ckpt --judge squeezenet1_0.pth \\
        --labels imagenet1000_labels.tsv

The recipes are training/configs/imagenette64_generator.yaml (today's default) and imagenette64_balanced_generator.yaml, with the
same encoder, pictures and seed, one after the other, one thread each. `--set NAME=SETTING` adds a setting to one of them, as the
training script takes it: `--set balanced:--data.batch_size=16`. Seconds are those of the process, which other work on the machine
disturbs little; making the cache of codes counts. Today's rates halve after 0.71 and 0.85 of its updates, as in the long run
(`--updates`: how many the time allows). Reconstructions of validation pictures are judged as in heldout.py by SqueezeNet 1.0,
which took no part. A recipe whose checkpoint stands in `--out` is not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from heldout import Judge, diversity, judge_indices, real_pictures
from lightning.pytorch.callbacks import Timer
from torch import Tensor
from tqdm import tqdm

from ppgn import images
from training import GeneratorSystem, ImageData, TrainingCLI, read_checkpoint, read_network

CONFIGS = Path(__file__).parents[1] / "training" / "configs"
RECIPES = {"today": "imagenette64_generator.yaml", "balanced": "imagenette64_balanced_generator.yaml"}
HALVES = (0.71, 0.85)
"""Shares of imagenette64_generator.yaml's updates at which its rate halves."""


class ProcessorTimer(Timer):
    """Stops the training after so many seconds of this process, counted from its making, so that the cache's time counts too."""

    def __init__(self, seconds: float) -> None:
        super().__init__(timedelta(seconds=seconds))
        self.seconds, self.begun = seconds, time.process_time()

    def time_elapsed(self, stage: Any = None) -> float:
        return time.process_time() - self.begun

    def time_remaining(self, stage: Any = None) -> float:
        return max(0.0, self.seconds - self.time_elapsed())


def settings_of(name: str, given: argparse.Namespace) -> list[str]:
    """The arguments of the training script."""
    arguments = ["--config", str(CONFIGS / RECIPES[name]), "--trainer.default_root_dir", str(given.out / name)]
    arguments += ["--data.name", "folder", "--data.root", str(given.root), "--model.encoder", str(given.encoder)]
    arguments += ["--trainer.max_epochs", "-1", "--trainer.limit_val_batches", "0", "--trainer.accelerator", "cpu"]
    arguments += ["--trainer.enable_progress_bar", "false"]
    if name == "today":
        arguments += ["--model.optimisation.milestones", str([round(share * given.updates) for share in HALVES])]
    return arguments + [setting for owner, _, setting in (one.partition(":") for one in given.set) if owner == name]


def trained(name: str, given: argparse.Namespace) -> Path:
    """The checkpoint of a recipe, which is trained now unless it is there."""
    path = given.out / name / "checkpoints" / "last.ckpt"
    if not path.is_file():
        cli = TrainingCLI(GeneratorSystem, ImageData, args=settings_of(name, given), run=False, save_config_callback=None)
        cli.trainer.callbacks.insert(0, ProcessorTimer(60 * given.minutes))  # type: ignore[attr-defined]
        cli.trainer.fit(cli.model, cli.datamodule)
    return path


@torch.no_grad()
def reconstructions(path: Path, pictures: Tensor) -> Tensor:
    """What the generator of a checkpoint makes of the codes of pictures `[picture, channel, height, width]`."""
    encoder, generator = read_network(path, "encoder"), read_network(path, "generator")
    return torch.cat([generator(encoder(batch)).clamp(0, 1) for batch in tqdm(pictures.split(50), leave=False)])


@torch.no_grad()
def scores(judge: Judge, made: Tensor, real: Tensor, classes: Tensor) -> dict[str, float]:
    """Accuracy and diversity by the judge; distances of pictures from the real ones in pixels and in the judge's features."""
    logits, features = (torch.cat(part) for part in zip(*(judge(batch) for batch in made.split(50)), strict=True))
    wanted = torch.cat([judge(batch)[1] for batch in real.split(50)])
    similar = torch.nn.functional.cosine_similarity(features, wanted)
    return {
        "accuracy": float((logits.argmax(1) == classes).float().mean()),
        "diversity": diversity(features, classes),
        "L1": float((made - real).abs().mean()),
        "feature distance": float(1 - similar.mean()),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--root", type=Path, required=True, help="folder of train/ and val/ with a folder for each class")
    options.add_argument("--encoder", type=Path, required=True, help="checkpoint of scripts/train_encoder.py")
    options.add_argument("--judge", type=Path, required=True, help="SqueezeNet 1.0 weights, torchvision's keys")
    options.add_argument("--labels", type=Path, required=True, help="index, wnid and name of the judge's 1000 classes")
    options.add_argument("--out", type=Path, default=Path("runs/recipes"))
    options.add_argument("--minutes", type=float, default=12.0, help="of the processor, for each recipe (default: 12)")
    options.add_argument("--updates", type=int, default=1150, help="that today's recipe makes in this time (default: 1150)")
    options.add_argument("--count", type=int, default=40, help="validation pictures of each class (default: 40)")
    options.add_argument("--set", action="append", default=[], help="RECIPE:SETTING=VALUE of the training script")
    options.add_argument("--only", choices=RECIPES, help="train this one and judge nothing")
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.only:
        print(trained(given.only, given))
        return
    paths = {name: trained(name, given) for name in RECIPES}
    names = read_checkpoint(given.encoder)["class_names"]
    judge = Judge(given.judge, judge_indices(given.labels, names))
    size = read_network(paths["today"], "generator").config.image_size
    real, classes = real_pictures(given.root / "val", names, given.count, size)
    table, sheet = {"real": {"updates": 0, **scores(judge, real, real, classes)}}, [real]
    for name, path in paths.items():
        made = reconstructions(path, real)
        table[name] = {"updates": read_checkpoint(path)["updates"], **scores(judge, made, real, classes)}
        sheet.append(made)
    shown = torch.stack(sheet, 1)[:: given.count // 4 or 1].flatten(0, 1)
    images.save_image(images.grid(shown, columns=4 * len(sheet), scale=1), given.out / "recipes.png")
    (given.out / "recipes.json").write_text(json.dumps(table, indent=1))
    columns = list(table["real"])
    print(f"| {len(real)} pictures | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for name, row in table.items():
        print(f"| {name} | {' | '.join(f'{row[column]:.4g}' for column in columns)} |")


if __name__ == "__main__":
    main()
