"""Continuous references: a normal law, a mixture, a double well, a box and a circle."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._typing import Scalar
from energax.densities import Gaussian, GaussianMixture
from energax.energies import DoubleWell, energy
from energax.spaces import Box, Torus
from energax.testing.references._reference import Moment, Reference


def _identity(x: Array) -> Array:
    return x


def _products(x: Float[Array, " d"]) -> Float[Array, " pairs"]:
    rows, columns = np.triu_indices(x.shape[0])
    return x[rows] * x[columns]


def _tanh(x: Array) -> Array:
    return jnp.tanh(x)


def _waves(x: Array) -> Array:
    return jnp.concatenate([jnp.cos(x), jnp.sin(x), jnp.cos(2 * x)])


def correlated_gaussian() -> Reference:
    """N(m, Σ) in three dimensions, with unequal variances (0.5, 1, 2) and correlations of both signs."""
    mean = np.array([1.0, -0.5, 0.25])
    covariance = np.array([[0.5, 0.3, -0.2], [0.3, 1.0, 0.4], [-0.2, 0.4, 2.0]])
    second = (covariance + np.outer(mean, mean))[np.triu_indices(3)]
    features = (Moment("x", _identity, mean), Moment("x_i x_j", _products, second))
    return Reference("correlated Gaussian", Gaussian(jnp.asarray(mean), jnp.asarray(covariance)), features)


def skewed_mixture() -> Reference:
    """Two normal laws in the plane with unequal masses (0.3, 0.7), widths (0.5, 1) and connected modes."""
    density = GaussianMixture(jnp.array([[1.5, 0.5], [-0.5, -0.3]]), jnp.array([0.5, 1.0]), jnp.array([0.3, 0.7]))
    features = (Moment("x", _identity), Moment("x_i x_j", _products), Moment("tanh x", _tanh))
    return Reference("skewed mixture", density, features)


def tilted_double_well() -> Reference:
    """E(x) = 2 (x² − 1)² + ½ x: the left well holds most of the mass, and the barrier is crossed now and then."""
    features = (Moment("x", _identity), Moment("x²", _products), Moment("tanh x", _tanh))
    return Reference("tilted double well", DoubleWell(barrier=2.0, tilt=0.5), features)


def tilted_box() -> Reference:
    """E(x) = 2 x₀ − x₁ + ½ x₀ x₁ on the square [−1, 1]²: the density is highest at two walls.

    A kernel that does not fold at the walls, or folds without keeping its law, is off by many standard errors.
    """
    features = (Moment("x", _identity), Moment("x_i x_j", _products))
    return Reference("tilted box", energy(_box_energy, jnp.array([2.0, -1.0, 0.5]), space=Box(2, -1.0, 1.0)), features)


def _box_energy(w: Float[Array, "3"], x: Float[Array, "2"]) -> Scalar:
    return w[0] * x[0] + w[1] * x[1] + w[2] * x[0] * x[1]


def tilted_angle() -> Reference:
    """E(φ) = −cos(φ − ½) − ½ sin 2φ on the circle: skewed, with mass where the angle wraps round."""
    features = (Moment("cos φ, sin φ, cos 2φ", _waves), Moment("φ", _identity))
    return Reference("tilted angle", energy(_angle_energy, jnp.array([1.0, 0.5]), space=Torus(1)), features)


def _angle_energy(w: Float[Array, "2"], x: Float[Array, "1"]) -> Scalar:
    return -w[0] * jnp.cos(x[0] - 0.5) - w[1] * jnp.sin(2 * x[0])
