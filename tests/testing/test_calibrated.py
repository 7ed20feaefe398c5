"""The assertions themselves: they fail as often as they say for right laws, and always for the defects they name."""

import jax
import numpy as np
import pytest
import scipy.stats

from energax import testing
from energax._errors import ArgumentError
from energax.testing import (
    FALSE_ALARM,
    assert_counts,
    assert_distribution,
    assert_mean,
    assert_same_law,
    required_draws,
)

REPLICATES = 400
LEVEL = 0.05


def share_of_failures(check):
    """How often a check with false_alarm=LEVEL fails, over replicates of a right law."""
    failures = 0
    for seed in range(REPLICATES):
        try:
            check(np.random.default_rng(seed))
        except AssertionError:
            failures += 1
    return failures


def within_binomial(failures, *, at_most=False):
    """The count agrees with LEVEL, or is below it where the test is conservative."""
    low, high = scipy.stats.binom.ppf([5e-7, 1 - 5e-7], REPLICATES, LEVEL)
    return failures <= high and (at_most or failures >= low)


PROBABILITIES = np.array([0.5, 0.2, 0.2, 0.06, 0.03, 0.01])


def mean_of(rng, shift=0.0):
    assert_mean(rng.exponential(1.0, (2000, 3)) + shift, np.ones(3), false_alarm=LEVEL)


def weighted_mean_of(rng):
    x = rng.normal(0, 1, 4000)
    assert_mean(x, 0.5, weights=np.exp(0.5 * x), false_alarm=LEVEL)


def counts_of(rng):
    assert_counts(rng.multinomial(3000, PROBABILITIES), PROBABILITIES, false_alarm=LEVEL)


def two_counts_of(rng):
    assert_counts(rng.multinomial(2000, [0.3, 0.7]), [0.3, 0.7], false_alarm=LEVEL)


def distribution_of(rng):
    assert_distribution(rng.normal(0, 1, 1500), scipy.stats.norm.cdf, false_alarm=LEVEL)


def same_law_of(rng):
    assert_same_law(rng.normal(0, 1, (1500, 2)), rng.normal(0, 1, (1200, 2)), false_alarm=LEVEL)


@pytest.mark.parametrize("check", [mean_of, weighted_mean_of, counts_of, distribution_of])
def test_false_alarms_are_as_rare_as_declared(check):
    assert within_binomial(share_of_failures(check)), check.__name__


@pytest.mark.parametrize("check", [two_counts_of, same_law_of])
def test_conservative_tests_are_at_least_as_rare(check):
    assert within_binomial(share_of_failures(check), at_most=True), check.__name__


def test_numbers_that_never_vary_are_compared_up_to_rounding():
    assert assert_mean(np.full(3000, 0.3, np.float32), 0.3) == 1.0
    assert assert_mean(np.zeros((3000, 2)), np.zeros(2)) == 1.0


def test_the_required_number_of_draws_sees_the_defect():
    """With the number for (delta, miss) the share of unseen defects is the miss probability."""
    assert required_draws(0.05, 1.0) == 25485
    num = required_draws(0.1, 1.0, false_alarm=1e-3, miss=0.1)
    unseen = 0
    for seed in range(REPLICATES):
        draws = np.random.default_rng(seed).normal(0.1, 1.0, num)
        try:
            assert_mean(draws, 0.0, false_alarm=1e-3)
        except AssertionError:
            continue
        unseen += 1
    low, high = scipy.stats.binom.ppf([5e-7, 1 - 5e-7], REPLICATES, 0.1)
    assert low <= unseen <= high


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (
            lambda r: assert_mean(r.normal(0.1, 1, 20_000), 0.0, name="x"),
            r"x: mean .*z = \+1\d.*smallest visible shift",
        ),
        (lambda r: assert_mean(np.full(2000, 0.3), 0.4), "p = 0 <"),
        (lambda r: assert_mean(np.where(r.random(2000) < 0.1, np.nan, 1.0), 1.0), "not finite"),
        (lambda r: assert_mean(r.normal(size=5000), 0.0, weights=np.eye(5000)[0]), "1 effective draws"),
        (lambda r: assert_counts(r.multinomial(20_000, [0.34, 0.66]), [0.3, 0.7]), "p = .*degrees of freedom|G ="),
        (lambda r: assert_counts([900, 1000, 100], [0.45, 0.55, 0.0]), "probability zero"),
        (
            lambda r: assert_counts(r.multinomial(60_000, [0.25, 0.25, 0.3, 0.2]), [0.25] * 4),
            "smallest visible relative",
        ),
        (lambda r: assert_distribution(r.normal(0.1, 1, 20_000), scipy.stats.norm.cdf), "smallest visible distance"),
        (lambda r: assert_same_law(r.normal(0, 1, 20_000), r.normal(0, 1.15, 20_000)), "component 0 differs"),
        (
            lambda r: assert_same_law(
                r.multivariate_normal([0, 0], [[1, 0.3], [0.3, 1]], 20_000), r.normal(size=(20_000, 2))
            ),
            "product of components 0 and 1|sum of components",
        ),
    ],
)
def test_defects_are_seen_and_described(fail, message):
    with pytest.raises(AssertionError, match=message):
        fail(np.random.default_rng(7))


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (lambda: assert_mean(np.zeros(10), 0.0), "too few"),
        (lambda: assert_mean(np.zeros((2000, 3)), np.zeros(2)), r"shape \(2,\)"),
        (lambda: assert_mean(np.zeros(2000), 0.0, weights=np.ones(3)), "weights must be"),
        (lambda: assert_counts([1000, 1000], [0.5, 0.6]), "sum to 1"),
        (lambda: assert_counts([30, 30], [0.5, 0.5]), "only one cell"),
        (lambda: assert_distribution(np.zeros((2000, 2)), scipy.stats.norm.cdf), "real numbers"),
        (lambda: assert_same_law(np.zeros((2000, 2)), np.zeros((2000, 3))), "no law in common"),
        (lambda: required_draws(0.0, 1.0), "delta > 0"),
    ],
)
def test_wrong_use_is_refused(fail, message):
    with pytest.raises(ArgumentError, match=message):
        fail()


@pytest.mark.parametrize("name", [n for n in testing.references.__all__ if n[0].islower()])
def test_references_agree_with_themselves(name, key):
    """20,000 exact draws have the exact moments; a shift of 0.06 standard deviations would be seen."""
    reference = getattr(testing.references, name)()
    draws = reference.draw(key=key, num=20_000)
    assert reference.assert_matches(draws) >= FALSE_ALARM
    with pytest.raises(AssertionError, match=reference.name):
        reference.assert_matches(jax.tree.map(lambda leaf: 1 - leaf if name == "asymmetric_rbm" else -leaf, draws))
