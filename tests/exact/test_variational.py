"""What holds for exp(−E)/Z: derivatives of log Z, the Gibbs principle, maximum entropy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from energax import exact
from energax.densities import Gaussian, IndependentSites
from energax.energies import Ising, Tempered, energy
from energax.spaces import Categorical, Euclidean, Spins

SHAPE = (3, 3)


def test_derivatives_of_log_z_are_the_moments_of_the_energy():
    """⟨E⟩ = −∂ log Z/∂β, Var E = ∂²; S = log Z + β⟨E⟩ is the entropy of the law; F of a normal law is ½ log(k/2π)."""
    with jax.enable_x64(True):
        model = Ising(SHAPE, field=0.2)
        values = jax.jit(jax.vmap(model))(exact.states(model.space))
        log_z = lambda beta: jax.nn.logsumexp(-beta * values)  # noqa: E731
        beta, law = 0.3, Tempered(model, 0.3)
        mean, second = exact.expectation(law, lambda x: (model(x), model(x) ** 2))
        slope, curvature = jax.jit(jax.value_and_grad(jax.grad(log_z)))(beta)
        assert float(-slope) == pytest.approx(mean, abs=1e-12)
        assert float(curvature) == pytest.approx(second - mean**2, abs=1e-11)
        _, log_p = exact.log_probs(law)
        assert exact.log_z(law) + beta * mean == pytest.approx(-np.sum(np.exp(log_p) * log_p), abs=1e-12)
        well = energy(lambda x: 1.5 * jnp.sum(x**2), space=Euclidean(1))
        assert -exact.log_z(well) == pytest.approx(0.5 * math.log(3.0 / (2 * math.pi)), abs=1e-9)


def test_the_gibbs_variational_principle():
    """E_q U − S(q) − F = KL(q‖ρ) >= 0 for product laws q, 0 for the law itself."""
    with jax.enable_x64(True):
        model = Tempered(Ising(SHAPE, field=0.2), 0.3)
        q = IndependentSites(Spins(SHAPE), jnp.full(SHAPE, 0.4))
        bound = exact.expectation(q, lambda x: model(x) - q(x))
        gap = bound + exact.log_z(model)
        assert gap == pytest.approx(exact.kl(q, model), abs=1e-12)
        assert gap > 0.1
        assert exact.kl(model, model) == 0.0
        normal, other = Gaussian(jnp.zeros(1)), Gaussian(jnp.full(1, 0.5), 0.25)
        assert exact.kl(other, normal) == pytest.approx(0.5 * (0.25 + 0.25 - 1.0 + math.log(4.0)), abs=1e-9)


def test_maximum_entropy_of_a_dice():
    """The law of greatest entropy with mean 4.5: the minimum of the convex dual log Z(λ) + 4.5 λ (Jaynes' dice)."""
    with jax.enable_x64(True):
        law = lambda a: energy(_faces, jnp.asarray(a), space=Categorical((1,), num_categories=6))  # noqa: E731
        dual = lambda a: exact.log_z(law(a)) + 4.5 * a  # noqa: E731
        best = minimize_scalar(dual, bracket=(-1.0, 0.0), tol=1e-12)
        _, log_p = exact.log_probs(law(best.x))
        p = np.exp(log_p)
        np.testing.assert_allclose(p, [0.05435, 0.07877, 0.11416, 0.16545, 0.23977, 0.34749], atol=6e-6)
        assert p @ np.arange(1, 7) == pytest.approx(4.5, abs=1e-6)
        assert best.fun == pytest.approx(-p @ log_p, abs=1e-10)
        # Any other law with that mean has less entropy.
        other = p + 0.01 * np.array([1.0, -2.0, 1.0, 0.0, 0.0, 0.0])
        assert -other @ np.log(other) < best.fun
        middle = dual(0.0)
        assert dual(-0.3) + dual(0.3) > 2 * middle


def _faces(a, x):
    return a * (x[0] + 1.0)
