"""Inline SVG by hand: colours are CSS roles of the page, so that one drawing serves light, dark and print."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from energax.report._summary import Floats
from energax.report.tables import fixed, number, power_of_ten

# Drawn about as wide as a phone shows it, so that 12 units of text are 11 to 15 pixels everywhere.
WIDTH = 360.0
# Width of a character of a tick label, generously.
CHARACTER = 6.9


def tag(name: str, *children: str, **attributes: object) -> str:
    """An element; values are escaped, floats rounded to 0.01; ``class_`` means class, ``text_anchor`` text-anchor."""
    parts = [name]
    for key, value in attributes.items():
        if value is None or value == "":
            continue
        text = _coordinate(value) if isinstance(value, float | np.floating) else str(value)
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(text, quote=True)}"')
    return f"<{' '.join(parts)}>{''.join(children)}</{name}>"


def text(content: str, x: float, y: float, *, anchor: str = "", class_: str = "") -> str:
    """A line of text with its base line at (x, y)."""
    return tag("text", escape(content), x=float(x), y=float(y), text_anchor=anchor, class_=class_)


def line(x: ArrayLike, y: ArrayLike, class_: str) -> str:
    """A line through the points; points that are not finite break it, and a lone point becomes a dot."""
    xs, ys = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    good = np.isfinite(xs) & np.isfinite(ys)
    moves, pen_down = [], False
    for i in range(xs.size):
        if good[i]:
            alone = not pen_down and (i + 1 == xs.size or not good[i + 1])
            moves.append(f"{'L' if pen_down else 'M'}{_coordinate(xs[i])} {_coordinate(ys[i])}{'h0' if alone else ''}")
        pen_down = bool(good[i])
    return tag("path", d="".join(moves), class_=class_) if moves else ""


def area(x: ArrayLike, low: ArrayLike, high: ArrayLike, class_: str) -> str:
    """The region between two curves over the same x; gaps where a value is not finite."""
    xs, lows, highs = (np.asarray(a, float) for a in (x, low, high))
    good = np.isfinite(xs) & np.isfinite(lows) & np.isfinite(highs)
    out = []
    for run in np.split(np.arange(xs.size), np.flatnonzero(np.diff(good.astype(int))) + 1):
        if run.size > 1 and good[run[0]]:
            forth = [f"{_coordinate(xs[i])} {_coordinate(highs[i])}" for i in run]
            back = [f"{_coordinate(xs[i])} {_coordinate(lows[i])}" for i in run[::-1]]
            out.append(f"M{'L'.join(forth + back)}Z")
    return tag("path", d="".join(out), class_=class_) if out else ""


def dots(x: ArrayLike, y: ArrayLike, class_: str) -> str:
    """Many equal dots as one path: the round caps of strokes of length zero."""
    pairs = zip(np.asarray(x, float), np.asarray(y, float), strict=True)
    moves = "".join(f"M{_coordinate(a)} {_coordinate(b)}h0" for a, b in pairs)
    return tag("path", d=moves, class_=class_) if moves else ""


def drawing(body: Iterable[str], *, height: float, label: str, width: float = WIDTH) -> str:
    """The finished picture; `label` is what a reader who cannot see it is told."""
    box = f"0 0 {_coordinate(width)} {_coordinate(height)}"
    return tag("svg", *body, viewBox=box, role="img", aria_label=label)


class View(NamedTuple):
    """The part of an axis that is shown, and how: ``"linear"``, ``"log"``, or ``"symlog"``, linear up to `bend`."""

    low: float
    high: float
    kind: str = "linear"
    bend: float = 1.0


@dataclass(frozen=True)
class Scale:
    """Maps numbers of a view to places on the drawing; values outside stop at the edge."""

    view: View
    start: float
    stop: float

    def __call__(self, values: ArrayLike) -> Floats:
        low, high = (float(v) for v in self._straight([self.view.low, self.view.high]))
        share = np.clip((self._straight(values) - low) / (high - low), 0.0, 1.0)
        return np.asarray(self.start + share * (self.stop - self.start))

    def ticks(self, target: int) -> list[float]:
        """About `target` round numbers within the view."""
        low, high, kind, bend = self.view
        if kind == "log":
            return _log_ticks(low, high, target)
        return _symlog_ticks(low, high, bend, target) if kind == "symlog" else _ticks(low, high, target)

    def texts(self, target: int) -> list[tuple[float, str]]:
        """The ticks with their labels."""
        values = self.ticks(target)
        return list(zip(values, tick_texts(values, powers=self.view.kind != "linear"), strict=True))

    def _straight(self, values: ArrayLike) -> Floats:
        x = np.asarray(values, dtype=np.float64)
        if self.view.kind == "log":
            return np.log(np.where(x > 0, x, np.nan))
        return np.arcsinh(x / self.view.bend) if self.view.kind == "symlog" else x


@dataclass(frozen=True)
class Frame:
    """The plot area with its two scales."""

    x: Scale
    y: Scale
    height: float
    x_label: str = ""
    width: float = WIDTH

    def axes(self, *, y_texts: bool = True, grid: bool = True) -> list[str]:
        """The x axis with its name, the labels of the y axis, and thin lines at the labels."""
        out = []
        bottom, left, right = self.y.start, self.x.start, self.x.stop
        for place, label in self._y_places() if y_texts else []:
            first, last = (left, right) if grid else (left - 4, left)
            out.append(tag("line", x1=first, x2=last, y1=place, y2=place, class_="grid" if grid else "axis"))
            out.append(text(label, left - 6, place + 4, anchor="end", class_="tick"))
        out.append(tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis"))
        for value, label in self.x.texts(4):
            place = float(self.x(value))
            out.append(tag("line", x1=place, x2=place, y1=bottom, y2=bottom + 4, class_="axis"))
            half = len(label) * CHARACTER / 2
            inside = min(max(place, half), self.width - half)
            out.append(text(label, inside, bottom + 17, anchor="middle", class_="tick"))
        if self.x_label:
            out.append(text(self.x_label, (left + right) / 2, bottom + 33, anchor="middle", class_="tick"))
        return out

    def _y_places(self) -> list[tuple[float, str]]:
        """Labels of the y axis that do not touch; near a bend they would, and zero goes first."""
        kept: list[tuple[float, str]] = []
        for value, label in sorted(self.y.texts(4), key=lambda tick: tick[0] != 0.0):
            place = float(self.y(value))
            if all(abs(place - other) >= 14.0 for other, _ in kept):
                kept.append((place, label))
        return sorted(kept)


def frame(x: View, y: View, *, height: float = 190.0, x_label: str = "", y_texts: bool = True) -> Frame:
    """A frame whose left margin fits the labels of its y axis."""
    y_scale = Scale(_opened(y), height - (40.0 if x_label else 24.0), 12.0)
    longest = max((len(label) for _, label in y_scale.texts(4)), default=1) if y_texts else 0
    left = 10.0 + CHARACTER * longest if y_texts else 6.0
    return Frame(Scale(_opened(x), left, WIDTH - 8.0), y_scale, height=height, x_label=x_label)


def tick_texts(values: Sequence[float], *, powers: bool = False) -> list[str]:
    """Labels of one axis: the same decimals for all, thousands separated, large ones as ``200k`` or ``1.5M``.

    Args:
        values: The ticks, increasing.
        powers: They are powers of ten (and perhaps zero), as on logarithmic axes.
    """
    if not values:
        return []
    largest = max(abs(v) for v in values)
    if powers and (largest >= 1e5 or min(abs(v) for v in values if v) < 1e-3):
        return [_power_text(v) for v in values]
    if powers:
        return [number(int(v)) if v == int(v) else number(v, significant=1) for v in values]
    if largest >= 1e9 or 0 < largest < 1e-3:
        return [number(v, significant=2) if v else "0" for v in values]
    step = min((b - a for a, b in itertools.pairwise(values)), default=largest or 1.0)
    unit, suffix = next(((u, s) for u, s in ((1e6, "M"), (1e3, "k")) if largest >= 10 * u), (1.0, ""))
    decimals = min(max(0, -math.floor(math.log10(step / unit) + 1e-9)), 6)
    return [fixed(v / unit, decimals) + (suffix if v else "") for v in values]


def _coordinate(value: object) -> str:
    rounded = f"{float(value):.2f}".rstrip("0").rstrip(".")  # pyright: ignore[reportArgumentType]
    return "0" if rounded == "-0" else rounded


def _opened(view: View) -> View:
    """A view of some width: a single value gets room on both sides."""
    if view.high > view.low:
        return view
    room = max(abs(view.low) * 0.05, 0.5)
    return View(view.low - room, view.high + room)


def _ticks(low: float, high: float, target: int) -> list[float]:
    raw = (high - low) / max(target, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((m * power for m in (1.0, 2.0, 5.0) if m * power >= 0.7 * raw), 10.0 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _log_ticks(low: float, high: float, target: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(1, math.ceil((last - first) / target))
    return [10.0**k for k in range(first, last + 1, stride)]


def _symlog_ticks(low: float, high: float, bend: float, target: int) -> list[float]:
    largest = max(abs(low), abs(high))
    sizes = _log_ticks(10.0 * bend, largest, max(1, target // (2 if low < -bend and high > bend else 1)))
    signed = [-v for v in reversed(sizes)] + [0.0] + sizes
    return [v for v in signed if low <= v <= high]


def _power_text(value: float) -> str:
    if not value:
        return "0"
    exponent = power_of_ten(round(math.log10(abs(value))))
    return exponent if value > 0 else f"−{exponent}"
