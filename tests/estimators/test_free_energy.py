"""FEP, Jarzynski, BAR and thermodynamic integration on Gaussians, where every answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators import Estimate, bar, fep, jarzynski, log_z_from_work, thermodynamic_integration

DELTA_F = 1.7


def gaussian_work(rng, num_forward, num_reverse, variance):
    """Gaussian work that obeys Crooks' relation with free-energy difference DELTA_F."""
    half, spread = variance / 2, math.sqrt(variance)
    return rng.normal(half + DELTA_F, spread, num_forward), rng.normal(half - DELTA_F, spread, num_reverse)


def harmonic(rng, num, start, end):
    """Energy differences from the well of stiffness `start` to that of stiffness `end`, at draws of the first."""
    return 0.5 * (end - start) * rng.normal(0.0, start**-0.5, num) ** 2


def test_fep_is_the_log_mean_weight(rng):
    u = rng.normal(size=60)
    weights = log_z_from_work(-u)
    assert fep(u).value == pytest.approx(-weights.value, rel=1e-13)
    assert fep(u).stderr == pytest.approx(weights.stderr, rel=1e-13)
    assert jarzynski(u).value == pytest.approx(fep(u).value, rel=1e-13)
    assert fep(u + 3.0).value == pytest.approx(fep(u).value + 3.0, rel=1e-12)
    assert fep(u, tau=4.0).stderr == pytest.approx(2.0 * fep(u).stderr, rel=1e-12)


def check_fep_is_calibrated(estimator, rng, check, num=1000):
    """Harmonic wells 1 → 3 and 2 → 1.4. Smallest defect seen: an error bar wrong by 20 %."""
    for start, end in ((1.0, 3.0), (2.0, 1.4)):
        estimates = [estimator(harmonic(rng, 2000, start, end)) for _ in range(num)]
        check.calibrated(estimates, 0.5 * math.log(end / start))


def test_fep_in_reverse_is_fep_with_the_ends_exchanged(rng, check):
    """The same differences U_1 − U_0, at draws of state 1, and the same answer."""
    u = harmonic(rng, 500, 3.0, 2.0)
    reverse = fep(-u, direction="reverse")
    assert reverse.value == -fep(u).value
    assert reverse.stderr == fep(u).stderr
    assert reverse.diagnostics["mean_work"] == pytest.approx(-np.mean(u))
    estimates = [fep(-harmonic(rng, 1000, 3.0, 2.0), direction="reverse") for _ in range(400)]
    check.calibrated(estimates, 0.5 * math.log(3.0 / 2.0))
    with pytest.raises(ArgumentError, match="`direction`"):
        fep(u, direction="backward")


@pytest.mark.parametrize("estimator", [fep, jarzynski])
def test_one_draw_that_carries_all_is_refused(estimator, rng):
    with pytest.raises(Unreliable, match=r"no overlap: one draw of 500 holds .* % .*intermediate") as caught:
        estimator(rng.normal(100.0, 20.0, 500))
    assert caught.value.estimate.value < 100.0


@pytest.mark.parametrize("end", [0.8, 2.0])
def test_fep_has_a_finite_error_bar_where_the_variance_is_finite(end):
    """Wells 1 → k: the relative variance of a weight is k/√(2k − 1) − 1 if k > 1/2. On quantiles, not on draws."""
    found = fep(0.5 * (end - 1.0) * quantiles(1_000_000) ** 2)
    assert found.stderr**2 * 1_000_000 == pytest.approx(end / math.sqrt(2 * end - 1.0) - 1.0, rel=2e-3)
    assert found.value == pytest.approx(0.5 * math.log(end), abs=1e-5)


def test_fep_has_none_below_half_the_stiffness():
    """Wells 1 → 0.3: the spread of the weights grows without bound with their number."""
    spreads = [fep(0.5 * (0.3 - 1.0) * quantiles(n) ** 2).stderr ** 2 * n for n in (1_000, 100_000, 1_000_000)]
    assert spreads[0] < spreads[1] / 4 < spreads[2] / 8


