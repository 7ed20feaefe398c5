"""References over product spaces: spins beside coordinates, and a machine with hidden bits."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import GaussianRBM
from energax.spaces import Euclidean, Product, Spins
from energax.testing.references._reference import Moment, Reference

_FIELD, _COUPLING = np.array([0.4, -0.2]), 0.5
_SHIFT, _WIDTH = np.array([0.7, -0.5]), np.array([1.0, 0.6])
_PAIRS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])


class SpinsAndNormals(AbstractDensity):
    """Two coupled spins, and two coordinates x_i ~ N(a_i s_i, w_i²) that follow them."""

    field: Float[Array, "2"]
    shift: Float[Array, "2"]
    width: Float[Array, "2"]
    space: Product = eqx.field(static=True)

    def __init__(self) -> None:
        self.field, self.shift, self.width = jnp.asarray(_FIELD), jnp.asarray(_SHIFT), jnp.asarray(_WIDTH)
        self.space = Product({"place": Euclidean(2), "spin": Spins(2)})

    def _log_weight(self, s: Array) -> Scalar:
        s = s.astype(self.field.dtype)
        return jnp.sum(self.field * s) + _COUPLING * s[0] * s[1]

    def log_prob(self, x: dict[str, Array]) -> Scalar:
        z = (x["place"] - self.shift * x["spin"]) / self.width
        log_norm = jax.nn.logsumexp(jax.vmap(self._log_weight)(jnp.asarray(_PAIRS)))
        normal = jnp.sum(-0.5 * z**2 - jnp.log(self.width) - 0.5 * jnp.log(2 * jnp.pi))
        return self._log_weight(x["spin"]) - log_norm + normal

    def draw(self, *, key: PRNGKey) -> dict[str, Array]:
        pair_key, place_key = jax.random.split(key)
        which = jax.random.categorical(pair_key, jax.vmap(self._log_weight)(jnp.asarray(_PAIRS)))
        s = jnp.asarray(_PAIRS, jnp.int8)[which]
        noise = jax.random.normal(place_key, (2,), self.width.dtype)
        return {"place": self.shift * s + self.width * noise, "spin": s}


def spins_and_normals() -> Reference:
    """Two spins in a field and two coordinates drawn to them: partly discrete, partly continuous, all of it coupled.

    A kernel that keeps what it knew of the energy before another one turned the spins is off by many standard errors.
    """
    log_w = _PAIRS @ _FIELD + _COUPLING * _PAIRS.prod(1)
    law = np.exp(log_w - log_w.max())
    law /= law.sum()
    s, ss = law @ _PAIRS, law @ _PAIRS.prod(1)
    both = np.array([[1.0, ss], [ss, 1.0]])
    second = np.outer(_SHIFT, _SHIFT) * both + np.diag(_WIDTH**2)
    features = (
        Moment("s", _spins, s),
        Moment("s_0 s_1", _spin_product, np.array([ss])),
        Moment("x", _place, _SHIFT * s),
        Moment("x_i x_j", _place_products, second[np.triu_indices(2)]),
        Moment("s_i x_j", _mixed_products, (both * _SHIFT).reshape(-1)),
    )
    return Reference("spins and normals", SpinsAndNormals(), features)


def _spins(x: dict[str, Array]) -> Array:
    return x["spin"].astype(x["place"].dtype)


def _spin_product(x: dict[str, Array]) -> Array:
    return jnp.prod(_spins(x))[None]


def _place(x: dict[str, Array]) -> Array:
    return x["place"]


def _place_products(x: dict[str, Array]) -> Array:
    rows, columns = np.triu_indices(2)
    return x["place"][rows] * x["place"][columns]


def _mixed_products(x: dict[str, Array]) -> Array:
    return (_spins(x)[:, None] * x["place"]).reshape(-1)


def asymmetric_gaussian_rbm() -> Reference:
    """A Gaussian RBM with 3 visible and 2 hidden units, unequal variances, and parameters without symmetry.

    The law is a mixture of four normal laws with unequal masses.
    """
    weights = np.array([[1.1, -0.4], [0.3, 0.9], [-0.7, 0.5]])
    mean, variance, bias = np.array([0.3, -0.5, 1.0]), np.array([0.5, 1.0, 2.0]), np.array([0.4, -0.7])
    blank = GaussianRBM(3, 2, visible_mean=mean, variance=variance, key=jax.random.key(0))
    new = (jnp.asarray(weights, blank.weights.dtype), jnp.asarray(bias, blank.weights.dtype))
    machine = eqx.tree_at(lambda m: (m.weights, m.hidden_bias), blank, new)
    h = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    means = mean + h @ weights.T
    log_masses = h @ bias + 0.5 * ((means**2 - mean**2) / variance).sum(1)
    masses = np.exp(log_masses - log_masses.max())
    masses /= masses.sum()
    second = np.einsum("k,ki,kj->ij", masses, means, means) + np.diag(variance)
    features = (
        Moment("v", _identity, masses @ means),
        Moment("v_i v_j", _upper_products, second[np.triu_indices(3)]),
    )
    return Reference("asymmetric Gaussian RBM", machine, features)


def _identity(v: Array) -> Array:
    return v


def _upper_products(v: Array) -> Array:
    rows, columns = np.triu_indices(3)
    return v[rows] * v[columns]
