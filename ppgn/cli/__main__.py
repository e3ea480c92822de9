"""`python -m ppgn.cli`."""

from ppgn.cli import main

raise SystemExit(main())
