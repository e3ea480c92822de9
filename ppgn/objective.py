"""Generator + prior + weighted conditions -> one Evaluation: the two directions of PPGN's Eq. 11 at a code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from ppgn.autocast import without_autocast
from ppgn.conditions import PerChain, select_chains, with_parts
from ppgn.priors import NoiseLevel
from ppgn.types import Code, CodeSpace, Condition, Evaluation, Generator, Image, LogProb, Prior, View

PICTURES_AT_ONCE, PICTURES_AT_ONCE_ELSEWHERE = 8, 64
"""Views, of all chains, that a condition sees in one pass. On a processor passes of 4 to 8 are fastest: a step of a ResNet-18 at
224 px takes 102 ms a picture alone, 81 in a pass of 6 and 87 in one of 24. 64 for an accelerator, as for chains."""


@dataclass(frozen=True)
class Term:
    """weight * condition(image), in nats, under the name that reports and errors use.

    plain: the same request at temperature 1, by which codes are scored; None where it is the condition itself.
    """

    name: str
    condition: Condition
    weight: float = 1.0
    plain: Condition | None = None


class Objective:
    """log p(y | G(code)) = sum over terms of weight * condition(G(code)), and the prior's direction beside it.

    space: bounds and spread of the codes, for samplers. code_condition: see `probe.Passes`, for starts. view: what conditions see
    of a picture at a step (`ppgn.views`); None is the picture itself. Raises ValueError when two terms have one name.
    """

    def __init__(
        self,
        generator: Generator,
        prior: Prior,
        terms: Sequence[Term] = (),
        space: CodeSpace | None = None,
        code_condition: Callable[[Any], Callable[[Code], LogProb]] | None = None,
        view: View | None = None,
    ) -> None:
        self.generator = generator
        self.prior = prior
        self.terms = tuple(terms)
        self.space = CodeSpace() if space is None else space
        self.code_condition = code_condition
        self.view = view
        names = [term.name for term in self.terms]
        if len(set(names)) != len(names):
            raise ValueError(f"an objective got the term names {names}, expected each once: rename one of the terms")

    @without_autocast()
    def evaluate(self, code: Code, image_gradient_rule: Callable[[Image], Image] | None = None) -> Evaluation:
        """One generator pass, each condition once, one backward pass to the code `[chain, *code]` and to nothing else.

        The gradient is that of the sum over chains, so it does not depend on how many chains run. image_gradient_rule
        changes it on its way, at the image: gradient = (dG/dh)^T rule(d log_prob / d image), for DGN-AM. The prior
        comes last and gets the image tensor that the conditions saw, so that an encoder can reuse a pass over it.
        Without terms no graph is built.

        Raises ValueError when the code is not floating-point `[chain, ...]`, when generator or condition is not
        differentiable, when a condition does not return one log-probability per chain, and when the rule's result or
        the prior's direction has another shape.
        """
        _check_code(code)
        with torch.inference_mode(False), torch.set_grad_enabled(bool(self.terms)):
            leaf = code.detach().clone().requires_grad_(bool(self.terms))
            image = self._image(leaf)
            log_probs = {term.name: _log_prob(term, image) for term in self.terms}
            weighted = [term.weight * log_probs[term.name] for term in self.terms]
            total = sum(weighted, start=leaf.new_zeros(len(leaf)))
            gradient = _gradient(total, image, leaf, image_gradient_rule) if self.terms else torch.zeros_like(leaf)
            with torch.no_grad():
                direction = self._direction(leaf.detach(), image)
        detached = {name: value.detach() for name, value in log_probs.items()}
        return Evaluation(leaf.detach(), image.detach(), total.detach(), detached, direction, gradient)

    @without_autocast()
    def evaluate_without_gradient(self, code: Code) -> Evaluation:
        """The evaluation of codes `[chain, *code]` for searches that need no gradient: direction and gradient are 0."""
        _check_code(code)
        with torch.inference_mode(False), torch.no_grad():
            code = _versioned(code.detach())
            image = self.generator(code)
            log_probs = {term.name: _checked(term.name, term.condition(image), image) for term in self.terms}
            total = sum((term.weight * log_probs[term.name] for term in self.terms), start=image.new_zeros(len(image)))
            nothing = torch.zeros_like(code)
        return Evaluation(code, image, total, log_probs, nothing, nothing)

    @without_autocast()
    def score(self, code: Code) -> LogProb:
        """log p(y | G(code)) of codes `[chain, *code]` at temperature 1, `[chain]`: one generator pass and no gradient.

        By it a start is chosen among several, a chain accepted, and a search without gradients led. Conditions need not be
        differentiable.
        """
        _check_code(code)
        with torch.inference_mode(False), torch.no_grad():
            return self.score_image(self.generator(_versioned(code)))

    @without_autocast()
    def score_image(self, image: Image) -> LogProb:
        """The score of images `[chain, channel, height, width]`, without a generator pass."""
        with torch.inference_mode(False), torch.no_grad():
            image = _versioned(image)
            values = (term.weight * _checked(term.name, (term.plain or term.condition)(image), image) for term in self.terms)
            return sum(values, start=image.new_zeros(len(image)))

    def at_step(self, seeds: Sequence[int], step: int) -> Objective:
        """The objective of a step: conditions see the views that each chain's seed and the step give, scores the picture."""
        view = self.view
        if view is None or not view.views:
            return self

        def seen(term: Term) -> Condition:
            return lambda image: _of_views(term, view(image, seeds, step)).mean(0)

        terms = [replace(term, condition=seen(term), plain=term.plain or term.condition) for term in self.terms]
        return Objective(self.generator, self.prior, terms, self.space, self.code_condition)

    def at_level(self, level: float, through: bool = True, offset: Tensor | None = None) -> Objective:
        """The objective of codes with noise of this level: conditions see the image of the code that the prior has denoised.

        At level 0 that is the code itself, and no prior runs. through: whether gradients go through the prior's denoiser; if
        not, the factor 1 / (1 + level^2) takes the place of its Jacobian, as it is for standard normal codes. offset: added to
        denoised codes before their image is made. Raises ValueError for a prior that knows no noise levels.
        """
        if level == 0:
            clean = _Denoised(_NoNoise(), 0.0, through)
            return Objective(_shifted(self.generator, clean.denoised, offset), clean, self.terms, self.space)
        if not isinstance(self.prior, _HasLevels):
            raise ValueError(
                f"noise levels were asked of the prior {type(self.prior).__name__}, expected one that knows them: use a "
                f"noise-level prior, or a sampler without levels"
            )
        prior = _Denoised(self.prior.at_level(level), level, through)
        return Objective(_shifted(self.generator, prior.denoised, offset), prior, self.terms, self.space)

    def _image(self, leaf: Code) -> Image:
        image = self.generator(leaf)
        if leaf.requires_grad and not _depends_on(image, leaf):
            raise ValueError(
                "the generator returned an image without a gradient to the code, expected a differentiable one: "
                "remove detach, no_grad or NumPy from the generator"
            )
        return image

    def _direction(self, code: Code, image: Image) -> Code:
        direction = self.prior(code, image)
        if direction.shape != code.shape:
            raise ValueError(
                f"the prior returned shape {tuple(direction.shape)}, expected the code's {tuple(code.shape)}: "
                f"return one direction per chain"
            )
        return direction.detach().to(code.dtype)


