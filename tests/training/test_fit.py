"""The loop: what it computes, what it logs, what it reads."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import energies, kernels, objectives, spaces, training
from energax._errors import ArgumentError, DataError, SpaceError
from energax.data import batch_indices


def test_the_loop_is_the_update_in_a_loop(toy):
    """Batches, keys and means of the log, recomputed with nothing but `Learner.update`."""
    learner = toy.learner()
    run = toy.fit(learner=learner, num_steps=7, log_every=3, generator="as-given")
    init_key, update_key = jax.random.split(toy.key)
    seed = int(jax.random.bits(jax.random.fold_in(toy.key, 0)))
    batches = [toy.data[batch_indices(50, 8, step, seed)] for step in range(7)]
    state = learner.init(batches[0], key=init_key)
    walks = []
    update = jax.jit(lambda s, b, k: learner.update(s, b, key=k))
    for step, batch in enumerate(batches):
        key = jax.random.fold_in(jax.random.fold_in(update_key, 0), step)
        state, metrics = update(state, batch, key)
        walks.append(float(metrics["walk"]))
    np.testing.assert_allclose(run.state.energy.params["mean"], state.energy.params["mean"], rtol=1e-5)
    np.testing.assert_allclose(run.state.ema.params["mean"], state.ema.params["mean"], rtol=1e-5)
    windows = [walks[:1], walks[1:3], walks[3:6], walks[6:]]
    assert [row["step"] for row in run.history] == [1, 3, 6, 7]
    np.testing.assert_allclose([row["walk"] for row in run.history], [np.mean(w) for w in windows], rtol=1e-4)


def test_it_learns_and_leaves_the_given_model_alone(toy):
    learner = toy.learner(sgd=0.1)
    run = toy.fit(learner=learner, num_steps=200)
    # Exact minimiser: the mean of the data, up to the walk's term of order 0.01·|walk| < 0.5.
    assert np.abs(np.asarray(run.energy.params["mean"]) - toy.data.mean(0)).max() < 0.5
    assert np.array_equal(np.asarray(learner.energy.params["mean"]), np.zeros(3))
    assert run.result == "successful"
    assert not run.interrupted
    assert "after 200 steps" in repr(run)


def test_it_ends_with_its_time_and_goes_on_as_if_nothing_had_happened(toy, same_bytes, tmp_path, monkeypatch):
    whole = toy.fit(num_steps=20)
    with monkeypatch.context() as patch:
        seconds = iter(range(10_000))
        patch.setattr("energax.training._loop.time.perf_counter", lambda: float(next(seconds)))
        part = toy.fit(num_steps=20, directory=tmp_path / "a", max_seconds=4.0)
    assert (part.result, part.interrupted) == ("out-of-time", False)
    assert 1 < part.step < 20
    assert f"after step {part.step} of 20" in part.message
    same_bytes(whole, toy.fit(num_steps=20, directory=tmp_path / "a", resume=True, max_seconds=1e6))
    with pytest.raises(ArgumentError, match="max_seconds"):
        toy.fit(max_seconds=0.0)


def test_how_it_is_watched_does_not_change_it(toy, same_bytes, tmp_path):
    plain = toy.fit()
    watched = toy.fit(directory=tmp_path / "a", checkpoint_every=3, hooks=[Recorder()])
    same_bytes(plain, watched)
    other_lines = toy.fit(log_every=2)
    assert np.array_equal(plain.state.energy.params["mean"], other_lines.state.energy.params["mean"])
    other_key = toy.fit(key=jax.random.key(12))
    assert not np.array_equal(plain.state.energy.params["mean"], other_key.state.energy.params["mean"])


class Recorder:
    def __init__(self):
        self.calls = []

    def on_start(self, info):
        self.calls.append(("start", info.num_steps, info.first_step, info.num_parameters, info.num_rows))

    def on_log(self, step, metrics):
        self.calls.append(("log", step, metrics["step"]))

    def on_end(self, result):
        self.calls.append(("end", result.step))


def test_hooks_are_told(toy):
    recorder = Recorder()
    toy.fit(num_steps=7, hooks=[recorder, object()])
    assert recorder.calls == [("start", 7, 0, 3, 50), ("log", 1, 1), ("log", 5, 5), ("log", 7, 7), ("end", 7)]


class Stream:
    """Rows that are made when they are asked for."""

    def __init__(self, rows, *, noisy=False):
        self.rows, self.noisy, self.draws = rows, noisy, []

    def __len__(self):
        return len(self.rows)

    def take(self, indices, *, draw=0):
        self.draws.append(draw)
        return self.rows[indices] + (draw if self.noisy else 0)


class Plain:
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def take(self, indices):
        return self.rows[indices]


def test_streams_are_arrays_that_come_batch_by_batch(toy, same_bytes, tmp_path):
    np.save(tmp_path / "rows.npy", toy.data)
    wanted = toy.fit()
    stream = Stream(toy.data)
    same_bytes(wanted, toy.fit(data=stream))
    assert sorted(set(stream.draws)) == list(range(20))
    same_bytes(wanted, toy.fit(data=Plain(toy.data)))
    same_bytes(wanted, toy.fit(data=np.load(tmp_path / "rows.npy", mmap_mode="r")))
    same_bytes(wanted, toy.fit(data=toy.data.astype(np.float64)))
    same_bytes(wanted, toy.fit(data=jnp.asarray(toy.data)))


def test_binary_data_may_be_booleans_floats_or_integers(key):
    """All reach the model as int8, so the runs agree in every bit."""
    rows = np.random.default_rng(0).integers(0, 2, (40, 4))
    learner = training.Learner(
        energies.RBM(num_visible=4, num_hidden=2, key=key), objectives.PersistentCD(kernels.BlockGibbs(), num_chains=8)
    )
    runs = [
        training.fit(learner, rows.astype(dtype), key=key, num_steps=3, batch_size=8)
        for dtype in (bool, np.int64, np.float32, np.uint8)
    ]
    for run in runs[1:]:
        assert np.array_equal(run.energy.weights, runs[0].energy.weights)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"data": np.zeros((10, 4), np.float32)}, SpaceError, r"\(10, 4\)|\(8, 4\)"),
        ({"data": np.full((10, 3), np.nan)}, SpaceError, "10 of 10 rows|8 of 8 rows"),
        ({"data": np.float32(3.0)}, DataError, "rows along its first axis"),
        ({"data": "digits"}, DataError, "got str"),
        ({"data": np.zeros((0, 3), np.float32)}, DataError, "no rows"),
        ({"num_steps": 0}, ArgumentError, "num_steps"),
        ({"batch_size": 0}, ArgumentError, "batch_size"),
        ({"log_every": 0}, ArgumentError, "log_every"),
        ({"checkpoint_every": 0}, ArgumentError, "checkpoint_every"),
        ({"keep": 0}, ArgumentError, "keep"),
        ({"resume": True}, ArgumentError, "directory"),
        ({"key": 3}, ArgumentError, "key"),
        ({"generator": "dice"}, ArgumentError, "dice"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_compiled(toy, options, error, says):
    with pytest.raises(error, match=says):
        toy.fit(**options)


def test_the_first_row_that_does_not_fit_is_named(toy):
    rows = toy.data.copy()
    rows[33, 1] = np.inf
    with pytest.raises(SpaceError, match=r"1 of 50 rows.*row 33.*not finite"):
        toy.fit(data=rows)


def test_real_numbers_are_not_cut_down_to_binary_ones(key):
    learner = training.Learner(
        energies.RBM(num_visible=4, num_hidden=2, key=key), objectives.ContrastiveDivergence(kernels.BlockGibbs())
    )
    with pytest.raises(SpaceError, match=r"0\.5"):
        training.fit(learner, np.full((20, 4), 0.5), key=key, num_steps=3, batch_size=4)

    class LateHalves(Plain):
        """The first batch, which is checked, looks binary."""

        calls = 0

        def take(self, indices):
            self.calls += 1
            return self.rows[indices] + (0.5 if self.calls > 2 else 0.0)

    with pytest.raises(SpaceError, match="not whole numbers"):
        training.fit(learner, LateHalves(np.zeros((20, 4))), key=key, num_steps=3, batch_size=4)


def test_one_trace_however_long_the_run(toy):
    traces = []

    class Counting(objectives.AbstractObjective):
        def check(self, energy):
            pass

        def init(self, energy, batch, *, key):
            return None

        def loss(self, energy, batch, state, *, key):
            traces.append(1)
            return jnp.mean(jax.vmap(energy)(batch)), (None, {})

    # A weakly typed parameter: without care the second update would see another type and compile again.
    model = energies.energy(lambda p, x: jnp.sum((p * x) ** 2), jnp.asarray(1.0), space=spaces.Euclidean(3))
    learner = training.Learner(model, Counting(), optimizer=optax.sgd(1e-3))
    toy.fit(learner=learner, num_steps=3)
    first = len(traces)
    toy.fit(learner=learner, num_steps=30)
    assert first <= 2  # the shapes of the metrics, and the compilation
    assert len(traces) == first + 1
