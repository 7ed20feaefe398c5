"""The comparison of objectives: all trials of a plan, one after the other, and the rows of its table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energax.studies._in_turn import AbstractCompared, OnWay, Progress, in_turn
from energax.studies._plan import Comparison
from energax.studies._trial import directory_of, finished, run_trial
from energax.studies._words import WORDS


@dataclasses.dataclass(frozen=True)
class Compared(AbstractCompared):
    """What a comparison of objectives found."""

    plan: Comparison

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row an objective: means over its seeds and their spread, best first."""
        by_name = {name: [t for t in self.trials if t["objective"] == name] for name in self.plan.objectives}
        return sorted((_row(name, trials) for name, trials in by_name.items() if trials), key=_rank)

    def table(self) -> dict[str, Any]:
        return {"rows": self.rows}


def compare(plan: Comparison, directory: Path, progress: Progress | None = None) -> Compared:
    """Make all runs of a comparison that have not been made yet.

    Args:
        plan: What is compared; see `plan_comparison`.
        directory: Where the study lives; one that was interrupted goes on.
        progress: Called with (runs done so far, all runs, what happens now).

    Raises:
        RunError: The directory holds something else, or the disk refuses.
    """
    plan.save(directory)

    def make(name: str, seed: int, on_way: OnWay) -> dict[str, Any]:
        return run_trial(
            plan, directory, name, seed, lambda step, total: on_way(step / total, f"update {step} of {total}")
        )

    found = in_turn(
        plan.objectives,
        plan.seeds,
        finished=lambda name, seed: finished(directory_of(directory, name, seed)),
        make=make,
        outcome=outcome,
        progress=progress,
    )
    return Compared(plan, *found)


def outcome(trial: Mapping[str, Any]) -> str:
    """One trial in a few words."""
    if "failure" in trial:
        return f"failed. {trial['failure']}"
    if trial.get("kl") is not None:
        return f"KL {trial['kl']:.4g} nats"
    ends = trial["log_likelihood"]
    return (
        f"log-likelihood {' to '.join('unknown' if e is None else f'{e:.4g}' for e in (ends['lower'], ends['upper']))}"
    )


def _row(name: str, trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    good = [trial for trial in trials if "failure" not in trial]
    row: dict[str, Any] = {"objective": name, "num_runs": len(trials), "num_failed": len(trials) - len(good)}
    row["failures"] = list(dict.fromkeys(trial["failure"] for trial in trials if "failure" in trial))
    names = ("kl", "kl_stderr", "kl_quadrature", "mmd_squared", "milliseconds_per_step", "seconds", "num_steps")
    for key in (*names, "mmd_squared_of_training_rows", "num_recoveries", "num_parameters"):
        values = [trial[key] for trial in good if trial.get(key) is not None]
        row[key] = {"mean": statistics.fmean(values), "worst": max(values), "best": min(values)} if values else None
        if values and key in ("kl", "mmd_squared"):
            row[key] |= {"spread": statistics.stdev(values) if len(values) > 1 else None, "values": values}
    row["log_likelihood"] = _interval([trial["log_likelihood"] for trial in good if "log_likelihood" in trial])
    return {**row, **dataclasses.asdict(WORDS[name])}


def _interval(found: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The ends of the intervals of all seeds, averaged where every seed has one; spread of the middles."""
    if not found:
        return None
    out: dict[str, Any] = {}
    for side in ("lower", "upper"):
        ends = [one[side] for one in found]
        out[side] = None if None in ends else statistics.fmean(ends)
        out[f"{side}_kinds"] = sorted({one[f"{side}_kind"] for one in found})
    whole = [(one["lower"] + one["upper"]) / 2 for one in found if None not in (one["lower"], one["upper"])]
    return {**out, "spread": statistics.stdev(whole) if len(whole) > 1 else None}


def _rank(row: Mapping[str, Any]) -> tuple[int, float]:
    """Small divergences first, then high likelihoods; what failed last."""
    if row["kl"] is not None:
        return (0, row["kl"]["mean"])
    ends = row["log_likelihood"]
    if ends is None:
        return (2, 0.0)
    known = [end for end in (ends["lower"], ends["upper"]) if end is not None]
    return (0, -statistics.fmean(known)) if len(known) == 2 else (1, -max(known, default=0.0))
