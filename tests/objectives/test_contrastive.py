"""Contrastive divergence against exact expressions, and the bookkeeping of the persistent form."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from energax import exact, testing
from energax._errors import ArgumentError, KernelMismatch
from energax.densities import Gaussian
from energax.energies import RBM, DoubleWell, Ising, marginal
from energax.kernels import HMC, MALA, AbstractKernel, AbstractState, BlockGibbs, RandomWalk, StepInfo
from energax.objectives import (
    ContrastiveDivergence,
    PersistentCD,
    PersistentState,
    TemperedPCD,
    TrajectoryPCD,
    frozen,
    run_chains,
)
from energax.objectives._contrastive import watch

VISIBLE, HIDDEN = 4, 3


class Position(AbstractState):
    """Nothing but a configuration."""

    x: Any


class Jump(AbstractKernel):
    """Goes to a given configuration, whatever the energy: a scripted transition."""

    to: jax.Array

    @property
    def exact(self):
        return False

    @property
    def needs(self):
        return frozenset({"energy"})

    def init(self, energy, x, *, key):
        return Position(x)

    def refresh(self, energy, state):
        return state

    def step(self, energy, state, *, key):
        return Position(self.to.astype(state.x.dtype)), StepInfo.unless_nan(jnp.ones((), bool))


class Still(Jump):
    """Stays where it is."""

    to: None = None

    def step(self, energy, state, *, key):
        return state, StepInfo.unless_nan(jnp.ones((), bool))


def machine() -> RBM:
    keys = jax.random.split(jax.random.key(7), 3)
    shapes = ((VISIBLE, HIDDEN), (VISIBLE,), (HIDDEN,))
    return RBM.from_parameters(*(jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)))


def observed_matrix(rbm: RBM) -> tuple[np.ndarray, np.ndarray]:
    """The observed configurations and P(v, v') of one step of block Gibbs, hidden units summed out."""
    joint = exact.states(rbm.space)
    code = joint["visible"].astype(int) @ 2 ** np.arange(VISIBLE)[::-1]
    matrix = testing.transition_matrix(BlockGibbs(), rbm)
    # The hidden units are drawn first, so all rows with one visible configuration are equal.
    rows = matrix[[np.argmax(code == c) for c in range(2**VISIBLE)]]
    return exact.states(marginal(rbm).space), np.stack([rows[:, code == c].sum(1) for c in range(2**VISIBLE)], axis=1)


def free_energy_gradients(rbm: RBM, v: np.ndarray) -> np.ndarray:
    """∂F(v) for each configuration, flattened."""
    grads = jax.vmap(lambda v: jax.grad(lambda e: marginal(e)(v))(rbm))(jnp.asarray(v))
    return np.concatenate([np.asarray(leaf).reshape(len(v), -1) for leaf in jax.tree.leaves(grads)], axis=1)


def gradient(objective, energy, batch, state, key) -> jax.Array:
    grads = jax.grad(lambda e: objective.loss(e, batch, state, key=key)[0])(energy)
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(grads)])


@pytest.mark.parametrize("num_steps", [1, 3])
def test_expected_cd_gradient_is_the_exact_expression(num_steps):
    """E_data[∂F] − E_{P^k data}[∂F] with P from the kernel's proposals, to rounding.

    The expectation over chains is taken exactly: the gradient is linear in the ends of the chains, so it is summed
    over scripted ends with the probabilities of the matrix.
    """
    with jax.enable_x64(True):
        rbm = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), machine())
        v, matrix = observed_matrix(rbm)
        power = np.linalg.matrix_power(matrix, num_steps)
        law = np.random.default_rng(0).dirichlet(np.ones(len(v)))

        @jax.jit
        def one(start, end):
            return gradient(ContrastiveDivergence(Jump(end), num_steps), rbm, start[None], None, jax.random.key(0))

        starts, ends = (jnp.asarray(v[i.reshape(-1)]) for i in np.indices((len(v), len(v))))
        found = np.asarray(jax.vmap(one)(starts, ends)).reshape(len(v), len(v), -1)
        expected = np.einsum("i,ij,ijk->k", law, power, found)
        want = (law - law @ power) @ free_energy_gradients(rbm, v)
    np.testing.assert_allclose(expected, want, atol=1e-14)
    assert np.abs(want).max() > 0.01


