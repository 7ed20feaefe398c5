"""``energax compare``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, runs, studies
from energax.cli._compare_objectives import names, seconds
from energax.cli._output import Output
from energax.cli._parse import flat, parse


def compare(arguments: Sequence[str]) -> int:
    """Train each family of generative models for the same time on the same data, and say what each gives and costs."""
    cls = flat(
        "Compare",
        [
            ("models", str | None, None, f"Several of: {', '.join(studies.FAMILIES)}; all that fit by default."),
            ("budget", str, "5m", "Training time of each run after compilation, such as 30s or 5m."),
            ("seeds", int, 3, "Runs of each model, each with its own data, weights and batches."),
            ("binarize", str | None, None, "Compare on a 0/1 view of grey images: threshold or stochastic."),
            ("out", str | None, None, "Directory of the study; runs/models-DATA by default. One that exists goes on."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("data", str, ..., "Name of a data set (see `energax data`), or your own file or folder.")],
    )
    asked: Any = parse(cls, arguments, "compare", _DESCRIPTION)
    plan = studies.plan_models(
        asked.data,
        models=None if asked.models is None else names("models", asked.models, "vae,flow"),
        budget=seconds(asked.budget),
        seeds=asked.seeds,
        binarize=asked.binarize,
    )
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(asked.data).stem).strip("-").lower() or "data"
    return run_models(plan, Path(asked.out or Path("runs") / f"models-{stem}"), Output(json=asked.json))


def run_models(plan: studies.ModelComparison, directory: Path, output: Output) -> int:
    """Make the runs of a comparison that are left, and write its results and its page."""
    output.say(f"Study {directory}: {len(plan.models)} models, {plan.seeds} runs of {plan.budget:g} s each")
    for name, reason in plan.left_out.items():
        output.say(f"  without {name}: {reason}")
    with output.counting("comparing") as progress:
        compared = studies.compare_models(plan, directory, progress)
    found = runs.plain(compared.to_json())
    if compared.trials:
        runs.replace_file(directory / "results.json", (json.dumps(found, indent=2) + "\n").encode())
        path = report.write_models(found, studies.shown_arrays(plan, directory), directory / "report.html")
        _show(output, found, path)
    if compared.result == "interrupted":
        output.say(f"Stopped and saved. Continue with: energax resume {shlex.quote(str(directory))}")
        return 130
    return 1 if all("failure" in trial for trial in compared.trials) else 0


def _show(output: Output, found: dict[str, Any], path: Path) -> None:
    if output.json:
        output.print_json({**found, "report": str(path)})
        return
    for head, rows in report.model_tables(found):
        output.columns(head, rows)
        output.out.print()
    for name, row in found["models"].items():
        for text in row["failures"]:
            output.out.print(f"{name} failed: {text}", markup=False)
    output.show_path(path)


_DESCRIPTION = (
    "Train every family of generative models that fits the data for the same time, and write a page that says what "
    "each gives and costs: likelihood, distances of draws from held-out rows, samples, and what it can and cannot "
    "answer. An interrupted study goes on with `energax resume`, or with the same command."
)
