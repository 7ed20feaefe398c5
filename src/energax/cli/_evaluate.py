"""``energax evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from energax import runs
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.runs import Run


def evaluate(arguments: Sequence[str]) -> int:
    """Judge a trained model."""
    cls = flat(
        "Evaluate",
        [
            ("seed", int | None, None, "Seed of the evaluation; that of the run by default."),
            (
                "budget",
                int | None,
                None,
                "The most transitions for log Z; more make its interval narrower, 8000000 by default.",
            ),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("run", str, ..., "The RUN directory.")],
    )
    asked: Any = parse(cls, arguments, "evaluate", "Judge a trained model: test likelihood as an interval, samples.")
    run, output = Run.open(asked.run), Output(json=asked.json)
    with output.working("Judging the model") as progress:
        summary = runs.summarise(run, seed=asked.seed, budget=asked.budget, progress=progress)
    output.finish(run, summary)
    return 0
