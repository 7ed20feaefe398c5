"""Factor graphs against sums done here in NumPy, and their kernels against the law."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from energax import exact, testing
from energax._errors import ArgumentError, ShapeError
from energax.densities import IndependentSites
from energax.energies import FactorGraph, Interpolated, blocks
from energax.kernels import BlockGibbs, GibbsWithGradients, HeatBath, Metropolis
from energax.spaces import Binary

COUNTS = (3, 2, 4, 1)
SCOPES = [(0, 1), (2, 0), (2,), (3, 1), (1,), (0, 1, 3)]
RNG = np.random.default_rng(1)
TABLES = [RNG.normal(size=[COUNTS[i] for i in scope]) for scope in SCOPES]


def small():
    return FactorGraph(COUNTS, list(zip(SCOPES, TABLES, strict=True)), constant=0.7)


def log_weights(counts, scopes, tables):
    """All configurations, and Σ_f θ_f of each."""
    x = np.array(list(itertools.product(*map(range, counts))))
    return x, sum(table[tuple(x[:, list(scope)].T)] for scope, table in zip(scopes, tables, strict=True))


def test_a_graph_is_its_sum_over_all_configurations():
    x, logs = log_weights(COUNTS, SCOPES, TABLES)
    with jax.enable_x64(True):
        table, log_p = exact.log_probs(small())
        assert table.tolist() == x.tolist()
        np.testing.assert_allclose(log_p, logs - logsumexp(logs), atol=1e-13)
        assert exact.log_z(small()) == pytest.approx(logsumexp(logs) + 0.7, abs=1e-13)


def test_a_tree_is_its_variable_elimination():
    """Leaves 0 and 1 hang on 2, which hangs on 3: the messages to the root, by hand."""
    counts, scopes = (2, 5, 3, 4), [(0, 2), (2, 1), (3, 2), (3,), (0,)]
    tables = [RNG.normal(size=[counts[i] for i in scope]) for scope in scopes]
    from_0 = logsumexp(tables[0] + tables[4][:, None], axis=0)
    from_1 = logsumexp(tables[1], axis=1)
    from_2 = logsumexp(tables[2] + from_0 + from_1, axis=1)
    with jax.enable_x64(True):
        tree = FactorGraph(counts, list(zip(scopes, tables, strict=True)))
        assert exact.log_z(tree) == pytest.approx(logsumexp(tables[3] + from_2), abs=1e-13)
    assert [np.flatnonzero(block.mask).tolist() for block in blocks(tree)] == [[2], [0, 1, 3]]


def test_many_tables_of_one_shape_are_one_entry():
    """A ring of 300 variables with three categories: log Z = log tr Π T_i, and E by NumPy."""
    size = 300
    scopes = np.stack([np.arange(size), (np.arange(size) + 1) % size], axis=1)
    tables = RNG.normal(size=(size, 3, 3))
    with jax.enable_x64(True):
        ring = FactorGraph([3] * size, [(scopes, tables), (scopes[:, :1], 0.5 * tables[:, 0])])
        x = RNG.integers(3, size=size)
        want = tables[np.arange(size), x, np.roll(x, -1)].sum() + 0.5 * tables[np.arange(size), 0, x].sum()
        assert float(ring(jnp.asarray(x, jnp.int8))) == pytest.approx(-want, abs=1e-11)
    assert [leaf.shape for leaf in ring.tables] == [(size, 3, 3), (size, 3)]
    assert len(blocks(ring)) == 2


def test_evidence_is_taken_into_the_tables():
    x, logs = log_weights(COUNTS, SCOPES, TABLES)
    held = (x[:, 0] == 2) & (x[:, 1] == 1)
    with jax.enable_x64(True):
        rest = small().given({0: 2, 1: 1})
        assert rest.scopes.counts.tolist() == [4, 1]
        assert exact.log_z(rest) == pytest.approx(logsumexp(logs[held]) + 0.7, abs=1e-13)
    with pytest.raises(ArgumentError, match="x_2 = 4 is no variable and value"):
        small().given({2: 4})
    with pytest.raises(ArgumentError, match="leaves no variable"):
        small().given(dict.fromkeys(range(4), 0))


KERNELS = [HeatBath(), BlockGibbs(), Metropolis("random"), GibbsWithGradients()]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{type(kernel).__name__} {vars(kernel)}")
def test_kernels_leave_the_law_invariant(kernel):
    assert testing.assert_invariant(kernel, small()) <= 1e-14


def test_values_that_a_variable_cannot_have_are_never_drawn_on_the_way_from_a_product_law():
    """At t = 0, where the tables do not matter: a table with −∞ for them would be 0 · ∞ there."""
    start = Interpolated(IndependentSites(small().space, jnp.asarray(RNG.normal(size=(4, 4)))), small(), 0.0)
    assert testing.assert_invariant(HeatBath(), start) <= 1e-14


def test_step_does_what_the_matrix_says(key):
    """20,000 heat baths of a pair with three and two values; a change of the probabilities by 7 % or so is seen."""
    testing.assert_transitions(HeatBath(), FactorGraph([3, 2], [((0, 1), TABLES[0])]), start=3, key=key)


def test_variables_with_two_categories_are_bits(key):
    scopes = [(0, 1), (2, 0, 1), (3,)]
    graph = FactorGraph([2] * 4, [(scope, RNG.normal(size=[2] * len(scope))) for scope in scopes])
    assert graph.space == Binary(4)
    testing.check_energy(graph, clauses=("conditional_logits", "blocks_partition"), key=key)


@pytest.mark.parametrize(
    ("counts", "factors", "error", "sentence"),
    [
        ([], [((0,), [0.0])], ArgumentError, "one category or more"),
        ([2, 0], [((0,), [0.0, 0.0])], ArgumentError, "one category or more"),
        ([2, 2], [], ArgumentError, "at least one table"),
        ([2, 2], [((0, 2), np.zeros((2, 2)))], ArgumentError, "names the variable 2, .* variables 0 to 1"),
        ([2, 2], [((1, 1), np.zeros((2, 2)))], ArgumentError, "one variable twice"),
        ([2, 2], [((0.5,), np.zeros(2))], ArgumentError, "list of variables"),
        ([2, 3], [((0, 1), np.zeros((3, 2)))], ShapeError, r"variables \(0, 1\) has shape \(3, 2\), not \(2, 3\)"),
        ([2, 3], [([[0], [1]], np.zeros((2, 2)))], ShapeError, r"not \(2,\) or \(3,\)"),
    ],
)
def test_what_makes_no_sense_is_refused(counts, factors, error, sentence):
    with pytest.raises(error, match=sentence):
        FactorGraph(counts, factors)
