"""The command line; needs the extra ``cli``."""

from energax.cli._main import main as main

__all__ = ["main"]
