"""Transition matrices of the discrete kernels in float64, from the proposals that `step` draws from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact, testing
from energax.densities import IndependentSites
from energax.energies import (
    RBM,
    BoltzmannMachine,
    Clamped,
    GraphCouplings,
    Interpolated,
    Ising,
    Sum,
    Tempered,
    energy,
)
from energax.kernels import ACS, DMALA, DULA, BlockGibbs, GibbsWithGradients, HeatBath, Metropolis, target
from energax.spaces import Binary, Categorical
from energax.testing import references


def _rbm(num_visible: int, num_hidden: int, seed: int) -> RBM:
    """A machine with strong weights and biases without symmetry."""
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = ((num_visible, num_hidden), (num_visible,), (num_hidden,))
    return RBM.from_parameters(*(jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)))


def _ising(*shape: int) -> Ising:
    return Ising(shape, coupling=0.4, field=jnp.sin(jnp.arange(np.prod(shape)) + 1.0).reshape(shape))


def _machine() -> BoltzmannMachine:
    """Two coupled visible units, two hidden ones, and a third that is coupled to one of each kind."""
    couplings = GraphCouplings([(0, 1), (2, 3), (3, 4), (0, 2), (1, 3), (1, 4)], jnp.sin(jnp.arange(6.0) + 1))
    return BoltzmannMachine(couplings, 2, bias=jnp.cos(jnp.arange(5.0)))


def _product(num_visible: int) -> IndependentSites:
    return IndependentSites(Binary(num_visible), jnp.cos(jnp.arange(num_visible) + 0.5))


def _free(params, x):
    return jnp.sum(params * x * jnp.roll(x, 1)) - jnp.sum(jnp.cos(x))


MASK = np.array([False, True, False, False])
WITH_BLOCKS = {
    "ising 2x2": lambda: _ising(2, 2),
    "ising 2x3": lambda: _ising(2, 3),
    "ising ring 5": lambda: _ising(5),
    "tempered ising": lambda: Tempered(_ising(2, 2), 1.7),
    "sum of isings": lambda: Sum((_ising(2, 2), Tempered(_ising(2, 2), -0.3))),
    "rbm": lambda: _rbm(4, 3, 0),
    "tempered rbm": lambda: Tempered(_rbm(4, 3, 0), 0.6),
    "machine with couplings of all kinds": lambda: _machine(),
    "from a product law to an rbm": lambda: Interpolated(_product(4), _rbm(4, 3, 0), 0.7),
    "from an rbm to a product law": lambda: Interpolated(_rbm(4, 3, 0), _product(4), 0.7),
    "between two rbms": lambda: Interpolated(_rbm(3, 2, 1), _rbm(3, 2, 2), 0.35),
    "between rbms of two sizes": lambda: Interpolated(_rbm(3, 1, 1), _rbm(3, 3, 2), 0.35),
    "clamped rbm": lambda: Clamped(_rbm(4, 3, 0), MASK, jnp.ones(4, jnp.int8)),
}
WITH_SITES = {
    "ising 2x3": lambda: _ising(2, 3),
    "ising 3x2": lambda: _ising(3, 2),
    "clamped ising": lambda: Clamped(_ising(2, 2), MASK.reshape(2, 2), jnp.ones((2, 2), jnp.int8)),
    "marginal of an rbm": lambda: _rbm(4, 3, 0),
    "three values": lambda: references.skewed_categorical().energy,
    "a plain function": lambda: energy(_free, jnp.array([0.3, -0.2, 0.5]), space=Categorical(3, num_categories=3)),
}


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_block_gibbs_leaves_the_law_invariant(name):
    assert testing.assert_invariant(BlockGibbs(), WITH_BLOCKS[name]()) <= 1e-14


@pytest.mark.parametrize("name", ["ising 2x3", "ising ring 5", "sum of isings", "between two rbms", "clamped rbm"])
def test_metropolis_by_blocks_leaves_the_law_invariant(name):
    assert testing.assert_invariant(Metropolis("blocks"), WITH_BLOCKS[name]()) <= 1e-14


@pytest.mark.parametrize("scan", ["sweep", "random"])
@pytest.mark.parametrize("name", WITH_SITES)
@pytest.mark.parametrize("kernel", [HeatBath, Metropolis])
def test_sites_leave_the_law_invariant(name, scan, kernel):
    assert testing.assert_invariant(kernel(scan), WITH_SITES[name]()) <= 1e-14


MODELS = {
    **{name: make for name, make in WITH_SITES.items() if name != "ising 3x2"},
    "tempered ising": WITH_BLOCKS["tempered ising"],
    "interpolated isings": lambda: Interpolated(_ising(2, 2), Tempered(_ising(2, 2), 2.0), 0.3),
}
INFORMED = [(name, "exact") for name in MODELS]
INFORMED += [(name, "gradient") for name in ("ising 2x3", "clamped ising", "marginal of an rbm", "interpolated isings")]


@pytest.mark.parametrize(("name", "differences"), INFORMED, ids=["-".join(case) for case in INFORMED])
def test_informed_kernels_leave_the_law_invariant_and_are_reversible(name, differences):
    energy = MODELS[name]()
    law = np.exp(exact.log_probs(energy, dtype=np.float64)[1])
    for kernel in (GibbsWithGradients(differences), DMALA(1.5, differences)):
        assert testing.assert_invariant(kernel, energy) <= 1e-14
        flow = law[:, None] * testing.transition_matrix(kernel, target(energy, kernel))
        assert np.abs(flow - flow.T).max() < 1e-15


@pytest.mark.parametrize("name", ["ising 2x3", "three values"])
def test_a_cycle_leaves_the_law_invariant(name):
    assert testing.assert_invariant(ACS([6.0, 1.0, 0.3], [0.95, 0.7, 0.5]), MODELS[name]()) <= 1e-14


def test_a_large_step_with_balance_one_draws_independent_sites_exactly():
    """Then the proposal is the law itself, so every move is accepted; with balance one half it is not."""
    energy = IndependentSites(Binary(3), jnp.array([1.0, -0.5, 2.0]))
    law = np.exp(exact.log_probs(energy, dtype=np.float64)[1])
    np.testing.assert_allclose(
        testing.transition_matrix(DMALA(1e9, balance=1.0), energy), np.tile(law, (8, 1)), atol=1e-8
    )
    assert np.abs(testing.transition_matrix(DMALA(1e9), energy) - law).max() > 0.01


def _stationary(matrix):
    """The fixed point of a matrix of probabilities, by squaring it."""
    for _ in range(60):
        matrix = matrix @ matrix
        matrix /= matrix.sum(1, keepdims=True)
    return matrix[0]


def test_dula_has_its_stated_bias_on_one_site():
    for step_size, logit in ((0.2, 1.5), (1.0, -0.7), (1e6, 2.0)):
        law = _stationary(testing.transition_matrix(DULA(step_size), IndependentSites(Binary(1), jnp.array([logit]))))
        half, cost = logit / 2, 1 / (2 * step_size)
        stated = logit + np.log1p(np.exp(-half - cost)) - np.log1p(np.exp(half - cost))
        assert np.log(law[1] / law[0]) == pytest.approx(stated, abs=1e-6)
    assert stated == pytest.approx(logit / 2, abs=1e-5)


def test_the_bias_of_dula_falls_with_exp_of_minus_one_over_two_alpha():
    """On a coupled lattice: distance to the law at α, and at α' with half of exp(−1/2α)."""
    energy, distances = _ising(2, 3), []
    law = np.exp(exact.log_probs(energy, dtype=np.float64)[1])
    for cost in (4.0, 4.0 + np.log(2), 4.0 + np.log(4)):
        found = _stationary(testing.transition_matrix(DULA(1 / (2 * cost)), energy))
        distances.append(0.5 * np.abs(found - law).sum())
    assert distances[0] > 1e-3
    np.testing.assert_allclose(np.divide(distances[:-1], distances[1:]), 2, rtol=0.1)


