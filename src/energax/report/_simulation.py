"""The page of a simulation: curves over temperature, pictures, and how well the chains mixed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.stats import rankdata

from energax.report._blocks import Block, Card, Code, Figure, Figures, Key, Section, Table, Text
from energax.report._page import render_page, save_page
from energax.report.figures import energy_trace, image_grid
from energax.report.figures._svg import View, dots, drawing, frame, line, tag
from energax.report.tables import Row, measured, number

_EXTRA = ("temperature", "beta", "accept_prob", "r_hat")
_BINS = 10


class SimulationLike(Protocol):
    """What the page reads of a simulation; `energax.runs.Simulation` says what each field is."""

    @property
    def model(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def points(self) -> list[dict[str, Any]]: ...
    @property
    def exact(self) -> list[dict[str, float]]: ...
    @property
    def curve(self) -> dict[str, list[float]]: ...
    @property
    def pictures(self) -> list[np.ndarray] | None: ...
    @property
    def values(self) -> tuple[float, float] | None: ...
    @property
    def chain_energy(self) -> list[np.ndarray]: ...
    @property
    def warnings(self) -> list[str]: ...
    @property
    def result(self) -> str: ...


def write_simulation(simulation: SimulationLike, path: str | os.PathLike[str], *, command: str) -> Path:
    """Write the page of a simulation as one self-contained HTML file.

    Args:
        simulation: What `energax.runs.simulate` returns.
        path: File to write; its folder must exist.
        command: The command that repeats it.

    Returns:
        The path that was written.

    Raises:
        MissingExtra: Jinja2 or Pillow is not installed.
        RunError: The file cannot be written.
    """
    settings, points = simulation.settings, simulation.points
    temperatures = [point["temperature"] for point in points]
    span = (
        number(temperatures[0]) if len(points) == 1 else f"{number(min(temperatures))} to {number(max(temperatures))}"
    )
    fact = f"{settings['num_chains']} chains of {settings['num_sweeps']} steps of {settings['kernel']}"
    ended = "" if simulation.result == "successful" else " It was interrupted; what was done is shown."
    return save_page(
        render_page(
            title=f"{simulation.model}, T = {span}",
            kicker="Report of one energax simulation",
            verdict=_verdict(simulation),
            fitted=f"{fact} at each of {len(points)} temperatures, after {settings['num_warmup']} of warm-up.{ended}",
            trained="The energies are those at T = 1, and error bars are one standard error, autocorrelation counted.",
            warnings=simulation.warnings,
            cards=[Card(*card) for card in _cards(simulation)],
            sections=[s for s in (_curves(simulation), _pictures(simulation), _mixing(simulation)) if s is not None]
            + [Section("reproduce", "Make this run again", [Code(command, "Command", is_shell=True)])],
        ),
        path,
    )


def point_rows(point: Mapping[str, Any]) -> list[Row]:
    """The numbers of one temperature as rows of a table."""
    rows = [Row(f"T = {point['temperature']:g}", "", "")]
    for name in observables([point]):
        values = point[name]
        rows.append(Row(f"  {_words(name)}", measured(values["value"], values["stderr"]), _worth(values)))
    return rows


def _worth(values: Mapping[str, float | None]) -> str:
    """How much the draws behind a number are worth."""
    if values["ess"] is None:
        return "all draws are equal: no error bar"
    time = "unknown" if values["tau"] is None else number(values["tau"], significant=2)
    return f"tau {time}, {number(values['ess'], significant=3)} effective draws"


def observables(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of what was measured."""
    return [name for name in points[0] if name not in _EXTRA]


def _words(name: str) -> str:
    return {"magnetization_abs": "mean |magnetization|"}.get(name, name.replace("_", " "))


def _verdict(simulation: SimulationLike) -> str:
    misses = _misses(simulation)
    mixed = f"{len(simulation.points) - len(simulation.warnings)} of {len(simulation.points)} temperatures mixed well"
    if not misses:
        return f"{mixed[0].upper()}{mixed[1:]}; no exact values are known to compare with."
    return f"{mixed[0].upper()}{mixed[1:]}; the largest distance from an exact value is {max(misses):.1f} error bars."


def _misses(simulation: SimulationLike) -> list[float]:
    """Distances from the exact values in error bars."""
    return [
        abs(point[name]["value"] - value) / point[name]["stderr"]
        for point, exact in zip(simulation.points, simulation.exact, strict=True)
        for name, value in exact.items()
        if point[name]["stderr"]
    ]


