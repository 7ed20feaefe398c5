"""The size of a run, decided by pilots: cost rules alone, with pilots whose weights are prescribed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from energax.evaluation import _plan
from energax.evaluation._annealed import BATCH, UNIT, Weights, log_spread
from energax.evaluation._plan import GROUP, make_plan

NORMAL = np.sqrt(2) * np.asarray(jax.scipy.special.erfinv(np.linspace(-1, 1, BATCH + 2)[1:-1]))


@pytest.fixture
def plan(monkeypatch):
    """`make_plan` where a run of K steps has log weights of variance `variance(K)`."""

    def call(variance, *, length=4.0, budget=10**7, width=0.3, num_steps=None, num_particles=None, resample=None):
        tried = []

        def annealed(path, kernel, pilot, steps, particles, size, *, tell, key):
            tried.append((steps, particles, size, tuple(np.asarray(jax.random.key_data(key)))))
            spread = math.sqrt(variance(steps))
            return Weights(spread * NORMAL, np.arange(BATCH), NORMAL, resampled=False)

        monkeypatch.setattr(_plan, "annealed", annealed)
        prepared = SimpleNamespace(path=None, kernel=None, pilot=SimpleNamespace(length=length))
        made = make_plan(
            prepared,
            width=width,
            budget=budget,
            num_steps=num_steps,
            num_particles=num_particles,
            resample=resample,
            tell=lambda n: None,
            key=jax.random.key(0),
        )
        return made, tried

    return call


def test_levels_double_until_particles_are_cheaper(plan):
    """length²/K, as perfect moves give: from variance one the cost falls, until two batches are enough."""
    made, tried = plan(lambda k: 16.0 / k)
    assert [t[0] for t in tried] == sorted({t[0] for t in tried})
    assert tried[0][0] == UNIT
    assert made.group_size == 1
    assert made.num_particles % BATCH == 0
    assert not made.truncated
    assert made.spread == pytest.approx(log_spread(NORMAL) * math.sqrt(16.0 / made.num_steps))


def test_every_pilot_has_a_key_of_its_own(plan):
    _, tried = plan(lambda k: 64.0 / k, length=2.0)
    assert len(tried) > 1
    assert len({t[3] for t in tried}) == len(tried)


def test_resampling_can_be_asked_for_and_forbidden(plan):
    assert plan(lambda k: 0.1, resample=True)[0].group_size == GROUP
    assert plan(lambda k: 9.0, resample=False)[0].group_size == 1


def test_narrower_intervals_take_more_particles(plan):
    """Both ends 3.3 √(v/n) from the value: n grows with the inverse square of the width."""
    wide, narrow = (plan(lambda k: 1.0, width=w, num_steps=64)[0] for w in (0.3, 0.1))
    assert wide.num_steps == narrow.num_steps == 64
    assert narrow.num_particles / wide.num_particles == pytest.approx(9.0, rel=0.15)


def test_particles_that_remember_are_resampled(plan):
    made, _ = plan(lambda k: 9.0)
    assert made.group_size == GROUP
    assert made.num_particles == 1024
    fixed, _ = plan(lambda k: 9.0, num_particles=300)
    assert (fixed.group_size, fixed.num_particles) == (1, 384)


def test_a_budget_that_is_too_small_is_told(plan):
    made, _ = plan(lambda k: 1.0, budget=30_000, width=0.01)
    assert made.truncated
    assert made.num_particles * made.num_steps <= 30_000
    made, _ = plan(lambda k: 1.0, num_particles=256, num_steps=64)
    assert (made.num_particles, made.num_steps, made.truncated) == (256, 64, False)


def test_spread_is_the_standard_deviation_of_normal_weights():
    grid = np.sqrt(2) * np.asarray(jax.scipy.special.erfinv(np.linspace(-1, 1, 4001)[1:-1]))
    assert log_spread(3.0 * grid) == pytest.approx(3.0, rel=2e-3)
    assert log_spread(np.r_[3.0 * grid, -np.inf]) == pytest.approx(3.0, rel=2e-3)
    assert log_spread(np.asarray([1.0, -np.inf])) == math.inf
