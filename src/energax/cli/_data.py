"""``energax data``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.data import NAMED_SETS, describe, load


def data(arguments: Sequence[str]) -> int:
    """List the named data sets, or show one."""
    cls = flat(
        "Data",
        [
            ("binarize", str | None, None, "Binary view of images: threshold or stochastic."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("name", str | None, None, "A data set, file or folder; all named sets are listed without it.")],
    )
    asked: Any = parse(cls, arguments, "data", "List the named data sets, or show one.")
    output = Output(json=asked.json)
    if asked.name is None:
        output.show_listing(NAMED_SETS)
    else:
        output.show_data(describe(load(asked.name, binarize=asked.binarize)))
    return 0
