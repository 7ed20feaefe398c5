"""Crossings of Binder cumulants: where they are, how far they can be off, and what they say of the infinite system."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from energax import exact, runs, testing
from energax.runs._chains import Chamber
from energax.runs._crossings import Crossing, crossings, extrapolated
from energax.runs._pieces import Pieces

REPEATS = 60
"""Searches for the crossing of 2 × 2 and 4 × 4 spins, with 8 chains of 256 sweeps in each run each."""


def _exact_binder(size):
    """T → U of the torus by enumeration."""
    states, log_p = exact.log_probs(runs.SIMULATED["ising"].build(size), dtype=np.float64)
    m = np.asarray(states, np.float64).reshape(len(states), -1).mean(1)

    def binder(t):
        p = np.exp((log_p - log_p.max()) / t)
        return 1 - (p @ m**4) * p.sum() / (3 * (p @ m**2) ** 2)

    return binder


@pytest.fixture(scope="module")
def truth():
    small, large = _exact_binder(2), _exact_binder(4)
    return brentq(lambda t: large(t) - small(t), 1.5, 3.0)


@pytest.fixture(scope="module")
def found():
    """Crossings from different seeds; one compilation for each size serves them all."""
    kept = []
    for seed in range(REPEATS):
        plan = runs.plan_simulation(
            "ising", sizes=[2, 4], temperatures=[1.6, 2.8], num_sweeps=256, num_chains=8, kernel="block-gibbs",
            seed=seed,
        )  # fmt: skip
        chambers = [Chamber(plan, plan.system, size, Pieces(None)) for size in plan.sizes]
        for chamber in chambers:
            chamber.run(None)
        kept += crossings({chamber: chamber.chains() for chamber in chambers}, None)
    return kept


def _z(found, truth):
    return np.asarray([(c.temperature - truth) / c.stderr for c in found])


def check(found, truth, scale=1.0):
    """Distances in error bars are about those of standard normal numbers; they come from 30 degrees of freedom."""
    z = _z(found, truth) / scale
    low, high = stats.chi2.ppf([testing.FALSE_ALARM / 2, 1 - testing.FALSE_ALARM / 2], len(z))
    assert low < np.sum(z**2) < 1.07 * high
    assert abs(z.mean()) <= 4.9 / np.sqrt(len(z))


@pytest.mark.slow
def test_crossings_are_where_enumeration_has_them(found, truth):
    assert len(found) == REPEATS
    assert all(c.sizes == (2, 4) and c.stderr < 0.2 for c in found)
    check(found, truth)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 2.5])
def test_wrong_error_bars_of_crossings_are_seen(found, truth, scale):
    with pytest.raises(AssertionError):
        check(found, truth, scale)


@pytest.mark.slow
def test_a_cumulant_of_the_wrong_power_is_seen(found, truth):
    """Of |m| and m² in the place of m² and m⁴ the crossing lies elsewhere."""
    small, large = (_wrong(size) for size in (2, 4))
    wrong = brentq(lambda t: large(t) - small(t), 1.2, 6.0) if np.sign(large(1.2) - small(1.2)) > 0 else 1.2
    assert abs(wrong - truth) > 0.1
    with pytest.raises(AssertionError):
        check(found, wrong)


def _wrong(size):
    states, log_p = exact.log_probs(runs.SIMULATED["ising"].build(size), dtype=np.float64)
    m = np.abs(np.asarray(states, np.float64).reshape(len(states), -1).mean(1))

    def binder(t):
        p = np.exp((log_p - log_p.max()) / t)
        return 1 - (p @ m**2) * p.sum() / (3 * (p @ m) ** 2)

    return binder


@pytest.mark.slow
def test_there_is_no_crossing_where_there_is_none():
    plan = runs.plan_simulation(
        "ising", sizes=[3, 4], temperatures=[4.0, 5.0], num_sweeps=256, num_chains=16, kernel="block-gibbs"
    )
    simulation = runs.simulate(plan)
    assert simulation.critical["crossings"] == []
    assert simulation.critical["extrapolated"] is None
    assert "do not cross between these temperatures" in simulation.warnings[-1]


def test_crossings_that_obey_the_law_give_its_limit():
    sizes = [8, 16, 32, 64]
    exactly = [
        Crossing((a, b), 2.0 + 3.0 * a**-2.75, 0.001 * (1 + i), 0.6)
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    ]
    value, stderr = extrapolated(exactly, 2.75)
    assert value == pytest.approx(2.0, abs=1e-12)
    assert 0 < stderr < 0.003
    assert extrapolated(exactly[:1], 2.75) is None
    assert extrapolated([exactly[0], Crossing((16, 48), 2.0, 0.1, 0.6)], 2.75) is None


def test_several_sizes_take_the_kernel_of_transitions():
    assert runs.plan_simulation("ising", sizes=[4, 8], temperatures=[2.0]).kernel == "swendsen-wang"
    assert runs.plan_simulation("ising", sizes=[8], temperatures=[2.0]).kernel == "block-gibbs"
