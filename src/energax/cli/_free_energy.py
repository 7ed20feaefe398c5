"""``energax free-energy``."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, runs
from energax._errors import ArgumentError, EnergaxError, RunError
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.runs import SIMULATED

_BUDGET = 8_000_000
_RESULT, _STEPS = "free_energy.json", "steps"


def free_energy(arguments: Sequence[str]) -> int:
    """Estimate log Z and the free energy of a model, a run or a file, and write a page about it."""
    cls = flat(
        "FreeEnergy",
        [
            ("size", int | None, None, "Length of the lattice, or dimension, of a named model."),
            ("q", int | None, None, "Number of values of a site of potts; 3 by default."),
            ("instance", int | None, None, "Which couplings spin-glass has; 0 by default."),
            ("beta", float, 1.0, "Inverse temperature; 1 is the energy as it is."),
            (
                "method",
                str,
                "auto",
                f"One of: {', '.join(runs.FREE_ENERGY_METHODS)}; trajectory goes along the checkpoints of a RUN.",
            ),
            ("width", float | None, None, "Wanted width of the interval in nats: 0.01 by default, annealing 0.3."),
            ("budget", int | None, None, f"The most transitions; {_BUDGET:,} by default."),
            ("seconds", float | None, None, "Time for everything, instead of a number of transitions."),
            ("seed", int, 0, "Seed of everything random."),
            ("out", str | None, None, "Directory of the results; runs/free-energy-NAME-N by default."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("system", str, ..., f"One of: {', '.join(SIMULATED)}; a RUN directory; a file.")],
    )
    asked: Any = parse(cls, arguments, "free-energy", _DESCRIPTION)
    if asked.seconds is not None and asked.budget is not None:
        raise ArgumentError("--seconds and --budget both say how long to run: name one.")
    output = Output(json=asked.json)
    system = runs.open_system(asked.system, size=asked.size, q=asked.q, instance=asked.instance)
    budget = asked.budget or _BUDGET
    if asked.seconds is not None:
        with output.working("Measuring the speed"):
            budget = runs.transitions_within(
                asked.seconds, system, beta=asked.beta, method=asked.method, seed=asked.seed
            )  # fmt: skip
    plan = runs.FreeEnergyPlan(
        asked.system, asked.size, asked.q, asked.instance, asked.beta, asked.method, asked.width, budget, asked.seed,
        runs.digest(system),
    )  # fmt: skip
    directory = runs.fresh_directory(asked.out, "free-energy", Path(asked.system.partition(":")[0]).stem)
    try:
        plan.save(directory)
        return estimate(plan, directory, output)
    finally:
        if not (directory / _STEPS).exists() and not (directory / _RESULT).exists():
            # Nothing was computed: what was refused or stopped leaves no trace.
            shutil.rmtree(directory)


def estimate(plan: runs.FreeEnergyPlan, directory: Path, output: Output) -> int:
    """Make an estimate, or what is left of it, and write its results and its page.

    Raises:
        ArgumentError: It has ended.
    """
    if (directory / _RESULT).exists():
        raise ArgumentError(f"The estimate in {directory} has ended: see its report.html.")
    system, steps = plan.open(directory), directory / _STEPS
    try:
        with output.working("Estimating log Z") as progress:
            found = runs.free_energy(
                system, beta=plan.beta, method=plan.method, width=plan.width, budget=plan.budget, seed=plan.seed,
                steps=steps, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        if not any(steps.glob("*.npz")):
            shutil.rmtree(steps, ignore_errors=True)
            raise
        output.say(f"Stopped and saved. Continue with: energax resume {shlex.quote(str(directory))}")
        return 130
    except EnergaxError as error:
        # What is refused on the way is refused again; but a disk that is full may have room later.
        if not isinstance(error, RunError):
            shutil.rmtree(steps, ignore_errors=True)
        raise
    runs.save_free_energy(found, directory / _RESULT)
    path = report.write_free_energy(found, directory / "report.html", command=plan.command)
    shutil.rmtree(steps, ignore_errors=True)
    if output.json:
        output.print_json({"directory": str(directory), "report": str(path), **found.to_json()})
        return 0
    output.table(report.free_energy_rows(found))
    for warning in found.log_z.warnings:
        output.say(f"warning: {warning}")
    output.show_path(path)
    return 0


_DESCRIPTION = (
    "Estimate log Z and the free energy F = −log Z / β with an interval whose ends say what they rest on. The exact "
    "value stands beside them where it is cheap, and no method but exact reads it. An interrupted estimate goes on "
    "with `energax resume`."
)
