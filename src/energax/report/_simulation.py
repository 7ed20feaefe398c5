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
from energax.report._simulated_log_z import log_z_section
from energax.report.figures import energy_trace, image_grid
from energax.report.figures._svg import View, dots, drawing, frame, line, tag
from energax.report.tables import Row, measured, number

_EXTRA = ("size", "temperature", "beta", "accept_prob", "r_hat")
_BINS = 10
_COLOURS = 4


class SimulationLike(Protocol):
    """What the page reads of a simulation; `energax.runs.Simulation` says what each field is."""

    @property
    def model(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def points(self) -> list[dict[str, Any]]: ...
    @property
    def num_mixed(self) -> int: ...
    @property
    def exact(self) -> list[dict[str, float]]: ...
    @property
    def curves(self) -> list[dict[str, Any]]: ...
    @property
    def ladders(self) -> list[dict[str, Any]]: ...
    @property
    def critical(self) -> dict[str, Any]: ...
    @property
    def log_z(self) -> Sequence[Any]: ...
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
    temperatures = sorted({point["temperature"] for point in points})
    span = f"{temperatures[0]:g}" + (f" to {temperatures[-1]:g}" if len(temperatures) > 1 else "")
    what = "ladders of chains that swap temperatures" if settings["exchange"] else "chains"
    where = "1 temperature" if len(temperatures) == 1 else f"{len(temperatures)} temperatures"
    fact = f"{settings['num_chains']} {what}, {settings['num_sweeps']} steps of {settings['kernel']} at each of {where}"
    ended = "" if simulation.result == "successful" else " It was interrupted; what was done is shown."
    return save_page(
        render_page(
            title=f"{simulation.model}, T = {span}",
            kicker="Report of one energax simulation",
            verdict=_verdict(simulation),
            fitted=f"{fact}, after {settings['num_warmup']} of warm-up.{ended}",
            trained="The energies are those at T = 1, and error bars are one standard error, autocorrelation counted.",
            warnings=simulation.warnings,
            cards=[Card(*card) for card in _cards(simulation)],
            sections=[s for s in (make(simulation) for make in _SECTIONS) if s is not None]
            + [Section("reproduce", "Make this run again", [Code(command, "Command", is_shell=True)])],
        ),
        path,
    )


def point_rows(point: Mapping[str, Any], *, several: bool = False) -> list[Row]:
    """The numbers of one temperature as rows of a table, headed by the size too where there are several."""
    size = f"L = {point['size']}, " if several else ""
    rows = [Row(f"{size}T = {point['temperature']:g}", "", "")]
    for name in observables([point]):
        values = point[name]
        rows.append(Row(f"  {_words(name)}", measured(values["value"], values["stderr"]), _worth(values)))
    return rows


def ladder_rows(ladder: Mapping[str, Any]) -> list[Row]:
    """What the swaps of temperatures did, as rows of a table."""
    rates = ladder["swap_rate"]
    share = f"{ladder['round_trip_efficiency']:.0%} of what is possible at a barrier of {ladder['barrier']:.2g}"
    return [
        Row("Exchange" if ladder["size"] is None else f"Exchange, L = {ladder['size']}", "", ""),
        Row("  acceptance of swaps", f"{min(rates):.2f} to {max(rates):.2f}", "between neighbouring temperatures"),
        Row("  round trips", f"{ladder['num_round_trips']}", share),
    ]


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
    what = "points" if _has_sizes(simulation) else "temperatures"
    mixed = f"{simulation.num_mixed} of {len(simulation.points)} {what} mixed well"
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
    cards = [("temperatures", number(len({point["temperature"] for point in simulation.points})))]
    if _has_sizes(simulation):
        cards.append(("sizes", ", ".join(map(str, _sizes(simulation)))))
    sizes = [p[n]["ess"] for p in simulation.points for n in observables(simulation.points) if p[n]["ess"] is not None]
    if sizes:
        cards.append(("fewest effective draws", number(min(sizes), significant=3)))
    cards.append(("largest R-hat", number(max(point["r_hat"] for point in simulation.points))))
    return cards


def _sizes(simulation: SimulationLike) -> list[int | None]:
    return list(dict.fromkeys(point["size"] for point in simulation.points))


def _has_sizes(simulation: SimulationLike) -> bool:
    """Whether points have to say of which size they are."""
    return len(_sizes(simulation)) > 1


def _curves(simulation: SimulationLike) -> Section:
    names, blocks = observables(simulation.points), []
    if len({point["temperature"] for point in simulation.points}) > 1:
        figures = [_curve(name, simulation) for name in names]
        blocks.append(Figures([figure for figure in figures if figure is not None]))
    several = _has_sizes(simulation)
    rows = [row for point in simulation.points for row in point_rows(point, several=several)]
    blocks.append(Table("Observables with one standard error", ("", "value", "chain"), rows))
    return Section("observables", "Observables", blocks)


def _curve(name: str, simulation: SimulationLike) -> Figure | None:
    """An observable over temperature: a colour for each size, and the exact curves where they are known."""
    cells = [point[name] for point in simulation.points]
    t = np.asarray([point["temperature"] for point in simulation.points])
    y = np.asarray([np.nan if c["value"] is None else c["value"] for c in cells])
    bar = np.asarray([0.0 if c["stderr"] is None else c["stderr"] for c in cells])
    size = np.asarray([point["size"] for point in simulation.points], object)
    exact = [(curve["temperature"], curve[name]) for curve in simulation.curves if name in curve]
    every = np.concatenate([y - bar, y + bar, *(values for _, values in exact)])
    every = every[np.isfinite(every)]
    if not every.size:
        return None
    room = 0.05 * float(np.ptp(every)) or 0.5
    plot = frame(
        View(float(t.min()), float(t.max())),
        View(float(every.min()) - room, float(every.max()) + room),
        x_label="temperature",
    )
    body, legend, sizes = plot.axes(), [], _sizes(simulation)
    critical, note = simulation.critical["exact"], ""
    if critical is not None and t.min() < critical < t.max():
        note = "Dashed: the critical temperature."
        body.append(line(plot.x([critical] * 2), plot.y([every.min() - room, every.max() + room]), "line truth dashed"))
    for fine, values in exact:
        body.append(line(plot.x(fine), plot.y(values), "line truth"))
    for k, one in enumerate(sizes):
        role = "model" if len(sizes) == 1 else f"chain-{k % _COLOURS}"
        mine = size == one
        places, lows, highs = plot.x(t[mine]), plot.y((y - bar)[mine]), plot.y((y + bar)[mine])
        for place, low, high in zip(places, lows, highs, strict=True):
            body.append(tag("line", x1=place, x2=place, y1=low, y2=high, class_=f"whisker {role}"))
        body.append(dots(places, plot.y(y[mine]), f"dots {role} large"))
        legend.append(Key(role, "simulated" if len(sizes) == 1 else f"L = {one}", "dot"))
    if exact:
        legend.append(Key("truth", "exact"))
    label = f"{_words(name)} over temperature, from {number(float(np.nanmin(y)))} to {number(float(np.nanmax(y)))}."
    return Figure(_words(name), drawing(body, height=plot.height, label=label), "", note, tuple(legend))


def _critical(simulation: SimulationLike) -> Section | None:
    """The crossings of Binder cumulants, and what they say about the infinite system."""
    found = simulation.critical
    if not found["crossings"]:
        return None
    rows = []
    for crossing in found["crossings"]:
        small, large = crossing["sizes"]
        cell = crossing["temperature"]
        shared = f"where both cumulants are {number(crossing['binder_cumulant'], significant=3)}"
        rows.append(Row(f"crossing of L = {small} and {large}", measured(cell["value"], cell["stderr"]), shared))
    limit, exact = found["extrapolated"], found["exact"]
    if limit is not None:
        how = f"crossings approach it as L to the power −{found['exponent']:g}"
        rows.append(Row("infinite lattice", measured(limit["value"], limit["stderr"]), how))
    if exact is not None:
        nearest = limit or found["crossings"][-1]["temperature"]
        gap = f"{abs(nearest['value'] / exact - 1.0):.2%} from the line above"
        rows.append(Row("exact", number(exact, significant=7), gap))
    return Section("critical", "The critical temperature", [Table("Binder crossings", ("", "temperature", ""), rows)])


def _ladders(simulation: SimulationLike) -> Section | None:
    """Where swaps of temperatures are rare, and how many replicas made the whole way."""
    if not simulation.ladders:
        return None
    several = len(simulation.ladders) > 1
    figures = [_ladder(ladder, several) for ladder in simulation.ladders]
    rows = [row for ladder in simulation.ladders for row in ladder_rows(ladder)]
    return Section("exchange", "Exchange of temperatures", [Figures(figures), Table("Traffic", ("", "", ""), rows)])


def _ladder(ladder: Mapping[str, Any], several: bool) -> Figure:
    levels, rates = np.asarray(ladder["temperatures"]), np.asarray(ladder["swap_rate"])
    plot = frame(View(float(levels.min()), float(levels.max())), View(0.0, 1.0), x_label="temperature", height=210.0)
    body = plot.axes()
    # A rate belongs to the gap between two temperatures.
    body.append(line(plot.x(np.repeat(levels, 2)[1:-1]), plot.y(np.repeat(rates, 2)), "line model"))
    for level in levels:
        body.append(tag("line", x1=plot.x(level), x2=plot.x(level), y1=plot.y(0.0), y2=plot.y(0.03), class_="whisker"))
    title = f"Swaps, L = {ladder['size']}" if several else "Swaps between neighbours"
    note = "A gap in which few swaps are accepted holds up every replica: put more temperatures there."
    label = f"Acceptance of swaps between neighbouring temperatures, from {rates.min():.2f} to {rates.max():.2f}."
    return Figure(title, drawing(body, height=plot.height, label=label), "acceptance", note)


def _log_z(simulation: SimulationLike) -> Section | None:
    return log_z_section(simulation.log_z)


def _pictures(simulation: SimulationLike) -> Section | None:
    if simulation.pictures is None or simulation.values is None or simulation.pictures[0].ndim != 2:
        return None
    low, high = simulation.values
    grid = image_grid(
        "Last configurations", np.stack(simulation.pictures), simulation.pictures[0].shape, low=low, high=high
    )
    largest = _sizes(simulation)[-1]
    listed = ", ".join(f"{point['temperature']:g}" for point in simulation.points if point["size"] == largest)
    of = f" of the largest lattice, L = {largest}," if _has_sizes(simulation) else ""
    return Section("configurations", "Configurations", [Text(f"One chain{of} at T = {listed}."), Figures([grid])])


def _mixing(simulation: SimulationLike) -> Section:
    worst = int(np.argmax([point["r_hat"] for point in simulation.points]))
    where = f"{simulation.points[worst]['temperature']:g}"
    where += f", L = {simulation.points[worst]['size']}" if _has_sizes(simulation) else ""
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


_SECTIONS = (_critical, _curves, _log_z, _ladders, _pictures, _mixing)
