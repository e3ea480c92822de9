"""A search without gradients as a sampler, so that it runs in the same loop as every other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ppgn.samplers.schedules import bound
from ppgn.types import AskTell, ChainState, Code, CodeSpace, Evaluation, Evaluator


@dataclass(frozen=True)
class Searched:
    """One round per step: codes = rule.ask(state), clipped to the code space, are scored, and rule.tell(state, scores) follows.

    Needs no gradient and no prior. A round takes a generator pass for each member of the population and one for the evaluation,
    which is that of the state's code before the round, with a direction and a gradient of 0. Raises ValueError when the rule asks
    for another shape than `[chain, population, *code]`.
    """

    rule: AskTell

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> Searched:
        """The same with the schedules of the rule set over a run of `steps` rounds from round `begin` on."""
        return replace(self, rule=bound(self.rule, steps, begin, space))

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The first state of the rule: code `[chain, *code]`, one seed per chain."""
        return self.rule.init(code, seeds)

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the round, and the evaluation of the code before it."""
        asked = self.rule.ask(state)
        if asked.ndim != state.code.ndim + 1 or asked.shape[0] != len(state.code) or asked.shape[2:] != state.code.shape[1:]:
            raise ValueError(
                f"a search asked for codes of shape {tuple(asked.shape)}, expected [chain, population, *code] for codes of shape "
                f"{tuple(state.code.shape)}: return a population for each chain"
            )
        codes = objective.space.clip(asked)
        scores = torch.stack([objective.score(codes[:, member]) for member in range(codes.shape[1])], 1)
        after = self.rule.tell(state, scores)
        return replace(after, code=objective.space.clip(after.code)), objective.evaluate_without_gradient(state.code)
