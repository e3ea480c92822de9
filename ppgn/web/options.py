"""What a page is started with: bundles, networks, functions and pictures that visitors can choose among, and limits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from ppgn import loaders
from ppgn.bundle import Bundle, list_bundles
from ppgn.probe import LayerInfo, Preprocessed, list_layers
from ppgn.requests import Plugged
from ppgn.sampling import LiveRun
from ppgn.types import at_least_one
from ppgn.web.wishes import Known, Wish

Made = TypeVar("Made")


@dataclass(frozen=True)
class WebOptions:
    """What a page offers. Visitors name nothing else: no path of theirs is opened.

    bundles: names or folders; () is all that `ppgn bundles` lists. networks: name on the page -> network. functions: conditions
    as `my_module:my_function`. images: a folder of real pictures for the tabs Neurons and Map, None for pictures of the prior.
    similarity: the model that reads texts, "" for none. chains, steps: at most so many of a run. at_once: runs of all visitors
    that go on together; the others wait in a queue. upload: megabytes of a file. device: of the networks.
    """

    bundles: tuple[str, ...] = ()
    networks: Mapping[str, Plugged] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    images: str | Path | None = None
    similarity: str = ""
    chains: int = 16
    steps: int = 1000
    at_once: int = 2
    upload: int = 10
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("chains", "steps", "at_once", "upload"):
            at_least_one(name, getattr(self, name), "allow one or more")

    @property
    def names(self) -> list[str]:
        """The bundles that can be chosen. Raises ValueError where there is none."""
        found = list(self.bundles) or [row["name"] for row in list_bundles()]
        if not found:
            raise ValueError("got no bundle for the page, expected one: name a folder with bundle.json")
        return found

    @property
    def known(self) -> Known:
        """What wishes can name."""
        return Known(self.networks, self.functions, self.similarity)


class House:
    """The networks of a page, loaded when they are first chosen and shared by all visitors."""

    def __init__(self, options: WebOptions) -> None:
        self.options = options
        self._lock = threading.RLock()
        self.bundle = self._once(self._load_bundle)
        self.network = self._once(self._network)
        self.layers = self._once(self._layers)

    def _once(self, load: Callable[..., Made]) -> Callable[..., Made]:
        """The same, made once for each name, also where several visitors ask at once."""
        kept = lru_cache(maxsize=None)(load)

        def locked(*names: str) -> Made:
            with self._lock:
                return kept(*map(str, names))  # a browser may send anything

        return locked

    @property
    def heavy(self) -> dict[str, Any]:
        """How an event waits that runs chains: in the one queue of all visitors."""
        return {
            "concurrency_limit": self.options.at_once,
            "concurrency_id": "runs",
            "show_progress": "hidden",
            "api_visibility": "private",
        }

    @property
    def light(self) -> dict[str, Any]:
        """How an event waits that answers at once: not at all."""
        return {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

    def warm(self) -> None:
        """Loads the first bundle, and makes a step of its chains, so that the first visitor does not wait for it."""
        name = self.options.names[0]
        try:
            bundle = self.bundle(name)
            if bundle.encoder is not None:
                self.layers("", name)
            if bundle.classes:
                next(LiveRun(bundle, bundle.classes[0], count=1, draws=1).steps(1))
        except ValueError as fault:
            logging.getLogger("ppgn").warning("%s", fault)

    def _load_bundle(self, name: str) -> Bundle:
        """A bundle of the page. Raises ValueError for another name."""
        if name not in self.options.names:
            raise ValueError(f"got the bundle {name!r}, expected {', '.join(self.options.names)}: choose one")
        return loaders.bundle(name, self.options.device)

    def _network(self, name: str, bundle: str) -> Preprocessed:
        """A network of the page, "" for the bundle's encoder. Raises ValueError for another name."""
        if name and name not in self.options.networks:
            raise ValueError(f"got the network {name!r}, expected {', '.join(self.options.networks) or 'none'}: choose one")
        plugged = self.options.networks[name] if name else Plugged()
        return plugged.loaded(self.bundle(bundle), ())

    def _layers(self, name: str, bundle: str) -> list[LayerInfo]:
        """The layers of a network with channels that a unit can name."""
        spec = self.bundle(bundle).image
        listed = list_layers(self.network(name, bundle), spec.size, spec.channels)
        return [one for one in listed if one.shape]

    def classes(self, name: str, bundle: str) -> tuple[str, ...]:
        """The classes of a network, of a bundle's encoder for ""."""
        return loaders.class_names(self.options.networks[name].name) if name else self.bundle(bundle).classes

    def choices(self, bundle: str) -> list[str]:
        """Wishes that are offered for a bundle: its classes, those of the networks, and functions."""
        found = [Wish("class", one) for one in self.bundle(bundle).classes]
        for name in self.options.networks:
            found += [Wish("class", one, name) for one in self.classes(name, bundle)]
        return [str(wish) for wish in (*found, *(Wish("function", name) for name in self.options.functions))]
