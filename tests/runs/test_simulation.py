"""Simulations: error bars that are calibrated, exact curves, and what a command line asks for."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from scipy import stats

from energax import energies, exact, runs, sampling, testing
from energax._errors import ArgumentError, RunError
from energax.runs import _chains
from energax.runs._chains import Chamber
from energax.runs._observables import GLASS, MAGNET, Observable
from energax.runs._pieces import Pieces
from energax.runs._series import packed_spins

REPEATS = 60
"""Runs of the 4 × 4 lattice at β = 0.2, each of four chains of 400 sweeps."""


def _plan(**options):
    usual = {"sizes": [4], "num_sweeps": 400, "num_chains": 4, "kernel": "heat-bath"}
    return runs.plan_simulation("ising", **(usual | options))


@pytest.fixture(scope="module")
def repeated():
    """Runs of one simulation with different seeds; one compilation serves them all."""
    return [runs.simulate(_plan(temperatures=[5.0], seed=seed)) for seed in range(20, 20 + REPEATS)]


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


@pytest.mark.slow
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


@pytest.mark.parametrize(("text", "found"), [("16", [16]), ("64,16,32", [16, 32, 64])])
def test_sizes_are_read(text, found):
    assert runs.sizes(text) == found


@pytest.mark.parametrize(("text", "told"), [("big", "whole number"), ("16,", "whole number"), ("8,8", "twice")])
def test_sizes_that_make_no_sense(text, told):
    with pytest.raises(ArgumentError, match=told):
        runs.sizes(text)


def _interrupted_after(monkeypatch, name, driver, num):
    """The driver of the chains lets the keyboard interrupt it after some calls."""
    calls = []

    def called(*args, **options):
        calls.append(1)
        if len(calls) > num:
            raise KeyboardInterrupt
        return driver(*args, **options)

    monkeypatch.setattr(_chains, name, called)


@pytest.mark.parametrize(
    ("plan", "name", "driver", "calls"),
    [
        # Two pieces at each of two temperatures, the hotter one first.
        (_plan(temperatures=[2.0, 5.0]), "sample", sampling.sample, 3),
        (_plan(temperatures=[2.0, 5.0], exchange=True), "replica_exchange", sampling.replica_exchange, 1),
    ],
)
def test_what_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, plan, name, driver, calls):
    whole = runs.simulate(plan)
    with monkeypatch.context() as patch:
        _interrupted_after(patch, name, driver, calls)
        part = runs.simulate(plan, directory=tmp_path)
    assert part.result == "interrupted"
    assert "2 of 2 temperatures, 256 sweeps or more of 400 at each" in part.warnings[0]
    assert part.points != whole.points
    # A piece that the disk spoiled is made again.
    spoilt = min((tmp_path / "pieces").iterdir())
    spoilt.write_bytes(spoilt.read_bytes()[:-40])
    again = runs.simulate(plan, directory=tmp_path)
    assert again.to_json() == whole.to_json()
    for mine, theirs in zip(again.chain_energy, whole.chain_energy, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_interrupt_before_anything_is_measured(monkeypatch):
    _interrupted_after(monkeypatch, "sample", sampling.sample, 0)
    with pytest.raises(KeyboardInterrupt):
        runs.simulate(_plan(temperatures=[2.0, 5.0]))


def test_a_disk_that_refuses_is_told(tmp_path):
    (tmp_path / "pieces").write_text("no folder")
    with pytest.raises(RunError, match="cannot keep what was computed"):
        runs.simulate(_plan(temperatures=[5.0]), directory=tmp_path)


def test_a_plan_is_kept_and_an_energy_that_changed_is_noticed(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("from energax import energies\nmodel = energies.Ising(3)\n")
    plan = runs.plan_simulation(energy=f"{file}:model", temperatures=[2.0, 3.0], exchange=True, seed=3)
    plan.save(tmp_path / "run")
    assert runs.SimulationPlan.is_in(tmp_path / "run")
    assert runs.SimulationPlan.load(tmp_path / "run") == plan
    stored = tmp_path / "run" / runs.SimulationPlan.file
    stored.write_text(json.dumps({k: v for k, v in json.loads(stored.read_text()).items() if k != "format"}))
    assert runs.SimulationPlan.load(tmp_path / "run") == plan, "as it was written before plans had a format"
    assert plan.open(tmp_path / "run").build(None) is not None
    file.write_text("from energax import energies\nmodel = energies.Ising(5)\n")
    with pytest.raises(RunError, match=r"own\.py is not what the simulation in .* began with"):
        runs.simulate(plan, directory=tmp_path / "run")


@pytest.mark.slow
def test_temperatures_that_swap_keep_their_laws():
    """Eight ladders over the transition: every temperature has its exact energy, and replicas travel."""
    plan = _plan(temperatures=[1.5, 2.0, 2.5, 3.0], exchange=True, num_chains=8, num_sweeps=1000)
    found = runs.simulate(plan)
    for point, known in zip(found.points, found.exact, strict=True):
        cell = point["energy_per_site"]
        assert abs(cell["value"] - known["energy_per_site"]) < 4.9 * cell["stderr"]
        assert cell["stderr"] < 0.02
    (ladder,) = found.ladders
    assert ladder["temperatures"] == [3.0, 2.5, 2.0, 1.5]
    assert len(ladder["swap_rate"]) == 3
    assert ladder["num_round_trips"] > 100
    assert 0.1 < ladder["round_trip_efficiency"] < 1.0


@pytest.mark.slow
def test_overlaps_of_a_small_glass():
    """⟨q²⟩ = Σ_ij ⟨s_i s_j⟩² / N² by enumeration of 4 × 4 spins; it is far from that of independent spins, 1/N."""
    glass = energies.edwards_anderson((4, 4), key=jax.random.key(0))
    states, log_p = exact.log_probs(energies.Tempered(glass, 1 / 1.2), dtype=np.float64)
    spins = np.asarray(states, np.float64).reshape(-1, 16)
    pairs = np.einsum("s,si,sj->ij", np.exp(log_p), spins, spins)
    truth = float(np.mean(pairs**2))
    assert truth > 0.2
    plan = runs.plan_simulation("spin-glass", temperatures=[1.2, 2.0], num_sweeps=1000, num_chains=16)
    assert plan.exchange
    system = dataclasses.replace(plan.system, build=lambda size: glass)
    chamber = Chamber(plan, system, 6, Pieces(None))
    chamber.run(None)
    found = {o.name: o.estimate(chamber.chains()[1.2].draws, 1 / 1.2, 16) for o in GLASS}
    cell = found["overlap_squared"]
    assert abs(cell.value - truth) < 4.9 * cell.stderr
    assert cell.stderr < 0.02
    assert found["glass_susceptibility"].value == pytest.approx(16 * cell.value)


def test_packed_spins_hold_all_spins():
    """Overlaps of words are those of spins, also where the last word is not full."""
    spins = np.where(np.random.default_rng(0).random((4, 3, 37)) < 0.3, 1, -1)
    words = np.asarray(jax.vmap(jax.vmap(lambda x: packed_spins(x)["spins"]))(spins))
    assert words.shape == (4, 3, 2)
    q2 = next(o for o in GLASS if o.name == "overlap_squared").terms({"spins": words}, 1.0, 37)[0]
    np.testing.assert_allclose(q2, (spins[::2] * spins[1::2]).mean(-1) ** 2, rtol=1e-12)
