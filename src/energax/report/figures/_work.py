"""Work of a process and of its mirror image: the two laws, their ratio, and the work along the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from energax.estimators import CrooksRatio, Estimate
from energax.report._blocks import Figure, Key
from energax.report._summary import Floats
from energax.report.figures._svg import Frame, View, area, dots, drawing, frame, line, tag
from energax.report.tables import measured, number

_MOST_BINS = 60


class WorkCurve(NamedTuple):
    """Mean and spread of the work done so far in one direction: its name, its CSS role, and the values by level."""

    name: str
    role: str
    mean: Floats
    spread: Floats


def work_histograms(forward: Floats, reverse: Floats, delta_f: float | None) -> Figure:
    """P_F(W) and P_R(−W) over the same bins, with a line at ΔF where it is known."""
    samples = [("model", "forward, P(W)", forward), ("data", "reverse, P(−W)", -reverse)]
    edges = _edges([values for _, _, values in samples])
    width = edges[1] - edges[0]
    densities = [np.histogram(values, edges)[0] / (values.size * width) for _, _, values in samples]
    top = 1.05 * max(float(d.max()) for d in densities)
    plot = frame(View(float(edges[0]), float(edges[-1])), View(0.0, top), height=220.0, x_label="work W, nats")
    body, x = plot.axes(), plot.x(np.repeat(edges, 2))
    for (role, _, _), density in zip(samples, densities, strict=True):
        y = plot.y(np.concatenate([[0.0], np.repeat(density, 2), [0.0]]))
        body += [area(x, np.full(x.shape, plot.y.start), y, f"area {role}"), line(x, y, f"line {role}")]
    legend = [Key(role, name, "area") for role, name, _ in samples]
    if delta_f is not None and edges[0] <= delta_f <= edges[-1]:
        body.append(_upright(plot, delta_f))
        legend.append(Key("truth", "ΔF (dashed)"))
    label = "Histograms of work. " + " ".join(
        f"{name}: mean {number(float(v.mean()))}, standard deviation {number(float(v.std()))}."
        for _, name, v in samples
    )
    note = "The two laws cross where W = ΔF. The farther apart they lie, the more work is dissipated."
    return Figure(
        "Work of both directions", drawing(body, height=plot.height, label=label), "density", note, tuple(legend)
    )


def crooks_line(ratio: CrooksRatio, delta_f: float, slope: Estimate) -> Figure:
    """The log ratio of the two laws bin by bin, with its error bars, on the line W − ΔF."""
    low, high = ratio.log_ratio - ratio.stderr, ratio.log_ratio + ratio.stderr
    ends = np.asarray([ratio.work.min(), ratio.work.max()])
    ends = ends + np.asarray([-0.04, 0.04]) * max(float(np.ptp(ends)), 1e-9)
    heights = np.concatenate([low, high, ends - delta_f, [0.0]])
    plot = frame(View(*ends), View(float(heights.min()), float(heights.max())), height=220.0, x_label="work W, nats")
    body = plot.axes()
    if ends[0] <= delta_f <= ends[1]:
        body.append(_upright(plot, delta_f))
    body.append(line(plot.x(ends), plot.y(ends - delta_f), "line truth"))
    for place, a, b in zip(plot.x(ratio.work), plot.y(low), plot.y(high), strict=True):
        body.append(tag("line", x1=place, x2=place, y1=a, y2=b, class_="whisker model"))
    body.append(dots(plot.x(ratio.work), plot.y(ratio.log_ratio), "dots model large"))
    slope_text = measured(slope.value, slope.stderr)
    label = f"Log ratio of the two work laws against work in {ratio.work.size} bins; fitted slope {slope_text}."
    note = (
        f"Crooks' theorem puts the dots on the line of slope 1 that crosses zero at ΔF (dashed); the fitted slope is "
        f"{slope_text}."
    )
    legend = (Key("model", "bins", "dot"), Key("truth", "W − ΔF"))
    return Figure("log P(W) / P(−W)", drawing(body, height=plot.height, label=label), "nats", note, legend)


def work_along(curves: Sequence[WorkCurve]) -> Figure:
    """Mean work so far, with a band of one standard deviation over walkers, against the share of the protocol."""
    every = np.concatenate([c.mean + sign * c.spread for c in curves for sign in (-1.0, 1.0)])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    plot = frame(View(0.0, 1.0), View(low, high), height=220.0, x_label="share of the protocol")
    body = plot.axes()
    for curve in curves:
        x = plot.x(np.linspace(0.0, 1.0, curve.mean.size))
        down, up = plot.y(curve.mean - curve.spread), plot.y(curve.mean + curve.spread)
        body += [area(x, down, up, f"band {curve.role}"), line(x, plot.y(curve.mean), f"line {curve.role}")]
    label = "Work along the way. " + " ".join(f"{c.name}: {number(float(c.mean[-1]))} at the end." for c in curves)
    note = "Mean work done so far; the band is one standard deviation over walkers."
    legend = tuple(Key(c.role, c.name) for c in curves)
    return Figure("Work along the way", drawing(body, height=plot.height, label=label), "nats", note, legend)


def _upright(plot: Frame, x: float) -> str:
    place = float(plot.x(x))
    return line([place, place], [plot.y.start, plot.y.stop], "line truth dashed")


def _edges(samples: Sequence[Floats]) -> Floats:
    """Equal bins that hold all but a few of the draws, as wide as the rule of Freedman and Diaconis says."""
    low = min(float(np.quantile(v, 0.002)) for v in samples)
    high = max(float(np.quantile(v, 0.998)) for v in samples)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    spreads = [np.subtract(*np.quantile(v, [0.75, 0.25])) for v in samples]
    width = min(
        (2.0 * s / v.size ** (1 / 3) for s, v in zip(spreads, samples, strict=True) if s > 0), default=high - low
    )
    return np.linspace(low, high, int(np.clip(np.ceil((high - low) / width), 8, _MOST_BINS)) + 1)
