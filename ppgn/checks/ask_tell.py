"""The contract of searches without gradients: `ask` proposes codes, `tell` takes their scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ppgn.checks import rules, states
from ppgn.checks.invariance import ABSOLUTE, Quantity
from ppgn.checks.plugin import Plugin
from ppgn.types import AskTell, ChainState, Code

WHO = "the search"
ROUNDS = 4
SEEDED = "draw random numbers only by ppgn.seeds.normal(state.seeds, state.step, ...)"
CARRIED = "put what it remembers into the carry of the ChainState"
TWICE = "between two calls on one state"


def check_ask_tell(rule: AskTell, code: Code, *, tolerance: float = 1e-3) -> None:
    """`init`, `ask` and `tell` from code `[chain, *code]`: nothing is remembered outside the ChainState, which is not changed.

    ask(state) gives finite codes `[chain, population, *code]`, and the same ones for the same state, whatever else was asked
    or told meanwhile. tell(state, scores `[chain, population]`) gives the next state, whose code scores no worse than the best
    score told so far. 4 rounds with a closed-form score are the same when run twice, when resumed after 2 from `state_dict`,
    and for each chain alone. No network that the rule holds runs BatchNorm or dropout in train mode. Raises ValueError with
    the cause and the fix of the first rule it breaks.
    """
    plugin = Plugin(WHO, rule)
    rules.check_chains(WHO, "a code", code)
    seeds = tuple(range(len(code)))
    start = rule.init(code, seeds)
    states.check_start(WHO, start, code, seeds)
    asked = _check_ask(plugin, rule, start, tolerance)
    after = _check_tell(plugin, rule, start, asked, tolerance)
    _check_pure(rule, start, after, asked, tolerance)
    for member in (0, -1):
        _check_best(rule, start, asked[:, member], tolerance, rounds=1)
    _check_best(rule, start, _target(start.code), tolerance, rounds=ROUNDS)
    _check_runs(plugin, rule, code, seeds, tolerance)


def _check_ask(plugin: Plugin, rule: AskTell, state: ChainState, tolerance: float) -> Code:
    """The codes that the rule asks for: floating-point, of the right shape, finite, the same when asked again."""
    copy = states.Copy.of(state)
    with plugin.watched(state.code):
        asked = rule.ask(state)
    copy.check_unchanged(f"{WHO}'s ask")
    if not isinstance(asked, Tensor) or not asked.is_floating_point():
        got = f"a tensor of {asked.dtype}" if isinstance(asked, Tensor) else type(asked).__name__
        raise ValueError(f"{WHO}'s ask returned {got}, expected floating-point codes: convert them to state.code's dtype")
    chains, *units = state.code.shape
    if asked.ndim != state.code.ndim + 1 or asked.shape[1] < 1 or (asked.shape[0], *asked.shape[2:]) != (chains, *units):
        raise ValueError(
            f"{WHO}'s ask returned shape {tuple(asked.shape)}, expected [{chains}, population, {', '.join(map(str, units))}] "
            f"with a population of at least 1: return a population for each chain, the chain's axis first"
        )
    if asked.device != state.code.device:
        raise ValueError(
            f"{WHO}'s ask returned codes on {asked.device} for a state on {state.code.device}, expected one device: move them "
            f"with .to(state.code)"
        )
    rules.check_finite(f"{WHO}'s ask", asked)
    states.check_runs(f"{WHO}'s ask", TWICE, f"{SEEDED}, and {CARRIED}", rule.ask(state), asked, tolerance)
    return asked


def _check_tell(plugin: Plugin, rule: AskTell, state: ChainState, asked: Code, tolerance: float) -> ChainState:
    """The state after one round: the next one of the same chains, the same when told again, with nothing else changed."""
    copy, scores = states.Copy.of(state), _scores(asked, _target(state.code))
    told = scores.clone()
    with plugin.watched(state.code):
        after = rule.tell(state, told)
    copy.check_unchanged(f"{WHO}'s tell")
    if not torch.equal(told, scores):
        raise ValueError(f"{WHO}'s tell changed the scores it was given, expected them left as they were: do not work in place")
    states.check_next(WHO, "tell", state, after)
    rules.check_finite(f"{WHO}'s tell", after.code)
    again = rule.tell(state, scores)
    fix = f"{SEEDED}, and {CARRIED}"
    states.check_runs(f"{WHO}'s tell", TWICE, fix, _known(rule, again), _known(rule, after), tolerance)
    return after


def _check_pure(rule: AskTell, start: ChainState, after: ChainState, asked: Code, tolerance: float) -> None:
    """ask and tell give the same for a state after they have seen another one."""
    where = f"{TWICE} with another state asked in between"
    rule.ask(after)
    states.check_runs(f"{WHO}'s ask", where, CARRIED, rule.ask(start), asked, tolerance)
    rule.ask(after)
    again = rule.tell(start, _scores(asked, _target(start.code)))
    fix = f"make the codes anew by self.ask(state) inside tell, or {CARRIED}"
    states.check_runs(f"{WHO}'s tell", where, fix, _known(rule, again), _known(rule, after), tolerance)


def _check_best(rule: AskTell, state: ChainState, target: Tensor, tolerance: float, rounds: int) -> None:
    """After each round the state's code scores no worse than the best score told so far."""
    best = torch.full_like(state.code.flatten(1)[:, 0], -torch.inf)
    for _ in range(rounds):
        scores = _scores(rule.ask(state), target)
        best = torch.maximum(best, scores.amax(1))
        state = rule.tell(state, scores)
        lost = best - _scores(state.code[:, None], target)[:, 0]
        allowed = tolerance * float(scores.abs().max()) + ABSOLUTE
        if bool((lost > allowed).any()):
            raise ValueError(
                f"{WHO} lost the best code it was told of: after tell at step {state.step - 1} the state's code of chain "
                f"{int(lost.argmax())} scores {float(lost.max()):.3g} less, expected at most {allowed:.3g}: higher scores are "
                f"better, and the best code known is kept as state.code"
            )


