"""The loop: updates, lines of the log, snapshots, and the way back from a failure."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from energax._errors import Diverged
from energax._typing import PRNGKey
from energax.training._archive import Archive, is_doubling
from energax.training._batches import Batches
from energax.training._checkpoints import Snapshot
from energax.training._compiled import Progress, Updater
from energax.training._interrupts import Interrupts
from energax.training._learner import AbstractLearner
from energax.training._metrics import Event
from energax.training._plan import Plan, require_same, require_same_config
from energax.training._recovery import Recovery
from energax.training._snapshot import from_host, to_host
from energax.training._state import TrainState
from energax.training._thermometer import Alarm, Thermometer


class Loop:
    """One run, from its first or from a later step to its last.

    Args:
        learner: What is trained.
        batches: The data.
        plan: How.
        key: Root of all random numbers.
        hooks: Objects that are told what happens.
    """

    def __init__(
        self, learner: AbstractLearner, batches: Batches, plan: Plan, *, key: PRNGKey, hooks: Iterable[Any]
    ) -> None:
        self.learner, self._batches, self._plan, self._hooks = learner, batches, plan, tuple(hooks)
        init_key, update_key = jax.random.split(key)
        first = batches.at(0)
        self._first = first
        self._settings = plan.settings(key, first, batches.num_rows)
        self._updater = Updater(learner, update_key)
        self._updater.begin(learner.init(first, key=init_key), first)
        self._thermometer = self._new_thermometer(None)
        self._stopwatch = Stopwatch()
        self.archive = Archive(plan.directory, plan.keep, plan.keep_doublings)
        self.step = 0
        self.scale = 1.0

    @property
    def state(self) -> TrainState:
        """The state after the updates so far."""
        return self._updater.progress.state

    # -- beginning and continuing ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Save step 0, which is good by definition, before the first update."""
        self.archive.cut_log(0)
        self.archive.anchors.start_from(0)
        self._hold_and_save()

    def resume(self, step: int) -> None:
        """Continue from the checkpoint of `step`; later ones, and later lines of the log, are dropped."""
        store = self.archive.store
        assert store is not None
        snapshot = store.load(step)
        require_same_config(store.directory, snapshot.info["config"], self._plan.config)
        require_same(store.directory, snapshot.info["settings"], self._settings)
        self._load(snapshot, f"The checkpoint {store.path(step)}")
        self.archive.drop_after(step)
        self.archive.cut_log(snapshot.info["metrics_bytes"])
        self.archive.anchors.restore(snapshot.info["anchors"], store.steps())
        if not self.archive.anchors.good:
            self.archive.anchors.start_from(step)

    def _load(self, snapshot: Snapshot, what: str) -> None:
        progress: Progress = from_host(snapshot.arrays, self._updater.progress, what=what)
        self._updater.load(progress)
        self.step = snapshot.step
        self.scale = float(progress.state.learning_rate_scale)
        self._thermometer = self._new_thermometer(snapshot.info["thermometer"])

    def _new_thermometer(self, memory: dict[str, Any] | None) -> Thermometer:
        return Thermometer(self.learner.natural_scale, log_every=self._plan.log_every, memory=memory)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, interrupts: Interrupts, max_seconds: float | None = None) -> str:
        """Update until the last step, an interrupt, the end of the time, or a failure without recovery; how it ended.

        Args:
            interrupts: Asked before every update.
            max_seconds: Time from the end of the first update, which compiles; None for no limit.

        Raises:
            Diverged: Training failed and could not be recovered.
            RunError: The disk refused.
        """
        self._stopwatch.start(self.step)
        if self.step == self._plan.num_steps and not self._ends_window():
            self._log()
        deadline, is_late = math.inf, False
        while self.step < self._plan.num_steps and not interrupts.requested:
            if is_late := time.perf_counter() > deadline:
                break
            self._updater.advance(self._batches.at(self.step))
            if max_seconds is not None and deadline == math.inf:
                jax.block_until_ready(self.state.step)
                deadline = time.perf_counter() + max_seconds
            self.step += 1
            if (self._ends_window() or self.step == self._plan.num_steps) and self._log():
                continue
            if self._is_anchor():
                self.archive.anchors.pending.append(self.step)
                self.archive.anchors.hold(self._snapshot())
            if self._is_due():
                self.archive.save(self._snapshot())
        if self.archive.store is not None and not self.archive.has(self.step):
            self.archive.save(self._snapshot())
        if self.step == self._plan.num_steps:
            return "successful"
        return "out-of-time" if is_late else "interrupted"

    def _ends_window(self) -> bool:
        """Every `log_every` updates, and after the first one, which shows the untrained model."""
        return self.step == 1 or self.step % self._plan.log_every == 0

    def _is_anchor(self) -> bool:
        """On schedule, but at most once between two lines, so that few candidates wait for their verdict."""
        pending = self.archive.anchors.pending
        last_line = self.step - self.step % self._plan.log_every
        return self.step % self._plan.anchor_every == 0 and (not pending or pending[-1] < last_line)

    def _is_due(self) -> bool:
        if self.archive.store is None:
            return False
        if self._plan.keep_doublings and is_doubling(self.step):
            return True
        if self._plan.checkpoint_every is not None:
            return self.step % self._plan.checkpoint_every == 0
        return self.archive.is_due(at_anchor=self.step % self._plan.anchor_every == 0)

    def _snapshot(self) -> Snapshot:
        info = {
            "settings": self._settings,
            "config": self._plan.config,
            "thermometer": self._thermometer.memory,
            "metrics_bytes": self.archive.log_length(),
            "anchors": self.archive.anchors.memory,
        }
        return Snapshot(self.step, to_host(self._updater.progress), info)

    def _hold_and_save(self) -> None:
        snapshot = self._snapshot()
        self.archive.anchors.hold(snapshot)
        self.archive.save(snapshot)

    # -- the log and failures ----------------------------------------------------------------------------------------

    def _log(self) -> bool:
        """Write a line; whether the run went back to an earlier step."""
        is_full = self._ends_window()
        # The last, incomplete window is read but not closed: what a longer run does must not depend on this end.
        means, first_bad = self._updater.close_window() if is_full else self._updater.progress.window.read()
        thermometer = self._thermometer if is_full else self._new_thermometer(self._thermometer.memory)
        row = {"step": self.step, **means, **self.learner.look(self.state, self._first)}
        row["learning_rate_scale"] = self.scale
        row["steps_per_second"] = self._stopwatch.speed(self.step)
        self.archive.write_row(row, provisional=not is_full)
        self.tell("on_log", self.step, row)
        alarms = thermometer.update(row, first_bad)
        if alarms:
            return self._fail(min(alarms, key=lambda alarm: alarm.began))
        if is_full:
            self.archive.anchors.confirm(self.step - self._thermometer.delay)
        return False

    def _fail(self, alarm: Alarm) -> bool:
        recovery = self._plan.recovery
        done = int(self.state.num_recoveries)
        if recovery is None and alarm.kind != "nonfinite":
            self._record(alarm, "It was only reported, because recovery is switched off.", None)
            return False
        if recovery is None or done >= recovery.max_recoveries:
            self._give_up(alarm, f"{done} recoveries did not help." if done else "No recovery was allowed.")
            return False
        self._go_back(alarm, recovery, done + 1)
        return True

    def _go_back(self, alarm: Alarm, recovery: Recovery, number: int) -> None:
        # Both go on from the failed state: the one that is returned to may know less of earlier failures.
        failed_at, scale = self.step, self.scale * recovery.factor
        good = self.archive.anchors.choose(alarm.began)
        # Before anything else: if the process dies here, what is left runs into the same failure once more.
        self.archive.drop_after(good.step)
        self._load(good, "The snapshot")
        self._slow_down(scale, number)
        action = (
            f"Went back to step {good.step} with {self.scale:.3g} times the learning rate "
            f"(recovery {number} of {recovery.max_recoveries})."
        )
        self._record(alarm, action, good.step, noticed=failed_at)
        self.archive.anchors.start_from(good.step)
        self.archive.anchors.returned_to = good.step
        self._hold_and_save()
        self._stopwatch.start(self.step)

    def _slow_down(self, scale: float, number: int) -> None:
        progress = self._updater.progress
        old = progress.state
        new = (np.asarray(scale, old.learning_rate_scale.dtype), np.asarray(number, old.num_recoveries.dtype))
        state = eqx.tree_at(lambda s: (s.learning_rate_scale, s.num_recoveries), old, new)
        self._updater.load(Progress(state, progress.window))
        self.scale = float(new[0])

    def _give_up(self, alarm: Alarm, why: str) -> None:
        self._record(alarm, f"Gave up: {why}", None)
        good = self.archive.anchors.choose(alarm.began)
        where = self.archive.save_good(good)
        # What is left of the run is what can be trusted: readers of the directory take its last checkpoint.
        self.archive.drop_after(good.step)
        self._load(good, "The snapshot")
        raise Diverged(f"Training failed at step {alarm.began}: {alarm.message} {why}{where} {_ADVICE[alarm.kind]}")

    def _record(self, alarm: Alarm, action: str, back_to: int | None, noticed: int | None = None) -> None:
        step = self.step if noticed is None else noticed
        event = Event(alarm.kind, step, alarm.began, alarm.message, action, back_to, self.scale)
        self.archive.write_event(event)
        self.tell("on_event", event)

    def tell(self, name: str, *arguments: Any) -> None:
        """Call a method of every hook that has it."""
        for hook in self._hooks:
            method = getattr(hook, name, None)
            if method is not None:
                method(*arguments)


class Stopwatch:
    """Updates a second since the last look."""

    def start(self, step: int) -> None:
        """Begin at a step."""
        self._step, self._time = step, time.perf_counter()

    def speed(self, step: int) -> float:
        """Updates a second since the last call."""
        now = time.perf_counter()
        speed = (step - self._step) / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        return speed


_ADVICE = {
    "unbounded_energy": "Add a term that rises faster than the energy falls, such as a normal law: "
    "energies.Sum((energy, densities.Gaussian(mean, variance))).",
    "nonfinite": "Use a smaller learning rate, clip the gradient, or a kernel with a smaller step size.",
    "exploding_energy_gap": "Use a smaller learning rate, more transitions an update, or a confining base measure.",
    "exploding_loss": "Use a smaller learning rate.",
    "dead_chains": "Use a smaller step size of the kernel, or let it adapt (adapt_step_size=True).",
    "saturated_samples": "Use a smaller learning rate, more chains, or restarts.",
}
