"""Assertions on random draws that state their false-alarm probability and the smallest defect that they see.

Every assertion compares independent draws with an exact law. It fails for correct draws with probability
`false_alarm` at most (Bonferroni over its components), and it returns the smallest p-value that it met, corrected.
Raise the number of draws, never the threshold: the z of a real defect grows with the square root of that number, the
z of a false alarm does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import ArrayLike

from energax._errors import ArgumentError

FALSE_ALARM = 1e-6
"""Probability with which one assertion fails for a correct program; two-sided |z| <= 4.89."""

MISS = 1e-3
"""Probability with which a defect of the size that a message names goes unseen."""

_MIN_DRAWS = 1000
_MIN_EXPECTED = 50.0


def required_draws(delta: float, sigma: float, *, false_alarm: float = FALSE_ALARM, miss: float = MISS) -> int:
    """Number of independent draws with which `assert_mean` sees a shift of the mean by `delta`.

    N = ((z_{1 − false_alarm/2} + z_{1 − miss}) σ/δ)².

    Args:
        delta: δ > 0, the smallest shift that has to be seen.
        sigma: σ, standard deviation of one draw.
        false_alarm: Probability of failing without a shift.
        miss: Probability of passing with a shift of δ.

    Returns:
        N, rounded up.

    Example:
        >>> from energax import testing
        >>> testing.required_draws(0.05, 1.0)
        25485
    """
    if not (delta > 0 and sigma > 0 and 0 < false_alarm < 1 and 0 < miss < 1):
        raise ArgumentError(
            f"required_draws needs delta > 0, sigma > 0 and probabilities in (0, 1), got delta={delta}, sigma={sigma}, "
            f"false_alarm={false_alarm}, miss={miss}."
        )
    return math.ceil((_width(false_alarm, miss) * sigma / delta) ** 2)


def assert_mean(
    draws: ArrayLike,
    exact: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    false_alarm: float = FALSE_ALARM,
    name: str = "mean",
) -> float:
    """The mean of independent draws is `exact`, by a two-sided t-test of every component.

    Args:
        draws: Shape (N, ...), independent along the first axis.
        exact: The exact mean, shape (...).
        weights: Importance weights of the draws, shape (N,), any scale; then the self-normalised mean is tested.
        false_alarm: Probability of failing for a correct mean, over all components together.
        name: What the message calls the quantity.

    Returns:
        The corrected p-value of the worst component.

    Raises:
        AssertionError: A component is off; the message holds its z, p and the smallest shift that the test sees.
        ArgumentError: There are too few draws for the normal approximation, or the shapes do not fit.
    """
    values, target = _rows(draws, name), np.asarray(exact, np.float64)
    if target.shape != values.shape[1:]:
        raise ArgumentError(f"`exact` of {name} has shape {target.shape}, the draws have {values.shape[1:]}.")
    flat, target = values.reshape(len(values), -1), target.reshape(-1)
    mean, stderr, effective = _mean_and_stderr(flat, weights, name)
    # Numbers that are all the same have a standard error of rounding only, and float32 draws are rounded themselves.
    difference = mean - target
    rounding = 1e-6 * np.maximum(np.abs(mean), np.abs(target))
    z = np.where(np.abs(difference) <= rounding, 0.0, difference / np.maximum(stderr, 1e-300))
    p = np.minimum(2 * scipy.stats.t.sf(np.abs(z), max(effective - 1, 1)) * len(z), 1.0)
    worst = int(np.argmin(p))
    seen = _width(false_alarm / len(z), MISS) * float(stderr[worst])
    if not p[worst] >= false_alarm:
        where = np.unravel_index(worst, values.shape[1:]) if values.ndim > 1 else ()
        raise AssertionError(
            f"{name}{list(map(int, where)) if where else ''}: mean {mean[worst]:.6g}, exact {target[worst]:.6g}; "
            f"z = {z[worst]:+.2f}, p = {p[worst]:.1g} < {false_alarm:.0e} ({len(values)} draws, {len(z)} components; "
            f"smallest visible shift {seen:.2g})."
        )
    return float(p[worst])


def assert_counts(
    counts: ArrayLike, probabilities: ArrayLike, *, false_alarm: float = FALSE_ALARM, name: str = "counts"
) -> float:
    """Counts of independent draws follow a discrete law, by a G-test.

    Cells with an expected count below 50 are merged, the rarest first, so that the χ² law holds in its tail too; with
    two cells left the exact binomial test is used.

    Args:
        counts: How often each cell was drawn.
        probabilities: The exact law, same shape; sums to 1.
        false_alarm: Probability of failing for a correct law.
        name: What the message calls the quantity.

    Returns:
        The p-value.

    Raises:
        AssertionError: The law is off, or a cell of probability zero was drawn.
        ArgumentError: The shapes differ, the probabilities are no law, or there are too few draws for two cells.
    """
    seen = np.asarray(counts, np.float64).reshape(-1)
    law = np.asarray(probabilities, np.float64).reshape(-1)
    if seen.shape != law.shape or not np.isclose(law.sum(), 1.0, atol=1e-6) or law.min() < 0:
        raise ArgumentError(
            f"{name}: counts of {seen.size} cells need as many probabilities that sum to 1, got {law.size} with the "
            f"sum {law.sum():.8g}."
        )
    impossible = (law == 0) & (seen > 0)
    if impossible.any():
        raise AssertionError(f"{name}: {int(seen[impossible].sum())} draws fell in cells of probability zero.")
    total = seen.sum()
    observed, expected = _merged(seen, law / law.sum() * total, name)
    if len(expected) == 2:
        p = float(scipy.stats.binomtest(round(observed[0]), round(total), expected[0] / total).pvalue)
        statistic, degrees = (observed[0] - expected[0]) ** 2 * (1 / expected).sum(), 1
    else:
        degrees = len(expected) - 1
        terms = scipy.special.xlogy(observed, observed / expected)
        # Williams' correction brings the statistic closer to its limit law.
        williams = 1 + ((total / expected).sum() - 1) / (6 * total * degrees)
        statistic = 2 * terms.sum() / williams
        p = float(scipy.stats.chi2.sf(statistic, degrees))
    if not p >= false_alarm:
        worst = int(np.argmax(np.abs(observed - expected) / np.sqrt(expected)))
        raise AssertionError(
            f"{name}: G = {statistic:.1f} on {degrees} degrees of freedom, p = {p:.1g} < {false_alarm:.0e}; the worst "
            f"of {len(expected)} cells has {observed[worst]:.0f} draws, expected {expected[worst]:.1f} "
            f"({total:.0f} draws; smallest visible relative change of all cells "
            f"{_visible_effect(degrees, total, false_alarm):.2g})."
        )
    return p


def assert_distribution(
    draws: ArrayLike,
    cdf: Callable[[np.ndarray], ArrayLike],
    *,
    false_alarm: float = FALSE_ALARM,
    name: str = "distribution",
) -> float:
    """Independent real draws have a given continuous cumulative distribution, by the Kolmogorov–Smirnov test.

    Args:
        draws: Shape (N,).
        cdf: The exact cumulative distribution, vectorised over NumPy arrays.
        false_alarm: Probability of failing for a correct law.
        name: What the message calls the quantity.

    Returns:
        The p-value.

    Raises:
        AssertionError: The law is off; the message holds the largest distance and the smallest visible one.
    """
    values = _rows(draws, name)
    if values.ndim != 1:
        raise ArgumentError(f"{name}: draws must be real numbers, shape (N,), got {values.shape}.")
    result = scipy.stats.kstest(values, lambda x: np.asarray(cdf(x), np.float64))
    if not result.pvalue >= false_alarm:
        raise AssertionError(
            f"{name}: the empirical distribution is {result.statistic:.4g} away from the exact one at "
            f"{result.statistic_location:.4g}, p = {result.pvalue:.1g} < {false_alarm:.0e} ({len(values)} draws; "
            f"smallest visible distance {_visible_distance(len(values), false_alarm):.2g})."
        )
    return float(result.pvalue)


def assert_same_law(
    a: ArrayLike,
    b: ArrayLike,
    *,
    features: Sequence[Callable[[np.ndarray], ArrayLike]] = (),
    false_alarm: float = FALSE_ALARM,
    name: str = "law",
) -> float:
    """Two sets of independent draws have one law: Kolmogorov–Smirnov tests of components, products and features.

    The compared numbers are every component, every product of two components (where there are at most 12), the sum of
    all components, and what `features` return. The test is conservative for discrete laws.

    Args:
        a: Shape (N, ...), independent along the first axis.
        b: Shape (M, ...).
        features: Further functions from draws, shape (N, ...), to one number each, shape (N,).
        false_alarm: Probability of failing for equal laws, over all compared numbers together.
        name: What the message calls the quantity.

    Returns:
        The corrected p-value of the worst number.

    Raises:
        AssertionError: The laws differ; the message names the number in which they do.
    """
    first, second = _rows(a, name), _rows(b, name)
    if first.shape[1:] != second.shape[1:]:
        raise ArgumentError(f"{name}: draws of shapes {first.shape} and {second.shape} have no law in common.")
    pairs = list(zip(_features(first, features), _features(second, features), strict=True))
    tests = [(label, *_two_sample(x, y)) for (label, x), (_, y) in pairs]
    label, distance, smallest = min(tests, key=lambda item: item[2])
    p = min(smallest * len(tests), 1.0)
    if not p >= false_alarm:
        size = len(first) * len(second) / (len(first) + len(second))
        raise AssertionError(
            f"{name}: {label} differs, largest distance of the distributions {distance:.4g}, p = {p:.1g} < "
            f"{false_alarm:.0e} ({len(first)} and {len(second)} draws, {len(tests)} compared numbers; smallest "
            f"visible distance {_visible_distance(size, false_alarm / len(tests)):.2g})."
        )
    return p


def _rows(draws: ArrayLike, name: str) -> np.ndarray:
    values = np.asarray(draws, np.float64)
    if values.ndim < 1 or len(values) < _MIN_DRAWS:
        raise ArgumentError(f"{name}: {np.shape(values)[:1]} draws are too few; take at least {_MIN_DRAWS}.")
    bad = ~np.isfinite(values)
    if bad.any():
        raise AssertionError(f"{name}: {int(bad.sum())} of {values.size} drawn numbers are not finite.")
    return values


def _mean_and_stderr(flat: np.ndarray, weights: ArrayLike | None, name: str) -> tuple[np.ndarray, np.ndarray, float]:
    if weights is None:
        return flat.mean(0), flat.std(0, ddof=1) / math.sqrt(len(flat)), float(len(flat))
    w = np.asarray(weights, np.float64)
    if w.shape != (len(flat),) or not np.all(w >= 0) or not w.sum() > 0:
        raise ArgumentError(f"{name}: weights must be non-negative numbers of shape ({len(flat)},), got {w.shape}.")
    w = w / w.sum()
    effective = 1 / np.sum(w**2)
    if effective < _MIN_DRAWS:
        raise AssertionError(f"{name}: the weights leave only {effective:.0f} effective draws of {len(flat)}.")
    mean = w @ flat
    return mean, np.sqrt(w**2 @ (flat - mean) ** 2), float(effective)


def _merged(observed: np.ndarray, expected: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Cells in the order of their expected counts, merged until each has at least the smallest allowed count."""
    order = np.argsort(expected, kind="stable")
    cells: list[list[float]] = [[0.0, 0.0]]
    for o, e in zip(observed[order], expected[order], strict=True):
        if cells[-1][1] >= _MIN_EXPECTED:
            cells.append([0.0, 0.0])
        cells[-1][0] += float(o)
        cells[-1][1] += float(e)
    if len(cells) > 1 and cells[-1][1] < _MIN_EXPECTED:
        last = cells.pop()
        cells[-1] = [cells[-1][0] + last[0], cells[-1][1] + last[1]]
    if len(cells) < 2:
        raise ArgumentError(f"{name}: {expected.sum():.0f} draws fill only one cell of {_MIN_EXPECTED:.0f}; take more.")
    merged = np.asarray(cells)
    return merged[:, 0], merged[:, 1]


