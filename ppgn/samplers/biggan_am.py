"""BigGAN-AM: a class embedding that makes what is asked for with any latent, found for a batch of latents at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import check_seeds, normal
from ppgn.types import ChainState, Code, Evaluation, Evaluator, Image, at_least_one, real, shown

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8
"""Of torch.optim.Adam, as released."""
SHORTEST = 1e-12
"""Distance of pictures below which they count as equal, and are not moved apart."""


@dataclass(frozen=True)
class BigGanAm:
    """Adam on the embedding c of codes (z, c): g = mean over z of d log p(y | G(z, clip(c))) / dc - weight_decay c.

    Li et al. 2020, "A cost-effective method for improving and re-purposing large, pre-trained GANs by fine-tuning their
    class-embeddings" (BigGAN-AM, 2019); the defaults are those of the released opts.yaml (github.com/qilimk/biggan-am). A chain
    is one embedding; `latents` latents z from N(0, 1) are drawn from its seed and share it, and are drawn anew after
    `steps_per_draw` steps. The embedding in the code is clipped to the code's space, the one under it is not, as released: where
    a unit is outside, weight_decay alone moves it. Latents are never clipped. The prior is not asked.

    diversity: weight of a second term, mean over pairs of latents of |G(z_i, c) - G(z_j, c)| / |z_i - z_j|, distances of pixels
    in [0, 1] and of latents. It couples the latents of a chain, never chains. Released: 0.1 for a sum of `latents` / 2 pairs
    drawn at each step and pictures in [-1, 1] of 224 px, which is 0.1 * latents / 2 * 2 * 224 / side here.

    embedding_units: how many of a code's last units are the embedding, 0 for half of them. A step takes a pass for each latent,
    and with diversity one without a gradient before it; its evaluation has the code and picture of the first one, log_prob and
    gradient are means over all. A chain carries the embedding and Adam's running means. Raises ValueError for counts below 1, a
    negative number, diversity of a single latent, and more embedding units than a code has.
    """

    step_size: Scale = 0.1
    weight_decay: float = 0.9
    latents: int = 10
    steps_per_draw: int = 20
    embedding_units: int = 0
    diversity: float = 0.0

    def __post_init__(self) -> None:
        check_scales("BigGAN-AM", step_size=self.step_size)
        for name in ("latents", "steps_per_draw"):
            at_least_one(name, getattr(self, name), "the released code has 10 latents and 20 steps")
        for name in ("weight_decay", "embedding_units", "diversity"):
            if not 0 <= real(getattr(self, name)) < math.inf:
                raise ValueError(f"BigGAN-AM got {name} {shown(getattr(self, name))}, expected at least 0: correct it")
        if self.diversity and self.latents < 2:
            raise ValueError("BigGAN-AM got diversity among 1 latent, expected at least 2: take more latents, or no diversity")

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
        units = embedding.shape[1]
        clipped = state.code[:, -units:]
        found = self._evaluated(objective, self._latents(state), clipped)
        evaluation = _mean(found)
        inside = clipped == embedding  # the gradient of torch.clamp
        gradient = torch.where(inside, evaluation.gradient[:, -units:], 0.0) - self.weight_decay * embedding
        first = FIRST_DECAY * state.carry["first"] + (1 - FIRST_DECAY) * gradient
        second = SECOND_DECAY * state.carry["second"] + (1 - SECOND_DECAY) * gradient.square()
        root = (second / (1 - SECOND_DECAY**count)).sqrt() + EPSILON
        moved = embedding + scale_at(self.step_size, state.step) * first / (1 - FIRST_DECAY**count) / root
        after = replace(state, step=count, carry={"embedding": moved, "first": first, "second": second})
        latent = self._latents(after)[:, 0]
        following = objective.space.clip(torch.cat([latent, moved], 1))[:, -units:]
        return replace(after, code=torch.cat([latent, following], 1)), evaluation

    def _evaluated(self, objective: Evaluator, latents: Tensor, embedding: Tensor) -> list[Evaluation]:
        """The evaluation of the embedding with each latent, `[chain, latent + embedding]`."""
        codes = [torch.cat([latents[:, member], embedding], 1) for member in range(self.latents)]
        if not self.diversity:
            return [objective.evaluate(code) for code in codes]
        images = torch.stack([objective.evaluate_without_gradient(code).image for code in codes], 1)
        weight = self.diversity * self.latents  # as the gradients of all latents are averaged

        def apart(member: int, gradient: Image) -> Image:
            return gradient + weight * diversity_gradient(images, latents, member)

        return [objective.evaluate(code, partial(apart, member)) for member, code in enumerate(codes)]

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


def diversity_gradient(images: Image, latents: Tensor, member: int) -> Image:
    """d (mean over pairs of |x_i - x_j| / |z_i - z_j|) / dx of one member, `[chain, channel, height, width]`.

    images: `[chain, latent, channel, height, width]`, latents: `[chain, latent, unit]`.
    """
    count = images.shape[1]
    others = [other for other in range(count) if other != member]
    difference = images[:, member, None] - images[:, others]
    distance = difference.flatten(2).norm(dim=2) * (latents[:, member, None] - latents[:, others]).norm(dim=2)
    share = 2 / (count * (count - 1)) / distance.clamp_min(SHORTEST)
    return (share[:, :, None, None, None] * difference).sum(1)


def _mean(found: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of the first latent, with log-probabilities and gradients that are means over all."""
    names = found[0].log_probs
    return replace(
        found[0],
        log_prob=torch.stack([one.log_prob for one in found]).mean(0),
        log_probs={name: torch.stack([one.log_probs[name] for one in found]).mean(0) for name in names},
        gradient=torch.stack([one.gradient for one in found]).mean(0),
    )
