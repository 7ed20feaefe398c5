"""Areas under curves against scikit-learn; error bars; calibration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from energax import estimators
from energax._errors import ArgumentError, ShapeError

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("digits", [9, 1, 0])
def test_areas_agree_with_scikit_learn_with_and_without_ties(digits):
    truth = RNG.random(500) < 0.3
    scores = np.round(RNG.normal(size=500) + truth, digits)
    assert estimators.auc_roc(scores, truth).value == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-12)
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    assert estimators.auc_pr(scores, truth).value == pytest.approx(metrics.auc(recall, precision), abs=1e-12)
    curve = estimators.ranking_curve(scores, truth)
    fpr, tpr, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, fpr)
    np.testing.assert_allclose(curve.recall, tpr)


def test_the_error_bar_is_that_of_repeated_samples():
    found = []
    for _ in range(2000):
        truth = np.arange(120) < 40
        found.append(estimators.auc_roc(RNG.normal(size=120) + truth, truth))
    values = np.asarray([f.value for f in found])
    # 2000 repeats know the spread to 1.6 %; six of that, and the small bias of the bar.
    assert np.sqrt(np.mean([f.stderr**2 for f in found])) == pytest.approx(values.std(), rel=0.11)


def test_calibration_and_brier_of_known_probabilities():
    p = np.asarray([[0.8, 0.2], [0.8, 0.2], [0.3, 0.7], [0.3, 0.7]])
    y = np.asarray([0, 1, 1, 1])
    assert estimators.calibration_error(p, y).value == pytest.approx(0.5 * 0.3 + 0.5 * 0.3)
    assert estimators.brier_score(p, y).value == pytest.approx((0.08 + 1.28 + 0.18 + 0.18) / 4)
    assert estimators.brier_score(p, np.full(4, 9)).value == pytest.approx((1.68 + 1.58) / 2)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ArgumentError, match="both kinds"):
        estimators.auc_roc([1.0, 2.0], [True, True])
    with pytest.raises(ShapeError, match="one truth value for each"):
        estimators.auc_pr([1.0, 2.0], [True])
    with pytest.raises(ArgumentError, match="NaN"):
        estimators.auc_roc([1.0, np.nan], [True, False])
    with pytest.raises(ArgumentError, match="sum to 1"):
        estimators.brier_score([[0.4, 0.4]], [0])
    assert np.isnan(estimators.auc_roc([1.0, 2.0], [True, False]).stderr)
