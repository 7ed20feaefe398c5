"""The kernel Stein discrepancy as a training objective."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, marginal, observed_space, score
from energax.objectives._base import AbstractObjective, Metrics, require_score
from energax.spaces import Euclidean

_NEAR = 0.05


class KernelStein(AbstractObjective):
    """Minimises the squared kernel Stein discrepancy between the data and the law of the energy.

    With the score s = −∇E and the kernel k(x, y) = (1 + ‖x − y‖²/h²)^(−½),
    u(x, y) = s(x)·s(y) k + s(x)·∇_y k + s(y)·∇_x k + tr ∇_x∇_y k has mean 0 over x for every y where x follows
    exp(−E)/Z. loss = mean of u over the pairs of different rows of a batch, which has the mean
    E_{x,y ~ data} u(x, y) ≥ 0 at any batch size and is 0 only at the data's law. Scores enter without a derivative, so
    that it needs no second derivative in x, and Z drops out.

    Exactness: consistent, with any h; the estimate may be negative. Like all that sees only scores it is nearly blind
    to the masses of modes that are many h apart, and it loses its power as dimensions grow.

    Cost: the gradient of one score for each row, and n² numbers for n rows.

    Args:
        bandwidth: h > 0, in units of x. None: the distance that a twentieth of the pairs of rows of the first batch
            stay below, kept in the state. It is that of rows in one mode; the median of all is that between modes, and
            a kernel so wide hardly sees the shape of each.

    References:
        [liu2016], [barp2019]; the kernel is that of [gorham2017].
    """

    bandwidth: float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise ArgumentError(f"KernelStein needs bandwidth > 0, got {self.bandwidth}.")

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)
        space = observed_space(energy)
        if not isinstance(space, Euclidean):
            raise SpaceError(
                f"KernelStein has a kernel for Euclidean space, but space={space} is bounded. Take "
                "ConditionalNoiseContrastive or DenoisingScoreMatching."
            )

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> Float[Array, ""]:
        del energy, key
        if self.bandwidth is not None:
            return jnp.asarray(self.bandwidth, batch.dtype)
        rows = batch.reshape(batch.shape[0], -1)
        one, other = jnp.triu_indices(rows.shape[0], 1)
        near = jnp.quantile(jnp.linalg.norm(rows[one] - rows[other], axis=1), _NEAR)
        # Rows that are mostly equal have no scale of their own.
        return jnp.where(near > 0, near, jnp.ones_like(near))

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: Float[Array, ""], *, key: PRNGKey
    ) -> tuple[Scalar, tuple[Float[Array, ""], Metrics]]:
        del key
        observed = marginal(energy)
        scores = jax.vmap(lambda x: score(observed, x))(batch)
        count = batch.shape[0]
        terms = stein_kernel(batch.reshape(count, -1), scores.reshape(count, -1), state)
        loss = jnp.sum(jnp.where(jnp.eye(count, dtype=bool), 0.0, terms)) / max(1, count * (count - 1))
        metrics = {"squared_score": jnp.sum(scores**2) / count, "bandwidth": state}
        return loss, (state, metrics)


def stein_kernel(
    x: Float[Array, "n d"], scores: Float[Array, "n d"], bandwidth: Float[Array, ""]
) -> Float[Array, "n n"]:
    """u(x_i, x_j) for all pairs of rows, by products of matrices: no array of size n² d is made."""
    # About the centre, and in units of h: the products cancel less.
    x = (x - jax.lax.stop_gradient(jnp.mean(x, axis=0))) / bandwidth
    squares = jnp.sum(x**2, axis=1)
    r2 = jnp.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0.0)
    inverse = 1 / (1 + r2)
    k = jnp.sqrt(inverse)
    # s(x)·∇_y k + s(y)·∇_x k = (s(x) − s(y))·(x − y) k³/h².
    along = jnp.sum(scores * x, axis=1)
    across = scores @ x.T
    drift = (along[:, None] + along[None, :] - across - across.T) / bandwidth
    trace = (x.shape[1] * inverse - 3 * r2 * inverse**2) * k / bandwidth**2
    return scores @ scores.T * k + drift * inverse * k + trace
