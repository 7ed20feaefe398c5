"""Two dimensions, where everything can be seen: KL to the truth on a grid, and the masses of modes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import label

from energax import exact
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, marginal

_CELLS = 400
_FRACTION = 0.02


@dataclasses.dataclass(frozen=True)
class GridKL:
    """KL(truth‖model) of two laws normalised on one grid.

    Attributes:
        value: Nats.
        error: Difference from a grid with half as many cells on a side.
        outside: Mass of the model outside the grid that holds the truth.
        warnings: Sentences for the reader.
    """

    value: float
    error: float
    outside: float
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`."""
        return {"value": self.value, "grid_error": self.error, "model_mass_outside": self.outside}

    def __str__(self) -> str:
        return f"KL(truth‖model) = {self.value:.4g} nats (grid error {self.error:.1g})"


@dataclasses.dataclass(frozen=True)
class ModeMasses:
    """Masses of the separated regions of a law under the truth, the model and the model's chains.

    Attributes:
        truth: Mass of each mode under the truth.
        model: Mass under the model's density, normalised on the grid; NaN for a model without one.
        chains: Share of draws, NaN without draws.
        warnings: Sentences for the reader.
    """

    truth: Float[np.ndarray, " mode"]
    model: Float[np.ndarray, " mode"]
    chains: Float[np.ndarray, " mode"]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> list[dict[str, Any]]:
        """One dictionary a mode."""
        rows = zip(self.truth, self.model, self.chains, strict=True)
        return [
            {"mode": i, "truth": float(t), "model": _known(m), "chains": _known(c)}
            for i, (t, m, c) in enumerate(rows, start=1)
        ]


def kl_on_grid(truth: AbstractDensity, energy: AbstractEnergy, *, num_cells: int = _CELLS) -> GridKL:
    """KL(truth‖model) = ∫ p (log p − log q), both normalised, by the midpoint rule on the box that holds the truth.

    Args:
        truth: A density on R² (or R).
        energy: The model; its hidden parts are summed out.
        num_cells: Cells along each coordinate.

    Returns:
        The divergence with the change from a grid of half the resolution.

    Raises:
        NotTractable: The space has more than two coordinates, or the model has no finite log Z.
    """
    fine, outside = _kl(truth, energy, num_cells)
    coarse, _ = _kl(truth, energy, num_cells // 2)
    said = ()
    if not math.isfinite(fine):
        said = ("The model gives no density to a region where the truth has mass, so KL(truth‖model) is infinite.",)
    return GridKL(fine, abs(fine - coarse), outside, said)


def _kl(truth: AbstractDensity, energy: AbstractEnergy, num_cells: int) -> tuple[float, float]:
    p = exact.grid(truth, num_points=num_cells, log_z=0.0)
    q = exact.grid(marginal(energy), p.bounds, num_points=num_cells)
    weights = np.where(np.isfinite(p.log_density), np.exp(p.log_density), 0.0) * p.cell
    total = weights.sum()
    gap = np.where(weights > 0, np.nan_to_num(p.log_density, neginf=0.0) - q.log_density, 0.0)
    # Normalising the truth on the same cells removes the error of its own midpoint sum.
    return float((weights * gap).sum() / total - math.log(total)), max(0.0, 1.0 - q.mass)


def mode_masses(
    truth: AbstractDensity,
    energy: AbstractEnergy | None,
    draws: Float[np.ndarray, "n d"] | None = None,
    *,
    num_cells: int = _CELLS,
    fraction: float = _FRACTION,
) -> ModeMasses | None:
    """Masses of the modes of a law: of the truth, of the model, and of what the model's chains visit.

    A mode is a connected region where the density of the truth exceeds `fraction` of its maximum; every cell of the
    grid belongs to the nearest one. Chains that start at the data keep the data's shares however wrong the model's
    density is; only the density on the grid says what was learned.

    Args:
        truth: A density on R².
        energy: The model; None for one that is known by its draws alone.
        draws: Draws of the model's chains.
        num_cells: Cells along each coordinate.
        fraction: Level of the regions, relative to the maximum of the density.

    Returns:
        The masses, None if the truth has one connected region only.
    """
    p = exact.grid(truth, num_points=num_cells, log_z=0.0)
    found: Any = label(np.nan_to_num(p.density) > fraction * np.nanmax(p.density))
    regions, count = found
    if count < 2:
        return None
    nearest = _nearest_region(regions)
    at_truth, at_model = _shares(nearest, p.density, count), np.full(count, math.nan)
    if energy is not None:
        q = exact.grid(marginal(energy), p.bounds, num_points=num_cells)
        at_model = _shares(nearest, q.density, count)
    at_chains = np.full(count, math.nan)
    if draws is not None:
        places = [np.clip(np.searchsorted(axis, draws[:, i]), 0, len(axis) - 1) for i, axis in enumerate(p.axes)]
        at_chains = np.bincount(nearest[tuple(places)] - 1, minlength=count)[:count] / len(draws)
    return ModeMasses(at_truth, at_model, at_chains, tuple(_mode_warnings(at_truth, at_model, at_chains)))


def _known(mass: float) -> float | None:
    return None if math.isnan(mass) else float(mass)


def _nearest_region(regions: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    where = distance_transform_edt(regions == 0, return_distances=False, return_indices=True)
    return regions[tuple(np.asarray(where))]


def _shares(nearest: np.ndarray, density: np.ndarray, count: int) -> np.ndarray:
    mass = np.bincount(nearest.reshape(-1) - 1, weights=np.nan_to_num(density).reshape(-1), minlength=count)
    return mass / mass.sum()


def _mode_warnings(truth: np.ndarray, model: np.ndarray, chains: np.ndarray) -> list[str]:
    if np.isnan(model).any():
        return []
    worst = int(np.argmax(np.abs(model - truth)))
    if abs(model[worst] - truth[worst]) <= 0.03:
        return []
    said = [
        f"The model gives mode {worst + 1} the mass {model[worst]:.2f} where the truth has {truth[worst]:.2f}. The "
        "modes are separated: chains do not cross between them and the score knows nothing of their shares, so neither "
        "persistent chains nor score matching can weigh them."
    ]
    if not np.isnan(chains).any() and abs(chains[worst] - model[worst]) > 0.03:
        said.append(
            f"Chains visit mode {worst + 1} with the share {chains[worst]:.2f}, not the {model[worst]:.2f} of the "
            "model's density: they keep the shares of their starts."
        )
    return said
