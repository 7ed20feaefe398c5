"""``energax report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energax import report as pages
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.runs import Summary


def report(arguments: Sequence[str]) -> int:
    """Rebuild the page of a run from what is stored in its directory."""
    cls = flat(
        "Report",
        [("json", bool, False, "Print one JSON object on stdout and nothing else.")],
        positional=[("run", str, ..., "The RUN directory.")],
    )
    asked: Any = parse(cls, arguments, "report", "Rebuild report.html from what is stored in a RUN directory.")
    directory = Path(asked.run)
    path = pages.write(Summary.load(directory), directory / "report.html")
    Output(json=asked.json).show_path(path)
    return 0
