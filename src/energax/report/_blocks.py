"""What a page is made of. The sections build these values, the template alone knows how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from energax.report.tables import Row


@dataclass(frozen=True)
class Key:
    """One entry of a legend: the CSS role of the mark (``data``, ``model``, ...), its shape and its name."""

    role: str
    name: str
    shape: str = "line"


@dataclass(frozen=True)
class Figure:
    """A picture with its title, its unit, its legend and one or two sentences on how to read it.

    `markup` is finished HTML (an inline SVG or an ``<img>``) in which every text is already escaped.
    """

    title: str
    markup: str
    unit: str = ""
    note: str = ""
    legend: tuple[Key, ...] = ()
    kind: str = "figure"


@dataclass(frozen=True)
class Figures:
    """Figures that stand side by side where there is room; a `span` of ``"medium"`` sets one beside its note."""

    items: Sequence[Figure]
    span: str = ""
    kind: str = "figures"


@dataclass(frozen=True)
class Text:
    """A paragraph; `role` is ``"lead"``, ``"note"`` or empty."""

    text: str
    role: str = ""
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """A table with a caption, three column heads and rows of (label, value, note)."""

    caption: str
    head: tuple[str, str, str]
    rows: Sequence[Row]
    kind: str = "table"


@dataclass(frozen=True)
class Wide:
    """A table with a caption and any number of columns, the first of which names the row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: str = "wide"


@dataclass(frozen=True)
class Code:
    """Lines to copy: commands of a shell, which break between words only, or a piece of configuration."""

    text: str
    label: str
    is_shell: bool = False
    kind: str = "code"


@dataclass(frozen=True)
class Details:
    """Blocks behind a line that opens them."""

    summary: str
    blocks: Sequence[Block]
    kind: str = "details"


Block: TypeAlias = Figures | Text | Table | Wide | Code | Details


@dataclass(frozen=True)
class Section:
    """A part of the page with its own heading; `name` is its address within the page."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True)
class Card:
    """A key figure in the head of the page."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
