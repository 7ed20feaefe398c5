"""What a simulation is asked to do, checked before anything is computed, and kept beside its results."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from energax._errors import ArgumentError, EnergaxError, nearest
from energax.energies import AbstractEnergy, observed_space
from energax.kernels import suggestions
from energax.runs._kernels import KERNELS
from energax.runs._observables import ENERGY, MAGNET
from energax.runs._registry import entry
from energax.runs._series import magnetization, nothing
from energax.runs._simulated import SIMULATED, SimulatedModel, potts, spin_glass
from energax.runs._stored import AbstractPlan
from energax.spaces import AbstractTwoValuedSpace

LEAST_SWEEPS = 8
"""Fewer tell nothing of an error."""


@dataclasses.dataclass(frozen=True)
class SimulationPlan(AbstractPlan):
    """A simulation before it runs; the same plan gives the same numbers.

    Attributes:
        model: Name of the model, None for an energy of the user's.
        energy: ``file.py:name`` of the user's energy, None for a named model.
        digest: Hash of that file, by which a simulation that goes on notices a change.
        sizes: Lengths or dimensions; None in it where the model has one size.
        options: Options of the model: ``q`` of potts, ``instance`` of spin-glass.
        temperatures: In the order of the results.
        kernel: Name of the kernel.
        num_sweeps: Transitions of each chain at each temperature, after warm-up.
        num_chains: Independent chains, or ladders of chains.
        exchange: Whether neighbouring temperatures swap configurations after each sweep.
        seed: Seed of everything random.
    """

    kind: ClassVar[str] = "simulation"
    file: ClassVar[str] = "plan.json"

    model: str | None
    energy: str | None
    digest: str | None
    sizes: tuple[int | None, ...]
    options: dict[str, int]
    temperatures: tuple[float, ...]
    kernel: str
    num_sweeps: int
    num_chains: int
    exchange: bool
    seed: int

    @property
    def name(self) -> str:
        """What is simulated."""
        return self.model or str(self.energy)

    @property
    def system(self) -> SimulatedModel:
        """The model, made from its name or from the user's file."""
        return _own(load_energy(self.energy)) if self.energy is not None else _named(str(self.model), self.options)

    @property
    def command(self) -> str:
        """The command that asks for it."""
        ts, chosen = self.temperatures, [str(size) for size in self.sizes if size is not None]
        span = f"{ts[0]:.12g}" if len(ts) == 1 else f"{ts[0]:.12g}:{ts[-1]:.12g}:{len(ts)}"
        parts = ["energax", "simulate", *([self.model] if self.model else ["--energy", str(self.energy)])]
        parts += ["--size", ",".join(chosen)] if chosen and self.model else []
        for name, value in self.options.items():
            parts += [f"--{name}", str(value)]
        parts += ["--temperature", span, "--kernel", self.kernel, "--num-sweeps", str(self.num_sweeps)]
        parts += ["--num-chains", str(self.num_chains), "--seed", str(self.seed)]
        return shlex.join(parts + (["--exchange"] if self.exchange else []))

    def open(self, directory: Path) -> SimulatedModel:
        """The model, which has to be the one that the simulation in a directory began with.

        Raises:
            RunError: The user's file is another one.
        """
        if self.energy is not None and self.digest != _digest(self.energy):
            raise self.changed(self.energy.rpartition(":")[0], directory)
        return self.system


def plan_simulation(
    model: str | None = None,
    *,
    energy: str | None = None,
    sizes: Sequence[int] = (),
    q: int | None = None,
    instance: int | None = None,
    temperatures: Sequence[float] = (1.0,),
    kernel: str | None = None,
    num_sweeps: int = 2000,
    num_chains: int = 8,
    exchange: bool = False,
    seed: int = 0,
) -> SimulationPlan:
    """A simulation with everything filled in that was not asked for.

    Args:
        model: A name of `SIMULATED`.
        energy: Instead of it ``file.py:name``, an energy or a function that makes one.
        sizes: Lengths of the lattice or dimensions; the usual one of the model without it.
        q: Number of values of a site of potts.
        instance: Which couplings spin-glass has.
        temperatures: At least one, positive.
        kernel: A name of the kernels; the usual one of the model without it, that for transitions where there are
            several sizes.
        num_sweeps: Transitions of each chain at each temperature, after warm-up.
        num_chains: Independent chains, or ladders.
        exchange: Swap configurations of neighbouring temperatures after each sweep; models that need it do it anyway
            where there are several temperatures.
        seed: Seed of everything random.

    Raises:
        ArgumentError: Names that are unknown, or numbers that make no sense.
    """
    if (model is None) == (energy is None):
        raise ArgumentError(f"Name a model or give --energy file.py:name, one of them. {nearest('', SIMULATED)}")
    options = _options(model, energy, {"q": q, "instance": instance})
    if energy is not None:
        if sizes:
            raise ArgumentError("--size belongs to named models; an energy of your own has its size already.")
        system = _own(load_energy(energy))
    else:
        system = _named(str(model), options)
    if seed < 0:
        raise ArgumentError(f"--seed must not be negative, got {seed}.")
    if num_sweeps < LEAST_SWEEPS or num_chains < system.fewest_chains:
        raise ArgumentError(
            f"--num-sweeps must be {LEAST_SWEEPS} or more and --num-chains {system.fewest_chains} or more, got "
            f"{num_sweeps}, {num_chains}."
        )
    if exchange and len(temperatures) < 2:
        raise ArgumentError("--exchange with a ladder of one temperature has nothing to swap: give T1:T2:N.")
    usual = system.critical_kernel if len(sizes) > 1 and system.critical_kernel else system.kernel
    return SimulationPlan(
        model, energy, None if energy is None else _digest(energy), _sizes(str(model), system, sizes), options,
        tuple(map(float, temperatures)), entry("kernel", kernel or usual).name, num_sweeps, num_chains,
        exchange or (system.exchange and len(temperatures) > 1), seed,
    )  # fmt: skip


