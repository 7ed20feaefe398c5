"""What a free energy was asked of, as data, so that an interrupted estimate goes on behind what it has."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from energax._errors import RunError
from energax._files import replace_file
from energax.runs._directory import FREE_ENERGY_FILE
from energax.runs._free_energy import System, open_system


@dataclasses.dataclass(frozen=True)
class FreeEnergyPlan:
    """All that decides an estimate; the fields are those of `open_system` and `free_energy`.

    Attributes:
        digest: Of the energy and of the file that it came from.
    """

    system: str
    size: int | None
    q: int | None
    instance: int | None
    beta: float
    method: str
    width: float | None
    budget: int
    seed: int
    digest: str

    @property
    def command(self) -> str:
        """The command that asks for it."""
        parts = ["energax", "free-energy", self.system]
        for name in ("size", "q", "instance", "beta", "method", "width", "budget", "seed"):
            value = getattr(self, name)
            parts += [] if value is None else [f"--{name}", f"{value:.12g}" if isinstance(value, float) else str(value)]
        return shlex.join(parts)

    def save(self, directory: Path) -> None:
        """Write it.

        Raises:
            RunError: The disk refuses.
        """
        try:
            replace_file(directory / FREE_ENERGY_FILE, (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode())
        except OSError as error:
            raise RunError(f"{directory} cannot be written to: {error.strerror or error}.") from error

    def open(self, directory: Path) -> System:
        """The system, which has to be the one that the estimate in a directory began with.

        Raises:
            RunError: It is another one.
        """
        system = open_system(self.system, size=self.size, q=self.q, instance=self.instance)
        if digest(system) != self.digest:
            raise RunError(
                f"{self.system} is not what the estimate in {directory} began with, so the two parts would not belong "
                "together. Put the old one back, or start a new estimate."
            )
        return system


def is_free_energy(directory: str | Path) -> bool:
    """Whether a free energy was begun in a directory."""
    return (Path(directory) / FREE_ENERGY_FILE).is_file()


def open_free_energy(directory: str | Path) -> FreeEnergyPlan:
    """The plan in a directory.

    Raises:
        RunError: It cannot be read.
    """
    path = Path(directory) / FREE_ENERGY_FILE
    try:
        return FreeEnergyPlan(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {type(error).__name__}: {error}.") from error


def digest(system: System) -> str:
    """SHA-256 of the numbers of an energy, of its rows, and of the file that its name holds."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(eqx.filter((system.energy, system.rows), eqx.is_array)):
        found.update(np.asarray(leaf).tobytes())
    file = Path(system.name.partition(".py:")[0] + ".py" if ".py:" in system.name else system.name)
    if file.is_file():
        found.update(file.read_bytes())
    return found.hexdigest()
