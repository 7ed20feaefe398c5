"""What is known about a run when it is over: one value that the report, the terminal and `--json` all read."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from energax._errors import RunError
from energax._files import replace_arrays, replace_file
from energax.runs._configs import read_config
from energax.training import read_metrics


@dataclasses.dataclass(frozen=True)
class Summary:
    """Everything that the page of a run shows.

    Attributes:
        config: As in config.json.
        data: Description of the data set.
        model: Name, number of parameters, space and reference measure.
        history: Logged metrics, one dictionary a row.
        events: What went wrong on the way, and what was done about it.
        evaluation: What ``energax evaluate --json`` prints; empty if the run was not judged yet.
        arrays: Samples, energies, traces and grids.
        environment: Versions and platform.
        reproduce: Commands that repeat the run.
        image_shape: Shape of an image, None for other data.
    """

    config: Mapping[str, Any]
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    history: list[dict[str, Any]]
    events: list[dict[str, Any]]
    evaluation: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    environment: Mapping[str, Any]
    reproduce: list[str]
    image_shape: tuple[int, ...] | None

    def save(self, directory: Path) -> None:
        """Write evaluation.json and summary.npz.

        Raises:
            RunError: The directory cannot be written to.
        """
        parts = {name: getattr(self, name) for name in ("data", "model", "evaluation", "environment", "image_shape")}
        try:
            replace_file(directory / "evaluation.json", (json.dumps(plain(parts), indent=2) + "\n").encode())
            replace_arrays(directory / "summary.npz", self.arrays)
        except OSError as error:
            raise RunError(f"The evaluation cannot be written to {directory}: {error.strerror or error}.") from error

    @staticmethod
    def load(directory: Path) -> Summary:
        """The summary of a run directory; parts that are not there yet are empty.

        Raises:
            RunError: There is no run, or its files cannot be read.
        """
        config = read_config(directory)
        history, events = read_metrics(directory)
        parts: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {}
        try:
            if (directory / "evaluation.json").exists():
                parts = json.loads((directory / "evaluation.json").read_text())
            if (directory / "summary.npz").exists():
                with np.load(directory / "summary.npz", allow_pickle=False) as stored:
                    arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as error:
            raise RunError(f"The evaluation in {directory} cannot be read: {error}. Run `energax evaluate`.") from error
        shape = parts.get("image_shape")
        return Summary(
            config=config.to_json(),
            data=parts.get("data", {"name": config.data.source}),
            model=parts.get("model", dict(config.model)),
            history=history,
            events=events,
            evaluation=parts.get("evaluation", {}),
            arrays=arrays,
            environment=parts.get("environment", environment()),
            reproduce=commands(config.to_json(), directory),
            image_shape=None if shape is None else tuple(shape),
        )


def environment() -> dict[str, Any]:
    """Versions and platform of this process."""
    import importlib.metadata as metadata

    import jax

    names = ("energax", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy")
    versions = {name: metadata.version(name) for name in names}
    return {
        **versions,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "backend": jax.default_backend(),
        "devices": jax.device_count(),
    }


def commands(config: Mapping[str, Any], directory: Path) -> list[str]:
    """Shell commands that repeat the run and its evaluation."""
    parts = [f"energax fit {shlex.quote(config['data']['source'])}"]
    parts.append(f"--binarize {config['data']['binarize'] or 'none'}")
    for kind in ("model", "objective", "kernel"):
        values = dict(config[kind])
        if not values:
            continue
        parts.append(f"--{kind} {values.pop('name')}")
        parts.extend(_flag(name, value) for name, value in values.items() if value is not None)
    parts.extend(_flag(name, value) for name, value in config["training"].items())
    parts.append(f"--seed {config['seed']}")
    return [" ".join(parts), f"energax evaluate {shlex.quote(str(directory))}"]


def _flag(name: str, value: Any) -> str:
    return f"--{name.replace('_', '-')} {value}"


def plain(value: Any) -> Any:
    """A value that JSON can hold: numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
