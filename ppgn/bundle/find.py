"""Where bundles are: by path, by name, or in the Hugging Face hub."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from ppgn.bundle.description import FILE
from ppgn.bundle.migrate import read_info
from ppgn.errors import BundleError, one_line, required

HUB = "hf://"


def search_paths() -> list[Path]:
    """Where bundles are looked for by name: $PPGN_CHECKPOINTS, the installed package, the checkout, ./checkpoints."""
    package = Path(__file__).parents[1]
    named = [Path(entry) for entry in os.environ.get("PPGN_CHECKPOINTS", "").split(os.pathsep) if entry]
    return [*named, package / "_checkpoints", package.parent / "checkpoints", Path("checkpoints")]


def find(name_or_path: str | Path) -> Path:
    """The folder of a bundle given by path, by name or as hf://owner/name. Raises BundleError that lists the names there are."""
    text = str(name_or_path)
    if text.startswith(HUB):
        return _from_hub(text.removeprefix(HUB))
    for folder in (Path(text), *(shelf / text for shelf in search_paths())):
        if _holds_bundle(folder):
            return folder
    names = sorted({folder.name for folder in _folders()})
    close = difflib.get_close_matches(text, names, 1)
    guess = f"did you mean {close[0]}? " if close else ""
    raise BundleError(f"no bundle {text!r}: {guess}there is {', '.join(names) or 'none'}, or give a folder with {FILE}")


def _from_hub(repository: str) -> Path:
    needs = f"{HUB}{repository} needs huggingface_hub"
    required("huggingface_hub", needs, "huggingface_hub", "download the bundle and give its folder", BundleError)
    from huggingface_hub import errors, snapshot_download  # pyright: ignore[reportMissingImports]

    try:
        folder = Path(snapshot_download(repository, allow_patterns=[FILE, "*.safetensors"]))
    except errors.HFValidationError as fault:
        raise BundleError(f"cannot read {HUB}{repository} ({one_line(fault)}), expected {HUB}OWNER/NAME: write it so") from fault
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as fault:
        raise BundleError(
            f"the hub has no repository {repository} that you may read: correct its name, or log in with `hf auth login`"
        ) from fault
    except Exception as fault:  # of the client, of the network under it, of the disk
        raise BundleError(
            f"{HUB}{repository} cannot be downloaded and is not in the cache ({one_line(fault)}): connect to the network, or "
            f"download it elsewhere and give the folder"
        ) from fault
    if not (folder / FILE).is_file():
        raise BundleError(f"{HUB}{repository} has no {FILE}, expected a bundle: name the repository of one")
    return folder


def _holds_bundle(folder: Path) -> bool:
    """Whether there is a bundle.json, or a folder that may not be looked into: whoever reads it says so."""
    try:
        return (folder / FILE).is_file()
    except OSError as fault:
        return isinstance(fault, PermissionError)


def _folders() -> list[Path]:
    found: list[Path] = []
    for shelf in search_paths():
        try:
            found += sorted(shelf.iterdir()) if shelf.is_dir() else []
        except OSError:  # a shelf that cannot be read holds nothing that could be loaded, and hides no other one
            continue
    return [folder for folder in found if not folder.name.startswith(".") and _holds_bundle(folder)]


def list_bundles() -> list[dict[str, Any]]:
    """Every bundle that can be loaded by name: its "name", "folder", and "info" (bundle.json as version 2) or "error"."""
    listed: dict[str, dict[str, Any]] = {}
    for folder in _folders():
        entry: dict[str, Any] = {"name": folder.name, "folder": str(folder)}
        try:
            entry["info"] = read_info(folder)
        except BundleError as fault:
            entry["error"] = str(fault)
        listed.setdefault(folder.name, entry)
    return list(listed.values())
