"""``energax restore``."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from energax import report, runs
from energax._errors import ArgumentError, DataError, RunError
from energax.cli._output import Output
from energax.cli._parse import flat, parse
from energax.data import is_colour_first
from energax.runs import Run

_NAMES = ("image", "x")


def restore(arguments: Sequence[str]) -> int:
    """Restore a damaged image by a trained generator, and write a page about it."""
    known = "; ".join(f"{name}: {text}" for name, text in runs.OPERATORS.items())
    cls = flat(
        "Restore",
        [
            ("operator", str | None, None, f"What is measured. {known}."),
            (
                "mask",
                str,
                "left",
                "What is missing for inpaint: left, right, top, bottom; or a file, known where not 0.",
            ),
            ("factor", int, 4, "Side of the squares for super-resolution."),
            ("ratio", float, 0.1, "Numbers for each pixel for compressed-sensing."),
            ("noise", float, 0.0, "Noise of the measurement, as a share of the range of the data."),
            ("measured", bool, False, "The image is damaged already; else it is measured here, and compared."),
            ("row", int | None, None, "Which image of a file that holds several; the first by default."),
            ("chains", int, 8, "Chains; each gives a restoration."),
            ("steps", int, 300, "Langevin steps of each chain."),
            ("seed", int, 0, "Seed of everything random."),
            ("out", str | None, None, "Directory of the results; runs/restore-NAME-N by default."),
            ("json", bool, False, "Print one JSON object on stdout and nothing else."),
        ],
        positional=[
            ("run", str, ..., "The RUN directory of a generator."),
            ("image", str, ..., "An image, or an .npz or .npy file with one or several in the units of the data."),
        ],
    )
    asked: Any = parse(cls, arguments, "restore", _DESCRIPTION)
    if asked.operator is None:
        raise ArgumentError(f"Say what happened to the image: --operator {', '.join(runs.OPERATORS)}.")
    run, output = Run.open(asked.run), Output(json=asked.json)
    if asked.chains < 1 or asked.steps < 1:
        raise ArgumentError(f"--chains and --steps must be at least 1, got {asked.chains} and {asked.steps}.")
    image = _read(asked.image, run, asked.row)
    mask = asked.mask if asked.mask in runs.HALVES or not Path(asked.mask).exists() else _read_mask(asked.mask)
    with output.working("Restoring"):
        found = runs.restore_image(
            run, image, asked.operator, mask=mask, factor=asked.factor, ratio=asked.ratio, noise=asked.noise,
            measured=asked.measured, num_chains=asked.chains, num_steps=asked.steps, seed=asked.seed,
        )  # fmt: skip
    directory = runs.fresh_directory(asked.out, "restore", Path(asked.image).stem)
    try:
        found.save(directory / "restored.npz")
    except OSError as error:
        raise RunError(f"{directory} cannot be written to: {error.strerror or error}.") from error
    path = report.write_restoration(
        found, directory / "report.html", command=shlex.join(["energax", "restore", *arguments])
    )
    told = {"directory": str(directory), "report": str(path), **found.to_json()}
    if output.json:
        output.print_json(told)
        return 0
    output.table(report.restoration_rows(found))
    output.show_path(path)
    return 0


def _read(name: str, run: Run, row: int | None) -> np.ndarray:
    """An image in the units of the run's data: arrays as they are, pictures scaled from their 256 levels."""
    path = Path(name)
    if not path.is_file():
        raise DataError(f"There is no file {name}.")
    if path.suffix in (".npz", ".npy"):
        values = _array(path)
        # Three axes are several grey images, unless the run is of colour.
        if (values.ndim == 4 or len(run.data.image_shape or ()) == 3) and is_colour_first(values.shape[-3:]):
            values = np.moveaxis(values, -3, -1)
        return _one(values, name, row)
    pixels = _picture(path)
    low, high = run.data.value_range
    return low + pixels.astype(np.float64) * (high - low) / 255


def _array(path: Path) -> np.ndarray:
    try:
        stored = np.load(path, allow_pickle=False)
        values = (
            stored if isinstance(stored, np.ndarray) else _named(path, {name: stored[name] for name in stored.files})
        )
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as arrays: {error}.") from error
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path} holds no numbers.")
    return values.astype(np.float64)


def _named(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    name = next((n for n in _NAMES if n in arrays), next(iter(arrays)) if len(arrays) == 1 else None)
    if name is None:
        raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}; name the image `image`.")
    return arrays[name]


def _one(values: np.ndarray, name: str, row: int | None) -> np.ndarray:
    is_many = values.ndim == 4 or (values.ndim == 3 and values.shape[-1] not in (1, 3))
    if is_many:
        number = 0 if row is None else row
        if not 0 <= number < len(values):
            raise ArgumentError(f"{name} holds {len(values)} images; --row counts from 0, got {number}.")
        values = values[number]
    elif row is not None:
        raise ArgumentError(f"{name} holds one image, so --row says nothing.")
    return values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values


def _picture(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            grey = picture.mode in ("1", "L", "LA", "I;16", "I")
            return np.asarray(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}.") from error


def _read_mask(name: str) -> np.ndarray:
    path = Path(name)
    values = _array(path) if path.suffix in (".npz", ".npy") else _picture(path)
    return (values.max(axis=2) if values.ndim == 3 else values) > 0


_DESCRIPTION = (
    "Restore a damaged image by the generator of a RUN, which was trained for no such thing: chains in its latent "
    "space, the measurement met exactly after every step. An undamaged image is measured here, and compared with what "
    "comes back."
)
