"""The log of a run: one JSON object a line, a row of metrics or an event."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

from energax._errors import RunError


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in a run and that a person should know.

    Attributes:
        kind: ``"nonfinite"``, ``"unbounded_energy"``, ``"exploding_energy_gap"``, ``"exploding_loss"``,
            ``"dead_chains"`` or ``"saturated_samples"``.
        step: Update after which it was noticed.
        began: Update at which it began.
        message: What happened.
        action: What was done about it.
        back_to: Step of the checkpoint that the run went back to; None if it did not.
        learning_rate_scale: Factor on the learning rate from then on.
    """

    kind: str
    step: int
    began: int
    message: str
    action: str
    back_to: int | None
    learning_rate_scale: float

    def __str__(self) -> str:
        return f"step {self.step}: {self.message} {self.action}"


class MetricsFile:
    """An append-only file of JSON lines that can be cut back to an earlier length.

    Args:
        path: The file; it is created when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Write one line and hand it to the operating system.

        Raises:
            RunError: The disk is full or not writable.
        """
        line = json.dumps(record, allow_nan=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise RunError(f"{self.path} could not be written: {error.strerror or error}.") from error

    def sync(self) -> int:
        """Force the file to the disk; its length in bytes."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def cut(self, length: int) -> None:
        """Forget everything after the first `length` bytes, and a line that was torn off."""
        if not self.path.exists():
            return
        try:
            with self.path.open("r+b") as file:
                kept = file.read(length)
                file.truncate(kept.rfind(b"\n") + 1)
        except OSError as error:
            raise RunError(f"{self.path} could not be cut back: {error.strerror or error}.") from error


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row with None in the place of values that are not finite.

    JSON has no NaN; the event that follows says what was not finite and since when.
    """
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def read_metrics(path: Path | str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows and the events of a ``metrics.jsonl``, or of a run directory.

    Rows of updates that a recovery undid are left out, and so is a torn last line.

    Returns:
        Rows with ascending ``step``, and events in the order in which they happened.

    Raises:
        RunError: The file cannot be read.
    """
    path = Path(path)
    path = path / "metrics.jsonl" if path.is_dir() else path
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise RunError(f"{path} could not be read: {error.strerror or error}.") from error
    rows: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = json.loads(line)
        except ValueError:
            raise RunError(f"Line {number} of {path} is not JSON; the file was altered.") from None
        if "event" in record:
            events.append(record["event"])
            rows = undo(rows, record["event"])
        else:
            rows.append(record)
    return rows, events


def undo(rows: list[dict[str, Any]], event: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that are left after an event: those up to the step that the run went back to."""
    back_to = event.get("back_to")
    return rows if back_to is None else [row for row in rows if row["step"] <= back_to]
