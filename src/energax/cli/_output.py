"""What a user sees: a live line while something runs, tables at the end, or one JSON object and nothing else."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from energax import report
from energax.report import tables
from energax.runs import Run, Summary, plain
from energax.sampling import Samples

_QUIET_SECONDS = 10.0
_PLAIN_WIDTH = 160


class Output:
    """The two streams of a command: results on stdout, everything about the way there on stderr.

    Args:
        json: Print one JSON object on stdout and nothing else there.
    """

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self.out = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
        self.err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal on which a line can be redrawn."""
        return self.err.is_terminal

    def say(self, text: str) -> None:
        """One line about the way."""
        self.err.print(text, markup=False)

    def begin(self, run: Run, *, resume: bool) -> None:
        """What is about to be trained."""
        config = run.config
        self.say(f"{'Resuming' if resume else 'Run'} {run.directory}")
        self.say(f"  data       {run.data}")
        for note in run.data.notes:
            self.say(f"             note: {note}")
        for kind in ("model", "objective", "kernel"):
            values = dict(getattr(config, kind))
            if not values:
                continue
            options = ", ".join(f"{k}={v}" for k, v in values.items() if k != "name" and v is not None)
            self.say(f"  {kind:<10} {values['name']}{f' ({options})' if options else ''}")

    @contextlib.contextmanager
    def training(self, run: Run) -> Iterator[TrainingHook]:
        """A hook for `fit` that shows one live line, or plain lines where there is no terminal."""
        total = run.config.training.num_steps
        if not self.live:
            yield PlainHook(self, total)
            return
        with Progress(
            TextColumn("  training  "),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("[dim]{task.fields[state]}[/]"),
            TimeRemainingColumn(),
            console=self.err,
        ) as progress:
            yield LiveHook(self, progress, progress.add_task("training", total=total, state=""))

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[Callable[[str, int, int], None]]:
        """Something of unknown length: yields a function (stage, done, total) that shows how far it is."""
        if not self.live:
            self.say(f"{what} ...")
            yield lambda stage, done, total: None
            return
        with Progress(
            SpinnerColumn(), TextColumn(f"{what}: {{task.description}}"), BarColumn(bar_width=20), TimeElapsedColumn(),
            console=self.err, transient=True,
        ) as progress:  # fmt: skip
            task = progress.add_task("...", total=None)
            yield lambda stage, done, total: progress.update(task, description=stage, completed=done, total=total)

    @contextlib.contextmanager
    def counting(self, what: str) -> Iterator[Callable[[float, int, str], None]]:
        """Many things one after the other: yields a function (done, total, text)."""
        if not self.live:
            last = [""]

            def tell(done: float, total: int, text: str) -> None:
                # Progress within one of them is for terminals.
                if done == int(done) and text != last[0]:
                    self.say(f"  {int(done)}/{total}  {text}")
                    last[0] = text

            yield tell
            return
        with Progress(
            TextColumn(f"  {what}  "), BarColumn(bar_width=20), TextColumn("{task.description}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=self.err,
        ) as progress:  # fmt: skip
            task = progress.add_task("...", total=None)
            yield lambda done, total, text: progress.update(task, description=text, completed=done, total=total)

    def finish(self, run: Run, summary: Summary) -> None:
        """Write the page, then print the table or the JSON object."""
        path = report.write(summary, run.directory / "report.html")
        if self.json:
            self.print_json({"run": str(run.directory), "report": str(path), **summary.evaluation})
            return
        self.table(tables.overview_rows(summary.evaluation))
        for warning in summary.evaluation.get("warnings", ()):
            self.out.print(f"warning: {warning}", markup=False)
        self.show_path(path)

    def show_path(self, path: Path) -> None:
        """Where the page is."""
        if self.json:
            self.print_json({"report": str(path)})
        else:
            self.out.print(f"report: {path}", markup=False)

    def show_samples(self, out: Path, num: int, samples: Samples) -> None:
        """What was drawn, with the diagnostics of the chains."""
        values = {"out": str(out), "num": num, **samples.summary()}
        if self.json:
            self.print_json(values)
            return
        self.out.print(f"{num} draws in {out}", markup=False)
        self.table(
            tables.Row(str(key), tables.number(value)) for key, value in values.items() if key not in ("out", "num")
        )

    def show_draws(self, out: Path, num: int, evaluations: int | None) -> None:
        """What a generator drew, and at what cost."""
        if self.json:
            self.print_json({"out": str(out), "num": num, "evaluations_per_draw": evaluations})
            return
        cost = "" if evaluations is None else f", {evaluations} network evaluation{'s' if evaluations > 1 else ''} each"
        self.out.print(f"{num} independent draws in {out}{cost}", markup=False)

    def show_listing(self, sets: Mapping[str, str]) -> None:
        """The named data sets, each with a line about it."""
        if self.json:
            self.print_json({"data": [{"name": name, "summary": text} for name, text in sets.items()]})
            return
        self.table(tables.Row(name, text) for name, text in sets.items())

    def show_data(self, description: Mapping[str, Any]) -> None:
        """One data set."""
        if self.json:
            self.print_json(description)
            return
        self.table(tables.Row(str(k), _text(v)) for k, v in description.items() if v not in (None, "", [], ()))

    def table(self, rows: Iterable[tables.Row]) -> None:
        """Rows of (label, value, note) on stdout."""
        grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_column(style="dim", overflow="fold")
        for row in rows:
            grid.add_row(*(_escaped(cell) for cell in row))
        self.out.print(grid)

    def columns(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table with a head on stdout."""
        grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
        for name in head:
            grid.add_column(_escaped(name), overflow="fold")
        for row in rows:
            grid.add_row(*(_escaped(cell) for cell in row))
        self.out.print(grid)

    def print_json(self, value: Mapping[str, Any]) -> None:
        """The one object on stdout."""
        print(json.dumps(plain(value), indent=2))


class TrainingHook:
    """Turns the metrics of a training step into one short text."""

    def describe(self, step: int, metrics: Mapping[str, Any]) -> str:
        """Energy gap, acceptance, ESS and speed, as far as they were measured."""
        names = {"loss": "loss", "energy_gap": "gap", "accept_prob": "acceptance", "ess": "ESS"}
        if "energy_gap" in metrics:
            del names["loss"]
        parts = [f"{label} {float(metrics[key]):.3g}" for key, label in names.items() if metrics.get(key) is not None]
        if rate := speed(step, metrics):
            parts.append(f"{rate:.{0 if rate >= 10 else 1}f} steps/s")
        return "  ".join(parts)


def speed(step: int, metrics: Mapping[str, Any]) -> float:
    """Steps a second; 0 if not known, as after the first step, whose time is that of the compilation."""
    return float(metrics.get("steps_per_second") or 0.0) if step > 1 else 0.0


class LiveHook(TrainingHook):
    """Redraws one line of a terminal."""

    def __init__(self, output: Output, progress: Progress, task: Any) -> None:
        self.output, self.progress, self.task = output, progress, task

    def on_log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Update the line."""
        self.progress.update(self.task, completed=step, state=self.describe(step, metrics))

    def on_event(self, event: Any) -> None:
        """A line of its own for everything that went wrong."""
        self.progress.console.print(f"  {event}", markup=False)


class PlainHook(TrainingHook):
    """Prints a line now and then."""

    def __init__(self, output: Output, total: int) -> None:
        self.output, self.total, self.begun, self.last = output, total, time.monotonic(), 0.0

    def on_log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """A line, unless there was one a moment ago."""
        now = time.monotonic()
        if now - self.last < _QUIET_SECONDS and step < self.total:
            return
        self.last = now
        rate = speed(step, metrics)
        left = f"  {(self.total - step) / rate:.0f} s left" if rate > 0 and step < self.total else ""
        self.output.say(f"  step {step}/{self.total}  {self.describe(step, metrics)}{left}")

    def on_event(self, event: Any) -> None:
        """A line for everything that went wrong."""
        self.output.say(f"  {event}")


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ("\n" if any(str(v).endswith(".") for v in value) else ", ").join(_text(v) for v in value)
    return tables.number(value) if isinstance(value, float) else str(value)
