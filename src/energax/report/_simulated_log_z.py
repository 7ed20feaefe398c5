"""log Z and the free energy on the page of a simulation, beside the exact curve where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from energax.report._blocks import Block, Figure, Figures, Key, Section, Table, Text
from energax.report.figures._svg import Frame, View, dots, drawing, frame, line, tag
from energax.report.tables import Row, measured, number

_COLOURS = 4
_HOW = (
    "At infinite temperature every configuration is as likely as any other, and log Z is the logarithm of their number "
    "or volume. From there to the coldest temperature the draws at neighbouring temperatures overlap, those of a few "
    "more between the ones that were asked for included, and MBAR joins them. Error bars come from leaving out one "
    "chain after the other."
)


class SimulatedLogZLike(Protocol):
    """What the page reads; `energax.runs.SimulatedLogZ` says what each field is."""

    @property
    def size(self) -> int | None: ...
    @property
    def points(self) -> list[dict[str, Any]]: ...
    @property
    def curve(self) -> dict[str, list[float]]: ...
    @property
    def num_sites(self) -> int: ...
    @property
    def note(self) -> str: ...


def log_z_point_rows(found: SimulatedLogZLike, *, several: bool = False) -> list[Row]:
    """Log Z of one size at each temperature as rows of a table."""
    size = f"L = {found.size}, " if several else ""
    return [
        Row(f"log Z, {size}T = {point['temperature']:g}", _value(point["log_z"]), _beside(point["log_z"]))
        for point in found.points
    ]


def _value(cell: dict[str, Any]) -> str:
    if math.isfinite(cell["stderr"]):
        return measured(cell["value"], cell["stderr"])
    return f"{number(cell['value'], significant=6)}, without an error bar"


def _beside(cell: dict[str, Any]) -> str:
    if cell["exact"] is None:
        return ""
    told = f"exact {number(cell['exact'], significant=9)}"
    if not cell["stderr"] > 0:
        return told
    return f"{told}, {abs(cell['value'] - cell['exact']) / cell['stderr']:.1f} error bars away"


def log_z_section(found: Sequence[SimulatedLogZLike]) -> Section | None:
    """The curves and the numbers of all sizes; None where nothing was even tried."""
    if not found:
        return None
    shown = [one for one in found if one.points]
    blocks: list[Block] = [Text(one.note, "note") for one in found if one.note]
    if shown:
        blocks.insert(0, Text(_HOW))
        figures = [figure for figure in (_free_energy(shown), _distance(shown)) if figure is not None]
        rows = [row for one in shown for row in log_z_point_rows(one, several=len(found) > 1)]
        blocks += [Figures(figures)] if figures else []
        blocks.append(Table("log Z with one standard error, in nats", ("", "value", "exact"), rows))
    return Section("free-energy", "Free energy", blocks)


def _free_energy(shown: Sequence[SimulatedLogZLike]) -> Figure | None:
    """−T log Z / N over temperature."""
    lines = [(one, _per_site(one, "log_z")) for one in shown if one.curve]
    if not lines:
        return None
    exact = [_per_site(one, "exact") for one in shown if "exact" in one.curve]
    cells = [(one, *_cells(one, "free_energy_per_site")) for one in shown]
    every = np.concatenate([*(y for _, (_, y) in lines), *(y for _, y in exact)])
    plot = _plot(cells[0][1], every)
    body, legend = plot.axes(), []
    for k, (one, (t, y)) in enumerate(lines):
        role, name = _role(k, one, shown)
        body.append(line(plot.x(t), plot.y(y), f"line {role}"))
        legend.append(Key(role, name, "line"))
    for k, (_, t, y, bar) in enumerate(cells):
        body += _measured(plot, t, y, bar, _role(k, shown[k], shown)[0])
    for t, y in exact:
        # On top, dashed: where the two agree, both are seen.
        body.append(line(plot.x(t), plot.y(y), "line truth dashed"))
    if exact:
        legend.append(Key("truth", "exact (dashed)", "line"))
    label = f"Free energy for each site over temperature, from {number(every.min())} to {number(every.max())}."
    svg = drawing(body, height=plot.height, label=label)
    return Figure("Free energy", svg, "−T log Z for each site", "", tuple(legend))


def _distance(shown: Sequence[SimulatedLogZLike]) -> Figure | None:
    """Log Z less the exact one, where the error bars can be seen."""
    known = [one for one in shown if len(one.points) > 1 and one.points[0]["log_z"]["exact"] is not None]
    if not known:
        return None
    cells = [_cells(one, "log_z") for one in known]
    gaps = [
        y - np.asarray([p["log_z"]["exact"] for p in one.points]) for one, (_, y, _) in zip(known, cells, strict=True)
    ]
    every = np.concatenate([np.concatenate([g - b, g + b]) for g, (_, _, b) in zip(gaps, cells, strict=True)])
    plot = _plot(cells[0][0], np.concatenate([every, [0.0]]))
    body, legend = plot.axes(), []
    body.append(line(plot.x([cells[0][0].min(), cells[0][0].max()]), plot.y([0.0, 0.0]), "line truth dashed"))
    for k, (one, gap, (t, _, bar)) in enumerate(zip(known, gaps, cells, strict=True)):
        role, name = _role(list(shown).index(one), one, shown)
        # Side by side, so that no whisker hides another.
        aside = 4.0 * (k - 0.5 * (len(known) - 1))
        body += _measured(plot, t, gap, bar, role, aside)
        legend.append(Key(role, name, "dot"))
    note = "Whiskers: one error bar. Neighbouring points err together, because they share the way from T = ∞."
    label = f"Estimated less exact log Z over temperature, from {number(every.min())} to {number(every.max())} nats."
    svg = drawing(body, height=plot.height, label=label)
    return Figure("log Z less the exact one", svg, "nats", note, tuple(legend))


def _cells(one: SimulatedLogZLike, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Temperatures, values and error bars."""
    rows = [(p["temperature"], p[name]["value"], p[name]["stderr"]) for p in one.points]
    t, y, bar = np.asarray(rows, np.float64).T
    return t, y, np.nan_to_num(bar)


def _per_site(one: SimulatedLogZLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    t = np.asarray(one.curve["temperature"])
    return t, -t * np.asarray(one.curve[name]) / one.num_sites


def _role(k: int, one: SimulatedLogZLike, shown: Sequence[SimulatedLogZLike]) -> tuple[str, str]:
    return ("model", "estimated") if len(shown) == 1 else (f"chain-{k % _COLOURS}", f"L = {one.size}")


def _plot(t: np.ndarray, every: np.ndarray) -> Frame:
    room = 0.05 * float(np.ptp(every)) or 0.5
    return frame(
        View(float(t.min()), float(t.max())), View(float(every.min()) - room, float(every.max()) + room),
        x_label="temperature",
    )  # fmt: skip


def _measured(plot: Frame, t: np.ndarray, y: np.ndarray, bar: np.ndarray, role: str, aside: float = 0.0) -> list[str]:
    places = np.asarray(plot.x(t)) + aside
    whiskers = [
        tag("line", x1=x, x2=x, y1=low, y2=high, class_=f"whisker {role}")
        for x, low, high in zip(places, plot.y(y - bar), plot.y(y + bar), strict=True)
    ]
    return [*whiskers, dots(places, plot.y(y), f"dots {role} large")]
