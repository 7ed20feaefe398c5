"""Side-by-side benchmarks: ours and a peer on the same work in the same run, taking turns; results as JSON and a table.

``python benchmarks/run.py`` runs all tasks, ``python benchmarks/run.py rbm-speed`` one. A task is a module of
``benchmarks/tasks`` with ``NAME`` and ``run() -> list of rows``. Peers live in environments of their own under
``benchmarks/.envs`` (made when first needed) and are talked to through JSON on standard output.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import pkgutil
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent
PAGE = ROOT.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Ours and a peer on the same work in the same run, taking turns, after compilation, whose time is told apart; draws
have to pass a check of their law before their time counts. `make bench` runs all of them,
`python benchmarks/run.py NAME` one. This page is written by that command; the same numbers are in
`benchmarks/results.json`. A row names its generator of random numbers.
"""
sys.path.insert(0, str(ROOT))


def tasks() -> dict[str, object]:
    import tasks as package

    found = (importlib.import_module(f"tasks.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    return {module.NAME: module for module in found}


def environment() -> dict[str, str]:
    import jax

    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "cores": str(os.cpu_count()),
    }


def main(names: list[str]) -> int:
    known = tasks()
    chosen = names or sorted(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        print(f"Unknown task {unknown[0]!r}. Known: {', '.join(sorted(known))}.", file=sys.stderr)
        return 2
    path = ROOT / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in chosen:
        try:
            rows = known[name].run()
        except subprocess.CalledProcessError as error:
            print(f"{name}: a peer failed: {error.stderr or error}", file=sys.stderr)
            return 1
        results[name] = {"environment": environment(), "rows": rows}
        print(section(name, results[name]))
        path.write_text(json.dumps(results, indent=2) + "\n")
    PAGE.write_text("\n".join([HEAD, *(section(name, found) for name, found in sorted(results.items()))]))
    return 0


def section(name: str, found: dict) -> str:
    """A task's table, with what it measures and the machine that it ran on."""
    machine = found["environment"]
    said = (tasks()[name].__doc__ or "").strip()
    where = f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}, JAX {machine['jax']}."
    return f"## {name}\n\n{said}\n\n{rows_of(found['rows'])}\n\n{where}\n"


def rows_of(rows: list[dict]) -> str:
    columns = list(rows[0])
    cells = [[cell(row.get(column, "")) for column in columns] for row in rows]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in cells])


def cell(value: object) -> str:
    """A number with four digits, nothing for one that does not exist."""
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
