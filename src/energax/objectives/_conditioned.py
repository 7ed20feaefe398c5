"""Objectives that learn the law of x given a condition, row by row."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, Conditional, observed_space
from energax.objectives._base import AbstractStatelessObjective, Metrics
from energax.spaces import Product

_OF_CHAINS = frozenset({"moved", "ess", "saturation", "chain_distance"})
"""Metrics of a batch of chains, which a single row does not have."""


class Conditioned(AbstractStatelessObjective):
    """An objective applied to each row x_i under the energy E(·, c_i) of its own condition, and averaged.

    loss = mean_i loss_i with loss_i that of the objective for a batch of the one row x_i and the energy x ↦ E(x, c_i).
    What it learns is the law of x given c; nothing is learned of the law of c.

    Exactness: that of the objective, given c, for objectives that are means over rows.

    Cost: that of the objective.

    Args:
        objective: An objective that carries nothing from update to update and means over rows: denoising and all score
            matching, noise contrast, pseudo-likelihood, energy discrepancy, `ContrastiveDivergence`.
        part: Name of the condition in the product space of the energy; the other part is x.

    Example:
        >>> import jax
        >>> from energax import energies, objectives
        >>> model = energies.ConditionalMLP(2, 3, hidden=(8,), key=jax.random.key(0))
        >>> rows = {"x": jax.numpy.ones((4, 2)), "c": jax.numpy.array([0, 2, 1, 2])}
        >>> objective = objectives.Conditioned(objectives.DenoisingScoreMatching(0.2))
        >>> objective.measure(model, rows, key=jax.random.key(1))[0].shape
        ()
    """

    objective: AbstractStatelessObjective
    part: str = eqx.field(static=True, default="c")

    def __check_init__(self) -> None:
        if not isinstance(self.objective, AbstractStatelessObjective):
            raise ArgumentError(
                f"Conditioned takes objectives that carry nothing from update to update, and "
                f"{type(self.objective).__name__} does. Give it a kernel that holds the condition instead: "
                'kernels.OnPart(kernel, "x").'
            )

    def check(self, energy: AbstractEnergy) -> None:
        space = observed_space(energy)
        if not isinstance(space, Product) or self.part not in space.parts or len(space.parts) != 2:
            raise SpaceError(
                f"Conditioned needs an energy over two parts, x and the condition {self.part!r}, such as "
                f"energies.ConditionalMLP; got space={space}."
            )
        struct = space.parts[self.part].struct
        self.objective.check(self._given(energy, jnp.zeros(struct.shape, struct.dtype)))

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        (x,) = (leaf for name, leaf in batch.items() if name != self.part)
        conditions = batch[self.part]
        keys = jax.random.split(key, conditions.shape[0])

        def row(x: Configuration, c: Configuration, key: PRNGKey) -> tuple[Scalar, Metrics]:
            alone = jax.tree.map(lambda leaf: leaf[None], x)
            return self.objective.measure(self._given(energy, c), alone, key=key)

        losses, metrics = jax.vmap(row)(x, conditions, keys)
        means = {name: jnp.mean(values) for name, values in metrics.items() if name not in _OF_CHAINS}
        return jnp.mean(losses), means

    def _given(self, energy: AbstractEnergy, c: Configuration) -> AbstractEnergy:
        return Conditional(energy, self.part).given(c)
