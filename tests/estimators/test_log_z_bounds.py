"""The ends of the interval for log Z fail no more often than they say, and the error bar is calibrated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators import (
    group_log_z,
    log_mean_exp,
    log_mean_exp_stderr,
    log_z_from_work,
    log_z_interval,
    lower_bound,
    upper_bound,
)

REPLICATES = 4000
DELTA = 0.1


def log_normal(rng, num, *, spread):
    """Log weights of mean weight one; a spread of 2 is a tail that 100 draws hardly see."""
    return rng.normal(-(spread**2) / 2, spread, size=num)


def two_point(rng, num, *, large):
    """Weights 0 or `large` with mean one: Markov's inequality at log(large) is an equality."""
    return np.where(rng.random(num) < 1.0 / large, math.log(large), -np.inf)


def pareto(rng, num, *, index):
    """Weights of mean one and infinite variance (index between 1 and 2)."""
    return np.log(rng.pareto(index, size=num) + 1.0) + math.log((index - 1.0) / index)


LAWS = {
    "narrow": lambda rng, m: log_normal(rng, (REPLICATES, m), spread=0.1),
    "wide": lambda rng, m: log_normal(rng, (REPLICATES, m), spread=2.0),
    "pareto": lambda rng, m: pareto(rng, (REPLICATES, m), index=1.2),
    "nearly always a little high": lambda rng, m: two_point(rng, (REPLICATES, m), large=1.001),
    "often a fifth high": lambda rng, m: two_point(rng, (REPLICATES, m), large=1.2),
    # Just above e^a at a = ln(1/delta) / m: all groups are large together with probability delta.
    "extremal": lambda rng, m: two_point(rng, (REPLICATES, m), large=DELTA ** (-1.0 / m) * (1.0 + 1e-9)),
}


def check_lower_bound_fails_rarely(bound, rng, check, num_groups=5):
    """Smallest defect seen: a failure probability of 0.14 instead of 0.1."""
    for law in LAWS.values():
        failures = sum(bound(groups, DELTA) >= 0.0 for groups in law(rng, num_groups))
        check.rate_at_most(int(failures), REPLICATES, DELTA)


def check_upper_bound_fails_rarely(bound, rng, check, num_groups=5):
    """Reverse groups: the inverse estimates have mean one."""
    for law in LAWS.values():
        failures = sum(bound(-groups, DELTA) <= 0.0 for groups in law(rng, num_groups))
        check.rate_at_most(int(failures), REPLICATES, DELTA)


@pytest.mark.parametrize("statistic", ["min", "mean", 1, 2, 4])
def test_bounds_fail_no_more_often_than_delta(statistic, rng, check):
    check_lower_bound_fails_rarely(lambda g, d: lower_bound(g, d, statistic=statistic), rng, check)
    check_upper_bound_fails_rarely(lambda g, d: upper_bound(g, d, statistic=statistic), rng, check)


def test_bounds_are_as_sharp_as_markov_allows(rng, check):
    """On the extremal law both statistics fail with probability delta exactly: no slack was left by mistake."""
    for statistic in ("min", "mean"):
        failures = sum(lower_bound(g, DELTA, statistic=statistic) >= 0.0 for g in LAWS["extremal"](rng, 5))
        check.rate(int(failures), REPLICATES, DELTA)


LOWER_MUTANTS = {
    "maximum for minimum": lambda g, d: np.max(g) + math.log(d) / g.size,
    "log of the mean at the price of the groups": lambda g, d: log_mean_exp(g) + math.log(d) / g.size,
    "median for minimum": lambda g, d: np.median(g) + math.log(d) / g.size,
    "no penalty": lambda g, d: np.min(g),
    "penalty with the wrong sign": lambda g, d: np.min(g) - math.log(d) / g.size,
    "penalty of groups squared": lambda g, d: np.min(g) + math.log(d) / g.size**2,
    "second smallest at the price of the smallest": lambda g, d: np.sort(g)[1] + math.log(d) / g.size,
}


@pytest.mark.parametrize("mutant", LOWER_MUTANTS.values(), ids=LOWER_MUTANTS.keys())
def test_lower_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError, match="at most a share"):
        check_lower_bound_fails_rarely(mutant, rng, check)


