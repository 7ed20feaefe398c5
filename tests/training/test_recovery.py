"""Runs that fail: noticed, reported, and brought back if that is possible."""

import json
import math
import random

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import energies, kernels, objectives, spaces, training
from energax._errors import Diverged
from energax.training import _archive
from energax.training._checkpoints import Snapshot
from energax.training._recovery import Anchors

# Gradient descent on ½‖m − x‖² is stable below a learning rate of 2: with 3 the error doubles at every update, and
# with half of that it halves. With 100 no three recoveries suffice.
TOO_FAST, FAR_TOO_FAST = 3.0, 100.0


def failing(toy, **options):
    defaults = {"learner": toy.learner(sgd=TOO_FAST, ema_decay=None), "num_steps": 120}
    return toy.fit(**{**defaults, **options})


def test_a_learning_rate_that_is_too_high_is_brought_down(toy, tmp_path):
    told = []
    hook = type("Hook", (), {"on_event": lambda self, event: told.append(event)})()
    run = failing(toy, directory=tmp_path, hooks=[hook])
    assert run.result == "successful"
    assert run.step == 120
    assert len(run.events) == 1
    event = run.events[0]
    assert event["kind"] == "exploding_loss"
    assert event["back_to"] == 0
    assert event["learning_rate_scale"] == 0.5
    assert event["step"] - event["began"] < 30
    assert "Went back to step 0 with 0.5 times the learning rate (recovery 1 of 3)." in event["action"]
    assert vars(told[0]) == event
    # Healthy at the end: at the minimum, up to the noise of batches of 8 rows with deviation 0.5.
    assert np.abs(np.asarray(run.energy.params["mean"]) - toy.data.mean(0)).max() < 1.5
    assert [row["step"] for row in run.history] == [1, *range(5, 121, 5)]
    assert {row["learning_rate_scale"] for row in run.history} == {0.5}
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines if "event" in line] == run.events
    assert len(lines) > len(run.history) + 1  # what failed stays on record
    assert training.read_metrics(tmp_path) == (run.history, run.events)


def test_how_it_is_saved_does_not_change_what_it_goes_back_to(toy, same_bytes, tmp_path):
    """Without a directory, and with checkpoints by the clock."""
    same_bytes(failing(toy), failing(toy, directory=tmp_path))


