"""What the caller of `fit` asked for, checked, with the numbers that follow from it."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from energax._errors import ArgumentError, RunError
from energax._typing import PRNGKey
from energax.random import generator_name
from energax.training._recovery import Recovery

_MAX_LOG_EVERY = 50
_LINES_OF_A_SHORT_RUN = 100
_WINDOWS_PER_ANCHOR = 10


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a run is made. All fields but `num_steps` and those that keep checkpoints shape its trajectory and are fixed.

    Attributes:
        num_steps: Update at which the run ends.
        batch_size: Rows of a batch.
        log_every: Updates between two lines of the log.
        checkpoint_every: Updates between two checkpoints that are always written; None: between anchors, written when
            they cost little time.
        keep: Number of newest checkpoints that are kept beside the good ones.
        recovery: What is done when training fails; None: failures are only reported.
        directory: The run's directory.
        config: The run's configuration, saved with every checkpoint.
        keep_doublings: Whether checkpoints of the steps 1, 2, 4, 8 ... are written, and kept beside those.
    """

    num_steps: int
    batch_size: int
    log_every: int
    checkpoint_every: int | None
    keep: int
    recovery: Recovery | None
    directory: Path | None
    config: dict[str, Any] | None
    keep_doublings: bool = False

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_size", "log_every", "keep"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise ArgumentError(f"`checkpoint_every` must be at least 1, got {self.checkpoint_every}.")

    @property
    def anchor_every(self) -> int:
        """Updates between two snapshots that a recovery may return to."""
        return self.checkpoint_every or _WINDOWS_PER_ANCHOR * self.log_every

    def settings(self, key: PRNGKey, first_batch: Any, num_rows: int) -> dict[str, Any]:
        """Everything that the trajectory depends on, as JSON: a run may only be continued with the same."""
        recovery = None if self.recovery is None else dataclasses.asdict(self.recovery)
        return {
            "batch_size": self.batch_size,
            "log_every": self.log_every,
            "checkpoint_every": self.checkpoint_every,
            "recovery": recovery,
            "generator": generator_name(key),
            "key": np.asarray(jax.random.key_data(key)).tolist(),
            "num_rows": num_rows,
            "first_batch": digest(first_batch),
        }


def default_log_every(num_steps: int) -> int:
    """50 updates, fewer in runs that are shorter than 5000."""
    return max(1, min(_MAX_LOG_EVERY, num_steps // _LINES_OF_A_SHORT_RUN))


def digest(batch: Any) -> str:
    """Hash of the values of a batch."""
    hashed = hashlib.sha256()
    for leaf in jax.tree.leaves(batch):
        hashed.update(np.ascontiguousarray(leaf).tobytes())
    return hashed.hexdigest()


def require_same(directory: Path, saved: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise `RunError` if a run was begun with other settings than those it is to be continued with."""
    for name, value in saved.items():
        if given.get(name) != value:
            raise RunError(
                _DIFFERENCES.get(name, _OTHER).format(
                    directory=directory, name=name, saved=value, given=given.get(name)
                )
            )


_OTHER = "{directory} was begun with {name}={saved}, not {given}; continue it with the same, or begin a new run."
_DIFFERENCES = {
    "key": "{directory} was begun with another random key (or seed); continue it with the same, or begin a new run.",
    "first_batch": "The data are not those that {directory} was begun with; restore them, or begin a new run.",
    "num_rows": "{directory} was begun with {saved} rows of data, not {given}; restore them, or begin a new run.",
}


def require_same_config(directory: Path, saved: Any, given: Any) -> None:
    """Raise `RunError`, naming the first difference, if the configuration was edited. The length may be changed."""
    difference = next(_differences(saved, given, ()), None)
    if difference is not None:
        where, old, new = difference
        raise RunError(
            f"The configuration of {directory} was edited: {'.'.join(where)} was {old!r} and is now {new!r}. "
            "Undo the edit, or begin a new run."
        )


def _differences(saved: Any, given: Any, where: tuple[str, ...]) -> Any:
    if isinstance(saved, dict) and isinstance(given, dict):
        for name in sorted({*saved, *given}):
            if where[:1] == ("training",) and name == "num_steps":
                continue
            yield from _differences(saved.get(name), given.get(name), (*where, name))
    elif saved != given:
        yield where or ("config",), saved, given
