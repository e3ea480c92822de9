"""A judge from its description: the network, the outputs that stand for the bundle's classes, and the layer of the features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ppgn import loaders
from ppgn.bundle import Bundle
from ppgn.errors import one_line
from ppgn.evaluation.judge import Judge, class_columns, feature_layer
from ppgn.evaluation.options import JudgeSource
from ppgn.probe import Preprocessed


def build_judge(
    source: JudgeSource, bundle: Bundle, names: Sequence[str], groups: Sequence[str] = (), own: range | None = None
) -> Judge:
    """The judge of classes by names, tried on a black picture. groups: of the names, as `Bundle.groups`. own: the indices of
    these classes in the bundle's, for a judge that is the bundle's classifier.

    Raises ValueError for a network that cannot be loaded or fails on a picture of the bundle, for classes that it does not have,
    and for a layer that is not there.
    """
    network = _network(source, bundle)
    channels = loaders.input_channels(network.network, bundle.image.channels)
    outputs = _output_count(network, source.name, channels, bundle)
    layer = source.layer or _default_layer(network, source, channels, outputs, bundle)
    return Judge(network, _columns(source, bundle, names, groups, own, outputs), layer, channels)


def _network(source: JudgeSource, bundle: Bundle) -> Preprocessed:
    network = source.network or loaders.network(source.name, **source.adapter, bundle=bundle)
    network.network.to(bundle.device)
    return network


def _output_count(network: Preprocessed, name: str, channels: int, bundle: Bundle) -> int:
    """The number of class scores that the network gives for a black picture."""
    try:
        with torch.no_grad():
            return network(torch.zeros(1, channels, *bundle.image.size, device=bundle.device)).shape[-1]
    except (RuntimeError, TypeError, AttributeError, IndexError) as fault:
        raise ValueError(
            f"the judge {name} failed on a picture of {bundle.name} ({one_line(fault)}), expected class scores: check the size, "
            f"mean and std of its input"
        ) from fault


def _default_layer(network: Preprocessed, source: JudgeSource, channels: int, outputs: int, bundle: Bundle) -> str:
    trunk = None if source.held_out else dict(network.network.named_children()).get("trunk")
    if trunk is not None:
        return f"trunk.{[name for name, _ in trunk.named_children()][-1]}"  # pool5, as in benchmarks/heldout.py
    return feature_layer(network, bundle.image.size, channels, outputs)


def _columns(
    source: JudgeSource, bundle: Bundle, wanted: Sequence[str], groups: Sequence[str], own: range | None, outputs: int
) -> list[int]:
    """The outputs of the judge that stand for the classes."""
    if own is not None and not source.held_out:
        return list(own)
    listed = listed_names(source, bundle)
    if len(listed) == outputs:
        return class_columns(listed, wanted, source.name, groups)
    if outputs == len(wanted) and not listed:
        return list(range(outputs))
    raise ValueError(
        f"the judge {source.name} has {outputs} classes, got {len(listed)} names of them: list all its classes in their order, "
        f"or name a file that does, one a line"
    )


def listed_names(source: JudgeSource, bundle: Bundle) -> list[str]:
    """The names of all classes of a judge, given with it or by its library; [] where nobody names them."""
    listed = read_class_names(source.classes) if isinstance(source.classes, Path) else list(source.classes)
    return listed or ([] if source.network is not None else list(loaders.class_names(source.name, bundle)))


def read_class_names(file: Path) -> list[str]:
    """The class names in a file: one a line; or lines of index, ..., name with tabs, in any order, under an optional heading.

    Raises ValueError for a file that cannot be read as text.
    """
    if not file.is_file():
        raise ValueError(
            f"there is no file {file} of a judge's class names: correct the path, or list the names of all its classes"
        )
    try:
        rows = [line.split("\t") for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as fault:
        raise ValueError(
            f"cannot read the class names in {file} ({one_line(fault)}), expected text with one name a line: check the file"
        ) from fault
    if all(len(row) == 1 for row in rows):
        return [row[0] for row in rows]
    return [row[-1] for row in sorted((row for row in rows if row[0].isdecimal()), key=lambda row: int(row[0]))]
