"""Where clusters of particles start: compact, at random, and without two particles on top of each other."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._typing import PRNGKey
from energax.energies import AbstractCluster, value_and_score

_STEPS = 600
_LONGEST = 0.1
"""How far a particle moves at most in the first steps, in diameters; it falls in proportion to the steps left."""


def compact_clusters(cluster: AbstractCluster, num_chains: int, *, key: PRNGKey) -> Float[Array, "chain n d"]:
    """Random clusters near local minima of the energy: points in a ball, then a descent with bounded steps.

    The bound keeps particles that begin on top of each other from being thrown out of the cluster by their repulsion.

    Args:
        cluster: The energy, with a diameter of about one.
        num_chains: How many.
        key: Typed random key.
    """
    return _descended(cluster, jax.random.split(key, num_chains))


@eqx.filter_jit
def _descended(cluster: AbstractCluster, keys: Array) -> Float[Array, "chain n d"]:
    n, d = cluster.space.struct.shape

    def one(key: PRNGKey) -> Float[Array, "n d"]:
        way_key, radius_key = jax.random.split(key)
        way = jax.random.normal(way_key, (n, d))
        way = way / jnp.linalg.norm(way, axis=1, keepdims=True)
        x = 0.7 * n ** (1 / d) * way * jax.random.uniform(radius_key, (n, 1)) ** (1 / d)

        def step(i: Array, x: Array) -> Array:
            score = value_and_score(cluster, x)[1]
            # The square of the force between particles on top of each other would overflow.
            largest = jnp.max(jnp.abs(score), axis=1, keepdims=True) + 1e-30
            way = score / largest
            norm = jnp.linalg.norm(way, axis=1, keepdims=True)
            return x + way * jnp.minimum(1e-2 * largest, _LONGEST * (1.0 - i / _STEPS) / (norm + 1e-6))

        return jax.lax.fori_loop(0, _STEPS, step, x)

    return jax.vmap(one)(keys)
