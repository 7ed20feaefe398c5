"""`python -m energax`: the command line."""

from energax.cli import main

raise SystemExit(main())
