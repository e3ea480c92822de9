"""Export trained checkpoints as a bundle: `python scripts/export_bundle.py --run runs/NAME --name NAME [--config FILE]`."""

import sys

from jsonargparse import auto_cli

from training import export

if __name__ == "__main__":
    try:
        print(f"wrote {auto_cli(export, as_positional=False)}")
    except ValueError as fault:
        print(f"error: {fault}", file=sys.stderr)
        raise SystemExit(2) from fault
