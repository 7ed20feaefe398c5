"""What `fit` returns, and how a saved state is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from energax._errors import CheckpointError
from energax.energies import AbstractEnergy
from energax.training._checkpoints import Snapshot, Store
from energax.training._snapshot import from_host
from energax.training._state import TrainState


@dataclasses.dataclass(frozen=True)
class FitInfo:
    """What hooks are told at the start.

    Attributes:
        num_steps: Update at which the run ends.
        first_step: Updates already made.
        batch_size: Rows of a batch.
        num_rows: Rows of the data.
        log_every: Updates between two lines of the log.
        num_parameters: Trained numbers.
        generator: Generator of the random numbers.
        directory: The run's directory.
    """

    num_steps: int
    first_step: int
    batch_size: int
    num_rows: int
    log_every: int
    num_parameters: int
    generator: str
    directory: Path | None


@dataclasses.dataclass(frozen=True, repr=False)
class FitResult:
    """A trained model and how it came about.

    Attributes:
        energy: The model to use: the moving average of the parameters if one was kept, else the last ones.
        state: The whole state at the end; with it, training can go on.
        history: Lines of the log, without those that a recovery undid.
        events: Failures that were noticed, and what was done.
        directory: The run's directory, None if nothing was saved.
        step: Number of updates that led to `energy`.
        result: ``"successful"``, ``"out-of-time"``, ``"interrupted"`` or ``"diverged"``.
        message: One sentence on how it ended.
    """

    energy: Any
    state: TrainState
    history: list[dict[str, Any]]
    events: list[dict[str, Any]]
    directory: Path | None
    step: int
    result: str
    message: str

    @property
    def interrupted(self) -> bool:
        """Whether the run was stopped before its last step."""
        return self.result == "interrupted"

    def __repr__(self) -> str:
        parts = [f"{type(self.energy).__name__} after {self.step} steps, {self.result}"]
        if self.history:
            last = self.history[-1]
            known = [name for name in ("loss", "energy_gap", "accept_prob", "ess") if last.get(name) is not None]
            parts.append(", ".join(f"{name} {last[name]:.4g}" for name in known))
        if self.events:
            parts.append(f"{len(self.events)} event{'s' if len(self.events) > 1 else ''}: {self.events[-1]['message']}")
        if self.directory is not None:
            parts.append(str(self.directory))
        return f"FitResult({'; '.join(parts)})"


def checkpoints(directory: Path | str) -> dict[int, str | None]:
    """The checkpoints of a run by step, each with what is wrong with it (None: every byte is as it was written)."""
    store = Store(Path(directory))
    return {step: store.problem(step) for step in store.steps()}


def load_state(directory: Path | str, *, like: TrainState, step: int | None = None) -> TrainState:
    """The saved state of a run.

    Args:
        directory: The run's directory.
        like: A state of the same structure, such as `learner.init(batch, key=...)`; its values do not matter.
        step: Which checkpoint, the last one if None.

    Raises:
        CheckpointError: There is none, it is damaged, or it does not fit `like`.
    """
    snapshot, what = _read(directory, step)
    return from_host(snapshot.arrays, like, prefix="state/", what=what)


def load_energy(
    directory: Path | str, *, like: AbstractEnergy, step: int | None = None, average: bool = True
) -> AbstractEnergy:
    """The saved model of a run; neither data, objective nor optimiser are needed.

    Args:
        directory: The run's directory.
        like: An energy of the same structure; its values do not matter.
        step: Which checkpoint, the last one if None.
        average: Take the moving average of the parameters where one was kept.

    Raises:
        CheckpointError: There is none, it is damaged, or it does not fit `like`.
    """
    snapshot, what = _read(directory, step)
    arrays = snapshot.arrays
    if average:
        averaged = {n.replace("/ema/", "/energy/", 1): a for n, a in arrays.items() if n.startswith("state/ema/")}
        arrays = {**arrays, **averaged}
    return from_host(arrays, like, prefix="state/energy/", what=what)


def _read(directory: Path | str, step: int | None) -> tuple[Snapshot, str]:
    store = Store(Path(directory))
    steps = store.steps()
    if step is None and not steps:
        raise CheckpointError(f"{directory} has no checkpoints.")
    chosen = steps[-1] if step is None else step
    return store.load(chosen), f"The checkpoint {store.path(chosen)}"
