"""``energax compare-objectives``."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, runs, studies
from energax._errors import ArgumentError
from energax.cli._output import Output
from energax.cli._parse import flat, parse

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


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
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(asked.data).stem).strip("-").lower() or "data"
    directory = Path(asked.out or Path("runs") / f"compare-{stem}")
    return run_comparison(plan, directory, Output(json=asked.json), markdown=asked.markdown)


def run_comparison(plan: studies.Comparison, directory: Path, output: Output, *, markdown: bool = False) -> int:
    """Make the runs of a study that are left, and write its table and its page."""
    output.say(f"Study {directory}: {len(plan.objectives)} objectives, {plan.seeds} runs each")
    for name, reason in plan.left_out.items():
        output.say(f"  without {name}: {reason}")
    with output.counting("comparing") as progress:
        compared = studies.compare(plan, directory, progress)
    found = runs.plain(compared.to_json())
    if compared.trials:
        runs.replace_file(directory / "comparison.json", (json.dumps(found, indent=2) + "\n").encode())
        path = report.write_comparison(found, directory / "report.html")
        _show(output, found, path, markdown=markdown)
    if compared.result == "interrupted":
        output.say(f"Stopped and saved. Continue with: energax resume {shlex.quote(str(directory))}")
        return 130
    return 0


def seconds(text: str) -> float:
    """A time such as 30, 30s, 5m or 1h.

    Raises:
        ArgumentError: It is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", text)
    if found is None or found.group(2) not in _SECONDS or not float(found.group(1)) > 0:
        raise ArgumentError(f"--budget needs a time such as 30s or 5m, got {text!r}.")
    return float(found.group(1)) * _SECONDS[found.group(2)]


def names(flag: str, text: str, example: str) -> list[str]:
    """Names with commas between them.

    Raises:
        ArgumentError: There are none.
    """
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise ArgumentError(f"--{flag} is empty: name some, as {example}.")
    return found


def _show(output: Output, found: dict[str, Any], path: Path, *, markdown: bool) -> None:
    if output.json:
        output.print_json({**found, "report": str(path)})
        return
    if markdown:
        print(studies.markdown(found), end="")
        return
    output.columns(*report.comparison_columns(found))
    for row in found["rows"]:
        for text in row["failures"]:
            output.out.print(f"{row['objective']} failed: {text}", markup=False)
    output.show_path(path)


_DESCRIPTION = (
    "Train the same model on the same data by every objective that fits, each for the same time, and write a page that "
    "says where each ended and what it cost. Every run is an ordinary run directory. An interrupted study goes on with "
    "`energax resume`, or with the same command."
)
