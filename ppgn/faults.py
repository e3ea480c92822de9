"""Errors of other people's code in our sentences."""

from __future__ import annotations


def told(fault: Exception) -> str:
    """An error of somebody else's code as a part of a sentence."""
    return " ".join(f"{type(fault).__name__}: {fault}".split())[:200]
