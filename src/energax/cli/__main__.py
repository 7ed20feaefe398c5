"""``python -m energax.cli``."""

import sys

from energax.cli import main

sys.exit(main())
