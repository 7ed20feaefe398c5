"""How much a chain's draws are worth: autocorrelation time, effective sample size, R-hat, and means with error bars."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import next_fast_len
from scipy.stats import norm, rankdata

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators._arrays import Floats, as_finite
from energax.estimators._estimate import Estimate

CHUNK = 2**21
MIN_LENGTH = 50.0
GOOD_R_HAT = 1.01
GOOD_ESS = 400.0


def tau(chains: ArrayLike, *, min_length: float = MIN_LENGTH) -> Estimate:
    """Estimate the integrated autocorrelation time of a scalar, or refuse where the chain is too short.

    τ = 1 + 2 Σ_{t>=1} ρ_t with the autocorrelations ρ_t. The mean of n draws has variance τ σ² / n. The sum runs over
    Geyer's initial monotone sequence: pairs ρ_{2t} + ρ_{2t+1}, which are positive and falling for a reversible chain,
    up to the first one lost in noise at lag L. With several chains ρ_t compares with the pooled variance, so that
    chains which disagree have a long τ. Antithetic draws: τ is taken as at least 1 / log10(n), with a warning,
    because a smaller one drowns in the noise of the sum. The error bar is Sokal's, stderr = τ √(2 (2L + 1) / n).

    Exactness: consistent as the number of draws grows, for reversible chains; an upper bound in the limit for others.
    Cost: O(n log n), FFT.

    Args:
        chains: One scalar per draw, shape (chain, draw) or (draw,), in order, burn-in removed.
        min_length: Draws per chain, in units of τ, below which the number is refused.

    Returns:
        `Estimate` of τ in draws; `num_effective` is the total number of draws over τ; diagnostics `window` (L),
        `num_chains`, `num_draws`.

    Raises:
        Unreliable: Fewer than `min_length` · τ draws in a chain, or constant draws; `.estimate` holds the refused
            number.

    Example:
        >>> tau([0.0, 1.0, 1.0, 0.0] * 100).value < 1.0
        True

    References: [geyer1992], [sokal1997].
    """
    x = _chains(chains)
    num_chains, num_draws = x.shape
    if _constant(x):
        raise Unreliable(
            f"all {x.size} draws equal {x.flat[0]:.6g}, so no autocorrelation time can be given. Look whether the "
            "chain is stuck."
        )
    raw, window = _geyer(_correlations(x))
    value = max(raw, _floor(x.size))
    why = (
        f"antithetic: the sum of correlations is {raw:.2g}, too small to resolve; tau is taken as 1 / log10({x.size})."
    )
    relative = math.sqrt(2.0 * (2.0 * window + 1.0) / x.size)
    diagnostics = {"window": window, "num_chains": num_chains, "num_draws": num_draws}
    estimate = Estimate(value, value * relative, x.size / value, "geyer", diagnostics, (why,) if raw < value else ())
    if num_draws < min_length * value:
        raise Unreliable(
            f"the chain is too short for its autocorrelation time: {num_draws} draws a chain, tau about {value:.3g} "
            f"(probably more), at least {min_length:g} tau wanted. Run {math.ceil(min_length * value)} draws or more a "
            "chain, or use a kernel that mixes faster.",
            estimate,
        )
    return estimate


def ess(chains: ArrayLike, *, kind: Literal["bulk", "tail", "mean"] = "bulk") -> float:
    """Effective sample size of several chains: the number of independent draws that would be worth as much.

    Chains are split in halves; ESS = (number of draws) / τ with τ from Geyer's initial monotone sequence of the
    multi-chain autocorrelations. ``"bulk"``: of the rank-normalised draws (finite whatever the tails); ``"tail"``:
    the smaller of those of the indicators of the 5 % and the 95 % quantile; ``"mean"``: of the draws themselves, for
    the error of their mean. τ is taken as at least 1 / log10(number of draws).

    Args:
        chains: One scalar per draw, shape (chain, draw) or (draw,), at least 4 draws a chain.
        kind: Which of the three.

    Returns:
        The number; NaN, with a `RuntimeWarning`, for constant draws, which say nothing about mixing.

    Raises:
        ArgumentError: NaN or infinite draws; unknown kind.

    Example:
        >>> import numpy as np
        >>> ess(np.random.default_rng(0).normal(size=(4, 1000))) > 3000
        True

    References: [vehtari2021], [geyer1992].
    """
    if kind not in ("bulk", "tail", "mean"):
        raise ArgumentError(f"`kind` must be 'bulk', 'tail' or 'mean'; given {kind!r}.")
    x = _chains(chains)
    if _constant(_halves(x)):
        return _nan_with_warning("ess", x)
    if kind == "tail":
        return _tail_ess(x)
    return _split_ess(_halves(x) if kind == "mean" else _rank_normalised(_halves(x)))


def r_hat(chains: ArrayLike) -> float:
    """Rank-normalised split R-hat: 1 where the chains agree, above 1.01 where they do not yet.

    √((within · (n − 1) / n + between) / within) of the split chains after rank normalisation, and the same of the draws
    folded about their median (which sees chains that differ in width only); the larger one. Infinite when the
    chains stand still at different values.

    Args:
        chains: One scalar per draw, shape (chain, draw) or (draw,), at least 4 draws a chain.

    Returns:
        The number; NaN, with a `RuntimeWarning`, for constant draws: they may have found the mode or be stuck, and
        R-hat cannot tell.

    Raises:
        ArgumentError: NaN or infinite draws.

    Example:
        >>> import numpy as np
        >>> r_hat(np.random.default_rng(0).normal(size=(4, 1000)) + 3.0 * np.arange(4)[:, None]) > 1.5
        True

    References: [vehtari2021], [gelman1992].
    """
    x = _chains(chains)
    return _nan_with_warning("r_hat", x) if _constant(_halves(x)) else _rank_r_hat(_halves(x))


def chain_mean(chains: ArrayLike) -> Estimate:
    """Estimate the mean of a scalar from several chains, its error bar corrected for autocorrelation.

    stderr = σ̂ / √ESS with the ESS of the draws themselves (kind ``"mean"``).

    Args:
        chains: One scalar per draw, shape (chain, draw) or (draw,), at least 4 draws a chain.

    Returns:
        `Estimate` in the unit of the draws; `num_effective` is the ESS; diagnostics `r_hat`, `ess_bulk`, `ess_tail`,
        `tau`, `num_chains`, `num_draws`. It warns of R-hat above 1.01, of a bulk ESS below 400, and of constant draws
        (then without an error bar).

    Raises:
        ArgumentError: NaN or infinite draws.

    Example:
        >>> import numpy as np
        >>> estimate = chain_mean(np.random.default_rng(0).normal(size=(4, 1000)))
        >>> abs(estimate.value) < 4.9 * estimate.stderr
        True

    References: [vehtari2021].
    """
    whole = _chains(chains)
    shape = {"num_chains": whole.shape[0], "num_draws": whole.shape[1]}
    x = _halves(whole)
    if _constant(x):
        why = (
            f"constant: all {x.size} draws equal {x.flat[0]:.6g}; stuck chains look the same, so there is no error bar."
        )
        return Estimate(float(np.mean(whole)), math.nan, math.nan, "chain-mean", shape, (why,))
    size = _split_ess(x)
    diagnostics = {
        "r_hat": _rank_r_hat(x),
        "ess_bulk": _split_ess(_rank_normalised(x)),
        "ess_tail": _tail_ess(whole),
        "tau": x.size / size,
        **shape,
    }
    stderr = float(np.std(whole, ddof=1)) / math.sqrt(size)
    return Estimate(float(np.mean(whole)), stderr, size, "chain-mean", diagnostics, _mixing_warnings(diagnostics))


def _chains(chains: ArrayLike) -> Floats:
    x = np.asarray(chains)
    x = as_finite("chains", x[None] if x.ndim == 1 else x, ndim=2)
    if x.shape[1] < 4:
        raise ShapeError(f"`chains` must be (chain, draw) with at least 4 draws a chain; given shape {x.shape}.")
    return x


def _halves(x: Floats) -> Floats:
    """Each chain as two, the middle draw of an odd number left out, so that a drifting chain disagrees with itself."""
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def _constant(x: Floats) -> bool:
    return bool(np.all(x == x.flat[0]))


def _nan_with_warning(name: str, x: Floats) -> float:
    message = (
        f"{name} of constant draws (all equal {x.flat[0]:.6g}) is undefined: nan. Look whether the chains are stuck."
    )
    warnings.warn(message, RuntimeWarning, stacklevel=3)
    return math.nan


def _rank_normalised(x: Floats) -> Floats:
    """Normal scores of the fractional ranks over all chains; ties share their mean rank."""
    ranks = rankdata(x, method="average").reshape(x.shape)
    return norm.ppf((ranks - 0.375) / (x.size + 0.25))


def _rank_r_hat(x: Floats) -> float:
    folded = np.abs(x - np.median(x))
    # Draws with two symmetric values fold into one, which says nothing; the bulk decides then.
    return max(_r_hat(_rank_normalised(y)) for y in (x, folded) if not _constant(y))


def _r_hat(x: Floats) -> float:
    n = x.shape[1]
    within, between = float(np.mean(np.var(x, axis=1, ddof=1))), float(np.var(np.mean(x, axis=1), ddof=1))
    # A chain of equal numbers has a variance of rounding errors only, which must not pass for motion.
    still = bool(np.all(x == x[:, :1]))
    return math.inf if still else math.sqrt((within * (n - 1) / n + between) / within)


def _tail_ess(x: Floats) -> float:
    indicators = [(x <= np.quantile(x, q)).astype(np.float64) for q in (0.05, 0.95)]
    halves = [_halves(i) for i in indicators if not _constant(i)]
    sizes = [_split_ess(i) for i in halves if not _constant(i)]
    return min(sizes) if sizes else math.nan


def _split_ess(x: Floats) -> float:
    time, _ = _geyer(_correlations(x))
    return x.size / max(time, _floor(x.size))


def _floor(num: int) -> float:
    return 1.0 / math.log10(num)


def _correlations(x: Floats) -> Floats:
    """Autocorrelations ρ_t, shape (draw,): 1 − (within − autocovariance_t) / pooled variance, averaged over chains."""
    num_chains, n = x.shape
    size = int(next_fast_len(2 * n, real=True) or 2 * n)
    rows = max(1, CHUNK // size)
    covariance = np.zeros(n)
    for start in range(0, num_chains, rows):
        part = x[start : start + rows]
        spectrum = np.abs(np.fft.rfft(part - part.mean(axis=1, keepdims=True), size, axis=1)) ** 2
        covariance += np.fft.irfft(spectrum, size, axis=1)[:, :n].sum(axis=0)
    covariance /= n * num_chains
    within = covariance[0] * n / (n - 1)
    pooled = covariance[0] + (float(np.var(x.mean(axis=1), ddof=1)) if num_chains > 1 else 0.0)
    rho = 1.0 - (within - covariance) / pooled
    rho[0] = 1.0
    return rho


def _geyer(rho: Floats) -> tuple[float, int]:
    """τ and the lag at which the initial monotone sequence ends."""
    num_pairs = max(1, (rho.size - 3) // 2)
    pairs = rho[0 : 2 * num_pairs : 2] + rho[1 : 2 * num_pairs : 2]
    ends = np.flatnonzero(pairs <= 0.0)
    last = int(ends[0]) if ends.size else num_pairs
    falling = np.minimum.accumulate(pairs[:last])
    # The even term of the first pair that was cut is kept where positive; it lowers the variance for antithetic chains.
    tail = max(float(rho[2 * last]), 0.0) if 2 * last < rho.size else 0.0
    return -1.0 + 2.0 * float(falling.sum()) + tail, 2 * last


def _mixing_warnings(diagnostics: dict[str, float]) -> tuple[str, ...]:
    found: list[str] = []
    if diagnostics["r_hat"] > GOOD_R_HAT:
        found.append(
            f"not_mixed: R-hat {diagnostics['r_hat']:.3f} is above {GOOD_R_HAT}: the chains do not agree yet, and "
            "the error bar is too small. Run longer, or start the chains elsewhere."
        )
    if diagnostics["ess_bulk"] < GOOD_ESS:
        found.append(
            f"low_ess: {diagnostics['ess_bulk']:.0f} effective draws, {GOOD_ESS:.0f} wanted for a trustworthy error "
            "bar. Run longer."
        )
    return tuple(found)
