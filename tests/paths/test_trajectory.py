"""Checkpoints as a path: its laws, unbiased annealing and exact swaps along it, and log Z of the model at its end."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import densities, energies, evaluation, exact, kernels, paths, sampling, spaces, testing
from energax._errors import ArgumentError, SpaceError

NUM_VISIBLE, NUM_STEPS = 6, 256
TS = [0.0, 0.05, 0.1, 0.3, 0.6, 0.8, 1.0]


@pytest.fixture(scope="module")
def run():
    """A machine trained on two far modes by the exact gradient: itself after 0, 1, 2, 4, 8 ... steps."""
    modes = jnp.repeat(jnp.asarray([[0.0], [1.0]]), NUM_VISIBLE, axis=1)
    everything = jnp.asarray(exact.states(spaces.Binary(NUM_VISIBLE)), jnp.float32)
    optimiser = optax.adam(0.05)

    def loss(rbm):
        at = jax.vmap(energies.marginal(rbm))
        return jnp.mean(at(modes)) + jax.nn.logsumexp(-at(everything))

    @jax.jit
    def step(rbm, state):
        updates, state = optimiser.update(jax.grad(loss)(rbm), state)
        return eqx.apply_updates(rbm, updates), state

    rbm = energies.RBM(NUM_VISIBLE, 3, scale=0.01, key=jax.random.key(3))
    state, kept = optimiser.init(rbm), [rbm]
    for k in range(1, NUM_STEPS + 1):
        rbm, state = step(rbm, state)
        if k & (k - 1) == 0:
            kept.append(rbm)
    return kept


def _path(run):
    return paths.Trajectory(densities.IndependentSites(spaces.Binary(NUM_VISIBLE)), run)


def test_the_path_meets_every_model_and_is_linear_in_the_energy_between(run):
    path = _path(run)
    v = exact.states(spaces.Binary(NUM_VISIBLE))
    for t, model in zip(path.ts, run, strict=True):
        own = np.asarray(jax.vmap(energies.marginal(model))(v))
        np.testing.assert_allclose(jax.vmap(lambda x, t=t: path.value(t, x))(v), own, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jax.vmap(lambda x: path.value(jnp.zeros(()), x))(v), jax.vmap(path.start)(v), rtol=1e-6)
    assert exact.log_z(path.at(jnp.zeros(()))) == pytest.approx(0.0, abs=1e-5)
    assert exact.log_z(path.at(jnp.ones(()))) == pytest.approx(exact.log_z(run[-1]), abs=1e-4)
    low, high = path.ts[3], path.ts[4]
    x = {"visible": jnp.asarray([1, 0, 1, 1, 0, 1], jnp.int8), "hidden": jnp.asarray([1, 0, 1], jnp.int8)}
    want = 0.75 * float(run[3](x)) + 0.25 * float(run[4](x))
    assert float(path.at(0.75 * low + 0.25 * high)(x)) == pytest.approx(want, abs=1e-4)


def test_annealing_along_the_checkpoints_is_unbiased(run, key):
    """2,000 groups of 8 see a bias of Z by 4 %; the model before the last one has another Z."""
    work = sampling.anneal(
        _path(run), kernels.BlockGibbs(), jnp.asarray(TS), key=key, num_particles=8, num_groups=2_000
    )
    z = np.exp(work.group_log_z - exact.log_z(run[-1]))
    testing.assert_mean(z, 1.0, name="Z")
    with pytest.raises(AssertionError):
        testing.assert_mean(z, math.exp(exact.log_z(run[-2]) - exact.log_z(run[-1])), name="Z")


def _counts(x):
    return np.bincount(np.asarray(x, np.int64) @ (1 << np.arange(NUM_VISIBLE)[::-1]), minlength=1 << NUM_VISIBLE)


@pytest.mark.slow
def test_swaps_between_checkpoints_leave_every_law_alone(run, key):
    """5,000 ladders from exact draws, 11 sweeps; each level keeps its law, and a neighbour's is told from it."""
    path, ts = _path(run), jnp.asarray(TS)
    keys = jax.random.split(key, len(TS) + 1)
    starts = [exact.draw(path.at(t), key=k, num=5_000) for t, k in zip(ts, keys[1:], strict=True)]
    found = sampling.replica_exchange(
        path, kernels.BlockGibbs(), ts, jnp.stack(starts, axis=1), key=keys[0], num_sweeps=11
    )
    laws = [np.exp(exact.log_probs(path.at(t))[1]) for t in ts]
    for level, law in enumerate(laws):
        testing.assert_counts(_counts(found.last[:, level]), law, name=f"level {level}")
    with pytest.raises(AssertionError):
        testing.assert_counts(_counts(found.last[:, 3]), laws[4], name="a neighbour")


@pytest.mark.slow
def test_log_z_of_a_run_from_its_checkpoints(run, key):
    found = evaluation.log_z_from_checkpoints(run, key=key, budget=200_000, level=1 - testing.FALSE_ALARM)
    assert found.exact == pytest.approx(exact.log_z(run[-1]), abs=1e-4)
    assert found.interval.lower <= found.exact <= found.interval.upper
    assert found.diagnostics["base"] == "Trajectory (given)"
    assert found.path is not None
    assert found.path.ts[-1] == 1.0
    with pytest.raises(ArgumentError, match="does not end at the energy"):
        evaluation.log_z(run[2], base=_path(run), key=key, budget=200_000)


def test_mistakes(run):
    base = densities.IndependentSites(spaces.Binary(NUM_VISIBLE))
    other = energies.RBM(NUM_VISIBLE, 4, scale=0.1, key=jax.random.key(0))
    for models, options, told in (
        ([], {}, "at least one model"),
        ([other, run[-1]], {}, "differ in their parameters alone"),
        (run[:2], {"ts": [0.5, 0.9]}, "must increase from above 0 to 1"),
        (run[:2], {"ts": [0.0, 1.0]}, "must increase from above 0 to 1"),
    ):
        with pytest.raises(ArgumentError, match=told):
            paths.Trajectory(base, models, **options)
    with pytest.raises(SpaceError, match="they must agree"):
        paths.Trajectory(densities.IndependentSites(spaces.Binary(3)), run)
    with pytest.raises(ArgumentError, match="at least one model"):
        evaluation.log_z_from_checkpoints([], key=jax.random.key(0))


def test_one_model_alone_is_the_geometric_path(run):
    base = densities.IndependentSites(spaces.Binary(NUM_VISIBLE), jnp.linspace(-1, 1, NUM_VISIBLE))
    x = jnp.asarray([1, 0, 1, 1, 0, 1], jnp.int8)
    for t in (0.0, 0.4, 1.0):
        ways = paths.Trajectory(base, run[-1:]), paths.Geometric(base, run[-1])
        one, other = (float(path.value(jnp.asarray(t), x)) for path in ways)
        assert one == pytest.approx(other, rel=1e-5)
