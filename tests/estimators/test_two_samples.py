"""MMD, energy distance and Wasserstein distances between laws whose distance is known."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy.stats import norm, wasserstein_distance

from energax._errors import ArgumentError, ShapeError
from energax.estimators import Estimate, energy_distance, mmd, sliced_wasserstein, wasserstein
from energax.estimators._assignment import best_pairing, costs_of, pairing_potentials


def gaussian_mmd(shift, h):
    """Squared MMD of N(0, 1) and N(shift, 1) under the Gaussian kernel of bandwidth h."""
    scale = h / math.sqrt(h**2 + 2.0)
    return 2.0 * scale * (1.0 - math.exp(-(shift**2) / (2.0 * (h**2 + 2.0))))


def gaussian_energy_distance(shift):
    far = 2.0 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4.0) + shift * (
        1.0 - 2.0 * norm.cdf(-shift / math.sqrt(2.0))
    )
    return 2.0 * far - 4.0 / math.sqrt(math.pi)


def by_loops(x, y, kernel):
    """The U-statistic from its definition."""
    xx = np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    return xx + yy - 2.0 * np.mean([kernel(a, b) for a in x for b in y])


def test_mmd_is_its_definition(rng):
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1.0
    expected = by_loops(x, y, lambda a, b: math.exp(-np.sum((a - b) ** 2) / (2.0 * 1.3**2)))
    assert mmd(x, y, "gaussian", 1.3).value == pytest.approx(expected, rel=1e-10)
    expected = by_loops(x, y, lambda a, b: -np.linalg.norm(a - b))
    assert energy_distance(x, y).value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("levels", [[0, 1], [-1, 1], [0, 1, 2, 5]])
def test_hamming_mmd_is_its_definition(levels, rng):
    x, y = rng.choice(levels, size=(7, 6)), rng.choice(levels, size=(5, 6))
    expected = by_loops(x, y, lambda a, b: math.exp(-np.count_nonzero(a != b) / 2.5))
    assert mmd(x, y, "exponential-hamming", 2.5).value == pytest.approx(expected, rel=1e-12)


def test_jackknife_is_leaving_out_one_row(rng):
    x, y = rng.normal(size=(9, 2)), rng.normal(size=(6, 2))
    without_x = [mmd(np.delete(x, i, 0), y, bandwidth=1.0).value for i in range(9)]
    without_y = [mmd(x, np.delete(y, j, 0), bandwidth=1.0).value for j in range(6)]
    expected = math.sqrt(8 * np.var(without_x) + 5 * np.var(without_y))
    assert mmd(x, y, bandwidth=1.0).stderr == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("function", [mmd, energy_distance])
def test_two_sample_statistics_ignore_what_they_should(function, rng):
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(40, 2)) + 0.5
    reference = function(x, y)
    assert function(y, x).value == pytest.approx(reference.value, rel=1e-9)
    assert function(x + 1e4, y + 1e4).value == pytest.approx(reference.value, rel=1e-5)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert function(x @ rotation, y @ rotation).value == pytest.approx(reference.value, rel=1e-9)
    assert function(x.reshape(30, 2, 1), y.reshape(40, 1, 2)).value == pytest.approx(reference.value, rel=1e-12)


def check_mmd_is_unbiased(estimator, rng, check):
    """At no shift and at one of 1.5, small samples. Smallest defect seen: the V-statistic's bias of 1/n."""
    for shift in (0.0, 1.5):
        values = [estimator(rng.normal(size=(30, 1)), rng.normal(size=(20, 1)) + shift).value for _ in range(2000)]
        check.mean(values, gaussian_mmd(shift, 1.0))


def v_statistic(x, y):
    """The mean over all pairs, a row with itself included."""
    u = mmd(x, y, bandwidth=1.0)
    n, m = len(x), len(y)

    def off(a):
        return np.exp(-((a - a.T) ** 2) / 2.0).sum() - len(a)

    bias = off(x) * (1 / n**2 - 1 / (n * (n - 1))) + 1 / n + off(y) * (1 / m**2 - 1 / (m * (m - 1))) + 1 / m
    return u.shifted(float(bias))


MMD_MUTANTS = {
    "pairs of a row with itself": v_statistic,
    "cross term once": lambda x, y: mmd(x, y, bandwidth=1.0).shifted(float(np.exp(-((x - y.T) ** 2) / 2.0).mean())),
    "another bandwidth": lambda x, y: mmd(x, y, bandwidth=math.sqrt(0.5)),
}


