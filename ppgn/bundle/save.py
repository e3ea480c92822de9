"""Networks in memory -> a checkpoint folder, complete or not at all."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ppgn.acceleration import FOLDED
from ppgn.bundle.description import FILE, FORMAT, VERSION, checked, code_json, write_json
from ppgn.bundle.references import digest_of, sha256
from ppgn.errors import BundleError
from ppgn.images import refused_writes, temporary_beside
from ppgn.types import CodeSpace, ImageSpec


def save_bundle(
    folder: str | Path,
    *,
    name: str,
    parts: Mapping[str, Any],
    code: CodeSpace | Mapping[str, Any],
    image: ImageSpec,
    facts: Mapping[str, Any] | None = None,
    classes: Sequence[str] = (),
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
    papers: Mapping[str, Mapping[str, Any]] | None = None,
    precisions: Sequence[str] = (),
    alternatives: bool = False,
    groups: Sequence[str] = (),
    training: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    licence: str = "unstated",
    source: str = "unstated",
    scores: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Writes a bundle beside `folder` and moves it into place once complete; an old one stays whole until then.

    parts: networks with `architecture` and `config`; a "generator" is needed. code: a code space, or the field "code" of
    bundle.json. facts: what else was measured of codes. recipes, papers: by kind of request, as JSON (see Bundle). dtype: in
    which floating-point weights are stored, but for parts that state a `stored_dtype` of their own. Raises BundleError where a
    weight is not finite in it, a part cannot be stored, a field is wrong, or `folder` holds something else than a bundle;
    ValueError where the disk is full or may not be written to.
    """
    folder = Path(folder)
    check_place(folder)
    with _room_beside(folder) as room:
        info = checked(
            {
                "format": FORMAT, "version": VERSION, "name": name,
                "parts": {part: _save_part(room, part, network, dtype) for part, network in parts.items()},
                "code": {**_space(code), **(facts or {})}, "image": dataclasses.asdict(image),
                "classes": list(classes), "groups": list(groups),
                "recipes": {kind: dict(recipe) for kind, recipe in (recipes or {}).items()},
                "papers": {kind: dict(recipe) for kind, recipe in (papers or {}).items()},
                "precisions": list(precisions), "alternatives": alternatives, "training": dict(training or {}),
                "data": dict(data or {}), "licence": licence, "source": source, "scores": dict(scores or {}),
            }
        )  # fmt: skip
        _move_into_place(room, folder, info)
    return folder


@contextmanager
def _room_beside(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which goes at the end. Raises ValueError where the disk refuses what is written meanwhile."""
    room = temporary_beside(folder)
    with refused_writes(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        room.mkdir()
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


def _space(code: CodeSpace | Mapping[str, Any]) -> Mapping[str, Any]:
    return code_json(code) if isinstance(code, CodeSpace) else code


def check_place(folder: str | Path) -> None:
    """Raises BundleError where a folder, or file, would be overwritten that is no bundle."""
    place = Path(folder)
    empty = place.is_dir() and not any(place.iterdir())
    if place.exists() and not empty and not (place / FILE).is_file():
        raise BundleError(f"{folder} is there and is no bundle, expected a new folder: give another folder")


def _save_part(room: Path, part: str, network: Any, dtype: torch.dtype) -> dict[str, Any]:
    if hasattr(network, FOLDED):
        raise BundleError(f"the {part} has its BatchNorms folded: load its bundle with fold=False to save it again")
    if not (hasattr(network, "architecture") and hasattr(network, "config")):
        got = type(network).__name__
        raise BundleError(f"the {part} is a {got}, expected a network with `architecture` and `config`: a bundle holds no other")
    config = dataclasses.asdict(network.config)
    reference = getattr(network, "reference", None)
    if reference is not None:
        stored = _save_tensors(room, part, network.own, torch.float32) if getattr(network, "own", None) else {}
        known = {"sha256": digest_of(reference, stored.get("sha256", "")), "reference": dict(reference)}
        return {"architecture": network.architecture, "config": config, **known, **({"own": stored} if stored else {})}
    written = _save_tensors(room, part, network.state_dict(), getattr(network, "stored_dtype", dtype))
    return {"architecture": network.architecture, "config": config, **written}


def _save_tensors(room: Path, part: str, state: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, Any]:
    """Writes a part's tensors: the fields "file" and "sha256" of its description."""
    tensors = {}
    for key, value in state.items():
        stored = value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype).contiguous()
        if stored.is_floating_point() and not bool(stored.isfinite().all()):
            raise BundleError(f"{key} of {part} is not finite as {dtype}: the training diverged, or store it as float32")
        tensors[key] = stored
    file = f"{part}.safetensors"
    save_file(tensors, room / file)
    (room / file).chmod(0o644)  # safetensors writes files that only their owner can read
    return {"file": file, "sha256": sha256(room / file)}


def _move_into_place(room: Path, folder: Path, info: dict[str, Any]) -> None:
    """Moves a complete bundle to `folder`. A process killed at any moment leaves the old bundle whole there, or the new one.

    That decides when bundle.json is replaced, after the weights and in a single move. So weights whose name stands for others in
    the old bundle get their hash into their name. What the new bundle does not name is removed last.
    """
    if not folder.exists():
        write_json(room, info)
        os.replace(room, folder)
        return
    entries = {part: entry.get("own") if "reference" in entry else entry for part, entry in info["parts"].items()}
    stored = {part: entry for part, entry in entries.items() if entry}
    for part, entry in stored.items():
        written, place = room / entry["file"], folder / entry["file"]
        if place.exists() and sha256(place) != entry["sha256"]:
            entry["file"] = f"{part}-{entry['sha256'][:12]}.safetensors"
        os.replace(written, folder / entry["file"])
    write_json(folder, info)
    kept = {FILE, *(entry["file"] for entry in stored.values())}
    for stray in folder.iterdir():
        if stray.name not in kept:
            shutil.rmtree(stray) if stray.is_dir() and not stray.is_symlink() else stray.unlink()