UPPER_MUTANTS = {
    "minimum for maximum": lambda g, d: np.min(g) - math.log(d) / g.size,
    "no penalty": lambda g, d: np.max(g),
}


@pytest.mark.parametrize("mutant", UPPER_MUTANTS.values(), ids=UPPER_MUTANTS.keys())
def test_upper_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError, match="at most a share"):
        check_upper_bound_fails_rarely(mutant, rng, check)


def test_bounds_in_closed_form(rng):
    g = rng.normal(size=8)
    assert lower_bound(g, 0.05) == pytest.approx(g.min() - math.log(20.0) / 8, rel=1e-14)
    assert upper_bound(g, 0.05) == pytest.approx(g.max() + math.log(20.0) / 8, rel=1e-14)
    assert lower_bound(g, 0.05, statistic="mean") == pytest.approx(g.mean() - math.log(20.0) / 8, rel=1e-14)
    assert lower_bound(g, 0.05, statistic=1) == pytest.approx(lower_bound(g, 0.05), rel=1e-12)
    # One group at least at the binomial tail 1 - (1 - q)^m = delta.
    q = 1.0 - 0.95 ** (1.0 / 8.0)
    assert lower_bound(g, 0.05, statistic=8) == pytest.approx(g.max() + math.log(q), rel=1e-12)


def test_bounds_move_with_the_energy_and_mirror_each_other(rng):
    g = rng.normal(size=6)
    for statistic in ("min", "mean", 2):
        lower = lower_bound(g, 0.1, statistic=statistic)
        assert lower_bound(g + 7.0, 0.1, statistic=statistic) == pytest.approx(lower + 7.0, rel=1e-13)
        assert upper_bound(-g, 0.1, statistic=statistic) == pytest.approx(-lower, rel=1e-13)
    assert lower_bound(g, 0.1, statistic="mean") >= lower_bound(g, 0.1)


def test_a_group_that_found_nothing():
    g = np.array([-np.inf, 0.0, 0.0])
    assert lower_bound(g) == -math.inf
    assert lower_bound(g, statistic="mean") == -math.inf
    assert math.isfinite(lower_bound(g, statistic=2))


def test_two_sided_interval_holds_at_its_level(rng, check):
    """Forward and reverse groups that share their noise: the union bound covers any dependence."""
    outside = 0
    for _ in range(REPLICATES):
        w = log_normal(rng, (5,), spread=1.0)
        try:
            outside += not log_z_interval(w, -w, upper_kind="certified", level=0.9).contains(0.0)
        except Unreliable:
            outside += 1
    check.rate_at_most(outside, REPLICATES, 0.1)


