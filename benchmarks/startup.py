"""What one waits for before anything runs: `import ppgn`, `ppgn --help`, loading each bundle.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable

from timing import alternating, table

PARSER = "import sys; from ppgn.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
CODES = {
    "python": "pass",
    "ppgn --help": PARSER,
    "import torch": "import torch",
    "import torch, all of ppgn that `import ppgn` offers": "import torch, ppgn; [getattr(ppgn, name) for name in ppgn.__all__]",
    "load imagenette64": "import ppgn; ppgn.load('imagenette64')",
    "load products64": "import ppgn; ppgn.load('products64')",
}


def process(code: str) -> Callable[[], None]:
    def call() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

    return call


def measure(repeats: int = 5) -> dict[str, float]:
    """Seconds of a process that does it, starting Python included."""
    return alternating({name: process(code) for name, code in CODES.items()}, repeats)


def report(found: dict[str, float]) -> str:
    names = list(CODES)
    added = [
        ["ppgn --help, beyond starting Python", found[names[1]] - found[names[0]]],
        ["import ppgn and all its names, beyond import torch", found[names[3]] - found[names[2]]],
    ]
    return table(["what", "s"], [[name, value] for name, value in found.items()] + added)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5)
    print(report(measure(options.parse_args().repeats)))


if __name__ == "__main__":
    main()
