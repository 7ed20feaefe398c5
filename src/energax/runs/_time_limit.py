"""From seconds to transitions: how many fit is measured before, so that the run itself hangs on no clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from energax._errors import ArgumentError

_TRIAL = 100_000
_LONG_ENOUGH = 0.05
"""Share of the time that a trial has to take for its speed to count."""
_MARGIN = 0.8


def affordable(seconds: float, trial: Callable[[int], Any], *, least: int) -> int:
    """The number of transitions for which the time suffices that is left when the speed is known.

    The first trial compiles; each further one is four times as long as that before, until one takes a twentieth of
    the time. What comes out is a number of transitions: with it the same run can be made again on any machine.

    Args:
        seconds: Time for everything, trials and compilation included.
        trial: Runs with a budget of transitions and spends all of it.
        least: The smallest budget that makes sense.

    Raises:
        ArgumentError: There is no time for the least budget.
    """
    if not seconds > 0:
        raise ArgumentError(f"--seconds must be positive, got {seconds:g}.")
    begin = time.perf_counter()
    budget = max(_TRIAL, least)
    trial(budget)
    while True:
        before = time.perf_counter()
        trial(budget)
        now = time.perf_counter()
        took, left = now - before, seconds - (now - begin)
        if took >= _LONG_ENOUGH * seconds or 4 * took > 0.5 * left:
            break
        budget *= 4
    found = int(_MARGIN * left / took * budget)
    if found < least:
        spent = now - begin
        raise ArgumentError(
            f"--seconds {seconds:g} is too short: compiling and measuring the speed took {spent:.0f} s. Ask for at "
            f"least {3 * spent:.0f}, or for a number of transitions with --budget."
        )
    return found
