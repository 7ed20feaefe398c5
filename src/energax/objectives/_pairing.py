"""How noise and data are paired, and times spread, for straight ways between them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._typing import PRNGKey


def spread_times(count: int, dtype: Any, *, key: PRNGKey) -> Float[Array, " n"]:
    """Times, one uniform in each of `count` equal parts of [0, 1]; rows come in random order, so each has any time."""
    return (jnp.arange(count, dtype=dtype) + jax.random.uniform(key, (count,), dtype)) / count


def partners(
    x: Float[Array, "n *d"], z: Float[Array, "n *d"], regularisation: float, *, key: PRNGKey, num_iterations: int = 50
) -> Array:
    """A partner among z for each x, drawn from the plan of entropic optimal transport between the two.

    The plan minimises Σ P_ij ‖x_i − z_j‖² − ε H(P) with uniform marginals, by Sinkhorn's iteration in logarithms.

    Args:
        x: Rows.
        z: As many others.
        regularisation: ε in units of the mean squared distance.
        key: Random key.
        num_iterations: Passes over rows and columns.
    """
    flat, other = x.reshape(len(x), -1), z.reshape(len(z), -1)
    cost = jnp.sum(flat**2, 1)[:, None] + jnp.sum(other**2, 1) - 2 * flat @ other.T
    gain = -cost / (regularisation * jnp.mean(cost))

    def normalised(_: int, plan: Array) -> Array:
        plan = plan - jax.nn.logsumexp(plan, axis=0, keepdims=True)
        return plan - jax.nn.logsumexp(plan, axis=1, keepdims=True)

    plan = jax.lax.fori_loop(0, num_iterations, normalised, gain)
    return jax.random.categorical(key, jax.lax.stop_gradient(plan), axis=1)
