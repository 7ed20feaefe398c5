"""Curves over training steps and over draws of chains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from energax.report._blocks import Figure, Key
from energax.report._summary import Floats
from energax.report.figures._svg import Frame, View, area, drawing, frame, line, tag, text
from energax.report.tables import is_finite, number

_MOST_POINTS = 140
_MOST_CHAINS = 4
_SCALES = {
    "linear": "",
    "log": "Logarithmic scale.",
    "symlog": "Logarithmic scale on both sides of zero, linear close to it.",
}


class Series(NamedTuple):
    """One metric of the history to be drawn, and the CSS role that it is drawn in."""

    metric: str
    name: str
    role: str


class Mark(NamedTuple):
    """An event: its number in the table of events and its step."""

    place: int
    step: float


def learning_curve(
    title: str,
    history: Sequence[Mapping[str, Any]],
    series: Sequence[Series],
    *,
    unit: str = "",
    note: str = "",
    marks: Sequence[Mark] = (),
    limits: tuple[float, float] | None = None,
) -> Figure | None:
    """Metrics over training steps; None when none of them was ever logged.

    Long histories are drawn as medians of groups of steps inside a band from their smallest to their largest value, so
    that no spike disappears. An axis that a few values would stretch beyond use is cut, and the note says so.
    Values that are not finite leave a gap and are counted in the note.

    Args:
        title: Name of the figure.
        history: Rows with ``step`` and the metrics.
        series: What to draw.
        unit: Unit of the y axis.
        note: How to read the figure.
        marks: Events, drawn as vertical lines.
        limits: Range of the y axis where the metric has a natural one.
    """
    columns = [(s, *_column(history, s.metric)) for s in series]
    columns = [(s, x, y) for s, x, y in columns if np.isfinite(y).any()]
    if not columns:
        return None
    all_y = np.concatenate([y for _, _, y in columns])
    view = View(*limits) if limits else _view(all_y[np.isfinite(all_y)])
    steps = np.concatenate([*(x for _, x, _ in columns), [mark.step for mark in marks]])
    plot = frame(View(float(steps.min()), float(steps.max())), view, x_label="step")
    body = plot.axes() + _marks(plot, marks)
    for s, x, y in columns:
        middle, smallest, largest, place = _grouped(x, y)
        if y.size > _MOST_POINTS:
            body.append(area(plot.x(place), plot.y(smallest), plot.y(largest), f"band {s.role}"))
        body.append(line(plot.x(place), plot.y(middle), f"line {s.role}"))
    legend = tuple(Key(s.role, s.name) for s, _, _ in columns) if len(series) > 1 else ()
    label = f"{title} over training steps. " + " ".join(_told(s.name, x, y) for s, x, y in columns)
    remarks = (note, _SCALES[view.kind], _cut_note(all_y, view), _gap_note(all_y))
    told = " ".join(remark for remark in remarks if remark)
    return Figure(title, drawing(body, height=plot.height, label=label), unit, told, legend)


def energy_trace(chain_energy: Floats) -> Figure:
    """The energy along the first chains, each a thin line, (chain, draw)."""
    shown = chain_energy[:_MOST_CHAINS]
    num_chains, num_draws = chain_energy.shape
    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    plot = frame(View(0.0, max(num_draws - 1.0, 1.0)), View(low, high), x_label="draw", height=210.0)
    stride = max(1, math.ceil(num_draws / 300))
    place = plot.x(np.arange(0, num_draws, stride))
    body = plot.axes()
    for k, energies in enumerate(shown):
        body.append(line(place, plot.y(energies[::stride]), f"line thin chain-{k}"))
    which = f"Energy along {len(shown)} of {num_chains} chains over {num_draws} draws"
    label = f"{which}, from {number(low)} to {number(high)}."
    note = "Healthy chains look like one fuzzy band: no trend, no chain on a level of its own, no flat stretches."
    if num_chains > len(shown):
        note += f" The first {len(shown)} of {num_chains} chains are drawn."
    if stride > 1:
        note += f" One draw in {stride} is drawn."
    return Figure("Energy along the chains", drawing(body, height=plot.height, label=label), "nats", note)


def _column(history: Sequence[Mapping[str, Any]], metric: str) -> tuple[Floats, Floats]:
    """Steps and values of one metric; a value that is there but not finite is kept as NaN."""
    found = [(row["step"], row[metric]) for row in history if metric in row and is_finite(row.get("step"))]
    x = np.asarray([float(step) for step, _ in found], dtype=np.float64)
    y = np.asarray([float(v) if is_finite(v) else np.nan for _, v in found], dtype=np.float64)
    return x, y


def _grouped(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(median, smallest, largest, step) of consecutive groups; a group without a finite value stays NaN."""
    if y.size <= _MOST_POINTS:
        return y, y, y, x
    cuts = np.arange(math.ceil(y.size / _MOST_POINTS), y.size, math.ceil(y.size / _MOST_POINTS))
    columns = []
    for xs, ys in zip(np.split(x, cuts), np.split(y, cuts), strict=True):
        good = ys[np.isfinite(ys)]
        some = good if good.size else np.asarray([np.nan])
        columns.append((np.median(some), some.min(), some.max(), xs.mean()))
    middle, smallest, largest, place = np.asarray(columns, dtype=np.float64).T
    return middle, smallest, largest, place


