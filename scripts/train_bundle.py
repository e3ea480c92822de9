"""From a folder of pictures to a bundle: `python scripts/train_bundle.py --data.root pictures --name mine --hours 3`."""

import argparse
import re
import sys

from jsonargparse import DefaultHelpFormatter

from training import run_script, train_bundle

HELP = """Trains a bundle on a folder of pictures. Put them into pictures/<class>/*.jpg, two classes or more. Then:

  python scripts/train_bundle.py --data.root pictures --name mine --hours 3
  python scripts/train_bundle.py --data.root pictures --name mine --hours 1 --from imagenette64
  ppgn sample mine --class 0

A run that was killed goes on where it was when the same command is given again. Watch runs/mine/report.html.
`--from` is short for `--start_from`.
"""


class Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of the example as they are."""


if __name__ == "__main__":
    given = [re.sub(r"^--from(?==|$)", "--start_from", word) for word in sys.argv[1:]]  # Python has no argument called from
    print(f"wrote {run_script(train_bundle, given, description=HELP, formatter_class=Formatter)}")
