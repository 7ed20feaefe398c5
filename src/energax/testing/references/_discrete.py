"""Discrete references: a small machine, a small lattice in a field, and sites with three values."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._typing import Scalar
from energax.energies import RBM, Ising, energy
from energax.spaces import Categorical
from energax.testing.references._reference import Moment, Reference


def _float(x: Array) -> Array:
    return x.astype(jnp.result_type(float))


def _pairs(x: Array) -> Array:
    flat = _float(x).reshape(-1)
    rows, columns = np.triu_indices(flat.size, 1)
    return flat[rows] * flat[columns]


def asymmetric_rbm() -> Reference:
    """An RBM with 6 visible and 4 hidden units and parameters without symmetry; log Z = 7.1580789869.

    W_ij = ½ sin(i + 2j), b_i = 0.1 cos i, c_j = 0.1 sin j, with indices from 0.
    """
    i, j = np.arange(6)[:, None], np.arange(4)[None]
    rbm = RBM.from_parameters(
        jnp.asarray(0.5 * np.sin(i + 2 * j)), jnp.asarray(0.1 * np.cos(i[:, 0])), jnp.asarray(0.1 * np.sin(j[0]))
    )
    return Reference("asymmetric RBM", rbm, (Moment("v", _float), Moment("v_i v_j", _pairs)))


def asymmetric_ising() -> Reference:
    """A periodic 3 × 3 Ising lattice (an odd one: three colours) with J = 0.3 and a field that differs by site."""
    field = np.array([[-0.4, 0.1, 0.3], [0.6, 0.0, -0.2], [0.2, 0.5, -0.1]])
    model = Ising(3, coupling=0.3, field=jnp.asarray(field))
    return Reference("asymmetric Ising", model, (Moment("s", _float), Moment("s_i s_j", _pairs)))


def skewed_categorical() -> Reference:
    """Four sites with three values on a ring, E(x) = Σ_i (a[x_i] + w[x_i, x_{i+1}]), w not symmetric."""
    space = Categorical(4, num_categories=3)
    params = {
        "bias": jnp.array([0.0, 0.4, -0.3]),
        "pair": jnp.array([[0.2, -0.5, 0.1], [0.6, 0.0, -0.4], [-0.1, 0.3, 0.5]]),
    }
    return Reference(
        "skewed categorical",
        energy(_ring_energy, params, space=space),
        (Moment("[x_i = v]", _one_hot), Moment("x_i x_j", _pairs)),
    )


def _ring_energy(params: dict[str, Array], x: Array) -> Scalar:
    return jnp.sum(params["bias"][x]) + jnp.sum(params["pair"][x, jnp.roll(x, -1)])


def _one_hot(x: Array) -> Float[Array, "sites 2"]:
    return jnp.stack([_float(x == 0), _float(x == 1)], axis=-1)
