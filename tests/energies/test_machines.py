"""Machines with hidden units against sums over all their configurations, done here in NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from energax import exact
from energax._errors import ArgumentError, KernelMismatch, NotTractable, ShapeError
from energax.densities import Gaussian
from energax.energies import (
    BoltzmannMachine,
    DenseCouplings,
    GaussianRBM,
    GraphCouplings,
    Interpolated,
    LatticeCouplings,
    Marginal,
    PatternCouplings,
    Tempered,
    blocks,
    exact_draw,
    marginal,
)
from energax.kernels import Metropolis, target
from energax.testing import references

# A triangle of hidden units, two coupled visible ones, and pairs across.
EDGES = [(3, 4), (4, 5), (3, 5), (0, 1), (0, 3), (1, 4), (2, 5), (2, 3)]
WEIGHTS, BIAS = np.sin(np.arange(8.0) + 1), np.cos(np.arange(6.0))
MATRIX = np.zeros((6, 6))
MATRIX[tuple(np.transpose(EDGES))] = WEIGHTS
MATRIX += MATRIX.T


def minus_energies(values):
    """All configurations, and −E of each."""
    s = np.array(list(itertools.product(values, repeat=6)), float)
    return s, 0.5 * np.einsum("ni,ij,nj->n", s, MATRIX, s) + s @ BIAS


@pytest.mark.parametrize(("units", "values"), [("binary", (0, 1)), ("spins", (-1, 1))])
def test_a_machine_is_its_sum_over_all_units(units, values):
    _, logs = minus_energies(values)
    visible = logsumexp(logs.reshape(8, 8), axis=1)
    with jax.enable_x64(True):
        couplings = GraphCouplings(EDGES, WEIGHTS) if units == "binary" else DenseCouplings(MATRIX)
        machine = BoltzmannMachine(couplings, 3, bias=BIAS, units=units)
        table, log_p = exact.log_probs(machine)
        np.testing.assert_allclose(log_p, visible - logsumexp(visible), atol=1e-13)
        assert table.tolist() == [list(row) for row in itertools.product(values, repeat=3)]
        assert exact.log_z(machine) == pytest.approx(logsumexp(logs), abs=1e-13)
        assert exact.log_z(machine.joint) == pytest.approx(logsumexp(logs), abs=1e-13)


def test_the_gradient_of_the_likelihood_is_the_rule_of_ackley():
    """∂/∂W_ij [−F(v) − log Z] = E[s_i s_j | v] − E[s_i s_j], both by enumeration."""
    s, logs = minus_energies((0, 1))
    data = np.array([1, 0, 1])
    clamped = (s[:, :3] == data).all(1)
    means = []
    for rows in (clamped, np.ones(64, bool)):
        law = np.exp(logs[rows] - logsumexp(logs[rows]))
        means.append(np.einsum("n,ni,nj->ij", law, s[rows], s[rows]))
    want = (means[0] - means[1])[tuple(np.transpose(EDGES))]

    def log_likelihood(weights):
        machine = BoltzmannMachine(GraphCouplings(EDGES, weights), 3, bias=BIAS)
        free = marginal(machine)
        log_z = jax.nn.logsumexp(-jax.vmap(free)(jnp.asarray(exact.states(free.space))))
        return -free(jnp.asarray(data, jnp.int8)) - log_z

    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(jax.grad(log_likelihood))(jnp.asarray(WEIGHTS)), want, atol=1e-13)


def _described(machine):
    return [
        (block.parts, None if block.mask is None else np.flatnonzero(block.mask).tolist()) for block in blocks(machine)
    ]


def test_sets_of_independent_units_are_found_in_each_part():
    graph = GraphCouplings(EDGES, WEIGHTS)
    assert _described(BoltzmannMachine(graph, 3)) == [
        (("hidden",), [0]),
        (("hidden",), [1]),
        (("hidden",), [2]),
        (("visible",), [0, 2]),
        (("visible",), [1]),
    ]
    bipartite = GraphCouplings([(0, 2), (0, 3), (1, 2), (1, 3)])
    assert _described(BoltzmannMachine(bipartite, 2)) == [(("hidden",), None), (("visible",), None)]
    assert _described(BoltzmannMachine(bipartite)) == [(None, [0, 1]), (None, [2, 3])]
    assert _described(BoltzmannMachine(DenseCouplings(MATRIX), 3)) == []
    sheet = BoltzmannMachine(LatticeCouplings((4, 4)), 8, bias=np.ones((4, 4)), units="spins")
    assert len(blocks(sheet)) == 4


def test_only_units_beside_the_largest_block_are_gone_through():
    """Two layers of hidden units: the sum has 2^5 terms where the layers have 5 and 8 units."""
    edges = [(i, 2 + j) for i in range(2) for j in range(5)] + [(2 + j, 7 + k) for j in range(5) for k in range(8)]
    machine = BoltzmannMachine(GraphCouplings(edges, np.sin(np.arange(50.0))), 2, bias=0.1)
    assert marginal(machine).num_terms == 2**5
    assert Marginal(machine, keep="hidden").num_terms == 1
    with pytest.raises(NotTractable, match="at most 4096 configurations beside it"):
        marginal(BoltzmannMachine(PatternCouplings(np.ones((1, 15))), 2))


def _gaussian_rbm():
    """The reference, and −E(v, h) of stacked v for all four h, by NumPy in float64."""
    machine = references.asymmetric_gaussian_rbm().energy
    w, b, c, logs = (np.asarray(leaf, float) for leaf in jax.tree.leaves(machine))
    h = np.array(list(itertools.product((0, 1), repeat=2)))

    def minus_energy(v):
        return -0.5 * ((v - b) ** 2 / np.exp(logs)).sum(1)[:, None] + h @ c + (v / np.exp(logs)) @ w @ h.T

    return machine, (w, b, c, np.exp(logs), h), minus_energy


def _log_z(w, b, c, variance, h):
    """½ Σ log 2πσ² + log Σ_h exp(cᵀh + Σ (2 b_i + (Wh)_i)(Wh)_i/2σ_i²)."""
    m = h @ w.T
    return 0.5 * np.log(2 * np.pi * variance).sum() + logsumexp(h @ c + ((2 * b + m) * m / (2 * variance)).sum(1))


def test_a_gaussian_rbm_is_a_mixture_of_normal_laws():
    machine, parameters, minus_energy = _gaussian_rbm()
    v = np.random.default_rng(0).normal(size=(20, 3))
    w, b, c, variance, h = parameters
    # Squares completed: N(v; b + Wh, σ²) with the masses of the hidden configurations.
    means = b + h @ w.T
    log_masses = h @ c + ((means**2 - b**2) / (2 * variance)).sum(1)
    normal = -0.5 * ((v[:, None] - means) ** 2 / variance + np.log(2 * np.pi * variance)).sum(-1)
    mixture = logsumexp(log_masses - logsumexp(log_masses) + normal, axis=1)
    np.testing.assert_allclose(logsumexp(minus_energy(v), axis=1) - _log_z(*parameters), mixture, atol=1e-13)
    base = Gaussian(jnp.asarray([0.1, 0.2, -0.3]), jnp.eye(3) + 0.2)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), (machine, base))
        free = jax.jit(jax.vmap(marginal(double[0])))(v)
        np.testing.assert_allclose(-np.asarray(free), logsumexp(minus_energy(v), axis=1), atol=1e-12)
        # On the way from a law that couples the visible units the hidden ones can still be summed out.
        between = jax.jit(jax.vmap(marginal(Interpolated(double[1], double[0], 0.3))))(v)
        start = np.asarray(jax.vmap(double[1])(v))[:, None] + np.log(4)
    np.testing.assert_allclose(-np.asarray(between), logsumexp(0.3 * minus_energy(v) - 0.7 * start, axis=1), atol=1e-7)


def test_log_z_of_a_gaussian_rbm_goes_through_its_hidden_units():
    machine, (w, b, c, variance, h), _ = _gaussian_rbm()
    assert exact.log_z(machine, dtype=np.float64) == pytest.approx(_log_z(w, b, c, variance, h), abs=1e-12)
    tempered = exact.log_z(Tempered(machine, 0.4), dtype=np.float64)
    # The joint law at β is a machine with the variances σ²/β and the hidden biases β c.
    assert tempered == pytest.approx(_log_z(w, b, 0.4 * c, variance / 0.4, h), abs=1e-7)
    with pytest.raises(NotTractable):
        exact.log_z(GaussianRBM(3, 30, key=jax.random.key(0)))
    with pytest.raises(NotTractable, match="at most 16, not 30"):
        exact_draw(GaussianRBM(3, 30, key=jax.random.key(0)), key=jax.random.key(1))


def test_variances_are_learned_or_left_alone():
    x = {"visible": jnp.ones(3), "hidden": jnp.ones(2, jnp.int8)}
    for learned in (True, False):
        machine = GaussianRBM(3, 2, variance=[0.5, 1.0, 2.0], learn_variance=learned, key=jax.random.key(0))
        np.testing.assert_allclose(machine.variance, [0.5, 1.0, 2.0], rtol=1e-6)
        assert bool(np.any(jax.grad(lambda m: m(x))(machine).log_variance)) == learned


def test_kernels_of_discrete_blocks_leave_real_units_alone():
    with pytest.raises(KernelMismatch, match=r"Metropolis needs discrete sites, but GaussianRBM .* Try BlockGibbs\(\)"):
        target(GaussianRBM(3, 2, key=jax.random.key(0)), Metropolis("blocks"))


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda c: GaussianRBM(0, 2, key=jax.random.key(0)), ArgumentError, "needs units, got num_visible=0"),
        (lambda c: GaussianRBM(2, 2, variance=0.0, key=jax.random.key(0)), ArgumentError, "positive and finite"),
        (
            lambda c: GaussianRBM(2, 2, visible_mean=np.ones(3), key=jax.random.key(0)),
            ShapeError,
            r"`visible_mean` must be a number or have the shape \(2,\), got \(3,\)",
        ),
        (lambda c: BoltzmannMachine(c, 7), ArgumentError, "6 units has 1 to 6 visible ones.*num_visible=7"),
        (lambda c: BoltzmannMachine(c, 0), ArgumentError, "num_visible=0"),
        (lambda c: BoltzmannMachine(c, 3, units="ternary"), ArgumentError, "units='ternary'"),
        (lambda c: BoltzmannMachine(c, 3, bias=np.ones(3)), ShapeError, r"shape \(6,\), got \(3,\)"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make(GraphCouplings(EDGES))
