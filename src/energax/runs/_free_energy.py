"""log Z of anything that has an energy: a named model, a trained run, a file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax import evaluation, exact
from energax._errors import ArgumentError, NotTractable, RunError, Unreliable, nearest
from energax._files import replace_file
from energax.energies import AbstractEnergy, Tempered, latent, observed_space, read_energy
from energax.evaluation import LogZ, SiteProbabilities, Thermodynamics
from energax.runs._run import Run
from energax.runs._simulated import SIMULATED
from energax.runs._simulation_plan import load_energy, plan_simulation
from energax.runs._summary import plain
from energax.runs._time_limit import affordable

METHODS = (*evaluation.METHODS, "trajectory")
_CURVE = 61
_NEVER_MET = 1e-12
"""Width of an interval that no budget reaches, so that all of it is spent."""
_CHEAP_CURVE = 2**14
"""States through which an exact curve may go at each of its points."""


@dataclasses.dataclass(frozen=True)
class System:
    """Something with an energy.

    Attributes:
        name: How it was asked for.
        energy: The energy at β = 1.
        rows: Rows of data that belong to it, None without.
        run: The run whose model it is, None for what was not trained.
    """

    name: str
    energy: AbstractEnergy
    rows: np.ndarray | None = None
    run: Run | None = None

    @property
    def is_file(self) -> bool:
        """Whether the energy was read from a file."""
        return self.run is None and Path(self.name).is_file()


@dataclasses.dataclass(frozen=True)
class FreeEnergy:
    """log Z of a system at one β, and what is known on the way there.

    Attributes:
        system: Name of the system.
        beta: Inverse temperature.
        log_z: The value with its interval.
        num_sites: Sites or coordinates of the observed space.
        curves: β, and by name (``log_z``, ``energy``, ``heat_capacity``, ``entropy``) value, stderr and where it is
            known exact value at each; None where the method gives no curves.
        sites: How often each site, of a machine each observed unit, has each value; of discrete energies from files,
            where replicas were tempered.
        hidden_sites: The same of the hidden units of a machine.
    """

    system: str
    beta: float
    log_z: LogZ
    num_sites: int
    curves: dict[str, Any] | None
    sites: SiteProbabilities | None = None
    hidden_sites: SiteProbabilities | None = None

    @property
    def free_energy(self) -> tuple[float, float]:
        """F = −log Z / β and its error bar, in the unit of the energy."""
        return -self.log_z.value / self.beta, abs(self.log_z.stderr / self.beta)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary; the curves are left to the page."""
        told = self.log_z.to_json()
        ends = ("value", "stderr", "lower", "upper", "lower_kind", "upper_kind", "level", "exact")
        out = {
            "system": self.system,
            "beta": self.beta,
            "num_sites": self.num_sites,
            "log_z": {name: told[name] for name in ends},
            "free_energy": plain(dict(zip(("value", "stderr"), self.free_energy, strict=True))),
            "measure": told["measure"],
            "method": told["method"],
        }
        if self.curves is not None:
            out |= {
                name: plain({"value": curve["value"][-1], "stderr": curve["stderr"][-1]})
                for name, curve in self.curves["functions"].items()
                if name != "log_z"
            }
        if self.sites is not None:
            out["marginals"] = self.sites.to_json()
        if self.hidden_sites is not None:
            out["hidden_marginals"] = self.hidden_sites.to_json()
        return {**out, "diagnostics": told["diagnostics"], "warnings": told["warnings"]}


def open_system(name: str, *, size: int | None = None, q: int | None = None, instance: int | None = None) -> System:
    """What a name stands for: a model of `SIMULATED`, a directory of a run, ``file.py:name``, or a file of an energy.

    Args:
        name: The name.
        size: Length or dimension of a named model.
        q: Number of values of a site of potts.
        instance: Which couplings spin-glass has.

    Raises:
        ArgumentError: It is none of these, or options belong to something else.
        DataError: The file cannot be read.
        RunError: The directory holds no run.
    """
    if name in SIMULATED:
        plan = plan_simulation(name, sizes=() if size is None else (size,), q=q, instance=instance)
        size = plan.sizes[0]
        return System(name if size is None else f"{name}, size {size}", plan.system.build(size))
    path = Path(name)
    if not (path.exists() or ".py:" in name):
        raise ArgumentError(
            f"{name!r} is no model, no directory of a run and no file. {nearest(name, SIMULATED)} Files: .uai, .npz "
            "with J and h or W, b and c, graphs in the rudy format, file.py:name."
        )
    if (size, q, instance) != (None, None, None):
        raise ArgumentError(f"--size, --q and --instance belong to named models, of which {name} is none.")
    if path.is_dir():
        run = Run.open(path)
        if run.is_generator:
            raise NotTractable(
                f"{name} holds a {run.config.model['name']}, which draws without chains and has no log Z to estimate. "
                "`energax evaluate` tells its likelihood."
            )
        return System(name, run.energy, run.training_rows(), run)
    return System(name, read_energy(path) if path.is_file() else load_energy(name))