@pytest.mark.parametrize("num_steps", [1, 2])
def test_cd_makes_k_steps(num_steps, key):
    """4,000 batches of 4 rows: the mean gradient is that of P^k, and that of P^(k+1) is excluded."""
    rbm, rows = machine(), jnp.asarray([[0, 0, 1, 1], [1, 0, 0, 0], [1, 1, 0, 1], [0, 1, 0, 0]], jnp.int8)
    objective = ContrastiveDivergence(BlockGibbs(), num_steps)
    run = jax.jit(jax.vmap(lambda k: gradient(objective, rbm, rows, None, k)))
    found = np.asarray(run(jax.random.split(key, 4_000)), np.float64)
    v, matrix = observed_matrix(rbm)
    law = np.bincount(np.asarray(rows) @ 2 ** np.arange(VISIBLE)[::-1], minlength=len(v)) / len(rows)
    slopes = free_energy_gradients(rbm, v)
    testing.assert_mean(found, (law - law @ np.linalg.matrix_power(matrix, num_steps)) @ slopes, name="CD gradient")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(found, (law - law @ np.linalg.matrix_power(matrix, num_steps + 1)) @ slopes)


def test_persistent_gradient_is_data_minus_chains():
    with jax.enable_x64(True):
        rbm = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), machine())
        batch, chains = (jax.random.bernoulli(jax.random.key(i), 0.4, (6, VISIBLE)).astype(jnp.int8) for i in (0, 1))
        objective = PersistentCD(Still(), 6)
        found = gradient(objective, rbm, batch, PersistentState(chains, None), jax.random.key(0))
        want = free_energy_gradients(rbm, batch).mean(0) - free_energy_gradients(rbm, chains).mean(0)
    np.testing.assert_allclose(found, want, atol=1e-14)


def test_chains_move_in_the_present_energy():
    """The parameters of the loss, not those of `init`: after one Gibbs step a strongly biased machine is all ones."""
    blank, batch = RBM(VISIBLE, HIDDEN, key=jax.random.key(0)), jnp.zeros((8, VISIBLE), jnp.int8)
    objective = PersistentCD(BlockGibbs(), 8)
    state = objective.init(blank, batch, key=jax.random.key(1))
    biased = eqx.tree_at(lambda m: m.visible_bias, blank, jnp.full(VISIBLE, 50.0))
    _, (after, _) = objective.loss(biased, batch, state, key=jax.random.key(2))
    assert not np.any(state.x)
    assert np.all(after.x == 1)


# -- reservoir, restarts, starts --------------------------------------------------------------------------------------

WELL = DoubleWell(2)
NORMAL = Gaussian(jnp.zeros(2))


def test_only_the_chosen_part_of_the_reservoir_moves(key):
    objective = PersistentCD(RandomWalk(1e-2), 4, reservoir=20)
    batch = jax.random.normal(key, (16, 2))
    state = objective.init(WELL, batch, key=key)
    assert state.x.shape == (20, 2)
    update = jax.jit(lambda key: objective.loss(WELL, batch, state, key=key))
    _, (after, metrics) = update(key)
    changed = np.any(np.asarray(after.x) != np.asarray(state.x), axis=1)
    assert changed.sum() == round(4 * float(metrics["accept_prob"]))
    assert np.abs(np.asarray(after.x) - np.asarray(state.x)).max() < 0.1
    others = set()
    for i in range(30):
        _, (after, _) = update(jax.random.key(i))
        others |= set(np.flatnonzero(np.any(np.asarray(after.x) != np.asarray(state.x), axis=1)))
    assert len(others) > 15


def test_the_model_energy_is_that_of_the_moved_part(key):
    """Two rows of very different energy in a large reservoir: the mean over two chains is one of three numbers."""
    objective = PersistentCD(Still(), 2, reservoir=64)
    batch = jnp.array([[1.0, 1.0], [3.0, 3.0]])
    state = objective.init(WELL, batch, key=key)
    low, high = (float(WELL(x)) for x in batch)
    _, (_, metrics) = objective.loss(WELL, batch, state, key=key)
    possible = [low, (low + high) / 2, high]
    assert min(abs(float(metrics["energy_model"]) - e) for e in possible) < 1e-3
    assert float(metrics["energy_data"]) == pytest.approx((low + high) / 2)
    assert float(metrics["energy_gap"]) == pytest.approx(float(metrics["energy_model"] - metrics["energy_data"]))