def _check_runs(plugin: Plugin, rule: AskTell, code: Code, seeds: tuple[int, ...], tolerance: float) -> None:
    """4 rounds are the same run twice, resumed after 2, and for each chain alone."""
    start = rule.init(code, seeds)
    middle = _rounds(rule, start, ROUNDS // 2)
    expected = _known(rule, _rounds(rule, middle, ROUNDS - ROUNDS // 2))
    rules.check_finite(WHO, expected)
    again = _known(rule, _rounds(rule, rule.init(code, seeds), ROUNDS))
    states.check_runs(WHO, "between two runs", f"{SEEDED}, and {CARRIED}", again, expected, tolerance)
    resumed = ChainState.from_state_dict(middle.state_dict())
    resumed = _known(rule, _rounds(rule, resumed, ROUNDS - ROUNDS // 2))
    states.check_runs(WHO, "between a resumed and an uninterrupted run", CARRIED, resumed, expected, tolerance)
    batches = (code, torch.tensor(seeds))
    for rounds in (0, 1, ROUNDS):
        run = _runner(rule, rounds)
        Quantity(plugin, WHO, run, batches, run(*batches), tolerance, steep=True).check_independent()


def _runner(rule: AskTell, rounds: int) -> Callable[[Code, Tensor], Code]:
    """(first codes, their seeds) -> best code and proposals after so many rounds."""
    return lambda code, seeds: _known(rule, _rounds(rule, rule.init(code, tuple(seeds.tolist())), rounds))


def _rounds(rule: AskTell, state: ChainState, rounds: int) -> ChainState:
    for _ in range(rounds):
        state = rule.tell(state, _scores(rule.ask(state), _target(state.code)))
    return state


def _known(rule: AskTell, state: ChainState) -> Code:
    """The best code and the next proposals: `[chain, 1 + population, *code]`."""
    return torch.cat([state.code[:, None], rule.ask(state)], 1)


def _target(code: Code) -> Tensor:
    """A code without a pattern, in [-1, 1], the same for every chain: `[1, *code]`."""
    units = code.shape[1:]
    return torch.cos(torch.arange(units.numel(), device=code.device, dtype=code.dtype) ** 1.5).reshape(1, *units)


def _scores(codes: Code, target: Tensor) -> Tensor:
    """Minus the mean squared distance of codes `[chain, population, *code]` to the target: `[chain, population]`."""
    return -(codes - target[:, None]).flatten(2).square().mean(2)
