"""Train head and generator on data packs within a time limit: `python scripts/train_on_packs.py --packs FOLDER --out FOLDER`.

`--help` lists every setting; scripts/pack_pictures.py makes the packs.
"""

import sys

from jsonargparse import auto_cli

from training import train_on_packs

if __name__ == "__main__":
    try:
        print(f"wrote {auto_cli(train_on_packs, as_positional=False)}")
    except ValueError as fault:
        print(f"error: {fault}", file=sys.stderr)
        raise SystemExit(2) from fault
