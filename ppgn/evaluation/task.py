"""An evaluation that is checked and ready to run: judge, classes and folders."""

from __future__ import annotations

from collections.abc import Sequence
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
from ppgn.requests import same_name


@dataclass(frozen=True, eq=False)
class Task:
    """An evaluation that is ready to run.

    group: the indices of a group of the bundle's classes, or of the request's where a network's classes are asked for; the judge
    chooses among them. names: of all classes of the group. asked: the request of the network, a target for each class.
    classes: the evaluated ones, indices into names. real, train, samples: folders of pictures. recipe: of the chains, which run
    where there is no folder of samples. inception: None where it is left out.
    """

    bundle: Bundle
    options: EvaluationOptions
    judge: Judge
    group: range
    names: tuple[str, ...]
    classes: tuple[int, ...]
    real: ClassFolder
    train: ClassFolder | None
    samples: ClassFolder | None
    recipe: recipes.Recipe
    inception: Any
    asked: requests.NetworkClassRequest | None = None

    def request(self, classes: Sequence[int]) -> requests.Request:
        """What chains are asked for, by indices into `names`."""
        if self.asked is not None:
            return self.asked.select(classes)
        return requests.classes(self.bundle, [self.group[index] for index in classes])

    @property
    def count(self) -> int:
        """Samples of each class."""
        return self.options.count or samples_per_class(len(self.classes))


def prepare(bundle: Bundle | str | Path, real: str | Path, options: EvaluationOptions | None = None) -> Task:
    """Checks all that can fail before anything is sampled or judged, and loads the judge.

    Arguments as `evaluate`. Raises ValueError for settings, classes, folders or a judge that are not there or do not fit.
    """
    bundle, options = loaders.bundle(bundle), options or EvaluationOptions()
    recipe = recipes.recipe_for(bundle, name=options.recipe, **options.changes)
    asked = None if options.network is None else classes_of_network(bundle, options.network, options.classes, real)
    if asked is None:
        group, classes = choose_classes(bundle, options.classes)
        names = bundle.classes[group.start : group.stop]
    else:
        names, group = asked.names, range(len(asked))
        classes = tuple(group)
    if options.samples is None:
        check_chains(options.count or samples_per_class(len(classes)), len(classes))
    source = options.judge if options.network is None or asked is None else judge_of(options.judge, options.network, asked)
    options = replace(options, judge=source)
    judge = build_judge(source, bundle, group, names)

    def folder(root: str | Path, count: int, half: str | None) -> ClassFolder:
        listed = None if half is None or asked is not None else _listed(bundle, Path(root), group, half)
        return class_folder(root, names, classes, count, bundle.image, listed, bundle.groups if asked is None else ())

    pictures = folder(real, options.real_count, "held_out")
    if min(pictures.classes.count(index) for index in classes) < 2:
        raise ValueError(
            f"{real} gives one picture of some class, expected at least 2 of each, to compare halves: add pictures, or take more "
            f"of those that are there"
        )
    train = None if options.train is None else folder(options.train, options.train_count, "training")
    samples = None if options.samples is None else folder(options.samples, options.count or 0, None)
    inception = inception_network().to(bundle.device) if options.inception else None
    return Task(bundle, options, judge, group, names, classes, pictures, train, samples, recipe, inception, asked)


def choose_classes(bundle: Bundle, wanted: str | int | Sequence[str | int]) -> tuple[range, tuple[int, ...]]:
    """The indices of a group of the bundle's classes, and those wanted, as indices into the group.

    wanted: names, unique parts of names, indices into the bundle's classes, "all" for the first group, or "GROUP:all". Raises
    ValueError for a bundle without classes, an unknown class, no class, and classes of several groups.
    """
    if not bundle.classes:
        raise ValueError(
            f"{bundle.name} has no classes, expected some: an evaluation compares samples of a class with real pictures of it; "
            f"name a network whose classes to ask for, or write the report of a sample for curves and pictures of other requests"
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


def classes_of_network(
    bundle: Bundle, network: requests.Plugged, wanted: str | int | Sequence[str | int], real: str | Path
) -> requests.NetworkClassRequest:
    """The request of a network's classes, each once: those wanted, or for "all" those that have a folder in `real`.

    Raises ValueError for an unknown network or class, and for "all" where no folder has the name of a class.
    """
    names = [str(one) for one in ([wanted] if isinstance(wanted, str | int) else wanted)]
    if names == ["all"]:
        known = loaders.class_names(network.name, bundle)
        folders = [folder.name for folder in class_folders(Path(real))]
        names = [folder for folder in folders if len(same_name(known, folder)) == 1]
        if not names:
            raise ValueError(
                f"none of the {len(folders)} folders in {real} has the name of a class of {network.name}, expected some: rename "
                f"them, or say which classes to evaluate"
            )
    return requests.network_classes(bundle, network, names)


def judge_of(judge: JudgeSource, network: requests.Plugged, asked: requests.NetworkClassRequest) -> JudgeSource:
    """The judge that was given, or the network whose classes are asked for where that is the bundle's classifier."""
    if judge.held_out:
        return judge
    described = {name: getattr(network, name) for name in ("weights", "size", "mean", "std", "bgr")}
    return JudgeSource(network.name, classes=asked.classes, layer=judge.layer, **described)


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
