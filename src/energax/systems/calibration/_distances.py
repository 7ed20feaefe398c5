"""How far a draw is from its calibrated copy."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import Scalar


class AbstractDistance(eqx.Module):
    """A distance of two configurations, not necessarily a metric: zero where they are equal, else positive."""

    @abc.abstractmethod
    def __call__(self, x: Array, y: Array) -> Scalar:
        """d(x, y) of two configurations."""


class SquaredError(AbstractDistance):
    """d(x, y) = ‖x − y‖², summed over the entries."""

    def __call__(self, x: Array, y: Array) -> Scalar:
        return jnp.sum((x - y) ** 2)


class FeatureDistance(AbstractDistance):
    """d(x, y) = ‖f(x) − f(y)‖² for a network f, which is not trained.

    Args:
        network: Any pytree that maps a configuration to an array.
    """

    network: Any

    def __call__(self, x: Array, y: Array) -> Scalar:
        network = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, self.network)
        return jnp.sum((network(x) - network(y)) ** 2)


class StructuralDissimilarity(AbstractDistance):
    """d(x, y) = 1 − mean SSIM over all windows of an image, between 0 and 2.

    SSIM = (2 m_x m_y + c₁)(2 s_xy + c₂) / ((m_x² + m_y² + c₁)(s_x² + s_y² + c₂)) with means, variances and the
    covariance over a square window, c₁ = (0.01 L)², c₂ = (0.03 L)². The windows are flat, those of the paper Gaussian.

    Args:
        shape: (h, w) or (h, w, colours) of an image, whatever the shape of a configuration.
        value_range: L, the largest minus the smallest value that a pixel may have.
        window: Side of the window, at most that of the image.

    Raises:
        ArgumentError: The shape is not that of an image, the window does not fit, or the range is not positive.

    References:
        [wang2004]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    value_range: float = eqx.field(static=True)
    window: int = eqx.field(static=True, default=7)

    def __check_init__(self) -> None:
        if len(self.shape) not in (2, 3) or not 1 <= self.window <= min(self.shape[:2]) or not self.value_range > 0:
            raise ArgumentError(
                "StructuralDissimilarity needs a shape (h, w) or (h, w, colours), a window that fits into it and a "
                f"positive range, got {self.shape}, {self.window}, {self.value_range}."
            )

    def __call__(self, x: Array, y: Array) -> Scalar:
        x, y = x.reshape(*self.shape[:2], -1), y.reshape(*self.shape[:2], -1)
        mean_x, mean_y = self._averaged(x), self._averaged(y)
        spread_x, spread_y = self._averaged(x * x) - mean_x**2, self._averaged(y * y) - mean_y**2
        together = self._averaged(x * y) - mean_x * mean_y
        c1, c2 = (0.01 * self.value_range) ** 2, (0.03 * self.value_range) ** 2
        above = (2 * mean_x * mean_y + c1) * (2 * together + c2)
        below = (mean_x**2 + mean_y**2 + c1) * (spread_x + spread_y + c2)
        return 1 - jnp.mean(above / below)

    def _averaged(self, x: Array) -> Array:
        """Means over all windows that lie in the image."""
        for axis in (0, 1):
            sums = jnp.cumsum(
                jnp.concatenate([jnp.zeros_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis)), x], axis), axis
            )
            size = sums.shape[axis]
            late = jax.lax.slice_in_dim(sums, self.window, size, axis=axis)
            x = (late - jax.lax.slice_in_dim(sums, 0, size - self.window, axis=axis)) / self.window
        return x
