"""Learning curves and what happened on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from energax.report._blocks import Block, Details, Figure, Figures, Section, Table, Text
from energax.report._summary import SummaryLike
from energax.report.figures import Mark, Series, learning_curve
from energax.report.sections._facts import objective_family
from energax.report.tables import event_rows, is_finite, plain_name


class _Curve(NamedTuple):
    title: str
    unit: str
    series: tuple[Series, ...]
    note: str = ""
    limits: tuple[float, float] | None = None


_CURVES = (
    _Curve(
        "Energy gap",
        "nats, model minus data",
        (Series("energy_gap", "gap", "model"),),
        "Near zero the model's own draws cannot be told from data by their energy. A gap that runs away means trouble.",
    ),
    _Curve(
        "Energy of data and of the model's draws",
        "nats",
        (Series("energy_data", "data", "data"), Series("energy_model", "model", "model")),
        "Only the difference matters: an energy is known up to a constant.",
    ),
    _Curve("Loss", "", (Series("loss", "loss", "truth"),)),
    _Curve(
        "Acceptance",
        "share of moves",
        (Series("accept_prob", "acceptance", "truth"),),
        "Near zero the chains stand still. Gibbs kernels accept every move by construction.",
        (0.0, 1.0),
    ),
    _Curve(
        "Gradient norm",
        "",
        (Series("gradient_norm", "gradient norm", "truth"),),
        "Should settle; a steady climb announces divergence.",
    ),
    _Curve(
        "Effective sample size of the chains",
        "",
        (Series("ess", "ESS", "truth"),),
        "How many independent draws the chains are worth at that step.",
    ),
)
_FURTHER = (
    _Curve(
        "Saturation",
        "share of the coordinates",
        (Series("saturation", "saturation", "truth"),),
        "Coordinates that vary in the data but are stuck in the model's draws.",
    ),
    _Curve(
        "Learning rate",
        "relative to the plan",
        (Series("learning_rate_scale", "scale", "truth"),),
        "Cut by recoveries.",
    ),
)
_LOSSES = {
    "contrast": "Its gradient trains the model. It is a difference of energies, not a likelihood, and need not fall.",
    "score": "The mismatch of slopes up to a number that does not depend on the model; it can be negative.",
    "denoising": "The error of undoing the noise. It cannot reach zero, because noise cannot be undone exactly.",
}
# Shown under another name, or a matter of the machine and not of the model.
_LEFT_OUT = frozenset({"step", "steps_per_second", "seconds", "time"})


def training_section(summary: SummaryLike) -> Section:
    """Curves of the known metrics, the table of events, and whatever else was logged."""
    began = [event.get("began", event.get("step")) for event in summary.events]
    marks = [Mark(place, float(step)) for place, step in enumerate(began, start=1) if is_finite(step)]
    figures = _drawn(summary, _with_loss_note(summary), marks)
    blocks: list[Block] = []
    if marks and figures:
        blocks.append(Text("The dashed vertical lines mark where the events listed below began."))
    blocks.append(Figures(figures) if figures else Text("No step has been logged yet, so there are no curves.", "note"))
    if summary.events:
        caption = "Events, in order"
        blocks.append(Table(caption, ("when", "what was seen", "what was done"), event_rows(summary.events)))
    others = _drawn(summary, _others(summary), marks)
    if others:
        blocks.append(Details("Other metrics", [Figures(others)]))
    return Section("training", "Training", blocks)


def _drawn(summary: SummaryLike, curves: Iterable[_Curve], marks: list[Mark]) -> list[Figure]:
    found = [
        learning_curve(c.title, summary.history, c.series, unit=c.unit, note=c.note, marks=marks, limits=c.limits)
        for c in curves
    ]
    return [figure for figure in found if figure is not None]


def _with_loss_note(summary: SummaryLike) -> list[_Curve]:
    note = _LOSSES[objective_family(summary)]
    return [curve._replace(note=note) if curve.title == "Loss" else curve for curve in _CURVES]


def _others(summary: SummaryLike) -> list[_Curve]:
    """The further metrics that changed during training, known by name or not."""
    shown = {s.metric for curve in _CURVES for s in curve.series} | _LEFT_OUT
    known = {curve.series[0].metric: curve for curve in _FURTHER}
    metrics = dict.fromkeys(name for row in summary.history for name in row if name not in shown)
    plain = {n: _Curve(plain_name(n).capitalize(), "", (Series(n, plain_name(n), "truth"),)) for n in metrics}
    return [known.get(name, plain[name]) for name in metrics if _varies(summary, name)]


def _varies(summary: SummaryLike, name: str) -> bool:
    return len({row.get(name) for row in summary.history if is_finite(row.get(name))}) > 1
