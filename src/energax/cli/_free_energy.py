"""``energax free-energy``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report, runs
from energax._errors import ArgumentError
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.runs import SIMULATED

_BUDGET = 8_000_000


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
    chosen = {"beta": asked.beta, "method": asked.method, "seed": asked.seed}
    with output.working("Estimating log Z") as progress:
        budget = asked.budget or _BUDGET
        if asked.seconds is not None:
            budget = runs.transitions_within(asked.seconds, system, **chosen)
        found = runs.free_energy(system, **chosen, width=asked.width, budget=budget, progress=progress)
    directory = runs.fresh_directory(asked.out, "free-energy", Path(asked.system.partition(":")[0]).stem)
    runs.save_free_energy(found, directory / "free_energy.json")
    path = report.write_free_energy(found, directory / "report.html", command=_command(asked, budget))
    if output.json:
        output.print_json({"directory": str(directory), "report": str(path), **found.to_json()})
        return 0
    output.table(report.free_energy_rows(found))
    for warning in found.log_z.warnings:
        output.say(f"warning: {warning}")
    output.show_path(path)
    return 0


def _command(asked: Any, budget: int) -> str:
    parts = ["energax", "free-energy", asked.system]
    for name in ("size", "q", "instance", "beta", "method", "width", "budget", "seed"):
        value = budget if name == "budget" else getattr(asked, name)
        parts += [] if value is None else [f"--{name}", f"{value:.12g}" if isinstance(value, float) else str(value)]
    return shlex.join(parts)


_DESCRIPTION = (
    "Estimate log Z and the free energy F = −log Z / β with an interval whose ends say what they rest on. The exact "
    "value stands beside them where it is cheap, and no method but exact reads it."
)
