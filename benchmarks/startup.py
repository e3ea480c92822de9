"""The wait before anything runs: `import ppgn`, `ppgn --help`, loading each bundle.

    python benchmarks/startup.py

Importing ppgn adds to importing torch the time of the modules that it loads after torch, measured by `python -X importtime`. The
difference of two processes would say less, since the time of `import torch` varies by more than that.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable

from timing import alternating, table

HELP = "import sys; from ppgn.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
CODES = {
    "python": "pass",
    "ppgn --help": HELP,
    "import torch": "import torch",
    "load imagenette64": "import ppgn; ppgn.load('imagenette64')",
    "load products64": "import ppgn; ppgn.load('products64')",
}
AFTER_TORCH = {
    "import ppgn": "import ppgn",
    "import ppgn and all its names": "import ppgn; [getattr(ppgn, name) for name in ppgn.__all__]",
}
"""Code whose time beyond `import torch` is measured."""
MARK = "what follows is loaded after torch"


def process(code: str) -> Callable[[], None]:
    """A call that runs the code in a new process."""

    def call() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

    return call


def importing(code: str) -> float:
    """Seconds to load the modules that the code imports beyond those of torch."""
    marked = f"import sys, torch; print({MARK!r}, file=sys.stderr, flush=True); {code}"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", marked], check=True, capture_output=True, text=True)
    lines = [line for line in done.stderr.partition(MARK)[2].splitlines() if line.startswith("import time:")]
    return sum(int(line.split(":")[1].split("|")[0]) for line in lines) / 1e6


def measure(repeats: int = 5) -> dict[str, float]:
    """Name -> seconds of a process that runs the code, its start included; for AFTER_TORCH seconds beyond `import torch`."""
    found = alternating({name: process(code) for name, code in CODES.items()}, repeats)
    return found | {name: statistics.median(importing(code) for _ in range(repeats)) for name, code in AFTER_TORCH.items()}


def report(found: dict[str, float]) -> str:
    """The table."""
    rows = [[name, found[name]] for name in CODES]
    rows.append(["ppgn --help, beyond starting Python", found["ppgn --help"] - found["python"]])
    rows += [[f"{name}, beyond import torch", found[name]] for name in AFTER_TORCH]
    return table(["what", "s"], rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5, help="rounds that count (default: 5)")
    print(report(measure(options.parse_args().repeats)))


if __name__ == "__main__":
    main()
