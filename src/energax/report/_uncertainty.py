"""The page of a study of uncertainty: tables of methods and shifts, ROC curves, histograms, the graph itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from energax.report import figures
from energax.report._blocks import Card, Code, Figures, Section, Text, Wide
from energax.report._layout import around, spring_layout
from energax.report._page import render_page, save_page
from energax.report.tables import MISSING, is_finite

_MOST_NODES = 300
_MOST_CURVES = 4
_PREFERRED = ("gebm", "energy", "gnnsafe", "gebm-fisher")
_ABOUT = (
    "Positives are the nodes out of distribution among the test nodes; 0.5 is chance, and below it a score trusts them "
    "more than the others. ± is the standard deviation over runs."
)
_CALIBRATION = (
    "Of in-distribution test nodes after the shift: ECE, and the Brier score in brackets. Methods that only rank have "
    "the probabilities of the network; gebm has its own, calibrated on validation nodes."
)
Grid = tuple[str, list[str], list[list[str]]]


class UncertaintyLike(Protocol):
    """What the page reads; `energax.studies.Uncertainty` says what each field is."""

    @property
    def plan(self) -> Any: ...
    @property
    def graph(self) -> Any: ...
    @property
    def results(self) -> dict[str, dict[str, dict[str, Any]]]: ...
    @property
    def accuracy(self) -> dict[str, dict[str, Any]]: ...
    @property
    def first(self) -> dict[str, dict[str, np.ndarray]]: ...
    @property
    def interrupted(self) -> bool: ...


def uncertainty_tables(found: UncertaintyLike, *, spread: bool = True) -> Iterator[Grid]:
    """Title, head and rows of AUC-ROC, AUC-PR, accuracy and calibration; standard deviations with `spread`."""
    cell = _cell if spread else _mean
    shifts = list(found.first)
    for title, metric in (("AUC-ROC", "auc_roc"), ("AUC-PR", "auc_pr")):
        rows = []
        for method, by_shift in found.results.items():
            cells = [by_shift[shift][metric] for shift in shifts]
            means = [one["mean"] for one in cells]
            mean = f"{np.mean(means):.3f}" if all(map(is_finite, means)) else MISSING
            rows.append([method, mean, *map(cell, cells)])
        yield title, ["method", "mean", *shifts], rows
    kinds = [kind for kind in ("clean", "in_distribution", "out_of_distribution") if _known(found.accuracy, kind)]
    rows = [[kind.replace("_", " "), *(cell(found.accuracy[s].get(kind)) for s in shifts)] for kind in kinds]
    yield "Accuracy of the network on test nodes", ["nodes", *shifts], rows
    alike: dict[tuple[str, ...], list[str]] = {}
    for method, by in found.results.items():
        alike.setdefault(tuple(f"{_mean(by[s]['ece'])} ({_mean(by[s]['brier'])})" for s in shifts), []).append(method)
    yield "Calibration", ["methods", *shifts], [[_few(names), *cells] for cells, names in alike.items()]


def write_uncertainty(found: UncertaintyLike, path: str | os.PathLike[str]) -> Path:
    """Write the page as one self-contained HTML file.

    Args:
        found: What `energax.studies.uncertainty` returns.
        path: File to write; its folder must exist.

    Raises:
        MissingExtra: Jinja2 is not installed.
        RunError: The file cannot be written.
    """
    roc, pr, accuracy, calibration = (Wide(*grid) for grid in uncertainty_tables(found))
    sections = [
        Section("ranking", "Who knows what is out of distribution", [Text(_ABOUT, "note"), roc, pr]),
        *_curves(found),
        *_drawing(found),
        Section("accuracy", "Predictions", [accuracy, Text(_CALIBRATION, "note"), calibration]),
        Section("reproduce", "Make this run again", [Code(found.plan.command, "Command", is_shell=True)]),
    ]
    warnings = list(found.graph.notes)
    if found.interrupted:
        warnings.insert(0, f"Interrupted: only {len(found.first)} of {len(found.plan.shifts)} shifts are here.")
    page = render_page(
        title=f"Uncertainty on {found.plan.graph}",
        kicker="Report of one energax study of uncertainty",
        verdict=_verdict(found),
        fitted=f"{found.graph!r}.",
        trained=_trained(found),
        warnings=warnings,
        cards=_cards(found),
        sections=sections,
    )
    return save_page(page, path)


def _curves(found: UncertaintyLike) -> list[Section]:
    known = {name: piece for name, piece in found.first.items() if piece["ood"].any() and not piece["ood"].all()}
    if not known:
        return []
    methods = list(found.plan.methods)
    shown = [m for m in _PREFERRED if m in methods] + [m for m in methods if m not in _PREFERRED]
    shown = shown[:_MOST_CURVES]
    rocs = [
        figures.roc_curves(name, shown, [_scores(piece, methods.index(m)) for m in shown], piece["ood"])
        for name, piece in known.items()
    ]
    histograms = [figures.split_histogram(name, _scores(piece, 0), piece["ood"]) for name, piece in known.items()]
    note = "Test nodes of the first split and the first network. The dashed line is chance."
    return [
        Section("roc", "ROC curves", [Text(note, "note"), Figures(rocs)]),
        Section("energies", f"Scores of {methods[0]}", [Figures(histograms)]),
    ]


def _scores(piece: Mapping[str, np.ndarray], method: int) -> np.ndarray:
    return np.asarray(piece["scores"][method], np.float64)


def _drawing(found: UncertaintyLike) -> list[Section]:
    """The graph, or the part of it around the best connected node out of distribution."""
    graph, drawn = found.graph, []
    for name, piece in list(found.first.items())[:2]:
        ood = piece["every_ood"]
        start = int(np.argmax(np.where(ood, graph.degrees, -1))) if ood.any() else int(np.argmax(graph.degrees))
        nodes = around(graph.edges, graph.num_nodes, start, _MOST_NODES)
        inside = np.zeros(graph.num_nodes, bool)
        inside[nodes] = True
        edges = (np.cumsum(inside) - 1)[graph.edges[:, inside[graph.edges].all(0)]]
        places = spring_layout(edges, nodes.size)
        once = edges[:, edges[0] < edges[1]]
        drawn.append(figures.graph_drawing(name, places, once, np.asarray(piece["nodes"])[nodes], ood[nodes]))
    part = "" if graph.num_nodes <= _MOST_NODES else f"{_MOST_NODES} nodes around the best connected one out. "
    text = f"{part}Size is the rank of {found.plan.methods[0]} among the nodes that are drawn."
    return [Section("graph", "The graph and its uncertainty", [Text(text, "note"), Figures(drawn)])]


def _verdict(found: UncertaintyLike) -> str:
    means = {method: _over_shifts(by) for method, by in found.results.items()}
    means = {method: mean for method, mean in means.items() if is_finite(mean)}
    if not means:
        return "The file does not say which nodes are out of distribution, so that scores are shown and not judged."
    best = max(means, key=means.__getitem__)
    lead = found.plan.methods[0]
    told = f"Over {len(found.first)} shifts {best} has the highest mean AUC-ROC, {means[best]:.3f}."
    return told if lead == best or lead not in means else f"{told} {lead} has {means[lead]:.3f}."


def _over_shifts(by_shift: Mapping[str, Any]) -> float:
    return float(np.mean([cell["auc_roc"]["mean"] for cell in by_shift.values()]))


def _trained(found: UncertaintyLike) -> str:
    plan = found.plan
    if plan.outputs is not None:
        return f"Outputs of {plan.outputs}."
    return f"{plan.model.upper()}, {plan.splits} splits with {plan.inits} networks each, seed {plan.seed}."


def _cards(found: UncertaintyLike) -> list[Card]:
    shown: Sequence[str] = [m for m in _PREFERRED if m in found.results] or list(found.results)[:3]
    means = {method: _over_shifts(found.results[method]) for method in shown}
    return [
        Card(f"{method}, mean AUC-ROC", f"{mean:.3f}") for method, mean in means.items() if is_finite(mean)
    ]  # fmt: skip


def _known(accuracy: Mapping[str, Mapping[str, Any]], kind: str) -> bool:
    return any(is_finite(by.get(kind, {}).get("mean")) for by in accuracy.values())


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"


def _mean(cell: Mapping[str, Any] | None) -> str:
    return MISSING if cell is None or not is_finite(cell["mean"]) else f"{cell['mean']:.3f}"


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None or not is_finite(cell["mean"]):
        return MISSING
    return f"{cell['mean']:.3f}" + (f" ± {cell['std']:.3f}" if is_finite(cell["std"]) else "")