def quantiles(num):
    """Of the standard normal law."""
    return norm.ppf((np.arange(num) + 0.5) / num)


def test_cumulants_of_the_work(rng):
    """Gaussian work: two cumulants are exact. A skewed law: three are nearer than two."""
    diagnostics = [jarzynski(rng.normal(1.5, 1.0, 400)).diagnostics for _ in range(400)]
    for name in ("cumulant_2", "cumulant_3"):
        z = (np.mean([d[name] for d in diagnostics]) - 1.0) / (np.std([d[name] for d in diagnostics]) / 20.0)
        assert abs(z) <= 4.9
    work = 0.3 * rng.exponential(size=100_000)
    found = jarzynski(work)
    errors = [abs(found.diagnostics[name] - math.log(1.3)) for name in ("cumulant_2", "cumulant_3")]
    assert errors[1] < 0.5 * errors[0]
    assert found.diagnostics["bias"] == pytest.approx(0.5 * found.stderr**2)
    assert math.isnan(jarzynski([0.0, 0.1, np.inf] * 9).diagnostics["cumulant_2"])


FEP_MUTANTS = {
    "swapped sign of the energy": lambda u: fep(-u),
    "swapped sign of the value": lambda u: fep(u).negated(),
    "mean for exponential mean": lambda u: Estimate(np.mean(u), np.std(u) / math.sqrt(u.size), u.size, "mutant"),
    "error bar of one draw": lambda u: Estimate(fep(u).value, fep(u).stderr * math.sqrt(u.size), 1, "mutant"),
}


def test_fep_is_calibrated(rng, check):
    check_fep_is_calibrated(fep, rng, check)


@pytest.mark.parametrize("mutant", FEP_MUTANTS.values(), ids=FEP_MUTANTS.keys())
def test_fep_mutants_are_caught(mutant, rng, check):
    with pytest.raises((AssertionError, Unreliable)):
        check_fep_is_calibrated(mutant, rng, check, num=100)


def test_jarzynski_on_the_dragged_trap(rng, check):
    """Stiffness 2, speed 0.75, time 2: free energy 0 and Gaussian work of mean 0.8489 and variance twice that."""
    mean = 0.75**2 * (2.0 - (1.0 - math.exp(-4.0)) / 2.0)
    assert mean == pytest.approx(0.8489013, rel=1e-6)
    estimates = [jarzynski(rng.normal(mean, math.sqrt(2 * mean), 4000)) for _ in range(500)]
    check.calibrated(estimates, 0.0)
    check.mean([e.diagnostics["mean_work"] for e in estimates], mean)
    assert estimates[0].diagnostics["dissipated"] == pytest.approx(
        estimates[0].diagnostics["mean_work"] - estimates[0].value
    )


def check_bar_identities(estimator, rng):
    forward, reverse = gaussian_work(rng, 300, 200, 1.0)
    estimate = estimator(forward, reverse)
    swapped = estimator(reverse, forward)
    assert swapped.value == pytest.approx(-estimate.value, abs=1e-9)
    assert swapped.stderr == pytest.approx(estimate.stderr, rel=1e-9)
    shifted = estimator(forward + 5e3, reverse - 5e3)
    assert shifted.value == pytest.approx(estimate.value + 5e3, rel=1e-12)
    assert shifted.stderr == pytest.approx(estimate.stderr, rel=1e-6)
    # The defining equation itself, with Fermi functions written out.
    x = math.log(300 / 200) - estimate.value
    left = np.sum(1.0 / (1.0 + np.exp(forward + x)))
    assert left == pytest.approx(np.sum(1.0 / (1.0 + np.exp(reverse - x))), rel=1e-9)


