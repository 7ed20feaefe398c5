"""``energax compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, studies
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.cli._study import names, print_failures, run_study, seconds, study_directory


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
    return run_models(plan, study_directory(asked.out, "models", asked.data), Output(json=asked.json))


def run_models(plan: studies.ModelComparison, directory: Path, output: Output) -> int:
    """Make the runs of a comparison that are left, and write its results and its page."""

    def show(found: dict[str, Any]) -> None:
        arrays = studies.shown_arrays(plan, directory)
        _show(output, found, report.write_models(found, arrays, directory / "report.html"))

    compared = run_study(
        directory,
        output,
        f"{len(plan.models)} models; runs of each: {plan.seeds}, of {plan.budget:g} s",
        plan.left_out,
        lambda progress: studies.compare_models(plan, directory, progress),
        "results.json",
        show,
    )
    if compared.result == "interrupted":
        return 130
    return 1 if all("failure" in trial for trial in compared.trials) else 0


def _show(output: Output, found: dict[str, Any], path: Path) -> None:
    if output.json:
        output.print_json({**found, "report": str(path)})
        return
    for head, rows in report.model_tables(found):
        output.columns(head, rows)
        output.out.print()
    print_failures(output, [(name, row["failures"]) for name, row in found["models"].items()])
    output.show_path(path)


_DESCRIPTION = (
    "Train every family of generative models that fits the data for the same time, and write a page that says what "
    "each gives and costs: likelihood, distances of draws from held-out rows, samples, and what it can and cannot "
    "answer. An interrupted study goes on with `energax resume`, or with the same command."
)
