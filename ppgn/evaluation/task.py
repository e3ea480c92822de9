"""An evaluation that is checked and ready to run: judge, classes and folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ppgn import loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.errors import check_chains
from ppgn.evaluation.folders import ClassFolder, class_folder
from ppgn.evaluation.inception import inception_network
from ppgn.evaluation.judge import Judge
from ppgn.evaluation.judges import build_judge
from ppgn.evaluation.options import EvaluationOptions, JudgeSource, samples_per_class
from ppgn.images import class_folders, table_of
from ppgn.requests import Plugged, Request


@dataclass(frozen=True, eq=False)
class Task:
    """An evaluation that is ready to run.

    names: of all classes that the judge chooses among, a group of the bundle's or those of the plugged-in network. classes: the
    evaluated ones, indices into names. request: of chains for classes, indices into names. real, train, samples: folders of
    pictures. recipe: of the chains, which run where there is no folder of samples. inception: None where it is left out.
    """

    bundle: Bundle
    options: EvaluationOptions
    judge: Judge
    names: tuple[str, ...]
    classes: tuple[int, ...]
    request: Callable[[Sequence[int]], Request]
    real: ClassFolder
    train: ClassFolder | None
    samples: ClassFolder | None
    recipe: recipes.Recipe
    inception: Any

    @property
    def count(self) -> int:
        """Samples of each class."""
        return self.options.count or samples_per_class(len(self.classes))


def prepare(bundle: Bundle | str | Path, real: str | Path, options: EvaluationOptions | None = None) -> Task:
    """Checks all that can fail before anything is sampled or judged, and loads the judge.

    Arguments as `evaluate`. Raises ValueError for settings, classes, folders or a judge that are not there or do not fit.
    """
    bundle, options = loaders.bundle(bundle), options or EvaluationOptions()
    if options.network is None:
        kind, groups = "class", bundle.groups
        group, classes = choose_classes(bundle, options.classes)
        names = bundle.classes[group.start : group.stop]
        judge, columns, request = options.judge, group, _of_group(bundle, group)
    else:
        kind, groups, group, columns = "plugged", (), None, None
        names, classes, request = _of_network(bundle, options.network, options.classes, real)
        judge = options.judge if options.judge.held_out else _judged_by(options.network)
    recipe = recipes.recipe_for(bundle, kind, options.recipe, **options.changes)
    if options.samples is None:
        check_chains(options.count or samples_per_class(len(classes)), len(classes))
    built = build_judge(judge, bundle, names, groups, columns)

    def folder(root: str | Path, count: int, half: str | None) -> ClassFolder:
        listed = None if half is None or group is None else _listed(bundle, Path(root), group, half)
        return class_folder(root, names, classes, count, bundle.image, listed, groups)

    pictures = folder(real, options.real_count, "held_out")
    if min(pictures.classes.count(index) for index in classes) < 2:
        raise ValueError(
            f"{real} gives one picture of some class, expected at least 2 of each, to compare halves: add pictures, or take more "
            f"of those that are there"
        )
    train = None if options.train is None else folder(options.train, options.train_count, "training")
    samples = None if options.samples is None else folder(options.samples, options.count or 0, None)
    inception = inception_network().to(bundle.device) if options.inception else None
    options = replace(options, judge=judge)
    return Task(bundle, options, built, names, classes, request, pictures, train, samples, recipe, inception)


def _of_group(bundle: Bundle, group: range) -> Callable[[Sequence[int]], Request]:
    """The request for classes of a group of the bundle's."""
    return lambda indices: requests.classes(bundle, [group[index] for index in indices])


def _of_network(
    bundle: Bundle, plugged: Plugged, wanted: str | int | Sequence[str | int], real: str | Path
) -> tuple[tuple[str, ...], tuple[int, ...], Callable[[Sequence[int]], Request]]:
    """(names of a network's classes, those wanted as indices into them, the request for such indices).

    wanted: "all" are the classes that have a folder in `real`. Raises ValueError as `requests.network_classes`.
    """
    every = wanted == "all" or list(wanted if isinstance(wanted, Sequence) else []) == ["all"]
    listed = [wanted] if isinstance(wanted, str | int) else list(wanted)
    asked = [folder.name for folder in class_folders(Path(real))] if every and Path(real).is_dir() else [*map(str, listed)]
    chosen = requests.network_classes(bundle, plugged, asked)
    place = {target: number for number, target in enumerate(chosen.targets)}

    def request(indices: Sequence[int]) -> Request:
        return chosen.select([place[index] for index in indices])

    return chosen.classes, chosen.targets, request


def _judged_by(plugged: Plugged) -> JudgeSource:
    """The plugged-in network as its own judge."""
    return JudgeSource(plugged.name, plugged.weights, plugged.size, plugged.mean, plugged.std, plugged.bgr)


def choose_classes(bundle: Bundle, wanted: str | int | Sequence[str | int]) -> tuple[range, tuple[int, ...]]:
    """The indices of a group of the bundle's classes, and those wanted, as indices into the group.

    wanted: names, unique parts of names, indices into the bundle's classes, "all" for the first group, or "GROUP:all". Raises
    ValueError for a bundle without classes, an unknown class, no class, and classes of several groups.
    """
    if not bundle.classes:
        raise ValueError(
            f"{bundle.name} has no classes, expected some: an evaluation compares samples of a class with real pictures of it; "
            f"name a network that has classes, or write "
            f"the report of a sample for curves and pictures"
        )
    wanted = [wanted] if isinstance(wanted, str | int) else list(wanted)
    targets = requests.listed_classes(bundle, wanted).targets
    groups = [range(*span) for span in bundle.class_groups.values()]
    group = next((span for span in groups if targets and targets[0] in span), None)
    indices = [target for target in targets if isinstance(target, int) and group is not None and target in group]
    if group is None or len(indices) < len(targets):
        raise ValueError(
            f"an evaluation of {bundle.name} got the classes {wanted}, expected classes of a single group: evaluate each "
            f"group by itself"
        )
    return group, tuple(index - group.start for index in indices)


def _listed(bundle: Bundle, root: Path, group: range, half: str) -> dict[str, list[Path]] | None:
    """The files of each class of a group in one half ("held_out", "training") of the table that the bundle was trained on.

    None where `root` does not hold that table.
    """
    table = table_of(bundle.info.get("training", {}), bundle.classes, root)
    if table is None:
        return None
    files: dict[str, list[Path]] = {bundle.classes[index]: [] for index in group}
    for path, label in getattr(table, half):
        files[next(bundle.classes[index] for index in label if index in group)].append(Path(path))
    return files
