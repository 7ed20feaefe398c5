"""What a free energy was asked of, as data, so that an interrupted estimate goes on behind what it has."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
from pathlib import Path
from typing import ClassVar

import equinox as eqx
import jax
import numpy as np

from energax.runs._directory import FREE_ENERGY_FILE
from energax.runs._free_energy import System, open_system
from energax.runs._stored import AbstractPlan


@dataclasses.dataclass(frozen=True)
class FreeEnergyPlan(AbstractPlan):
    """All that decides an estimate; the fields are those of `open_system` and `free_energy`.

    Attributes:
        digest: Of the energy and of the file that it came from.
    """

    kind: ClassVar[str] = "estimate"
    file: ClassVar[str] = FREE_ENERGY_FILE

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

    def open(self, directory: Path) -> System:
        """The system, which has to be the one that the estimate in a directory began with.

        Raises:
            RunError: It is another one.
        """
        system = open_system(self.system, size=self.size, q=self.q, instance=self.instance)
        if digest(system) != self.digest:
            raise self.changed(self.system, directory)
        return system


def digest(system: System) -> str:
    """SHA-256 of the numbers of an energy, of its rows, and of the file that its name holds."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(eqx.filter((system.energy, system.rows), eqx.is_array)):
        found.update(np.asarray(leaf).tobytes())
    file = Path(system.name.partition(".py:")[0] + ".py" if ".py:" in system.name else system.name)
    if file.is_file():
        found.update(file.read_bytes())
    return found.hexdigest()
