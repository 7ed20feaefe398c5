"""Learning curves and what happened on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from energax.report._blocks import Block, Details, Figure, Figures, Section, Table, Text
from energax.report._summary import SummaryLike
from energax.report.figures import Mark, Series, learning_curve
from energax.report.sections._facts import objective_family
from energax.report.tables import event_rows, is_finite, number, plain_name


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
        "Likelihood of held-out rows while it trained",
        "nats, in the model's units",
        (Series("validation_log_likelihood", "held-out rows", "data"),),
        "From weighted walkers that follow the model and have no part in its training.",
    ),
    _Curve(
        "Mass in other regions than the data's",
        "share of the mass",
        (Series("mass_gap", "share", "model"),),
        "Walkers with weights know how much of the model lies where, chains do not: they may look like the data while "
        "the model has lost a mode.",
        (0.0, 1.0),
    ),
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
        "log Z while it trained",
        "nats, in the model's units",
        (Series("log_z", "log Z", "model"),),
        "From the mean weight of the walkers; its error is below.",
    ),
    _Curve(
        "Distance of the chains from the data",
        "in the units of the entries",
        (Series("chain_distance", "distance", "model"),),
        "Energy distance between rows and chains; near zero they cannot be told apart.",
    ),
    _Curve(
        "Effective number of walkers",
        "",
        (Series("walker_ess", "walkers", "truth"),),
        "What the weights leave of them.",
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
_REGIONS = ("model_mass_", "data_mass_")
_OF_WALKERS = frozenset({"log_z", "log_likelihood", "validation_log_likelihood", "mass_gap"})
_LOST = 0.5
"""Error of log Z above which nothing of the walkers is shown; it is near 1 when all descend from one start."""
_LEFT_OUT = frozenset({"step", "steps_per_second", "seconds", "time"})


def training_section(summary: SummaryLike) -> Section:
    """Curves of the known metrics, the table of events, and whatever else was logged."""
    began = [event.get("began", event.get("step")) for event in summary.events]
    marks = [Mark(place, float(step)) for place, step in enumerate(began, start=1) if is_finite(step)]
    figures = _drawn(summary, _with_loss_note(summary), marks)
    blocks: list[Block] = []
    if marks and figures:
        blocks.append(Text("The dashed vertical lines mark where the events listed below began."))
    blocks.extend(Text(text, "note") for text in (_missed_masses(summary), _lost_walkers(summary)) if text)
    blocks.append(Figures(figures) if figures else Text("No step has been logged yet, so there are no curves.", "note"))
    if summary.events:
        caption = "Events, in order"
        blocks.append(Table(caption, ("when", "what was seen", "what was done"), event_rows(summary.events)))
    others = _drawn(summary, [*_masses(summary), *_others(summary)], marks)
    if others:
        blocks.append(Details("Other metrics", [Figures(others)]))
    return Section("training", "Training", blocks)


def _drawn(summary: SummaryLike, curves: Iterable[_Curve], marks: list[Mark]) -> list[Figure]:
    history = [_believed(row) for row in summary.history]
    found = [
        learning_curve(c.title, history, c.series, unit=c.unit, note=c.note, marks=marks, limits=c.limits)
        for c in curves
    ]
    return [figure for figure in found if figure is not None]


def _with_loss_note(summary: SummaryLike) -> list[_Curve]:
    note = _LOSSES[objective_family(summary)]
    return [curve._replace(note=note) if curve.title == "Loss" else curve for curve in _CURVES]


def _believed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A line without what the walkers say when their families have died out and they know nothing any more."""
    if not row.get("log_z_stderr", 0.0) > _LOST:
        return row
    return {k: v for k, v in row.items() if k not in _OF_WALKERS and not k.startswith(_REGIONS)}


def _lost_walkers(summary: SummaryLike) -> str:
    """Since when the walkers have lost the model, if they have."""
    lost = [row["step"] for row in summary.history if row.get("log_z_stderr", 0.0) > _LOST]
    if not lost:
        return ""
    return (
        f"From step {number(lost[0])} on the weighted walkers could not follow the model, which changes faster than "
        "they mix: they are left out there. More walkers, or a smaller learning rate, would hold longer."
    )


def _masses(summary: SummaryLike) -> list[_Curve]:
    """The region whose mass is furthest from that of the data at the end."""
    last = _believed(summary.history[-1]) if summary.history else {}
    regions = [name.removeprefix("data_mass_") for name in last if name.startswith("data_mass_")]
    if not regions:
        return []
    worst = max(regions, key=lambda k: abs(last[f"model_mass_{k}"] - last[f"data_mass_{k}"]))
    series = (Series(f"data_mass_{worst}", "data", "data"), Series(f"model_mass_{worst}", "model", "model"))
    return [_Curve(f"Mass of region {worst}, the worst at the end", "share of the mass", series)]


def _missed_masses(summary: SummaryLike) -> str:
    """A warning if the walkers' masses are not those of the data, beyond what their number explains."""
    last = _believed(summary.history[-1]) if summary.history else {}
    gap, walkers = last.get("mass_gap"), last.get("walker_ess")
    if not (is_finite(gap) and is_finite(walkers)) or gap < 0.1 + 2 / max(walkers, 1.0) ** 0.5:
        return ""
    return (
        f"At the end {gap:.0%} of the model's mass lay in other regions than the data's, as the walkers tell that "
        "follow the model with weights. Chains that do not travel between regions leave their masses wrong: try more "
        "transitions an update, or the objective jarzynski."
    )


def _others(summary: SummaryLike) -> list[_Curve]:
    """The further metrics that changed during training, known by name or not."""
    shown = {s.metric for curve in _CURVES for s in curve.series} | _LEFT_OUT
    known = {curve.series[0].metric: curve for curve in _FURTHER}
    names = (name for row in summary.history for name in row)
    metrics = dict.fromkeys(n for n in names if n not in shown and not n.startswith(_REGIONS))
    plain = {n: _Curve(plain_name(n).capitalize(), "", (Series(n, plain_name(n), "truth"),)) for n in metrics}
    return [known.get(name, plain[name]) for name in metrics if _varies(summary, name)]


def _varies(summary: SummaryLike, name: str) -> bool:
    return len({row.get(name) for row in summary.history if is_finite(row.get(name))}) > 1
