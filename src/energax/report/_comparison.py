"""The page of a comparison of objectives: where each ended, what it cost, and what to know of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energax.report._blocks import Card, Code, Figures, Section, Table, Text, Wide
from energax.report._page import render_page, save_page
from energax.report.figures import runs_chart
from energax.report.tables import Row, interval_text, measured, number


def write_comparison(found: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page of a comparison as one self-contained HTML file.

    Args:
        found: What `energax.studies.Compared.to_json` returns.
        path: File to write; its folder must exist.

    Raises:
        MissingExtra: Jinja2 is not installed.
        RunError: The file cannot be written.
    """
    plan, rows = found["plan"], found["rows"]
    head, body = comparison_columns(found)
    values = {row["objective"]: row["kl"]["values"] for row in rows if row["kl"] is not None}
    chart = runs_chart("Divergence of every run", "KL(truth‖model), nats", values)
    blocks: list[Any] = [Figures([chart], "medium")] if chart is not None else []
    blocks += [Text(_reading(rows), "note"), Wide("Where each objective ended, best first", head, body)]
    words = [(row["objective"], row["cost"], row["needs"], row["bias"], row["when"]) for row in rows]
    known = Wide("What is known of them", ("objective", "cost of an update", "needs", "known bias", "when"), words)
    sections = [Section("results", "Where they ended", blocks), Section("known", "What to know", [known])]
    failed = [
        Row(row["objective"], f"{row['num_failed']} of {row['num_runs']}", t) for row in rows for t in row["failures"]
    ]
    failed += [Row(name, "left out", reason) for name, reason in plan["left_out"].items()]
    if failed:
        sections.append(Section("failures", "Failures, and what did not fit", [Table("", ("", "runs", "why"), failed)]))
    sections.append(Section("reproduce", "Make this study again", [Code(found["command"], "Command", is_shell=True)]))
    done, total = len(found["trials"]), plan["seeds"] * len(plan["objectives"])
    return save_page(
        render_page(
            title=f"Objectives on {plan['data']}",
            kicker="Report of one energax comparison",
            verdict=_verdict(rows),
            fitted=f"{len(plan['objectives'])} ways to train the same model on the same data, {plan['seeds']} runs "
            f"each, with their own draws of data, weights and batches; {_length(plan)}.",
            trained="" if done == total else f"It was interrupted: {done} of {total} runs have ended.",
            warnings=[f"{row['objective']} failed in {row['num_failed']} of {row['num_runs']} runs."
                      for row in rows if row["num_failed"]],
            cards=[Card("objectives", number(len(rows))), Card("runs", number(done)), Card("failed runs", number(
                sum(row["num_failed"] for row in rows)))],
            sections=sections,
            version=str(found["environment"].get("energax") or ""),
        ),
        path,
    )  # fmt: skip


def comparison_columns(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the measured table."""
    rows = found["rows"]
    has_kl = any(row["kl"] is not None for row in rows)
    what = "KL(truth‖model), nats" if has_kl else "test log-likelihood, nats"
    head = [
        "objective",
        what,
        "worst run" if has_kl else "spread of runs",
        "MMD², 10⁻⁴",
        "ms a step",
        "steps",
        "failed",
    ]
    return head, [_cells(row, has_kl=has_kl) for row in rows]


def _cells(row: Mapping[str, Any], *, has_kl: bool) -> list[str]:
    kl, ends = row["kl"], row["log_likelihood"]
    if has_kl:
        first = "—" if kl is None else measured(kl["mean"], kl["spread"])
        second = "—" if kl is None else number(kl["worst"], significant=2)
    else:
        first = "—" if ends is None else interval_text({**ends, "lower_kind": "", "upper_kind": ""})
        second = "—" if ends is None or ends["spread"] is None else number(ends["spread"], significant=2)
    squared = row["mmd_squared"]
    spread = None if squared is None or squared["spread"] is None else 1e4 * squared["spread"]
    return [
        row["objective"],
        first,
        second,
        "—" if squared is None else measured(1e4 * squared["mean"], spread),
        _mean(row, "milliseconds_per_step"),
        "—" if row["num_steps"] is None else number(round(row["num_steps"]["mean"])),
        f"{row['num_failed']} of {row['num_runs']}" if row["num_failed"] else "",
    ]


def _mean(row: Mapping[str, Any], name: str) -> str:
    return "—" if row[name] is None else number(row[name]["mean"], significant=3)


def _length(plan: Mapping[str, Any]) -> str:
    if plan["num_steps"]:
        return f"{number(plan['num_steps'])} updates in each run"
    return f"{plan['budget']:g} seconds of training in each run, after compilation"


def _reading(rows: Sequence[Mapping[str, Any]]) -> str:
    spread = "What follows ± is the spread over the runs, one standard deviation."
    yard = next((row["mmd_squared_of_training_rows"] for row in rows if row["mmd_squared_of_training_rows"]), None)
    floor = (
        f" Training rows themselves have an MMD² of {number(1e4 * yard['mean'], significant=2)} · 10⁻⁴." if yard else ""
    )
    if any(row["kl"] is not None for row in rows):
        draws = "KL is the mean of log p/q over fresh draws of the true density, log Z of the model by quadrature."
        return f"{draws} {spread}{floor}{_bracket(rows)}"
    return f"The ends of the likelihood are means over the runs. {spread}{floor}"


def _bracket(rows: Sequence[Mapping[str, Any]]) -> str:
    if not any(row["objective"] == "exact-likelihood" for row in rows):
        return ""
    return " exact-likelihood, which integrates over a grid, is the bracket of the others."


def _verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    best = next((row for row in rows if row["kl"] is not None), None)
    if best is not None:
        return f"The best is {best['objective']}: KL {measured(best['kl']['mean'], best['kl']['spread'])} nats."
    best = next((row for row in rows if row["log_likelihood"] is not None), None)
    return "No run has ended." if best is None else f"The highest likelihood is that of {best['objective']}."
