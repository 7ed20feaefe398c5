"""log Z and expectations of energies with one or two continuous coordinates, by quadrature."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError, NotTractable
from energax._typing import Configuration
from energax.energies import AbstractEnergy, marginal
from energax.exact._box import Bounds, box_of
from energax.exact._evaluate import in_precision
from energax.exact._points import apply_at, chunks, energies_at, is_single, mesh, num_coordinates, padded

_PANEL = 16
"""Gauss–Legendre nodes of one panel; composite panels converge at order 32 and never put a node on a wall."""
_FIRST = {1: 256, 2: 64}


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
        energy: An energy on Euclidean space, a box, a torus, or a product of these with at most two coordinates;
            or a latent energy whose observed part is one.
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
    with in_precision(marginal(energy), dtype) as precise:
        box, periodic = box_of(precise, bounds)
        return refine(precise, box, periodic, num_points, tolerance)[0]


def continuous_expectation(energy: AbstractEnergy, fn: Callable[[Configuration], PyTree[Array]]) -> PyTree[np.ndarray]:
    """E[fn(x)] by the quadrature rule that log Z converged with; first order in the spacing if `fn` jumps."""
    box, periodic = box_of(energy, None)
    result, points, log_masses = refine(energy, box, periodic)
    probabilities = np.exp(log_masses - result.value)
    live = probabilities > 0
    total = None
    for chunk, weights in zip(chunks(points[live]), chunks(probabilities[live]), strict=True):
        outputs = apply_at(fn, energy.space, jnp.asarray(padded(chunk)))
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
    box, periodic = box_of(p, None)
    result, points, log_masses = refine(p, box, periodic)
    live = log_masses - result.value > -100.0
    log_p = -energies_at(p, points[live]) - result.value
    log_q = -energies_at(q, points[live]) - refine(q, *box_of(q, None))[0].value
    return float(np.sum(np.exp(log_masses[live] - result.value) * (log_p - log_q)))


def refine(
    energy: AbstractEnergy,
    box: Bounds,
    periodic: tuple[bool, ...],
    num_points: int = 2**22,
    tolerance: float | None = None,
) -> tuple[Quadrature, np.ndarray, np.ndarray]:
    """Double the rule until it agrees with itself; also its points and their log-masses −E + log weight."""
    count, previous = _FIRST[len(box)], math.nan
    while True:
        rules = [rule(lo, hi, count, wrap) for (lo, hi), wrap in zip(box, periodic, strict=True)]
        points = mesh(tuple(nodes for nodes, _ in rules))
        log_weights = mesh(tuple(np.log(weights) for _, weights in rules)).sum(axis=1)
        values, single = energies_at(energy, points), is_single(energy)
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


def rule(lo: float, hi: float, count: int, periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of `count` points on [lo, hi]."""
    if periodic:
        return lo + (hi - lo) * np.arange(count) / count, np.full(count, (hi - lo) / count)
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL)
    edges = np.linspace(lo, hi, count // _PANEL + 1)
    half = np.diff(edges)[:, None] / 2
    centre = (edges[:-1] + edges[1:])[:, None] / 2
    return (centre + half * nodes).reshape(-1), (half * weights).reshape(-1)
