"""Typed configurations: what a run is, as data that fits in a JSON file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from energax._errors import ArgumentError, RunError
from energax._files import replace_file

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, and which view of them."""

    source: str
    """Name of a data set, or the path of a file or folder."""
    binarize: str | None = None
    """"threshold", "stochastic", or None for the values as they are."""
    fingerprint: str | None = None
    """Hash of the data, by which a resumed run notices that they changed."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the parameters move."""

    num_steps: int = 5_000
    """Number of updates."""
    batch_size: int = 128
    """Rows of data in each update."""
    optimizer: str = "adam"
    """"adam", or "centred-sgd" for an rbm: plain steps along the gradient in centred coordinates."""
    learning_rate: float = 5e-3
    """Learning rate of the optimiser; it falls linearly to a twentieth of this over the run."""
    weight_decay: float = 0.0
    """Decoupled weight decay; with centred-sgd of the weights alone."""
    ema_decay: float = 0.999
    """Decay of the moving average of the parameters, which is the model that is kept; 0 switches it off."""
    energy_l2: float = 0.0
    """Weight of the squared energies of data and chains in the loss."""
    gradient_penalty: float = 0.0
    """Weight of the squared slope of the energy at the data in the loss."""
    spectral_penalty: float = 0.0
    """Weight of the squared largest singular value of each weight matrix in the loss."""
    data_noise: float = 0.0
    """Standard deviation of noise that is added to the data at each update."""
    watch: int = 0
    """Weighted walkers that follow the model while it trains, and tell log Z, likelihood and masses: 256, say."""


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run."""

    data: DataConfig
    model: Mapping[str, Any]
    """{"name": ..., and its options}."""
    objective: Mapping[str, Any]
    kernel: Mapping[str, Any]
    training: TrainingConfig
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> RunConfig:
        """The configuration that `to_json` wrote.

        Raises:
            RunError: A field is missing, unknown or of the wrong type.
        """
        if values.get("format") != FORMAT:
            raise RunError(f"config.json has the format {values.get('format')!r}; this energax reads format {FORMAT}.")
        try:
            return RunConfig(
                data=typed(DataConfig, values["data"], "data"),
                model=dict(values["model"]),
                objective=dict(values["objective"]),
                kernel=dict(values["kernel"]),
                training=typed(TrainingConfig, values["training"], "training"),
                seed=int(values["seed"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"config.json cannot be read: {error}.") from error


T = typing.TypeVar("T")


def typed(cls: type[T], values: Mapping[str, Any], what: str) -> T:
    """An instance of a configuration dataclass from a mapping, with the type of every field checked.

    Raises:
        ArgumentError: An option is unknown or has the wrong type.
    """
    hints = typing.get_type_hints(cls)
    unknown = set(values) - set(hints)
    if unknown:
        known = f"Known: {', '.join(_flag(name) for name in sorted(hints))}." if hints else "It has none."
        raise ArgumentError(f"{what} has no option {_flag(sorted(unknown)[0])}. {known}")
    return cls(**{name: _converted(value, hints[name], f"{what}.{name}") for name, value in values.items()})


def _flag(name: str) -> str:
    """The option as it is typed."""
    return f"--{name.replace('_', '-')}"


def check_seed(seed: int) -> int:
    """The seed itself, if it is one that makes a key of its own.

    Raises:
        ArgumentError: It is negative or has more than 32 bits, of which a key would silently keep the lowest.
    """
    if not 0 <= seed < 2**32:
        raise ArgumentError(f"The seed must lie between 0 and {2**32 - 1}, got {seed}.")
    return seed


def _converted(value: Any, hint: Any, what: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if typing.get_origin(option) is tuple and isinstance(value, list | tuple):
            return tuple(value)
        if isinstance(option, type) and isinstance(value, option) and not (option is int and isinstance(value, bool)):
            return value
    raise ArgumentError(f"{what} must be {getattr(hint, '__name__', hint)}, got {value!r}.")


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of what `RunConfig.to_json` wrote, by which an edited file is noticed.

    It is that of the file, not of the configuration that is made of it: a field that a later version adds, with a
    default that stands for what was done before, does not shut out older runs.
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_config(config: RunConfig, directory: Path) -> None:
    """Write config.json with its hash, at once or not at all."""
    values = config.to_json()
    text = json.dumps({**values, "sha256": digest(values)}, indent=2) + "\n"
    try:
        replace_file(directory / "config.json", text.encode())
    except OSError as error:
        raise RunError(f"{directory} cannot be written to: {error.strerror or error}.") from error


def read_config(directory: Path) -> RunConfig:
    """Read and verify config.json.

    Raises:
        RunError: There is none, it is not JSON, or it was edited after the run began.
    """
    path = directory / "config.json"
    if not directory.exists():
        raise RunError(f"There is no run at {directory}.")
    if not path.exists():
        raise RunError(f"{directory} is not a run: it has no config.json.")
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} does not hold a configuration.")
    stored = values.pop("sha256", None)
    config = RunConfig.from_json(values)
    if stored != digest(values):
        raise RunError(
            f"{path} was edited after the run began, so its checkpoints no longer belong to it. "
            "Undo the edit, or start a new run with `energax fit`."
        )
    return config
