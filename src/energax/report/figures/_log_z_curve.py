"""log Z on the way from a law that is known to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from energax.report._blocks import Figure
from energax.report.figures._svg import View, drawing, frame, line, tag
from energax.report.tables import number

_KINDS = {
    "tempering": (
        "log Z of β E",
        "share of β",
        "From the uniform law to the model by raising the inverse temperature. The free energy is −log Z.",
    ),
    "annealing": (
        "log Z along the annealing path",
        "t",
        "Annealing leads from a base law with log Z = 0 at t = 0 to the model at t = 1, through mixtures of their "
        "energies, or through the checkpoints of training where that was asked for. Drawn is the logarithm of the mean "
        "weight that its particles have gathered by then; it is no function of the temperature. The free energy is "
        "−log Z. Whiskers, where they can be seen, are one error bar of the forward direction alone; the interval "
        "above rests on both.",
    ),
}


def log_z_curve(log_z: Mapping[str, Any]) -> Figure | None:
    """The curve of an evaluation with its error bars, and the interval at its end; None where there is none."""
    curve = log_z.get("curve")
    if not isinstance(curve, Mapping) or curve.get("kind") not in _KINDS:
        return None
    columns = [[np.nan if v is None else float(v) for v in curve[name]] for name in ("t", "value", "stderr")]
    t, y, bar = (np.asarray(column, np.float64) for column in columns)
    seen = np.isfinite(y)
    t, y, bar = t[seen], y[seen], np.nan_to_num(bar[seen])
    if y.size < 2:
        return None
    every = np.concatenate([y - bar, y + bar])
    room = 0.05 * float(np.ptp(every)) or 0.5
    title, axis, note = _KINDS[curve["kind"]]
    plot = frame(
        View(float(t.min()), float(t.max())), View(float(every.min()) - room, float(every.max()) + room), x_label=axis
    )
    body = plot.axes()
    for place, low, high in zip(plot.x(t), plot.y(y - bar), plot.y(y + bar), strict=True):
        body.append(tag("line", x1=place, x2=place, y1=low, y2=high, class_="whisker model"))
    body.append(line(plot.x(t), plot.y(y), "line model"))
    label = f"{title}, from {number(float(y[0]))} to {number(float(y[-1]))} nats."
    return Figure(title, drawing(body, height=plot.height, label=label), "nats", note)
