"""BigGAN-AM: a class embedding that makes what is asked for with any latent, found for a batch of latents at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import check_seeds, normal
from ppgn.types import ChainState, Code, Evaluation, Evaluator, at_least_one, real, shown

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8
"""Of torch.optim.Adam, as released."""


@dataclass(frozen=True)
class BigGanAm:
    """Adam on the embedding c of codes (z, c): g = mean over z of d log p(y | G(z, clip(c))) / dc - weight_decay c.

    Li et al. 2020, "A cost-effective method for improving and re-purposing large, pre-trained GANs by fine-tuning their
    class-embeddings" (BigGAN-AM, 2019); the defaults are those of the released opts.yaml (github.com/qilimk/biggan-am). A chain
    is one embedding; `latents` latents z from N(0, 1) are drawn from its seed and share it, and are drawn anew after
    `steps_per_draw` steps. The code is clipped to its space, the embedding under it is not, as released: where a unit is outside,
    weight_decay alone moves it. The prior is not asked.

    embedding_units: how many of a code's last units are the embedding, 0 for half of them. A step takes a pass for each latent;
    its evaluation has the code and picture of the first one, log_prob and gradient are means over all. A chain carries the
    embedding and Adam's running means. Raises ValueError for counts below 1, a negative weight_decay, and more embedding units
    than a code has.
    """

    step_size: Scale = 0.1
    weight_decay: float = 0.9
    latents: int = 10
    steps_per_draw: int = 20
    embedding_units: int = 0

    def __post_init__(self) -> None:
        check_scales("BigGAN-AM", step_size=self.step_size)
        for name in ("latents", "steps_per_draw"):
            at_least_one(name, getattr(self, name), "the released code has 10 latents and 20 steps")
        if not 0 <= real(self.weight_decay) < math.inf or not real(self.embedding_units) >= 0:
            raise ValueError(
                f"BigGAN-AM got weight_decay {shown(self.weight_decay)} and embedding_units {shown(self.embedding_units)}, "
                f"expected at least 0: correct them"
            )

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: the embeddings of codes `[chain, latent + embedding]`, and the first latents."""
        units = self._units(code)
        embedding = code.detach()[:, -units:].clone()
        carry = {"embedding": embedding, "first": torch.zeros_like(embedding), "second": torch.zeros_like(embedding)}
        state = ChainState(code.detach().clone(), check_seeds(seeds), 0, carry)
        return replace(state, code=torch.cat([self._latents(state)[:, 0], embedding], 1))

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation before it."""
        embedding, count = state.carry["embedding"], state.step + 1
        units, latents = embedding.shape[1], self._latents(state)
        clipped = [objective.space.clip(torch.cat([latents[:, member], embedding], 1)) for member in range(self.latents)]
        found = [objective.evaluate(code) for code in clipped]
        mean = torch.stack([one.gradient for one in found]).mean(0)
        inside = clipped[0][:, -units:] == embedding  # the gradient of torch.clamp
        gradient = torch.where(inside, mean[:, -units:], 0.0) - self.weight_decay * embedding
        first = FIRST_DECAY * state.carry["first"] + (1 - FIRST_DECAY) * gradient
        second = SECOND_DECAY * state.carry["second"] + (1 - SECOND_DECAY) * gradient.square()
        root = (second / (1 - SECOND_DECAY**count)).sqrt() + EPSILON
        moved = embedding + scale_at(self.step_size, state.step) * first / (1 - FIRST_DECAY**count) / root
        after = replace(state, step=count, carry={"embedding": moved, "first": first, "second": second})
        code = objective.space.clip(torch.cat([self._latents(after)[:, 0], moved], 1))
        return replace(after, code=code), _mean(found)

    def _units(self, code: Code) -> int:
        units = self.embedding_units or (code[0].numel() + 1) // 2
        if code.ndim != 2 or units > code.shape[1]:
            raise ValueError(
                f"BigGAN-AM got codes of shape {list(code.shape)} for {units} embedding units, expected [chain, latent + "
                f"embedding]: use a class-conditional generator, and the size of its embedding"
            )
        return units

    def _latents(self, state: ChainState) -> Tensor:
        """The latents of a step, `[chain, latent, unit]`."""
        code = state.code
        shape = (self.latents, code.shape[1] - state.carry["embedding"].shape[1])
        return normal(state.seeds, state.step // self.steps_per_draw, shape, dtype=code.dtype, device=code.device)


def _mean(found: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of the first latent, with log-probabilities and gradients that are means over all."""
    names = found[0].log_probs
    return replace(
        found[0],
        log_prob=torch.stack([one.log_prob for one in found]).mean(0),
        log_probs={name: torch.stack([one.log_probs[name] for one in found]).mean(0) for name in names},
        gradient=torch.stack([one.gradient for one in found]).mean(0),
    )
