"""`python -m ppgn`: the command line."""

from ppgn.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