def test_what_failed_is_not_left_on_the_disk(toy, tmp_path):
    """Else a later process could take a snapshot of the failed branch for one of the branch that replaced it."""
    seen = []

    class Look:
        def on_log(self, step, metrics):
            seen.append((step, metrics["learning_rate_scale"], sorted(training.checkpoints(tmp_path))))

    failing(toy, directory=tmp_path, checkpoint_every=10, hooks=[Look()])
    failed = [(step, found) for step, scale, found in seen if scale == 1.0]
    after = [(step, found) for step, scale, found in seen if scale < 1.0]
    assert failed[-1][1][-1] == 30
    assert after[0] == (1, [0])
    assert all(max(found) <= step for step, found in after)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it on the way."""


class KillOn:
    def __init__(self, step, *, recovered):
        self.step, self.recovered = step, recovered

    def on_log(self, step, metrics):
        if step == self.step and (metrics["learning_rate_scale"] < 1) == self.recovered:
            raise Killed


@pytest.mark.parametrize(("step", "recovered"), [(20, False), (30, False), (1, True), (10, True), (60, True)])
def test_killed_before_and_after_a_recovery(toy, same_bytes, tmp_path, step, recovered):
    options = {"checkpoint_every": 10}
    with pytest.raises(Killed):
        failing(toy, directory=tmp_path, hooks=[KillOn(step, recovered=recovered)], **options)
    same_bytes(failing(toy, **options), failing(toy, directory=tmp_path, resume=True, **options))


@pytest.mark.slow
def test_killed_in_the_middle_of_a_recovery(toy, same_bytes, tmp_path, disk):
    """At every change of the disk from the failure to the first line after it."""
    options = {"checkpoint_every": 30, "num_steps": 60}
    wanted = failing(toy, **options)

    class Watch:
        """The numbers of the calls between the alarm and the next line of the log."""

        first = last = 0

        def on_log(self, step, metrics):
            if metrics["learning_rate_scale"] < 1:
                self.last = self.last or len(disk.calls)
            else:
                self.first = len(disk.calls)

    watch = Watch()
    with disk.counted():
        failing(toy, directory=tmp_path / "count", hooks=[watch], **options)
    assert watch.last - watch.first >= 8
    for at in range(watch.first + 1, watch.last + 1):
        directory = tmp_path / str(at)
        with disk.killed_at(at):
            failing(toy, directory=directory, **options)
        same_bytes(wanted, failing(toy, directory=directory, resume=True, **options))


def test_when_nothing_helps(toy, tmp_path):
    options = {"learner": toy.learner(sgd=FAR_TOO_FAST, ema_decay=None), "directory": tmp_path / "a"}
    with pytest.raises(Diverged) as caught:
        failing(toy, **options)
    text = str(caught.value)
    assert "3 recoveries did not help" in text
    assert "exploded" in text or "not finite" in text
    assert f"The last good checkpoint is {tmp_path / 'a' / 'checkpoints' / 'step-00000000'}" in text
    assert "Use a smaller learning rate" in text
    assert "\n" not in text
    assert training.checkpoints(tmp_path / "a") == {0: None}  # nothing that failed is left for readers
    run = failing(toy, **{**options, "directory": tmp_path / "b"}, throw=False)
    assert run.result == "diverged"
    assert run.message.replace("/b/", "/a/") == text
    assert run.step == 0
    assert [event["learning_rate_scale"] for event in run.events] == [0.5, 0.25, 0.125, 0.125]
    assert np.array_equal(run.energy.params["mean"], np.zeros(3))
    assert training.read_metrics(tmp_path / "b")[1] == run.events


def test_recoveries_are_bounded_and_can_be_refused(toy):
    refused = failing(toy, recovery=training.Recovery(max_recoveries=0), throw=False)
    assert refused.result == "diverged"
    assert "No recovery was allowed." in refused.message
    gentle = failing(toy, recovery=training.Recovery(factor=0.1))
    assert gentle.events[0]["learning_rate_scale"] == pytest.approx(0.1)


def test_without_recovery_it_reports_until_numbers_end(toy):
    run = failing(toy, recovery=None, throw=False)
    assert [event["kind"] for event in run.events] == ["exploding_loss", "nonfinite"]
    assert run.events[0]["back_to"] is None
    assert run.result == "diverged"


class Poisoned:
    """Rows with a NaN in the batch of one step, the first `times` times that it is asked for."""

    def __init__(self, rows, step, times=10**9):
        self.rows, self.step, self.times = rows, step, times

    def __len__(self):
        return len(self.rows)

    def take(self, indices, *, draw):
        rows = self.rows[indices].copy()
        if draw == self.step and self.times:
            self.times -= 1
            rows[3, 1] = np.nan
        return rows


def test_the_update_at_which_it_began_is_exact(toy):
    """Batch 12 is that of update 13, in the window from 11 to 15."""
    run = toy.fit(data=Poisoned(toy.data, 12), throw=False)
    assert run.result == "diverged"
    assert len(run.events) == 4
    assert all((event["kind"], event["began"], event["step"]) == ("nonfinite", 13, 15) for event in run.events)
    assert "not finite since update 13" in run.message
    assert all(math.isfinite(value) for value in np.asarray(run.energy.params["mean"]))


def test_it_goes_back_to_the_last_checkpoint_that_proved_good(toy):
    """Anchors every 50 updates, good after 30 healthy ones: at 205 the one of 150 is, that of 200 is not yet."""
    run = toy.fit(data=Poisoned(toy.data, 200, times=1), num_steps=240)
    assert run.result == "successful"
    assert [(e["began"], e["step"], e["back_to"]) for e in run.events] == [(201, 205, 150)]
    assert [row["step"] for row in run.history] == [1, *range(5, 241, 5)]
    late = toy.fit(data=Poisoned(toy.data, 231, times=1), num_steps=240)
    assert [event["back_to"] for event in late.events] == [200]


def test_a_failure_in_the_last_incomplete_window_is_noticed(toy):
    run = toy.fit(data=Poisoned(toy.data, 17, times=1), num_steps=18)
    assert [(event["began"], event["step"]) for event in run.events] == [(18, 18)]
    assert (run.result, run.step) == ("successful", 18)


def test_a_second_failure_before_anything_proved_good_goes_further_back():
    anchors = Anchors()
    for step in (0, 50, 100):
        anchors.pending.append(step)
        anchors.hold(Snapshot(step, {}, {}))
    anchors.confirm(100)
    assert anchors.good == [50, 100]
    assert anchors.choose(130).step == 100
    assert anchors.choose(90).step == 50  # never one from after the beginning of the failure
    assert anchors.choose(20).step == 50  # unless there is no other
    anchors.start_from(100)
    anchors.returned_to = 100
    assert anchors.choose(130).step == 50
    anchors.start_from(50)
    anchors.returned_to = 50
    assert anchors.choose(80).step == 50


def test_the_clock_decides_only_what_survives(toy, same_bytes, tmp_path, monkeypatch):
    """Checkpoints at other moments in the killed, the continued and the uninterrupted process: the same recovery."""
    options = {"num_steps": 260, "checkpoint_every": None}
    wanted = toy.fit(data=Poisoned(toy.data, 231), throw=False, **options)
    assert [event["back_to"] for event in wanted.events] == [200, 150, 200, None]
    moments = random.Random(1)
    monkeypatch.setattr(_archive.Archive, "is_due", lambda self, *, at_anchor: moments.random() < 0.1)
    kills = 0
    for step in (215, 200, 170, 205):
        hook = KillOn(step, recovered=step != 215)
        try:
            toy.fit(data=Poisoned(toy.data, 231), directory=tmp_path, hooks=[hook], resume=True, throw=False, **options)
        except Killed:
            kills += 1
    assert kills >= 2
    end = toy.fit(data=Poisoned(toy.data, 231), directory=tmp_path, resume=True, throw=False, **options)
    same_bytes(wanted, end)


def test_saving_takes_a_twentieth_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_archive.time, "monotonic", lambda: now[0])

    def save(self, snapshot):
        now[0] += 0.5

    monkeypatch.setattr(_archive.Store, "save", save)
    archive = _archive.Archive(tmp_path, keep=3)
    archive.save(Snapshot(0, {}, {}))
    due = {at: [] for at in (True, False)}
    for _ in range(40):
        now[0] += 1.0
        for at_anchor, seconds in due.items():
            if archive.is_due(at_anchor=at_anchor):
                seconds.append(now[0] - 0.5)
    assert due[True][0] == 10.0  # 0.5 s are 5 % of 10 s
    assert due[False][0] == 30.0  # between anchors only so that not more than half a minute is lost


def test_recoveries_stay_counted_when_it_goes_further_back(toy):
    """Always at update 121: to 50, from there in vain to 0, and once more to 50; never a fourth time."""
    run = toy.fit(data=Poisoned(toy.data, 120), num_steps=150, throw=False)
    assert [event["back_to"] for event in run.events] == [50, 0, 50, None]
    assert [event["learning_rate_scale"] for event in run.events] == [0.5, 0.25, 0.125, 0.125]
    assert run.result == "diverged"


def test_absurd_step_sizes_are_dead_chains(key):
    """MALA on a well of width one with steps of a thousand: nothing is accepted, and no learning rate helps."""
    model = energies.energy(lambda p, x: 0.5 * jnp.sum(((x - p) / 1.0) ** 2), jnp.zeros(2), space=spaces.Euclidean(2))
    data = np.random.default_rng(0).normal(size=(64, 2))
    for step_size, healthy in ((1e3, False), (0.5, True)):
        objective = objectives.PersistentCD(kernels.MALA(step_size), num_chains=32)
        learner = training.Learner(model, objective, optimizer=ADAM)
        run = training.fit(learner, data, key=key, num_steps=60, batch_size=16, log_every=10, throw=False)
        assert run.result == ("successful" if healthy else "diverged")
        assert {event["kind"] for event in run.events} == (set() if healthy else {"dead_chains"})
        assert ("Use a smaller step size of the kernel" in run.message) is not healthy


ADAM = optax.adam(1e-2)