def free_energy(
    system: System,
    *,
    beta: float = 1.0,
    method: str = "auto",
    width: float | None = None,
    budget: int = 8_000_000,
    seed: int = 0,
    steps: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> FreeEnergy:
    """Estimate log Z of a system at β.

    Args:
        system: What `open_system` returns.
        beta: Inverse temperature, not 0.
        method: As in `evaluation.log_z`; or ``"trajectory"``, along the checkpoints of a run.
        width: Wanted width of the interval, nats; by default that of `evaluation.log_z`.
        budget: The most transitions.
        seed: Seed of everything random.
        steps: Folder in which what was computed is kept until the end; the same estimate goes on behind it.
        progress: Called with (stage, done, total).

    Raises:
        ArgumentError: Numbers that make no sense.
        NotTractable: log Z does not exist, or the method does not fit.
        RunError: The disk refuses.
    """
    tell = progress or (lambda stage, done, total: None)
    try:
        with contextlib.nullcontext() if steps is None else evaluation.journal(steps):
            found = _estimate(
                system, beta, method, seed, width=width, budget=budget,
                progress=lambda done, total: tell("log Z", done, total),
            )  # fmt: skip
    except OSError as error:
        raise RunError(f"{steps} cannot be written to: {error.strerror or error}.") from error
    energy = _at(system.energy, beta)
    # Ladders on a hidden side temper what is left when the observed units are summed out, which is no function of β.
    tempered = None if latent(energy) is not None else found.thermodynamics
    curves = None if tempered is None else _curves(system.energy, beta, tempered)
    leaves = jax.tree.leaves(observed_space(energy).struct)
    num_sites = sum(math.prod(leaf.shape) for leaf in leaves)
    return FreeEnergy(system.name, beta, found, num_sites, curves, *_sites(system, energy, found))


def transitions_within(
    seconds: float, system: System, *, beta: float = 1.0, method: str = "auto", seed: int = 0
) -> int:
    """The budget of `free_energy` that a time is enough for, measured; the measuring is part of the time.

    ``"auto"`` is measured by what it tries first. Where that fails, what it tries next takes time of its own.

    Args:
        seconds: Time for the measuring and for the run.
        system: As in `free_energy`.
        beta: As in `free_energy`.
        method: As in `free_energy`.
        seed: As in `free_energy`.

    Raises:
        ArgumentError: The time is too short, or as in `free_energy`.
        NotTractable: As in `free_energy`.
    """
    if method == "auto":
        method = evaluation.first_method(_at(system.energy, beta), data=system.rows)

    def trial(budget: int) -> LogZ:
        return _estimate(system, beta, method, seed, width=_NEVER_MET, budget=budget, progress=None)

    return affordable(seconds, trial, least=evaluation.LEAST_BUDGET)


def _estimate(system: System, beta: float, method: str, seed: int, **options: Any) -> LogZ:
    if not (math.isfinite(beta) and beta != 0):
        raise ArgumentError(f"--beta must be a number other than 0, where the law is uniform; got {beta}.")
    options |= {"data": system.rows, "key": jax.random.key(seed)}
    if method == "trajectory":
        return evaluation.log_z_from_checkpoints(_checkpoints(system, beta), **options)
    return evaluation.log_z(_at(system.energy, beta), method=method, **options)


def _at(energy: AbstractEnergy, beta: float) -> AbstractEnergy:
    return energy if beta == 1 else Tempered(energy, jnp.asarray(beta, jnp.result_type(float)))


def _sites(
    system: System, energy: AbstractEnergy, found: LogZ
) -> tuple[SiteProbabilities | None, SiteProbabilities | None]:
    """Probabilities of the values of observed and of hidden sites, None where there are none."""
    if found.thermodynamics is None or not system.is_file:
        return None, None
    sweeps = max(256, found.diagnostics["num_sweeps"] // 3)
    with contextlib.suppress(NotTractable):
        if latent(energy) is not None:
            return found.thermodynamics.both_sides(energy, sweeps)
        return found.thermodynamics.site_probabilities(sweeps), None
    return None, None


def _checkpoints(system: System, beta: float) -> list[AbstractEnergy]:
    if system.run is None or beta != 1:
        raise ArgumentError(
            "--method trajectory goes along the checkpoints of a run to its model: name a RUN, and leave --beta out."
        )
    return system.run.trajectory


def _curves(energy: AbstractEnergy, beta: float, found: Thermodynamics) -> dict[str, Any]:
    """Functions of β from 0 to `beta`; those of the driver are functions of the share of `beta`."""
    shares = np.linspace(0.0, 1.0, _CURVE)
    functions = {name: {"value": v, "stderr": s} for name, (v, s) in found.curve(shares).items()}
    # The driver has seen β E as its energy.
    functions["energy"] = {key: values / abs(beta) for key, values in functions["energy"].items()}
    functions["energy"]["value"] *= math.copysign(1.0, beta)
    known = [_exact(energy, share * beta) for share in shares[1:]]
    if all(value is not None for value in known):
        functions["log_z"]["exact"] = np.asarray([found.log_volume, *known], np.float64)
    return {"beta": shares * beta, "functions": functions}


def _exact(energy: AbstractEnergy, beta: float) -> float | None:
    try:
        return exact.log_z(Tempered(energy, jnp.asarray(beta, jnp.result_type(float))), max_states=_CHEAP_CURVE)
    except (NotTractable, Unreliable):
        return None


def save_free_energy(found: FreeEnergy, path: Path) -> None:
    """Write the results as JSON.

    Raises:
        RunError: The file cannot be written.
    """
    try:
        replace_file(path, (json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}.") from error
