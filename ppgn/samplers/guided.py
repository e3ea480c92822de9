"""Training-free guidance along falling noise levels: DPS, FreeDoM, universal guidance and TFG as one step with fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ppgn.samplers.langevin import at_most, noise_for, root_mean_square
from ppgn.samplers.schedules import Spaced
from ppgn.seeds import Stream, check_seeds, normal
from ppgn.types import ChainState, Code, CodeSpace, Evaluation, Evaluator, LogProb, real, shown

Rule = Callable[[Tensor, LogProb, Tensor, float, float], Tensor]


def _dps(gradient: Tensor, log_prob: LogProb, noise: Tensor, level: float, following: float) -> Tensor:
    """-d r / dx_t at x_(t-1), r = sqrt(-2 log p), |y - A(x)| for a Gaussian likelihood (Chung et al. 2023, Algorithm 1, with the
    step size zeta / |y - A(x)| of Section 4; condition_methods.py): sqrt((1 + s^2) (1 + t^2)) g / r."""
    distance = (2 * log_prob.abs()).sqrt().clamp_min(1e-6).reshape(-1, *[1] * (gradient.ndim - 1))
    return math.sqrt((1 + level**2) * (1 + following**2)) * gradient / distance


def _freedom(gradient: Tensor, log_prob: LogProb, noise: Tensor, level: float, following: float) -> Tensor:
    """A step of the size of the noise that is lost, |z - D| (1 - t^2 / s^2), whatever the gradient's (Yu et al. 2023; the rule
    for ImageNet in denoising.py, clip_ddim_diffusion)."""
    size = root_mean_square(gradient).clamp_min(torch.finfo(gradient.dtype).tiny)
    return root_mean_square(noise) * (1 - (following / level) ** 2) * gradient / size


def _universal(gradient: Tensor, log_prob: LogProb, noise: Tensor, level: float, following: float) -> Tensor:
    """s^2 g of the clean code, which sqrt(1 - abar) d log p / dx_t is for the predicted noise (Bansal et al. 2023, Eq. 5)."""
    return level**2 * gradient


def _tfg(gradient: Tensor, log_prob: LogProb, noise: Tensor, level: float, following: float) -> Tensor:
    """d log p / dx_t / sqrt(alpha_t) at x_(t-1) (Ye et al. 2024, Algorithm 1, line 9): (1 + s^2) g."""
    return (1 + level**2) * gradient


RULES: dict[str, Rule] = {"dps": _dps, "freedom": _freedom, "universal_guidance": _universal, "tfg": _tfg}
"""Name -> the move of the condition, in standardised codes, by g = d log p / dz and z - D `[chain, *code]` and log p `[chain]`,
from the level s to the following t. Papers write x_t = sqrt(abar) z with s^2 = (1 - abar) / abar."""
SCHEDULES = ("constant", "increase", "decrease")


@dataclass(frozen=True)
class Guided:
    """Steps of a diffusion sampler from level to level, each guided by a condition on the picture of the denoised code.

    With D = D(z; s) of z = code + s n, x = log p(y | G(D)), and n, n' ~ N(0, 1), a step from the level s to the following t is

        z' = D + move + delta + sqrt(t^2 - c^2) (z - D) / s + c n,    c = eta (t / s) sqrt(s^2 - t^2)   (DDIM, Song et al. 2021)

    move = condition_scale * the rule's function of d x / dz (`RULES`). delta: the way of `clean_steps` steps of ascent on
    log p(y | G(D + delta)), of size clean_scale. For universal guidance D + move + delta takes the place of D everywhere.
    Recurrence (time travel): at each level between `recur_lowest` and `recur_highest` noise brings the code recurrences - 1 times
    back from t to s, z = z' + sqrt(s^2 - t^2) n', and the step is made again.

    levels: of the noise, falling, a sequence or `Spaced`; the last step goes to 0. schedule: of condition_scale and clean_scale,
    in proportion to 1, to alpha = (1 + t^2) / (1 + s^2) ("increase") or to 1 - alpha ("decrease"), 1 on average (TFG, Section
    4.2). smoothing: standard deviation of noise on the denoised codes times s / sqrt(1 + s^2), of whose pictures log p is the log
    of the mean over smoothing_draws (TFG, f tilde). through: whether gradients go through the score model; if not, 1 / (1 + s^2)
    takes the place of its Jacobian, that of codes ~ N(0, 1), and no graph of it is built. condition_limit: the most that move
    and delta may be together, as a root mean square over units in standard deviations; 0 is no limit. spread: the code units of a
    level of 1, which `bound` takes from the code space. A step is an evaluation of the score model and of the picture, and
    clean_steps * smoothing_draws evaluations of the picture.

    Raises ValueError for an unknown rule or schedule, and for numbers out of range.
    """

    rule: str = "universal_guidance"
    levels: Spaced | Sequence[float] = Spaced(20.0, 0.02)
    condition_scale: float = 1.0
    schedule: str = "constant"
    clean_steps: int = 0
    clean_scale: float = 0.0
    eta: float = 0.0
    recurrences: int = 1
    recur_lowest: float = 0.0
    recur_highest: float = 1e9
    smoothing: float = 0.0
    smoothing_draws: int = 1
    through: bool = True
    condition_limit: float = 0.0
    spread: float | Tensor = field(default=1.0, metadata={"setting": False})

    def __post_init__(self) -> None:
        if self.rule not in RULES or self.schedule not in SCHEDULES:
            wrong = ("rule", self.rule, RULES) if self.rule not in RULES else ("schedule", self.schedule, SCHEDULES)
            raise ValueError(f"a guided sampler got {wrong[0]} {wrong[1]!r}, expected {', '.join(wrong[2])}: choose one of them")
        names = ("condition_scale", "clean_scale", "eta", "recur_lowest", "recur_highest", "smoothing", "condition_limit")
        for name in names:
            if not 0 <= real(getattr(self, name)) < math.inf:
                raise ValueError(
                    f"a guided sampler got {name} {shown(getattr(self, name))}, expected finite numbers of at least 0: correct it"
                )
        for name, least in {"clean_steps": 0, "recurrences": 1, "smoothing_draws": 1}.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"a guided sampler got {name} {shown(value)}, expected a whole number of at least {least}: correct it"
                )
        levels = [real(level) for level in self.levels] if isinstance(self.levels, Sequence) else []
        falls = all(a > b for a, b in zip(levels, levels[1:], strict=False))
        if not isinstance(self.levels, Spaced) and not (levels and levels[-1] > 0 and levels[0] < math.inf and falls):
            raise ValueError(f"a guided sampler got the levels {shown(self.levels)}, expected falling ones above 0: sort them")
        if self.eta > 1:
            raise ValueError(f"a guided sampler got eta {self.eta}, expected it in [0, 1]: 0 adds no noise, 1 is ancestral")

    @property
    def plan(self) -> tuple[tuple[float, float, bool], ...]:
        """(level, following level, whether the step is made again after it) of each update."""
        levels = tuple(self.levels.levels if isinstance(self.levels, Spaced) else self.levels)
        made: list[tuple[float, float, bool]] = []
        for level, following in zip(levels, (*levels[1:], 0.0), strict=True):
            inside = self.recur_lowest <= level <= self.recur_highest
            times = self.recurrences if inside and following else 1  # from no noise at all nothing is to be corrected
            made += [(level, following, again < times - 1) for again in range(times)]
        return tuple(made)

    @property
    def updates(self) -> int:
        """The number of updates from the first level to a code without noise."""
        return len(self.plan)

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> Guided:
        """The same with as many levels as a run of `steps` steps goes through, and with the spread of the codes."""
        made = replace(self, spread=self.spread if space.std is None else space.std)
        if not (isinstance(self.levels, Spaced) and self.levels.count is None):
            return made
        counts = range(max(1, steps - 1), 0, -1)
        tried = (replace(made, levels=replace(self.levels, count=count)) for count in counts)
        return next((one for one in tried if one.updates < steps), replace(made, levels=replace(self.levels, count=1)))

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]` plus noise of the first level; ValueError unless one seed per
        chain is given."""
        noise = normal(seeds, 0, code.shape[1:], stream=Stream.FIRST_LEVEL, dtype=code.dtype, device=code.device)
        return ChainState(code.detach() + self.plan[0][0] * self.spread * noise, check_seeds(seeds))

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        plan, code = self.plan, state.code
        if state.step >= len(plan):
            return replace(state, step=state.step + 1), objective.at_level(plan[-1][0]).evaluate(code)
        level, following, again = plan[state.step]
        offsets = self._offsets(state, level)
        evaluation, gradient, log_prob = _smoothed([objective.at_level(level, self.through, one) for one in offsets], code)
        clean, strength = code + evaluation.direction, self._strength(level, following)
        noise = -evaluation.direction / self.spread
        move = strength * self.condition_scale * RULES[self.rule](gradient * self.spread, log_prob, noise, level, following)
        delta = self._delta(objective, clean, offsets, strength)
        push = self.spread * move + delta
        if self.condition_limit:
            push = push * at_most(root_mean_square(push / self.spread), self.condition_limit)
        fresh = self.eta * following / level * math.sqrt(level**2 - following**2)
        kept = math.sqrt(following**2 - fresh**2) / level
        centre = clean + push if self.rule == "universal_guidance" else clean
        moved = clean + push + kept * (code - centre)
        if fresh:
            moved = moved + fresh * self.spread * noise_for(state, fresh)
        if again:
            like: Any = {"dtype": code.dtype, "device": code.device}
            back = normal(state.seeds, state.step, code.shape[1:], stream=Stream.RECURRENCE, **like)
            moved = moved + math.sqrt(level**2 - following**2) * self.spread * back
        return replace(state, code=moved, step=state.step + 1), evaluation

    def _offsets(self, state: ChainState, level: float) -> list[Tensor | None]:
        """What is added to denoised codes before their pictures are made, for each draw of the smoothing."""
        if not self.smoothing:
            return [None]
        size, draws, code = self.smoothing * level / math.sqrt(1 + level**2), self.smoothing_draws, state.code
        like: Any = {"dtype": code.dtype, "device": code.device}
        numbers = range(state.step * draws, (state.step + 1) * draws)
        noise = (normal(state.seeds, number, code.shape[1:], stream=Stream.SMOOTHING, **like) for number in numbers)
        return [size * self.spread * one for one in noise]

    def _strength(self, level: float, following: float) -> float:
        if self.schedule == "constant":
            return 1.0
        values = {(s, t): (1 + t**2) / (1 + s**2) for s, t, _ in self.plan}
        weighed = {pair: one if self.schedule == "increase" else 1 - one for pair, one in values.items()}
        return weighed[level, following] * len(weighed) / sum(weighed.values())

    def _delta(self, objective: Evaluator, clean: Code, offsets: Sequence[Tensor | None], strength: float) -> Tensor:
        delta = torch.zeros_like(clean)
        if not self.clean_scale:
            return delta
        pictures = [objective.at_level(0.0, offset=one) for one in offsets]
        for _ in range(self.clean_steps):
            gradient = _smoothed(pictures, clean + delta)[1]
            delta = delta + strength * self.clean_scale * self.spread**2 * gradient
        return delta


def _smoothed(objectives: Sequence[Evaluator], code: Code) -> tuple[Evaluation, Code, LogProb]:
    """(the first evaluation, gradient and value of the log of the mean over the objectives' probabilities)."""
    found = [one.evaluate(code) for one in objectives]
    if len(found) == 1:
        return found[0], found[0].gradient, found[0].log_prob
    values = torch.stack([one.log_prob for one in found])
    shares = values.softmax(0).reshape(*values.shape, *[1] * (code.ndim - 1))
    gradient = (shares * torch.stack([one.gradient for one in found])).sum(0)
    return found[0], gradient, values.logsumexp(0) - math.log(len(found))
