"""Every run of a study as a dot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from energax.report._blocks import Figure, Key
from energax.report.figures._svg import CHARACTER, WIDTH, Frame, Scale, View, dots, drawing, tag, text
from energax.report.tables import is_finite, number

_STEP = 22.0
_FLOOR = 1e-4


def runs_chart(title: str, label: str, values: Mapping[str, Sequence[float]]) -> Figure | None:
    """A line for each name with a dot for each of its runs, on a logarithmic axis; smaller is better.

    Args:
        title: Name of the figure.
        label: What the axis shows, with its unit.
        values: The number of every run, by name; names with a value that is not finite are left out.
    """
    shown = {name: found for name, found in values.items() if found and all(map(is_finite, found))}
    if not shown:
        return None
    left = 10.0 + CHARACTER * max(map(len, shown))
    every = [max(value, _FLOOR) for found in shown.values() for value in found]
    high = _STEP * len(shown)
    view = View(min(every) / 1.5, max(every) * 1.5, "log")
    plot = Frame(Scale(view, left, WIDTH - 8.0), Scale(View(0.0, 1.0), high + 6.0, 6.0), height=high + 46.0,
                 x_label=label)  # fmt: skip
    body = plot.axes(y_texts=False)
    for k, (name, found) in enumerate(shown.items()):
        y = 6.0 + _STEP * (k + 0.5)
        body.append(text(name, left - 6, y + 4, anchor="end", class_="tick"))
        body.append(tag("line", x1=left, x2=WIDTH - 8.0, y1=y, y2=y, class_="grid"))
        places = plot.x([max(value, _FLOOR) for value in found])
        body.append(dots(places, [y] * len(places), "dots model large"))
    told = "; ".join(f"{name} {number(float(np.mean(found)), significant=2)}" for name, found in shown.items())
    note = "Further left is better; the axis is logarithmic."
    return Figure(
        title, drawing(body, height=plot.height, label=f"{label}, means: {told}."), "nats", note,
        (Key("model", "one run", "dot"),),
    )  # fmt: skip
