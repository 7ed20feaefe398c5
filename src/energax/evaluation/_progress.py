"""Counting transitions for whoever wants to see how far a run is."""

from __future__ import annotations

from collections.abc import Callable


class Transitions:
    """Counts transitions, and passes them on with what the run is expected to need."""

    def __init__(self, progress: Callable[[int, int], None] | None, budget: int) -> None:
        self.progress, self.budget, self.done, self.unit = progress, budget, 0, 1

    def __call__(self, num: int) -> None:
        self.done += num * self.unit
        if self.progress is not None:
            self.progress(min(self.done, self.budget - 1), self.budget)

    def finish(self) -> None:
        """Say that nothing more will come."""
        if self.progress is not None:
            self.progress(self.budget, self.budget)
