"""One run of a comparison of models: trained for its time, judged, and kept; continued where it was killed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from energax import runs
from energax._errors import ArgumentError, RunError
from energax._files import replace_arrays, replace_file
from energax._typing import PRNGKey
from energax.data import Data
from energax.studies._demonstrations import demonstrations
from energax.studies._families import family
from energax.studies._family import Recipe
from energax.studies._in_turn import Interrupted, OnWay, Updates, failure_of, keep_trial
from energax.studies._models_judge import judge_model
from energax.studies._models_plan import ModelComparison
from energax.studies._subjects import AbstractSubject, Energetic, Generated
from energax.studies._yardstick import Yardstick
from energax.training import AbstractLearner, FitResult, checkpoints, fit, read_metrics

_OVER = 1.1
"""A run ends after this many times its budget, however slow the machine has become."""
_NO_TIME = 1e-3
"""Seconds; `fit` wants some."""
_EVALUATION = 0.25
"""Part of the budget for the judgement."""
_LEAST_EVALUATION = 6.0
_LEAST_STEPS = 20
_PILOT_STEPS = 10
_PILOT_SECONDS, _PILOT_SHARE, _NUM_PILOTS = 6.0, 0.04, 3
_MOST_STEPS = 1_000_000
_KEYS = {"init": 0, "train": 1, "judge": 2}


def path_of(study: Path, model: str, seed: int) -> Path:
    """Where a run lives; beside it ``.json`` and ``.npz`` once it has ended."""
    return study / model / f"seed-{seed}"


def finished_model(directory: Path) -> dict[str, Any] | None:
    """What a run found, None if it has not ended or failed in a way that can be tried again."""
    path = directory.with_suffix(".json")
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def run_model(
    plan: ModelComparison, study: Path, model: str, seed: int, tell: OnWay, yardstick: Callable[[int], Yardstick]
) -> dict[str, Any]:
    """Make one run, or what is left of it, and store what it found.

    A failure of the model is a finding; a disk that refuses is not.

    Args:
        plan: The comparison.
        study: Its directory.
        model: Name of the family.
        seed: Seed of the run.
        tell: Called with the part that is done and what happens now.
        yardstick: From a seed to what draws are held against.

    Raises:
        Interrupted: The run was stopped, and saved.
        RunError: The directory cannot be used.
    """
    directory = path_of(study, model, seed)
    found: dict[str, Any] = {"model": model, "seed": seed}
    try:
        directory.parent.mkdir(exist_ok=True)
        trial = Trial(plan, directory, model, seed, tell, yardstick)
        told, arrays = trial.run()
        found |= told
        replace_arrays(directory.with_suffix(".npz"), arrays)
    except (Interrupted, RunError, OSError, KeyboardInterrupt):
        raise
    except Exception as error:
        found["failure"] = failure_of(error)[:500]
    keep_trial(directory, found)
    return found


@dataclasses.dataclass
class Trial:
    """One run.

    Attributes:
        plan: The comparison.
        directory: Of the run.
        model: Name of the family.
        seed: Seed.
        tell: Called with the part that is done and what happens now.
        yardstick: From a seed to what draws are held against.
    """

    plan: ModelComparison
    directory: Path
    model: str
    seed: int
    tell: OnWay
    yardstick: Callable[[int], Yardstick]

    def run(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Train, judge, and show."""
        data = self.plan.view(self.model, self.seed)
        recipe = family(self.model).build(data, self._key("init"))
        pilot = self._pilot(recipe, data)
        learner = recipe.learner(pilot["num_steps"])
        result = self._train(learner, recipe, data, pilot["num_steps"])
        self.tell(0.85, "judging")
        yardstick = self.yardstick(self.seed)
        begun, limit = time.perf_counter(), max(_EVALUATION * self.plan.budget, _LEAST_EVALUATION)
        subject = self._subject(result, recipe, data)
        found, arrays = judge_model(subject, data, yardstick, key=self._key("judge"), seconds=0.75 * limit)
        if self.seed == 0:
            restore = family(self.model).restore
            arrays |= demonstrations(subject, data, restore=restore, key=self._key("judge"), seconds=0.25 * limit)
        told = {
            "num_parameters": runs.num_parameters(recipe.model),
            "compile_seconds": pilot["compile_seconds"],
            **self._times(),
            **found,
            "evaluation_seconds": time.perf_counter() - begun,
        }
        return told, arrays

    def _key(self, purpose: str) -> PRNGKey:
        return jax.random.fold_in(jax.random.key(self.seed), _KEYS[purpose])

    def _pilot(self, recipe: Recipe, data: Data) -> dict[str, Any]:
        """Updates of each run of a model, as many as fit into the budget, from a few that are thrown away; once."""
        path = self.directory.parent / "pilot.json"
        if not path.exists():
            self.tell(0.0, "compiling")
            compile_seconds, *speeds = pilot_speeds(recipe, data, self.plan.budget, self._key("train"))
            steps = min(recipe.num_steps(self.plan.budget, *speeds), _MOST_STEPS)
            found = {"num_steps": steps, "compile_seconds": compile_seconds, "steps_per_second": min(speeds)}
            replace_file(path, (json.dumps(found) + "\n").encode())
        found = json.loads(path.read_text())
        if found["num_steps"] < _LEAST_STEPS:
            raise ArgumentError(
                f"A budget of {self.plan.budget:g} s is too small for {self.model}: it makes {found['num_steps']} "
                f"updates in it, and {_LEAST_STEPS} are the least. Give it {_needed(found):.0f} s or more."
            )
        return found

    def _train(self, learner: AbstractLearner, recipe: Recipe, data: Data, num_steps: int) -> FitResult:
        # A run that is taken up after its time is only read, but for one update.
        left = max(_OVER * self.plan.budget - self._times()["train_seconds"], _NO_TIME)
        result = fit(
            learner,
            data.train,
            key=self._key("train"),
            num_steps=num_steps,
            batch_size=min(recipe.batch_size, len(data.train)),
            directory=self.directory,
            resume=True,
            keep=1,
            hooks=(Updates(self._at_update, num_steps),),
            max_seconds=left,
        )
        if result.interrupted:
            raise Interrupted
        return result

    def _at_update(self, step: int, total: int) -> None:
        """Training is the larger part of a run."""
        self.tell(0.85 * step / total, f"update {step} of {total}")

    def _subject(self, result: FitResult, recipe: Recipe, data: Data) -> AbstractSubject:
        if recipe.kernel is None:
            return Generated(result.energy, shows_means=family(self.model).shows_means)
        rows = data.train.take(np.linspace(0, len(data.train) - 1, min(len(data.train), 10_000)).astype(np.int64))
        return Energetic(result.energy, recipe.kernel, np.asarray(rows), recipe.chains(result.state))

    def _times(self) -> dict[str, Any]:
        """Updates, seconds of them, and milliseconds of one, without compilation."""
        if not self.directory.exists() or not checkpoints(self.directory):
            return {"num_steps": 0, "train_seconds": 0.0, "milliseconds_per_step": None, "num_recoveries": 0}
        history, events = read_metrics(self.directory)
        rows = [row for row in history if row["step"] > 1 and row.get("steps_per_second")]
        speeds = [row["steps_per_second"] for row in rows]
        steps = np.diff([1, *(row["step"] for row in rows)])
        return {
            "num_steps": int(history[-1]["step"]) if history else 0,
            "train_seconds": float(np.sum(steps / np.asarray(speeds))) if rows else 0.0,
            "milliseconds_per_step": 1e3 / float(np.median(speeds)) if rows else None,
            "num_recoveries": len(events),
        }


