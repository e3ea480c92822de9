"""A checkpoint folder -> networks in memory: hashes are compared first, weights are safetensors and never unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ppgn import networks
from ppgn.acceleration import device_of, folded, to_channels_last
from ppgn.bundle.bundle import Bundle
from ppgn.bundle.description import FILE, SPACE, code_space, image_spec
from ppgn.bundle.find import find
from ppgn.bundle.fit import check_fit
from ppgn.bundle.migrate import read_info
from ppgn.bundle.references import fetched, sha256
from ppgn.errors import BundleError, one_line


@torch.inference_mode(False)
def load_bundle(name_or_path: str | Path, device: torch.device | str = "cpu", fold: bool = True) -> Bundle:
    """The bundle of that name, folder, or hf://owner/name: networks frozen, in evaluation mode, float32.

    Hashes are compared before a tensor is read; networks are built without memory, then filled. fold: their BatchNorms are put
    into their convolutions and their maps are channels last in memory (`ppgn.acceleration`): the same functions but for
    rounding, in less time. Without it they are as they were trained, and can be saved again. Raises BundleError where anything
    is wrong with the bundle, and ValueError for a device that is not there.
    """
    device, folder = device_of(device), find(name_or_path)
    info = read_info(folder)
    parts = {part: _load_part(folder, part, entry) for part, entry in info["parts"].items()}
    code, image, classes = code_space(info["code"]), image_spec(info["image"]), tuple(info["classes"])
    try:
        check_fit(parts, code, image, classes)
    except ValueError as fault:
        raise BundleError(f"{folder / FILE} {fault}") from fault
    if fold:
        kept = {part: getattr(network, "probed", ()) for part, network in parts.items()}
        parts = {part: to_channels_last(folded(network, layers=kept[part])) for part, network in parts.items()}
    about = {name: info[name] for name in ("training", "data", "licence", "source", "scores", "parts")}
    facts = {name: value for name, value in info["code"].items() if name not in SPACE}
    return Bundle(
        name=info["name"],
        parts=parts,
        code=code,
        image=image,
        classes=classes,
        recipes=info["recipes"],
        papers=info["papers"],
        precisions=tuple(info["precisions"]),
        alternatives=info["alternatives"],
        groups=tuple(info["groups"]),
        info={**about, "facts": facts},
        folder=folder,
    ).to(device)


def _load_part(folder: Path, part: str, entry: Any) -> nn.Module:
    if isinstance(entry, dict) and "reference" in entry:
        return _referred(folder, part, entry)
    if not isinstance(entry, dict) or {"architecture", "config", "file", "sha256"} - set(entry):
        raise BundleError(f"{folder / FILE} does not describe its part {part}: export the bundle again")
    state = _weights(folder, part, entry)
    file = folder / str(entry["file"])
    try:
        with torch.device("meta"):
            network = networks.build(entry["architecture"], entry["config"])
        _check_kinds(network, state)
        network.load_state_dict({key: _full(value) for key, value in state.items()}, strict=True, assign=True)
    except Exception as fault:  # an architecture can raise anything at a configuration that is wrong
        raise _does_not_fit(file, fault) from fault
    unfilled = [key for key, value in (*network.named_parameters(), *network.named_buffers()) if value.is_meta]
    if unfilled:
        raise BundleError(f"{file} leaves {unfilled[0]} of {part} without a value: export the bundle again")
    return network.eval().requires_grad_(False)


def _referred(folder: Path, part: str, entry: Mapping[str, Any]) -> nn.Module:
    """A part whose network is published files; what else it holds, such as embeddings, stands in a file of its own."""
    if {"architecture", "config", "sha256"} - set(entry) or {"file", "sha256"} - set(entry.get("own", ("file", "sha256"))):
        raise BundleError(f"{folder / FILE} does not describe its part {part}: import the bundle again")
    place = fetched(f"part {part} of {folder}", entry["reference"])
    own = _weights(folder, part, entry["own"]) if "own" in entry else {}
    try:
        kind, config = networks.described(entry["architecture"], entry["config"])
        network: Any = kind.of_folder(place, config, **({"own": own} if own else {}))  # pyright: ignore[reportAttributeAccessIssue]
    except Exception as fault:  # a library can raise anything at a configuration that is wrong
        raise _does_not_fit(place, fault) from fault
    network.reference = entry["reference"]
    return network.eval().requires_grad_(False)


def _does_not_fit(file: Path, fault: Exception) -> BundleError:
    reason = " ".join(str(fault).split())[:300]
    return BundleError(f"{file} does not fit its description ({reason}): download or export the bundle again")


def _weights(folder: Path, part: str, entry: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a part's own file, its hash compared first."""
    file = folder / str(entry["file"])
    if file.parent != folder or file.name == "..":  # by its name: the files of the hub's cache are links out of their folder
        raise BundleError(f"part {part} of {folder} names a file outside the bundle, {entry['file']!r}: do not trust it")
    try:
        there = file.is_file()
    except (OSError, ValueError, RuntimeError) as fault:  # a name that is too long, has a zero byte, or links to itself
        raise BundleError(f"part {part} of {folder} names no file ({one_line(fault)}): export the bundle again") from fault
    if not there:
        raise BundleError(f"{file} is missing: download or export the bundle again")
    try:
        found = sha256(file)
    except OSError as fault:
        raise BundleError(f"{file} cannot be read ({one_line(fault)}): correct its permissions, or download it again") from fault
    if found != str(entry["sha256"]).lower():
        raise BundleError(
            f"{file} is not what {FILE} describes (SHA-256 {found[:12]}..., expected {str(entry['sha256'])[:12]}...): "
            "download or export the bundle again"
        )
    try:
        return load_file(file)
    except Exception as fault:  # whatever a broken header raises
        raise _does_not_fit(file, fault) from fault


def _check_kinds(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raises ValueError for complex weights, and for whole numbers in the place of weights or weights in that of counts."""
    for key, expected in network.state_dict().items():
        found = state.get(key, expected)
        if found.is_complex() or found.is_floating_point() != expected.is_floating_point():
            wanted = "floating-point" if expected.is_floating_point() else "whole"
            raise ValueError(f"{key} is {found.dtype}, expected {wanted} numbers")


def _full(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