def check_bar_is_calibrated(estimator, rng, check, num=1000):
    """Unequal counts, since a lost log(n_F / n_R) shows only there. Smallest defect seen: a stderr wrong by 20 %."""
    for num_forward, num_reverse, variance in ((300, 300, 1.0), (600, 150, 4.0)):
        works = (gaussian_work(rng, num_forward, num_reverse, variance) for _ in range(num))
        check.calibrated([estimator(*w) for w in works], DELTA_F)


def bennett_without_counts(forward, reverse):
    """The optimal constant for equal counts, applied to unequal ones, with means taken for sums."""
    estimate = bar(np.resize(forward, reverse.size), reverse)
    return Estimate(estimate.value, bar(forward, reverse).stderr, 1, "mutant")


def with_stderr(factor):
    def mutant(forward, reverse):
        estimate = bar(forward, reverse)
        return Estimate(estimate.value, estimate.stderr * factor, 1, "mutant")

    return mutant


def sum_for_mean(forward, reverse):
    estimate = bar(forward, reverse)
    return estimate.shifted(math.log(forward.size / reverse.size))


BAR_MUTANTS = {
    "swapped sign of the reverse work": (lambda f, r: bar(f, -r), 100),
    "forward and reverse exchanged": (lambda f, r: bar(r, f), 100),
    "the count ratio lost": (sum_for_mean, 100),
    "most forward draws lost": (bennett_without_counts, 300),
    "stderr too small": (with_stderr(0.8), 1000),
    "stderr too large": (with_stderr(1.25), 1000),
    "error of the forward works alone": (lambda f, r: Estimate(bar(f, r).value, fep(f).stderr, 1, "mutant"), 300),
}


def test_bar_identities(rng):
    check_bar_identities(bar, rng)


def test_bar_is_calibrated(rng, check):
    check_bar_is_calibrated(bar, rng, check)


@pytest.mark.parametrize(("mutant", "num"), BAR_MUTANTS.values(), ids=BAR_MUTANTS.keys())
def test_bar_mutants_are_caught(mutant, num, rng, check):
    with pytest.raises((AssertionError, Unreliable)):
        check_bar_is_calibrated(mutant, rng, check, num)


def test_bar_of_one_state_is_exact():
    """Work that is the same for every draw: the free-energy difference is that work, whatever the counts."""
    estimate = bar(np.full(10, 0.7), np.full(30, -0.7))
    assert estimate.value == pytest.approx(0.7, abs=1e-10)
    assert estimate.stderr == pytest.approx(0.0, abs=1e-12)
    assert estimate.diagnostics["overlap"] == pytest.approx(1.0, rel=1e-9)
    assert estimate.num_effective == pytest.approx(40.0, rel=1e-9)


def test_bar_beats_both_one_sided_estimators(rng):
    """At variance 4 the spread over replicates of either one-sided estimator is more than twice that of BAR."""
    both, one, other = [], [], []
    for _ in range(300):
        forward, reverse = gaussian_work(rng, 300, 300, 4.0)
        estimate = bar(forward, reverse)
        both.append(estimate.value)
        one.append(estimate.diagnostics["fep_forward"])
        other.append(estimate.diagnostics["fep_reverse"])
    assert 2.0 * np.std(both) < min(np.std(one), np.std(other))


def test_bar_takes_forbidden_configurations(rng):
    """State 1 is the positive half of state 0: half the forward works are infinite, and the answer is log 2."""
    forward = np.where(rng.random(400) < 0.5, 0.0, np.inf)
    estimate = bar(forward, np.zeros(400))
    assert abs(estimate.value - math.log(2.0)) <= 4.9 * estimate.stderr


@pytest.mark.filterwarnings("error")
def test_bar_refuses_without_overlap(rng):
    with pytest.raises(Unreliable, match=r"no overlap.*intermediate states") as caught:
        bar(rng.normal(100.0, 1.0, 500), rng.normal(100.0, 1.0, 500))
    assert isinstance(caught.value.estimate, Estimate)
    assert abs(caught.value.estimate.value) < 10.0
    with pytest.raises(Unreliable, match="every value of `reverse`"):
        bar([0.0, 1.0], [np.inf, np.inf])


