"""What the commands share that compare many runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from energax import runs, studies
from energax._errors import ArgumentError
from energax._files import replace_file
from energax.cli._output import Output

Found = TypeVar("Found", bound=studies.AbstractCompared)

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def run_study(
    directory: Path,
    output: Output,
    opening: str,
    left_out: dict[str, str],
    make: Callable[[studies.Progress], Found],
    file: str,
    show: Callable[[dict[str, Any]], None],
) -> Found:
    """Make the runs of a study that are left, store what they found, show it, and say how to go on.

    Args:
        directory: Of the study.
        output: Where things are said.
        opening: What is compared.
        left_out: Names that are not compared, each with the reason.
        make: Makes the runs.
        file: Name of the results in the directory.
        show: Writes the page and prints the results.
    """
    output.say(f"Study {directory}: {opening}")
    for name, reason in left_out.items():
        output.say(f"  without {name}: {reason}")
    with output.counting("comparing") as progress:
        compared = make(progress)
    found = runs.plain(compared.to_json())
    if compared.trials:
        replace_file(directory / file, (json.dumps(found, indent=2) + "\n").encode())
        show(found)
    if compared.result == "interrupted":
        output.say(f"Stopped and saved. Continue with: energax resume {shlex.quote(str(directory))}")
    return compared


def study_directory(out: str | None, kind: str, data: str) -> Path:
    """Where a study lives: as asked for, or runs/KIND-DATA."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(data).stem).strip("-").lower() or "data"
    return Path(out or Path("runs") / f"{kind}-{stem}")


def print_failures(output: Output, failures: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Say which runs failed, and why."""
    for name, texts in failures:
        for text in texts:
            output.out.print(f"{name} failed: {text}", markup=False)


def seconds(text: str) -> float:
    """A time such as 30, 30s, 5m or 1h.

    Raises:
        ArgumentError: It is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", text)
    if found is None or found.group(2) not in _SECONDS or not float(found.group(1)) > 0:
        raise ArgumentError(f"--budget needs a time such as 30s or 5m, got {text!r}.")
    return float(found.group(1)) * _SECONDS[found.group(2)]


def names(flag: str, text: str, example: str) -> list[str]:
    """Names with commas between them.

    Raises:
        ArgumentError: There are none.
    """
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise ArgumentError(f"--{flag} is empty: name some, as {example}.")
    return found
