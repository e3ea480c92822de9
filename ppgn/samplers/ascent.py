"""The gradient ascent of the released DGN-AM code (Nguyen et al. 2016, "Synthesizing the preferred inputs")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppgn.samplers.langevin import update
from ppgn.samplers.released import unit_mean
from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, Evaluation, Evaluator, real, shown


@dataclass(frozen=True)
class Ascent:
    """h' = decay * clip(h + step_size * g / mean|g|),   g = (dG/dh)^T (d / mean|d|),   d = d log p(y | x) / dx at x = G(h).

    Both means are taken per chain, over its pixels and its units, so mean|dh| is step_size before the clip. Where d is 0 only
    clip and decay act. prior_scale: of the objective's prior, whose direction is added before the clip. Scales: a number or a
    schedule.

    As released: the objective is a raw activation and has NoPrior, step_size is `Linear(8.0, 1e-10, 200)` (from a real picture 30
    steps of 1.0), codes are clipped to [0, mean + 3 std] of each unit over real pictures, decay is 0.99, there is no noise. The
    picture that the released code keeps is that of the last step plus step_size * d / mean|d|, which is less than a pixel level
    there; here it is G(h). Raises ValueError unless 0 < decay <= 1, and for negative scales.
    """

    step_size: Scale
    decay: float = 0.99
    prior_scale: Scale = 1.0

    def __post_init__(self) -> None:
        check_scales("an ascent", step_size=self.step_size, prior_scale=self.prior_scale)
        if not 0 < real(self.decay) <= 1:
            raise ValueError(
                f"an ascent got decay {shown(self.decay)}, expected it in (0, 1]: pass 0.99 as released, or 1 for none"
            )

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]`, not clipped, one seed per chain (else ValueError)."""
        return ChainState(code.detach().clone(), check_seeds(seeds))

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it, whose gradient is g."""
        evaluation = objective.evaluate(state.code, image_gradient_rule=unit_mean)
        scales = [scale_at(scale, state.step) for scale in (self.prior_scale, self.step_size)]
        code = update(state.code, evaluation.direction, unit_mean(evaluation.gradient), 0.0, *scales, noise_scale=0.0)
        code = self.decay * objective.space.clip(code)
        return ChainState(code, state.seeds, state.step + 1, state.carry), evaluation