def test_bar_warns_of_poor_overlap(rng):
    forward, reverse = gaussian_work(rng, 40, 40, 9.0)
    assert "low_overlap" in bar(forward, reverse).warnings[0]
    forward, reverse = gaussian_work(rng, 400, 400, 1.0)
    assert bar(forward, reverse).warnings == ()
    assert "low_overlap" in bar(forward, reverse, tau_forward=50.0).warnings[0]


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_bad_works_are_counted_and_refused(bad):
    for call in (lambda w: fep(w), lambda w: jarzynski(w), lambda w: bar(w, [0.0, 0.0]), lambda w: bar([0.0, 0.0], w)):
        with pytest.raises(ArgumentError, match="1 of 3 values"):
            call([0.0, bad, 1.0])


@pytest.mark.parametrize("tau", [-1.0, np.nan, np.inf])
def test_bad_autocorrelation_times_are_refused(tau):
    with pytest.raises(ArgumentError, match="tau"):
        fep([0.0, 1.0], tau=tau)
    with pytest.raises(ArgumentError, match="tau_reverse"):
        bar([0.0, 1.0], [0.0, 1.0], tau_reverse=tau)


def test_ti_from_the_harmonic_to_the_double_well():
    """N(0, 1) to exp(-(x²-1)²): the derivative by quadrature at 41 points of the straight path."""
    x = np.linspace(-6.0, 6.0, 4001)
    start, end = 0.5 * x**2 + 0.5 * math.log(2.0 * math.pi), (x**2 - 1.0) ** 2
    ts = np.linspace(0.0, 1.0, 41)

    def mean(t):
        w = np.exp(-(1.0 - t) * start - t * end)
        return np.sum(w * (end - start)) / np.sum(w)

    # The path's first point has E_0[U_1 - U_0] with U_0 normalised, so that the answer is -log Z_1.
    estimate = thermodynamic_integration(ts, [mean(t) for t in ts], np.full(41, 1e-3))
    assert estimate.value == pytest.approx(-0.6799262429, abs=5e-3)
    fine = np.linspace(0.0, 1.0, 801)
    exact = thermodynamic_integration(fine, [mean(t) for t in fine], np.full(801, 1e-3))
    assert exact.value == pytest.approx(-0.6799262429, abs=2e-5)
    coarse = thermodynamic_integration(ts[::10], [mean(t) for t in ts[::10]], np.full(5, 1e-3))
    assert "coarse_path" in coarse.warnings[0]


def test_ti_is_exact_for_linear_means_and_adds_errors_in_quadrature():
    ts = np.array([0.0, 0.1, 0.4, 1.0])
    estimate = thermodynamic_integration(ts, 3.0 + 2.0 * ts, [0.1, 0.2, 0.3, 0.4])
    assert estimate.value == pytest.approx(4.0, rel=1e-13)
    weights = np.array([0.05, 0.2, 0.45, 0.3])
    assert estimate.stderr == pytest.approx(np.linalg.norm(weights * [0.1, 0.2, 0.3, 0.4]), rel=1e-13)
    assert estimate.warnings == ()
    assert "two_points" in thermodynamic_integration([0.0, 1.0], [1.0, 2.0], [0.1, 0.1]).warnings[0]


def check_ti_is_calibrated(estimator, rng, check):
    """Harmonic wells 1 → 3: E_t[dU/dt] = 1 / (1 + 2t), its noise known. Smallest defect seen: a stderr 15 % off."""
    ts = np.linspace(0.0, 1.0, 51)
    noise = 0.05 * np.sqrt(1.0 + ts)
    estimates = [estimator(ts, 1.0 / (1.0 + 2.0 * ts) + noise * rng.normal(size=51), noise) for _ in range(2000)]
    check.calibrated(estimates, 0.5 * math.log(3.0))


