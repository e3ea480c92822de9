"""The tab Evolve: a person is the neuron, whose likes lead a genetic algorithm."""

from __future__ import annotations

from typing import Any

from ppgn.experiment import Evolution, Plan
from ppgn.web import widgets
from ppgn.web.options import House
from ppgn.web.sample_tab import SampleTab
from ppgn.web.visitor import Visitor, Visitors

POPULATION = 12
BUDGET = 12_000
"""Pictures that a person looks at, at most."""
SETTINGS = {"mutation_rate": 0.3, "conserved": 1}


class EvolveTab:
    """The tab's parts joined to what they do."""

    def __init__(self, house: House, visitors: Visitors, bundle: Any, sample: SampleTab, tabs: Any) -> None:
        import gradio as gr

        self.house, self.sample, self.tabs = house, sample, tabs
        with gr.Row():
            self.begin = gr.Button("Begin", variant="primary", elem_id="evolve-begin")
            self.tell = gr.Button("Next generation", interactive=False, elem_id="evolve-next")
            self.seed = gr.Number(0, precision=0, label="Seed", elem_id="evolve-seed")
        self.status = gr.HTML(widgets.said("You are the neuron: begin, click the pictures you like, ask for the next."),
                              elem_id="evolve-status")  # fmt: skip
        self.tiles = widgets.tiles("generation", "pictures of the generation")
        self.use = gr.Button("Begin chains at the picture that I like", size="sm", interactive=False, elem_id="evolve-use")
        outputs = [self.tiles, self.status, self.tell, self.use]
        light, heavy, at = house.light, house.heavy, sample.parts
        for event, function, inputs, found, how in (
            (self.begin.click, self.on_begin, [bundle, self.seed], outputs, heavy),
            (self.tell.click, self.on_tell, [], outputs, heavy),
            (self.tiles.click, self.on_like, [], outputs, light),
            (self.use.click, self.on_use, [bundle], [tabs, at.here_part, at.status, self.status], light),
        ):
            event(widgets.handler(function, self.status, visitors), inputs, found, **how)

    def on_begin(self, visitor: Visitor, name: str, seed: int) -> dict[Any, Any]:
        """The first generation: draws of the bundle's model of codes."""
        plan = Plan(budget=BUDGET, method="genetic", population=POPULATION, seed=int(seed or 0), settings=SETTINGS)
        with visitor.alone():
            visitor.evolution = Evolution(self.house.bundle(name), plan, ("liked",))
            return self._next(visitor, visitor.evolution)

    def on_like(self, visitor: Visitor, event: Any) -> dict[Any, Any]:
        """A picture is liked, or no longer."""
        index = getattr(event, "index", None)
        if visitor.generation is None or not isinstance(index, int) or not 0 <= index < POPULATION:
            return {}
        visitor.liked ^= {index}
        return self._shown(visitor)

    def on_tell(self, visitor: Visitor) -> dict[Any, Any]:
        """The next generation: children of the pictures that were liked."""
        if visitor.evolution is None:
            raise ValueError("got no evolution, expected one: begin it first")
        if not visitor.liked:
            raise ValueError("got no picture that you like, expected one or more: click them first")
        with visitor.alone():
            count = len(visitor.evolution.ask().codes)
            visitor.evolution.tell([1.0 if picture in visitor.liked else 0.0 for picture in range(count)])
            return self._next(visitor, visitor.evolution)

    def on_use(self, visitor: Visitor, name: str) -> dict[Any, Any]:
        """The next chains in Sample begin at the code of the first picture that is liked."""
        import gradio as gr

        evolution = visitor.evolution
        if evolution is None or not visitor.liked or evolution.bundle is not self.house.bundle(name):
            raise ValueError("got no picture of this bundle that you like, expected one: click it first")
        chosen = min(visitor.liked)
        visitor.code = evolution.ask().codes[chosen : chosen + 1].clone()
        at = self.sample.parts
        said = widgets.said("The next run begins at the picture that you like.")
        return {self.tabs: gr.Tabs(selected="sample"), at.here_part: gr.Row(visible=True), at.status: said}

    def _next(self, visitor: Visitor, evolution: Evolution) -> dict[Any, Any]:
        """The pictures of the generation that is asked for, of which none is liked yet."""
        visitor.liked = set()
        visitor.generation = evolution.images(evolution.ask().codes)
        return self._shown(visitor)

    def _shown(self, visitor: Visitor) -> dict[Any, Any]:
        """The generation, with what is liked."""
        import gradio as gr

        pictures, evolution = visitor.generation, visitor.evolution
        assert pictures is not None and evolution is not None
        generation = evolution.ask()
        labels = ["liked" if number in visitor.liked else "" for number in range(len(pictures))]
        text = f"Generation {generation.number + 1}: click what you like ({len(visitor.liked)} so far), then ask for the next."
        return {
            self.tiles: widgets.tile_rows(pictures, labels, "picture", visitor.liked),
            self.status: widgets.said(text), self.tell: gr.Button(interactive=True),
            self.use: gr.Button(interactive=bool(visitor.liked)),
        }  # fmt: skip
