"""The page of a free energy: log Z with its interval, and the curves on the way there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from energax.report._blocks import Card, Code, Figure, Figures, Key, Section, Table, Text
from energax.report._crooks import crooks_blocks
from energax.report._page import render_page, save_page
from energax.report.figures import log_z_curve
from energax.report.figures._svg import View, drawing, frame, line, tag
from energax.report.tables import Row, measured, number

_MOST_SITES = 64
_NAMES = {
    "log_z": ("log Z", "nats"),
    "energy": ("mean energy", "the unit of the energy"),
    "heat_capacity": ("heat capacity", "β² Var E"),
    "entropy": ("entropy", "log Z + β ⟨E⟩, nats"),
}


_ABOUT_WORK = (
    "Forward is annealing from the base to the model, reverse the way back; ΔF = −log Z. Kernels that visit sites in a "
    "fixed order are not reversible, and obey Crooks' theorem only nearly."
)


class FreeEnergyLike(Protocol):
    """What the page reads; `energax.runs.FreeEnergy` says what each field is."""

    @property
    def system(self) -> str: ...
    @property
    def beta(self) -> float: ...
    @property
    def log_z(self) -> Any: ...
    @property
    def sites(self) -> Any: ...
    @property
    def hidden_sites(self) -> Any: ...
    @property
    def num_sites(self) -> int: ...
    @property
    def curves(self) -> dict[str, Any] | None: ...
    @property
    def free_energy(self) -> tuple[float, float]: ...


def free_energy_rows(found: FreeEnergyLike) -> list[Row]:
    """The numbers as rows of a table."""
    z = found.log_z
    rows = [
        Row("log Z", measured(z.value, z.stderr), f"nats, by {z.method}; {z.measure} measure"),
        Row("  lower end", _end(z.interval.lower), z.interval.lower_kind),
        Row("  upper end", _end(z.interval.upper), z.interval.upper_kind),
    ]
    if z.exact is not None:
        rows.append(Row("  exact", number(z.exact, significant=9), _distance(found)))
    rows.append(Row("free energy", measured(*found.free_energy), f"−log Z / β at β = {found.beta:g}"))
    per_site = tuple(part / found.num_sites for part in found.free_energy)
    rows.append(Row("  for each site", measured(*per_site), f"{found.num_sites} sites or coordinates"))
    if found.curves is not None:
        rows += [
            Row(_NAMES[name][0], measured(float(curve["value"][-1]), float(curve["stderr"][-1])), _NAMES[name][1])
            for name, curve in found.curves["functions"].items()
            if name != "log_z"
        ]
    return rows


def write_free_energy(found: FreeEnergyLike, path: str | os.PathLike[str], *, command: str) -> Path:
    """Write the page as one self-contained HTML file.

    Args:
        found: What `energax.runs.free_energy` returns.
        path: File to write; its folder must exist.
        command: The command that repeats it.

    Raises:
        MissingExtra: Jinja2 is not installed.
        RunError: The file cannot be written.
    """
    z = found.log_z
    cards = [Card("log Z", measured(z.value, z.stderr)), Card("free energy", measured(*found.free_energy))]
    if z.exact is not None:
        cards.append(Card("exact log Z", number(z.exact, significant=8)))
    sections = [
        Section("numbers", "Numbers", [Table("At this temperature", ("", "value", ""), free_energy_rows(found))])
    ]
    if found.curves is not None:
        figures = [_curve(name, found.curves) for name in found.curves["functions"]]
        sections.insert(0, Section("curves", "On the way from β = 0", [Figures(figures)]))
    elif (way := log_z_curve({"curve": z.curve()})) is not None:
        sections.insert(0, Section("curves", "On the way to the model", [Figures([way], "medium")]))
    if z.works is not None:
        blocks, _, _ = crooks_blocks(z.works.forward, z.works.reverse, tau_reverse=z.works.tau_reverse)
        sections.append(Section("work", "Work of annealing in both directions", [Text(_ABOUT_WORK, "note"), *blocks]))
    if found.sites is not None:
        tables = [Table(*_site_rows("Sites", found.sites.to_json()))]
        if found.hidden_sites is not None:
            tables.append(Table(*_site_rows("Hidden units", found.hidden_sites.to_json())))
        sections.append(Section("sites", "Marginals", tables))
    told = [Row(name.replace("_", " "), str(_shown(value)), "") for name, value in z.diagnostics.items()]
    sections.append(Section("run", "How it was found", [Table("Diagnostics", ("", "value", ""), told)]))
    sections.append(Section("reproduce", "Make this run again", [Code(command, "Command", is_shell=True)]))
    return save_page(
        render_page(
            title=f"{found.system}, β = {found.beta:g}",
            kicker="Report of one energax free energy",
            verdict=f"log Z lies in {z.interval}. {_distance(found).capitalize()}".strip(),
            fitted=f"Method: {z.method}. log Z refers to the {z.measure} measure of the space.",
            trained="Error bars are one standard error; the kinds of the ends say what they rest on.",
            warnings=list(z.warnings),
            cards=cards,
            sections=sections,
        ),
        path,
    )


def _site_rows(title: str, told: dict[str, Any]) -> tuple[str, tuple[str, str, str], list[Row]]:
    """Title, columns and rows of the probabilities of the values of the first sites."""
    rows = [
        Row(str(site), "; ".join(measured(value, _nan(error)) for value, error in zip(p, bars, strict=True)), "")
        for site, (p, bars) in enumerate(zip(told["probability"], told["stderr"], strict=True))
    ]
    left = "" if len(rows) <= _MOST_SITES else f"; all {len(rows)} in free_energy.json"
    values = ", ".join(str(value) for value in told["values"])
    return (
        f"{title}, from {told['num_draws']} draws{left}",
        ("site", f"probability of {values}", ""),
        rows[:_MOST_SITES],
    )


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _distance(found: FreeEnergyLike) -> str:
    z = found.log_z
    if z.exact is None:
        return ""
    gap = f"the value is {abs(z.value - z.exact):.2g} nats from the exact one"
    return f"{gap}, {abs(z.value - z.exact) / z.stderr:.1f} error bars." if z.stderr > 0 else f"{gap}."


def _end(value: float) -> str:
    return number(value, significant=8) if np.isfinite(value) else "none"


def _shown(value: Any) -> Any:
    return number(value) if isinstance(value, float) else value


def _curve(name: str, curves: dict[str, Any]) -> Figure:
    """A function of β with its error bars, and the exact curve where it is known."""
    values = curves["functions"][name]
    beta, y, bar = (np.asarray(a, np.float64) for a in (curves["beta"], values["value"], values["stderr"]))
    seen = np.isfinite(y)
    beta, y, bar = beta[seen], y[seen], np.nan_to_num(bar[seen])
    every = np.concatenate([y - bar, y + bar, *([values["exact"]] if "exact" in values else [])])
    room = 0.05 * float(np.ptp(every)) or 0.5
    plot = frame(
        View(float(beta.min()), float(beta.max())), View(float(every.min()) - room, float(every.max()) + room),
        x_label="β",
    )  # fmt: skip
    body, legend = plot.axes(), [Key("model", "estimated", "line")]
    for place, low, high in zip(plot.x(beta), plot.y(y - bar), plot.y(y + bar), strict=True):
        body.append(tag("line", x1=place, x2=place, y1=low, y2=high, class_="whisker model"))
    body.append(line(plot.x(beta), plot.y(y), "line model"))
    if "exact" in values:
        # On top, dashed: where the two agree, both are seen.
        body.append(line(plot.x(curves["beta"]), plot.y(values["exact"]), "line truth dashed"))
        legend.append(Key("truth", "exact (dashed)", "line"))
    title, unit = _NAMES[name]
    label = f"{title} over β, from {number(float(y.min()))} to {number(float(y.max()))}."
    return Figure(title, drawing(body, height=plot.height, label=label), unit, "", tuple(legend))
