"""Normalised densities on a grid."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from energax._errors import ArgumentError
from energax.energies import AbstractEnergy, marginal
from energax.exact._box import Bounds, as_bounds, box_of, checked_bounds
from energax.exact._evaluate import in_precision
from energax.exact._points import energies_at, mesh, midpoints
from energax.exact._quadrature import Quadrature, refine


@dataclasses.dataclass(frozen=True)
class Grid:
    """A normalised density on a uniform grid of cell centres.

    Attributes:
        axes: Cell centres along each coordinate.
        log_density: Log p at the centres, one axis for each coordinate.
        log_z: The log Z by which it was normalised.
        error: Error of `log_z`.
        bounds: The edges of the grid.
    """

    axes: tuple[np.ndarray, ...]
    log_density: np.ndarray
    log_z: float
    error: float
    bounds: Bounds

    @property
    def cell(self) -> float:
        """Length or area of one cell."""
        return math.prod((hi - lo) / len(axis) for (lo, hi), axis in zip(self.bounds, self.axes, strict=True))

    @property
    def density(self) -> np.ndarray:
        """The density at the centres."""
        return np.exp(self.log_density)

    @property
    def mass(self) -> float:
        """The share of the law that the grid sees (midpoint rule)."""
        return float(self.density.sum() * self.cell)

    def points(self) -> Float[np.ndarray, "num_points coordinates"]:
        """All centres, the last coordinate varying fastest."""
        return np.stack([g.reshape(-1) for g in np.meshgrid(*self.axes, indexing="ij")], axis=1)

    def kl(self, other: Grid) -> float:
        """KL(self‖other) = Σ p log(p/q) · cell, of two densities on the same grid."""
        if self.bounds != other.bounds or self.log_density.shape != other.log_density.shape:
            raise ArgumentError("KL needs two densities on the same grid; give both the same bounds and num_points.")
        support = self.log_density > -np.inf
        p, q = self.log_density[support], other.log_density[support]
        return float(np.sum(np.exp(p) * (p - q)) * self.cell)


def grid(
    energy: AbstractEnergy,
    bounds: Sequence[tuple[float, float]] | None = None,
    *,
    num_points: int | tuple[int, ...] = 256,
    log_z: float | None = None,
    dtype: DTypeLike | None = None,
) -> Grid:
    """The normalised density on a uniform grid, for pictures and for KL divergences in one or two dimensions.

    log Z is that of the whole space, whatever part of it the grid shows.

    Args:
        energy: As in `quadrature_log_z`.
        bounds: What the grid shows; by default the box that holds the mass.
        num_points: Cells along each coordinate.
        log_z: log Z if it is known; by default it is computed.
        dtype: Precision in which the energy is evaluated.

    Returns:
        A `Grid`.

    Raises:
        NotTractable: As in `quadrature_log_z`.
    """
    with in_precision(marginal(energy), dtype) as precise:
        box, periodic = box_of(precise, None) if bounds is None or log_z is None else (as_bounds(bounds), ())
        result = (
            Quadrature(log_z, 0.0, box, 0, converged=True) if log_z is not None else refine(precise, box, periodic)[0]
        )
        shown = box if bounds is None else checked_bounds(bounds, precise.space)
        counts = (num_points,) * len(shown) if isinstance(num_points, int) else num_points
        axes = tuple(midpoints(lo, hi, n) for (lo, hi), n in zip(shown, counts, strict=True))
        values = energies_at(precise, mesh(axes))
    return Grid(axes, (-values - result.value).reshape(counts), result.value, result.error, shown)