def test_interval_kinds_and_refusals():
    open_end = log_z_interval([0.0, 0.1])
    assert (open_end.lower_kind, open_end.upper_kind, open_end.upper) == ("certified", "none", math.inf)
    closed = log_z_interval([0.0, 0.1], [0.2, 0.3], upper_kind="assumes-equilibrium", level=0.9)
    penalty = math.log(20.0) / 2
    assert (closed.lower_kind, closed.upper_kind, closed.level) == ("certified", "assumes-equilibrium", 0.9)
    assert (closed.lower, closed.upper) == pytest.approx((-penalty, 0.3 + penalty), rel=1e-12)
    narrow = log_z_interval([0.0, 0.1], [0.2, 0.3], upper_kind="certified", level=0.9, statistic="mean")
    assert narrow.width < closed.width
    for reverse, kind in ((None, "certified"), ([0.0], "none"), ([0.0], "exact")):
        with pytest.raises(ArgumentError, match="upper_kind"):
            log_z_interval([0.0], reverse, upper_kind=kind)
    with pytest.raises(Unreliable, match="cross") as caught:
        log_z_interval([5.0] * 50, [0.0] * 50, upper_kind="assumes-equilibrium")
    lower, upper = caught.value.estimate
    assert lower > upper


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, np.nan], 0.05), "1 NaN of 2"),
        (([0.0], 0.0), "delta"),
        (([0.0], 1.0), "delta"),
    ],
)
def test_bounds_refuse(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        lower_bound(*arguments)


@pytest.mark.parametrize("statistic", [0, 3, "median", 1.5])
def test_unknown_statistics_are_refused(statistic):
    with pytest.raises(ArgumentError, match="statistic"):
        lower_bound([0.0, 1.0], statistic=statistic)


def test_groups_by_number_and_by_label(rng):
    a = rng.normal(size=12)
    expected = [log_mean_exp(a[i : i + 4]) for i in (0, 4, 8)]
    assert group_log_z(a, 3) == pytest.approx(expected)
    assert group_log_z(a, np.repeat([7, 8, 9], 4)) == pytest.approx(expected)
    assert group_log_z(a, 3, reverse=True) == pytest.approx([-e for e in expected])
    assert group_log_z(a, 1) == pytest.approx([log_mean_exp(a)])
    with pytest.raises(ShapeError, match="one label a particle"):
        group_log_z(a, [1, 2])
    with pytest.raises(ArgumentError, match="groups"):
        group_log_z(a, 13)


def check_log_z_is_calibrated(estimator, rng, check):
    """Smallest defect seen: an error bar that is 20 % off, or a bias of half of it."""
    for spread, num in ((0.3, 400), (1.0, 1000)):
        estimates = [estimator(log_normal(rng, num, spread=spread)) for _ in range(1500)]
        quiet = [e for e in estimates if not e.warnings]
        assert len(quiet) > 1450
        check.calibrated(quiet, 0.0)


def test_log_z_error_bar_is_calibrated(rng, check):
    check_log_z_is_calibrated(log_z_from_work, rng, check)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_log_z_mutants_are_caught(factor, rng, check):
    def mutant(a):
        estimate = log_z_from_work(a)
        return type(estimate)(estimate.value, estimate.stderr * factor, 1.0, "mutant")

    with pytest.raises(AssertionError):
        check_log_z_is_calibrated(mutant, rng, check)


def coupled(rng, num_groups, size):
    """Particles of one group that share most of their noise, as after resampling; mean weight one."""
    shared = np.repeat(rng.normal(size=num_groups), size)
    return 0.4 * shared + 0.2 * rng.normal(size=num_groups * size) - 0.1


def check_grouped_log_z_is_calibrated(estimator, rng, check):
    check.calibrated([estimator(coupled(rng, 50, 8)) for _ in range(1500)], 0.0)


def test_grouped_error_bar_is_calibrated_where_particles_are_coupled(rng, check):
    check_grouped_log_z_is_calibrated(lambda a: log_z_from_work(a, 50), rng, check)
    with pytest.raises(AssertionError):
        check_grouped_log_z_is_calibrated(log_z_from_work, rng, check)


def test_groups_of_one_are_no_groups(rng):
    a = rng.normal(size=30)
    assert log_z_from_work(a, np.arange(30)).stderr == pytest.approx(log_mean_exp_stderr(a), rel=1e-12)
    assert log_z_from_work(a).stderr == pytest.approx(log_mean_exp_stderr(a), rel=1e-12)
    assert log_z_from_work(a, 15).value == pytest.approx(log_mean_exp(a), rel=1e-12)
    assert log_z_from_work(a, reverse=True).value == pytest.approx(-log_mean_exp(a), rel=1e-12)
    with pytest.raises(ArgumentError, match="at least two independent groups"):
        log_z_from_work(a, 1)


def test_weights_that_miss_their_tail_are_flagged(rng):
    """A spread of two nats at 1000 draws: e^-4 of them carry the sum. Fewer than 1 in 100 passes in silence."""
    silent = sum(not log_z_from_work(log_normal(rng, 1000, spread=2.0)).warnings for _ in range(500))
    assert silent <= 5


def test_without_overlap_there_is_no_error_bar():
    estimate = log_z_from_work(np.arange(20) * 50.0)
    assert math.isnan(estimate.stderr)
    assert "low_overlap" in estimate.warnings[0]
    nothing = log_z_from_work(np.full(20, -np.inf))
    assert nothing.value == -math.inf
    assert "zero_weights" in nothing.warnings[0]
    assert "few_groups" in log_z_from_work(np.zeros(30), 3).warnings[0]
