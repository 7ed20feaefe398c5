"""Free energies and expectations from draws of several states at once (MBAR)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators._arrays import Floats, as_finite, as_floats
from energax.estimators._dual import membership_start, smallest_cut, solve_dual
from energax.estimators._estimate import Estimate
from energax.estimators._mean_weight import (
    GOOD_SEEN_SKEWNESS,
    require_more_than_one_draw,
    seen_skewness,
    weight_warnings,
)
from energax.estimators._pooled import pooled_counts, pooled_energies, pooled_taus

GOOD_OVERLAP = 50.0


@dataclass(frozen=True, repr=False)
class Mbar:
    """What draws of several states say about these states and about any other law that they reach.

    Attributes:
        free_energies: F_k − F_0 in nats, shape (K,).
        covariance: Asymptotic covariance of `free_energies`, shape (K, K).
        overlap: O_ij = N_j Σ_n W_in W_jn, shape (K, K): the share of state i's weight that lies on draws of state j;
            rows sum to one.
        num_effective: 1 / Σ_n W_kn², effective draws that each state has in the pool, shape (K,).
        counts: Number of draws of each state, shape (K,).
        weakest_cut: The fewest draws, in effect, that two halves of the states share: Σ_n p_i(n) p_j(n) summed over i
            in one and j in the other, p_k(n) the probability that draw n came from state k.
        weights: W_kn, weights of the pooled draws under each state, rows sum to one, shape (K, N).
        taus: Integrated autocorrelation time of the draws of each state, shape (K,).
        warnings: Sentences for the reader.
    """

    free_energies: Floats
    covariance: Floats
    overlap: Floats
    num_effective: Floats
    counts: np.ndarray
    weakest_cut: float
    weights: Floats
    taus: Floats
    warnings: tuple[str, ...]
    _log_mixture: Floats = field(repr=False)
    _influence: Floats = field(repr=False)

    def difference(self, i: int, j: int) -> Estimate:
        """Estimate of F_j − F_i in nats; diagnostics `shared_draws`, `overlap` (of the two) and `weakest_cut`.

        `shared_draws` counts the draws, in effect, that the two states share by all routes over the others (the
        conductance between them where every pair conducts as many draws as it shares); for two states it is BAR's.
        """
        for k in (i, j):
            if not 0 <= k < len(self.counts):
                raise ArgumentError(f"There are the states 0 to {len(self.counts) - 1}; given {k}.")
        variance = self.covariance[i, i] + self.covariance[j, j] - 2.0 * self.covariance[i, j]
        shared = _conductance(self.counts[:, None] * self.overlap, i, j)
        diagnostics = {
            "shared_draws": shared,
            "overlap": float(self.overlap[i, j]),
            "weakest_cut": self.weakest_cut,
        }
        value = float(self.free_energies[j] - self.free_energies[i])
        effective = float(min(self.num_effective[i], self.num_effective[j])) if math.isnan(shared) else shared
        return Estimate(value, math.sqrt(max(variance, 0.0)), effective, "mbar", diagnostics, self.warnings)

    def free_energy(self, energies: ArrayLike) -> Estimate:
        """Estimate of F − F_0 in nats for a law that was not drawn from.

        Args:
            energies: Its reduced energies at the pooled draws, shape (N,); +inf where it forbids the draw.

        Raises:
            Unreliable: One draw alone carries the law's weight.
        """
        w, value = self._law(energies)
        # −Σ W is the law's own noise; −Σ_j (Σ_n p_j W) δf_j what it inherits from the log-normalisers.
        influence = -w - self._inherited(w)
        return self._estimate(value, influence - self._influence[0], w)

    def expectation(self, values: ArrayLike, energies: ArrayLike) -> Estimate:
        """Estimate of the mean of f under any law that the draws reach, one of the states or another.

        Args:
            values: f at the pooled draws, shape (N,).
            energies: Reduced energies of the law at the pooled draws, shape (N,), as in `free_energy`.

        Raises:
            Unreliable: One draw alone carries the law's weight.
        """
        f = self._row("values", values)
        w, _ = self._law(energies)
        mean = float(w @ f)
        return self._estimate(mean, self._deviation(w * (f - mean)), w)

    def variance(self, values: ArrayLike, energies: ArrayLike) -> Estimate:
        """Estimate of the variance of f under any law that the draws reach; arguments as in `expectation`."""
        f = self._row("values", values)
        w, _ = self._law(energies)
        deviation = f - float(w @ f)
        square = float(w @ deviation**2)
        return self._estimate(square, self._deviation(w * (deviation**2 - square)), w)

    def _row(self, name: str, values: ArrayLike) -> Floats:
        row = as_finite(name, values, ndim=1)
        if row.size != self.weights.shape[1]:
            raise ShapeError(f"`{name}` needs a number for each of {self.weights.shape[1]} draws; given {row.size}.")
        return row

    def _law(self, energies: ArrayLike) -> tuple[Floats, float]:
        """Weights of the pooled draws under a law, and its F − F_0."""
        u = pooled_energies("energies", as_floats("energies", energies, ndim=1))
        if u.size != self._log_mixture.size:
            raise ShapeError(f"`energies` needs a number for each of {self._log_mixture.size} draws; given {u.size}.")
        log_w = -u - self._log_mixture
        top = float(np.max(log_w))
        if top == -np.inf:
            raise Unreliable("no overlap: the law forbids every draw. Draw from states nearer to it.")
        log_total = top + math.log(float(np.sum(np.exp(log_w - top))))
        return np.exp(log_w - log_total), -log_total

    def _inherited(self, h: Floats) -> Floats:
        """−Σ_j N_j (Σ_n W_jn h_n) ψ_j: what an observable with the terms h inherits from the noise ψ of f."""
        return -((self.counts * (self.weights @ h)) @ self._influence)

    def _deviation(self, h: Floats) -> Floats:
        return h + self._inherited(h)

    def _estimate(self, value: float, influence: Floats, w: Floats) -> Estimate:
        variance = _variance(influence[None], self.weights, self.counts, self.taus)[0, 0]
        ess = float(1.0 / np.sum(w**2)) / max(1.0, float(np.max(self.taus)))
        share, skewness = float(np.max(w)), seen_skewness(w)
        diagnostics = {"ess": ess, "max_share": share, "skewness": skewness, "num_draws": w.size}
        warnings = self.warnings + weight_warnings(ess, share, skewness, w.size, w.size, GOOD_SEEN_SKEWNESS)
        estimate = Estimate(value, math.sqrt(max(variance, 0.0)), ess, "mbar", diagnostics, warnings)
        return require_more_than_one_draw(estimate, "Draw from states nearer to the law that is asked for.")

    def __repr__(self) -> str:
        stderr = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        rows = ", ".join(f"{f:.6g} ± {s:.2g}" for f, s in zip(self.free_energies, stderr, strict=True))
        rest = f", warnings={list(self.warnings)}" if self.warnings else ""
        return f"Mbar([{rows}]{rest})"


def mbar(energies: ArrayLike, counts: ArrayLike, *, taus: ArrayLike = 1.0) -> Mbar:
    """Estimate the free energies of several states from draws of all of them, with the least asymptotic variance.

    With reduced energies u_k and N_k draws of state k, pooled as x_1 ... x_N, the free energies solve

        F_k = −log Σ_n exp(−u_k(x_n)) / Σ_l N_l exp(F_l − u_l(x_n)),

    the minimum of a convex function, found by Newton's method with its analytic Hessian. Two states: `bar`.

    The covariance is that of the linearised equations: draw n moves F by ψ(n) = −(I − A N)⁻¹ W_n with A = W Wᵀ, whose
    covariance under the mixture is τ-weighted; with every τ = 1 it is the usual (Wᵀ W)(I − N Wᵀ W)⁻¹.

    Exactness: consistent as the counts grow; the error bar is asymptotic.
    Cost: O(K² N) a step, about 8 steps; memory 5 K N numbers.

    Args:
        energies: u_k(x_n), shape (K, N): the reduced energy of *every* state at every draw, with the draws of state 0
            first, then those of state 1, and so on; +inf where a state forbids a draw of another.
        counts: Draws of each state, shape (K,), whole numbers that sum to N; 0 for a state that was not drawn from.
        taus: Integrated autocorrelation time of the draws, a number or one for each state; 1 for independent ones.

    Returns:
        `Mbar`: free energies with covariance and overlaps; `Mbar.difference(i, j)` is an `Estimate`, and so are
        expectations under, and free energies of, other laws.

    Raises:
        ArgumentError: NaN or −inf among the energies, counts that do not fit, or a draw that its own state forbids.
        Unreliable: The states fall into two groups that share less than one draw, so that the free energy between
            them is undetermined; `.estimate` holds the refused `Mbar`.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1.0, 1.0, 80)
        >>> found = mbar([0.0 * x, 0.0 * x + 0.5, 0.0 * x + 2.0], [40, 40, 0])
        >>> found.free_energies.round(6).tolist()
        [0.0, 0.5, 2.0]

    References: [shirts2008], [kong2003].
    """
    u = pooled_energies("energies", as_floats("energies", energies, ndim=2))
    sizes, times = pooled_counts(counts, u), pooled_taus(taus, len(u))
    drawn = sizes > 0
    own, some = u[drawn], sizes[drawn].astype(np.float64)
    if not np.all(np.isfinite(own[np.repeat(np.arange(len(own)), sizes[drawn]), np.arange(u.shape[1])])):
        raise ArgumentError("a draw has infinite energy in its own state; check the order of the draws in `energies`.")
    f, converged = solve_dual(own, some, membership_start(own, some))
    log_mixture = _log_sum_exp(np.log(some)[:, None] + f[:, None] - own)
    log_w = -u - log_mixture
    all_f = -_log_sum_exp(log_w.T)
    if not np.all(np.isfinite(all_f)):
        raise Unreliable(f"no overlap: state {int(np.argmin(np.isfinite(all_f)))} forbids every draw. Draw from it.")
    w = np.exp(log_w + all_f[:, None])
    return _judged(w, all_f, sizes, times, log_mixture, converged)


def _variance(influence: Floats, w: Floats, counts: np.ndarray, taus: Floats) -> Floats:
    """Covariance of Σ_n ψ(n) over stratified draws: Σ_k τ_k N_k Cov_k(ψ), each by the weights of the whole pool."""
    inflation = (taus * counts) @ w
    means = influence @ w.T
    return (influence * inflation) @ influence.T - (means * (taus * counts)) @ means.T


def _judged(w: Floats, f: Floats, counts: np.ndarray, taus: Floats, log_mixture: Floats, converged: bool) -> Mbar:
    """The result with covariance and warnings, refused where the states do not hang together."""
    gram = w @ w.T
    cut, side = _weakest_cut(counts[:, None] * gram * counts, counts)
    # Σ_k N_k F_k / N is held, which makes the matrix regular; differences do not depend on the choice.
    # States without anything in common leave it singular; they are refused below.
    influence = -np.linalg.pinv(np.eye(len(f)) - gram * counts + counts / counts.sum()) @ w
    found = Mbar(
        free_energies=f - f[0],
        covariance=_variance(influence - influence[0], w, counts, taus),
        overlap=gram * counts,
        num_effective=1.0 / np.diag(gram),
        counts=counts,
        weakest_cut=cut,
        weights=w,
        taus=taus,
        warnings=_overlap_warnings(cut / max(1.0, float(np.max(taus))), side),
        _log_mixture=log_mixture - f[0],
        _influence=influence,
    )
    if cut < 1.0:
        others = [k for k in range(len(counts)) if counts[k] and k not in side]
        raise Unreliable(
            f"no overlap: states {_listed(side)} and states {_listed(others)} share {cut:.2g} draws in effect (at "
            f"least 1 needed, {GOOD_OVERLAP:g} wanted), so the free energy between them is undetermined. Put "
            "intermediate states between the two groups.",
            found,
        )
    if not converged:
        raise Unreliable("MBAR's equations were not solved to rounding. Draw more, or put states closer.", found)
    return found


def _overlap_warnings(effective: float, side: list[int]) -> tuple[str, ...]:
    if effective >= GOOD_OVERLAP:
        return ()
    return (
        f"low_overlap: states {_listed(side)} share {effective:.1f} independent draws in effect with the others "
        f"({GOOD_OVERLAP:g} wanted): the error bars are rough. Put an intermediate state there, or draw more.",
    )


def _weakest_cut(shared: Floats, counts: np.ndarray) -> tuple[float, list[int]]:
    drawn = np.flatnonzero(counts)
    if drawn.size < 2:
        return math.inf, []
    cut, side = smallest_cut(shared[np.ix_(drawn, drawn)])
    return cut, [int(drawn[k]) for k in side]


def _conductance(shared: Floats, i: int, j: int) -> float:
    """Draws shared by i and j by all routes: the conductance between two nodes; NaN for states without draws."""
    if shared[i].sum() == 0.0 or shared[j].sum() == 0.0:
        return math.nan
    if i == j:
        return float(shared[i].sum())
    laplacian = np.diag(shared.sum(axis=1)) - shared
    contrast = np.zeros(len(shared))
    contrast[i], contrast[j] = 1.0, -1.0
    return float(1.0 / (contrast @ np.linalg.pinv(laplacian) @ contrast))


def _listed(states: list[int]) -> str:
    return ", ".join(map(str, states[:6])) + (f" and {len(states) - 6} more" if len(states) > 6 else "")


def _log_sum_exp(a: Floats) -> Floats:
    top = a.max(axis=0)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return safe + np.log(np.exp(a - safe).sum(axis=0))
