"""`ppgn bundles`: a line for each bundle that is there, or all classes of some."""

from __future__ import annotations

import argparse

from ppgn.bundle import fetch_bundle, list_bundles, load_bundle, migrate_bundle
from ppgn.errors import printable

LISTED = 50
"""Classes by name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Name, size, classes and folder of every bundle that can be loaded by its name; all classes of a named one."
    )
    parser.epilog = "examples:\n  ppgn bundles\n  ppgn bundles natural128\n  ppgn bundles --migrate checkpoints/mine\n"
    parser.add_argument("names", nargs="*", metavar="NAME", help="bundles of which all classes are listed, a line each")
    parser.add_argument("--fetch", nargs="+", metavar="NAME", default=[],
                        help="fetch the files that these bundles refer to, and compare them with their SHA-256")  # fmt: skip
    parser.add_argument("--migrate", nargs="+", metavar="FOLDER", default=[],
                        help="rewrite bundle.json of these bundles as the newest version; weights stay as they are")  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Lists the bundles, or rewrites those that are named."""
    for folder in given.migrate:
        print(f"{folder}: {'rewritten' if migrate_bundle(folder) else 'of the newest version already'}")
    for name in given.fetch:
        for part, source, count, size in fetch_bundle(name):
            print(f"{name}: {part}: {count} files, {size / 2**20:.1f} MiB, as described, of {source}")
    if given.migrate or given.fetch:
        return 0
    for name in given.names:
        print("\n".join(f"{index:4} {label}" for index, label in enumerate(load_bundle(name).classes)))
    if given.names:
        return 0
    for entry in list_bundles():
        if "error" in entry:
            print(printable(f"{entry['name']:20} broken: {entry['error']}"))
            continue
        info = entry["info"]
        image, classes = info["image"], info["classes"]
        listed = ", ".join(classes[:LISTED]) + (", ..." if len(classes) > LISTED else "")
        name, folder = printable(entry["name"]), printable(entry["folder"])
        print(f"{name:20} {image['width']}x{image['height']} px, {len(classes)} classes: {listed}")
        print(f"{'':20} {folder}")
    return 0
