"""Histograms of several samples over the same bins, and the pair correlations of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from energax.report._blocks import Figure, Key
from energax.report._summary import Floats
from energax.report.figures._svg import View, area, dots, drawing, frame, line, tag
from energax.report.tables import number


class Sample(NamedTuple):
    """One sample to be drawn: its name, its CSS role and its finite values."""

    name: str
    role: str
    values: Floats


def energy_histograms(samples: Sequence[Sample]) -> list[Figure]:
    """Energies of data, model and noise over common bins; two figures where noise lies too far to see the rest.

    Args:
        samples: Data and model first: the first figure shows them whatever the others do.

    Returns:
        One or two figures; none when there is no sample at all.
    """
    if not samples:
        return []
    low, high = _bulk([s.values for s in samples[:2]])
    far = [s for s in samples[2:] if _is_far(s.values, low, high)]
    near = [s for s in samples if s not in far]
    note = "Where data and model overlap, the energy cannot tell them apart."
    note += "" if far or near == samples[:2] else " Noise should lie to the right."
    figures = [_energies("Energies", near, note)]
    if far:
        note = "The same with noise, which should lie far to the right: configurations without structure are unlikely."
        figures.append(_energies("Energies, with noise for scale", samples, note, own_height=True))
    return figures


def _energies(title: str, samples: Sequence[Sample], note: str, *, own_height: bool = False) -> Figure:
    low, high = _bulk([s.values for s in samples])
    told = [
        f"{s.name}: median {number(np.median(s.values))}, from {number(s.values.min())} to {number(s.values.max())}."
        for s in samples
    ]
    label = " ".join([f"Histogram. {title}.", *told])
    markup = _histogram(samples, low, high, label=label, height=220.0, x_label="energy, nats", own_height=own_height)
    unit = "each to its own height" if own_height else "share of each sample"
    return Figure(title, markup, unit, note, _legend(samples))


def marginal(title: str, data: Floats, model: Floats | None) -> Figure:
    """One column of a table: data and model over common bins."""
    samples = [Sample("data", "data", data)]
    if model is not None:
        samples.append(Sample("model", "model", model))
    low, high = _bulk([s.values for s in samples])
    label = f"Histogram of {title}. " + " ".join(
        f"{s.name}: mean {number(s.values.mean())}, standard deviation {number(s.values.std())}." for s in samples
    )
    return Figure(title, _histogram(samples, low, high, label=label, height=150.0), legend=_legend(samples))


def histogram(samples: Sequence[Sample], *, label: str, height: float) -> str:
    """The picture of several samples over common bins that hold the bulk of each, as markup."""
    low, high = _bulk([s.values for s in samples])
    return _histogram(samples, low, high, label=label, height=height)


def correlation_scatter(data: Floats, model: Floats) -> Figure:
    """One dot a pair of columns: its correlation in the data (x) and in the model (y); `data`, `model` (pair,)."""
    plot = frame(View(-1.0, 1.0), View(-1.0, 1.0), height=340.0, x_label="correlation in the data")
    body = plot.axes()
    body.append(line(plot.x([-1.0, 1.0]), plot.y([-1.0, 1.0]), "line truth dashed"))
    body.append(dots(plot.x(data), plot.y(model), "dots model large"))
    worst = float(np.max(np.abs(data - model)))
    label = (
        f"Correlations of {data.size} pairs of columns, data against model; the largest difference is {number(worst)}."
    )
    note = "One dot for each pair of columns. On the dashed line the model has the correlation of the data."
    return Figure("Pair correlations", drawing(body, height=plot.height, label=label), "in the model", note)


def _histogram(
    samples: Sequence[Sample],
    low: float,
    high: float,
    *,
    label: str,
    height: float,
    x_label: str = "",
    own_height: bool = False,
) -> str:
    edges = _edges(samples, low, high)
    heights = [np.histogram(s.values, edges)[0] / s.values.size for s in samples]
    if own_height:
        heights = [h / max(float(h.max()), 1e-12) for h in heights]
    top = max(*(float(h.max()) for h in heights), 1e-12) * 1.05
    bins = View(float(edges[0]), float(edges[-1]))
    plot = frame(bins, View(0.0, top), height=height, x_label=x_label, y_texts=False)
    body = plot.axes(y_texts=False)
    steps_x = plot.x(np.repeat(edges, 2))
    for sample, shares in zip(samples, heights, strict=True):
        steps_y = plot.y(np.concatenate([[0.0], np.repeat(shares, 2), [0.0]]))
        body.append(area(steps_x, np.full(steps_x.shape, plot.y.start), steps_y, f"area {sample.role}"))
        body.append(line(steps_x, steps_y, f"line {sample.role}"))
    body.append(tag("line", x1=plot.x.start, x2=plot.x.stop, y1=plot.y.start, y2=plot.y.start, class_="axis"))
    return drawing(body, height=plot.height, label=label)


def _edges(samples: Sequence[Sample], low: float, high: float) -> Floats:
    """Bins of equal width; whole numbers with few values get one bin each, so that no comb appears."""
    distinct = np.unique(np.concatenate([s.values for s in samples]))
    if distinct.size <= 40 and np.all(distinct == np.round(distinct)) and distinct[-1] - distinct[0] <= 60:
        return np.arange(distinct[0] - 0.5, distinct[-1] + 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    widths = [_bin_width(s.values) for s in samples]
    width = min((w for w in widths if w > 0), default=high - low)
    return np.linspace(low, high, int(np.clip(np.ceil((high - low) / width), 8, 60)) + 1)


def _bin_width(values: Floats) -> float:
    """The rule of Freedman and Diaconis: 2 IQR / n^(1/3)."""
    low, high = np.quantile(values, [0.25, 0.75])
    return 2.0 * float(high - low) / values.size ** (1 / 3)


def _bulk(samples: Sequence[Floats]) -> tuple[float, float]:
    """Range that holds all but the outermost 0.5 % on each side of every sample."""
    low = min(float(np.quantile(v, 0.005)) for v in samples)
    high = max(float(np.quantile(v, 0.995)) for v in samples)
    room = 0.04 * (high - low)
    return low - room, high + room


def _is_far(values: Floats, low: float, high: float) -> bool:
    middle = float(np.median(values))
    return max(middle - high, low - middle) > 3.0 * max(high - low, 1e-12)


def _legend(samples: Sequence[Sample]) -> tuple[Key, ...]:
    return tuple(Key(s.role, s.name, "area") for s in samples) if len(samples) > 1 else ()
