"""From weights to an interval: every reason to withhold the upper end fires where it should, and only there."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import zoo

from energax.densities import IndependentSites
from energax.estimators import Interval
from energax.evaluation import _reverse
from energax.evaluation._annealed import BATCH, Weights
from energax.evaluation._both_directions import assemble
from energax.evaluation._log_z import _better
from energax.evaluation._places import Places
from energax.evaluation._plan import Plan
from energax.evaluation._result import LogZ
from energax.evaluation._reverse import Reverse, _from_ladders, _judge_places, _judge_weights, _ladders_per_group
from energax.paths import Geometric
from energax.spaces import Binary, Euclidean

LOG_Z = 5.0
PLAN = Plan(num_steps=32, num_particles=512, group_size=1, spread=0.5, truncated=False)


def weights(log_weights, groups=None, *, resampled=False):
    groups = np.arange(len(log_weights)) if groups is None else groups
    return Weights(log_weights, groups, np.zeros((len(log_weights), 2)), resampled)


def work(rng, *, spread=0.5, offset=0.0, num=512):
    """Forward and reverse log weights of Gaussian work of the same path: E w = Z and E w = 1/Z."""
    there = LOG_Z - spread**2 / 2 + spread * rng.normal(size=num)
    back = -LOG_Z - spread**2 / 2 + spread * rng.normal(size=num) - offset
    return weights(there), weights(back)


def assembled(forward, back, *, kind="assumes-equilibrium", objections=(), visited=(), space=None, width=0.3):
    path = SimpleNamespace(start=SimpleNamespace(space=space or Euclidean(2)))
    reverse = Reverse(back, kind, tuple(objections), {}, list(visited))
    prepared = SimpleNamespace(path=path)
    return assemble(prepared, forward, reverse, 0.95, width, PLAN, {})


def test_nothing_wrong_gives_both_ends(rng):
    found = assembled(*work(rng))
    assert found.interval.contains(LOG_Z)
    assert (found.interval.lower_kind, found.interval.upper_kind) == ("certified", "assumes-equilibrium")
    assert abs(found.value - LOG_Z) < 4.9 * found.stderr
    assert found.warnings == ()
    assert "forward_ess" in json.loads(json.dumps(found.to_json()))["diagnostics"]


def withheld(found, reason):
    assert (found.interval.upper, found.interval.upper_kind) == (math.inf, "none")
    assert found.interval.lower_kind == "certified"
    assert math.isfinite(found.diagnostics["upper_withheld"])
    assert math.isfinite(found.value)
    assert math.isnan(found.stderr), "an error bar beside a withheld end"
    assert any("No upper end is given" in w and reason in w for w in found.warnings), found.warnings
    assert found.to_json()["upper"] is None
    # The value rests on the forward direction alone.
    assert found.value == found.diagnostics["forward"]


def test_objections_of_the_ladders_withhold(rng):
    withheld(assembled(*work(rng), objections=["ladders disagree"]), "ladders disagree")


def test_reverse_weights_of_few_draws_withhold(rng):
    forward, back = work(rng)
    log_weights = back.log_weights.copy()
    log_weights[0] += 9.0
    withheld(assembled(forward, weights(log_weights)), "effective draws")


def test_a_reverse_estimate_below_the_forward_one_withholds(rng):
    """Starts that miss what the forward run found: smallest defect seen, 0.2 nats at an error of 0.03."""
    withheld(assembled(*work(rng, offset=-0.2)), "lies below the forward one")


def test_a_reverse_estimate_above_does_not(rng):
    """Modes that the forward run found too seldom: the interval is wide, and right."""
    found = assembled(*work(rng, offset=0.2))
    assert found.interval.upper_kind == "assumes-equilibrium"
    assert found.interval.contains(LOG_Z + 0.2)


def test_ends_that_cross_withhold(rng):
    withheld(assembled(*work(rng, offset=-1.0)), "the ends cross")


def test_work_without_overlap_withholds(rng):
    forward, back = work(rng, spread=0.01)
    withheld(assembled(forward, weights(back.log_weights - 800.0)), "do not overlap")


def test_configurations_that_weigh_more_than_the_end_withhold(rng):
    """All 64 configurations of a small machine; then only light ones."""
    machine = zoo.Machine(0.1 * rng.normal(size=(6, 4)), rng.normal(size=6), np.zeros(4))
    path = Geometric(IndependentSites(Binary(6)), machine.energy)
    exact = zoo.exact_log_z(machine)
    states = zoo.all_states(6).astype(np.int8)

    def found(visited, shift):
        forward, back = (w.log_weights for w in work(rng, spread=0.1))
        forward, back = weights(forward + exact - LOG_Z - shift), weights(back - exact + LOG_Z + shift)
        prepared, reverse = SimpleNamespace(path=path), Reverse(back, "assumes-equilibrium", (), {}, [visited])
        return assemble(prepared, forward, reverse, 0.95, 0.3, PLAN, {})

    withheld(found(states, 0.5), "configurations seen already weigh")
    assert found(states[:20], 0.0).interval.upper_kind == "assumes-equilibrium"
    assert found(states, 0.0).interval.contains(exact)


def test_exact_draws_stay_certified(rng):
    """Objections are about starts that are no draws; exact draws have none to answer."""
    found = assembled(*work(rng), kind="certified")
    assert found.interval.upper_kind == "certified"
    assert found.interval.contains(LOG_Z)


def test_an_interval_wider_than_wanted_is_told(rng):
    forward, back = work(rng)
    assert not assembled(forward, back, width=1.0).warnings
    assert "wide, more than the wanted 0.01" in assembled(forward, back, width=0.01).warnings[-1]


def test_resampled_directions_are_averaged(rng):
    forward, back = work(rng)
    groups = np.repeat(np.arange(32), 16)
    forward = weights(forward.log_weights, groups, resampled=True)
    found = assembled(forward, weights(back.log_weights, groups, resampled=True))
    assert found.diagnostics["estimator"] == "two-sided mean"
    ends = sorted((found.diagnostics["forward"], found.diagnostics["reverse"]))
    assert ends[0] <= found.value <= ends[1]
    assert found.stderr >= 0.5 * (ends[1] - ends[0])
    assert found.diagnostics["num_groups"] == 32


# -- what speaks against the starts -----------------------------------------------------------------------------------

FAMILIES = np.repeat(np.arange(2), 64)


def test_families_whose_reverse_weights_differ_are_seen(rng):
    forward, back = work(rng, num=128)
    ladders = SimpleNamespace(families=FAMILIES)
    assert _judge_weights(back, ladders, PLAN, forward)[0] == []
    apart = weights(back.log_weights + np.where(FAMILIES == 1, 0.6, 0.0))
    found, p_value = _judge_weights(apart, ladders, PLAN, forward)
    assert "disagree in their reverse weights" in found[0]
    assert p_value < 0.005


def test_a_ladder_in_a_place_that_annealing_misses_is_seen(rng):
    forward, back = work(rng, num=128)
    log_weights = back.log_weights.copy()
    log_weights[3] -= 12.0
    found, _ = _judge_weights(weights(log_weights), SimpleNamespace(families=FAMILIES), PLAN, forward)
    assert found == ["1 ladders stay in places that annealing hardly ever reaches"]


@pytest.mark.parametrize(("excess", "mass", "fires"), [(0.0, 5.0, False), (12.0, 5.0, True), (12.0, -9.0, False)])
def test_places_that_annealing_does_not_reach_are_seen(rng, monkeypatch, excess, mass, fires):
    """A place counts if annealing under-represents it beyond chance, and if it weighs enough to be missed."""
    forward, _ = work(rng)
    back = -LOG_Z + 0.1 * rng.normal(size=BATCH)
    back[7] -= excess
    masses = np.full(BATCH, 5.0)
    masses[7] = mass
    monkeypatch.setattr(_reverse, "annealed", lambda *_, **__: weights(back))
    places = Places(np.zeros((BATCH, 2)), None, masses)
    prepared = SimpleNamespace(path=None, kernel=None, pilot=None, places=places)
    found = _judge_places(prepared, PLAN, forward, tell=lambda n: None, key=None)
    assert bool(found) == fires
    assert not fires or "1 of 128 places" in found[0]


@pytest.mark.parametrize(("count", "wanted", "size"), [(128, 256, 1), (192, 1024, 32), (48, 1024, 32), (32, 256, 1)])
def test_draws_of_one_ladder_stay_together(count, wanted, size):
    """Groups are whole ladders, or several whole ones where resampling joins them; batches are full."""
    ladders = SimpleNamespace(x=np.arange(count * 32).reshape(count, 32), energy=np.zeros((count, 32)))
    x0, groups = _from_ladders(ladders, Plan(32, wanted, size, 0.5, truncated=False))
    assert len(x0) % BATCH == 0
    assert len(x0) >= min(wanted, 32 * count)
    together = _ladders_per_group(len(x0), count, size)
    assert np.array_equal(groups, x0 // 32 // together)
    # No resampled group of particles crosses from one group of ladders to the next.
    assert all(len(set(part)) == 1 for part in groups.reshape(-1, size))
    assert len(np.unique(x0)) == len(x0)


def test_the_better_of_two_attempts():
    """An upper end wins; without one the larger value and the larger certified lower end, and what both said."""
    none = Interval(-math.inf, math.inf, "none", "none", 0.95)
    certified = Interval(-3.0, math.inf, "certified", "none", 0.95)
    tempered = LogZ(-0.1, math.nan, none, None, "counting", warnings=("R-hat",), method="pt-mbar")
    annealed = LogZ(-1.3, math.nan, certified, None, "counting", warnings=("no upper end",))
    found = _better(tempered, annealed)
    assert (found.value, found.method, found.interval) == (-0.1, "pt-mbar", certified)
    assert found.warnings == ("R-hat", "no upper end")
    assert _better(annealed, tempered).value == -0.1
    held = LogZ(-0.4, 0.1, Interval(-0.6, 0.1, "certified", "assumes-equilibrium", 0.95), None, "counting")
    assert _better(tempered, held) is held


@pytest.mark.parametrize(
    ("p_values", "objections", "told"),
    [([0.002, 0.3], (), 0.3), ([0.002, 0.001], (), 0.001), ([0.3], (), 0.3), ([0.002], ("apart",), 0.002)],
)
def test_families_that_disagree_in_their_weights_alone_are_asked_once_more(
    monkeypatch, rng, p_values, objections, told
):
    script, keys = iter(p_values), []

    def ladders(*_, key, **__):
        keys.append(int(jax.random.key_data(key)[-1]))
        return SimpleNamespace(objections=objections, diagnostics={}, x=np.zeros((48, 4, 2)))

    forward, back = work(rng)
    monkeypatch.setattr(_reverse, "_ladders", ladders)
    monkeypatch.setattr(_reverse, "_from_ladders", lambda *_: (np.zeros((8, 2)), np.arange(8)))
    monkeypatch.setattr(_reverse, "annealed", lambda *_, **__: back)
    monkeypatch.setattr(_reverse, "_judge_places", lambda *_, **__: [])
    monkeypatch.setattr(_reverse, "_judge_weights", lambda *_: ((["apart"] if (p := next(script)) < 0.005 else []), p))
    places = SimpleNamespace(ends=np.zeros((8, 2)))
    prepared = SimpleNamespace(path=None, kernel=None, pilot=None, found=np.zeros((8, 2)), places=places)
    found = _reverse.run_reverse(None, prepared, PLAN, None, forward, budget=1, tell=print, key=jax.random.key(0))
    assert found.diagnostics["reverse_families_p_value"] == told
    assert len(set(keys)) == len(keys) == len(p_values), "with other random numbers"
    assert found.objections == (*objections, *(["apart"] if told < 0.005 else []))
