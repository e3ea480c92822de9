"""Splits of a folder of pictures, whatever they are called: `train` and `val`, `Training` and `Test`, ..."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from ppgn.images import class_folders, picture_files
from ppgn.requests import composed

TRAINING = ("train", "training")
VALIDATION = ("val", "validation", "valid", "dev", "eval", "test")
"""Names of the pictures to compare with, in any case; where a folder has several, the first of these is taken."""


def split_of(root: Path) -> tuple[Path, Path | None]:
    """(folder with the classes to train on, folder with the held-out ones); (`root`, None) where `root` holds the classes itself.

    A folder of such a name is a class where it stands among classes of other names. Raises ValueError for splits that lack
    training pictures, or that stand beside class folders.
    """
    folders = class_folders(root)
    training, validation = (
        sorted((one for one in folders if _name(one) in names), key=lambda one: names.index(_name(one)))
        for names in (TRAINING, VALIDATION)
    )
    others = [one for one in folders if one not in (*training, *validation)]
    halves = [one for one in (*training, *validation) if class_folders(one) and not any(map(_is_picture, one.iterdir()))]
    whole = [one for one in training if one in halves] or ([] if others else training)
    if not whole:
        if others or not validation:
            _check_classes(root, halves, others)
            return root, None
        raise ValueError(
            f"{root} has the splits {_listed(validation)} and none to train on, expected {root}/train/<class>/: add it, or move "
            f"the classes of one into {root}"
        )
    if len(whole) > 1:
        raise ValueError(f"{root} has {_listed(whole)}, expected one folder of training pictures: merge or rename them")
    held_out = [one for one in validation if one in halves] or validation
    if not held_out and (beside := [one for one in others if picture_files(one, IMG_EXTENSIONS)]):
        raise ValueError(
            f"{root} has the class folders {whole[0].name}/{class_folders(whole[0])[0].name} and {beside[0].name}, expected all "
            f"in one place: move them into {root}, or take {beside[0].name} away"
        )
    same = [one for one in held_out if _name(one) == _name(held_out[0])]
    if len(same) > 1:
        raise ValueError(f"{root} has {_listed(same)}, expected one folder of held-out pictures: merge or rename them")
    return whole[0], same[0] if same else None


def _check_classes(root: Path, halves: list[Path], classes: list[Path]) -> None:
    """Raises ValueError for a half of a split whose classes stand beside it."""
    for half in halves:
        if twice := {_name(one) for one in classes} & {_name(one) for one in class_folders(half)}:
            raise ValueError(
                f"{root} has the class {min(twice)} itself and in {half.name}, expected {root}/train/<class>/ beside "
                f"{half.name}/<class>/: move the classes to train on into {root}/train"
            )


def _name(folder: Path) -> str:
    return composed(folder.name).casefold()


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMG_EXTENSIONS and not path.name.startswith(".")


def _listed(folders: list[Path]) -> str:
    return " and ".join(one.name for one in folders)