def pilot_speeds(recipe: Recipe, data: Data, budget: float, key: PRNGKey) -> tuple[float, float, float]:
    """Seconds until the first update is made, which is about what compilation takes; updates a second after it.

    Returns:
        Those seconds, and the speed without and with the calibration of the recipe: twice the same where it has none.
    """
    size = min(recipe.batch_size, len(data.train))

    def timed(learner: AbstractLearner, num_steps: int) -> float:
        begun = time.perf_counter()
        fit(learner, data.train, key=key, num_steps=num_steps, batch_size=size, recovery=None, throw=False,
            max_seconds=budget)  # fmt: skip
        return time.perf_counter() - begun

    shares = (0.0,) if recipe.calibration is None else (0.0, 1.0)
    learners = [recipe.learner(_MOST_STEPS, share=share) for share in shares]
    first, second = timed(learners[0], 1), timed(learners[0], 1)
    wanted = min(_PILOT_SECONDS, _PILOT_SHARE * budget) / _NUM_PILOTS
    speeds = [speed_of(lambda steps, it=it: timed(it, 1 + steps) - second, wanted / len(shares)) for it in learners]
    return max(first - second, 0.0), speeds[0], speeds[-1]


def speed_of(timed: Callable[[int], float], wanted: float) -> float:
    """Updates a second, from runs that grow until one takes about `wanted` seconds.

    Args:
        timed: From a number of updates to their seconds; of a few it may be noise, even below zero.
        wanted: Seconds.
    """
    steps = _PILOT_STEPS
    took = timed(steps)
    while took < 0.5 * wanted:
        steps = int(steps * np.clip(wanted / max(took, 1e-9), 2, 10))
        took = timed(steps)
    if steps > _PILOT_STEPS:
        # The best of several: what else runs on the machine may go, and a run ends with its time anyhow.
        took = min(took, *(timed(steps) for _ in range(_NUM_PILOTS - 1)))
    return steps / max(took, 0.25 * wanted)


def _needed(found: dict[str, Any]) -> float:
    return 1.5 * _LEAST_STEPS / found["steps_per_second"]
