"""Simulations of named models and of a user's own energy at one or several temperatures."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax._errors import ArgumentError, EnergaxError, nearest
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, Tempered, observed_space
from energax.kernels import AbstractStepSizeKernel, suggestions
from energax.runs._kernels import KERNELS
from energax.runs._observables import ENERGY, MAGNET, as_row
from energax.runs._registry import entry
from energax.runs._series import magnetization, nothing
from energax.runs._simulated import SIMULATED, SimulatedModel, potts
from energax.runs._summary import plain
from energax.sampling import Samples, StepSizeAdaptation, sample
from energax.spaces import AbstractTwoValuedSpace

_TUNED_STEPS = 100
"""Sweeps of warm-up, at least, where a step size has to be found."""

_LEAST_SWEEPS = 8
"""Fewer tell nothing of an error."""

_CURVE_POINTS = 101
"""Temperatures at which an exact curve is drawn."""


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What a simulation found.

    Attributes:
        model: Name of the model, or of the user's energy.
        settings: Everything that repeats it.
        points: For each temperature `temperature`, `beta`, the observables, `accept_prob` and `r_hat`.
        exact: Exact values of observables at each temperature, empty where none are known.
        curve: Exact values on a fine grid of temperatures, by observable and under ``temperature``.
        pictures: The last configurations of the first chain at each temperature, None where they are no pictures.
        values: The values between which pictures are drawn.
        chain_energy: Energies along the chains at each temperature.
        warnings: Sentences for the reader.
        result: ``"successful"`` or ``"interrupted"``.
    """

    model: str
    settings: dict[str, Any]
    points: list[dict[str, Any]]
    exact: list[dict[str, float]]
    curve: dict[str, list[float]]
    pictures: list[np.ndarray] | None
    values: tuple[float, float] | None
    chain_energy: list[np.ndarray]
    warnings: list[str]
    result: str

    def to_json(self) -> dict[str, Any]:
        """The results without arrays; infinities and NaN become None."""
        names = ("model", "result", "settings", "points", "exact", "warnings")
        return plain({name: getattr(self, name) for name in names})


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


def simulated_model(
    model: str | None, energy: str | None, size: int | None, q: int | None = None
) -> tuple[str, SimulatedModel, int | None]:
    """The name, the model and its size that a command line asks for; q is the number of values of a Potts site.

    Raises:
        ArgumentError: The name is unknown, or the size makes no sense.
    """
    if (model is None) == (energy is None):
        raise ArgumentError(f"Name a model or give --energy file.py:name, one of them. {nearest('', SIMULATED)}")
    if q is not None and (model != "potts" or q < 2):
        raise ArgumentError(f"--q belongs to potts and must be 2 or more, got {q} with {model or energy}.")
    if energy is not None:
        if size is not None:
            raise ArgumentError("--size belongs to named models; an energy of your own has its size already.")
        return energy, _own(load_energy(energy)), None
    assert model is not None
    if model not in SIMULATED:
        raise ArgumentError(f"Unknown model {model!r}. {nearest(model, SIMULATED)}")
    known = SIMULATED[model] if q is None else potts(q)
    if size is not None and (known.size is None or size < known.smallest):
        least = "comes in one size" if known.size is None else f"needs --size of {known.smallest} or more"
        raise ArgumentError(f"{model} {least}, got {size}.")
    return model, known, known.size if size is None else size


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


