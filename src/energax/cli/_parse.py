"""Arguments: typed dataclasses turned into flags, and mistakes turned into one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import re
import typing
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import tyro

from energax._errors import ArgumentError

T = TypeVar("T")


def parse(cls: type[T], arguments: Sequence[str], command: str, description: str) -> T:
    """An instance of `cls` from the arguments of ``energax COMMAND``.

    Raises:
        ArgumentError: The arguments cannot be read; one sentence says why.
        SystemExit: After ``--help``.
    """
    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            return tyro.cli(
                cls,
                args=list(arguments),
                prog=f"energax {command}",
                description=description,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise ArgumentError(one_line(captured.getvalue(), command)) from None


def one_line(text: str, command: str) -> str:
    """What a parser said in a box, as one sentence."""
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [re.sub(r"^[│|]\s?|\s*[│|]\s*$", "", line).strip() for line in bare.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("╭", "╰"))]
    sections: list[list[str]] = [[]]
    for line in lines:
        if set(line) <= set("─- "):
            sections.append([])
        else:
            sections[-1].append(line)
    if "╭" not in bare:
        # Where stdout knows no box characters, the title is a line of its own.
        sections = sections[1:] or sections
    # tyro repeats itself for each member of a union; its first sentence says it all.
    first = " ".join(sections[0]).split(" Got errors:")[0].strip().rstrip(".")
    flags = [line.split() for section in sections[1:] for line in section if line.startswith("--")]
    guess = f" Did you mean {' or '.join(words[0] for words in flags)}?" if "meant" in bare and flags else ""
    return f"{_shorter(first, flags)}.{guess} See `energax {command} --help`."


_KINDS = {"N": "a whole number", "X": "a number"}


def _shorter(said: str, flags: Sequence[Sequence[str]]) -> str:
    """The usual complaints in fewer words; others as they are."""
    if value := re.match(r"Error parsing (--[\w-]+):.*?(?:from \[(.*)\]|: ('.*'))$", said):
        flag = value.group(1)
        metavar = next((words[1] for words in flags if words[0] == flag and len(words) > 1), "")
        return f"{flag} needs {_KINDS.get(metavar, 'another value')}, got {value.group(2) or value.group(3)}"
    if lacking := re.match(r"Missing value for argument '(--[\w-]+)'", said):
        return f"{lacking.group(1)} needs a value"
    if place := re.match(r"Missing from [^:]*: (\w+)", said):
        return f"{place.group(1)} is missing"
    return said or "The arguments cannot be read"


def flat(
    name: str, fields: Sequence[tuple[str, Any, Any, str]], *, positional: Sequence[tuple[str, Any, Any, str]] = ()
) -> type:
    """A dataclass of flags from (name, type, default, help) rows, positional arguments first."""
    rows: list[tuple[str, Any, Any]] = []
    for field, hint, default, text in positional:
        kind = Annotated[hint, tyro.conf.Positional, tyro.conf.arg(help=text, metavar=field.upper())]
        rows.append((field, kind, dataclasses.field() if default is ... else dataclasses.field(default=default)))
    for field, hint, default, text in fields:
        metavar = {int: "N", float: "X", str: "NAME"}.get(_bare(hint))
        # What is None is chosen to fit the data, which the words "default: None" would not say.
        hint_of_default = "" if default is None or default is False else None
        kind = Annotated[hint, tyro.conf.arg(help=text, metavar=metavar, help_behavior_hint=hint_of_default)]
        rows.append((field, kind, dataclasses.field(default=default)))
    return dataclasses.make_dataclass(name, rows)


def _bare(hint: Any) -> Any:
    members = [m for m in typing.get_args(hint) if m is not type(None)]
    return members[0] if members else hint


def named_option(arguments: Sequence[str], flag: str) -> str | None:
    """The value of ``--flag VALUE`` or ``--flag=VALUE``, read ahead of the full parse."""
    for here, following in itertools.zip_longest(arguments, arguments[1:]):
        if here == f"--{flag}" and following is not None:
            return following
        if here.startswith(f"--{flag}="):
            return here.partition("=")[2]
    return None
