"""The runs of a study: one after the other, each kept when it ends, and what they say together."""

from __future__ import annotations

import abc
import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from energax import runs
from energax._errors import EnergaxError
from energax._files import replace_file
from energax.runs import AbstractPlan

Progress = Callable[[float, int, str], None]
OnWay = Callable[[float, str], None]
"""Called with the part of a run that is done, and what happens now."""


class Interrupted(Exception):
    """A trial was stopped and saved."""


@dataclasses.dataclass(frozen=True)
class AbstractCompared(abc.ABC):
    """What a study found.

    Attributes:
        plan: What was compared.
        trials: One mapping a run that has ended, in the order in which they were made.
        environment: Versions and platform.
        result: ``"successful"`` or ``"interrupted"``.
    """

    plan: AbstractPlan
    trials: list[dict[str, Any]]
    environment: dict[str, Any]
    result: str

    @abc.abstractmethod
    def table(self) -> dict[str, Any]:
        """What the runs say together, under its name in the JSON."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "plan": dataclasses.asdict(self.plan),
            "command": self.plan.command,
            **self.table(),
            "trials": self.trials,
            "environment": self.environment,
            "result": self.result,
        }


def in_turn(
    names: Sequence[str],
    seeds: int,
    *,
    finished: Callable[[str, int], dict[str, Any] | None],
    make: Callable[[str, int, OnWay], dict[str, Any]],
    outcome: Callable[[Mapping[str, Any]], str],
    progress: Progress | None,
) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    """Make all runs that have not been made yet.

    The first seed of every name comes before the second of any, so that a study that is stopped has told most.

    Args:
        names: What is compared.
        seeds: Runs of each.
        finished: What a run found, None if it has not ended.
        make: Makes the run of a name and a seed, and raises `Interrupted` where it was stopped.
        outcome: A run that has ended in a few words.
        progress: Called with (runs done so far, all runs, what happens now).

    Returns:
        What the runs found, versions and platform, and ``"successful"`` or ``"interrupted"``.
    """
    tell = progress or (lambda done, total, text: None)
    todo = [(name, seed) for seed in range(seeds) for name in names]
    trials, result = [], "successful"
    for done, (name, seed) in enumerate(todo):
        found = finished(name, seed)
        if found is None:
            what = f"{name}, run {seed + 1} of {seeds}"
            tell(done, len(todo), what)

            def on_way(part: float, text: str, done: int = done, what: str = what) -> None:
                tell(done + min(part, 0.999), len(todo), f"{what}: {text}")

            try:
                found = make(name, seed, on_way)
            except (Interrupted, KeyboardInterrupt):
                result = "interrupted"
                break
            tell(done + 1, len(todo), f"{what}: {outcome(found)}")
        trials.append(found)
    return trials, {**runs.environment(), "cpus": os.cpu_count()}, result


def failure_of(error: Exception) -> str:
    """What happened, in one line: one run that fails must not lose the others, and its row tells it."""
    text = str(error) if isinstance(error, EnergaxError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def keep_trial(directory: Path, found: Mapping[str, Any]) -> None:
    """Store what a run found beside its directory."""
    content = json.dumps(runs.plain(found), indent=2) + "\n"
    replace_file(directory.with_suffix(".json"), content.encode())


class Updates:
    """A hook of `fit` that passes on the update and the number of updates."""

    def __init__(self, tell: Callable[[int, int], None], total: int) -> None:
        self._tell, self._total = tell, total

    def on_log(self, step: int, metrics: Any) -> None:
        """Tell it."""
        del metrics
        self._tell(step, self._total)
