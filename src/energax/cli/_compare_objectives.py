"""``energax compare-objectives``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, runs, studies
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.cli._study import names, print_failures, run_study, seconds, study_directory


def compare_objectives(arguments: Sequence[str]) -> int:
    """Train the same model by every objective that fits the data, and say where each ends."""
    cls = flat(
        "CompareObjectives",
        [
            ("objectives", str | None, None, "Names, as nce,jarzynski; all that fit the data by default."),
            ("budget", str, "30s", "Training time of each run after compilation, such as 30s or 5m."),
            ("num_steps", int | None, None, "Updates of each run, instead of a time."),
            ("seeds", int, 5, "Runs of each objective, each with its own data, weights and batches."),
            ("model", str | None, None, f"One of: {', '.join(runs.MODELS)}."),
            ("out", str | None, None, "Directory of the study; runs/compare-DATA by default. One that exists goes on."),
            ("markdown", bool, False, "Print the table as Markdown."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("data", str, ..., "Name of a data set (see `energax data`), or your own file or folder.")],
    )
    asked: Any = parse(cls, arguments, "compare-objectives", _DESCRIPTION)
    plan = studies.plan_comparison(
        asked.data,
        objectives=None if asked.objectives is None else names("objectives", asked.objectives, "nce,jarzynski"),
        seeds=asked.seeds,
        budget=seconds(asked.budget),
        num_steps=asked.num_steps,
        model=asked.model,
    )
    directory = study_directory(asked.out, "compare", asked.data)
    return run_comparison(plan, directory, Output(json=asked.json), markdown=asked.markdown)


def run_comparison(plan: studies.Comparison, directory: Path, output: Output, *, markdown: bool = False) -> int:
    """Make the runs of a study that are left, and write its table and its page."""
    compared = run_study(
        directory,
        output,
        f"{len(plan.objectives)} objectives; runs of each: {plan.seeds}",
        plan.left_out,
        lambda progress: studies.compare(plan, directory, progress),
        "comparison.json",
        lambda found: _show(
            output, found, report.write_comparison(found, directory / "report.html"), markdown=markdown
        ),
    )
    return 130 if compared.result == "interrupted" else 0


def _show(output: Output, found: dict[str, Any], path: Path, *, markdown: bool) -> None:
    if output.json:
        output.print_json({**found, "report": str(path)})
        return
    if markdown:
        print(studies.markdown(found), end="")
        return
    output.columns(*report.comparison_columns(found))
    print_failures(output, [(row["objective"], row["failures"]) for row in found["rows"]])
    output.show_path(path)


_DESCRIPTION = (
    "Train the same model on the same data by every objective that fits, each for the same time, and write a page that "
    "says where each ended and what it cost. Every run is an ordinary run directory. An interrupted study goes on with "
    "`energax resume`, or with the same command."
)