def temperatures(text: str) -> list[float]:
    """The temperatures that ``T`` or ``T1:T2:N`` stand for.

    Raises:
        ArgumentError: The text is no such thing; one sentence says why.
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts[:2]]
        count = int(parts[2]) if len(parts) == 3 else 1
    except ValueError:
        numbers, count = [], 0
    if len(parts) not in (1, 3) or not numbers:
        raise ArgumentError(f"--temperature needs a number or T1:T2:N, such as 1.5:3.5:9, got {text!r}.")
    if not all(np.isfinite(numbers)) or min(numbers) <= 0:
        raise ArgumentError(f"--temperature must be positive and finite, got {text!r}.")
    if len(parts) == 1:
        return numbers
    if count < 2 or numbers[0] == numbers[1]:
        raise ArgumentError(
            f"--temperature {text} is a ladder of one temperature: give N of 2 or more between two different "
            f"temperatures, or the one temperature alone."
        )
    return [float(t) for t in np.linspace(numbers[0], numbers[1], count)]


def sizes(text: str) -> list[int]:
    """The sizes that ``L`` or ``L1,L2,...`` stand for, ascending.

    Raises:
        ArgumentError: The text is no such thing.
    """
    try:
        found = sorted(int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"--size needs a whole number or several, such as 16,32,64, got {text!r}.") from None
    if len(set(found)) != len(found):
        raise ArgumentError(f"--size names a size twice: {text}.")
    return found


def load_energy(spec: str) -> AbstractEnergy:
    """The energy that ``file.py:name`` stands for: an energy, or a function without arguments that makes one.

    Raises:
        ArgumentError: There is no such file or name, or it is no energy.
    """
    file, _, name = spec.rpartition(":")
    if not file or not Path(file).is_file():
        raise ArgumentError(f"--energy needs file.py:name, and there is no file {file or spec!r}.")
    module_spec = importlib.util.spec_from_file_location("energax_user_energy", file)
    if module_spec is None or module_spec.loader is None:
        raise ArgumentError(f"--energy {file} is not a Python file.")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
        if name not in vars(module):
            known = [n for n in vars(module) if not n.startswith("_")]
            raise ArgumentError(f"{file} has no {name!r}. {nearest(name, known)}")
        found = vars(module)[name]
        energy = found if isinstance(found, AbstractEnergy) else found()
    except EnergaxError:
        raise
    except Exception as error:
        raise ArgumentError(f"{file}:{name} could not be made: {type(error).__name__}: {error}.") from error
    if not isinstance(energy, AbstractEnergy):
        raise ArgumentError(
            f"{file}:{name} is {type(energy).__name__}, no energy; make one with energax.energy(fn, params, space=...)."
        )
    return energy


def _digest(spec: str) -> str:
    file = Path(spec.rpartition(":")[0])
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


_OPTIONS = {"q": ("potts", 2), "instance": ("spin-glass", 0)}
"""Whose option it is, and the smallest value."""


def _options(model: str | None, energy: str | None, given: dict[str, int | None]) -> dict[str, int]:
    kept = {name: value for name, value in given.items() if value is not None}
    for name, value in kept.items():
        owner, least = _OPTIONS[name]
        if model != owner or value < least:
            raise ArgumentError(
                f"--{name} belongs to {owner} and must be {least} or more, got {value} with {model or energy}."
            )
    return kept


def _named(model: str, options: dict[str, int]) -> SimulatedModel:
    if model not in SIMULATED:
        raise ArgumentError(f"Unknown model {model!r}. {nearest(model, SIMULATED)}")
    if "q" in options:
        return potts(options["q"])
    return spin_glass(options["instance"]) if "instance" in options else SIMULATED[model]


def _sizes(model: str, system: SimulatedModel, asked: Sequence[int]) -> tuple[int | None, ...]:
    for size in asked:
        if system.size is None or size < system.smallest:
            least = "comes in one size" if system.size is None else f"needs --size of {system.smallest} or more"
            raise ArgumentError(f"{model} {least}, got {size}.")
    return tuple(asked) or (system.size,)


def _own(energy: AbstractEnergy) -> SimulatedModel:
    space = observed_space(energy)
    spins = isinstance(space, AbstractTwoValuedSpace) and space.values == (-1, 1)
    best = suggestions(energy)[0]
    names = {e.cls.__name__: name for name, e in KERNELS.items()} | {"HMC": "nuts"}
    kernel = names.get(best.partition("(")[0])
    if kernel is None:
        raise ArgumentError(f"No kernel of the command line moves {space}; in Python, sample with {best}.")
    observables, save = (MAGNET, magnetization) if spins else (ENERGY, nothing)
    return SimulatedModel("", lambda n: energy, None, 1, observables, save, kernel)
