"""`--caption` and `--text`: what a captioner or a model of texts and images is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ppgn import named, recipes
from ppgn.bundle import Bundle
from ppgn.cli.target import Asked
from ppgn.conditions import Caption
from ppgn.types import Condition


def check_words(given: argparse.Namespace) -> None:
    """Raises ValueError for options of words without the words."""
    if given.captioner is not None and not given.caption:
        raise ValueError("got --captioner without --caption, expected what it is to say: add --caption TEXT")
    if bool(given.text) != (given.similarity is not None):
        raise ValueError(
            f"got --{'text' if given.text else 'similarity'} alone, expected --text TEXT and --similarity NAME: give both"
        )
    if given.against and not given.text:
        raise ValueError("got --against without --text, expected the text that they are compared with: add --text TEXT")


def captions(given: argparse.Namespace, bundle: Bundle) -> Asked:
    """Each caption a target, for the bundle's captioner or another one."""
    if given.captioner is None:
        captioner = Caption(recipes.captioner_of(bundle), given.caption).captioner  # which checks every word
    else:
        captioner: Any = named.captioner(given.captioner, given.caption).captioner
        captioner.model.to(next(bundle.generator.parameters()).device)

    def make(targets: Sequence[int]) -> Condition:
        return Caption(captioner, [given.caption[target] for target in targets])

    about = {"captioner": given.captioner or "bundle"}
    return Asked("caption", dict(enumerate(given.caption)), make, about, probability=False)


def texts(given: argparse.Namespace, bundle: Bundle) -> Asked:
    """Each text a target, compared with the others and those of --against."""
    condition = named.similarity(given.similarity, given.text, given.against)
    condition.to(next(bundle.generator.parameters()).device)
    about = {"similarity": given.similarity, "against": given.against}
    asked = dict(enumerate(dict.fromkeys(given.text)))
    return Asked("text", asked, condition.of, about, probability=condition.measure != "logit")
