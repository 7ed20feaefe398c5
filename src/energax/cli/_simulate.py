"""``energax simulate``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from energax import report, runs
from energax._errors import ArgumentError
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.runs import SIMULATED, Simulation


def simulate(arguments: Sequence[str]) -> int:
    """Simulate a model at one or several temperatures, with error bars, and write a page about it."""
    cls = flat(
        "Simulate",
        [
            ("energy", str | None, None, "Your own energy instead of a named model: file.py:name."),
            ("size", int | None, None, "Length of the lattice, or dimension."),
            ("q", int | None, None, "Number of values of a site of potts; 3 by default."),
            ("temperature", str, "1.0", "One temperature T, or T1:T2:N for N of them, such as 1.5:3.5:9."),
            ("kernel", str | None, None, f"One of: {', '.join(runs.KERNELS)}."),
            ("num_sweeps", int, 2000, "Transitions of each chain at each temperature, after warm-up."),
            ("num_chains", int, 8, "Independent chains."),
            ("seed", int, 0, "Seed of everything random."),
            ("out", str | None, None, "Directory of the results; runs/simulate-MODEL-N by default."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("model", str | None, None, f"One of: {', '.join(SIMULATED)}.")],
    )
    asked: Any = parse(cls, arguments, "simulate", _DESCRIPTION)
    ts = runs.temperatures(asked.temperature)
    name, model, size = runs.simulated_model(asked.model, asked.energy, asked.size, asked.q)
    if asked.seed < 0:
        raise ArgumentError(f"--seed must not be negative, got {asked.seed}.")
    if asked.kernel is not None:
        runs.entry("kernel", asked.kernel)
    output = Output(json=asked.json)
    directory = runs.fresh_directory(asked.out, "simulate", Path(name.partition(":")[0]).stem)
    try:
        with output.working("Simulating") as progress:
            found = runs.simulate(
                name, model, size, ts, key=jax.random.key(asked.seed), kernel=asked.kernel,
                num_sweeps=asked.num_sweeps, num_chains=asked.num_chains, progress=progress,
            )  # fmt: skip
    except BaseException:
        # Nothing was written: what was refused or stopped leaves no trace.
        directory.rmdir()
        raise
    runs.save_simulation(found, directory / "simulation.json")
    path = report.write_simulation(
        found, directory / "report.html", command=f"energax simulate {shlex.join(arguments)}"
    )
    _show(output, found, {"directory": str(directory), "report": str(path)})
    return 130 if found.result == "interrupted" else 0


def _show(output: Output, found: Simulation, where: dict[str, str]) -> None:
    if output.json:
        output.print_json({**where, **found.to_json()})
        return
    output.table(row for point in found.points for row in report.point_rows(point))
    for warning in found.warnings:
        output.say(f"warning: {warning}")
    output.out.print(f"report: {where['report']}", markup=False)


_DESCRIPTION = (
    "Simulate a model at one or several temperatures. Every number has an error bar that counts autocorrelation; exact "
    "curves are drawn where they are known."
)
