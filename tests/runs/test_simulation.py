"""Simulations: error bars that are calibrated, exact curves, and what a command line asks for."""

import jax
import numpy as np
import pytest
from scipy import stats

from energax import exact, runs, sampling, testing
from energax._errors import ArgumentError
from energax.runs import _simulation
from energax.runs._observables import MAGNET, Observable

REPEATS = 60
"""Runs of the 4 × 4 lattice at β = 0.2, each of four chains of 400 sweeps."""


@pytest.fixture(scope="module")
def repeated():
    """Runs of one simulation with different keys; one compilation serves them all."""
    model = runs.SIMULATED["ising"]
    keys = jax.random.split(jax.random.key(20), REPEATS)
    return [
        runs.simulate("ising", model, 4, [5.0], key=k, num_sweeps=400, num_chains=4, kernel="heat-bath") for k in keys
    ]


def _truth():
    torus = exact.ising_torus((4, 4), 0.2)
    states, log_p = exact.log_probs(runs.SIMULATED["ising"].build(4), dtype=np.float64)
    m = np.asarray(states, np.float64).mean(axis=(1, 2))
    # The law at β = 0.2 from that at β = 1: the energy is −log p up to a constant.
    p = np.exp(0.2 * (log_p - log_p.max()))
    p /= p.sum()
    m1, m2, m4 = p @ np.abs(m), p @ m**2, p @ m**4
    assert m1 == pytest.approx(0.34276563, abs=1e-7)
    return {
        "energy_per_site": torus.energy_per_site,
        "heat_capacity": torus.heat_capacity_per_site,
        "magnetization_abs": m1,
        "susceptibility": 0.2 * 16 * (m2 - m1**2),
        "binder_cumulant": 1 - m4 / (3 * m2**2),
    }


def check_calibration(repeated, truth, scale=1.0):
    """Σ z² over the runs is that of standard normal numbers: error bars 35 % too small or 60 % too large are seen."""
    for name, value in truth.items():
        cells = [run.points[0][name] for run in repeated]
        z = np.asarray([(c["value"] - value) / (scale * c["stderr"]) for c in cells])
        low, high = stats.chi2.ppf([testing.FALSE_ALARM / 2, 1 - testing.FALSE_ALARM / 2], REPEATS)
        assert low < np.sum(z**2) < high, name
        assert abs(z.mean()) <= 4.9 / np.sqrt(REPEATS), name
        assert all(c["ess"] > 100 and c["tau"] > 0 for c in cells), name


def test_error_bars_are_calibrated(repeated):
    check_calibration(repeated, _truth())


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_wrong_error_bars_are_seen(repeated, scale):
    with pytest.raises(AssertionError):
        check_calibration(repeated, _truth(), scale)


def test_a_wrong_observable_is_seen(repeated):
    with pytest.raises(AssertionError, match="heat_capacity"):
        check_calibration(repeated, {"heat_capacity": 1.3 * _truth()["heat_capacity"]})


def test_the_error_bar_of_a_function_of_means_counts_their_correlation():
    """Of o − o/2 the error is half that of o, to rounding; errors added in squares would give 1.12 of it."""
    rng = np.random.default_rng(0)
    draws = {"energy": rng.normal(size=(4, 500)), "magnetization": rng.normal(size=(4, 500))}
    half = Observable("half", lambda d, b, n: [d["energy"], d["energy"]], lambda m, b, n: m[0] - 0.5 * m[1])
    whole = Observable("whole", lambda d, b, n: [d["energy"]], lambda m, b, n: m[0])
    assert half.estimate(draws, 1.0, 1).stderr == pytest.approx(0.5 * whole.estimate(draws, 1.0, 1).stderr, rel=1e-9)
    assert {o.name for o in MAGNET} == set(_truth())


def test_temperatures_are_read():
    assert runs.temperatures("2.5") == [2.5]
    np.testing.assert_allclose(runs.temperatures("1.5:3.5:5"), [1.5, 2.0, 2.5, 3.0, 3.5])
    assert runs.temperatures("3:1:3") == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0", "positive"),
        ("-1", "positive"),
        ("nan", "positive"),
        ("hot", "a number or T1:T2:N"),
        ("1:2", "a number or T1:T2:N"),
        ("1:2:1", "ladder of one temperature"),
        ("2:2:5", "ladder of one temperature"),
    ],
)
def test_temperatures_that_make_no_sense(text, told):
    with pytest.raises(ArgumentError, match=told):
        runs.temperatures(text)


@pytest.mark.parametrize("done", [1, 0])
def test_an_interrupt_keeps_the_temperatures_that_are_done(monkeypatch, done):
    model, calls = runs.SIMULATED["ising"], []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) > done:
            raise KeyboardInterrupt
        return sampling.sample(*args, **options)

    monkeypatch.setattr(_simulation, "sample", interrupted)

    def simulate():
        return runs.simulate(
            "ising", model, 4, [2.0, 5.0], key=jax.random.key(0), num_sweeps=400, num_chains=4, kernel="heat-bath"
        )

    if not done:
        with pytest.raises(KeyboardInterrupt):
            simulate()
        return
    found = simulate()
    # Chains begin at the hottest temperature.
    assert [p["temperature"] for p in found.points] == [5.0]
    assert found.result == "interrupted"
    assert "Interrupted: 1 of 2 temperatures are here" in found.warnings[0]
