"""Parts of a bundle that are published files: their source, sizes and SHA-256 stand in bundle.json, the files do not.

    "reference": {"source": "hf://owner/name@REVISION", "files": [{"path": "vae/config.json", "size": 1, "sha256": "..."}]}

source is a repository of the Hugging Face hub at a commit, or "file:///folder". Files are fetched on first use into the usual
cache, and compared with size and SHA-256 at every load.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ppgn.bundle.find import find
from ppgn.bundle.migrate import read_info
from ppgn.errors import BundleError, one_line, required

HUB, LOCAL = "hf://", "file://"


def reference_to(source: str, folder: Path, paths: Iterable[str]) -> dict[str, Any]:
    """The reference to files, by their paths in a folder that holds them now."""
    files = [{"path": path, "size": (folder / path).stat().st_size, "sha256": digest(folder / path)} for path in sorted(paths)]
    return {"source": source, "files": files}


def digest_of(reference: Mapping[str, Any], own: str = "") -> str:
    """SHA-256 of a reference's paths and hashes, by which runs tell the weights that they used. own: that of what is beside."""
    lines = [own, *(f"{one['sha256']} {one['path']}" for one in reference["files"])]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_reference(where: str, reference: Any) -> None:
    """Raises BundleError unless it has a source, and files with path, size and SHA-256 that stay inside their folder."""
    fits = isinstance(reference, Mapping) and set(reference) == {"source", "files"} and isinstance(reference["source"], str)
    files = reference["files"] if fits else None
    if not isinstance(files, list) or not files or not all(_is_file(one) for one in files):
        raise BundleError(f"{where} does not describe its reference, expected a source and its files: import it again")
    if not re.fullmatch(r"hf://[\w.-]+/[\w.-]+@[0-9a-f]{40}|file:///.+", reference["source"]):
        raise BundleError(
            f"{where} refers to {reference['source']!r}, expected hf://OWNER/NAME@COMMIT or file:///FOLDER: import it again"
        )


def _is_file(one: Any) -> bool:
    if not isinstance(one, Mapping) or set(one) != {"path", "size", "sha256"}:
        return False
    path = one["path"]
    inside = isinstance(path, str) and path and not path.startswith("/") and ".." not in PurePosixPath(path).parts
    known = isinstance(one["size"], int) and re.fullmatch("[0-9a-f]{64}", str(one["sha256"])) is not None
    return bool(inside and "\\" not in path and "\0" not in path and known)


def fetched(where: str, reference: Mapping[str, Any]) -> Path:
    """The folder that holds the files of a reference, each with its size and SHA-256; fetched from the hub where it is not there.

    Raises BundleError where a file is missing and cannot be fetched, and where one is another than is described.
    """
    check_reference(where, reference)
    source, paths = reference["source"], [one["path"] for one in reference["files"]]
    folder = Path(source.removeprefix(LOCAL)) if source.startswith(LOCAL) else _of_hub(source, paths)
    for one in reference["files"]:
        _check_file(folder / one["path"], one, source)
    return folder


def fetch_bundle(name_or_path: str | Path) -> list[tuple[str, str, int, int]]:
    """Fetches and checks all that the parts of a bundle refer to: (part, source, files, bytes) of each such part.

    Raises BundleError as `fetched`, and for a bundle without references.
    """
    folder = find(name_or_path)
    parts = {part: entry["reference"] for part, entry in read_info(folder)["parts"].items() if "reference" in entry}
    if not parts:
        raise BundleError(f"bundle {folder} refers to no files, expected a reference in one of its parts: it is whole as it is")
    for part, reference in parts.items():
        fetched(f"part {part} of {folder}", reference)
    sizes = {part: [one["size"] for one in reference["files"]] for part, reference in parts.items()}
    return [(part, reference["source"], len(sizes[part]), sum(sizes[part])) for part, reference in parts.items()]


def _of_hub(source: str, paths: Iterable[str]) -> Path:
    needs = f"{source} needs huggingface_hub"
    hub = required("huggingface_hub", needs, "huggingface_hub", "import it from a folder", BundleError)
    repository, _, revision = source.removeprefix(HUB).rpartition("@")
    folder = Path()
    for path in paths:
        try:
            found = Path(hub.hf_hub_download(repository, path, revision=revision))
        except Exception as fault:  # of the client, of the network under it, of the disk
            raise BundleError(
                f"{path} of {source} is not in the cache and cannot be downloaded ({one_line(fault)}): connect to the network "
                f"once, or download {repository} elsewhere and import its folder"
            ) from fault
        folder = found.parents[len(PurePosixPath(path).parts) - 1]
    return folder


def _check_file(file: Path, described: Mapping[str, Any], source: str) -> None:
    try:
        size = file.stat().st_size
        found = digest(file) if size == described["size"] else ""
    except OSError as fault:
        raise BundleError(f"{file} cannot be read ({one_line(fault)}): put {source} back, or import it again") from fault
    if size != described["size"]:
        raise BundleError(f"{file} has {size} bytes, expected {described['size']}: download {source} again, or import it again")
    if found != described["sha256"]:
        raise BundleError(
            f"{file} is another file than was imported (SHA-256 {found[:12]}..., expected {described['sha256'][:12]}...): "
            f"download {source} again, or import it again"
        )


def digest(file: Path) -> str:
    """SHA-256 of a file; known again, without reading it, while neither size nor time of change differ in this process."""
    about = file.stat()
    return _digest(str(file.resolve()), about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest(file: str, size: int, changed: int) -> str:
    return sha256(file)


def sha256(file: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
