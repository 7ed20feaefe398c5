"""How well scores rank and probabilities hold: areas under curves, calibration error, Brier score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats, as_finite
from energax.estimators._estimate import Estimate

_NO_BAR = "No error bar: the estimator has none without resampling."


class RankingCurve(NamedTuple):
    """Points of a curve over falling thresholds, from the highest score on.

    Attributes:
        false_positive_rate: Share of the negatives at or above each threshold, from 0 to 1.
        recall: Share of the positives there.
        precision: Share of positives among all that lie there; of the first point that of the second.
    """

    false_positive_rate: Floats
    recall: Floats
    precision: Floats


def auc_roc(scores: ArrayLike, positive: ArrayLike) -> Estimate:
    """Estimate the probability that a positive has a higher score than a negative, ties counted half.

    AUC = P(s⁺ > s⁻) + P(s⁺ = s⁻) / 2, from the ranks. The error bar is that of DeLong: with V_i the share of negatives
    below positive i, and W_j the share of positives above negative j, var = var(V) / n⁺ + var(W) / n⁻.

    Exactness: unbiased; the error bar is consistent, and too small near 0 and 1 in small samples.
    Cost: O(n log n).

    Args:
        scores: Finite numbers, (n,); larger is to mean positive.
        positive: Truth values, (n,), of both kinds.

    Returns:
        `Estimate` in [0, 1]; `num_effective` is the smaller of the two counts.

    Raises:
        ArgumentError: Scores that are not finite, or truth values of one kind only.
        ShapeError: Lengths that differ.

    Example:
        >>> auc_roc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]).value
        0.75

    References: [delong1988].
    """
    s, truth = _scores(scores, positive)
    high, low = s[truth], s[~truth]
    every = rankdata(s)
    above = (every[truth] - rankdata(high)) / low.size
    below = 1.0 - (every[~truth] - rankdata(low)) / high.size
    counts = {"num_positive": high.size, "num_negative": low.size}
    if min(high.size, low.size) < 2:
        warning = "No error bar: it needs two of each kind."
        return Estimate(above.mean(), np.nan, min(high.size, low.size), "ranks", counts, (warning,))
    stderr = np.sqrt(above.var(ddof=1) / high.size + below.var(ddof=1) / low.size)
    return Estimate(above.mean(), stderr, min(high.size, low.size), "ranks", counts)


def auc_pr(scores: ArrayLike, positive: ArrayLike) -> Estimate:
    """Estimate the area under precision over recall, by trapezoids between the distinct thresholds.

    Where many scores are equal, a trapezoid joins far points, and the area differs from the average precision, which
    takes steps; trapezoids are what the literature on graphs reports.

    Args:
        scores: Finite numbers, (n,); larger is to mean positive.
        positive: Truth values, (n,), of both kinds.

    Returns:
        `Estimate` in [0, 1], without an error bar. A score that says nothing has the share of the positives.

    Raises:
        ArgumentError: Scores that are not finite, or truth values of one kind only.
        ShapeError: Lengths that differ.

    Example:
        >>> round(auc_pr([0.1, 0.4, 0.35, 0.8], [False, False, True, True]).value, 4)
        0.7917
    """
    curve = ranking_curve(scores, positive)
    area = np.trapezoid(curve.precision, curve.recall)
    return Estimate(float(area), np.nan, float(np.count_nonzero(positive)), "trapezoids", {}, (_NO_BAR,))


def ranking_curve(scores: ArrayLike, positive: ArrayLike) -> RankingCurve:
    """Rates over all thresholds: the ROC curve and the curve of precision over recall.

    Args:
        scores: Finite numbers, (n,); larger is to mean positive.
        positive: Truth values, (n,), of both kinds.

    Raises:
        ArgumentError: Scores that are not finite, or truth values of one kind only.
        ShapeError: Lengths that differ.
    """
    s, truth = _scores(scores, positive)
    order = np.argsort(-s, kind="stable")
    s, truth = s[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(s)), s.size - 1)
    hits = np.cumsum(truth)[last].astype(np.float64)
    seen = last + 1.0
    precision = hits / seen
    return RankingCurve(
        np.append(0.0, (seen - hits) / np.count_nonzero(~truth)),
        np.append(0.0, hits / hits[-1]),
        # What precision is where nothing is called positive is a convention: 1, as in scikit-learn.
        np.append(1.0, precision),
    )


def calibration_error(probabilities: ArrayLike, labels: ArrayLike, *, num_bins: int = 15) -> Estimate:
    """Estimate the expected calibration error: how far confidence is from accuracy, over bins of equal width.

    ECE = Σ_b (n_b / n) |accuracy_b − mean confidence_b|, with the confidence max_c p_c of each row.

    Exactness: biased upwards, by about the noise of the accuracy in a bin.

    Args:
        probabilities: Rows that sum to 1, (n, c).
        labels: True classes, whole numbers, (n,). One of no column counts as missed.
        num_bins: Number of bins in [0, 1].

    Returns:
        `Estimate` in [0, 1], without an error bar.

    Raises:
        ArgumentError: Numbers that are no probabilities.
        ShapeError: Lengths that differ.
    """
    p, y = _probabilities(probabilities, labels)
    confidence, right = p.max(1), p.argmax(1) == y
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, right - confidence, minlength=num_bins)
    return Estimate(np.abs(gaps).sum() / y.size, np.nan, y.size, "bins", {"num_bins": num_bins}, (_NO_BAR,))


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> Estimate:
    """Estimate the mean squared distance of probabilities from the truth, E Σ_c (p_c − [y = c])².

    Args:
        probabilities: Rows that sum to 1, (n, c).
        labels: True classes, whole numbers, (n,). One of no column counts as missed by 1 there.

    Returns:
        `Estimate` in [0, 2]; 0 is perfect.

    Raises:
        ArgumentError: Numbers that are no probabilities.
        ShapeError: Lengths that differ.

    References: [brier1950].
    """
    p, y = _probabilities(probabilities, labels)
    known = (y >= 0) & (y < p.shape[1])
    hit = np.where(known, p[np.arange(y.size), np.where(known, y, 0)], 0.0)
    losses = (p**2).sum(1) - 2.0 * hit + 1.0
    if y.size < 2:
        return Estimate(losses.mean(), np.nan, y.size, "mean", {}, ("No error bar: it needs two rows.",))
    return Estimate(losses.mean(), losses.std(ddof=1) / np.sqrt(y.size), y.size, "mean")


def _scores(scores: ArrayLike, positive: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    s, truth = as_finite("scores", scores, ndim=1), np.asarray(positive)
    if truth.shape != s.shape:
        raise ShapeError(f"`positive` must have one truth value for each of {s.size} scores; given {truth.shape}.")
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        raise ArgumentError(f"`positive` must hold both kinds; all {truth.size} are {bool(truth[0])}.")
    return s, truth


def _probabilities(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    p, y = as_finite("probabilities", probabilities, ndim=2), np.asarray(labels)
    if y.shape != (p.shape[0],):
        raise ShapeError(f"`labels` must have one class for each of {p.shape[0]} rows; given shape {y.shape}.")
    if p.min() < -1e-6 or np.abs(p.sum(1) - 1.0).max() > 1e-4:
        raise ArgumentError("`probabilities` must have rows that are not negative and sum to 1.")
    return p, y.astype(np.int64)
