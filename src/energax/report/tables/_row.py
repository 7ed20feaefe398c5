"""One line of a table."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A line of a table: what, how much, and one remark.

    Attributes:
        label: Name of the quantity.
        value: The quantity as text, with its unit.
        note: What the number means or assumes; empty where there is nothing to say.
    """

    label: str
    value: str
    note: str = ""
