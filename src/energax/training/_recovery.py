"""Where a run may go back to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from energax._errors import ArgumentError, CheckpointError
from energax.training._checkpoints import Snapshot


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What is done when training fails: go back to the last good checkpoint with a smaller learning rate.

    Args:
        max_recoveries: How often, before training ends with `Diverged`; 0 ends it at the first failure.
        factor: What the learning rate is multiplied with at each recovery.
    """

    max_recoveries: int = 3
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.max_recoveries < 0 or not 0 < self.factor <= 1:
            raise ArgumentError(
                f"Recovery needs max_recoveries >= 0 and 0 < factor <= 1, got {self.max_recoveries}, {self.factor}."
            )


class Anchors:
    """Snapshots that a recovery may return to: `good` ones, and `pending` ones whose future is not known yet.

    Which one a recovery returns to is a function of the steps and of the metrics, never of the clock. A snapshot
    becomes good when the run has stayed healthy for a while after it. Two good ones are kept: if the run fails again
    before another one becomes good, the newer one was already ill and the older one is taken.

    Args:
        load: Reads the snapshot of a step from the disk, for those that an earlier process has written.
    """

    _NUM_GOOD = 2

    def __init__(self, load: Callable[[int], Snapshot] | None = None) -> None:
        self._load = load
        self._held: dict[int, Snapshot] = {}
        self.good: list[int] = []
        self.pending: list[int] = []
        self.returned_to: int | None = None

    @property
    def steps(self) -> list[int]:
        """All steps, ascending."""
        return [*self.good, *self.pending]

    @property
    def held(self) -> list[Snapshot]:
        """The snapshots that are in memory, ascending."""
        return [self._held[step] for step in self.steps if step in self._held]

    @property
    def memory(self) -> dict[str, Any]:
        """What a later process needs in order to decide alike; JSON."""
        return {"good": list(self.good), "pending": list(self.pending), "returned_to": self.returned_to}

    def restore(self, memory: Mapping[str, Any], available: list[int]) -> None:
        """Take over what another process knew, as far as it is still on the disk; it is read when it is needed."""
        self.good = [step for step in memory["good"] if step in available]
        self.pending = [step for step in memory["pending"] if step in available]
        self.returned_to = memory["returned_to"]

    def hold(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in memory; its step must be known as good or pending."""
        self._held[snapshot.step] = snapshot

    def start_from(self, step: int) -> None:
        """This step is good by definition, and nothing after it is known."""
        self.good = [s for s in self.good if s < step] + [step]
        self.pending = []
        self._forget()

    def confirm(self, up_to: int) -> None:
        """Candidates up to this step have proved healthy."""
        proved = [step for step in self.pending if step <= up_to]
        if proved:
            self.good = [*self.good, *proved][-self._NUM_GOOD :]
            self.pending = [step for step in self.pending if step > up_to]
            self._forget()

    def choose(self, began: int) -> Snapshot:
        """The snapshot to go back to for a failure that began at update `began`: the newest good one before it.

        Raises:
            CheckpointError: None of them can be read.
        """
        while True:
            before = [step for step in self.good if step < began] or self.good[:1]
            in_vain = before[-1] == self.returned_to and len(before) > 1
            step = before[-2] if in_vain else before[-1]
            try:
                return self._read(step)
            except CheckpointError:
                if len(self.good) == 1:
                    raise
                self.good.remove(step)

    def _read(self, step: int) -> Snapshot:
        if step not in self._held:
            if self._load is None:
                raise CheckpointError(f"There is no snapshot of step {step}.")
            self._held[step] = self._load(step)
        return self._held[step]

    def _forget(self) -> None:
        known = set(self.steps)
        self._held = {step: snapshot for step, snapshot in self._held.items() if step in known}
