"""One run of a study: an ordinary run directory, continued where it was interrupted, judged at its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from energax import runs
from energax._errors import RunError
from energax._files import replace_file
from energax.runs import Run
from energax.studies._in_turn import Interrupted, Updates, failure_of, keep_trial
from energax.studies._judge import judge
from energax.studies._plan import Comparison
from energax.training import fit, read_metrics

_PILOT_STEPS = 30
_PILOT_EVERY = 10
_MOST_STEPS = 1_000_000


def directory_of(study: Path, objective: str, seed: int) -> Path:
    """Where one run of a study lives."""
    return study / objective / f"seed-{seed}"


def finished(directory: Path) -> dict[str, Any] | None:
    """What a trial found, None if it has not ended."""
    path = directory.with_suffix(".json")
    return json.loads(path.read_text()) if path.exists() else None


def run_trial(
    plan: Comparison, study: Path, objective: str, seed: int, on_log: Callable[[int, int], None]
) -> dict[str, Any]:
    """Do one trial, or what is left of it, and store what it found beside its run.

    A failure of the objective is a finding; a disk that refuses is not.

    Args:
        plan: The study.
        study: Its directory.
        objective: Name of the objective.
        seed: Seed of the run.
        on_log: Called with the update and the number of updates.

    Raises:
        Interrupted: The run was stopped, and saved.
        RunError: The directory cannot be used.
    """
    directory = directory_of(study, objective, seed)
    found: dict[str, Any] = {"objective": objective, "seed": seed}
    try:
        found |= _trained_and_judged(plan, study, objective, seed, on_log)
    except (Interrupted, RunError):
        raise
    except Exception as error:
        found["failure"] = failure_of(error)
    keep_trial(directory, found)
    return found


def _trained_and_judged(
    plan: Comparison, study: Path, objective: str, seed: int, on_log: Callable[[int, int], None]
) -> dict[str, Any]:
    directory = directory_of(study, objective, seed)
    directory.parent.mkdir(exist_ok=True)
    if directory.exists() and not any(directory.iterdir()):
        directory.rmdir()  # Stopped before anything was written.
    if (directory / "config.json").exists():
        run = Run.open(directory)
    else:
        config, data = plan.planned(objective, seed, {"num_steps": _num_steps(plan, directory.parent, objective)})
        run = Run.create(config, data, out=directory)
    total = run.config.training.num_steps
    result = run.fit(resume=True, hooks=(Updates(on_log, total),))
    if result.interrupted:
        raise Interrupted
    return {"num_parameters": runs.num_parameters(run.energy), **_times(directory, total), **judge(run)}


def _num_steps(plan: Comparison, folder: Path, objective: str) -> int:
    """Updates of each run of an objective: as asked for, or as many as fit into the budget, measured once."""
    if plan.num_steps is not None:
        return plan.num_steps
    path = folder / "steps.json"
    if not path.exists():
        assert plan.budget is not None
        steps = min(max(1, round(plan.budget * pilot_speed(plan, objective))), _MOST_STEPS)
        replace_file(path, (json.dumps({"num_steps": steps}) + "\n").encode())
    return int(json.loads(path.read_text())["num_steps"])


def pilot_speed(plan: Comparison, objective: str) -> float:
    """Updates a second of an objective after compilation, from a few that are thrown away."""
    config, data = plan.planned(objective)
    run = Run(config, Path(), data)
    learner = run.learner
    size = min(config.training.batch_size, len(data.train))
    result = fit(
        learner,
        data.train,
        key=run.key("train"),
        num_steps=_PILOT_STEPS,
        batch_size=size,
        log_every=_PILOT_EVERY,
        recovery=None,
        throw=False,
    )
    speeds = [row["steps_per_second"] for row in result.history if row["step"] > _PILOT_EVERY]
    return float(np.median(speeds)) if speeds else 1.0


def _times(directory: Path, num_steps: int) -> dict[str, Any]:
    """Updates, milliseconds of one (median over the lines of the log), and seconds of all, without compilation."""
    history, events = read_metrics(directory)
    speeds = [row["steps_per_second"] for row in history if row["step"] > 1 and row.get("steps_per_second")]
    milliseconds = 1e3 / float(np.median(speeds)) if speeds else None
    return {
        "num_steps": num_steps,
        "milliseconds_per_step": milliseconds,
        "seconds": None if milliseconds is None else 1e-3 * milliseconds * num_steps,
        "num_recoveries": len(events),
    }
