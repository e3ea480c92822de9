"""A neuron in silico: a unit of a network that spikes, tires and cannot fire faster than its refractory period allows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ppgn.errors import one_line
from ppgn.images import load_image, write_atomically
from ppgn.seeds import Stream, check_seeds, generator
from ppgn.types import Image, ImageSpec

ROUNDING = 1e-9


@dataclass
class SpikingNeuron:
    """Spikes in a window of `window` seconds after a picture is shown.

    drive = gain * max(response, 0) spikes a second; tired: drive / (1 + adaptation * x), where x is an exponential mean of the
    spikes of former pictures, x' = x + (spikes - x) / memory; rate = drive / (1 + drive * refractory), that of a neuron which is
    silent for `refractory` seconds after each spike; spikes ~ Poisson(rate * window), at most window / refractory. The number of
    the picture and x are the neuron's state; with the seed they decide the noise. Raises ValueError for numbers that cannot be.
    """

    gain: float = 1.0
    window: float = 0.1
    refractory: float = 0.002
    adaptation: float = 0.05
    memory: float = 10.0
    seed: int = 0
    shown: int = 0
    trace: float = 0.0

    def __post_init__(self) -> None:
        check_seeds([self.seed])
        numbers = (self.gain, self.window, self.refractory, self.adaptation, self.memory, self.trace, self.shown)
        if not all(np.isfinite(numbers)) or min(numbers) < 0 or not (self.window > self.refractory > 0 and self.memory >= 1):
            raise ValueError(
                f"got {self}, expected numbers of at least 0, a window longer than the refractory period, and a memory of at "
                f"least 1 picture: correct them"
            )

    def spikes(self, response: float) -> int:
        """The spikes for a picture with this response; the neuron remembers them."""
        drive = self.gain * max(response, 0.0) / (1 + self.adaptation * self.trace)
        rate = drive / (1 + drive * self.refractory)
        random = generator(self.seed, self.shown, Stream.RESPONSE)
        count = min(int(random.poisson(rate * self.window)), int(self.window / self.refractory * (1 + ROUNDING)))
        self.shown, self.trace = self.shown + 1, self.trace + (count - self.trace) / self.memory
        return count


@dataclass
class Laboratory:
    """Shows pictures to a neuron and keeps its state in a file after each, so that a session may end at any moment.

    response: images `[1, channel, height, width]` in [0, 1] -> a number. image: the size at which pictures are shown. file: of
    the state and of the names of all pictures shown. settings: fields of SpikingNeuron for a new session. Raises ValueError for a
    file that cannot be read.
    """

    response: Callable[[Image], Any]
    image: ImageSpec
    file: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stored = {"neuron": self.settings, "pictures": []}
        if self.file.is_file():
            try:
                stored = json.loads(self.file.read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError) as fault:
                raise ValueError(f"cannot read {self.file} ({one_line(fault)}), expected a session: begin a new one") from fault
        try:
            self.neuron, self.pictures = SpikingNeuron(**stored["neuron"]), list(stored["pictures"])
        except (KeyError, TypeError) as fault:
            raise ValueError(f"{self.file} holds no session ({one_line(fault)}), expected one: begin a new one") from fault

    def show(self, picture: str | Path) -> int:
        """The spikes for a picture file."""
        image = load_image(picture, self.image.size, self.image.channels)[None]
        count = self.neuron.spikes(float(self.response(image)))
        self.pictures.append(str(picture))
        text = json.dumps({"neuron": asdict(self.neuron), "pictures": self.pictures})
        write_atomically(self.file, lambda place: place.write_text(text, encoding="utf-8"))
        return count
