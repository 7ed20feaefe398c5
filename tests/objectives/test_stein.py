"""The kernel Stein discrepancy against derivatives of its kernel, and its mean in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax._errors import ArgumentError, SpaceError
from energax.densities import Gaussian
from energax.objectives import KernelStein
from energax.objectives._stein import stein_kernel
from energax.testing import references


def test_the_kernel_is_the_formula_by_automatic_differentiation(key):
    with jax.enable_x64(True):
        x, scores = jax.random.normal(key, (2, 4, 3), jnp.float64)
        h = jnp.asarray(0.8, jnp.float64)

        def k(a, b):
            return (1 + jnp.sum((a - b) ** 2) / h**2) ** -0.5

        def u(a, s, b, r):
            mixed = jnp.trace(jax.jacobian(jax.grad(k, 1), 0)(a, b))
            return s @ r * k(a, b) + s @ jax.grad(k, 1)(a, b) + r @ jax.grad(k, 0)(a, b) + mixed

        pairs = jax.vmap(jax.vmap(u, in_axes=(None, None, 0, 0)), in_axes=(0, 0, None, None))
        want = jax.jit(pairs)(x, scores, x, scores)
        np.testing.assert_allclose(stein_kernel(x, scores, h), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_mean_over_batches(shift, key):
    """Data N(0, 1), model N(δ, 1): δ² E (1 + (x − y)²/h²)^(−½), and 0 at the truth; any batch size. 10,000 batches."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    want = shift**2 * float(np.sum(weights * (1 + 2 * nodes**2 / 1.44) ** -0.5) / np.sqrt(2 * np.pi))
    model, objective = Gaussian(jnp.array([shift])), KernelStein(1.2)
    batches = jax.random.normal(key, (10_000, 6, 1))

    def one(batch):
        return objective.loss(model, batch, objective.init(model, batch, key=key), key=key)[0]

    found = np.asarray(jax.jit(jax.vmap(one))(batches), np.float64)
    testing.assert_mean(found, want, name="squared discrepancy")


@pytest.mark.slow
def test_the_bandwidth_is_that_of_near_rows_of_the_first_batch(key):
    """The 5 % quantile of the distances 1, 3 and 4; two far modes do not widen it, as they would the median."""
    batch = jnp.array([[0.0], [1.0], [4.0]])
    model, objective = Gaussian(jnp.zeros(1)), KernelStein()
    state = objective.init(model, batch, key=key)
    assert float(state) == pytest.approx(1.2)
    rows = jax.random.normal(key, (100, 2))
    apart = jnp.concatenate([rows, rows + 100.0])
    near, of_two = (float(objective.init(Gaussian(jnp.zeros(2)), x, key=key)) for x in (rows, apart))
    assert of_two < 2 * near
    _, (after, metrics) = objective.loss(model, 10 * batch, state, key=key)
    assert float(after) == float(metrics["bandwidth"]) == pytest.approx(1.2)
    assert float(objective.init(model, jnp.ones((5, 1)), key=key)) == 1.0


def test_what_is_refused():
    with pytest.raises(ArgumentError, match=r"bandwidth > 0, got 0\.0"):
        KernelStein(0.0)
    for reference in (references.tilted_angle(), references.tilted_box()):
        with pytest.raises(SpaceError, match="a kernel for Euclidean space"):
            KernelStein().check(reference.energy)
