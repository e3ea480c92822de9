"""Generator + prior + weighted conditions -> one Evaluation: the two directions of PPGN's Eq. 11 at a code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from ppgn.types import Code, Condition, Evaluation, Generator, Image, LogProb, Prior


@dataclass(frozen=True)
class Term:
    """weight * condition(image), in nats, under the name that reports and errors use."""

    name: str
    condition: Condition
    weight: float = 1.0


class Objective:
    """log p(y | G(code)) = sum over terms of weight * condition(G(code)), and the prior's direction beside it.

    Raises ValueError when two terms have one name.
    """

    def __init__(self, generator: Generator, prior: Prior, terms: Sequence[Term] = ()) -> None:
        self.generator = generator
        self.prior = prior
        self.terms = tuple(terms)
        names = [term.name for term in self.terms]
        if len(set(names)) != len(names):
            raise ValueError(f"an objective got the term names {names}, expected each once: rename one of the terms")

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

    def log_prob(self, code: Code) -> LogProb:
        """The total log-probability of codes `[chain, *code]` alone, `[chain]`: one generator pass, no gradient."""
        _check_code(code)
        with torch.no_grad():
            image = self.generator(code)
            return sum((term.weight * term.condition(image) for term in self.terms), start=code.new_zeros(len(code)))

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


def _check_code(code: Code) -> None:
    if code.ndim < 1 or not code.is_floating_point():
        raise ValueError(
            f"an objective got a code of shape {tuple(code.shape)} and {code.dtype}, expected floating-point "
            f"[chain, *code]: add a chain axis or convert it"
        )


def _log_prob(term: Term, image: Image) -> LogProb:
    value = term.condition(image)
    if not isinstance(value, Tensor) or value.shape != (len(image),):
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"the condition {term.name!r} returned {got}, expected a tensor of shape ({len(image)},): "
            f"return one log-probability per chain, not a mean or a sum over chains"
        )
    if not _depends_on(value, image):
        raise ValueError(
            f"the condition {term.name!r} is not connected to the image, expected a log-probability with a "
            f"gradient to it: remove detach, no_grad, argmax or NumPy from the condition"
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
