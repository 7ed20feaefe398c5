"""Functions of β from ladders of replicas, whose draws depend on each other: the ladders give the error bars."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators._arrays import Floats, as_finite, as_floats
from energax.estimators._dual import membership, smallest_cut, solve_dual
from energax.estimators._estimate import Estimate

_MOST_GROUPS = 16
"""Groups of ladders that are left out one after the other."""
_LEAST_SHARED = 1.0


@dataclass(frozen=True, repr=False)
class LadderHistogram:
    """Functions of β from ladders of replicas.

    Attributes:
        betas: Inverse temperatures of the levels, shape (K,).
        levels: The different energies that were seen, ascending, shape (M,).
        log_states: Logarithm of the estimated number of states at each of them, up to a common constant: with it
            Σ_m exp(log_states_m − β E_m) is Z(β) / Z(betas[0]). Row 0 comes from all ladders, row r without the r-th
            group of them, shape (1 + R, M).
        weakest_cut: The fewest draws, in effect, that two halves of the levels share; infinite where all draws come
            from one law.
        method: What the draws come from.
        inflation: Factor on the error bars: 1, or √R where R repeats are told to share a bias that their mean keeps, so
            that the bar is the spread of one of them.
    """

    betas: Floats
    levels: Floats
    log_states: Floats
    weakest_cut: float
    method: str = "pt-mbar"
    inflation: float = 1.0

    def log_z(self, beta: float) -> Estimate:
        """Estimate of log Z(β) − log Z(betas[0]) in nats."""
        return self._jackknife(self._log_z(beta), "log_z")

    def energy(self, beta: float) -> Estimate:
        """Estimate of the mean of E at β."""
        return self._jackknife(self._moments(beta)[0], "energy")

    def heat_capacity(self, beta: float) -> Estimate:
        """Estimate of β² Var E."""
        return self._jackknife(beta**2 * self._moments(beta)[1], "heat_capacity")

    def entropy(self, beta: float) -> Estimate:
        """Estimate of log Z(β) − log Z(betas[0]) + β ⟨E⟩: the entropy where betas[0] = 0, less that of β = 0."""
        return self._jackknife(self._log_z(beta) + beta * self._moments(beta)[0], "entropy")

    def drift(self, later: LadderHistogram, beta: float) -> Estimate:
        """Change of log Z(β) − log Z(betas[0]) from these draws to later ones of the same ladders."""
        return self._jackknife(later._log_z(beta) - self._log_z(beta), "drift")

    def mean_energies(self, betas: ArrayLike) -> tuple[Floats, Floats]:
        """Means of E at several β, shape (B,), and their covariance, shape (B, B)."""
        rows = np.stack([self._moments(float(beta))[0] for beta in np.asarray(betas)], axis=1)
        others = rows[1:] - rows[1:].mean(0)
        return rows[0], self.inflation**2 * (len(others) - 1) / len(others) * others.T @ others

    def _exponents(self, beta: float) -> Floats:
        return self.log_states - reduced(np.asarray([beta]), self.levels)

    def _log_z(self, beta: float) -> Floats:
        a = self._exponents(beta)
        top = a.max(axis=1)
        return top + np.log(np.exp(a - top[:, None]).sum(axis=1))

    def _moments(self, beta: float) -> tuple[Floats, Floats]:
        """Mean and variance of E, one each for every row."""
        a = self._exponents(beta)
        w = np.exp(a - a.max(axis=1, keepdims=True))
        w /= w.sum(axis=1, keepdims=True)
        # A state that is forbidden has no weight, unless nothing is forbidden because β = 0.
        levels = np.where(w.any(axis=0), self.levels, 0.0)
        mean = w @ levels
        with np.errstate(invalid="ignore"):
            return mean, (w * (levels - mean[:, None]) ** 2).sum(axis=1)

    def _jackknife(self, rows: Floats, name: str) -> Estimate:
        others = rows[1:]
        diagnostics = {"num_groups": len(others), "weakest_cut": self.weakest_cut, "quantity": name}
        if not np.isfinite(rows).all():
            why = ("infinite: E is infinite somewhere, which β = 0 allows.",)
            return Estimate(rows[0], math.nan, len(others), self.method, diagnostics, why)
        stderr = self.inflation * math.sqrt((len(others) - 1) * float(np.mean((others - others.mean()) ** 2)))
        return Estimate(rows[0], stderr, len(others), self.method, diagnostics)

    def __repr__(self) -> str:
        last = float(self.betas[-1])
        return (
            f"LadderHistogram({len(self.betas)} levels, β from {self.betas[0]:g} to {last:g}, "
            f"log Z ratio {self.log_z(last)})"
        )


def ladder_histogram(energies: ArrayLike, betas: ArrayLike) -> LadderHistogram:
    """Combine the draws of ladders of replicas into functions of β: `mbar` with u_k = β_k E, errors from the ladders.

    The levels of a ladder swap configurations, so that its draws depend on each other in ways that no autocorrelation
    time of one level tells. Whole ladders are independent: leaving out one after the other gives the error bar
    (jackknife; with more than 16 ladders, one of 16 groups of them). Energies that are equal are counted, not listed:
    the equations of a lattice with a million draws have as many terms as it has energies.

    Exactness: consistent as the draws grow; unbiased to O(1/draws). Between the levels the answers are as good as at
    them.
    Cost: O(K² M) a step for M different energies, 3 to 8 steps, for each group once more.

    Args:
        energies: E at the draws, shape (ladder, draw, level), at least two ladders; +inf where a state is forbidden,
            which only β = 0 can draw.
        betas: β of the levels, shape (K,), at least two different ones.

    Returns:
        `LadderHistogram`, whose `log_z`, `energy`, `heat_capacity` and `entropy` are `Estimate`s at any β.

    Raises:
        ArgumentError: NaN or −inf, or +inf at β ≠ 0.
        Unreliable: Two groups of levels share less than one draw.

    Example:
        >>> import numpy as np
        >>> levels = np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [73, 27])
        >>> found = ladder_histogram(np.stack([np.stack(levels, 1)] * 2), [0.0, 1.0])
        >>> round(found.energy(0.5).value - float(1 / (1 + np.exp(0.5))), 2)
        0.0

    References: [shirts2008], [efron1981].
    """
    points, x = as_finite("betas", betas, ndim=1, min_rows=2), as_floats("energies", energies, ndim=3, min_rows=2)
    if x.shape[2] != points.size:
        raise ShapeError(f"`energies` needs one level for each of {points.size} betas; given shape {x.shape}.")
    if np.isnan(x).any() or np.isneginf(x).any() or np.isinf(x[:, :, points != 0.0]).any():
        raise ArgumentError("`energies` must be numbers, or +inf at β = 0; look where NaN or an infinity arose.")
    levels, index = np.unique(x, return_inverse=True)
    seen = np.stack([np.bincount(row.reshape(-1), minlength=len(levels)) for row in index.reshape(len(x), -1)])
    finite = np.isfinite(x)
    means = np.where(finite, x, 0.0).sum((0, 1)) / np.maximum(finite.sum((0, 1)), 1)
    return histogram_of_counts(levels, seen, points, means)


def histogram_of_counts(levels: ArrayLike, seen: ArrayLike, betas: ArrayLike, means: ArrayLike) -> LadderHistogram:
    """The same from counts: how often each ladder has seen each energy, at all its levels together.

    At which level a draw was made does not matter to the equations, only how many were made at each: equally many.

    Args:
        levels: The energies, ascending, shape (M,).
        seen: How often, shape (ladder, M), at least two ladders.
        betas: β of the levels, shape (K,).
        means: Mean energy at each level, roughly: where the search for the solution begins, shape (K,).

    Returns:
        `LadderHistogram`.

    Raises:
        ShapeError: Shapes that do not fit.
        Unreliable: Two groups of levels share less than one draw.
    """
    values, times = as_floats("levels", levels, ndim=1), as_finite("seen", seen, ndim=2, min_rows=2)
    points, middle = as_finite("betas", betas, ndim=1, min_rows=2), as_finite("means", means, ndim=1, min_rows=2)
    if times.shape[1] != values.size or middle.size != points.size:
        raise ShapeError(
            f"`seen` needs a column for each of {values.size} levels, and `means` a number for each of {points.size} "
            f"betas; given shapes {times.shape} and {middle.shape}."
        )
    kept = times.any(axis=0)
    values, times = values[kept], times[:, kept]
    num_groups = min(len(times), _MOST_GROUPS)
    groups = np.arange(len(times)) * num_groups // len(times)
    times = np.stack([times[groups == g].sum(0) for g in range(num_groups)])
    u, total = reduced(points, values), times.sum(0)
    start = np.concatenate([[0.0], np.cumsum(0.5 * np.diff(points) * (middle[1:] + middle[:-1]))])
    f = _solved(u, total, start)
    cut = _cut(u, total, f)
    rest = [total - own for own in times]
    rows = [_log_states(u, total, f), *(_log_states(u, others, _solved(u, others, f)) for others in rest)]
    return LadderHistogram(points, values, np.stack(rows), cut)


def reduced(betas: Floats, levels: Floats) -> Floats:
    """β E, with 0 · ∞ = 0: at β = 0 nothing is forbidden."""
    with np.errstate(invalid="ignore"):
        return np.where(betas[:, None] == 0.0, 0.0, betas[:, None] * levels)


def _draws(u: Floats, seen: Floats) -> Floats:
    """Draws of each level."""
    return np.full(len(u), seen.sum() / len(u))


def _solved(u: Floats, seen: Floats, start: Floats) -> Floats:
    f, converged = solve_dual(u, _draws(u, seen), start, seen)
    if not converged:
        raise Unreliable("MBAR's equations were not solved to rounding. Draw more, or put levels closer.")
    return f


def _log_states(u: Floats, seen: Floats, f: Floats) -> Floats:
    """Log (times seen) − log Σ_k N exp(F_k − F_0 − β_k E)."""
    a = f[:, None] - u
    top = a.max(axis=0)
    with np.errstate(divide="ignore"):
        return np.log(seen) - math.log(seen.sum() / len(u)) - top - np.log(np.exp(a - top).sum(axis=0))


def _cut(u: Floats, seen: Floats, f: Floats) -> float:
    p = membership(u, _draws(u, seen), f)
    cut, side = smallest_cut((p * seen) @ p.T)
    if cut < _LEAST_SHARED:
        raise Unreliable(
            f"no overlap: levels {side} share {cut:.2g} draws in effect with the others (at least 1 needed). "
            "Put levels between the two groups."
        )
    return cut
