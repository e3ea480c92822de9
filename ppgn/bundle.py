"""A checkpoint folder <-> networks in memory: `bundle.json` and a safetensors file for each part, hashed, never unpickled."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ppgn import networks, speed
from ppgn.conditions.classes import class_groups
from ppgn.folding import FOLDED, folded

FORMAT, VERSION = "ppgn-bundle", 1
REQUIRED = {"name": str, "parts": dict, "code": dict, "image": dict, "class_names": list, "recipe": dict}


class BundleError(ValueError):
    """A bundle that is missing, broken, altered, or of another version; the message says what to do."""


@dataclass(eq=False)
class Bundle:
    """The networks of a checkpoint folder, frozen, in evaluation mode, float32, and all that `bundle.json` says."""

    name: str
    folder: Path
    info: dict[str, Any]
    parts: dict[str, Any]

    @property
    def encoder(self) -> Any:
        return self.parts["encoder"]

    @property
    def generator(self) -> Any:
        return self.parts["generator"]

    @property
    def denoiser(self) -> Any:
        """None where the bundle has none."""
        return self.parts.get("denoiser")

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.info["class_names"])

    @property
    def class_groups(self) -> dict[str, tuple[int, int]]:
        """Group -> (first, last + 1) of its classes; one group, "", where the names have none (see `conditions.class_groups`)."""
        return class_groups(self.class_names)

    @property
    def code_shape(self) -> tuple[int, ...]:
        return tuple(self.info["code"]["shape"])

    @property
    def image_size(self) -> int:
        return self.info["image"]["size"]

    @property
    def channels(self) -> int:
        return self.info["image"]["channels"]

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        return next(self.generator.parameters()).device

    def to(self, device: torch.device | str) -> Bundle:
        """Moves every network; returns this bundle."""
        for network in self.parts.values():
            network.to(device)
        return self


def save_bundle(
    folder: str | Path,
    *,
    name: str,
    parts: Mapping[str, Any],
    code: Mapping[str, Any],
    image: Mapping[str, Any],
    class_names: Sequence[str],
    recipe: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    licence: str = "unstated",
    source: str = "unstated",
    scores: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Writes a bundle beside `folder` and moves it into place once complete; an old one stays whole until then.

    parts: networks with `architecture` and `config`. Floating-point weights are stored as `dtype`; raises BundleError
    where one of them is not finite in it.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    room = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    room.mkdir()
    try:
        described = {part: _save_part(room, part, network, dtype) for part, network in parts.items()}
        info = {
            "format": FORMAT, "version": VERSION, "name": name, "parts": described, "code": dict(code), "image": dict(image),
            "class_names": list(class_names), "recipe": dict(recipe), "training": dict(training or {}),
            "data": dict(data or {}), "licence": licence, "source": source, "scores": dict(scores or {}),
        }  # fmt: skip
        (room / "bundle.json").write_text(json.dumps(info, indent=1, default=str) + "\n")
        _replace_folder(room, folder)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return folder


def _save_part(room: Path, part: str, network: Any, dtype: torch.dtype) -> dict[str, Any]:
    if hasattr(network, FOLDED):
        raise BundleError(f"the {part} has its BatchNorms folded: load its bundle with fold=False to save it again")
    tensors = {}
    for key, value in network.state_dict().items():
        stored = value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype).contiguous()
        if stored.is_floating_point() and not bool(stored.isfinite().all()):
            raise BundleError(f"{key} of {part} is not finite as {dtype}: the training diverged, or store it as float32")
        tensors[key] = stored
    file = f"{part}.safetensors"
    save_file(tensors, room / file)
    (room / file).chmod(0o644)  # safetensors writes files that only their owner can read
    config = dataclasses.asdict(network.config)
    return {"architecture": network.architecture, "config": config, "file": file, "sha256": sha256(room / file)}


def _replace_folder(new: Path, folder: Path) -> None:
    old = new.with_name(new.name + "-old")
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def shelves() -> list[Path]:
    """Where bundles are looked for by name: $PPGN_CHECKPOINTS, the installed package, the checkout, ./checkpoints."""
    here = Path(__file__).parent
    named = [Path(entry) for entry in os.environ.get("PPGN_CHECKPOINTS", "").split(os.pathsep) if entry]
    return [*named, here / "_checkpoints", here.parent / "checkpoints", Path("checkpoints")]


def find(name_or_path: str | Path) -> Path:
    """The folder of a bundle given by path or name; BundleError saying what is there."""
    text = str(name_or_path)
    if text.startswith("hf://"):
        return _from_hub(text.removeprefix("hf://"))
    for folder in (Path(text), *(shelf / text for shelf in shelves())):
        if (folder / "bundle.json").is_file():
            return folder
    names = sorted({folder.name for folder in _folders()})
    close = difflib.get_close_matches(text, names, 1)
    guess = f"did you mean {close[0]}? " if close else ""
    raise BundleError(f"no bundle {text!r}: {guess}there is {', '.join(names) or 'none'}, or give a folder with bundle.json")


def _from_hub(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]
    except ImportError as fault:
        raise BundleError(f"hf://{repository} needs `pip install huggingface_hub`, or download it and give the folder") from fault
    return Path(snapshot_download(repository, allow_patterns=["bundle.json", "*.safetensors"]))


def _folders() -> list[Path]:
    found = [folder for shelf in shelves() if shelf.is_dir() for folder in sorted(shelf.iterdir())]
    return [folder for folder in found if (folder / "bundle.json").is_file() and not folder.name.startswith(".")]


def list_bundles() -> list[dict[str, Any]]:
    """name, folder and info (or error) of every bundle that can be loaded by name."""
    listed: dict[str, dict[str, Any]] = {}
    for folder in _folders():
        entry: dict[str, Any] = {"name": folder.name, "folder": str(folder)}
        try:
            entry["info"] = read_info(folder)
        except BundleError as fault:
            entry["error"] = str(fault)
        listed.setdefault(folder.name, entry)
    return list(listed.values())


def read_info(folder: Path) -> dict[str, Any]:
    """bundle.json, checked; BundleError where it is malformed, foreign, or of another version."""
    path = folder / "bundle.json"
    try:
        info = json.loads(path.read_text())
    except (OSError, ValueError) as fault:
        raise BundleError(f"{path} cannot be read ({fault}): download or export the bundle again") from fault
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise BundleError(f"{path} is not a ppgn bundle (no format {FORMAT!r}): give the folder that export_bundle.py wrote")
    if info.get("version") != VERSION:
        raise BundleError(f"{path} has version {info.get('version')}, this ppgn reads {VERSION}: update ppgn or export again")
    wrong = [key for key, kind in REQUIRED.items() if not isinstance(info.get(key), kind)]
    lacking = [part for part in ("encoder", "generator") if part not in (info.get("parts") or {})]
    if wrong or lacking:
        raise BundleError(f"{path} lacks {', '.join(wrong + lacking)}: export the bundle again")
    return info


def load_bundle(name_or_path: str | Path, device: torch.device | str = "cpu", fold: bool = True) -> Bundle:
    """The bundle of that name, folder, or hf://owner/name; BundleError where anything is wrong with it.

    Hashes are compared before a tensor is read; networks are built without memory, filled, and frozen. fold: their BatchNorms
    are put into their convolutions and their maps are channels last in memory (`ppgn.speed`): the same functions but for
    rounding, in less time. Without it they are as they were trained, and can be saved again.
    """
    folder = find(name_or_path)
    info = read_info(folder)
    parts = {part: _load_part(folder, part, entry) for part, entry in info["parts"].items()}
    if fold:
        parts = {part: speed.laid_out(folded(network)) for part, network in parts.items()}
    return Bundle(info["name"], folder, info, parts).to(device)


def _load_part(folder: Path, part: str, entry: Any) -> nn.Module:
    if not isinstance(entry, dict) or {"architecture", "config", "file", "sha256"} - set(entry):
        raise BundleError(f"{folder / 'bundle.json'} does not describe its part {part}: export the bundle again")
    file = folder / str(entry["file"])
    if file.resolve().parent != folder.resolve():
        raise BundleError(f"part {part} of {folder} names a file outside the bundle, {entry['file']!r}: do not trust it")
    if not file.is_file():
        raise BundleError(f"{file} is missing: download or export the bundle again")
    found = sha256(file)
    if found != entry["sha256"]:
        raise BundleError(
            f"{file} is not what bundle.json describes (SHA-256 {found[:12]}..., expected {str(entry['sha256'])[:12]}...): "
            "download or export the bundle again"
        )
    try:
        state = load_file(file)
        with torch.device("meta"):
            network = networks.build(entry["architecture"], entry["config"])
        network.load_state_dict({key: _full(value) for key, value in state.items()}, strict=True, assign=True)
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as fault:
        reason = " ".join(str(fault).split())[:300]
        raise BundleError(f"{file} does not fit its description ({reason}): download or export the bundle again") from fault
    unfilled = [key for key, value in (*network.named_parameters(), *network.named_buffers()) if value.is_meta]
    if unfilled:
        raise BundleError(f"{file} leaves {unfilled[0]} of {part} without a value: export the bundle again")
    return network.eval().requires_grad_(False)


def _full(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.is_floating_point() else value


def sha256(file: str | Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