@runtime_checkable
class _HasLevels(Protocol):
    """A prior that knows noise levels: `at_level` gives a prior that also has `denoised(code)`."""

    def at_level(self, level: float) -> Any: ...


class _NoNoise:
    """The prior of codes without noise, which leaves them where they are."""

    def denoised(self, code: Code) -> Code:
        return code

    def __call__(self, code: Code, image: Image) -> Code:
        return torch.zeros_like(code)


class _Denoised:
    """A prior at a level whose denoiser runs once for the image and the direction of the same code."""

    def __init__(self, prior: Any, level: float, through: bool) -> None:
        self.prior, self.level, self.through = prior, level, through
        self._known: tuple[Code, Code] | None = None

    def denoised(self, code: Code) -> Code:
        """The denoised code `[chain, *code]`, with a graph through the denoiser, or past it."""
        with torch.set_grad_enabled(self.through and torch.is_grad_enabled()):
            found = self.prior.denoised(code)
        self._known = code.detach(), found.detach()
        return found if self.through else found.detach() + (code - code.detach()) / (1 + self.level**2)

    def __call__(self, code: Code, image: Image) -> Code:
        if isinstance(self.prior, NoiseLevel) and self._known is not None and torch.equal(self._known[0], code):
            return self._known[1] - code
        return self.prior(code, image)


