"""log Z of a simulation at its temperatures: calibrated, kept when interrupted, left out with a reason."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from energax import exact, report, runs, sampling, testing
from energax.energies import Potts, Tempered
from energax.runs import _chains, _simulated_log_z
from energax.runs._chains import Chamber
from energax.runs._pieces import Pieces
from energax.runs._simulated import SIMULATED, potts
from energax.runs._simulated_log_z import simulated_log_z

REPEATS = 40
CHAINS = 8


def _plan(model="ising", **options):
    usual = {"sizes": [4], "num_sweeps": 100, "num_chains": CHAINS, "kernel": "heat-bath", "temperatures": [1.8]}
    return runs.plan_simulation(model, **(usual | options))


def _chamber(plan):
    return Chamber(plan, plan.system, plan.sizes[0], Pieces(None))


@pytest.fixture(scope="module")
def repeated():
    """log Z of the 4 × 4 magnet at T = 1.8, two levels away from β = 0, by many seeds."""
    found = []
    for seed in range(REPEATS):
        chamber = _chamber(_plan(seed=seed))
        chamber.run(None)
        found.append(simulated_log_z(chamber, chamber.chains(), None))
    return found


def check_calibration(found, truth, scale=1.0):
    """Σ of squared normal scores: error bars 35 % too small or 60 % too large, and a bias of an error bar, are seen."""
    cells = [one.points[0]["log_z"] for one in found]
    score = stats.t.cdf([(c["value"] - truth) / (scale * c["stderr"]) for c in cells], CHAINS - 1)
    z = stats.norm.ppf(np.clip(score, 1e-300, 1 - 1e-16))
    low, high = stats.chi2.ppf([testing.FALSE_ALARM / 2, 1 - testing.FALSE_ALARM / 2], REPEATS)
    assert low < np.sum(z**2) < high
    assert abs(z.mean()) <= 4.9 / math.sqrt(REPEATS)


def test_error_bars_are_calibrated(repeated):
    truth = exact.ising_torus((4, 4), 1 / 1.8).log_z
    check_calibration(repeated, truth)
    cell = repeated[0].points[0]["log_z"]
    assert cell["exact"] == pytest.approx(truth, abs=1e-12)
    per_site = repeated[0].points[0]["free_energy_per_site"]
    assert per_site["value"] == pytest.approx(-1.8 * cell["value"] / 16)
    assert per_site["stderr"] == pytest.approx(1.8 * cell["stderr"] / 16)


@pytest.mark.parametrize(("scale", "shift"), [(0.4, 0.0), (2.5, 0.0), (1.0, math.log(2.0))])
def test_wrong_error_bars_and_a_wrong_anchor_are_seen(repeated, scale, shift):
    with pytest.raises(AssertionError):
        check_calibration(repeated, exact.ising_torus((4, 4), 1 / 1.8).log_z + shift, scale)


def test_levels_leave_no_wide_step_and_see_a_transition_between_two_of_them():
    """At T = 1 and 100 the fluctuations are small and the energies far apart: levels are put between."""
    chamber = _chamber(_plan(temperatures=[1.0, 100.0]))
    chamber.run(None)
    levels = _simulated_log_z._levels(chamber, chamber.chains(), None)
    assert len(levels) >= 5
    for (low, hot), (high, cold) in itertools.pairwise(levels):
        assert (high - low) * (hot.mean() - cold.mean()) <= _simulated_log_z._STRIDE**2
    assert [beta for beta, _ in levels] == sorted(beta for beta, _ in levels)


def test_closed_forms():
    """Two-state Potts by Ising's torus, other lattices by summing over everything."""
    for size, t in ((3, 0.9), (4, 1.3)):
        want = exact.log_z(Tempered(Potts(size, 2), 1 / t), dtype=np.float64)
        assert potts(2).log_z(size, t) == pytest.approx(want, abs=1e-5)
    want = exact.eliminate(Tempered(Potts(4, 3), 1 / 0.9))
    assert potts(3).log_z(4, 0.9) == pytest.approx(want.log_z, abs=1e-5)
    averages = potts(3).exact(4, 0.9)
    assert 16 * averages["energy_per_site"] == pytest.approx(0.9 * want.energy, rel=1e-6)
    assert 16 * averages["heat_capacity"] == pytest.approx(want.variance, rel=1e-5)
    assert potts(3).log_z(32, 0.9) is None
    assert potts(3).exact(32, 0.9) == {}
    chamber = _chamber(_plan("spin-glass", sizes=[3], kernel=None, num_chains=4))
    assert _simulated_log_z._exact(chamber, 0.9, 2) is None


def test_an_interrupt_on_the_way_to_log_z(tmp_path, monkeypatch):
    plan = _plan(temperatures=[1.2, 1.8])
    whole = runs.simulate(plan)
    calls = []

    def called(*args, **options):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return sampling.sample(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(_chains, "sample", called)
        part = runs.simulate(plan, directory=tmp_path)
    assert part.result == "interrupted"
    assert part.points == whole.points
    assert part.to_json()["free_energy"] == []
    again = runs.simulate(plan, directory=tmp_path)
    assert json.dumps(again.to_json()) == json.dumps(whole.to_json())
    page = report.write_simulation(whole, tmp_path / "page.html", command="energax simulate").read_text()
    for words in ("Free energy", "log Z less the exact one", "exact (dashed)", "log Z, T = 1.2", "error bars away"):
        assert words in page
    assert whole.to_json()["free_energy"][0]["log_z"]["stderr"] > 0


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (_plan("double-well", sizes=[1], kernel=None), "no uniform law on Euclidean"),
        (_plan("xy", sizes=[3], kernel="ula"), "ula leaves the law only roughly alone"),
        (_plan(num_chains=2), "needs 4 or more"),
    ],
)
def test_what_is_left_out_says_why(plan, told):
    found = simulated_log_z(_chamber(plan), {}, None)
    assert found.points == []
    assert told in found.note


def test_what_costs_too_much_is_left_out(monkeypatch):
    chamber = _chamber(_plan())
    chamber.run(None)
    monkeypatch.setattr(_simulated_log_z, "_FEW_UPDATES", 1e3)
    found = simulated_log_z(chamber, chamber.chains(), None)
    assert "cost too much beside the simulation" in found.note
    assert report.log_z_point_rows(found) == []


def test_chains_that_disagree_or_drift_take_the_error_bars_away():
    chamber = _chamber(_plan(num_sweeps=400))
    chamber.run(None)
    chains = chamber.chains()
    rows = chains[1.8].draws["energy"]
    apart = {1.8: dataclasses.replace(chains[1.8], draws={"energy": rows + 8.0 * np.arange(CHAINS)[:, None]})}
    found = simulated_log_z(chamber, apart, None)
    assert "R-hat of the energy" in found.note
    assert all(math.isnan(point["log_z"]["stderr"]) for point in found.points)
    (row,) = report.log_z_point_rows(found)
    assert "without an error bar" in row.value
    rng = np.random.default_rng(0)
    still = rng.normal(size=(CHAINS, 100))
    assert _simulated_log_z._drift([(0.0, still), (0.5, still)]) == ""
    assert "still drifts" in _simulated_log_z._drift([(0.0, still), (0.5, still + 0.1 * np.arange(100))])
    assert SIMULATED["phi4"].log_z is None
