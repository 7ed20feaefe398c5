"""Replica exchange: swaps leave the product law invariant, separated modes get their masses, traffic is counted."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, exact, kernels, paths, sampling, spaces, testing
from energax._errors import ArgumentError, KernelMismatch
from energax.sampling import _replica_exchange
from energax.testing import references

TS = np.array([0.0, 0.4, 1.0])


def _small_path():
    """From independent units to a machine with two visible units: four configurations, no symmetry."""
    with jax.enable_x64(True):
        machine = energies.RBM.from_parameters(
            jnp.array([[1.5, -0.7], [0.9, 2.1]]), jnp.array([-0.8, 0.3]), jnp.array([0.2, -1.1])
        )
        return paths.Geometric(densities.IndependentSites(spaces.Binary(2), jnp.array([0.4, -0.9])), machine)


def _swap_matrix(log_ratios, parity):
    """Transition matrix of one round of swaps on the 64 states of a ladder of three, and the product law."""
    path = _small_path()
    with jax.enable_x64(True):
        ts = jnp.asarray(TS)
        states = np.array(list(itertools.product(exact.states(spaces.Binary(2)).tolist(), repeat=len(TS))))
        gains, partners = jax.vmap(lambda x: log_ratios(path, ts, x, parity))(jnp.asarray(states, jnp.int8))
        value = jax.vmap(jax.vmap(path.value), in_axes=(None, 0))(ts, jnp.asarray(states, jnp.int8))
        log_law = -np.asarray(value, np.float64).sum(1)
    law = np.exp(log_law - log_law.max())
    partner = np.asarray(partners)[0]
    pair = next(i for i in range(len(TS)) if partner[i] > i)
    accept = np.exp(np.minimum(np.asarray(gains)[:, pair], 0.0))
    index = {tuple(map(tuple, s)): i for i, s in enumerate(states.tolist())}
    matrix = np.diag(1 - accept)
    for i, state in enumerate(states.tolist()):
        swapped = [state[j] for j in partner]
        matrix[i, index[tuple(map(tuple, swapped))]] += accept[i]
    return matrix, law / law.sum()


@pytest.mark.parametrize("parity", [0, 1])
def test_swaps_are_in_detailed_balance_with_the_product_law(parity):
    matrix, law = _swap_matrix(_replica_exchange.swap_log_ratios, parity)
    flow = law[:, None] * matrix
    assert np.abs(flow - flow.T).max() <= 1e-14
    assert np.abs(matrix.sum(1) - 1).max() <= 1e-14


def test_a_swapped_sign_breaks_detailed_balance():
    def wrong(path, ts, x, parity):
        log_ratio, partner = _replica_exchange.swap_log_ratios(path, ts, x, parity)
        return -log_ratio, partner

    matrix, law = _swap_matrix(wrong, 0)
    flow = law[:, None] * matrix
    assert np.abs(flow - flow.T).max() > 1e-3


def _exact_ladders(path, ts, num, key):
    """Exact draws at all levels, (ladder, level, site)."""
    keys = jax.random.split(key, len(ts))
    return jnp.stack([exact.draw(path.at(t), key=k, num=num) for t, k in zip(ts, keys, strict=True)], axis=1)


def _counts(x, num_sites):
    return np.bincount(np.asarray(x, np.int64) @ (1 << np.arange(num_sites)[::-1]), minlength=1 << num_sites)


def _exact_start(key, num):
    machine = references.asymmetric_rbm().energy
    path = paths.Geometric(densities.IndependentSites(spaces.Binary(6), jnp.linspace(-0.5, 0.7, 6)), machine)
    ts = jnp.array([0.0, 0.3, 0.7, 1.0])
    start_key, run_key = jax.random.split(key)
    x0 = _exact_ladders(path, ts, num, start_key)
    run = sampling.replica_exchange(path, kernels.BlockGibbs(), ts, x0, key=run_key, num_sweeps=11)
    for level, t in enumerate(ts):
        law = np.exp(exact.log_probs(path.at(t))[1])
        testing.assert_counts(_counts(run.last[:, level], 6), law, name=f"level {level}")


def test_exact_ladders_stay_exact(key):
    """20,000 ladders see a change of the law by 4 % after 11 sweeps."""
    _exact_start(key, 20_000)


def test_the_exact_start_sees_a_swapped_sign(key, monkeypatch):
    right = _replica_exchange.swap_log_ratios
    monkeypatch.setattr(_replica_exchange, "swap_log_ratios", lambda *a: (-right(*a)[0], right(*a)[1]))
    # Another number of ladders, so that nothing compiled before is used again.
    with pytest.raises(AssertionError, match="level"):
        _exact_start(key, 19_999)


def _two_mode_machine():
    """Two modes, ones or zeros, that block Gibbs does not cross: masses 0.3 and 0.7."""
    weights = jnp.zeros((12, 2)).at[:, 0].set(6.0).at[:, 1].set(-6.0)
    machine = energies.RBM.from_parameters(weights, jnp.zeros(12), jnp.array([-36.0, 36.0]))
    log_p = exact.log_probs(machine)
    up = np.asarray(log_p[0]).sum(1) > 6
    shift = np.log(0.3 / 0.7) - np.log(np.exp(log_p[1][up]).sum() / np.exp(log_p[1][~up]).sum())
    return energies.RBM.from_parameters(weights, jnp.full(12, shift / 12), machine.hidden_bias)


def test_masses_of_separated_modes_are_restored(key):
    """All replicas start in the light mode; 1,500 ladders see a mass that is off by 0.07."""
    machine = _two_mode_machine()
    states, log_p = exact.log_probs(machine)
    mass = float(np.exp(log_p)[np.asarray(states).sum(1) > 6].sum())
    ts = jnp.linspace(0.0, 1.0, 8) ** 2
    x0 = jnp.ones((1_500, 8, 12), jnp.int8)
    run = sampling.replica_exchange(
        paths.tempering(machine), kernels.BlockGibbs(), ts, x0, key=key, num_sweeps=64, num_warmup=400
    )
    up = int((run.samples.last.sum(1) > 6).sum())
    testing.assert_counts([up, 1_500 - up], [mass, 1 - mass], name="mass of the light mode")
    assert run.num_arrivals.sum() > 1_500
    stuck = sampling.sample(machine, kernels.BlockGibbs(), x0[:, 0], key=key, num_steps=464, thin=464)
    assert (np.asarray(stuck.last).sum(1) > 6).mean() > mass + 0.3


def test_step_sizes_of_levels_weigh_a_tilted_double_well(key):
    """Barrier 8, tilt 0.5: the left well holds 0.7256214534; 2,000 ladders see an error of 0.06."""
    well = energies.DoubleWell(1, barrier=8.0, tilt=0.5)
    path = paths.Geometric(densities.Gaussian(jnp.zeros(1), 2.0), well)
    ts = jnp.array([0.0, 0.05, 0.15, 0.4, 1.0])
    kernel = kernels.HMC(jnp.array([1.0, 0.5, 0.35, 0.2, 0.12]), num_leapfrog=5)
    x0 = jnp.ones((2_000, 5, 1))
    run = sampling.replica_exchange(path, kernel, ts, x0, key=key, num_sweeps=32, num_warmup=200)
    left = int((run.samples.last < 0).sum())
    testing.assert_counts([left, 2_000 - left], [0.7256214534, 1 - 0.7256214534], name="left mass")
    assert run.accept_prob.shape == (5,)
    assert (run.accept_prob > 0.5).all()


def test_one_step_size_for_all_levels_is_the_same_as_a_ladder_of_equal_ones(key):
    path = paths.Geometric(densities.Gaussian(jnp.zeros(1), 2.0), energies.DoubleWell(1))
    ts = jnp.array([0.0, 0.2, 1.0])
    one, many = (
        sampling.replica_exchange(path, kernels.MALA(h), ts, key=key, num_sweeps=20, num_chains=3)
        for h in (0.1, jnp.full(3, 0.1))
    )
    np.testing.assert_array_equal(one.last, many.last)


def test_traffic_on_a_path_that_leads_nowhere_is_a_conveyor(key):
    """Where all levels have one law every swap is accepted, and replicas move one level a sweep."""
    base = densities.Gaussian(jnp.zeros(1), 1.0)
    ts = jnp.linspace(0.0, 1.0, 4)
    run = sampling.replica_exchange(paths.Geometric(base, base), kernels.RandomWalk(1.0), ts, key=key, num_sweeps=40)
    np.testing.assert_allclose(run.swap_rate, 1.0, rtol=1e-6)
    # Up three levels in three sweeps; a fresh replica enters every second sweep.
    assert int(run.num_arrivals[0]) == 19
    assert int(run.num_round_trips[0]) == 17


def test_results_have_their_shapes_and_print(key):
    path = paths.Geometric(densities.Gaussian(jnp.zeros(2), 1.0), densities.Gaussian(jnp.ones(2), 0.5))
    run = sampling.replica_exchange(
        path, kernels.RandomWalk(0.5), jnp.linspace(0, 1, 3), key=key, num_sweeps=80, thin=2, num_chains=5
    )
    assert run.x.shape == (5, 40, 2)
    assert run.energy.shape == (5, 40)
    assert run.last.shape == (5, 3, 2)
    np.testing.assert_allclose(run.energy[:, -1], jax.vmap(path.at(jnp.ones(())))(run.samples.last), rtol=1e-5)
    assert "3 levels" in repr(run)
    assert run.summary()["num_levels"] == 3
    again = sampling.replica_exchange(
        path, kernels.RandomWalk(0.5), run.ts, run.last, key=key, num_sweeps=1, save=lambda x: x[0]
    )
    assert again.x.shape == (5, 1)


def test_draws_of_all_levels_have_the_energies_of_their_levels(key):
    path = paths.Geometric(densities.Gaussian(jnp.zeros(2), 1.0), densities.Gaussian(jnp.ones(2), 0.5))
    ts = jnp.linspace(0, 1, 3)
    run = sampling.replica_exchange(path, kernels.RandomWalk(0.5), ts, key=key, num_sweeps=40, num_chains=4, keep="all")
    x, energy = run.every_level
    assert x.shape == (4, 40, 3, 2)
    np.testing.assert_array_equal(x[:, :, -1], run.x)
    np.testing.assert_array_equal(x[:, -1], run.last)
    np.testing.assert_array_equal(energy[:, :, -1], run.energy)
    per_level = jax.vmap(jax.vmap(jax.vmap(path.value), in_axes=(None, 0)), in_axes=(None, 0))
    np.testing.assert_allclose(energy, per_level(ts, x), rtol=1e-5, atol=1e-6)


def test_a_run_that_goes_on_counts_the_trips_that_were_under_way(key):
    """On the conveyor each replica travels, so that a run in two halves makes the trips of the whole one."""
    base = densities.Gaussian(jnp.zeros(1), 1.0)
    path, ts = paths.Geometric(base, base), jnp.linspace(0.0, 1.0, 4)

    def run(num, x0=None, origin=None):
        return sampling.replica_exchange(path, kernels.RandomWalk(1.0), ts, x0, key=key, num_sweeps=num, origin=origin)

    first = run(20)
    second, forgetful = run(20, first.last, first.origin), run(20, first.last)
    assert int((first.num_round_trips + second.num_round_trips)[0]) == 17
    assert int((first.num_round_trips + forgetful.num_round_trips)[0]) < 17
    np.testing.assert_array_equal(run(40).origin, second.origin)


def test_nonsense_is_refused(key):
    path = paths.tempering(references.asymmetric_rbm().energy)
    with pytest.raises(ArgumentError, match="strictly increasing"):
        sampling.replica_exchange(path, kernels.BlockGibbs(), jnp.array([1.0, 0.0]), key=key, num_sweeps=1)
    with pytest.raises(ArgumentError, match="multiple of thin"):
        sampling.replica_exchange(path, kernels.BlockGibbs(), jnp.array([0.0, 1.0]), key=key, num_sweeps=3, thin=2)
    with pytest.raises(ArgumentError, match="chain, level"):
        sampling.replica_exchange(
            path, kernels.BlockGibbs(), jnp.array([0.0, 1.0]), jnp.zeros((4, 3, 6)), key=key, num_sweeps=1
        )
    with pytest.raises(ArgumentError, match='"last" or "all"'):
        sampling.replica_exchange(
            path, kernels.BlockGibbs(), jnp.array([0.0, 1.0]), key=key, num_sweeps=1, keep="first"
        )
    with pytest.raises(ArgumentError, match="`origin` must be"):
        sampling.replica_exchange(
            path, kernels.BlockGibbs(), jnp.array([0.0, 1.0]), key=key, num_sweeps=1, origin=np.zeros((2, 2), int)
        )
    with pytest.raises(KernelMismatch, match="MALA"):
        sampling.replica_exchange(path, kernels.MALA(0.1), jnp.array([0.0, 1.0]), key=key, num_sweeps=1)