def _features(rows: np.ndarray, extra: Sequence[Callable[[np.ndarray], ArrayLike]]) -> list[tuple[str, np.ndarray]]:
    flat = rows.reshape(len(rows), -1)
    count = flat.shape[1]
    found = [(f"component {i}", flat[:, i]) for i in range(count)]
    if count > 1:
        found.append(("the sum of components", flat.sum(1)))
    if 1 < count <= 12:
        found += [
            (f"the product of components {i} and {j}", flat[:, i] * flat[:, j])
            for i in range(count)
            for j in range(i + 1, count)
        ]
    return found + [(f"feature {i}", np.asarray(fn(rows), np.float64)) for i, fn in enumerate(extra)]


def _two_sample(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Kolmogorov–Smirnov distance and its p-value."""
    result: Any = scipy.stats.ks_2samp(x, y, method="asymp")
    return float(result.statistic), float(result.pvalue)


def _width(false_alarm: float, miss: float) -> float:
    return float(scipy.stats.norm.isf(false_alarm / 2) + scipy.stats.norm.isf(miss))


def _visible_distance(size: float, false_alarm: float) -> float:
    """Distance of two distributions that is seen with certainty enough, from the DKW inequality at both ends."""
    return (math.sqrt(math.log(2 / false_alarm)) + math.sqrt(math.log(2 / MISS))) / math.sqrt(2 * size)


def _visible_effect(degrees: int, total: float, false_alarm: float) -> float:
    """√(Σ (p' − p)²/p) that is seen with probability 1 − MISS, by the normal approximation of the χ² law."""
    threshold = scipy.stats.chi2.isf(false_alarm, degrees)
    low, high = 0.0, 100.0 * threshold
    for _ in range(60):
        middle = (low + high) / 2
        if scipy.stats.ncx2.cdf(threshold, degrees, middle) > MISS:
            low = middle
        else:
            high = middle
    return math.sqrt(high / total)
