"""The folder of a search: its state in one file that is replaced in one step, so that a kill harms nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ppgn import images
from ppgn.errors import one_line
from ppgn.illumination.lineage import Ancestor
from ppgn.illumination.search import CurveRow, Search

ABOUT, STATE, CURVE = "illuminate.json", "state.safetensors", "curve.csv"
GENOME = "genome."
EVERY, SHARE = 60.0, 0.05
"""Seconds between two states on disk, more where writing would take over this share of the time."""


class SearchFolder:
    """illuminate.json (what is searched, and how), state.safetensors (at most about a minute old: what came after is computed
    again, with the same result), curve.csv (a row for each generation)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._due = time.monotonic() + EVERY

    def open(self, search: Search, about: Mapping[str, Any]) -> None:
        """Begins a search here, or sets it to where it was. Raises ValueError where the folder holds something else."""
        file = self.folder / ABOUT
        stated = json.loads(json.dumps(about))
        if not file.is_file():
            if any(not one.name.startswith(".") for one in self.folder.iterdir()):
                raise ValueError(f"{self.folder} holds other files, expected a new folder or a search of its kind: give another")
            text = json.dumps(stated, indent=1) + "\n"
            images.write_atomically(file, lambda path: path.write_text(text, encoding="utf-8"))
            return
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
            odd = [name for name in stated if before[name] != stated[name]]
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise ValueError(f"cannot read {file} ({one_line(fault)}), expected a search: give another folder") from fault
        if odd:
            raise ValueError(
                f"{self.folder} holds a search with another {' and '.join(odd)}, expected that of this run: give another folder, "
                f"or the same arguments to go on"
            )
        if (self.folder / STATE).is_file():
            self._restore(search)

    def save(self, search: Search, at_once: bool = False) -> None:
        """Writes the state, where it is due or asked for."""
        begin = time.monotonic()
        if begin < self._due and not at_once:
            return
        members = [search.members[one] for one in sorted(search.members)]
        tensors = {"archive.ids": torch.from_numpy(search.archive.ids.copy())}
        tensors["archive.confidences"] = torch.from_numpy(search.archive.confidences.copy())
        living = [one.genome for one in members if one.genome is not None]
        if living:
            tensors |= {f"{GENOME}{name}": value for name, value in search.encoding.pack(living).items()}
        dead = [one.thumbnail for one in members if one.thumbnail is not None]
        if dead:
            tensors["thumbnails"] = torch.stack(dead)
        rows = [[one.id, one.parent, one.generation, one.class_, one.confidence, one.depth, one.genome is not None]
                for one in members]  # fmt: skip
        curve = [list(asdict(row).values()) for row in search.curve]
        facts = {"facts": json.dumps({"generation": search.generation, "members": rows, "curve": curve})}
        whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        images.write_atomically(self.folder / STATE, lambda path: save_file(whole, path, facts))
        done = time.monotonic()
        self._due = done + max(EVERY, (done - begin) / SHARE)

    def write_curve(self, search: Search) -> None:
        """Writes curve.csv."""
        rows = [",".join(CurveRow.__dataclass_fields__), *(",".join(map(str, asdict(row).values())) for row in search.curve)]
        images.write_atomically(self.folder / CURVE, lambda path: path.write_text("\n".join(rows) + "\n", encoding="utf-8"))

    def _restore(self, search: Search) -> None:
        file = self.folder / STATE
        try:
            tensors = load_file(file)
            with safe_open(file, framework="pt") as opened:
                facts = json.loads(opened.metadata()["facts"])
            _fill(search, tensors, facts)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError, StopIteration) as fault:
            raise ValueError(f"cannot go on from {file} ({one_line(fault)}): restore it from a copy, or begin anew") from fault


def _fill(search: Search, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Sets a new search to a state."""
    packed = {name.removeprefix(GENOME): value for name, value in tensors.items() if name.startswith(GENOME)}
    genomes = iter(search.encoding.unpack(packed) if packed else [])
    pictures = iter(tensors.get("thumbnails", []))
    for *fields, lives in facts["members"]:
        own = {"genome": next(genomes)} if lives else {"thumbnail": next(pictures)}
        member = Ancestor(*fields, **own)
        search.members[member.id] = member
    ids, confidences = tensors["archive.ids"].numpy(), tensors["archive.confidences"].numpy()
    held = np.flatnonzero(ids >= 0)
    if len(ids) != search.archive.classes or not {int(one) for one in ids[held]} <= set(search.members):
        raise ValueError("its elites do not fit the run")
    if len(held):
        search.archive.put(held, ids[held], confidences[held])
    search.curve = [CurveRow(*row) for row in facts["curve"]]
    search.generation = int(facts["generation"])
