"""Exact maximum likelihood: its loss is −log p, its gradient the exact one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact
from energax._errors import ArgumentError, NotTractable
from energax.energies import MLP, RBM, Ising, marginal
from energax.objectives import ExactLikelihood
from energax.spaces import Box, Euclidean


def loss(energy, batch, **options):
    return ExactLikelihood(**options).loss(energy, batch, None, key=jax.random.key(0))


MODELS = {
    "rbm": lambda key: RBM(5, 4, scale=1.0, key=key),
    "ising": lambda _: Ising(3, coupling=0.4, field=0.2),
}


@pytest.mark.parametrize("name", MODELS)
def test_discrete_loss_and_gradient(name, key):
    """−mean log p by enumeration, and E_data ∂F − E ∂F with the exact law, in float64."""
    with jax.enable_x64(True):
        model = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), MODELS[name](key))
        observed = marginal(model)
        rows = exact.states(observed.space)
        batch = jnp.asarray(rows[:3])
        value, slopes = jax.value_and_grad(lambda e: loss(e, batch)[0])(model)
        law = np.exp(exact.log_probs(observed)[1])
        at_rows = jax.vmap(lambda v: jax.grad(lambda e: marginal(e)(v))(model))(jnp.asarray(rows))
        want = jax.tree.map(lambda leaf: leaf[:3].mean(0) - np.tensordot(law, leaf, 1), at_rows)
    assert float(value) == pytest.approx(-np.log(law[:3]).mean(), abs=1e-12)
    for found, expected in zip(jax.tree.leaves(slopes), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_quadrature_is_that_of_the_refined_rule(key):
    """On a line, to 1e-9, and without bounds where the space has ends of its own."""
    with jax.enable_x64(True):
        line, square = (
            jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), MLP(space, hidden=(8,), key=key))
            for space in (Euclidean(1, initial_scale=1.0), Box(2, -1.0, 2.0))
        )
        found = loss(line, jnp.zeros((2, 1)), bounds=((-9.0, 9.0),))[1][1]["log_z"]
        assert float(found) == pytest.approx(exact.quadrature_log_z(line).value, abs=1e-9)
        found = loss(square, jnp.zeros((2, 2)), num_points=32)[1][1]["log_z"]
        assert float(found) == pytest.approx(exact.quadrature_log_z(square).value, abs=1e-9)


def test_chunks_add_up():
    """2^13 configurations in two chunks, the second of which is padded."""
    found = exact.differentiable_log_z(Ising((3, 9), coupling=0.3))
    assert float(found) == pytest.approx(exact.log_z(Ising((3, 9), coupling=0.3)), rel=1e-6)


def test_refusals():
    with pytest.raises(ArgumentError, match="has no ends: give `bounds`"):
        ExactLikelihood().check(MLP(2, hidden=(4,), key=jax.random.key(0)))
    with pytest.raises(NotTractable, match="too many for one array"):
        ExactLikelihood().check(Ising(12))
    with pytest.raises(NotTractable, match="one or two continuous coordinates"):
        ExactLikelihood(bounds=((-1.0, 1.0),) * 3).check(MLP(3, hidden=(4,), key=jax.random.key(0)))
