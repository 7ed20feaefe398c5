"""Metrics summed on the device between two lines of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Window(eqx.Module):
    """Sums of every metric since the last line, and the update at which each was first not finite.

    The mean over a window is less noisy than one value, and a NaN cannot slip through between two lines.

    Attributes:
        names: Names of the metrics, sorted.
        total: Sum of each metric.
        count: Number of updates in the window.
        first_bad: Number of the first update with a value that is not finite, 0 for none.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    total: Float[Array, " metric"]
    count: Int[Array, ""]
    first_bad: Int[Array, " metric"]

    @staticmethod
    def empty(names: Iterable[str]) -> Window:
        """A window without updates."""
        names = tuple(sorted(names))
        return Window(names, jnp.zeros(len(names)), jnp.zeros((), jnp.int32), jnp.zeros(len(names), jnp.int32))

    def add(self, metrics: Mapping[str, Array], step: Int[Array, ""]) -> Window:
        """The window with the metrics of one more update, which has the number `step`."""
        values = jnp.stack([jnp.asarray(metrics[name]).astype(self.total.dtype) for name in self.names])
        fresh = (self.first_bad == 0) & ~jnp.isfinite(values)
        first_bad = jnp.where(fresh, step.astype(jnp.int32), self.first_bad)
        return Window(self.names, self.total + values, self.count + 1, first_bad)

    def read(self) -> tuple[dict[str, float], dict[str, int]]:
        """Means by name, and for each metric that was not finite the update at which that began."""
        count = max(int(self.count), 1)
        means = np.asarray(self.total, np.float64) / count
        first_bad = np.asarray(self.first_bad)
        bad = {name: int(step) for name, step in zip(self.names, first_bad, strict=True) if step}
        return {name: float(mean) for name, mean in zip(self.names, means, strict=True)}, bad
