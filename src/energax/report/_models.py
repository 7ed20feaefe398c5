"""The page of a comparison of models: what each gives, what it costs, and what it looks like."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energax.report._blocks import Block, Card, Code, Figures, Section, Table, Text, Wide
from energax.report._models_pictures import Shown, denoising, pictures, ways
from energax.report._page import render_page, save_page
from energax.report.figures import runs_chart
from energax.report.tables import MISSING, Row, is_finite, measured, number

Grid = tuple[list[str], list[list[str]]]

_LABELS = {
    "mmd_squared": ("MMD², 10⁻⁴", 1e4),
    "sliced_wasserstein": ("sliced Wasserstein", 1.0),
    "energy_distance": ("energy distance, 10⁻³", 1e3),
    "frechet": ("Fréchet distance, features", 1.0),
    "feature_precision": ("precision, features", 1.0),
    "feature_recall": ("recall, features", 1.0),
    "class_coverage": ("classes covered, %", 1e2),
    "class_distance": ("shares of classes, off by %", 1e2),
    "mode_mass_error": ("worst mode's mass, off by %", 1e2),
}
_GIVES, _COSTS = "What each gives", "What each costs"
_FAR_FROM, _COVERS = "How far draws are from held-out rows", "How well draws cover held-out rows"
_FAR = ("mmd_squared", "sliced_wasserstein", "energy_distance", "frechet")
_UNSETTLED = "Has no log-likelihood: it moved when the steps of its solver were doubled. What is above is of others."
_KINDS = {
    "exact": "exact: up to rounding, a solver or a quadrature",
    "bound": "a lower bound in the mean",
    "interval": "the middle of an interval of 95 %",
    "estimate": "an estimate: random without being a bound, or of another law than the draws",
    "none": "there is none",
}
_ABOUT_DISTANCES = (
    "Between a thousand draws and as many test rows, in units in which data have the scale 1. The last "
    "line has training rows in the place of draws: nothing can be told apart below it."
)
_NOTE = "What follows ± is the spread over the runs, one standard deviation."


def write_models(found: Mapping[str, Any], shown: Mapping[str, Shown], path: str | os.PathLike[str]) -> Path:
    """Write the page of a comparison of models as one self-contained HTML file.

    Args:
        found: What `energax.studies.ComparedModels.to_json` returns.
        shown: What `energax.studies.shown_arrays` returns.
        path: File to write; its folder must exist.

    Raises:
        MissingExtra: Jinja2 or Pillow is not installed.
        RunError: The file cannot be written.
    """
    plan, rows = found["plan"], found["models"]
    done, total = len(found["trials"]), plan["seeds"] * len(plan["models"])
    failed = sum(row["num_failed"] for row in rows.values())
    return save_page(
        render_page(
            title=f"Models of {plan['data']}",
            kicker="Report of one energax comparison",
            verdict=_verdict(rows),
            fitted=f"{len(plan['models'])} families of models on the same data; runs of each: {plan['seeds']}, with "
            f"their own draws of data, weights and batches; {plan['budget']:g} seconds of training in each run, after "
            "compilation.",
            trained="" if done == total else f"It was interrupted: {done} of {total} runs have ended.",
            warnings=[
                f"{name} failed in {row['num_failed']} of {row['num_runs']} runs."
                for name, row in rows.items() if row["num_failed"]
            ] + [
                f"{name} has no log-likelihood in {row['num_unsettled']} of {row['num_runs']} runs."
                for name, row in rows.items() if row.get("num_unsettled")
            ],
            cards=[Card("models", number(len(rows))), Card("runs", number(done)), Card("failed runs", number(failed))],
            sections=_sections(found, shown),
            version=str(found["environment"].get("energax") or ""),
        ),
        path,
    )  # fmt: skip


def model_tables(found: Mapping[str, Any]) -> list[Grid]:
    """Heads and rows of what each model gives, of how far its draws are from data, how they cover it, and of costs.

    A table without columns is left out.
    """
    return list(_tables(found).values())


def _tables(found: Mapping[str, Any]) -> dict[str, Grid]:
    """The tables by title."""
    rows = found["models"]
    names = list(dict.fromkeys(key for row in rows.values() for key in row if f"{key}_floor" in row))
    far, covering = ([name for name in names if (name in _FAR) is wanted] for wanted in (True, False))
    made = {_GIVES: _gives(rows), _FAR_FROM: _distances(rows, far), _COVERS: _distances(rows, covering)}
    return {title: grid for title, grid in {**made, _COSTS: _costs(rows)}.items() if len(grid[0]) > 1}


def _sections(found: Mapping[str, Any], shown: Mapping[str, Shown]) -> list[Section]:
    rows, plan = found["models"], found["plan"]
    tables = {title: [Wide(title, *grid)] for title, grid in _tables(found).items()}
    kinds = list(dict.fromkeys(row["likelihood_kind"] for row in rows.values() if row["likelihood_kind"]))
    legend = "; ".join(f"{kind}: {_KINDS[kind].removeprefix(f'{kind}: ')}" for kind in kinds if kind in _KINDS)
    chart = runs_chart("Divergence of every run", "KL(truth‖model), nats", _every(found, "kl"))
    blocks: list[Block] = [
        *([Figures([chart], "medium")] if chart is not None else []),
        *tables.get(_GIVES, []),
        Text(f"{_NOTE} {_likelihood_note(rows)} Kinds of likelihood: {legend}.", "note"),
        *tables.get(_FAR_FROM, []),
        *tables.get(_COVERS, []),
        Text(_about_distances(found["trials"]), "note"),
        *tables.get(_COSTS, []),
    ]  # fmt: skip
    sections = [Section("results", "What each gives and costs", blocks)]
    for name, title, made in (
        ("samples", "Side by side", pictures(shown)),
        ("ways", "Ways between rows", ways(shown)),
        ("denoising", "Noise taken away", denoising(shown)),
    ):
        if made:
            sections.append(Section(name, title, made))
    words = [Text(f"{name}: {row['summary']}. {row['can']} {row['cannot']}") for name, row in rows.items()]
    sections.append(Section("answers", "What each can and cannot answer", words))
    failed = [Row(name, f"{row['num_failed']} of {row['num_runs']}", t) for name, row in rows.items()
              for t in row["failures"]]  # fmt: skip
    failed += [
        Row(name, f"{row['num_unsettled']} of {row['num_runs']}", _UNSETTLED)
        for name, row in rows.items()
        if row.get("num_unsettled")
    ]
    failed += [Row(name, "left out", reason) for name, reason in plan["left_out"].items()]
    if failed:
        sections.append(Section("failures", "Failures, and what did not fit", [Table("", ("", "runs", "why"), failed)]))
    sections.append(Section("reproduce", "Make this study again", [Code(found["command"], "Command", is_shell=True)]))
    return sections


def _about_distances(trials: Sequence[Mapping[str, Any]]) -> str:
    network = next((trial["feature_network"] for trial in trials if trial.get("feature_network")), None)
    return _ABOUT_DISTANCES if network is None else f"{_ABOUT_DISTANCES} Features: {network}."


def _every(found: Mapping[str, Any], name: str) -> dict[str, list[float]]:
    """The number of every run that has one, by model."""
    return {
        model: [trial[name] for trial in found["trials"] if trial["model"] == model and trial.get(name) is not None]
        for model in found["models"]
    }


def _gives(rows: Mapping[str, Any]) -> Grid:
    has = {key: any(key in row for row in rows.values()) for key in ("kl", "bits_per_dim", "mode_coverage")}
    head = ["model", *(["KL(truth‖model), nats"] if has["kl"] else []), "log-likelihood, nats", "kind"]
    head += ["bits a pixel"] if has["bits_per_dim"] else []
    head += ["modes covered"] if has["mode_coverage"] else []
    body = []
    for name, row in rows.items():
        cells = [name, *([_cell(row, "kl")] if has["kl"] else [])]
        cells += [_cell(row, "log_likelihood"), row["likelihood_kind"] or MISSING]
        cells += [_cell(row, "bits_per_dim")] if has["bits_per_dim"] else []
        cells += [_share(row, "mode_coverage")] if has["mode_coverage"] else []
        body.append(cells)
    return head, body


def _distances(rows: Mapping[str, Any], names: Sequence[str]) -> Grid:
    labels = [_LABELS.get(name, (name.replace("_", " "), 1.0)) for name in names]
    body = [[model, *(_cell(row, name, scale) for name, (_, scale) in zip(names, labels, strict=True))]
            for model, row in rows.items()]  # fmt: skip
    known = next((row for row in rows.values() if names and f"{names[0]}_floor" in row), None)
    if known is not None:
        floors = [_cell(known, f"{name}_floor", scale) for name, (_, scale) in zip(names, labels, strict=True)]
        body.append(["training rows", *floors])
    return ["model", *(label for label, _ in labels)], body


def _costs(rows: Mapping[str, Any]) -> Grid:
    columns = {
        "num_parameters": "parameters",
        "num_steps": "updates",
        "milliseconds_per_step": "ms an update",
        "train_seconds": "training, s",
        "compile_seconds": "compilation, s",
        "draw_evaluations": "networks a draw",
        "milliseconds_per_draw": "ms a draw",
        "milliseconds_per_likelihood": "ms a log-likelihood",
    }
    body = [[name, *(_mean(row, key) for key in columns)] for name, row in rows.items()]
    return ["model", *columns.values()], body


def _cell(row: Mapping[str, Any], name: str, scale: float = 1.0) -> str:
    cell = row.get(name)
    if cell is None:
        return "—"
    return measured(scale * cell["mean"], None if cell["std"] is None else scale * cell["std"])


def _mean(row: Mapping[str, Any], name: str) -> str:
    cell = row.get(name)
    if cell is None:
        return "—"
    value = cell["mean"]
    return number(round(value)) if value >= 100 else number(value, significant=3)


def _share(row: Mapping[str, Any], name: str) -> str:
    cell = row.get(name)
    return "—" if cell is None else f"{100 * cell['mean']:.0f} %"


def _likelihood_note(rows: Mapping[str, Any]) -> str:
    if any("kl" in row for row in rows.values()):
        return (
            "Log-likelihoods are means over fresh draws of the true density, KL the mean of log p/q over the same; "
            "from a bound of the likelihood it is a bound from above."
        )
    return "Log-likelihoods are means over test rows, in nats for each row and in the user's units."


def _verdict(rows: Mapping[str, Any]) -> str:
    def best(name: str, *, most: bool = False) -> tuple[str, dict[str, Any]] | None:
        known = [(model, row[name]) for model, row in rows.items() if name in row and is_finite(row[name]["mean"])]
        sign = -1 if most else 1
        return min(known, key=lambda pair: sign * pair[1]["mean"]) if known else None

    said = []
    if (found := best("kl")) is not None:
        said.append(
            f"The smallest divergence from the truth is that of {found[0]}: {_cell(rows[found[0]], 'kl')} nats."
        )
    elif (found := best("log_likelihood", most=True)) is not None:
        kind = rows[found[0]]["likelihood_kind"]
        said.append(f"The highest log-likelihood is that of {found[0]} ({kind}).")
    if (found := best("mmd_squared")) is not None:
        said.append(f"The draws nearest to held-out rows are those of {found[0]}.")
    return " ".join(said) or "No run has ended."
