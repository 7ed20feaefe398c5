"""What decides whether ladders are believed: each objection fires where it should, and not where it should not."""

from __future__ import annotations

import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import zoo

from energax.densities import IndependentSites
from energax.evaluation import _equilibrium
from energax.evaluation._equilibrium import (
    FALSE_ALARM,
    WORST_R_HAT,
    _directions,
    _judge,
    families_p_value,
    ladder_levels,
    run_ladders,
    visited_log_mass,
)
from energax.paths import Geometric
from energax.spaces import Binary

FAMILIES = np.repeat(np.arange(3), 16)
NAMES = ["the data", "annealing", "a search for modes"]


def ladders(rng, *, shift=None, arrivals=2, num=32, bad=False):
    """48 ladders of independent draws; `shift` is added to every draw of a ladder."""
    x = rng.normal(size=(48, num, 4))
    if shift is not None:
        x = x + shift[:, None, None]
    energy = 0.5 * (x**2).sum(axis=2)
    if bad:
        energy[0, 0] = np.inf
    return SimpleNamespace(
        x=x,
        energy=energy,
        num_arrivals=np.full(48, arrivals),
        num_round_trips=np.zeros(48),
        swap_rate=np.full(5, 0.5),
        settings={"num_steps": num},
    )


def test_good_ladders_are_believed(rng):
    objections, told = _judge(ladders(rng), FAMILIES, NAMES)
    assert objections == ()
    assert told["families"] == NAMES
    assert told["r_hat"] < WORST_R_HAT
    assert told["num_arrivals"] == 96


def test_a_family_that_sits_elsewhere_is_seen(rng):
    """Smallest defect seen: a shift of 0.4 of one family where a ladder's mean is known to 0.18."""
    objections, _ = _judge(ladders(rng, shift=np.where(FAMILIES == 2, 0.4, 0.0)), FAMILIES, NAMES)
    assert "disagree" in objections[0]
    assert "the data and annealing and a search for modes" in objections[0]


def test_single_ladders_that_stay_elsewhere_are_seen(rng):
    """Every family has them, so that no family is to blame."""
    objections, _ = _judge(ladders(rng, shift=np.where(np.arange(48) % 4 == 0, 3.0, 0.0)), FAMILIES, NAMES)
    assert len(objections) == 1
    assert "R-hat" in objections[0]


def test_ladders_that_nothing_travels_are_seen(rng):
    objections, _ = _judge(ladders(rng, arrivals=0), FAMILIES, NAMES)
    assert "only 0 configurations travelled" in objections[0]
    assert _judge(ladders(rng, arrivals=1), FAMILIES, NAMES)[0] == ()


def test_energies_that_are_not_finite_are_seen(rng):
    objections, _ = _judge(ladders(rng, bad=True), FAMILIES, NAMES)
    assert objections == ("energies of the chains are not finite",)


def test_equal_families_disagree_as_rarely_as_declared(rng, rate_at_most):
    """Five correlated statistics of equal families; Bonferroni's correction may only make it rarer."""
    alarms = 0
    for _ in range(400):
        base = rng.normal(size=48)
        statistics = {str(i): base + 0.5 * rng.normal(size=48) for i in range(5)}
        alarms += families_p_value(statistics, FAMILIES) < 10 * FALSE_ALARM
    rate_at_most(int(alarms), 400, 10 * FALSE_ALARM)


def test_nothing_to_compare_is_no_disagreement(rng):
    assert families_p_value({"a": rng.normal(size=8)}, np.zeros(8)) == 1.0
    assert families_p_value({"a": np.ones(48)}, FAMILIES) == 1.0
    assert families_p_value({"a": FAMILIES.astype(float)}, FAMILIES) < 1e-6


def test_directions_are_the_principal_ones(rng):
    basis, _ = np.linalg.qr(rng.normal(size=(9, 9)))
    scales = np.array([9.0, 7.0, 5.0, 4.0, 3.0, 2.0, 0.1, 0.1, 0.1])
    rows = (rng.normal(size=(800, 9)) * scales) @ basis.T
    found = _directions(rows.astype(np.float32))
    exact = np.linalg.svd(rows, full_matrices=False)[2][:6]
    assert found.shape == (6, 9)
    assert np.linalg.norm(exact @ found.T, ord=-2) == pytest.approx(1.0, abs=1e-3)


def test_number_of_levels():
    def pilot(length):
        return SimpleNamespace(length=length, levels=lambda num: np.linspace(0, 1, num))

    assert [len(ladder_levels(pilot(length))) for length in (0.1, 9.0, 1e3)] == [4, 11, 64]


def test_visited_mass_is_a_lower_bound_and_exact_where_all_was_seen(rng):
    """By enumeration; configurations that come again are counted once."""
    machine = zoo.Machine(rng.normal(size=(6, 4)), rng.normal(size=6), rng.normal(size=4))
    path = Geometric(IndependentSites(Binary(6)), machine.energy)
    states = zoo.all_states(6).astype(np.int8)
    exact = zoo.exact_log_z(machine)
    assert visited_log_mass(path, [states, states[:9], states[3:7]]) == pytest.approx(exact, abs=1e-5)
    w, b, c = (np.asarray(a, np.float32).astype(float) for a in machine)
    mass = states @ b + np.logaddexp(0.0, c + states @ w).sum(axis=1)
    some = np.r_[0, 5, 17, 44]
    found = visited_log_mass(path, [states[some], states[some[:2]]])
    assert found == pytest.approx(np.logaddexp.reduce(mass[some]), abs=1e-5)
    assert found < exact
    with jax.enable_x64(True):
        assert visited_log_mass(path, [states]) == pytest.approx(exact, abs=1e-5)
    assert math.isfinite(found)


@pytest.mark.parametrize(
    ("objecting", "budget", "lengths"),
    [
        ([True, False], 100, [2, 2, 4]),  # twice as long, as long as the budget suffices
        ([True, True, True], 7, [2, 2, 2]),
        ([True, False], 6, [2, 2, 2]),  # as long as the last one, if that is what fits
        ([True, True, False], 13, [2, 2, 4, 4]),
        ([True, True, False], 10.5, [2, 2, 4, 2]),  # half as long
        ([True, True, True, False], 13, [2, 2, 4, 4]),  # one confirmation, no more
        ([True, False], 4, [2, 2]),
        ([False], 100, [2, 2]),
    ],
)
def test_an_alarm_in_the_last_round_is_looked_at_once_more(monkeypatch, objecting, budget, lengths):
    """Lengths of the rounds, where the budget is in units of a round of one sweep for each kept draw."""
    ran, told = [], []

    def exchange(path, kernel, ts, x, *, thin, **_):
        ran.append(thin)
        return SimpleNamespace(x=x, energy=np.zeros((1, 1)), last=x)

    script = iter(objecting)
    monkeypatch.setattr(_equilibrium, "replica_exchange", exchange)
    monkeypatch.setattr(_equilibrium, "_judge", lambda *_: (("apart",), {}) if next(script) else ((), {}))
    pilot = SimpleNamespace(levels=lambda n: np.linspace(0, 1, n), length=1.0, step_sizes_at=lambda ts: None)
    starts = {"one": np.zeros((2, 4, 3)), "other": np.ones((2, 4, 3))}
    one = 4 * 4 * _equilibrium.KEPT
    found = run_ladders(None, None, pilot, starts, budget=int(budget * one), tell=told.append, key=jax.random.key(0))
    assert ran == lengths
    assert found.num_transitions == sum(told) == sum(lengths) * one
    assert found.objections == (("apart",) if objecting[len(lengths) - 2] else ())
