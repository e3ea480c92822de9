"""Samples by several processes, on one machine or many: blocks of chains, each in a folder of its own, joined by whoever is last.

The processes say nothing to each other; all that they share is the folder. So a process that dies takes its unfinished block with
it and nothing else, and the run goes on with any number of processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from ppgn import images
from ppgn.bundle import Bundle
from ppgn.recipes import Recipe
from ppgn.sampling.folder import FILE, SampleFolder, read_rows
from ppgn.sampling.sample import described_run, origin_of, prepared, run
from ppgn.sampling.samples import OnStep, Samples

BLOCKS, PLAN, CODES = "blocks", "plan.json", "codes.safetensors"
BLOCK = 16
"""Chains of a block, by default. They run together, so what rounding depends on is the same for any number of processes."""
ENVIRONMENT = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))
"""What torchrun and SLURM tell a process: its number, the number of processes, and its number on its machine."""


@dataclass(frozen=True)
class Rank:
    """A process of several: its number from 0, of how many, and its number on its machine. Raises ValueError where they do not
    fit."""

    number: int = 0
    of: int = 1
    local: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of or self.local < 0:
            raise ValueError(f"got the process {self.number} of {self.of}, expected a number from 0 to {self.of - 1}: correct it")

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Rank:
        """This process by the variables of torchrun or SLURM; without them the only one. Raises ValueError for other text."""
        for names in ENVIRONMENT:
            if all(name in environment for name in names[:2]):
                try:
                    return cls(*(int(environment.get(name, 0)) for name in names))
                except ValueError as fault:
                    told = ", ".join(f"{name}={environment.get(name)!r}" for name in names)
                    raise ValueError(f"got {told}, expected the numbers of a process: correct the launcher ({fault})") from fault
        return cls()


def sample_share(
    folder: str | Path,
    bundle: Bundle | str | Path,
    wanted: Any,
    rank: Rank | None = None,
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int | None = None,
    watch: OnStep | None = None,
    recipe: str | Recipe | None = None,
    **changes: Any,
) -> Iterator[Samples]:
    """Runs this process's share of the chains, and yields each block once its pictures and codes are in the folder.

    folder: of the whole run, the same for all processes. rank: this process, by default `Rank.here()`. batch: chains of a block,
    16 by default, or as many as the folder's plan says. Blocks 0, `rank.of`, 2 `rank.of`, ... are those of process 0; one that is
    whole already is left as it is. The other arguments as `sample`, the same for all processes. A block is `blocks/000012/` with
    its pictures, its samples.json (`SampleFolder`) and codes.safetensors (`codes`, `[chain, *code]`, float32). Call `join` at the
    end. Raises ValueError as `sample_into`, and for chains that are coupled.
    """
    rank = rank or Rank.here()
    place = images.make_folder(folder)
    plan = _plan(place)
    size = plan["batch"] if plan else batch or BLOCK
    setup, request, seeds, _ = prepared(bundle, wanted, count, seed, size, recipe, changes)
    if request.couples:
        raise ValueError("got chains that are coupled, expected chains that run alone: sample them in one process")
    origin = origin_of(setup, request)
    about = described_run(setup, request, origin)
    _keep_plan(place, plan, len(request), size)
    for number, begin in list(enumerate(range(0, len(request), size)))[rank.number :: rank.of]:
        chains = range(begin, min(begin + size, len(request)))
        asked, own = request.select(chains), seeds[chains.start : chains.stop]
        with SampleFolder.opened(_block(place, number)) as block:
            codes = block.folder / CODES
            if block.resume(about, asked.names, own) == len(own) and codes.is_file():
                continue
            part = replace(run(setup, asked, own, size, watch), origin=origin)
            kept = part.codes.detach().float().cpu().contiguous()
            images.write_atomically(codes, lambda path, kept=kept: save_file({"codes": kept}, path))
            block.rows = []  # a block is written anew as a whole
            block.add(part)
            block.finish()
        yield part


def join(folder: str | Path) -> list[int]:
    """Writes samples.json of the whole run if all blocks are whole; returns the numbers of those that are not.

    Every process may call it, in any order: what they write is the same. Rows name their files as
    `blocks/000012/0003_church_7.png`. Raises ValueError where the folder has no plan.
    """
    place = Path(folder)
    plan = _plan(place)
    if plan is None:
        raise ValueError(f"{place} holds no run of several processes, expected {PLAN} in it: sample into it first")
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    missing = []
    for number, begin in enumerate(range(0, plan["count"], plan["batch"])):
        block = _block(place, number)
        found = read_rows(block) if (block / FILE).is_file() else []
        if len(found) < min(plan["batch"], plan["count"] - begin):
            missing.append(number)
            continue
        about = about or {name: one for name, one in json.loads((block / FILE).read_text("utf-8")).items() if name != "samples"}
        rows += [{**row, "file": f"{BLOCKS}/{block.name}/{row['file']}"} for row in found]
    if not missing:
        text = json.dumps({**about, "samples": rows}, indent=2) + "\n"
        images.write_atomically(place / FILE, lambda path: path.write_text(text, encoding="utf-8"))
    return missing


def _block(place: Path, number: int) -> Path:
    return place / BLOCKS / f"{number:06d}"


def _plan(place: Path) -> dict[str, int] | None:
    """The chains of a run and of a block, as its first process wrote them. Raises ValueError for another file."""
    file = place / PLAN
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        plan = {name: int(found[name]) for name in ("count", "batch")}
        if min(plan.values()) < 1:
            raise ValueError("a number below 1")
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise ValueError(f"{file} was not written by ppgn ({fault}), expected its own plan: give another folder") from fault
    return plan


def _keep_plan(place: Path, plan: dict[str, int] | None, count: int, batch: int) -> None:
    """Writes the plan where there is none. Raises ValueError where the folder's is of another number of chains."""
    if plan is not None and plan["count"] != count:
        raise ValueError(
            f"{place} is of {plan['count']} chains, got {count}, expected the same: give the same settings, or another folder"
        )
    text = json.dumps({"count": count, "batch": batch}) + "\n"
    if plan is None:
        images.write_atomically(place / PLAN, lambda path: path.write_text(text, encoding="utf-8"))
