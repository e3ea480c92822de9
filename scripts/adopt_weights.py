"""Make a bundle of handed weights: `python scripts/adopt_weights.py --config natural128_bundle.yaml --handed FOLDER ...`."""

import sys

from jsonargparse import auto_cli

from training import adopt

if __name__ == "__main__":
    try:
        print(f"wrote {auto_cli(adopt, as_positional=False)}")
    except ValueError as fault:
        print(f"error: {fault}", file=sys.stderr)
        raise SystemExit(2) from fault
