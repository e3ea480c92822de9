"""A visitor of the page: the run that is on screen, what stops it, and the calls that reproduce it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ppgn import evaluation, images, sampling
from ppgn.bundle import Bundle
from ppgn.experiment import Evolution
from ppgn.requests import Request
from ppgn.sampling import LiveRun
from ppgn.types import Code
from ppgn.web.wishes import Wish

FRAME_SECONDS = 0.15
"""Between two frames on screen at least: five or so a second, and the rest of the time is the chain's."""
KEPT_SECONDS = 3600
"""After which a visitor who does nothing is forgotten."""
MOST = 500
"""Visitors; of more, those who did nothing for longest are forgotten: a browser can name its session as it likes."""


@dataclass(frozen=True)
class Asked:
    """What a visitor wants of chains: wishes, the name of a recipe ("" for the bundle's own), and changes of it by name."""

    wishes: tuple[Wish, ...]
    recipe: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """A call of a live run, for the export: "begin", "in_paint" or "ask" with what was asked for, "steps" with a number."""

    name: str
    asked: Asked | None = None
    steps: int = 0


@dataclass(eq=False)
class Visitor:
    """One browser tab. run: on screen. where: the name of its bundle on this page. calls: that made it. course: numbers and
    frames of its steps. stop: ends the loop after the step, or before the first. pending: what the run goes on with. code: of a
    picture at which the next run begins, `[1, *code]`. has_place: one on the map was clicked, whose run is to begin. busy: held
    by the one thing that runs."""

    run: LiveRun | None = None
    bundle: Bundle | None = None
    where: str = ""
    calls: list[Call] = field(default_factory=list)
    course: evaluation.Course = field(default_factory=lambda: evaluation.Course(1))
    count: int = 0
    seed: int = 0
    start_noise: float = 0.0
    chosen: int | None = None
    code: Code | None = None
    began_at: Code | None = None
    hole: tuple[torch.Tensor, torch.Tensor] | None = None
    pending: tuple[Asked, Request] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    busy: threading.Lock = field(default_factory=threading.Lock)
    picture: torch.Tensor | None = None
    look: torch.Tensor | None = None
    units: list[tuple[str, str, int]] = field(default_factory=list)
    unit: tuple[str, str, int] | None = None
    plane: Any = None
    has_place: bool = False
    evolution: Evolution | None = None
    generation: torch.Tensor | None = None
    liked: set[int] = field(default_factory=set)
    seen: float = field(default_factory=time.monotonic)
    directions: dict[str, tuple[str, str]] = field(default_factory=dict)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The one thing that runs for the visitor; what stopped the last one, and what it was to go on with, is forgotten. Raises
        ValueError while something else does."""
        if not self.busy.acquire(blocking=False):
            raise ValueError("got another request while a run of this tab goes on, expected one at a time: stop it first")
        try:
            self.stop.clear()
            self.pending = None
            yield
        finally:
            self.busy.release()

    @cached_property
    def room(self) -> Path:
        """A folder of the server for the visitor's files, removed with the visitor."""
        folder = tempfile.mkdtemp(prefix="ppgn-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def begin(self, bundle: Bundle, request: Request | None, asked: Asked, count: int, seed: int, **options: Any) -> None:
        """A new run, from the code that was chosen, if any, or into the `hole` of a picture. where: the bundle's name on this
        page, by default its own."""
        hole, start_noise, where = options.pop("hole", None), options.pop("start_noise", 0.0), options.pop("where", "")
        code = self.code if hole is None else None
        if hole is None:
            start_noise = 0.0 if code is None else start_noise
            run = LiveRun(bundle, request, count=count, seed=seed, code=code, start_noise=start_noise, **options)
        else:
            start_noise = sampling.INPAINTING_START_NOISE
            hole = (as_saved(hole[0]), hole[1])
            run = LiveRun.in_paint(bundle, hole[0], hole[1], request, count=count, seed=seed, start_noise=start_noise, **options)
        self.start_noise, self.where = start_noise, where or bundle.name
        self.bundle, self.count, self.seed, self.run, self.hole = bundle, count, seed, run, hole
        self.calls = [Call("begin" if hole is None else "in_paint", asked)]
        self.course, self.chosen, self.pending, self.began_at = evaluation.Course(run.left), None, None, code

    def go(self, most: int) -> Iterator[bool]:
        """Steps of the run until its recipe ends, `most` steps are made or it is stopped. Yields True where a frame is due.

        One step is made in any case, so that there is something to see of a run that was stopped while it began.
        """
        run = self.run
        if run is None:
            raise ValueError("got no run to go on with, expected one: begin one first")
        shown, made = 0.0, 0
        while run.left > 0 and made < most and not (made and self.stop.is_set()):
            if self.pending is not None:
                asked, request = self.pending
                self.pending = None
                self.ask(asked, request)
            for evaluation_of_step in run.steps(1):
                self.course(run.step, evaluation_of_step)
            made += 1
            self._count_step()
            due = time.monotonic() - shown > FRAME_SECONDS or run.left == 0
            if due:
                shown = time.monotonic()
            yield due

    def ask(self, asked: Asked, request: Request) -> None:
        """The run goes on with another request; one that fills a hole keeps its recipe."""
        assert self.run is not None
        if self.hole is None:
            self.run.ask(request, recipe=asked.recipe or None, **asked.changes)
        else:
            self.run.ask(request, recipe=self.run.recipe)
        self.calls.append(Call("ask", asked))

    def _count_step(self) -> None:
        """One more step at the end of the calls."""
        last = self.calls[-1]
        if last.name == "steps":
            self.calls[-1] = Call("steps", steps=last.steps + 1)
        else:
            self.calls.append(Call("steps", steps=1))


class Visitors:
    """The visitors by the name of their session."""

    def __init__(self) -> None:
        self._known: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def of(self, session: str | None) -> Visitor:
        """The visitor of a session, a new one the first time."""
        with self._lock:
            now = time.monotonic()
            idle = sorted((one.seen, name) for name, one in self._known.items() if not one.busy.locked())
            excess = len(self._known) - MOST
            for place, (seen, name) in enumerate(idle):
                if place < excess or now - seen > KEPT_SECONDS:
                    del self._known[name]
            found = self._known.setdefault(session or "", Visitor())
            found.seen = now
            return found

    def leave(self, session: str | None) -> None:
        """Stops what a visitor runs, and forgets the visitor."""
        with self._lock:
            gone = self._known.pop(session or "", None)
        if gone is not None:
            gone.stop.set()

    def __len__(self) -> int:
        return len(self._known)


def texts(wishes: Sequence[Wish]) -> str:
    """Wishes as one text."""
    return " + ".join(map(str, wishes)) or "nothing"


def as_saved(picture: torch.Tensor) -> torch.Tensor:
    """A picture `[channel, height, width]` as it is read from its file, in 8 bits, so that the files make the same run."""
    return images.as_picture(images.to_pil(picture), len(picture)).contiguous().to(picture.device)
