"""Flow matching along stochastic interpolants."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import PRNGKey, Scalar
from energax.generative._continuous_flow import ContinuousFlow
from energax.objectives import AbstractStatelessObjective, Metrics, apart, normal_apart, partners, spread_times

Coupling: TypeAlias = Literal["independent", "minibatch"]
"""How draws of the base are paired with rows: at random, or by optimal transport within the batch."""


class FlowMatching(AbstractStatelessObjective):
    """Regression of the velocity of an interpolant between noise and data: no equation is solved while training.

    With z ~ N(0, I), a row x, t uniform on [0, 1] and ε ~ N(0, I), the interpolant is I = (1 − t) z + t x + γ(t) ε with
    γ(t) = s sin²(πt), and loss = E ‖v(I, t) − (x − z + γ'(t) ε)‖². The minimum is v(y, t) = E[dI/dt | I = y], whose
    flow carries N(0, I) to the law of the rows. Without noise (s = 0) it is flow matching along straight lines.

    With ``coupling="minibatch"`` z and x are paired by entropic optimal transport within the batch instead of at
    random: ways cross less, so that fewer steps solve them, and the loss is less noisy. The laws of z and x stay what
    they are, whatever the size of a batch; the plan comes near the optimal one of the two laws as batches grow.

    Exactness: unbiased gradient of the loss; with ``coupling="minibatch"`` for the plan of a batch, whose second
    marginal is right to the accuracy of Sinkhorn's iteration.

    Cost: one network a row and its gradient; Sinkhorn's iteration takes 50 passes over n² numbers.

    Args:
        coupling: ``"independent"`` or ``"minibatch"``.
        noise: s ≥ 0.
        regularisation: Strength of the entropy, in units of the mean squared distance of the batch.

    Raises:
        ArgumentError: An unknown coupling, or a number out of range.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.ContinuousFlow(2, hidden=(16,), key=jax.random.key(0))
        >>> loss, _ = generative.FlowMatching().measure(model, jax.numpy.ones((4, 2)), key=jax.random.key(1))
        >>> loss.shape
        ()

    References:
        [lipman2023], [albergo2023], [tong2024], [cuturi2013]
    """

    coupling: Coupling = eqx.field(static=True, default="independent")
    noise: float = eqx.field(static=True, default=0.0, kw_only=True)
    regularisation: float = eqx.field(static=True, default=0.02, kw_only=True)

    def __check_init__(self) -> None:
        if self.coupling not in ("independent", "minibatch"):
            raise ArgumentError(f'FlowMatching knows "independent" and "minibatch" couplings, got {self.coupling!r}.')
        if self.noise < 0 or not self.regularisation > 0:
            raise ArgumentError(
                f"FlowMatching needs noise >= 0 and regularisation > 0, got {self.noise} and {self.regularisation}."
            )

    def check(self, energy: Any) -> None:
        if not isinstance(energy, ContinuousFlow):
            raise KernelMismatch(f"FlowMatching trains a ContinuousFlow, got {type(energy).__name__}.")

    def measure(self, energy: ContinuousFlow, batch: Array, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        of_z, of_t, of_pairs, of_noise = jax.random.split(apart(key), 4)
        batch = batch.astype(jnp.promote_types(batch.dtype, jnp.float32))
        z = normal_apart(batch.shape, batch.dtype, key=of_z)
        if self.coupling == "minibatch":
            z = z[partners(batch, z, self.regularisation, key=of_pairs)]
        t = spread_times(len(batch), batch.dtype, key=of_t)
        column = t.reshape(-1, *[1] * (batch.ndim - 1))
        target, point = batch - z, (1 - column) * z + column * batch
        if self.noise:
            extra = self.noise * normal_apart(batch.shape, batch.dtype, key=of_noise)
            point = point + jnp.sin(jnp.pi * column) ** 2 * extra
            target = target + jnp.pi * jnp.sin(2 * jnp.pi * column) * extra
        error = jax.vmap(energy.velocity)(point, t) - target
        return jnp.mean(jnp.sum(error**2, axis=tuple(range(1, batch.ndim)))), {}