def test_ti_is_calibrated(rng, check):
    check_ti_is_calibrated(thermodynamic_integration, rng, check)


@pytest.mark.parametrize("rule", ["trapezoid", "spline"])
def test_ti_of_correlated_points_is_calibrated(rule, rng, check):
    """Means whose errors are correlated along the path, as those of replica exchange are."""
    ts = np.linspace(0.0, 1.0, 21)
    covariance = 0.05**2 * np.exp(-np.abs(ts[:, None] - ts) / 0.2)
    noise = rng.multivariate_normal(np.zeros(21), covariance, 1000)
    means = 1.0 / (1.0 + 2.0 * ts) + noise
    estimates = [thermodynamic_integration(ts, y, covariance, rule=rule) for y in means]
    check.calibrated(estimates, 0.5 * math.log(3.0))
    careless = [thermodynamic_integration(ts, y, np.full(21, 0.05), rule=rule) for y in means[:300]]
    with pytest.raises(AssertionError):
        check.calibrated(careless, 0.5 * math.log(3.0))


def test_ti_by_splines_is_exact_for_cubic_means():
    ts = np.array([0.0, 0.2, 0.5, 0.7, 1.0])
    found = thermodynamic_integration(ts, 1.0 + ts - 3.0 * ts**2 + 2.0 * ts**3, np.full(5, 0.1), rule="spline")
    assert found.value == pytest.approx(1.0, abs=1e-13)
    coarse = np.linspace(0.0, 1.0, 9)
    error = [
        abs(
            thermodynamic_integration(coarse, np.exp(2 * coarse), np.full(9, 0.1), rule=rule).value
            - math.sinh(1) * math.e
        )
        for rule in ("trapezoid", "spline")
    ]
    assert error[1] < 0.02 * error[0]


TI_MUTANTS = {
    "ends not halved": lambda t, y, s: Estimate(
        float(np.sum(y) * (t[1] - t[0])), thermodynamic_integration(t, y, s).stderr, 1, "mutant"
    ),
    "errors added": lambda t, y, s: Estimate(
        thermodynamic_integration(t, y, s).value, float(np.sum(s) * (t[1] - t[0])), 1, "mutant"
    ),
}


@pytest.mark.parametrize("mutant", TI_MUTANTS.values(), ids=TI_MUTANTS.keys())
def test_ti_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_ti_is_calibrated(mutant, rng, check)


def test_ti_refuses():
    with pytest.raises(ArgumentError, match="increase strictly"):
        thermodynamic_integration([0.0, 0.0], [1.0, 1.0], [0.1, 0.1])
    with pytest.raises(ArgumentError, match="must not be negative"):
        thermodynamic_integration([0.0, 1.0], [1.0, 1.0], [0.1, -0.1])
    with pytest.raises(ShapeError, match="equally long"):
        thermodynamic_integration([0.0, 1.0], [1.0, 1.0, 2.0], [0.1, 0.1])
    with pytest.raises(ArgumentError, match="symmetric"):
        thermodynamic_integration([0.0, 1.0], [1.0, 1.0], [[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(ShapeError, match="four points"):
        thermodynamic_integration([0.0, 1.0], [1.0, 1.0], [0.1, 0.1], rule="spline")
    with pytest.raises(ArgumentError, match="`rule`"):
        thermodynamic_integration([0.0, 1.0], [1.0, 1.0], [0.1, 0.1], rule="gauss")
    with pytest.raises(Unreliable, match=r"own error is about .* Add points") as caught:
        thermodynamic_integration([0.0, 0.5, 1.0], [1000.0, 1.0, 0.0], [0.1, 0.1, 0.1])
    assert caught.value.estimate.value > 200.0