def _shifted(generator: Generator, denoised: Callable[[Code], Code], offset: Tensor | None) -> Generator:
    return lambda code: generator(denoised(code) if offset is None else denoised(code) + offset)


def _gradient(total: LogProb, image: Image, leaf: Code, rule: Callable[[Image], Image] | None) -> Code:
    if rule is None:
        return torch.autograd.grad(total.sum(), leaf)[0]
    at_image = rule(torch.autograd.grad(total.sum(), image)[0])
    if at_image.shape != image.shape:
        raise ValueError(
            f"the image_gradient_rule returned shape {tuple(at_image.shape)}, expected the image's {tuple(image.shape)}: "
            f"return one gradient per pixel"
        )
    return torch.autograd.grad(image, leaf, at_image)[0]


def _of_views(term: Term, views: Tensor) -> Tensor:
    """The condition's values `[view, chain]` for views `[view, chain, channel, height, width]`.

    Where the condition can be asked for any of its chains, several views of each go through it in a pass.
    """
    condition, chains = term.condition, views.shape[1]
    together = all(isinstance(part, PerChain) and not getattr(part, "couples", False) for part in with_parts(condition))
    most = PICTURES_AT_ONCE if views.device.type == "cpu" else PICTURES_AT_ONCE_ELSEWHERE
    values = []
    for some in views.split(max(1, most // chains) if together else 1):
        asked = condition if len(some) == 1 else select_chains(condition, list(range(chains)) * len(some))
        image = some.flatten(0, 1)
        values.append(_checked(term.name, asked(image), image).unflatten(0, (len(some), chains)))
    return torch.cat(values)


def _versioned(tensor: Tensor) -> Tensor:
    """The tensor, or a copy of one made in inference mode, which has no version; passes are shared by it."""
    return tensor.clone() if tensor.is_inference() else tensor


def _check_code(code: Code) -> None:
    if code.ndim < 1 or not code.is_floating_point():
        raise ValueError(
            f"an objective got a code of shape {tuple(code.shape)} and {code.dtype}, expected floating-point "
            f"[chain, *code]: add a chain axis or convert it"
        )


def _log_prob(term: Term, image: Image) -> LogProb:
    value = _checked(term.name, term.condition(image), image)
    if not _depends_on(value, image):
        raise ValueError(
            f"the condition {term.name!r} is not connected to the image, expected a log-probability with a "
            f"gradient to it: remove detach, no_grad, argmax or NumPy from the condition"
        )
    return value


def _checked(name: str, value: Any, image: Image) -> LogProb:
    if not isinstance(value, Tensor) or value.shape != (len(image),):
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"the condition {name!r} returned {got}, expected a tensor of shape ({len(image)},): "
            f"return one log-probability per chain, not a mean or a sum over chains"
        )
    return value


def _depends_on(value: Tensor, source: Tensor) -> bool:
    """Whether the autograd graph of value reaches source; weights that require gradients do not count."""
    if not value.requires_grad or not source.requires_grad:
        return False
    goal = get_gradient_edge(source).node
    pending, seen = [get_gradient_edge(value).node], set()
    while pending:
        node = pending.pop()
        if node is goal:
            return True
        if node not in seen:
            seen.add(node)
            pending.extend(parent for parent, _ in reversed(node.next_functions) if parent is not None)
    return False
