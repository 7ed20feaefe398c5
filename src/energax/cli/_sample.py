"""``energax sample``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from energax._errors import ArgumentError, RunError
from energax._files import replace_arrays
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.runs import Run


def sample(arguments: Sequence[str]) -> int:
    """Draw from a trained model into a file."""
    cls = flat(
        "Sample",
        [
            ("num", int, 1000, "Number of draws."),
            ("seed", int | None, None, "Seed of the draws; that of the run by default."),
            ("out", str, "samples.npz", "File to write: .npz with the arrays x and energy; of a generator x and mean."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[("run", str, ..., "The RUN directory.")],
    )
    asked: Any = parse(cls, arguments, "sample", "Draw from a trained model, in the units of its data.")
    out = Path(asked.out)
    if asked.num < 1:
        raise ArgumentError(f"--num must be at least 1, got {asked.num}.")
    if out.suffix != ".npz":
        raise ArgumentError(f"--out must be a .npz file, got {out}.")
    if out.exists():
        raise RunError(f"{out} exists already; nothing is overwritten. Choose another --out.")
    if not out.parent.is_dir():
        raise RunError(f"There is no folder {out.parent} to write {out.name} into.")
    if not os.access(out.parent, os.W_OK):
        raise RunError(f"{out} cannot be written: the folder is read-only.")
    run, output = Run.open(asked.run), Output(json=asked.json)
    if run.is_generator:
        with output.working(f"Drawing {asked.num} configurations"):
            draws, means = run.generate(asked.num, key=run.key("sample", asked.seed))
        write(out, x=run.data.transform.inverse(draws), mean=run.data.transform.inverse(means))
        output.show_draws(out, asked.num, run.energy.draw_evaluations)
        return 0
    with output.working(f"Drawing {asked.num} configurations"):
        samples = run.draw(asked.num, key=run.key("sample", asked.seed))
        flat_x = np.asarray(samples.x).reshape(-1, *samples.x.shape[2:])[: asked.num]
        energies = samples.energy.reshape(-1)[: asked.num]
    write(out, x=run.data.transform.inverse(flat_x), energy=energies)
    output.show_samples(out, asked.num, samples)
    return 0


def write(out: Path, **arrays: np.ndarray) -> None:
    """Write an archive at once or not at all.

    Raises:
        RunError: The disk refuses.
    """
    try:
        replace_arrays(out, arrays)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror or error}.") from error
