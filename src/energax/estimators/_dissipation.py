"""Dissipated work, and whether the second law is seen."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from energax.estimators._arrays import Floats, as_finite
from energax.estimators._bar import bar
from energax.estimators._estimate import Estimate

_SUSPECT = 4.9


def dissipated_work(
    forward: ArrayLike, reverse: ArrayLike, *, tau_forward: float = 1.0, tau_reverse: float = 1.0
) -> tuple[Estimate, Estimate]:
    """Estimate the dissipated work of both directions, E_F W − ΔF and E_R W + ΔF, with ΔF from `bar`.

    The second law says that neither is negative. Each is the Kullback–Leibler divergence between the laws of the paths
    that the process takes and of the mirrored paths of the other one. ΔF and the mean works come from the same draws,
    and the error bars count how they vary together: of the forward one it is that of W_i + f_i/mean(f) over forward
    and of f_j/mean(f) over reverse draws, f being Bennett's Fermi functions.

    Exactness: consistent as both counts grow.
    Cost: that of `bar`.

    Args:
        forward: Work of the forward process, nats, shape (n_F,).
        reverse: Work of the reverse process, nats, shape (n_R,).
        tau_forward: Integrated autocorrelation time of the forward draws, >= 0; 1 for independent ones.
        tau_reverse: The same of the reverse draws.

    Returns:
        Two `Estimate`, forward and reverse, in nats; diagnostics `mean_work` and `free_energy` (ΔF).

    Raises:
        ArgumentError: Works that are not finite.
        Unreliable: The two laws do not overlap.

    Example:
        >>> there, back = dissipated_work([0.2, 1.0, 1.0] * 40, [-0.8, 0.0, 0.0] * 40)
        >>> round(there.value, 6), round(back.value, 6)
        (0.233333, 0.233333)

    References: [crooks1999], [bennett1976].
    """
    w_f, w_r = (as_finite(n, w, ndim=1, min_rows=2) for n, w in (("forward", forward), ("reverse", reverse)))
    both = bar(w_f, w_r, tau_forward=tau_forward, tau_reverse=tau_reverse)
    m = math.log(w_f.size / w_r.size)
    f, r = _relative(-np.logaddexp(0.0, m + w_f - both.value)), _relative(-np.logaddexp(0.0, -m + w_r + both.value))
    # How ΔF moves with each draw: down with f of a forward, up with f of a reverse one.
    there = _estimate(w_f, (w_f + f, tau_forward), (r, tau_reverse), both, 1.0)
    back = _estimate(w_r, (w_r + r, tau_reverse), (f, tau_forward), both, -1.0)
    return there, back


def _relative(log_f: Floats) -> Floats:
    f = np.exp(log_f - np.max(log_f))
    return f / f.mean()


def _estimate(
    work: Floats, own: tuple[Floats, float], other: tuple[Floats, float], both: Estimate, sign: float
) -> Estimate:
    mean, delta = float(work.mean()), both.value
    value = mean - sign * delta
    stderr = math.sqrt(sum(tau * float(np.var(a, ddof=1)) / a.size for a, tau in (own, other)))
    warnings = both.warnings
    if value < -_SUSPECT * stderr:
        warnings += (
            f"second_law: the dissipated work {value:.3g} ± {stderr:.2g} is negative: start both processes in "
            "equilibrium, and look at the sign of the works.",
        )
    diagnostics = {"mean_work": mean, "free_energy": delta}
    return Estimate(value, stderr, both.num_effective, "dissipated-work", diagnostics, warnings)
