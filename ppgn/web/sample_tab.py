"""The tab Sample: its parts joined to what they do."""

from __future__ import annotations

from typing import Any

from ppgn.web import widgets
from ppgn.web.chosen import Chosen
from ppgn.web.options import House
from ppgn.web.runs import Runs
from ppgn.web.sample_parts import SampleParts
from ppgn.web.visitor import Visitor, Visitors
from ppgn.web.wanting import Wanting


class SampleTab:
    """The tab's parts joined to what they do. bundle: the choice of the bundle, above all tabs."""

    def __init__(self, house: House, visitors: Visitors, bundle: Any) -> None:
        self.house, self.visitors, self.bundle = house, visitors, bundle
        self.parts = SampleParts(house.options)
        self.wanting = Wanting(house, self.parts)
        self.runs = Runs(house, self.parts, self.wanting)
        self.chosen = Chosen(house, self.parts, self.wanting)
        self._join()

    def _join(self) -> None:
        at, heavy, light = self.parts, self.house.heavy, self.house.light
        run = self.run_outputs
        asked, chosen = [self.bundle, at.wanted, at.form], [at.wanted, at.status]
        for event, function, inputs, outputs, how in (
            (at.start.click, self.runs.on_start, self.start_inputs, run, heavy),
            (at.fill.click, self.runs.on_fill, [*asked, at.chains, at.seed, at.painter], run, heavy),
            (at.go_on.click, self.runs.on_go_on, asked, run, heavy),
            (at.stop.click, self.runs.on_stop, [], [at.status], light),
            (at.wanted.change, self.wanting.on_change, asked, [at.form, at.status], light),
            (self.bundle.change, self.wanting.on_bundle, [self.bundle], self.of_bundle, light),
            (at.recipe.input, self.wanting.on_recipe, [self.bundle, at.wanted, at.recipe], [at.form, at.status], light),
            (at.form.select, self.wanting.on_member, [self.bundle, at.form], [at.form, at.status], light),
            (at.network.input, self.wanting.on_network, [self.bundle, at.network], [at.layer, at.status], light),
            (
                at.add_unit.click,
                self.wanting.on_unit,
                [self.bundle, at.wanted, at.network, at.layer, at.unit],
                chosen,
                light,
            ),
            (
                at.add_sentence.click,
                self.wanting.on_sentence,
                [self.bundle, at.wanted, at.sentence],
                [at.wanted, at.sentence, at.status],
                light,
            ),
            (
                at.direction.upload,
                self.wanting.on_direction,
                [at.wanted, at.network, at.layer, at.direction],
                [at.wanted, at.status],
                light,
            ),
            (at.tiles.click, self.chosen.on_choose, [], [at.tiles, at.large_part, at.large, at.status], light),
            (at.begin_here.click, self.chosen.on_begin_here, [self.bundle], [at.status, at.here_part], light),
            (at.forget.click, self.chosen.on_forget, [], [at.status, at.here_part], light),
            (at.to_hole.click, self.chosen.on_to_hole, [], [at.painter, at.hole_part, at.status], light),
            (at.upload.change, self.chosen.on_upload, [self.bundle, at.upload], [at.painter, at.status], light),
            (at.save.click, self.chosen.on_save, [], [at.files, at.status], light),
        ):
            event(widgets.handler(function, at.status, self.visitors), inputs, outputs, **how)

    def on_bundle(self, visitor: Visitor, name: str) -> dict[Any, Any]:
        """Another bundle."""
        return self.wanting.on_bundle(visitor, name)

    @property
    def start_inputs(self) -> list[Any]:
        """What a new run needs."""
        at = self.parts
        return [self.bundle, at.wanted, at.form, at.chains, at.seed, at.variation]

    @property
    def run_outputs(self) -> list[Any]:
        """What a run changes."""
        at = self.parts
        return [at.status, at.tiles, at.curves, at.start, at.stop, at.go_on, at.command, at.python, at.large_part]

    @property
    def of_bundle(self) -> list[Any]:
        """The parts that another bundle changes."""
        at = self.parts
        return [at.wanted, at.recipe, at.form, at.network, at.layer, at.start, at.here_part, at.status]
