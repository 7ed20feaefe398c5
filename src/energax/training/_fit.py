"""`fit`: train a model on data, resumably."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from energax._errors import ArgumentError, CheckpointError, DataError, Diverged, RunError
from energax._files import replace_file
from energax._typing import PRNGKey
from energax.random import choose, generator_name
from energax.training._batches import ArrayRows, Batches
from energax.training._checkpoints import Store
from energax.training._interrupts import Interrupts
from energax.training._learner import AbstractLearner
from energax.training._lock import locked
from energax.training._loop import Loop
from energax.training._plan import Plan, default_log_every
from energax.training._recovery import Recovery
from energax.training._result import FitInfo, FitResult

_RECOVERY = Recovery()
_MAX_CHECKED_BYTES = 1 << 28


def fit(
    learner: AbstractLearner,
    data: Any,
    *,
    key: PRNGKey,
    num_steps: int,
    batch_size: int = 128,
    directory: Path | str | None = None,
    config: dict[str, Any] | None = None,
    hooks: Iterable[Any] = (),
    resume: bool = False,
    from_step: int | None = None,
    checkpoint_every: int | None = None,
    log_every: int | None = None,
    keep: int = 3,
    keep_doublings: bool = False,
    recovery: Recovery | None = _RECOVERY,
    throw: bool = True,
    max_seconds: float | None = None,
    generator: str = "auto",
) -> FitResult:
    """Train a model.

    Update s uses batch s, a pure function of s, and random numbers folded from `key`, the number of recoveries and s;
    nothing depends on the clock, on the terminal or on how often the run was interrupted. A run that is killed at any
    moment and resumed ends bitwise where the uninterrupted one ends, on the same platform.

    Failures (values that are not finite, an energy that is unbounded below, an exploding energy gap, dead chains,
    saturated samples; see `Thermometer`) are reported with the update at which they began, and the run goes back to the
    last good checkpoint with a smaller learning rate. Nothing is clipped or replaced in silence.

    SIGINT (Ctrl-C) and SIGTERM finish the update, save, and return with `interrupted`; a second one aborts.

    Cost: 5 % of the time or less for checkpoints, unless `checkpoint_every` is given; three copies of the state in
    the host's memory for recovery.

    Args:
        learner: What is trained, and how.
        data: An array (row, *event), a split of `energax.data`, or anything with `len` and `take(indices)`; data larger
            than memory are read batch by batch.
        key: Typed random key, the root of everything.
        num_steps: Update at which the run ends. A finished run is continued with a larger number.
        batch_size: Rows of a batch.
        directory: Where to save; nothing is saved if None.
        config: JSON object that is saved as ``config.json`` and with every checkpoint; a run is continued only with
            the same one, except for its ``training.num_steps``.
        hooks: Objects with any of the methods `on_start(info)`, `on_log(step, metrics)`, `on_event(event)`,
            `on_end(result)`.
        resume: Continue the run in `directory` from its last checkpoint; begin it if it has none yet.
        from_step: Continue from this older checkpoint instead; later ones are dropped.
        checkpoint_every: Updates between checkpoints. None: a snapshot for recovery every 10 lines of the log, written
            to the disk when that costs less than 5 % of the time, and at least every half minute.
        log_every: Updates between two lines of the log, over which metrics are averaged. None: 50, or a hundredth of
            `num_steps` if that is less.
        keep: Number of newest checkpoints kept on the disk, beside the good ones.
        keep_doublings: Also write and keep those of the steps 1, 2, 4, 8 ..., a path for log Z (`paths.Trajectory`);
            give it again when the run is continued.
        recovery: What is done on failure. None only reports, except that values that are not finite end the run.
        throw: Raise `Diverged` when recovery does not help; otherwise return the last good state with
            ``result="diverged"``.
        max_seconds: Seconds after which the run ends and saves, with the result ``"out-of-time"``; counted from its
            first update, without compilation. How far it comes then depends on the machine, what it computes does not.
        generator: ``"auto"`` uses energax's fast generator where it is faster, ``"as-given"`` that of `key`.

    Returns:
        `FitResult`; its `energy` is the trained model.

    Raises:
        KernelMismatch: The objective or its kernel does not fit the energy.
        SpaceError: The data do not fit the energy's space.
        DataError: All rows are equal.
        RunError: The directory cannot be used: it holds another run, is being trained, is full or read-only.
        CheckpointError: A checkpoint is damaged; the message names one that is whole.
        Diverged: See `throw`.

    Example:
        >>> import jax, numpy as np
        >>> from energax import energies, kernels, objectives, training
        >>> energy = energies.RBM(num_visible=4, num_hidden=2, key=jax.random.key(0))
        >>> learner = training.Learner(energy, objectives.PersistentCD(kernels.BlockGibbs(), num_chains=8))
        >>> data = np.random.default_rng(0).integers(0, 2, (100, 4))
        >>> run = training.fit(learner, data, key=jax.random.key(1), num_steps=20, batch_size=10)
        >>> run.step
        20
    """
    if max_seconds is not None and not max_seconds > 0:
        raise ArgumentError(f"`max_seconds` must be positive, got {max_seconds}.")
    directory = None if directory is None else Path(directory)
    key = choose(key, generator)
    batches = Batches(data, batch_size=batch_size, seed=_data_seed(key), space=learner.space, numbered=learner.numbered)
    _check_data(learner, batches)
    with locked(directory):
        step = _first_step(directory, resume=resume, from_step=from_step)
        if log_every is None:
            log_every = default_log_every(num_steps) if step is None else _saved_log_every(directory, step)
        plan = Plan(
            num_steps, batch_size, log_every, checkpoint_every, keep, recovery, directory, config, keep_doublings
        )
        loop = Loop(learner, batches, plan, key=key, hooks=hooks)
        if step is None:
            _write_config(directory, config)
            loop.begin()
        else:
            loop.resume(step)
        return _run(loop, plan, _info(loop, plan, key, batches), throw=throw, max_seconds=max_seconds)


def _run(loop: Loop, plan: Plan, info: FitInfo, *, throw: bool, max_seconds: float | None) -> FitResult:
    loop.tell("on_start", info)
    error = None
    try:
        with Interrupts() as interrupts:
            ending = loop.run(interrupts, max_seconds)
    except Diverged as caught:
        ending, error = "diverged", caught
    result = FitResult(
        energy=loop.learner.result(loop.state),
        state=loop.state,
        history=loop.archive.history,
        events=loop.archive.events,
        directory=plan.directory,
        step=loop.step,
        result=ending,
        message=_message(ending, loop, plan, error),
    )
    loop.tell("on_end", result)
    if error is not None and throw:
        raise error
    return result


def _message(ending: str, loop: Loop, plan: Plan, error: Exception | None) -> str:
    if error is not None:
        return str(error)
    if ending == "successful":
        return f"Trained for {loop.step} steps."
    if ending == "out-of-time":
        return f"The time was up after step {loop.step} of {plan.num_steps}."
    how = "nothing was saved, because no directory was given"
    if plan.directory is not None:
        how = f"saved in {plan.directory}; continue with resume=True"
    return f"Interrupted after step {loop.step} of {plan.num_steps}: {how}."


def _info(loop: Loop, plan: Plan, key: PRNGKey, batches: Batches) -> FitInfo:
    trained = jax.tree.leaves(eqx.filter(loop.state.energy, eqx.is_inexact_array))
    return FitInfo(
        num_steps=plan.num_steps,
        first_step=loop.step,
        batch_size=plan.batch_size,
        num_rows=batches.num_rows,
        log_every=plan.log_every,
        num_parameters=sum(math.prod(leaf.shape) for leaf in trained),
        generator=generator_name(key),
        directory=plan.directory,
    )


def _data_seed(key: PRNGKey) -> int:
    """The seed of the order of the rows, a function of the key alone."""
    return int(np.asarray(jax.random.bits(jax.random.fold_in(key, 0))))


def _check_data(learner: AbstractLearner, batches: Batches) -> None:
    """Check the rows of an array, up to a limit, and the first batch of anything else."""
    rows = batches.rows
    learner.check(batches.raw(0))
    if isinstance(rows, ArrayRows):
        first = rows.first(_MAX_CHECKED_BYTES)
        learner.check(first)
        _require_different(first, len(rows))


def _require_different(rows: Any, num_rows: int) -> None:
    """Refuse rows of real numbers that are all equal: a density would rise without end at that one point."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(rows)]
    if num_rows > 1 and all(leaf.dtype.kind == "f" and bool((leaf == leaf[0]).all()) for leaf in leaves):
        raise DataError(
            f"All {num_rows} rows are equal, so there is nothing to learn: no density has them. Check how they were "
            "made."
        )


