"""Synthetic streams: healthy ones of many kinds raise nothing, each failure is noticed within `delay` updates."""

import json

import numpy as np
import pytest

from energax.training import Thermometer

SCALE = 64.0
LOG_EVERY = 50
WINDOWS = 200
STREAMS = 20


def run(rows, *, scale=SCALE, log_every=LOG_EVERY):
    """Alarms of a stream, each with the update at which it was raised."""
    thermometer = Thermometer(scale, log_every=log_every)
    return [(row["step"], alarm) for row in rows for alarm in thermometer.update(row)]


def stream(metrics, *, log_every=LOG_EVERY, windows=WINDOWS):
    """Rows at update 1, and at the end of every window, from functions of the window's number."""
    steps = sorted({1, *range(log_every, windows * log_every + 1, log_every)})
    return [{"step": step, **{name: float(f(i)) for name, f in metrics.items()}} for i, step in enumerate(steps)]


def healthy(rng):
    return {
        "energy_gap": lambda i: 0.5 * rng.normal(),
        "accept_prob": lambda i: 0.6 + 0.05 * rng.normal(),
        "moved": lambda i: 0.2 * np.exp(0.1 * rng.normal()),
        "ess": lambda i: 100 * np.exp(0.3 * rng.normal()),
        "saturation": lambda i: abs(0.05 * rng.normal()),
    }