def test_mmd_is_unbiased(rng, check):
    check_mmd_is_unbiased(lambda x, y: mmd(x, y, bandwidth=1.0), rng, check)


@pytest.mark.parametrize("mutant", MMD_MUTANTS.values(), ids=MMD_MUTANTS.keys())
def test_mmd_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError, match="mean"):
        check_mmd_is_unbiased(mutant, rng, check)


def check_two_sample_errors_are_calibrated(estimators, rng, check):
    """Two laws 1.5 standard deviations apart. Smallest defect seen: an error bar 30 % too small, 50 % too large."""
    for estimator, exact in estimators:
        pairs = ((rng.normal(size=(300, 1)), rng.normal(size=(200, 1)) + 1.5) for _ in range(400))
        check.calibrated([estimator(x, y) for x, y in pairs], exact)


def test_two_sample_error_bars_are_calibrated(rng, check):
    estimators = [
        (lambda x, y: mmd(x, y, bandwidth=1.0), gaussian_mmd(1.5, 1.0)),
        (energy_distance, gaussian_energy_distance(1.5)),
    ]
    check_two_sample_errors_are_calibrated(estimators, rng, check)


@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_two_sample_error_mutants_are_caught(factor, rng, check):
    def mutant(x, y):
        estimate = energy_distance(x, y)
        return Estimate(estimate.value, factor * estimate.stderr, 1, "mutant")

    with pytest.raises(AssertionError):
        check_two_sample_errors_are_calibrated([(mutant, gaussian_energy_distance(1.5))], rng, check)


def check_p_values_are_uniform(p_value, rng, check):
    """Equal laws: P(p <= u) = u at u = 0.1 and 0.5, whatever the bandwidth's dependence on the data."""
    values = np.asarray([p_value(rng.normal(size=(12, 2)), rng.normal(size=(9, 2)), i) for i in range(2000)])
    for level in (0.1, 0.5):
        check.rate(int(np.count_nonzero(values <= level + 1e-9)), values.size, level)


def test_permutation_p_values_are_uniform_under_equal_laws(rng, check):
    check_p_values_are_uniform(
        lambda x, y, i: mmd(x, y, num_permutations=19, seed=i).diagnostics["p_value"], rng, check
    )


def normal_tail(estimate):
    return norm.sf(estimate.value / estimate.stderr)


P_MUTANTS = {
    "own value not counted": lambda x, y, i: mmd(x, y, num_permutations=19, seed=i).diagnostics["p_value"] - 1 / 20,
    "normal tail of the jackknife": lambda x, y, i: normal_tail(mmd(x, y)),
}


@pytest.mark.parametrize("mutant", P_MUTANTS.values(), ids=P_MUTANTS.keys())
def test_p_value_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError, match="expected"):
        check_p_values_are_uniform(mutant, rng, check)


def test_permutations_see_a_difference(rng):
    x, y = rng.normal(size=(150, 3)), rng.normal(size=(100, 3)) * 2.5
    for function in (mmd, energy_distance):
        estimate = function(x, y, num_permutations=199)
        assert estimate.diagnostics["p_value"] == 1 / 200
        assert 0.0 < estimate.diagnostics["null_stderr"] < estimate.value
    spins = rng.choice([-1, 1], size=(150, 8))
    aligned = np.where(rng.random((100, 1)) < 0.5, 1, -1) * np.ones((100, 8))
    assert mmd(spins, aligned, "exponential-hamming", num_permutations=199).diagnostics["p_value"] == 1 / 200


def test_median_bandwidth(rng):
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(50, 3))
    pooled = np.concatenate([x, y])
    distances = np.linalg.norm(pooled[:, None] - pooled[None], axis=2)[np.triu_indices(110, 1)]
    assert mmd(x, y).diagnostics["bandwidth"] == pytest.approx(np.median(distances), rel=1e-9)
    bits, others = rng.integers(0, 2, size=(60, 16)), rng.integers(0, 2, size=(50, 16))
    assert mmd(bits, others, "exponential-hamming").diagnostics["bandwidth"] == 8.0


