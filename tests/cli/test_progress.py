"""The line that says how training goes: step, gap, acceptance, ESS, speed and time left."""

from __future__ import annotations

import pytest

from energax.cli import _output

METRICS = {"loss": -1.5, "energy_gap": 1.5, "accept_prob": 0.8125, "ess": 350.4, "steps_per_second": 50.0}


def lines(capsys: pytest.CaptureFixture[str], *steps: tuple[int, dict]) -> list[str]:
    hook = _output.PlainHook(_output.Output(json=False), 2_000)
    for step, metrics in steps:
        hook.last = 0.0
        hook.on_log(step, metrics)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_a_line_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, (1_000, METRICS))
    assert line == "  step 1000/2000  gap 1.5  acceptance 0.812  ESS 350  50 steps/s  20 s left"


def test_the_first_step_says_nothing_of_speed(capsys: pytest.CaptureFixture[str]) -> None:
    """Its time is that of the compilation, and would promise hours."""
    (line,) = lines(capsys, (1, {**METRICS, "steps_per_second": 0.2}))
    assert line == "  step 1/2000  gap 1.5  acceptance 0.812  ESS 350"


def test_without_chains_it_says_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, (1_990, {"loss": 0.25, "steps_per_second": 4.0}))
    assert line == "  step 1990/2000  loss 0.25  4.0 steps/s  2 s left"


def test_the_last_line_has_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, (2_000, METRICS))
    assert line.endswith("50 steps/s")


def test_lines_are_rare_but_the_last_one_always_comes(capsys: pytest.CaptureFixture[str]) -> None:
    hook = _output.PlainHook(_output.Output(json=False), 30)
    for step in range(1, 31):
        hook.on_log(step, METRICS)
    assert len(capsys.readouterr().err.splitlines()) == 2
