"""Seconds become transitions by measured speed."""

from __future__ import annotations

import jax
import pytest

from energax import energies
from energax._errors import ArgumentError
from energax.cli import main
from energax.runs import System, _free_energy, _time_limit, transitions_within
from energax.runs._time_limit import affordable


class Clock:
    """Time that only trials spend: compilation once, then a speed."""

    def __init__(self, compilation: float, speed: float) -> None:
        self.now, self.compilation, self.speed, self.budgets = 0.0, compilation, speed, []

    def trial(self, budget: int) -> None:
        self.now += self.compilation + budget / self.speed
        self.compilation = 0.0
        self.budgets.append(budget)


@pytest.fixture
def clock(monkeypatch):
    found = Clock(compilation=8.0, speed=1e6)
    monkeypatch.setattr(_time_limit.time, "perf_counter", lambda: found.now)
    return found


def test_the_time_is_used_and_not_exceeded(clock):
    budget = affordable(60.0, clock.trial, least=20_000)
    left = 60.0 - clock.now
    assert 0.7 * left <= budget / clock.speed <= left
    assert clock.budgets == [100_000, 100_000, 400_000, 1_600_000, 6_400_000]


def test_a_time_that_is_too_short_is_one_sentence(clock):
    with pytest.raises(ArgumentError, match="--seconds 8 is too short: compiling and measuring the speed took 8 s"):
        affordable(8.0, clock.trial, least=20_000)
    with pytest.raises(ArgumentError, match="positive"):
        affordable(0.0, clock.trial, least=20_000)


def test_one_length_is_asked_for(capsys):
    assert main(["free-energy", "ising", "--seconds", "3", "--budget", "100000"]) == 2
    assert "name one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("energy", "method", "measured"),
    [
        (energies.Ising(4), "auto", "pt-mbar"),  # and not annealing, which follows where a trial is too short
        (energies.Ising(4), "ais", "ais"),
        (energies.RBM(4, 3, key=jax.random.key(0)), "auto", "auto"),
    ],
)
def test_auto_is_measured_by_what_it_tries_first(monkeypatch, energy, method, measured):
    asked = []
    monkeypatch.setattr(_free_energy, "_estimate", lambda system, beta, method, seed, **_: asked.append(method))
    monkeypatch.setattr(_free_energy, "affordable", lambda seconds, trial, least: trial(least))
    transitions_within(9.0, System("it", energy), method=method)
    assert asked == [measured]
