"""The likelihood interval beside its baselines, and the masses of modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from energax.report._blocks import Figure, Key
from energax.report.figures._svg import CHARACTER, Frame, Scale, View, drawing, tag, text
from energax.report.tables import ends, interval_text, is_finite, number, plain_name, share

_ROW = 46.0
_STEP = 24.0
_LEFT, _RIGHT, _TOP = 8.0, 352.0, 6.0
_NUM_STDERRS = 2.0
_CLOSE_UP_BELOW = 0.12


def likelihood_charts(result: Mapping[str, Any], baselines: Sequence[Mapping[str, Any]], *, model: str) -> list[Figure]:
    """The interval of the model above the baselines on one axis, and a close-up where it is narrow on that axis.

    Args:
        result: The mapping ``test_log_likelihood`` of an evaluation.
        baselines: Mappings with `name`, a finite `test_log_likelihood` and perhaps `stderr_test`.
        model: Name of the model.

    Returns:
        One or two figures; none where the interval has neither end.
    """
    places = [float(result[side]) for side in ("lower", "upper") if is_finite(result.get(side))]
    if not places:
        return []
    values = places + [float(b["test_log_likelihood"]) for b in baselines]
    widest = max(_spread(one) for one in (result, *baselines))
    full = View(min(values) - widest, max(values) + widest)
    figures = [_chart("Model and baselines", result, baselines, full, model=model)]
    if len(places) == 2 and places[1] - places[0] < _CLOSE_UP_BELOW * (full.high - full.low):
        around = max(_spread(result), places[1] - places[0])
        near = View(places[0] - around, places[1] + around)
        figures.append(_chart("The interval, close up", result, [], near, model=model))
    return figures


def mode_mass_chart(modes: Sequence[Mapping[str, Any]]) -> Figure:
    """For every mode a line with the true mass, the mass under the model and the share of the chains."""
    largest = max(float(m[n]) for m in modes for n in ("truth", "model", "chains") if is_finite(m.get(n)))
    left = 10.0 + CHARACTER * max(len(_mode_name(m, k)) for k, m in enumerate(modes, start=1))
    plot = _frame(View(0.0, max(largest * 1.08, 1e-9)), _STEP * len(modes), "mass", left=left)
    body = _grid(plot)
    for k, mode in enumerate(modes, start=1):
        y = _TOP + _STEP * (k - 0.5)
        body.append(text(_mode_name(mode, k), left - 6, y + 4, anchor="end", class_="tick"))
        body.append(tag("line", x1=left, x2=_RIGHT, y1=y, y2=y, class_="grid"))
        x = float(plot.x(float(mode["truth"])))
        body.append(tag("line", x1=x, x2=x, y1=y - 9, y2=y + 9, class_="bar truth"))
        if is_finite(mode.get("model")):
            body.append(tag("circle", cx=float(plot.x(float(mode["model"]))), cy=y, r=5, class_="fill model"))
        if is_finite(mode.get("chains")):
            body.append(tag("circle", cx=float(plot.x(float(mode["chains"]))), cy=y, r=6.5, class_="ring data"))
    told = [f"{_mode_name(m, k)}: {_masses_told(m)}." for k, m in enumerate(modes, start=1)]
    label = " ".join(["Mass of each mode.", *told])
    keys = {
        "truth": Key("truth", "truth", "bar"),
        "model": Key("model", "model", "dot"),
        "chains": Key("data", "share of the chains", "ring"),
    }
    legend = tuple(key for name, key in keys.items() if any(is_finite(m.get(name)) for m in modes))
    return Figure("Mass of each mode", drawing(body, height=plot.height, label=label), legend=legend)


def _chart(
    title: str,
    result: Mapping[str, Any],
    baselines: Sequence[Mapping[str, Any]],
    view: View,
    *,
    model: str,
) -> Figure:
    room = 0.06 * (view.high - view.low) or 0.5
    unit = result.get("unit") or "nats"
    plot = _frame(
        View(view.low - room, view.high + room),
        _ROW * (1 + len(baselines)),
        f"{unit} per held-out row; further right is better",
    )
    body = _grid(plot) + _interval(plot, result, f"{model}: {interval_text(result)}")
    for k, baseline in enumerate(baselines, start=1):
        body += _baseline(plot, baseline, k * _ROW)
    kinds = f"({result.get('lower_kind')}, {result.get('upper_kind')})"
    told = [f"{plain_name(b.get('name'))}: {number(b['test_log_likelihood'])}." for b in baselines]
    label = " ".join([f"{title}. Test log-likelihood of {model}: {interval_text(result)} {kinds}.", *told])
    return Figure(title, drawing(body, height=plot.height, label=label))


def _frame(view: View, tall: float, x_label: str, *, left: float = _LEFT) -> Frame:
    bottom = _TOP + tall
    return Frame(Scale(view, left, _RIGHT), Scale(View(0.0, 1.0), bottom, _TOP), height=bottom + 40.0, x_label=x_label)


def _grid(plot: Frame) -> list[str]:
    places = [float(plot.x(value)) for value in plot.x.ticks(4)]
    lines = [tag("line", x1=x, x2=x, y1=plot.y.stop, y2=plot.y.start, class_="grid") for x in places]
    return lines + plot.axes(y_texts=False)


def _mode_name(mode: Mapping[str, Any], place: int) -> str:
    name = str(mode.get("mode", place))
    return name if len(name) <= 14 else f"{name[:13]}…"


def _masses_told(mode: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {share(mode.get(name), decimals=1)}" for name in ("truth", "model", "chains"))


def _spread(result: Mapping[str, Any]) -> float:
    stderr = result.get("stderr_test")
    return _NUM_STDERRS * float(stderr) if is_finite(stderr) else 0.0


def _interval(plot: Frame, result: Mapping[str, Any], label: str) -> list[str]:
    y, spread = _TOP + 30.0, _spread(result)
    has_lower, has_upper = is_finite(result.get("lower")), is_finite(result.get("upper"))
    left = float(plot.x(result["lower"])) if has_lower else plot.x.start
    right = float(plot.x(result["upper"])) if has_upper else plot.x.stop
    out = [text(label, _LEFT, _TOP + 14.0, class_="strong")]
    if spread:
        first = float(plot.x(float(result["lower"]) - spread)) if has_lower else left
        last = float(plot.x(float(result["upper"]) + spread)) if has_upper else right
        out.append(tag("line", x1=first, x2=last, y1=y, y2=y, class_="whisker model"))
    narrow = right - left < 14.0
    if right - left < 5.0:
        left, right = (left + right) / 2 - 2.5, (left + right) / 2 + 2.5
    out.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="bar thick model"))
    if not narrow:
        out.append(_end(left, y, str(result.get("lower_kind")) if has_lower else "none", 1.0))
        out.append(_end(right, y, str(result.get("upper_kind")) if has_upper else "none", -1.0))
    return out


def _end(x: float, y: float, kind: str, inward: float) -> str:
    """A square or round bracket, or an arrow that points outwards."""
    tip = x + 5.0 * inward
    if kind in ("exact", "certified"):
        shape = f"M{tip:.2f} {y - 10:.2f}H{x:.2f}V{y + 10:.2f}H{tip:.2f}"
    elif kind == "assumes-equilibrium":
        shape = f"M{tip:.2f} {y - 10:.2f}Q{x - 4 * inward:.2f} {y:.2f} {tip:.2f} {y + 10:.2f}"
    else:
        shape = f"M{x + 8 * inward:.2f} {y - 8:.2f}L{x:.2f} {y:.2f}L{x + 8 * inward:.2f} {y + 8:.2f}"
    return tag("path", d=shape, class_="bar model")


def _baseline(plot: Frame, baseline: Mapping[str, Any], top: float) -> list[str]:
    value, spread = float(baseline["test_log_likelihood"]), _spread(baseline)
    x, y = float(plot.x(value)), _TOP + top + 30.0
    label = f"{plain_name(baseline.get('name'))}: {ends(value, value)[0]}"
    out = [text(label, _LEFT, _TOP + top + 14.0, class_="label")]
    if spread:
        low, high = (float(v) for v in plot.x([value - spread, value + spread]))
        out.append(tag("line", x1=low, x2=high, y1=y, y2=y, class_="whisker noise"))
    return [*out, tag("circle", cx=x, cy=y, r=5, class_="fill noise")]