def test_large_samples_fit_in_little_memory(rng):
    """3000 and 3000 rows have a distance matrix of 288 MB; the blocks take less than 150 MiB."""
    x = rng.normal(size=(3000, 2))
    tracemalloc.start()
    mmd(x, x + 0.1, bandwidth=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 * 2**20


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.zeros((5, 1)), np.zeros((5, 1))), {}, ArgumentError, "give `bandwidth`"),
        ((np.zeros((5, 1)), np.zeros((5, 1))), {"kernel": "cosine"}, ArgumentError, "kernel"),
        ((np.zeros((5, 1)), np.zeros((5, 1))), {"bandwidth": 0.0}, ArgumentError, "positive"),
        ((np.zeros((5, 1)), np.zeros((5, 2))), {}, ShapeError, "equally long"),
        ((np.zeros((2, 1)), np.zeros((5, 1))), {}, ShapeError, "at least 3"),
        ((np.zeros((5, 1)), np.full((5, 1), np.nan)), {}, ArgumentError, "5 of 5 values"),
        (
            (np.arange(50.0)[:, None], np.arange(50.0)[:, None] + 0.5),
            {"kernel": "exponential-hamming"},
            ArgumentError,
            "discrete rows",
        ),
    ],
)
def test_mmd_refuses(arguments, options, error, message):
    with pytest.raises(error, match=message):
        mmd(*arguments, **options)


def test_wasserstein_of_equal_sizes_is_the_sorted_difference(rng):
    x, y = rng.normal(size=40), rng.normal(size=40) * 2.0 + 1.0
    gaps = np.abs(np.sort(x) - np.sort(y))
    for order in (1.0, 2.0, 3.5):
        value = wasserstein(x, y, order=order, num_permutations=0).value
        assert value == pytest.approx(np.mean(gaps**order) ** (1.0 / order), rel=1e-12)


def test_wasserstein_of_unequal_sizes(rng):
    x, y = rng.normal(size=35), rng.normal(size=21)
    assert wasserstein(x, y).value == pytest.approx(wasserstein_distance(x, y), rel=1e-12)
    # Every draw twice is the same law.
    for order in (1.0, 2.0):
        once = wasserstein(x, y, order=order, num_permutations=0).value
        assert wasserstein(np.tile(x, 3), y, order=order, num_permutations=0).value == pytest.approx(once, rel=1e-12)
        assert wasserstein(y, x, order=order, num_permutations=0).value == pytest.approx(once, rel=1e-12)


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_wasserstein_of_a_shifted_sample_is_the_shift(order, rng):
    x = rng.normal(size=50)
    assert wasserstein(x, x + 2.5, order=order).value == pytest.approx(2.5, rel=1e-12)
    assert wasserstein(x, x, order=order, num_permutations=0).value == 0.0


def check_wasserstein_is_calibrated(estimator, rng, check):
    """N(0, 1) against N(1.5, 1) and N(0, 4). Smallest defect seen: an error bar 20 % off."""
    for order, shift, scale, exact in ((1.0, 1.5, 1.0, 1.5), (2.0, 1.5, 1.0, 1.5), (2.0, 0.0, 2.0, 1.0)):
        pairs = ((rng.normal(size=400), shift + scale * rng.normal(size=300)) for _ in range(800))
        check.calibrated([estimator(x, y, order) for x, y in pairs], exact)


def test_wasserstein_error_bar_is_calibrated(rng, check):
    check_wasserstein_is_calibrated(lambda x, y, p: wasserstein(x, y, order=p, num_permutations=0), rng, check)


def naive(x, y, order):
    """The error of the mean of the sorted differences, as if these were independent."""
    gaps = np.abs(np.quantile(x, np.linspace(0, 1, 300)) - np.sort(y)) ** order
    value = float(gaps.mean()) ** (1 / order)
    return Estimate(value, float(gaps.std()) / math.sqrt(gaps.size) / (order * value ** (order - 1)), 1, "mutant")


def one_sample_only(x, y, order):
    estimate = wasserstein(x, y, order=order, num_permutations=0)
    return Estimate(estimate.value, estimate.stderr * math.sqrt(0.55), 1, "mutant")


@pytest.mark.parametrize("mutant", [naive, one_sample_only])
def test_wasserstein_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_wasserstein_is_calibrated(mutant, rng, check)


def test_noise_floor(rng, check):
    """Of pairs from one law, 1 in 11 exceeds all of its 10 permutations and passes without a warning."""
    same = [wasserstein(rng.normal(size=60), rng.normal(size=40)).warnings for _ in range(400)]
    check.rate(sum(not w for w in same), 400, 1 / 11)
    assert any("noise_floor" in w[0] for w in same if w)
    apart = wasserstein(rng.normal(size=200), rng.normal(size=200) + 1.0)
    assert apart.warnings == ()
    assert apart.diagnostics["p_value"] == 1 / 11
    assert apart.diagnostics["null_mean"] < 0.5


