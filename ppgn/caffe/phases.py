"""The layers of a network in use, not in training: Caffe's rules `include` and `exclude`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppgn.caffe.schema import CaffeError, quoted


def kept(layer: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether a layer remains in the phase TEST, at the level and the stages of the file's state and the stage "deploy".

    With `include` rules, at least one of them must hold; with `exclude` rules, none (`Net::FilterNet` of Caffe's net.cpp). The
    stage "deploy" marks what remains for use in files that serve training too. Raises CaffeError for a layer with both kinds of
    rules.
    """
    include, exclude = layer.get("include", []), layer.get("exclude", [])
    if include and exclude:
        raise CaffeError(f"layer {quoted(layer['name'])} has include rules and exclude rules, expected one kind; keep one")
    if include:
        return any(_holds(rule, state) for rule in include)
    return not any(_holds(rule, state) for rule in exclude)


def _holds(rule: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    level, stages = state.get("level", 0), {*state.get("stage", []), "deploy"}
    return (
        rule.get("phase", "TEST") == "TEST"
        and rule.get("min_level", level) <= level <= rule.get("max_level", level)
        and stages.issuperset(rule.get("stage", []))
        and stages.isdisjoint(rule.get("not_stage", []))
    )
