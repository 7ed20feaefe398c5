"""What a run keeps of its past: in memory for recovery, on the disk for the next process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from energax._errors import RunError
from energax.training._checkpoints import Snapshot, Store
from energax.training._metrics import Event, MetricsFile, plain, read_metrics, undo
from energax.training._recovery import Anchors

_MAX_SHARE_OF_TIME = 0.05
_MAX_SECONDS_UNSAVED = 30.0


class Archive:
    """Snapshots, checkpoints and the log of one run. Without a directory everything stays in memory.

    Args:
        directory: The run's directory.
        keep: Number of newest checkpoints to keep beside those that a recovery may need.
        keep_doublings: Whether those of `is_doubling` steps are kept too.
    """

    def __init__(self, directory: Path | None, keep: int, keep_doublings: bool = False) -> None:
        self.directory = directory
        self.store = None if directory is None else Store(directory)
        self.anchors = Anchors(None if self.store is None else self.store.load)
        self.history: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self._file = None if directory is None else MetricsFile(directory / "metrics.jsonl")
        self._keep, self._keep_doublings = keep, keep_doublings
        self._length_before: int | None = None
        self._last_save = time.monotonic()
        self._save_seconds = 0.0

    # -- the log -----------------------------------------------------------------------------------------------------

    def write_row(self, row: dict[str, Any], *, provisional: bool = False) -> None:
        """Add a line of metrics.

        Args:
            row: The metrics.
            provisional: The line belongs to the end of this run only: a longer one continues without it.
        """
        self._length_before = self.log_length() if provisional else None
        self.history.append(plain(row))
        if self._file is not None:
            self._file.append(plain(row))

    def write_event(self, event: Event) -> None:
        """Add an event; the rows that it undoes leave the history but not the file."""
        record = dict(vars(event))
        self._length_before = None
        self.events.append(record)
        self.history = undo(self.history, record)
        if self._file is not None:
            self._file.append({"event": record})

    def log_length(self) -> int:
        """Bytes of the log so far, all of them on the disk; without a provisional line."""
        if self._length_before is not None:
            return self._length_before
        return 0 if self._file is None else self._file.sync()

    def cut_log(self, length: int) -> None:
        """Forget what was logged after a checkpoint."""
        if self._file is not None:
            self._file.cut(length)
            self.history, self.events = read_metrics(self._file.path)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def is_due(self, *, at_anchor: bool) -> bool:
        """Whether enough time has passed for a checkpoint that nobody asked for.

        The clock decides only what survives a crash, never the trajectory. Saving takes at most a twentieth of the
        time, and half a minute of work is saved even between anchors.
        """
        elapsed = time.monotonic() - self._last_save
        return elapsed * _MAX_SHARE_OF_TIME >= self._save_seconds and (at_anchor or elapsed >= _MAX_SECONDS_UNSAVED)

    def has(self, step: int) -> bool:
        """Whether a checkpoint of this step is on the disk."""
        return self.store is not None and step in self.store.steps()

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint, and before it the anchors that a process which continues from it might need.

        Raises:
            RunError: The disk refused; what was there before is untouched.
        """
        if self.store is None:
            return
        begin = time.monotonic()
        for anchor in self.anchors.held:
            if anchor.step != snapshot.step and not self.has(anchor.step):
                self.store.save(anchor)
        self.store.save(snapshot)
        steps = self.store.steps()
        trail = [step for step in steps if self._keep_doublings and is_doubling(step)]
        self.store.prune({*steps[-self._keep :], *self.anchors.steps, *trail})
        self._last_save = time.monotonic()
        self._save_seconds = self._last_save - begin

    def save_good(self, snapshot: Snapshot) -> str:
        """Make sure that a good snapshot is on the disk; a sentence that says where."""
        if self.store is None:
            return ""
        if not self.has(snapshot.step):
            self.store.save(snapshot)
        return f" The last good checkpoint is {self.store.path(snapshot.step)}."

    def drop_after(self, step: int) -> None:
        """Remove later checkpoints."""
        if self.store is not None:
            try:
                self.store.remove_after(step)
            except OSError as error:
                raise RunError(f"{self.store.folder} could not be changed: {error.strerror or error}.") from error


def is_doubling(step: int) -> bool:
    """Whether a step is 0 or a power of two.

    Models change fast at first and slowly later: the parameters of a run that is sampled at doublings are a path of
    about equal steps, in a dozen checkpoints.
    """
    return step & (step - 1) == 0
