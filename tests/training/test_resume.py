"""A run that is stopped anywhere and continued ends in the bits of the run that was not."""

import json
import shutil
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

from energax import training
from energax._errors import ArgumentError, CheckpointError, RunError


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it on the way."""


class KillAt:
    def __init__(self, step):
        self.step = step

    def on_log(self, step, metrics):
        if step >= self.step:
            raise Killed


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """An uninterrupted run with checkpoints at 0, 4, 8, ... of which the last ones are kept."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    return toy.fit(directory=directory, checkpoint_every=4, num_steps=20, log_every=2, config={"seed": 1})


OPTIONS = {"checkpoint_every": 4, "num_steps": 20, "log_every": 2, "config": {"seed": 1}}


@pytest.mark.parametrize("at", [1, 2, 8, 14, 18])
def test_killed_between_two_updates(toy, finished, same_bytes, tmp_path, at):
    with pytest.raises(Killed):
        toy.fit(directory=tmp_path, hooks=[KillAt(at)], **OPTIONS)
    assert max(training.checkpoints(tmp_path)) <= at
    same_bytes(finished, toy.fit(directory=tmp_path, resume=True, **OPTIONS))


def test_killed_at_any_change_of_the_disk(toy, finished, same_bytes, tmp_path, disk):
    """Every third call that changes the disk, one run after the other; every directory continues to the same bits.

    Between two checkpoints there are 8 calls, so that a third of them falls on each kind of call.
    """
    with disk.counted():
        toy.fit(directory=tmp_path / "count", **OPTIONS)
    assert len(disk.calls) > 30
    for at in range(1, len(disk.calls), 3):
        directory = tmp_path / str(at)
        with disk.killed_at(at):
            toy.fit(directory=directory, **OPTIONS)
        same_bytes(finished, toy.fit(directory=directory, resume=True, **OPTIONS))
        shutil.rmtree(directory)


def test_killed_again_and_again(toy, finished, same_bytes, tmp_path):
    for at in (3, 7, 9, 13, 17):
        with pytest.raises(Killed):
            toy.fit(directory=tmp_path, hooks=[KillAt(at)], resume=True, **OPTIONS)
    same_bytes(finished, toy.fit(directory=tmp_path, resume=True, **OPTIONS))


def test_a_longer_run_is_the_run_that_was_longer_from_the_start(toy, finished, same_bytes, tmp_path):
    """Also when the short one ended in the middle of a window of the log."""
    toy.fit(directory=tmp_path, **{**OPTIONS, "num_steps": 13})
    same_bytes(finished, toy.fit(directory=tmp_path, resume=True, **OPTIONS))


def test_a_finished_run_is_returned_as_it_is(toy, same_bytes, tmp_path):
    """Down to the last line of its log, which covers an incomplete window."""
    options = {**OPTIONS, "num_steps": 13}
    first = toy.fit(directory=tmp_path, **options)
    assert [row["step"] for row in first.history][-2:] == [12, 13]
    same_bytes(first, toy.fit(directory=tmp_path, resume=True, **options))
    assert [row["step"] for row in training.read_metrics(tmp_path)[0]][-2:] == [12, 13]


def test_what_a_run_leaves_behind(toy, finished):
    directory = finished.directory
    assert sorted(p.name for p in directory.iterdir()) == ["checkpoints", "config.json", "metrics.jsonl"]
    assert json.loads((directory / "config.json").read_text()) == {"seed": 1}
    steps = training.checkpoints(directory)
    assert set(steps.values()) == {None}
    assert {12, 16, 20} <= set(steps) <= {0, 4, 8, 12, 16, 20}
    rows, events = training.read_metrics(directory)
    assert rows == finished.history
    assert events == []


def test_saved_states_and_models_can_be_read(toy, finished):
    learner = toy.learner()
    like = learner.init(toy.data[:8], key=jax.random.key(0))
    state = training.load_state(finished.directory, like=like)
    assert int(state.step) == 20
    assert np.array_equal(state.objective_state.x, finished.state.objective_state.x)
    older = training.load_state(finished.directory, like=like, step=16)
    assert int(older.step) == 16
    averaged = training.load_energy(finished.directory, like=learner.energy)
    current = training.load_energy(finished.directory, like=learner.energy, average=False)
    assert np.array_equal(averaged.params["mean"], finished.energy.params["mean"])
    assert np.array_equal(current.params["mean"], finished.state.energy.params["mean"])
    assert not np.array_equal(averaged.params["mean"], current.params["mean"])
    with pytest.raises(CheckpointError, match="no checkpoints"):
        training.load_state(finished.directory / "checkpoints", like=like)


@pytest.fixture
def damaged(finished, tmp_path):
    shutil.copytree(finished.directory, tmp_path / "run")
    directory = tmp_path / "run"
    file = next(p for p in sorted((directory / "checkpoints/step-00000020/arrays").rglob("*")) if p.is_file())
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    return directory


