"""``energax simulate``."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, runs
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.runs import SIMULATED, Simulation, SimulationPlan


def simulate(arguments: Sequence[str]) -> int:
    """Simulate a model at one or several temperatures and sizes, with error bars, and write a page about it."""
    cls = flat(
        "Simulate",
        [
            ("energy", str | None, None, "Your own energy instead of a named model: file.py:name."),
            ("size", str | None, None, "Length of the lattice, or dimension; several as 16,32,64."),
            ("q", int | None, None, "Number of values of a site of potts; 3 by default."),
            ("instance", int | None, None, "Which couplings spin-glass has; 0 by default."),
            ("temperature", str, "1.0", "One temperature T, or T1:T2:N for N of them, such as 1.5:3.5:9."),
            ("kernel", str | None, None, f"One of: {', '.join(runs.KERNELS)}."),
            ("num_sweeps", int, 2000, "Transitions of each chain at each temperature, after warm-up."),
            ("num_chains", int, 8, "Independent chains, or ladders of them with exchange."),
            ("exchange", bool, False, "Let neighbouring temperatures swap configurations after each sweep."),
            ("seed", int, 0, "Seed of everything random."),
            ("out", str | None, None, "Directory of the results; runs/simulate-MODEL-N by default."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("model", str | None, None, f"One of: {', '.join(SIMULATED)}.")],
    )
    asked: Any = parse(cls, arguments, "simulate", _DESCRIPTION)
    plan = runs.plan_simulation(
        asked.model, energy=asked.energy, sizes=() if asked.size is None else runs.sizes(asked.size), q=asked.q,
        instance=asked.instance, temperatures=runs.temperatures(asked.temperature), kernel=asked.kernel,
        num_sweeps=asked.num_sweeps, num_chains=asked.num_chains, exchange=asked.exchange, seed=asked.seed,
    )  # fmt: skip
    directory = runs.fresh_directory(asked.out, "simulate", Path(plan.name.partition(":")[0]).stem)
    try:
        plan.save(directory)
        return run_simulation(plan, directory, Output(json=asked.json))
    finally:
        if not (directory / "pieces").exists():
            # Nothing was computed: what was refused or stopped leaves no trace.
            shutil.rmtree(directory)


def run_simulation(plan: SimulationPlan, directory: Path, output: Output) -> int:
    """Run a plan, or what is left of it, and write its results and its page."""
    go_on = f"Continue with: energax resume {shlex.quote(str(directory))}"
    try:
        with output.working("Simulating") as progress:
            found = runs.simulate(plan, directory=directory, progress=progress)
    except KeyboardInterrupt:
        if not (directory / "pieces").exists():
            raise
        output.say(f"Stopped during warm-up. {go_on}")
        return 130
    runs.save_simulation(found, directory / "simulation.json")
    path = report.write_simulation(found, directory / "report.html", command=plan.command)
    _show(output, found, {"directory": str(directory), "report": str(path)})
    if found.result == "interrupted":
        output.say(f"Stopped and saved. {go_on}")
        return 130
    return 0


def _show(output: Output, found: Simulation, where: dict[str, str]) -> None:
    if output.json:
        output.print_json({**where, **found.to_json()})
        return
    several = len(found.settings["sizes"]) > 1
    output.table(row for point in found.points for row in report.point_rows(point, several=several))
    output.table(row for one in found.log_z for row in report.log_z_point_rows(one, several=several))
    output.table(row for ladder in found.ladders for row in report.ladder_rows(ladder))
    for one in found.log_z:
        if one.note:
            output.say(f"note: {one.note}")
    for warning in found.warnings:
        output.say(f"warning: {warning}")
    output.out.print(f"report: {where['report']}", markup=False)


_DESCRIPTION = (
    "Simulate a model at one or several temperatures and sizes. Every number has an error bar that counts "
    "autocorrelation; exact curves are drawn where they are known. An interrupted simulation goes on with "
    "`energax resume`."
)