def test_sliced_wasserstein_on_a_line_is_wasserstein(rng):
    x, y = rng.normal(size=30), rng.normal(size=20)
    sliced = sliced_wasserstein(x[:, None], y[:, None], order=2.0, num_permutations=0).value
    assert sliced == pytest.approx(wasserstein(x, y, order=2.0, num_permutations=0).value, rel=1e-12)


def test_sliced_wasserstein_of_a_shift(rng, check):
    """A shift of length a in d dimensions: SW_2² = a² / d. Smallest defect seen: 2 % of the distance."""
    x = rng.normal(size=(40, 3))
    shift = np.array([2.0, -1.0, 2.0])
    squares = [
        sliced_wasserstein(x, x + shift, num_directions=16, num_permutations=0, seed=seed).value ** 2
        for seed in range(400)
    ]
    check.mean(squares, 3.0)


def test_sliced_wasserstein_error_bar_is_calibrated(rng, check):
    """Its square, whose estimate carries no bias of the root; 64 directions, so that both kinds of noise count."""
    estimates = [
        sliced_wasserstein(
            rng.normal(size=(200, 2)),
            rng.normal(size=(150, 2)) + np.array([3.0, 0.0]),
            num_directions=64,
            num_permutations=0,
            seed=i,
        )
        for i in range(250)
    ]
    check.calibrated(estimates, 3.0 / math.sqrt(2.0))
    with pytest.raises(AssertionError):
        check.calibrated([Estimate(e.value, 0.7 * e.stderr, 1, "mutant") for e in estimates], 3.0 / math.sqrt(2.0))


def test_wasserstein_in_the_plane(rng):
    """The best of all pairings of five points; a shift is a shift; rows of one number are the line."""
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)) + 1.0
    for order in (1.0, 2.0, 3.0):
        apart = np.linalg.norm(x[:, None] - y[None], axis=2) ** order
        best = min(np.mean(apart[np.arange(5), list(p)]) for p in itertools.permutations(range(5)))
        found = wasserstein(x, y, order=order, num_permutations=0)
        assert found.value == pytest.approx(best ** (1.0 / order), rel=1e-9)
        assert wasserstein(x, x + np.array([3.0, 4.0]), order=order, num_permutations=0).value == pytest.approx(
            5.0, rel=1e-9
        )
    line, other = rng.normal(size=40), rng.normal(size=40)
    assert wasserstein(line[:, None], other[:, None]).value == wasserstein(line, other).value


def test_potentials_of_a_pairing(rng):
    """Below the cost everywhere, at it along the pairing, so that their means add up to its cost."""
    x, y = rng.normal(size=(30, 2)), 1.3 * rng.normal(size=(30, 2)) + 0.5
    costs = costs_of(x, y, 2.0)
    mean, columns = best_pairing(costs)
    phi, psi = pairing_potentials(costs, columns)
    assert np.min(costs - phi[:, None] - psi) > -1e-10
    assert phi.mean() + psi.mean() == pytest.approx(mean, rel=1e-12)


def check_planar_errors(factor, rng, check):
    """80 rows each of two laws 3 apart, the squared distance of which is 9.25. Seen: 40 % off."""
    found = []
    for _ in range(200):
        x, y = rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) * [1.5, 1.0] + [3.0, 0.0]
        e = wasserstein(x, y, order=2.0, num_permutations=0)
        found.append(Estimate(e.value, factor * e.stderr, 1, "planar"))
    check.calibrated(found, math.sqrt(9.25))


def test_the_error_bar_in_the_plane_is_calibrated(rng, check):
    check_planar_errors(1.0, rng, check)
    with pytest.raises(AssertionError):
        check_planar_errors(0.6, rng, check)


def test_the_noise_floor_in_the_plane(rng):
    x = rng.normal(size=(80, 2))
    assert "noise_floor" in wasserstein(x[:40], x[40:]).warnings[0]
    assert wasserstein(x[:40], x[40:] + 2.0).diagnostics["p_value"] == 1 / 11


def test_transport_refuses():
    with pytest.raises(ShapeError, match="sliced_wasserstein"):
        wasserstein(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="equally long"):
        wasserstein(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(ArgumentError, match="order"):
        wasserstein([0.0, 1.0], [0.0, 1.0], order=0.5)
    with pytest.raises(ArgumentError, match="num_directions"):
        sliced_wasserstein(np.zeros((3, 2)), np.zeros((3, 2)), num_directions=1)
    with pytest.raises(ShapeError, match="equally long"):
        sliced_wasserstein(np.zeros((3, 2)), np.zeros((3, 1)))
