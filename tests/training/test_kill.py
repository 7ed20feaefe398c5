"""Real signals: SIGKILL at random moments, Ctrl-C, SIGTERM."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import zlib

import pytest

from energax import training

PROGRAM = """
    import hashlib, sys
    import equinox as eqx, jax, numpy as np, optax
    from energax import energies, kernels, objectives, training

    class Tell:
        def on_log(self, step, metrics):
            print(step, flush=True)

    def learner(name):
        rng = np.random.default_rng(0)
        if name == "rbm":
            machine = energies.RBM(num_visible=12, num_hidden=8, key=jax.random.key(0))
            persistent = objectives.PersistentCD(kernels.BlockGibbs(), num_chains=32, reservoir=48, restart=0.1)
            return training.Learner(machine, persistent, ema_decay=0.99), rng.integers(0, 2, (100, 12))
        mlp = energies.MLP(2, hidden=(8,), key=jax.random.key(1))
        chains = objectives.PersistentCD(kernels.MALA(0.1), num_chains=32, adapt_step_size=True)
        return training.Learner(mlp, chains, optimizer=optax.adam(1e-2)), rng.normal(size=(100, 2))

    model, data = learner(sys.argv[2])
    run = training.fit(
        model, data, key=jax.random.key(2), num_steps=45, batch_size=16, log_every=3, checkpoint_every=2,
        directory=sys.argv[1], resume=True, hooks=[Tell()],
    )
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(eqx.filter(run.state, eqx.is_array)):
        digest.update(np.asarray(leaf).tobytes())
    print("digest", digest.hexdigest(), flush=True)
"""


def start(directory, name, cache):
    # A cache of compilations, because the program is started many times; it does not change what is computed.
    cached = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(directory), name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **cached},
    )


def kill(process, moments):
    """SIGKILL shortly after one of the next lines of the log; whether the process was still alive."""
    for _ in range(moments.randrange(1, 7)):
        process.stdout.readline()
    try:
        process.wait(moments.uniform(0.0, 0.05))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def digest(process):
    lines = [line for line in process.stdout if line.startswith("digest")]
    assert process.wait() == 0
    return lines


@pytest.mark.parametrize(
    ("name", "num_kills"),
    [pytest.param("rbm", 2, marks=pytest.mark.slow), pytest.param("mlp", 6, marks=[pytest.mark.slow, pytest.mark.ci])],
)
def test_sigkill_at_random_moments(tmp_path, name, num_kills):
    """A machine with hidden units, and a network, end in the same bits: chains, average and optimiser included.

    Most of the time of these runs goes into checkpoints, so most kills fall into the writing of one. A kill can hit
    the same instant as an earlier one, so no number of them proves the absence of a gap; `test_resume` stops at every
    third call that changes the disk.
    """
    moments = random.Random(zlib.crc32(str(tmp_path.name).encode()))
    wanted = digest(start(tmp_path / "whole", name, tmp_path / "cache"))
    assert len(wanted) == 1
    kills = [kill(start(tmp_path / "killed", name, tmp_path / "cache"), moments) for _ in range(num_kills)]
    assert any(kills)
    assert digest(start(tmp_path / "killed", name, tmp_path / "cache")) == wanted
    assert set(training.checkpoints(tmp_path / "killed").values()) == {None}
    rows = [[r["step"] for r in training.read_metrics(tmp_path / kind)[0]] for kind in ("killed", "whole")]
    assert rows[0] == rows[1] == [1, *range(3, 46, 3)]


class SignalAt:
    def __init__(self, step, number, times=1):
        self.step, self.number, self.times = step, number, times

    def on_log(self, step, metrics):
        if step == self.step:
            for _ in range(self.times):
                signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_continue(toy, same_bytes, tmp_path, number):
    handler = signal.getsignal(number)
    run = toy.fit(directory=tmp_path, hooks=[SignalAt(10, number)])
    assert run.interrupted
    assert run.step == 10
    assert "Interrupted after step 10 of 20" in run.message
    assert "resume=True" in run.message
    assert str(tmp_path) in run.message
    assert training.checkpoints(tmp_path)[10] is None
    assert signal.getsignal(number) is handler
    same_bytes(toy.fit(), toy.fit(directory=tmp_path, resume=True))


def test_without_a_directory_it_says_that_nothing_was_saved(toy):
    assert "nothing was saved" in toy.fit(hooks=[SignalAt(10, signal.SIGINT)]).message


def test_a_second_signal_aborts(toy, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        toy.fit(directory=tmp_path, hooks=[SignalAt(10, signal.SIGINT, times=2)])
    assert signal.getsignal(signal.SIGINT) is handler
    assert toy.fit(directory=tmp_path, resume=True).step == 20