# What healthy runs have been seen to do, each with more noise than was seen.
HEALTHY = {
    "gaussian noise": lambda rng: {},
    "heavy tails": lambda rng: {"energy_gap": lambda i: 5 * rng.standard_t(2)},
    "heavy tails far above the scale": lambda rng: {"energy_gap": lambda i: 1e4 * rng.standard_t(2)},
    "a start far away": lambda rng: {"energy_gap": lambda i: -1e6 * np.exp(-i / 5) + rng.normal()},
    "a hump while the model forms": lambda rng: {"energy_gap": lambda i: 4 * SCALE * i * np.exp(1 - i / 20) / 20},
    "a slow rise to the scale": lambda rng: {"energy_gap": lambda i: SCALE * i / WINDOWS + rng.normal()},
    "outliers in single windows": lambda rng: {"energy_gap": lambda i: 1e7 * (rng.random() < 0.03) + rng.normal()},
    "chains that slow down": lambda rng: {
        "ess": lambda i: 100 * np.exp(-i / 30) + 0.1,
        "moved": lambda i: 0.3 * np.exp(-i / 40) + 1e-3,
    },
    "chains that are slow from the start": lambda rng: {"ess": lambda i: 0.01 * np.exp(rng.normal())},
    "an energy that is constant at first": lambda rng: {"ess": lambda i: 0.0 if i < 20 else 100.0},
    "low acceptance": lambda rng: {"accept_prob": lambda i: 0.02 * np.exp(0.2 * rng.normal())},
    "single windows without acceptance": lambda rng: {"accept_prob": lambda i: 0.0 if i % 10 == 3 else 0.5},
    "a step size that finds its way": lambda rng: {
        "accept_prob": lambda i: 0.0 if i < 20 else 0.574,
        "step_size": lambda i: 100 * np.exp(-0.029 * LOG_EVERY * min(i, 20)),
    },
    "sparse data": lambda rng: {"saturation": lambda i: min(1.0, 0.95 + 0.03 * rng.normal())},
    "sparse data with chains that start there": lambda rng: {"saturation": lambda i: 0.2 if i == 0 else 0.85},
    "an energy that rises outside": lambda rng: {"outward_fall": lambda i: -1e8 if i < 20 else -1e12},
    "an energy whose fall outside passes": lambda rng: {"outward_fall": lambda i: 1e3 if i % 10 in (3, 4) else -5.0},
    "a loss and nothing else": lambda rng: {"loss": lambda i: 1e3 * np.exp(-i / 20) + rng.normal()},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_streams_raise_nothing(name):
    """20 streams of 200 windows of each kind; a false alarm in one run of 30 would be seen with chance 1/2 in a kind.

    The heaviest tails come closest: three windows in a row beyond ten medians of a t-law with 2 degrees of freedom
    happen once in 300,000 windows.
    """
    for seed in range(STREAMS):
        rng = np.random.default_rng([seed, len(name)])
        metrics = HEALTHY[name](rng)
        metrics = metrics if "loss" in metrics else {**healthy(rng), **metrics}
        assert run(stream(metrics)) == []


@pytest.mark.parametrize("log_every", [1, 7, 50])
def test_nor_do_they_with_other_windows(log_every):
    for seed in range(STREAMS):
        assert run(stream(healthy(np.random.default_rng(seed)), log_every=log_every), log_every=log_every) == []


def failing(at):
    """Failures that begin in window `at`, by name: the metrics that change, and the alarm that is due."""

    def later(before, after):
        return lambda i: after(i - at) if i >= at else before

    return {
        "a gap that doubles": ({"energy_gap": later(1.0, lambda j: 400 * 2.0**j)}, "exploding_energy_gap"),
        "a gap that falls": ({"energy_gap": later(1.0, lambda j: -400 * 2.0**j)}, "exploding_energy_gap"),
        "a gap that jumps": ({"energy_gap": later(1.0, lambda j: 330.0)}, "exploding_energy_gap"),
        "no bound below": ({"outward_fall": later(-1e8, lambda j: 1e3)}, "unbounded_energy"),
        "acceptance": ({"accept_prob": later(0.6, lambda j: 1e-3)}, "dead_chains"),
        "frozen chains": ({"moved": later(0.2, lambda j: 0.0)}, "dead_chains"),
        "chains that return to where they were": ({"ess": later(100.0, lambda j: 1e-3)}, "dead_chains"),
        "one picture": ({"saturation": later(0.05, lambda j: 0.99)}, "saturated_samples"),
    }


@pytest.mark.parametrize("name", failing(0))
@pytest.mark.parametrize("log_every", [1, 10, 50])
@pytest.mark.parametrize("at", [1, 5, 120])
def test_every_failure_is_noticed_in_time(name, log_every, at):
    """Once, with the update at which it began, within `delay` updates of it: 30 of them or three windows."""
    changes, kind = failing(at)[name]
    alarms = run(stream({**healthy(np.random.default_rng(0)), **changes}, log_every=log_every), log_every=log_every)
    # Window 0 is the first update alone, unless all windows are that short.
    began = at + 1 if log_every == 1 else max(2, (at - 1) * log_every + 1)
    assert [(alarm.kind, alarm.began) for _, alarm in alarms] == [(kind, began)]
    delay = Thermometer(SCALE, log_every=log_every).delay
    assert delay == max(30, 3 * log_every)
    assert alarms[0][0] - began < delay
    assert f"updates {began} to {alarms[0][0]}" in alarms[0][1].message


def test_a_failure_in_the_first_update_is_not_excused():
    metrics = {**healthy(np.random.default_rng(0)), "accept_prob": lambda i: 0.0, "moved": lambda i: 0.0}
    assert [alarm.kind for _, alarm in run(stream(metrics))] == ["dead_chains"]


def test_a_loss_is_judged_where_there_is_no_gap():
    exploding = {"loss": lambda i: 1.0 if i < 100 else 1e9}
    assert [alarm.kind for _, alarm in run(stream(exploding))] == ["exploding_loss"]
    with_gap = {**exploding, "energy_gap": lambda i: 0.1}
    assert run(stream(with_gap)) == []


def test_what_is_not_finite_is_noticed_at_once():
    thermometer = Thermometer(SCALE, log_every=50)
    assert thermometer.update({"step": 50, "loss": 1.0}) == []
    alarm = thermometer.update({"step": 100, "loss": float("nan")}, {"loss": 77, "gradient_norm": 76})[0]
    assert (alarm.kind, alarm.began) == ("nonfinite", 76)
    assert "gradient_norm is not finite since update 76" in alarm.message


def test_a_second_failure_of_the_same_kind_is_a_second_alarm():
    metrics = {**healthy(np.random.default_rng(0)), "moved": lambda i: 0.0 if i in range(20, 30) or i >= 60 else 0.2}
    assert [alarm.began for _, alarm in run(stream(metrics))] == [19 * LOG_EVERY + 1, 59 * LOG_EVERY + 1]


@pytest.mark.parametrize("name", failing(0))
def test_it_can_be_put_down_and_taken_up_anywhere(name):
    """Through JSON after every row: the same alarms."""
    rows = stream({**healthy(np.random.default_rng(1)), **failing(60)[name][0]}, windows=70)
    alarms, memory = [], None
    for row in rows:
        thermometer = Thermometer(SCALE, log_every=LOG_EVERY, memory=memory)
        alarms += [(row["step"], alarm) for alarm in thermometer.update(row)]
        memory = json.loads(json.dumps(thermometer.memory))
    assert alarms == run(rows)
    assert len(json.dumps(memory)) < 10_000