@pytest.mark.parametrize("restart", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("start", ["data", "noise"])
def test_restarts_happen_as_often_as_asked_for(restart, start, key):
    """2,000 chains far from data and noise: a wrong probability by 0.1 is seen."""
    objective = PersistentCD(Still(), 2000, restart=restart, start=start)
    batch = jnp.array([[3.0, 3.0], [4.0, 4.0]])
    state = PersistentState(jnp.full((2000, 2), 9.0), None)
    _, (after, _) = objective.loss(WELL, batch, state, key=key)
    x = np.asarray(after.x)
    again = np.any(x != 9.0, axis=1)
    if restart in (0.0, 1.0):
        assert again.mean() == restart
    else:
        testing.assert_counts([again.sum(), 2000 - again.sum()], [restart, 1 - restart])
    if start == "data":
        assert set(map(tuple, x[again])) <= {(3.0, 3.0), (4.0, 4.0)}
    elif restart == 1.0:
        initial = scipy.stats.norm(scale=WELL.space.initial_scale)
        testing.assert_distribution(x.reshape(-1), initial.cdf, name="restarts")


def test_first_positions_are_data_or_noise(key):
    batch = jnp.arange(10, dtype=jnp.float32).reshape(5, 2)
    rows = PersistentCD(Still(), 50).init(WELL, batch, key=key).x
    assert set(map(tuple, np.asarray(rows))) == set(map(tuple, np.asarray(batch)))
    noise = PersistentCD(Still(), 50, start="noise").init(WELL, batch, key=key).x
    assert len(np.unique(noise)) == 100
    spins = PersistentCD(BlockGibbs(), 7).init(Ising(3), jnp.ones((5, 3, 3)), key=key).x
    assert spins.dtype == jnp.int8


@pytest.mark.parametrize(
    "made",
    [
        lambda kernel, **adapts: PersistentCD(kernel, 16, **adapts),
        lambda kernel, **adapts: TemperedPCD(kernel, 16, 3, start=NORMAL, **adapts),
        lambda kernel, **adapts: TrajectoryPCD(kernel, 16, 2, start=NORMAL, **adapts),
    ],
    ids=["persistent", "tempered", "trajectory"],
)
def test_adapted_step_size_follows_the_acceptance(made, key):
    batch = jax.random.normal(key, (16, 2))
    update = eqx.filter_jit(lambda objective, state: objective.loss(WELL, batch, state, key=key)[1])
    for step_size, grows in ((1e-3, True), (50.0, False)):
        objective = made(MALA(step_size), adapt_step_size=True)
        state = objective.init(WELL, batch, key=key)
        after, metrics = update(objective, state)
        assert float(metrics["step_size"]) == pytest.approx(step_size)
        assert (float(after.log_step_size) > float(state.log_step_size)) == grows
        _, metrics = update(objective, after)
        assert float(metrics["step_size"]) == pytest.approx(float(jnp.exp(after.log_step_size)))
    fixed = made(MALA(1e-3))
    state = fixed.init(WELL, batch, key=key)
    after, _ = update(fixed, state)
    assert float(after.log_step_size) == float(state.log_step_size)


# -- the thermometer --------------------------------------------------------------------------------------------------


def test_watch_tells_stuck_and_independent_chains_apart(key):
    data, before, after = jax.random.normal(key, (3, 512, 2))
    stuck, free = watch(WELL, data, before, before), watch(WELL, data, before, after)
    assert float(stuck["moved"]) == 0
    assert float(stuck["ess"]) == pytest.approx(0, abs=1e-3)
    assert 1.0 < float(free["moved"]) < 2.0
    assert float(free["ess"]) > 250
    same = jnp.broadcast_to(before[:1], before.shape)
    assert float(watch(WELL, data, before, same)["saturation"]) == 1
    assert float(free["saturation"]) == 0
    spins = jnp.sign(before)
    flipped = spins.at[:64, 0].multiply(-1)
    assert float(watch(Ising((2,)), spins, spins, flipped)["moved"]) == pytest.approx(64 / 256)


def test_nothing_is_differentiated_through_the_chains(key):
    """The ends carry no gradient, whatever they were computed from."""
    x = jax.random.normal(key, (4, 2))

    def total(energy):
        ends, _ = run_chains(energy, HMC(0.1, num_leapfrog=2), x, jax.random.split(key, 4), 2)
        return jnp.sum(ends)

    assert all(not np.any(leaf) for leaf in jax.tree.leaves(jax.grad(total)(WELL)))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(jax.grad(lambda e: frozen(e)(x[0]))(WELL)))


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="at least one step, got num_steps=0"):
        ContrastiveDivergence(BlockGibbs(), 0)
    with pytest.raises(ArgumentError, match="num_chains=8, reservoir=4"):
        PersistentCD(BlockGibbs(), 8, reservoir=4)
    with pytest.raises(ArgumentError, match="`restart` is a probability"):
        PersistentCD(BlockGibbs(), 8, restart=1.5)
    with pytest.raises(ArgumentError, match="'elsewhere'"):
        PersistentCD(BlockGibbs(), 8, start="elsewhere")
    with pytest.raises(KernelMismatch, match="BlockGibbs has no step size to adapt"):
        PersistentCD(BlockGibbs(), 8, adapt_step_size=True)
    for tempered in (TemperedPCD, TrajectoryPCD):
        with pytest.raises(KernelMismatch, match="BlockGibbs has no step size to adapt"):
            tempered(BlockGibbs(), adapt_step_size=True)
    for objective in (ContrastiveDivergence(MALA(0.1)), PersistentCD(MALA(0.1))):
        with pytest.raises(KernelMismatch, match=r"MALA needs a score.*Try BlockGibbs"):
            objective.check(machine())
