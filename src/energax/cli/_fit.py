"""``energax fit`` and ``energax resume``."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from energax import runs, studies
from energax._errors import ArgumentError
from energax.cli._compare import run_models
from energax.cli._compare_objectives import run_comparison
from energax.cli._free_energy import estimate
from energax.cli._output import Output
from energax.cli._parse import flat, named_option, parse
from energax.cli._simulate import run_simulation
from energax.cli._uncertainty import run_uncertainty
from energax.runs import AbstractPlan, Run, TrainingConfig


def fit(arguments: Sequence[str]) -> int:
    """Train a model on data, judge it, and write a page about it."""
    names = {kind: named_option(arguments, kind) for kind in ("model", "objective", "kernel")}
    groups = _option_groups(names)
    asked: Any = parse(_arguments(groups), arguments, "fit", _DESCRIPTION)
    given = {kind: {n: v for n in fields if (v := getattr(asked, n)) is not None} for kind, fields in groups.items()}
    output = Output(json=asked.json)
    config, data = runs.plan(
        asked.data,
        **names,
        binarize=asked.binarize,
        seed=asked.seed,
        training=given["training"],
        model_options=given["model"],
        objective_options=given["objective"],
        kernel_options=given["kernel"],
    )
    run = Run.create(config, data, out=asked.out)
    return train_and_judge(run, output, resume=False)


_OTHERS: tuple[tuple[type[AbstractPlan], Callable[[Any, Path, Output], int]], ...] = (
    (runs.SimulationPlan, run_simulation),
    (runs.FreeEnergyPlan, estimate),
    (studies.Comparison, run_comparison),
    (studies.ModelComparison, run_models),
    (studies.UncertaintyPlan, run_uncertainty),
)
"""What a directory may hold beside a run that trains, and how each goes on."""


def resume(arguments: Sequence[str]) -> int:
    """Continue a run from its last checkpoint, anything else behind the last piece that it has."""
    cls = flat(
        "Resume",
        [
            ("from_step", int | None, None, "Continue from this checkpoint instead of the last one."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("run", str, ..., "The directory of the run, simulation, free energy or study.")],
    )
    asked: Any = parse(cls, arguments, "resume", "Continue an interrupted run from its last checkpoint.")
    output, directory = Output(json=asked.json), Path(asked.run)
    for plan, go_on in _OTHERS:
        if plan.is_in(directory):
            if asked.from_step is not None:
                raise ArgumentError("--from-step belongs to runs that train; all others go on where they ended.")
            return go_on(plan.load(directory), directory, output)
    return train_and_judge(Run.open(asked.run), output, resume=True, from_step=asked.from_step)


def train_and_judge(run: Run, output: Output, *, resume: bool, from_step: int | None = None) -> int:
    """Train to the end, evaluate, write the page, print the table."""
    output.begin(run, resume=resume)
    with output.training(run) as hook:
        result = run.fit(resume=resume, from_step=from_step, hooks=(hook,))
    if result.interrupted:
        output.say(f"Stopped at step {result.step} and saved. Continue with: energax resume {run.directory}")
        return 130
    with output.working("Judging the model") as progress:
        summary = runs.summarise(run, progress=progress)
    output.finish(run, summary)
    return 0


def _option_groups(names: dict[str, str | None]) -> dict[str, dict[str, tuple[Any, str]]]:
    """Options by group: training, and those of the named (or every) model, objective and kernel."""
    groups = {"training": _fields(TrainingConfig)}
    for kind, registry in runs.REGISTRIES.items():
        name = names[kind]
        groups[kind] = _merged([runs.entry(kind, name)] if name is not None else list(registry.values()))
    return groups


def _merged(entries: Sequence[runs.Entry[Any]]) -> dict[str, tuple[Any, str]]:
    """The options of several entries; where they differ, the help says whose is whose."""
    hints: dict[str, Any] = {}
    owners: dict[str, dict[str, list[str]]] = {}
    for one in entries:
        for name, (hint, text) in _fields(one.config).items():
            hints.setdefault(name, hint)
            owners.setdefault(name, {}).setdefault(text, []).append(one.name)
    return {name: (hints[name], _told(texts, len(entries))) for name, texts in owners.items()}


def _told(texts: dict[str, list[str]], num_entries: int) -> str:
    if len(texts) == 1 and sum(map(len, texts.values())) == num_entries:
        return next(iter(texts))
    return " ".join(f"{', '.join(names)}: {text}" for text, names in texts.items())


def _fields(cls: type) -> dict[str, tuple[Any, str]]:
    texts, hints = runs.field_help(cls), typing.get_type_hints(cls)
    return {field.name: (hints[field.name], texts.get(field.name, "")) for field in dataclasses.fields(cls)}


def _arguments(groups: dict[str, dict[str, tuple[Any, str]]]) -> type:
    rows: list[tuple[str, Any, Any, str]] = [
        (kind, str | None, None, f"One of: {', '.join(registry)}.") for kind, registry in runs.REGISTRIES.items()
    ]
    rows.append(("binarize", str | None, None, "Binary view of images: threshold, stochastic, or none."))
    for fields in groups.values():
        rows.extend((name, hint | None, None, text) for name, (hint, text) in fields.items())
    rows += [
        ("seed", int, 0, "Seed of everything random."),
        ("out", str | None, None, "Directory of the run; runs/DATA-MODEL-N by default."),
        ("json", bool, False, "Print one JSON object on stdout and nothing else."),
    ]
    unique = {row[0]: row for row in rows}
    return flat(
        "Fit",
        list(unique.values()),
        positional=[("data", str, ..., "Name of a data set (see `energax data`), or your own file or folder.")],
    )


_DESCRIPTION = (
    "Train an energy-based model on data, judge it, and write a page about it. What is not given is chosen to fit the "
    "data. DATA is a name such as digits, or a .npy, .npz, .csv or .parquet file, or a folder of images."
)
