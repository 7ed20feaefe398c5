"""The table of a comparison as Markdown, for the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energax.report import comparison_columns
from energax.studies._words import WORDS


def markdown(found: Mapping[str, Any]) -> str:
    """The measured table of a comparison, with what it was measured by.

    Args:
        found: What `Compared.to_json` returns, or ``comparison.json`` holds.
    """
    head, rows = comparison_columns(found)
    plan, machine = found["plan"], found["environment"]
    length = f"{plan['num_steps']} updates" if plan["num_steps"] else f"{plan['budget']:g} seconds of training"
    lines = [
        f"`{found['command']}`",
        "",
        f"Runs of each: {plan['seeds']}, {length} after compilation; {machine['platform']}, {machine['cpus']} cores, "
        f"JAX {machine['jax']}.",
        "",
        _line(head),
        _line("---" for _ in head),
        *(_line(row) for row in rows),
    ]
    failed = [(row["objective"], text) for row in found["rows"] for text in row["failures"]]
    if failed:
        lines += ["", *(f"* `{name}` failed: {text}" for name, text in failed)]
    return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def words_table() -> str:
    """What each objective needs, its bias and when to take it, as Markdown."""
    head = ("objective", "cost of an update", "needs", "known bias", "when")
    body = [(f"`{name}`", words.cost, words.needs, words.bias, words.when) for name, words in WORDS.items()]
    return "\n".join([_line(head), _line("---" for _ in head), *(_line(row) for row in body)]) + "\n"
