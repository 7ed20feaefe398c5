"""Flows of FlowJAX: normalised, drawn as they say, and proposals of an exact kernel."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact, testing
from energax.densities import AbstractAutoencoder, Flow, autoregressive_flow, coupling_flow
from energax.kernels import IndependenceMetropolis
from energax.testing import references


def test_refuses_what_is_no_flow(flow):
    with pytest.raises(ValueError, match="unconditional distribution of FlowJAX, got list"):
        Flow([1.0])


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flowjax.distributions", None)
    with pytest.raises(ImportError, match=r"energax\[flows\]"):
        autoregressive_flow(2, key=jax.random.key(0))


@pytest.fixture(scope="module")
def flow():
    pytest.importorskip("flowjax")
    return autoregressive_flow(2, num_layers=2, width=8, key=jax.random.key(7))


def test_is_normalised(flow):
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf, flow)
        found = exact.quadrature_log_z(wide, num_points=2**20)
        assert abs(found.value) < 1e-8 + 3 * found.error


@pytest.mark.slow
def test_keeps_the_contract_of_an_energy(flow, key):
    # FlowJAX makes constants of its own inside, which the clause on closed-over arrays would see.
    clauses = ("scalar", "leaf_types", "one_trace", "vmap", "dtypes", "score", "round_trip", "exact_draw")
    assert set(testing.check_energy(flow, wrappers=False, tables=True, clauses=clauses, key=key)) == set(clauses)


def test_flow_proposals_keep_the_law(flow, key):
    """20,000 chains × 10 steps from exact draws: a shift of a moment by 0.06 standard deviations is seen."""
    testing.assert_exact_start(IndependenceMetropolis(flow), references.skewed_mixture(), key=key)


def test_a_flow_that_is_the_law_is_always_accepted(flow, key):
    kernel = IndependenceMetropolis(flow)
    state = kernel.init(flow, jnp.array([0.5, -1.0]), key=key)
    info = jax.jit(jax.vmap(lambda k: kernel.step(flow, state, key=k)[1]))(jax.random.split(key, 50))
    np.testing.assert_allclose(info.accept_prob, 1.0, rtol=1e-4)


def in_float64(flow):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf, flow)


def strongly_bent(made):
    """The flow with larger weights, so that its layers are far from the identity."""
    return jax.tree.map(lambda leaf: 2 * leaf if leaf.dtype == jnp.float32 and leaf.ndim == 2 else leaf, made)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) for kind in ("coupling spline", "autoregressive spline")]
)
def test_inverse_and_log_determinant(kind, key):
    """To 1e-4 in float32 and 1e-10 in float64, against the determinant of the Jacobian."""
    pytest.importorskip("flowjax")
    make = coupling_flow if kind.startswith("coupling") else autoregressive_flow
    made = strongly_bent(make(3, num_layers=2, width=8, knots=5, key=jax.random.key(3)))
    assert isinstance(made, AbstractAutoencoder)
    z = jax.random.normal(key, (3,))

    def errors(flow, z):
        x = flow.decode(z)
        exact_value = -0.5 * jnp.sum(z**2) - 1.5 * jnp.log(2 * jnp.pi)
        log_det = jnp.linalg.slogdet(jax.jacfwd(flow.decode)(z))[1]
        moved = jnp.max(jnp.abs(x - z))
        return jnp.max(jnp.abs(flow.encode(x, key=key) - z)), jnp.abs(flow.log_prob(x) - exact_value + log_det), moved

    back, density, moved = jax.jit(errors)(made, z)
    assert moved > 0.1
    assert back < 1e-4
    assert density < 1e-4
    with jax.enable_x64(True):
        back, density, _ = jax.jit(errors)(in_float64(made), z.astype(jnp.float64))
        assert back < 1e-10
        assert density < 1e-10


def test_refuses_flows_that_cannot_be():
    with pytest.raises(ValueError, match="at least 2 coordinates, got 1"):
        coupling_flow(1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="`knots` >= 0, got -1"):
        autoregressive_flow(2, knots=-1, key=jax.random.key(0))