def _cards(simulation: SimulationLike) -> list[tuple[str, str]]:
    cards = [("temperatures", number(len(simulation.points)))]
    sizes = [p[n]["ess"] for p in simulation.points for n in observables(simulation.points) if p[n]["ess"] is not None]
    if sizes:
        cards.append(("fewest effective draws", number(min(sizes), significant=3)))
    cards.append(("largest R-hat", number(max(point["r_hat"] for point in simulation.points))))
    return cards


def _curves(simulation: SimulationLike) -> Section:
    names, blocks = observables(simulation.points), []
    if len(simulation.points) > 1:
        figures = [_curve(name, simulation) for name in names]
        blocks.append(Figures([figure for figure in figures if figure is not None]))
    rows = [row for point in simulation.points for row in point_rows(point)]
    blocks.append(Table("Observables with one standard error", ("", "value", "chain"), rows))
    return Section("observables", "Observables", blocks)


def _curve(name: str, simulation: SimulationLike) -> Figure | None:
    cells = [point[name] for point in simulation.points]
    t = np.asarray([point["temperature"] for point in simulation.points])
    y = np.asarray([np.nan if c["value"] is None else c["value"] for c in cells])
    bar = np.asarray([0.0 if c["stderr"] is None else c["stderr"] for c in cells])
    fine, exact = (np.asarray(simulation.curve.get(key, []), float) for key in ("temperature", name))
    every = np.concatenate([y - bar, y + bar, exact])
    every = every[np.isfinite(every)]
    if not every.size:
        return None
    room = 0.05 * float(np.ptp(every)) or 0.5
    plot = frame(
        View(float(t.min()), float(t.max())),
        View(float(every.min()) - room, float(every.max()) + room),
        x_label="temperature",
    )
    body, legend = plot.axes(), [Key("model", "simulated", "dot")]
    if exact.size:
        body.append(line(plot.x(fine), plot.y(exact), "line truth"))
        legend.append(Key("truth", "exact"))
    for place, low, high in zip(plot.x(t), plot.y(y - bar), plot.y(y + bar), strict=True):
        body.append(tag("line", x1=place, x2=place, y1=low, y2=high, class_="whisker model"))
    body.append(dots(plot.x(t), plot.y(y), "dots model large"))
    label = f"{_words(name)} over temperature, from {number(float(np.nanmin(y)))} to {number(float(np.nanmax(y)))}."
    return Figure(_words(name), drawing(body, height=plot.height, label=label), legend=tuple(legend))


def _pictures(simulation: SimulationLike) -> Section | None:
    if simulation.pictures is None or simulation.values is None or simulation.pictures[0].ndim != 2:
        return None
    low, high = simulation.values
    grid = image_grid(
        "Last configurations", np.stack(simulation.pictures), simulation.pictures[0].shape, low=low, high=high
    )
    listed = ", ".join(f"{point['temperature']:g}" for point in simulation.points)
    return Section("configurations", "Configurations", [Text(f"One chain at T = {listed}."), Figures([grid])])


def _mixing(simulation: SimulationLike) -> Section:
    worst = int(np.argmax([point["r_hat"] for point in simulation.points]))
    where = f"{simulation.points[worst]['temperature']:g}"
    energies = simulation.chain_energy[worst]
    blocks: list[Block] = [
        Text(f"At T = {where}, where the chains agree least (R-hat {number(simulation.points[worst]['r_hat'])})."),
        Figures([energy_trace(energies), _ranks(energies)]),
    ]
    return Section("mixing", "How well the chains mixed", blocks)


def _ranks(chain_energy: np.ndarray) -> Figure:
    """Histograms of the ranks of each chain's energies among those of all chains: flat where the chains agree."""
    ranks = rankdata(chain_energy, method="average").reshape(chain_energy.shape) / chain_energy.size
    shown = ranks[:4]
    counts = np.stack([np.histogram(r, _BINS, (0.0, 1.0))[0] for r in shown]) * _BINS / ranks.shape[1]
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    plot = frame(View(0.0, 1.0), View(0.0, max(2.0, float(counts.max()))), x_label="rank among all draws", height=210.0)
    body = plot.axes()
    body.append(line(plot.x([0.0, 1.0]), plot.y([1.0, 1.0]), "line truth dashed"))
    for k, heights in enumerate(counts):
        body.append(line(plot.x(np.repeat(edges, 2)[1:-1]), plot.y(np.repeat(heights, 2)), f"line thin chain-{k}"))
    note = "Flat lines near one: no chain prefers low or high energies."
    label = (
        f"Rank histograms of {len(shown)} chains, from {number(counts.min())} to {number(counts.max())}; one is even."
    )
    return Figure("Ranks of the energies", drawing(body, height=plot.height, label=label), "relative to even", note)
