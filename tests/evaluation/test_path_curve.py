"""log Z along an annealing path: values of pooled runs, error bars, and what `LogZ.curve` tells."""

from __future__ import annotations

import numpy as np
import pytest

from energax.estimators import Interval, ess_from_log_weights, log_mean_exp, log_z_from_work
from energax.evaluation import LogZ
from energax.evaluation._path_curve import PathCurve, path_curve
from energax.sampling import Work

NUM = 128


def _run(seed: int, num_groups: int = 1) -> Work:
    """Weights at three levels, as `anneal` tells them."""
    log_w = np.cumsum(np.random.default_rng(seed).normal(size=(2, num_groups, NUM // num_groups)), axis=0)
    log_w = np.concatenate([np.zeros_like(log_w[:1]), log_w])
    ess = np.asarray([ess_from_log_weights(level.reshape(-1)) / NUM for level in log_w])
    means = np.asarray([[log_mean_exp(group) for group in level] for level in log_w])
    resamplings = np.full(num_groups, int(num_groups > 1))
    return Work(log_w[-1], None, np.asarray([0.0, 0.5, 1.0]), ess, np.ones(3), resamplings, 0, means)


def test_the_end_of_the_curve_is_the_mean_weight_with_its_error_bar():
    runs = [_run(seed) for seed in range(3)]
    found = path_curve(runs)
    want = log_z_from_work(np.concatenate([run.log_weights.reshape(-1) for run in runs]))
    assert found.log_z[-1] == pytest.approx(want.value, abs=1e-12)
    assert found.stderr[-1] == pytest.approx(want.stderr, rel=1e-9)
    assert (found.log_z[0], found.stderr[0]) == pytest.approx((0.0, 0.0), abs=1e-8)


def test_resampled_groups_count_as_one_each():
    runs = [_run(seed, num_groups=4) for seed in range(3)]
    found = path_curve(runs)
    means = np.exp(np.concatenate([run.level_log_z for run in runs], axis=1)[-1])
    assert found.log_z[-1] == pytest.approx(np.log(means.mean()), abs=1e-12)
    assert found.stderr[-1] == pytest.approx(means.std(ddof=1) / np.sqrt(12) / means.mean(), rel=1e-9)


def test_curves_are_thinned_and_named():
    nothing = Interval(0.0, 1.0, "certified", "none", 0.9)
    assert LogZ(0.5, 0.1, nothing, None, "counting").curve() is None
    path = PathCurve(np.linspace(0, 1, 999), np.linspace(0, 2, 999), np.full(999, 0.1))
    told = LogZ(0.5, 0.1, nothing, None, "counting", path=path).curve(5)
    assert told is not None
    assert told["kind"] == "annealing"
    assert told["t"] == pytest.approx([0.0, 249 / 998, 499 / 998, 748 / 998, 1.0])
    assert told["value"][-1] == 2.0
