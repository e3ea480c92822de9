"""The result of an evaluation: plain data, pictures, a table and a page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from ppgn import images
from ppgn.evaluation.html import page
from ppgn.evaluation.table import markdown


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The result of an evaluation.

    scores: all figures, as JSON has them. Its keys are
        ppgn, bundle, judge (name, weights, held_out, layer, features), classes (names of the group), training_pictures,
        samples and real (the scores of `report`, for each of the two sets),
        activation (of `activation`), compared (numbers of pictures in the distances between sets),
        cost (seconds_per_sample, passes_per_sample, stopped), chain (mixing of log_prob and features), recipe and seed,
        which are None for samples from a folder, and seconds.
    pictures: sheets by name: "samples", "real", "best", and "copies" where training pictures are known. ratios: the distance
    ratios of "samples" and "real" (see `copies`). stopped: why, for each chain that is no longer finite.
    """

    scores: dict[str, Any]
    pictures: dict[str, Pillow.Image]
    ratios: dict[str, list[float]] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()

    def table(self) -> str:
        """The figures of samples and real pictures side by side, in Markdown."""
        return markdown(self.scores)

    def page(self) -> str:
        """Table, pictures and plots as one HTML document that needs nothing else."""
        return page(self.scores, self.pictures, self.ratios)

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Writes scores.json and index.html into the folder, which is made where need be, and returns their paths.

        Both texts are complete before the first file is written, and each file is replaced as a whole. Raises ValueError for a
        folder that cannot be made or written.
        """
        text, document = json.dumps(self.scores, indent=2, allow_nan=False) + "\n", self.page()
        folder = images.make_folder(folder)
        scores, index = folder / "scores.json", folder / "index.html"
        images.write_atomically(scores, lambda path: path.write_text(text, encoding="utf-8"))
        images.write_atomically(index, lambda path: path.write_text(document, encoding="utf-8"))
        return scores, index