def simulate(
    name: str,
    model: SimulatedModel,
    size: int | None,
    ts: list[float],
    *,
    key: PRNGKey,
    kernel: str | None = None,
    num_sweeps: int = 2000,
    num_chains: int = 8,
    progress: Callable[[str, int, int], None] | None = None,
) -> Simulation:
    """Run chains at each temperature, from the hottest to the coldest, each beginning where the last one ended.

    A fifth of the sweeps, and 100 at least where a step size is tuned, is warm-up at every temperature. An interrupt
    from the keyboard keeps the temperatures that are done, if there are any.

    Raises:
        ArgumentError: Counts that make no sense, an unknown kernel.
        KernelMismatch: The kernel does not fit the model.
    """
    if num_sweeps < _LEAST_SWEEPS or num_chains < 1:
        raise ArgumentError(
            f"--num-sweeps must be {_LEAST_SWEEPS} or more and --num-chains 1 or more, got {num_sweeps}, {num_chains}."
        )
    named = entry("kernel", kernel or model.kernel)
    mover, energy = named.build(named.config()), model.build(size)
    adapt = StepSizeAdaptation() if isinstance(mover, AbstractStepSizeKernel) and mover.exact else None
    warm_up = max(num_sweeps // 5, _TUNED_STEPS if adapt is not None else 1)
    runs: dict[float, Samples] = {}
    x = None if model.start is None else model.start(energy, num_chains, jax.random.fold_in(key, len(ts)))
    result = "successful"
    ordered = sorted(ts, reverse=True)
    try:
        for i, t in enumerate(ordered):
            if progress is not None:
                progress(f"T = {t:.4g}", i, len(ordered))
            runs[t] = sample(
                Tempered(energy, jnp.asarray(1.0 / t, float)), mover, x, key=jax.random.fold_in(key, i),
                num_steps=num_sweeps, num_chains=num_chains if x is None else None, num_warmup=warm_up, adapt=adapt,
                save=model.save,
            )  # fmt: skip
            mover, x = runs[t].kernel, runs[t].last
            if runs[t].result == "interrupted":
                if runs[t].energy.shape[1] < _LEAST_SWEEPS:
                    del runs[t]
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        result = "interrupted"
    done = [t for t in ts if t in runs]
    if not done:
        raise KeyboardInterrupt
    settings = {"size": size, "kernel": named.name, "num_sweeps": num_sweeps, "num_warmup": warm_up}
    settings |= {"num_chains": num_chains, "temperatures": ts, "generator": runs[done[0]].settings["generator"]}
    return _collect(name, model, size, energy, {t: runs[t] for t in done}, settings, result)


def _collect(
    name: str,
    model: SimulatedModel,
    size: int | None,
    energy: AbstractEnergy,
    runs: Mapping[float, Samples],
    settings: dict[str, Any],
    result: str,
) -> Simulation:
    num_sites = int(sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(observed_space(energy).struct)))
    points, warnings, traces, pictures = [], [], [], []
    if result == "interrupted":
        warnings.append(
            f"Interrupted: {len(runs)} of {len(settings['temperatures'])} temperatures are here, the last of them "
            "perhaps cut short. For the others run it again with their --temperature and another --out."
        )
    for t, run in runs.items():
        # The chain saw βE.
        draws = {"energy": np.asarray(run.energy, np.float64) * t, **(run.x or {})}
        found = {o.name: o.estimate(draws, 1.0 / t, num_sites) for o in model.observables}
        points.append(
            {
                "temperature": t,
                "beta": 1.0 / t,
                **{key: as_row(value) for key, value in found.items()},
                "accept_prob": float(run.accept_prob.mean()),
                "r_hat": max((e.diagnostics.get("r_hat", 1.0) for e in found.values()), default=1.0),
            }
        )
        poor = [key for key, value in found.items() if value.warnings]
        if poor:
            warnings.append(f"T = {t:.4g}: do not lean on {', '.join(poor)}: {found[poor[0]].warnings[0]}")
        traces.append(draws["energy"])
        pictures.append(model.shown(np.asarray(jax.tree.leaves(run.last)[0][0], np.float64)))
    exact = [{} if model.exact is None or size is None else model.exact(size, t) for t in runs]
    curve = _exact_curve(model, size, list(runs))
    shown = None if model.values is None else pictures
    return Simulation(name, settings, points, exact, curve, shown, model.values, traces, warnings, result)


def _exact_curve(model: SimulatedModel, size: int | None, ts: list[float]) -> dict[str, list[float]]:
    if model.exact is None or size is None or len(ts) < 2:
        return {}
    fine = np.linspace(min(ts), max(ts), _CURVE_POINTS).tolist()
    values = [model.exact(size, t) for t in fine]
    return {"temperature": fine, **{name: [v[name] for v in values] for name in values[0]}}


def save_simulation(simulation: Simulation, path: Path) -> None:
    """Write the results as JSON."""
    path.write_text(json.dumps(simulation.to_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