def test_the_older_checkpoint_is_used_when_asked_for(toy, finished, same_bytes, damaged):
    with pytest.raises(CheckpointError, match=r"step-00000020 is damaged.*continue from it with from_step=16"):
        toy.fit(directory=damaged, resume=True, **OPTIONS)
    assert 20 in training.checkpoints(damaged)  # nothing was removed
    same_bytes(finished, toy.fit(directory=damaged, from_step=16, **OPTIONS))
    assert set(training.checkpoints(damaged).values()) == {None}
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3 \(it has"):
        toy.fit(directory=damaged, from_step=3, **OPTIONS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": jax.random.key(3)}, "another random key"),
        ({"generator": "as-given"}, "generator"),
        ({"batch_size": 9}, "batch_size=8, not 9"),
        ({"log_every": 3}, "log_every=2, not 3"),
        ({"checkpoint_every": 5}, "checkpoint_every=4, not 5"),
        ({"config": {"seed": 2}}, "seed was 1 and is now 2"),
        ({"config": {"seed": 1, "model": {"hidden": 3}}}, "model was None and is now"),
        ({"recovery": None}, "recovery"),
    ],
)
def test_a_run_is_not_continued_as_another_one(toy, finished, change, says):
    before = sorted(finished.directory.rglob("*"))
    with pytest.raises(RunError, match=says):
        toy.fit(directory=finished.directory, resume=True, **{**OPTIONS, **change})
    assert sorted(finished.directory.rglob("*")) == before


def test_not_with_other_data_or_another_model(toy, finished):
    with pytest.raises(RunError, match="data are not those"):
        toy.fit(data=toy.data + 1, directory=finished.directory, resume=True, **OPTIONS)
    with pytest.raises(RunError, match="50 rows of data, not 49"):
        toy.fit(data=toy.data[:49], directory=finished.directory, resume=True, **OPTIONS)
    with pytest.raises(CheckpointError, match=r"ema/params/mean is float32\[3\] there and absent here"):
        toy.fit(learner=toy.learner(ema_decay=None), directory=finished.directory, resume=True, **OPTIONS)


def test_the_length_in_the_configuration_may_change(toy, same_bytes, tmp_path):
    def config(num_steps):
        return {"training": {"num_steps": num_steps, "batch_size": 8}}

    toy.fit(directory=tmp_path, num_steps=10, log_every=None, config=config(10))
    longer = toy.fit(directory=tmp_path, num_steps=20, log_every=None, config=config(20), resume=True)
    # The lines of the log stay as far apart as they were.
    same_bytes(longer, toy.fit(num_steps=20, log_every=1))


def test_directories_that_cannot_be_used(toy, finished, tmp_path):
    with pytest.raises(RunError, match="holds a run already, up to step 20"):
        toy.fit(directory=finished.directory, **OPTIONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        toy.fit(directory=tmp_path / "file" / "run", **OPTIONS)
    with pytest.raises(RunError, match="not JSON"):
        toy.fit(directory=tmp_path / "run", **{**OPTIONS, "config": {"key": toy.key}})
    with pytest.raises(ArgumentError, match="directory"):
        toy.fit(from_step=4)


def test_resume_of_a_run_that_never_began(toy, finished, same_bytes, tmp_path):
    same_bytes(finished, toy.fit(directory=tmp_path / "new", resume=True, **OPTIONS))


def test_the_log_is_cut_back(toy, finished, same_bytes, tmp_path):
    """Lines after the checkpoint, and a torn one, are dropped."""
    with pytest.raises(Killed):
        toy.fit(directory=tmp_path, hooks=[KillAt(14)], **OPTIONS)
    path = tmp_path / "metrics.jsonl"
    assert [row["step"] for row in training.read_metrics(path)[0]] == [1, 2, 4, 6, 8, 10, 12, 14]
    with path.open("a") as file:
        file.write('{"step": 15, "lo')
    assert len(training.read_metrics(path)[0]) == 8
    run = toy.fit(directory=tmp_path, resume=True, **OPTIONS)
    same_bytes(finished, run)
    assert training.read_metrics(path)[0] == run.history


def test_a_log_that_was_edited_is_an_error(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(RunError, match="Line 2 of"):
        training.read_metrics(tmp_path)
    assert training.read_metrics(tmp_path / "absent.jsonl") == ([], [])


def test_two_processes_cannot_train_one_run(toy, tmp_path):
    """A living process holds the lock; one that was killed does not, though its file is still there."""
    program = (
        "import sys, time, pathlib; from energax.training._lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(RunError, match=f"is being trained by process {holder.pid}"):
            toy.fit(directory=tmp_path)
    finally:
        holder.kill()
        holder.wait()
    assert (tmp_path / ".lock").exists()
    assert toy.fit(directory=tmp_path).step == 20
    assert not (tmp_path / ".lock").exists()


def test_nor_can_two_threads(toy, tmp_path):
    errors = []

    class Second:
        def on_start(self, info):
            def run():
                with pytest.raises(RunError, match="is being trained"):
                    toy.fit(directory=tmp_path)
                errors.append("refused")

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    toy.fit(directory=tmp_path, hooks=[Second()])
    assert errors == ["refused"]


def test_checkpoints_at_doublings_are_kept_and_change_nothing(toy, finished, same_bytes, tmp_path):
    """A run that keeps its trajectory ends in the same bits, also after an interruption."""
    with pytest.raises(Killed):
        toy.fit(directory=tmp_path, hooks=[KillAt(10)], keep=1, keep_doublings=True, **OPTIONS)
    same_bytes(finished, toy.fit(directory=tmp_path, resume=True, keep=1, keep_doublings=True, **OPTIONS))
    assert {0, 1, 2, 4, 8, 16, 20} <= set(training.checkpoints(tmp_path))
    assert not {3, 5, 6, 7, 9, 10} & set(training.checkpoints(tmp_path))