def _view(values: Floats) -> View:
    """The view that keeps the bulk readable: linear, cut at both ends, or logarithmic."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > 300:
        return View(low, high, "log")
    if values.size >= 20:
        inner_low, inner_high = (float(q) for q in np.quantile(values, [0.03, 0.97]))
        usual = float(np.median(np.abs(values)))
        if usual > 0 and max(-inner_low, inner_high) > 1000 * usual:
            return View(low, high, "symlog", usual)
        span = inner_high - inner_low
        if span > 0 and high - low > 12 * span:
            low, high = max(low, inner_low - 0.6 * span), min(high, inner_high + 0.6 * span)
    room = 0.04 * (high - low)
    return View(low - room, high + room)


def _cut_note(values: Floats, view: View) -> str:
    outside = values[np.isfinite(values) & ((values < view.low) | (values > view.high))]
    if not outside.size:
        return ""
    farthest = number(outside[np.argmax(np.abs(outside))], significant=2)
    if outside.size == 1:
        return f"One value, {farthest}, lies beyond the axis and is drawn at its edge."
    return f"{number(outside.size)} values lie beyond the axis and are drawn at its edge (farthest: {farthest})."


def _gap_note(values: Floats) -> str:
    missing = int(np.count_nonzero(~np.isfinite(values)))
    if missing == 1:
        return "One logged value was not finite and is left out."
    return f"{number(missing)} logged values were not finite and are left out." if missing else ""


def _marks(plot: Frame, marks: Sequence[Mark]) -> list[str]:
    """Vertical lines at the steps of events, with their numbers while there is room."""
    out = []
    for mark in marks:
        x = float(plot.x(mark.step))
        out.append(tag("line", x1=x, x2=x, y1=plot.y.start, y2=plot.y.stop, class_="event"))
        if len(marks) <= 9:
            out.append(text(str(mark.place), x, plot.y.stop - 1, anchor="middle", class_="event-number"))
    return out


def _told(name: str, x: Floats, y: Floats) -> str:
    good = np.flatnonzero(np.isfinite(y))
    if good.size == 1:
        return f"{name}: {number(y[good[0]])} at step {number(int(x[good[0]]))}."
    first, last = good[0], good[-1]
    ends = f"{number(y[first])} at step {number(int(x[first]))}, {number(y[last])} at step {number(int(x[last]))}"
    return f"{name}: {ends}, between {number(np.nanmin(y))} and {number(np.nanmax(y))}."
