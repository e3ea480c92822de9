"""`ppgn bundles`: a line for each bundle that is there."""

from __future__ import annotations

import argparse

from ppgn.bundle import list_bundles

LISTED = 50
"""Classes by name."""


def run(given: argparse.Namespace) -> int:
    """Name, size, classes and folder of every bundle that can be loaded by name."""
    for entry in list_bundles():
        if "error" in entry:
            print(f"{entry['name']:20} broken: {entry['error']}")
            continue
        info = entry["info"]
        size, classes = info["image"]["size"], info["class_names"]
        listed = ", ".join(classes[:LISTED]) + (", ..." if len(classes) > LISTED else "")
        print(f"{entry['name']:20} {size}x{size} px, {len(classes)} classes: {listed}")
        print(f"{'':20} {entry['folder']}")
    return 0
