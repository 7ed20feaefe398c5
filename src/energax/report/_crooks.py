"""The page of a driven process and its mirror image: Crooks' theorem, the second law, dissipated work."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import Unreliable
from energax.estimators import Estimate, bar, crooks, crooks_ratio, dissipated_work, jarzynski
from energax.report._blocks import Block, Card, Code, Figure, Figures, Section, Table, Text
from energax.report._page import render_page, save_page
from energax.report._summary import Floats
from energax.report.figures import WorkCurve, crooks_line, work_along, work_histograms
from energax.report.tables import Row, measured, number


@runtime_checkable
class DrivenLike(Protocol):
    """What the page reads of a driven process; `energax.sampling.Driven` says what each field is."""

    @property
    def work(self) -> np.ndarray: ...
    @property
    def mean_work(self) -> np.ndarray: ...
    @property
    def spread(self) -> np.ndarray: ...


def write_crooks(
    forward: ArrayLike | DrivenLike,
    reverse: ArrayLike | DrivenLike,
    path: str | os.PathLike[str],
    *,
    title: str = "Work in both directions",
    command: str = "",
) -> Path:
    """Write a page about the work of a process and of its mirror image, as one self-contained HTML file.

    It shows P_F(W) and P_R(−W), their log ratio against the line of slope 1 that crosses zero at ΔF, the free-energy
    difference by each estimator, the second law and the dissipated work with error bars, and for `sampling.Driven`
    the work along the way.

    Args:
        forward: Works of the forward process, nats, (n,), independent; or what `sampling.drive` returned.
        reverse: The same of the reverse process.
        path: File to write; its folder must exist.
        title: What was driven.
        command: What repeats it: a command or lines of Python.

    Returns:
        The path that was written.

    Raises:
        MissingExtra: Jinja2 is not installed.
        RunError: The file cannot be written.
        ArgumentError: Works that are not finite.

    References: [crooks1999], [jarzynski1997].
    """
    works = tuple(np.asarray(d.work if isinstance(d, DrivenLike) else d, np.float64) for d in (forward, reverse))
    blocks, rows, warnings = crooks_blocks(works[0], works[1])
    curves = [
        WorkCurve(name, role, d.mean_work, d.spread)
        for name, role, d in (("forward", "model", forward), ("reverse", "data", reverse))
        if isinstance(d, DrivenLike)
    ]
    sections = [Section("work", "Work", blocks)]
    if curves:
        sections.append(Section("way", "Along the way", [Figures([work_along(curves)], span="medium")]))
    if command:
        sections.append(Section("reproduce", "Make this again", [Code(command, "Command", is_shell=True)]))
    page = render_page(
        title=title,
        kicker="Report of energax about a driven process",
        verdict=_verdict(rows),
        fitted=f"{number(works[0].size)} forward and {number(works[1].size)} reverse works.",
        trained="Error bars are one standard error.",
        warnings=warnings,
        cards=[Card(row.label.strip(), row.value) for row in rows[:3]],
        sections=sections,
    )
    return save_page(page, path)


def crooks_blocks(
    forward: Floats, reverse: Floats, *, tau_reverse: float = 1.0
) -> tuple[list[Block], list[Row], list[str]]:
    """Figures and a table about works of both directions; the rows of the table, and what is wrong.

    Args:
        forward: Works, (n,).
        reverse: Works of the mirror image, (m,).
        tau_reverse: Integrated autocorrelation time of the reverse draws.
    """
    try:
        fitted = crooks(forward, reverse, tau_reverse=tau_reverse)
        both = bar(forward, reverse, tau_reverse=tau_reverse)
    except Unreliable as error:
        told = Text(f"No free energy can be given: {error}")
        return [Figures([work_histograms(forward, reverse, None)]), told], [], [str(error)]
    slope = Estimate(
        fitted.diagnostics["slope"], fitted.diagnostics["slope_stderr"], fitted.num_effective, "slope", {}, ("",)
    )
    figures: list[Figure] = [work_histograms(forward, reverse, both.value)]
    with contextlib.suppress(Unreliable):
        figures.append(
            crooks_line(crooks_ratio(forward, reverse, num_bins=_num_bins(forward, reverse)), both.value, slope)
        )
    there, back = dissipated_work(forward, reverse, tau_reverse=tau_reverse)
    rows = [
        _row("ΔF", both, "nats, from both directions (BAR)"),
        _row("dissipated work", there, "forward, mean W − ΔF; not negative by the second law"),
        _row("slope", slope, "of the log ratio; 1 by Crooks' theorem"),
        _row("dissipated work, reverse", back, "mean W + ΔF"),
        Row("mean work", number(there.diagnostics["mean_work"]), "forward"),
        Row("mean work, reverse", number(back.diagnostics["mean_work"]), ""),
        _row("ΔF where the laws cross", fitted, "with the slope free"),
        *_one_sided("ΔF from forward works", forward, 1.0),
        *_one_sided("ΔF from reverse works", reverse, -1.0),
        Row("overlap", number(both.diagnostics["overlap"]), "between 0 and 1"),
    ]
    warnings = dict.fromkeys([*fitted.warnings, *there.warnings, *back.warnings])
    return [Figures(figures), Table("In numbers", ("", "value", ""), rows)], rows, list(warnings)


def _num_bins(forward: Floats, reverse: Floats) -> int:
    return int(np.clip(0.5 * min(forward.size, reverse.size) ** 0.5, 6, 20))


def _row(label: str, estimate: Estimate, note: str) -> Row:
    return Row(label, measured(estimate.value, estimate.stderr), note)


def _one_sided(label: str, work: Floats, sign: float) -> list[Row]:
    """Jarzynski's estimate from one direction, unless one walker carries it."""
    try:
        found = jarzynski(work)
    except Unreliable:
        return [Row(label, "unknown", "one walker carries all the weight")]
    return [Row(label, measured(sign * found.value, found.stderr), "by Jarzynski's equality alone")]


def _verdict(rows: list[Row]) -> str:
    if not rows:
        return "The two laws of work do not overlap, so that ΔF is not known."
    delta_f, dissipated, slope = (row.value for row in rows[:3])
    return (
        f"ΔF = {delta_f} nats; {dissipated} nats are dissipated on the way there; the log ratio has the slope {slope}."
    )