def test_a_random_scan_is_reversible_and_a_sweep_is_not():
    ising = _ising(2, 2)
    law = np.exp(exact.log_probs(ising, dtype=np.float64)[1])
    flows = [law[:, None] * testing.transition_matrix(HeatBath(scan), ising) for scan in ("random", "sweep")]
    asymmetry = [np.abs(flow - flow.T).max() for flow in flows]
    assert asymmetry[0] < 1e-16
    assert asymmetry[1] > 1e-3


def test_observed_law_of_interpolated_machines_has_the_right_ends():
    """At t = 0 and 1 the law over the visible units, hidden ones summed out, is that of one machine alone."""
    a, b = _rbm(3, 2, 1), _rbm(3, 3, 2)
    for t, end in ((0.0, a), (1.0, b)):
        _, between = exact.log_probs(Interpolated(a, b, t), dtype=np.float64)
        _, alone = exact.log_probs(end, dtype=np.float64)
        np.testing.assert_allclose(between, alone, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "model"),
    [
        (HeatBath(), lambda: _ising(2, 2)),
        (HeatBath("random"), lambda: _ising(2, 2)),
        (HeatBath(), lambda: references.skewed_categorical().energy),
        (BlockGibbs(), lambda: _ising(2, 3)),
        (BlockGibbs(), lambda: _rbm(4, 3, 0)),
        (BlockGibbs(), lambda: Interpolated(_rbm(3, 2, 1), _rbm(3, 3, 2), 0.35)),
        (GibbsWithGradients(), lambda: references.skewed_categorical().energy),
        (DMALA(1.0), lambda: references.skewed_categorical().energy),
        (DULA(0.5), lambda: _ising(2, 3)),
        (ACS([3.0, 0.5], [0.9, 0.5]), lambda: _ising(2, 2)),
        (Metropolis("random"), lambda: _ising(2, 2)),
        (Metropolis(), lambda: references.skewed_categorical().energy),
        (Metropolis("blocks"), lambda: _rbm(4, 3, 0)),
    ],
    ids=[
        "sweep",
        "random scan",
        "three values",
        "colours",
        "rbm",
        "two rbms",
        "one change",
        "all at once",
        "without adjustment",
        "a cycle",
        "one flip",
        "other values",
        "flips of blocks",
    ],
)
def test_step_does_what_the_matrix_says(kernel, model, key):
    """20,000 steps from one configuration: a change of all probabilities by 7 % or so of their size is visible."""
    testing.assert_transitions(kernel, model(), start=5, key=key)
