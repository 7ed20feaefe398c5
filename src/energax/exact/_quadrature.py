"""log Z, densities and expectations of energies with one or two continuous coordinates, by quadrature."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PyTree

from energax._errors import ArgumentError, NotTractable
from energax._typing import Configuration
from energax.energies import AbstractEnergy, is_confined
from energax.exact._evaluate import in_precision, to_float64
from energax.exact._states import assemble, leaf_spaces
from energax.spaces import AbstractArraySpace, AbstractSpace, Box, Euclidean, Torus

Bounds = tuple[tuple[float, float], ...]

_PANEL = 16
"""Gauss–Legendre nodes of one panel; composite panels converge at order 32 and never put a node on a wall."""
_CUTOFF = 45.0
"""Points whose log-density is this far below the highest are empty: e^−45 = 3e-20."""
_CHUNK = 4096
_FIRST = {1: 256, 2: 64}
_SEARCH = {1: 8192, 2: 128}
_FARTHEST = 1e9


@dataclasses.dataclass(frozen=True)
class Quadrature:
    """log Z of one energy by quadrature.

    Attributes:
        value: log Z in nats.
        error: Difference from the same rule with half as many points along each axis, which bounds the error of a
            converging rule.
        bounds: The box that was integrated over.
        num_points: Number of energy evaluations of the last rule.
        converged: Whether the error is below the tolerance.
    """

    value: float
    error: float
    bounds: Bounds
    num_points: int
    converged: bool


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


def num_coordinates(space: AbstractSpace) -> int:
    """Number of real numbers in one configuration."""
    return sum(math.prod(struct.shape) for struct in jax.tree.leaves(space.struct))


def quadrature_log_z(
    energy: AbstractEnergy,
    bounds: Sequence[tuple[float, float]] | None = None,
    *,
    num_points: int = 2**22,
    tolerance: float | None = None,
    dtype: DTypeLike | None = None,
) -> Quadrature:
    """Log Z = log ∫ exp(−E) of an energy with one or two continuous coordinates, with an error estimate.

    On unbounded axes the box is found from the energy: it grows until the density on its boundary is e^−45 of the
    highest seen, and then shrinks to where there is any. The rule (composite Gauss–Legendre; the periodic trapezoid on
    a torus) is refined by doubling until two values agree.

    Exactness: spectral for smooth energies; first order across jumps, which `error` shows. A mode narrower than
    1/100 of the box can be missed: then give `bounds`.
    Cost: 10^4 to `num_points` energy evaluations.

    Args:
        energy: An energy on Euclidean space, a box, a torus, or a product of these with at most two coordinates.
        bounds: (lower, upper) for each coordinate; then the integral is over that box.
        num_points: The most points of one rule.
        tolerance: Stop when doubling changes log Z by less; by default 1e-10 in float64 and 2e-6 in float32.
        dtype: Precision in which the energy is evaluated, as in `log_z`.

    Returns:
        The value with its error; where the points ran out `converged` is False.

    Raises:
        NotTractable: More than two coordinates, or no box holds the mass.

    Example:
        >>> from energax import energies, exact
        >>> round(exact.quadrature_log_z(energies.DoubleWell()).value, 5)
        0.67993
    """
    with in_precision(energy, dtype) as precise:
        box, periodic = _box(precise, bounds)
        return _refine(precise, box, periodic, num_points, tolerance)[0]


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
    with in_precision(energy, dtype) as precise:
        box, periodic = _box(precise, None) if bounds is None or log_z is None else (_as_bounds(bounds), ())
        result = (
            Quadrature(log_z, 0.0, box, 0, converged=True) if log_z is not None else _refine(precise, box, periodic)[0]
        )
        shown = box if bounds is None else _checked(bounds, precise.space)
        counts = (num_points,) * len(shown) if isinstance(num_points, int) else num_points
        axes = tuple(_midpoints(lo, hi, n) for (lo, hi), n in zip(shown, counts, strict=True))
        values = _energies(precise, _mesh(axes))
    return Grid(axes, (-values - result.value).reshape(counts), result.value, result.error, shown)


def continuous_expectation(energy: AbstractEnergy, fn: Callable[[Configuration], PyTree[Array]]) -> PyTree[np.ndarray]:
    """E[fn(x)] by the quadrature rule that log Z converged with; first order in the spacing if `fn` jumps."""
    box, periodic = _box(energy, None)
    result, points, log_masses = _refine(energy, box, periodic)
    probabilities = np.exp(log_masses - result.value)
    live = probabilities > 0
    total = None
    for chunk, weights in zip(_chunks(points[live]), _chunks(probabilities[live]), strict=True):
        outputs = _apply(fn, energy.space, jnp.asarray(_padded(chunk)))
        part = jax.tree.map(
            lambda f, w=weights: np.tensordot(w, np.asarray(f, np.float64)[: len(w)], 1),
            outputs,
        )
        total = part if total is None else jax.tree.map(np.add, total, part)
    return total


def continuous_kl(p: AbstractEnergy, q: AbstractEnergy) -> float:
    """KL(p‖q) = log Z_q − log Z_p + E_p[E_q − E_p], with the rule that log Z of p converged with."""
    if num_coordinates(p.space) != num_coordinates(q.space):
        raise ArgumentError(f"KL needs two laws over one space, got {p.space} and {q.space}.")
    box, periodic = _box(p, None)
    result, points, log_masses = _refine(p, box, periodic)
    live = log_masses - result.value > -100.0
    log_p = -_energies(p, points[live]) - result.value
    log_q = -_energies(q, points[live]) - _refine(q, *_box(q, None))[0].value
    return float(np.sum(np.exp(log_masses[live] - result.value) * (log_p - log_q)))


# -- the box ---------------------------------------------------------------------------------------------------------


def _coordinates(space: AbstractSpace) -> list[AbstractArraySpace]:
    """The array space of each coordinate, raising `NotTractable` where there are not one or two real ones."""
    leaves = leaf_spaces(space)
    if any(leaf.is_discrete for leaf in leaves) or not 1 <= num_coordinates(space) <= 2:
        raise NotTractable(f"Quadrature works for one or two continuous coordinates, got {space}.")
    arrays = [leaf for leaf in leaves if isinstance(leaf, AbstractArraySpace)]
    return [leaf for leaf in arrays for _ in range(leaf.num_sites)]


def _as_bounds(bounds: Sequence[tuple[float, float]]) -> Bounds:
    return tuple((float(lo), float(hi)) for lo, hi in bounds)


def _checked(bounds: Sequence[tuple[float, float]], space: AbstractSpace) -> Bounds:
    box = _as_bounds(bounds)
    wanted = num_coordinates(space)
    if len(box) != wanted or not all(math.isfinite(lo) and math.isfinite(hi) and lo < hi for lo, hi in box):
        raise ArgumentError(f"`bounds` must be {wanted} pairs (lower, upper) of finite numbers, got {bounds}.")
    return box


def _box(energy: AbstractEnergy, bounds: Sequence[tuple[float, float]] | None) -> tuple[Bounds, tuple[bool, ...]]:
    """The box to integrate over, and which of its axes are periodic."""
    coordinates = _coordinates(energy.space)
    if bounds is not None:
        return _checked(bounds, energy.space), (False,) * len(coordinates)
    if is_confined(energy) is False:
        raise NotTractable(
            f"exp(−E) of {type(energy).__name__} is not integrable over {energy.space}, so log Z is infinite: "
            "give the energy a confinement, or pass `bounds`."
        )
    box, free = [], []
    for space in coordinates:
        box.append(_natural_bounds(space))
        free.append(isinstance(space, Euclidean))
    periodic = tuple(isinstance(space, Torus) for space in coordinates)
    return (_search(energy, box, free) if any(free) else tuple(box)), periodic


def _natural_bounds(space: AbstractArraySpace) -> tuple[float, float]:
    if isinstance(space, Box):
        return space.lower, space.upper
    if isinstance(space, Torus):
        return 0.0, space.period
    if isinstance(space, Euclidean):
        scale = 8.0 * (space.initial_scale or 1.0)
        return -scale, scale
    raise NotTractable(f"Quadrature does not know where {space} ends; pass `bounds`.")


def _search(energy: AbstractEnergy, box: list[tuple[float, float]], free: list[bool]) -> Bounds:
    """Grow the free axes until their ends are empty, then shrink them to where there is any mass."""
    count, may_shrink, has_shrunk = _SEARCH[len(box)], True, False
    for _ in range(200):
        axes = tuple(_midpoints(lo, hi, count) for lo, hi in box)
        log_density = -_energies(energy, _mesh(axes)).reshape((count,) * len(box))
        alive = log_density > log_density.max() - _CUTOFF
        new, grew = [], False
        for axis, (lo, hi) in enumerate(box):
            others = tuple(a for a in range(len(box)) if a != axis)
            hit = np.flatnonzero(alive.any(axis=others))
            width, cell = hi - lo, (hi - lo) / count
            if not free[axis]:
                new.append((lo, hi))
                continue
            below, above = hit[0] == 0, hit[-1] == count - 1
            grew |= bool(below or above)
            # Four cells to spare, because thin filaments slip through a coarse grid.
            inner = (lo + (hit[0] - 4) * cell, lo + (hit[-1] + 5) * cell) if may_shrink else (lo, hi)
            new.append((lo - width if below else inner[0], hi + width if above else inner[1]))
        if max(abs(end) for pair in new for end in pair) > _FARTHEST:
            raise NotTractable(
                f"No box holds the mass of {type(energy).__name__}: its density is still there at |x| = {_FARTHEST:g}. "
                "Either exp(−E) is not integrable or its tail is too heavy; pass `bounds` to integrate over a box."
            )
        settled = all(b[1] - b[0] > 0.8 * (a[1] - a[0]) for a, b in zip(box, new, strict=True))
        # One that is seen again only after the box has shrunk must not make it grow and shrink for ever.
        may_shrink &= not (grew and has_shrunk)
        has_shrunk |= any(b[1] - b[0] < a[1] - a[0] for a, b in zip(box, new, strict=True))
        box = new
        if settled and not grew:
            return _as_bounds(box)
    raise NotTractable(f"The mass of {type(energy).__name__} could not be located; pass `bounds`.")


# -- the rule --------------------------------------------------------------------------------------------------------


def _refine(
    energy: AbstractEnergy,
    box: Bounds,
    periodic: tuple[bool, ...],
    num_points: int = 2**22,
    tolerance: float | None = None,
) -> tuple[Quadrature, np.ndarray, np.ndarray]:
    """Double the rule until it agrees with itself; also its points and their log-masses −E + log weight."""
    count, previous = _FIRST[len(box)], math.nan
    while True:
        rules = [_rule(lo, hi, count, wrap) for (lo, hi), wrap in zip(box, periodic, strict=True)]
        points = _mesh(tuple(nodes for nodes, _ in rules))
        log_weights = _mesh(tuple(np.log(weights) for _, weights in rules)).sum(axis=1)
        values, single = _energies(energy, points), _is_single(energy)
        log_masses = log_weights - values
        top = float(log_masses.max())
        if top == -np.inf:
            raise NotTractable(f"{type(energy).__name__} is +inf at every point of {box}; pass other `bounds`.")
        value = top + math.log(np.exp(log_masses - top).sum())
        error = abs(value - previous)
        goal = tolerance if tolerance is not None else (2e-6 if single else 1e-10)
        if error < goal or len(points) * 2 ** len(box) > num_points:
            found = Quadrature(value, error if math.isfinite(error) else math.inf, box, len(points), error < goal)
            return found, points, log_masses
        count, previous = 2 * count, value


def _rule(lo: float, hi: float, count: int, periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of `count` points on [lo, hi]."""
    if periodic:
        return lo + (hi - lo) * np.arange(count) / count, np.full(count, (hi - lo) / count)
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL)
    edges = np.linspace(lo, hi, count // _PANEL + 1)
    half = np.diff(edges)[:, None] / 2
    centre = (edges[:-1] + edges[1:])[:, None] / 2
    return (centre + half * nodes).reshape(-1), (half * weights).reshape(-1)


def _midpoints(lo: float, hi: float, count: int) -> np.ndarray:
    return lo + (hi - lo) * (np.arange(count) + 0.5) / count


def _mesh(axes: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.stack([g.reshape(-1) for g in np.meshgrid(*axes, indexing="ij")], axis=1)


# -- evaluation ------------------------------------------------------------------------------------------------------


@eqx.filter_jit
def _evaluate(energy: AbstractEnergy, points: Array) -> Array:
    return jax.vmap(lambda row: energy(assemble(energy.space, row)))(points)


@eqx.filter_jit
def _apply(fn: Any, space: AbstractSpace, points: Array) -> PyTree[Array]:
    return jax.vmap(lambda row: fn(assemble(space, row)))(points)


def _is_single(energy: AbstractEnergy) -> bool:
    point = jax.ShapeDtypeStruct((1, num_coordinates(energy.space)), jnp.result_type(float))
    return eqx.filter_eval_shape(_evaluate, energy, point).dtype != jnp.float64


def _chunks(points: np.ndarray) -> list[np.ndarray]:
    return [points[start : start + _CHUNK] for start in range(0, len(points), _CHUNK)]


def _padded(chunk: np.ndarray) -> np.ndarray:
    """One shape for all chunks, so that refinement never compiles again."""
    return np.pad(chunk, ((0, _CHUNK - len(chunk)), (0, 0)), mode="edge")


def _energies(energy: AbstractEnergy, points: np.ndarray) -> np.ndarray:
    parts = [_evaluate(energy, jnp.asarray(_padded(chunk)))[: len(chunk)] for chunk in _chunks(points)]
    return to_float64(np.concatenate(parts), "points")