def _first_step(directory: Path | None, *, resume: bool, from_step: int | None) -> int | None:
    """The checkpoint to continue from, None to begin."""
    if directory is None:
        if resume or from_step is not None:
            raise ArgumentError("To continue a run, give its `directory`.")
        return None
    store = Store(directory)
    try:
        store.clean()
        steps = store.steps()
    except OSError as error:
        raise RunError(f"{store.folder} cannot be used: {error.strerror or error}.") from error
    if not resume and from_step is None:
        if steps:
            raise RunError(
                f"{directory} holds a run already, up to step {steps[-1]}. Continue it with resume=True, or choose "
                "another directory."
            )
        return None
    if from_step is not None and from_step not in steps:
        have = ", ".join(map(str, steps)) or "none"
        raise CheckpointError(f"{directory} has no checkpoint of step {from_step} (it has: {have}).")
    return from_step if from_step is not None else (steps[-1] if steps else None)


def _saved_log_every(directory: Path | None, step: int) -> int:
    assert directory is not None
    return int(Store(directory).info(step)["settings"]["log_every"])


def _write_config(directory: Path | None, config: dict[str, Any] | None) -> None:
    if directory is None or config is None:
        return
    try:
        replace_file(directory / "config.json", (json.dumps(config, indent=1) + "\n").encode())
    except (OSError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not JSON ({error})"
        raise RunError(f"The configuration could not be saved in {directory}: {reason}.") from error
