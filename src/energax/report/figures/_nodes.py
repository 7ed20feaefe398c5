"""Scores of nodes: ROC curves, histograms of two kinds, and a graph drawn with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from energax.estimators import ranking_curve
from energax.report._blocks import Figure, Key
from energax.report._summary import Floats
from energax.report.figures._histograms import Sample, histogram
from energax.report.figures._svg import View, drawing, frame, line, tag
from energax.report.tables import number

_ROLES = ("model", "data", "noise", "truth")
_STEPS = 60


def roc_curves(title: str, names: Sequence[str], scores: Sequence[Floats], positive: np.ndarray) -> Figure:
    """Recall over the share of false alarms for up to four scores, (node,) each; `positive` says who should be high."""
    plot = frame(View(0.0, 1.0), View(0.0, 1.0), height=260.0, x_label="false alarms")
    body = [*plot.axes(), line(plot.x([0.0, 1.0]), plot.y([0.0, 1.0]), "line dashed")]
    legend = []
    for role, name, values in zip(_ROLES, names, scores, strict=False):
        curve = ranking_curve(values, positive)
        shown = np.unique(np.linspace(0, curve.recall.size - 1, 4 * _STEPS).astype(int))
        body.append(line(plot.x(curve.false_positive_rate[shown]), plot.y(curve.recall[shown]), f"line {role}"))
        legend.append(Key(role, name))
    label = f"ROC curves under {title}: found nodes out of distribution over false alarms, of {', '.join(names)}."
    return Figure(title, drawing(body, height=plot.height, label=label), "found", "", tuple(legend))


def split_histogram(title: str, values: Floats, positive: np.ndarray) -> Figure:
    """Scores in and out of distribution over common bins."""
    samples = [Sample("in distribution", "data", values[~positive]), Sample("out", "model", values[positive])]
    label = f"Histogram of scores under {title}. " + " ".join(
        f"{s.name}: median {number(float(np.median(s.values)))}." for s in samples
    )
    legend = tuple(Key(s.role, s.name, "area") for s in samples)
    return Figure(title, histogram(samples, label=label, height=190.0), "share of each", "", legend)


def graph_drawing(title: str, places: Floats, edges: np.ndarray, scores: Floats, positive: np.ndarray) -> Figure:
    """A graph with larger marks at more uncertain nodes, rings at those out of distribution.

    Args:
        title: Name of the figure.
        places: Where the nodes are drawn, (node, 2).
        edges: Pairs of nodes, (2, edge).
        scores: Uncertainty, (node,).
        positive: Nodes out of distribution, (node,).
    """
    low, high = places.min(0), places.max(0)
    span = float(max(*(high - low), 1e-9))
    size = 340.0
    at = 10.0 + (places - low) / span * (size - 20.0)
    ends = at[edges]
    moves = "".join(f"M{a[0]:.0f} {a[1]:.0f}L{b[0]:.0f} {b[1]:.0f}" for a, b in zip(*ends, strict=True))
    body = [tag("path", d=moves, class_="grid")]
    rank = np.argsort(np.argsort(scores)) / max(scores.size - 1, 1)
    for k in np.argsort(rank):
        kind = "ring model" if positive[k] else "fill data"
        body.append(tag("circle", cx=at[k, 0], cy=at[k, 1], r=float(1.2 + 4.3 * rank[k] ** 2), class_=kind))
    label = (
        f"{title}: {scores.size} nodes, {int(positive.sum())} of them out of distribution; larger is more uncertain."
    )
    height = float((high - low)[1] / span * (size - 20.0) + 20.0)
    legend = (Key("data", "in distribution", "dot"), Key("model", "out", "ring"))
    return Figure(title, drawing(body, height=height, label=label), "larger is more uncertain", "", legend)
