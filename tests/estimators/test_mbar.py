"""MBAR on harmonic wells: its equations, BAR, an independent program's numbers, calibration, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators import Estimate, Mbar, bar, mbar
from energax.estimators._dual import smallest_cut

STIFFNESS = np.array([1.0, 1.6, 3.0])
CENTRES = np.array([0.0, 0.8, 1.0])
EXACT = 0.5 * np.log(STIFFNESS / STIFFNESS[0])

# pymbar 4.0.3 (NumPy back end, Python 3.11) on the draws of `fixture_wells`: MBAR(u, counts), then
# compute_free_energy_differences, compute_overlap, compute_effective_sample_number,
# compute_expectations(x**2, u_kn=u[1], state_dependent=False), compute_perturbed_free_energies([u[0], 0.65 x**2]).
PYMBAR = {
    "free_energies": [0.0, 0.254400877278, 0.557276273911],
    "stderr": [0.128177485445, 0.173026557391],
    "overlap": [
        [0.62279121647, 0.161188280568, 0.216020502963],
        [0.402970701419, 0.216765317171, 0.38026398141],
        [0.324030754444, 0.228158388846, 0.44781085671],
    ],
    "num_effective": [48.170236199, 55.3594096907, 44.6617130878],
    "square": [1.13753855635, 0.186509341592],
    "perturbed": [0.126829293564, 0.0234382472036],
}


def wells(x):
    return 0.5 * STIFFNESS[:, None] * (x - CENTRES[:, None]) ** 2


def draws(rng, counts):
    return np.concatenate([rng.normal(c, k**-0.5, n) for c, k, n in zip(CENTRES, STIFFNESS, counts, strict=True)])


def fixture_wells():
    """Quantiles instead of random numbers, so that the fixture hangs on no generator."""
    from scipy.stats import norm

    counts = np.array([30, 12, 20])
    x = [norm.ppf((np.arange(n) + 0.37) / n, c, k**-0.5) for c, k, n in zip(CENTRES, STIFFNESS, counts, strict=True)]
    return np.concatenate(x), counts


def test_the_numbers_of_an_independent_program():
    x, counts = fixture_wells()
    found = mbar(wells(x), counts)
    np.testing.assert_allclose(found.free_energies, PYMBAR["free_energies"], atol=1e-8)
    np.testing.assert_allclose([found.difference(0, j).stderr for j in (1, 2)], PYMBAR["stderr"], atol=1e-8)
    np.testing.assert_allclose(found.overlap, PYMBAR["overlap"], atol=1e-8)
    np.testing.assert_allclose(found.num_effective, PYMBAR["num_effective"], rtol=1e-8)
    square, perturbed = found.expectation(x**2, wells(x)[1]), found.free_energy(0.65 * x**2)
    np.testing.assert_allclose([square.value, square.stderr], PYMBAR["square"], atol=1e-8)
    np.testing.assert_allclose([perturbed.value, perturbed.stderr], PYMBAR["perturbed"], atol=1e-8)


def test_two_states_are_bar(rng):
    x = np.concatenate([rng.normal(0.0, 1.0, 300), rng.normal(1.0, 3.0**-0.5, 200)])
    u = wells(x)[[0, 2]]
    found, work = mbar(u, [300, 200]).difference(0, 1), u[1] - u[0]
    both = bar(work[:300], -work[300:])
    assert found.value == pytest.approx(both.value, abs=1e-10)
    assert found.diagnostics["shared_draws"] == pytest.approx(both.diagnostics["overlap"] * 120.0, rel=1e-9)
    # The closed form of the asymptotic variance for two states [shirts2003].
    variance = 1.0 / found.diagnostics["shared_draws"] - 1.0 / 300 - 1.0 / 200
    assert found.stderr == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_its_equations_hold_and_energies_may_be_shifted(rng):
    counts = np.array([50, 0, 70])
    x = draws(rng, counts)
    u = wells(x)
    found, shifted = mbar(u, counts), mbar(u + np.array([[5.0], [-1e3], [1e4]]), counts)
    log_mixture = np.log(np.sum(counts[:, None] * np.exp(found.free_energies[:, None] - u), axis=0))
    np.testing.assert_allclose(np.exp(found.free_energies[:, None] - u - log_mixture).sum(axis=1), 1.0, rtol=1e-11)
    np.testing.assert_allclose(found.overlap.sum(axis=1), 1.0, rtol=1e-11)
    np.testing.assert_allclose(shifted.free_energies - found.free_energies, [0.0, -1005.0, 9995.0], atol=1e-8)
    np.testing.assert_allclose(shifted.covariance, found.covariance, rtol=1e-6, atol=1e-12)
    # A state that was not drawn from is one that is asked for afterwards.
    asked = mbar(u[[0, 2]], [50, 70]).free_energy(u[1])
    assert asked.value == pytest.approx(found.free_energies[1], abs=1e-10)
    assert asked.stderr == pytest.approx(found.difference(0, 1).stderr, rel=1e-9)


def results(found: Mbar, x):
    """Everything that has an error bar, with its exact value."""
    other = 0.5 * 2.0 * (x - 0.6) ** 2
    return (
        (found.difference(0, 2), EXACT[2]),
        (found.difference(1, 2), EXACT[2] - EXACT[1]),
        (found.free_energy(other), 0.5 * math.log(2.0)),
        (found.expectation(x, other), 0.6),
        (found.variance(x, other), 0.5),
        (found.expectation(x**2, wells(x)[1]), CENTRES[1] ** 2 + 1.0 / STIFFNESS[1]),
    )


def check_calibrated(estimator, rng, check, num=600):
    """Counts that differ. Smallest defect seen: an error bar wrong by 25 %, a bias of half an error bar."""
    counts = np.array([150, 60, 240])
    found = []
    for _ in range(num):
        x = draws(rng, counts)
        found.append(results(estimator(wells(x), counts), x))
    for column in range(len(found[0])):
        check.calibrated([row[column][0] for row in found], found[0][column][1])


def test_error_bars_are_calibrated(rng, check):
    check_calibrated(mbar, rng, check)


def test_error_bars_of_correlated_draws_are_calibrated(rng, check):
    """Every draw of state 0 is there three times, of state 2 twice: the same information, declared by τ."""
    counts, repeats = np.array([80, 80, 80]), np.array([3, 1, 2])
    estimates = []
    for _ in range(500):
        x = np.repeat(draws(rng, counts), np.repeat(repeats, counts))
        estimates.append(mbar(wells(x), counts * repeats, taus=repeats).difference(0, 2))
    check.calibrated(estimates, EXACT[2])


def test_laws_beyond_the_states_are_calibrated_or_warned_of(rng, check):
    """Two normal laws, and others beyond them: the error bars hold as far as the warnings say that they do."""
    found: dict[float, list[tuple[Estimate, Estimate]]] = {1.5: [], 2.6: []}
    for _ in range(400):
        x = np.concatenate([rng.normal(0.0, 1.0, 500), rng.normal(1.0, 1.0, 500)])
        solved = mbar(0.5 * (x - np.array([[0.0], [1.0]])) ** 2, [500, 500])
        for centre, rows in found.items():
            u = 0.5 * (x - centre) ** 2
            rows.append((solved.free_energy(u), solved.expectation(x, u)))
    near = [row for row in found[1.5] if not row[0].warnings]
    assert len(near) > 360
    check.calibrated([free for free, _ in near], 0.0)
    check.calibrated([mean for _, mean in near], 1.5)
    assert all("heavy_tail" in row[0].warnings[0] or "low_ess" in row[0].warnings[0] for row in found[2.6])


MUTANTS = {
    "counts of the states exchanged": lambda u, n: mbar(u[::-1], n),
    "draws taken for correlated": lambda u, n: mbar(u, n, taus=2.0),
    "draws taken for too many": lambda u, n: mbar(u, n, taus=0.6),
    "energies at another temperature": lambda u, n: mbar(1.2 * u, n),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_mutants_are_caught(mutant, rng, check):
    with pytest.raises((AssertionError, Unreliable)):
        check_calibrated(mutant, rng, check, 300)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_many_far_states_in_any_order_are_solved(rng):
    """Thirty wells along a line, shuffled, with free energies of hundreds of nats and forbidden regions."""
    centres = rng.permutation(np.arange(30.0))
    x = np.concatenate([rng.uniform(c - 1.0, c + 1.0, 40) for c in centres])
    u = np.where(np.abs(x - centres[:, None]) <= 1.0, 0.0, np.inf) + 20.0 * centres[:, None]
    found = mbar(u, np.full(30, 40))
    z = (found.free_energies - 20.0 * (centres - centres[0]))[1:] / np.sqrt(np.diag(found.covariance)[1:])
    assert np.max(np.abs(z)) <= 4.9
    assert "low_overlap" in found.warnings[0]


@pytest.mark.filterwarnings("error")
def test_states_that_do_not_hang_together_are_refused(rng):
    centres = np.array([0.0, 60.0, 1.0, 61.0])
    x = np.concatenate([rng.normal(c, 1.0, 50) for c in centres])
    with pytest.raises(Unreliable, match=r"states (1, 3|0, 2) and states (0, 2|1, 3) share .*intermediate") as caught:
        mbar(0.5 * (x - centres[:, None]) ** 2, [50] * 4)
    assert isinstance(caught.value.estimate, Mbar)
    apart = np.where(np.abs(x - centres[:, None]) < 20.0, 0.5 * (x - centres[:, None]) ** 2, np.inf)
    with pytest.raises(Unreliable, match="no overlap"):
        mbar(apart, [50] * 4)


def test_laws_out_of_reach_are_refused(rng):
    x = draws(rng, [50, 50, 50])
    found = mbar(wells(x), [50, 50, 50])
    with pytest.raises(Unreliable, match=r"one draw of 150 holds .* nearer") as caught:
        found.free_energy(200.0 * (x - 30.0) ** 2)
    assert isinstance(caught.value.estimate, Estimate)
    with pytest.raises(Unreliable, match="forbids every draw"):
        found.expectation(x, np.full(150, np.inf))
    with pytest.raises(Unreliable, match="state 1 forbids every draw"):
        mbar(np.stack([np.zeros(9), np.full(9, np.inf)]), [9, 0])
    assert found.expectation(x, 8.0 * (x + 2.0) ** 2).warnings


def test_bad_input_is_refused():
    u = np.zeros((2, 6))
    for counts in ([3, 2], [3.5, 2.5], [7, -1], [6]):
        with pytest.raises(ArgumentError, match="`counts`"):
            mbar(u, counts)
    with pytest.raises(ArgumentError, match="1 of 12"):
        mbar(np.where(np.arange(12).reshape(2, 6) == 3, np.nan, u), [3, 3])
    with pytest.raises(ArgumentError, match="its own state"):
        mbar(np.where(np.arange(12).reshape(2, 6) == 0, np.inf, u), [3, 3])
    with pytest.raises(ArgumentError, match="`taus`"):
        mbar(u, [3, 3], taus=[1.0, -1.0])
    with pytest.raises(ArgumentError, match="states 0 to 1"):
        mbar(u, [3, 3]).difference(0, 2)
    with pytest.raises(ShapeError, match="6 draws"):
        mbar(u, [3, 3]).expectation(np.zeros(5), np.zeros(6))
    with pytest.raises(ShapeError, match="6 draws"):
        mbar(u, [3, 3]).free_energy(np.zeros(5))


def test_the_smallest_cut_is_the_smallest(rng):
    """Against all 2^5 - 1 cuts of random graphs."""
    for _ in range(20):
        weights = np.triu(rng.exponential(size=(6, 6)) * (rng.random((6, 6)) < 0.6), 1)
        weights = weights + weights.T
        cuts = {}
        for code in range(1, 32):
            side = np.array([(code >> k) & 1 for k in range(6)], bool)
            cuts[code] = weights[side][:, ~side].sum()
        value, nodes = smallest_cut(weights)
        inside = np.isin(np.arange(6), nodes)
        assert value == pytest.approx(min(cuts.values()), abs=1e-12)
        assert weights[inside][:, ~inside].sum() == pytest.approx(value, abs=1e-12)


def test_results_print_themselves():
    text = repr(mbar([[0.0] * 80, [0.5] * 80], [40, 40]))
    assert text.startswith("Mbar([0 ± 0, 0.5 ± ")
