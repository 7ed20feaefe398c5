"""Exceptions of energax.

::

    EnergaxError
    ├── SpaceError(ValueError)            a configuration is not in its space, or two spaces do not fit
    ├── ShapeError(ValueError)            an array has the wrong shape or type
    ├── ArgumentError(ValueError)         a number or a name is outside what is allowed
    ├── KernelMismatch(TypeError)         the kernel needs something that the energy does not have
    ├── NotTractable(ValueError)          an exact answer was asked for where there is none, or not at this size
    ├── Unreliable(RuntimeError)          an estimate exists, but its diagnostics say not to believe it (`.estimate`)
    ├── Diverged(RuntimeError)            sampling or training ran away, and could not be recovered
    ├── DataError(ValueError)             a user's data cannot be used as they are
    ├── RunError(RuntimeError)            a run directory cannot be created, read or continued
    │   └── CheckpointError               a checkpoint is damaged or does not belong to the run
    └── MissingExtra(ImportError)         an optional dependency is not installed

A message says what is wrong, what was given, what was expected, and the usual fix.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EnergaxError(Exception):
    """Base class of every error that energax raises on purpose."""


class SpaceError(EnergaxError, ValueError):
    """A configuration is not in its space, or two spaces do not fit together."""


class ShapeError(EnergaxError, ValueError):
    """An array has the wrong shape or the wrong type."""


class ArgumentError(EnergaxError, ValueError):
    """A number or a name is outside what is allowed."""


class KernelMismatch(EnergaxError, TypeError):
    """The kernel needs something that the energy does not have."""


class NotTractable(EnergaxError, ValueError):
    """An exact answer was asked for where none is known, or not at this size."""


class Unreliable(EnergaxError, RuntimeError):
    """An estimate exists, but its diagnostics say that it must not be believed.

    Attributes:
        estimate: The number that is not to be believed, for those who look at it all the same.
    """

    def __init__(self, message: str, estimate: object = None) -> None:
        RuntimeError.__init__(self, message)
        self.estimate = estimate


class Diverged(EnergaxError, RuntimeError):
    """Sampling or training ran away and could not be recovered."""


class DataError(EnergaxError, ValueError):
    """A user's data cannot be used as they are."""


class RunError(EnergaxError, RuntimeError):
    """A run directory cannot be created, read or continued."""


class CheckpointError(RunError):
    """A checkpoint is damaged, missing or belongs to another configuration."""


class MissingExtra(EnergaxError, ImportError):
    """An optional dependency is not installed; the message holds the command that installs it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Text such as ``did you mean 'rbm'? Known: mlp, rbm.`` for a name that is not in `known`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    return f"{guess}Known: {', '.join(names)}."
