"""The comparison of models: all runs of a plan, one after the other, and what the runs of each say together."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from energax import exact
from energax.data import LABELLED_SETS, Data
from energax.evaluation import feature_network
from energax.studies._demonstrations import GRID
from energax.studies._families import FAMILIES
from energax.studies._in_turn import AbstractCompared, Progress, in_turn
from energax.studies._models_plan import ModelComparison
from energax.studies._models_trial import finished_model, path_of, run_model
from energax.studies._yardstick import Yardstick

_NUM_SHOWN = 400
_NOT_AVERAGED = ("model", "seed", "likelihood_kind", "interval", "feature_network", "failure")


@dataclasses.dataclass(frozen=True)
class ComparedModels(AbstractCompared):
    """What a comparison of models found."""

    plan: ModelComparison

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """From the name of each model to its metrics: {mean, std, n} over its seeds, and the kind of its likelihood."""
        by_name = {name: [t for t in self.trials if t["model"] == name] for name in self.plan.models}
        return {name: summary(trials) for name, trials in by_name.items() if trials}

    def table(self) -> dict[str, Any]:
        return {"models": self.models}


def compare_models(plan: ModelComparison, directory: Path, progress: Progress | None = None) -> ComparedModels:
    """Make all runs of a comparison that have not been made yet.

    Args:
        plan: What is compared; see `plan_models`.
        directory: Where the study lives; one that was interrupted goes on.
        progress: Called with (runs done so far, all runs, what happens now).

    Raises:
        RunError: The directory holds something else, or the disk refuses.
    """
    plan.save(directory)
    if plan.data in LABELLED_SETS:
        # Before the first run, whose time it would take; later ones find it in the cache.
        tell = progress or (lambda done, total, text: None)
        num_runs = len(plan.models) * plan.seeds
        feature_network(plan.data, progress=lambda text: tell(0.0, num_runs, f"feature network, {text}"))

    @functools.lru_cache(maxsize=1)
    def yardstick(seed: int) -> Yardstick:
        return Yardstick(plan.common_view(seed))

    found = in_turn(
        plan.models,
        plan.seeds,
        finished=lambda name, seed: finished_model(path_of(directory, name, seed)),
        make=lambda name, seed, on_way: run_model(plan, directory, name, seed, on_way, yardstick),
        outcome=outcome_of_model,
        progress=progress,
    )
    return ComparedModels(plan, *found)


def outcome_of_model(trial: Mapping[str, Any]) -> str:
    """One run in a few words."""
    if "failure" in trial:
        return f"failed. {trial['failure']}"
    said = [f"MMD² {trial['mmd_squared']:.2g}"]
    if trial.get("kl") is not None:
        said.insert(0, f"KL {trial['kl']:.3g} nats ({trial['likelihood_kind']})")
    elif trial.get("log_likelihood") is not None:
        said.insert(0, f"log-likelihood {trial['log_likelihood']:.4g} nats ({trial['likelihood_kind']})")
    return ", ".join(said)


def summary(trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the runs of one model say together: of every number its mean, spread and count over them."""
    good = [trial for trial in trials if "failure" not in trial]
    # A run whose solver did not settle has none, where the others of its model have one.
    kinds = sorted((trial["likelihood_kind"] for trial in good), key=lambda kind: kind == "none")
    out: dict[str, Any] = {
        "likelihood_kind": kinds[0] if kinds else None,
        "num_runs": len(trials),
        "num_failed": len(trials) - len(good),
        "failures": list(dict.fromkeys(trial["failure"] for trial in trials if "failure" in trial)),
        **{name: getattr(FAMILIES[trials[0]["model"]], name) for name in ("summary", "can", "cannot")},
    }
    for name in dict.fromkeys(key for trial in good for key in trial if key not in _NOT_AVERAGED):
        values = [trial[name] for trial in good if trial.get(name) is not None]
        values = [value for value in values if np.isfinite(value)]
        if values:
            spread = statistics.stdev(values) if len(values) > 1 else None
            out[name] = {"mean": statistics.fmean(values), "std": spread, "n": len(values)}
    if "log_likelihood" in out:
        out["log_likelihood"]["kind"] = out["likelihood_kind"]
    out["num_unsettled"] = sum(trial["likelihood_kind"] == "none" and "likelihood_shift" in trial for trial in good)
    intervals = [trial["interval"] for trial in good if trial.get("interval")]
    if intervals:
        out["interval"] = {
            side: statistics.fmean(ends) if None not in (ends := [one[side] for one in intervals]) else None
            for side in ("lower", "upper")
        } | {f"{side}_kinds": sorted({one[f"{side}_kind"] for one in intervals}) for side in ("lower", "upper")}
    return out


def shown_arrays(plan: ModelComparison, directory: Path) -> dict[str, dict[str, np.ndarray]]:
    """From the name of each model to what the page shows of its first run that has ended, and ``"data"`` to test rows.

    Test rows are in the user's units; for images beside them ``image_shape``.
    """
    data = plan.common_view(0)
    rows = data.transform.inverse(np.asarray(data.test.take(np.arange(min(len(data.test), _NUM_SHOWN)))))
    found: dict[str, dict[str, np.ndarray]] = {"data": {"shown": rows, **_truth(data)}}
    if data.image_shape is not None:
        found["data"]["image_shape"] = np.asarray(data.image_shape)
    for name in plan.models:
        paths = [path_of(directory, name, seed).with_suffix(".npz") for seed in range(plan.seeds)]
        path = next((path for path in paths if path.exists()), None)
        if path is not None:
            with np.load(path, allow_pickle=False) as file:
                found[name] = {key: file[key] for key in file.files}
    return found


def _truth(data: Data) -> dict[str, np.ndarray]:
    """The density of the data over the plane, where it is known."""
    if data.density is None:
        return {}
    seen = exact.grid(data.density, num_points=GRID, log_z=0.0)
    return {"grid_x": seen.axes[0], "grid_y": seen.axes[1], "grid": seen.log_density.T}
