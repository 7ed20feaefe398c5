from __future__ import annotations

import json
import math

import numpy as np
import pytest

from energax._errors import ArgumentError
from energax.estimators import Estimate, Interval

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (-84.8699, 0.0342, "-84.870 ± 0.034"),
        (123456.7, 2300.0, "123457 ± 2300"),
        (0.0, 0.3, "0.00 ± 0.30"),
        (1e-8, 1e-10, "(1.000 ± 0.010)e-8"),
        (1e9, 2e6, "(1.0000 ± 0.0020)e+9"),
        (5.0, 0.0, "5 (exact)"),
        (1.0, 1e-15, "1 ± 1e-15"),
        (2.0, INF, "2 ± inf"),
    ],
)
def test_estimate_prints_two_digits_of_its_error(value, stderr, text):
    assert str(Estimate(value, stderr, 1.0, "m")) == text


def test_estimate_shows_its_method_and_warnings():
    text = repr(Estimate(3.14159, NAN, 12.0, "bar", warnings=("no error bar",)))
    assert text == "Estimate(3.14159 ± unknown, num_effective=12, method='bar', warnings=['no error bar'])"


def test_estimate_moves_with_the_quantity():
    estimate = Estimate(2.0, 0.1, 7.0, "m", {"ess": 7.0}, ("careful",))
    moved = estimate.shifted(3.0).negated()
    assert moved == Estimate(-5.0, 0.1, 7.0, "m", {"ess": 7.0}, ("careful",))
    assert estimate.value == 2.0


def test_estimate_goes_through_json():
    diagnostics = {"ess": np.float64(3.0), "n": np.int64(4), "bad": np.inf, "list": np.array([1.0, NAN]), "s": "x"}
    estimate = Estimate(NAN, NAN, 1.0, "m", diagnostics, ("why",))
    back = json.loads(json.dumps(estimate.to_json(), allow_nan=False))
    assert back["value"] is None
    assert back["diagnostics"] == {"ess": 3.0, "n": 4, "bad": None, "list": [1.0, None], "s": "x"}
    assert back["warnings"] == ["why"]
    assert set(back) == {"value", "stderr", "num_effective", "method", "diagnostics", "warnings"}


def test_estimate_does_not_share_its_diagnostics():
    diagnostics = {"ess": 3.0}
    estimate = Estimate(1.0, 0.1, 1.0, "m", diagnostics)
    diagnostics["ess"] = 4.0
    assert estimate.diagnostics["ess"] == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, -0.1, 1.0, "m"), "must be >= 0"),
        ((1.0, 0.1, -1.0, "m"), "must be >= 0"),
        ((1.0, NAN, 1.0, "m"), "must say why"),
        ((NAN, 0.1, 1.0, "m"), "must say why"),
        ((1.0, 0.1, 1.0, "m", {}, "one string"), "tuple of sentences"),
    ],
)
def test_estimate_refuses(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Estimate(*arguments)


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (
            Interval(-85.3121, -84.9, "certified", "assumes-equilibrium", 0.95),
            "[-85.313 (certified), -84.900 (assumes-equilibrium)] at 95 %",
        ),
        (Interval(-85.3, INF, "certified", "none", 0.975), "[-85.3 (certified), inf (none)] at 97.5 %"),
        (Interval(2.0, 2.0, "exact", "exact", 1.0), "[2 (exact), 2 (exact)] at 100 %"),
    ],
)
def test_interval_prints_its_kinds(interval, text):
    assert str(interval) == text
    assert repr(interval) == f"Interval({text})"


def test_a_printed_interval_never_claims_more_than_the_interval(rng):
    for _ in range(200):
        lower = rng.normal() * 10.0 ** rng.integers(-3, 5)
        upper = lower + 10.0 ** rng.uniform(-6, 4)
        words = str(Interval(lower, upper, "certified", "certified", 0.9)).replace("[", "").replace("]", "").split()
        printed_lower, printed_upper = float(words[0]), float(words[2])
        slack = 1e-6 * (upper - lower) + 1e-12 * abs(lower)
        assert printed_lower <= lower + slack
        assert printed_upper >= upper - slack
        assert printed_upper - printed_lower <= 1.05 * (upper - lower) + slack


def test_interval_geometry():
    interval = Interval(-1.0, 3.0, "certified", "exact", 0.9)
    assert interval.width == 4.0
    assert interval.contains(-1.0)
    assert interval.contains(3.0)
    assert not interval.contains(3.1)
    assert not interval.contains(NAN)
    assert interval.negated() == Interval(-3.0, 1.0, "exact", "certified", 0.9)
    assert interval.negated().negated() == interval
    assert interval.shifted(2.0) == Interval(1.0, 5.0, "certified", "exact", 0.9)
    assert Interval(-INF, INF, "none", "none", 0.9).width == INF
    assert Interval(INF, INF, "none", "none", 0.9).width == 0.0


def test_interval_goes_through_json():
    back = json.loads(json.dumps(Interval(1.0, INF, "certified", "none", 0.95).to_json(), allow_nan=False))
    assert back == {"lower": 1.0, "upper": None, "lower_kind": "certified", "upper_kind": "none", "level": 0.95}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2.0, 1.0, "exact", "exact", 0.9), "must not exceed"),
        ((NAN, 1.0, "exact", "exact", 0.9), "must not exceed"),
        ((0.0, 1.0, "certain", "exact", 0.9), "Did you mean 'certified'"),
        ((0.0, 1.0, "exact", "sampled", 0.9), "unknown kind"),
        ((0.0, 1.0, "exact", "exact", 0.0), "level"),
        ((0.0, 1.0, "exact", "exact", 1.1), "level"),
    ],
)
def test_interval_refuses(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Interval(*arguments)
