"""Simulations of named models and of a user's own energy at one or several temperatures and sizes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.stats import ttest_ind

from energax.energies import observed_space
from energax.runs._chains import Chains, Chamber, Progress
from energax.runs._crossings import critical_point
from energax.runs._observables import as_row
from energax.runs._pieces import Pieces
from energax.runs._simulated import SimulatedModel
from energax.runs._simulated_log_z import SimulatedLogZ, simulated_log_z
from energax.runs._simulation_plan import SimulationPlan
from energax.runs._summary import plain

_CURVE_POINTS = 101
_FALSE_ALARM = 0.001
"""Of the search for hysteresis, at one temperature."""
"""Temperatures at which an exact curve is drawn."""


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What a simulation found.

    Attributes:
        model: Name of the model, or of the user's energy.
        settings: Everything that repeats it.
        points: For each size and temperature `size`, `temperature`, `beta`, the observables, `accept_prob`, `r_hat`.
        num_mixed: How many of the points have numbers without a warning.
        exact: Exact values of observables at each point, empty where none are known.
        curves: For each size exact values on a fine grid of temperatures, by observable and under ``temperature``.
        ladders: For each size what the swaps of temperatures did; empty without exchange.
        critical: The transition: ``exact``, ``crossings`` of Binder cumulants, and their limit ``extrapolated``.
        log_z: For each size that ran to its end log Z at each temperature; the JSON has its points as ``free_energy``.
        pictures: The last configurations of the first chain of the largest size at each temperature, None where they
            are no pictures.
        values: The values between which pictures are drawn.
        chain_energy: Energies along the chains at each point.
        warnings: Sentences for the reader.
        result: ``"successful"`` or ``"interrupted"``.
    """

    model: str
    settings: dict[str, Any]
    points: list[dict[str, Any]]
    num_mixed: int
    exact: list[dict[str, float]]
    curves: list[dict[str, Any]]
    ladders: list[dict[str, Any]]
    critical: dict[str, Any]
    log_z: list[SimulatedLogZ]
    pictures: list[np.ndarray] | None
    values: tuple[float, float] | None
    chain_energy: list[np.ndarray]
    warnings: list[str]
    result: str

    def to_json(self) -> dict[str, Any]:
        """The results without arrays; infinities and NaN become None."""
        names = ("model", "result", "settings", "points", "exact", "ladders", "critical")
        told = {name: getattr(self, name) for name in names}
        told["free_energy"] = [point for one in self.log_z for point in one.points]
        return plain(
            {**told, "free_energy_notes": [one.note for one in self.log_z if one.note], "warnings": self.warnings}
        )


def simulate(plan: SimulationPlan, *, directory: Path | None = None, progress: Progress | None = None) -> Simulation:
    """Run the chains of a plan, size after size.

    A fifth of the sweeps, and 100 at least where a step size is tuned, is warm-up at every temperature. Finished pieces
    are kept in the directory: the same plan with the same directory goes on behind them, and finds what it would have
    found without the interruption. An interrupt from the keyboard returns what is done, if anything is.

    Args:
        plan: From `plan_simulation`.
        directory: Where pieces are kept; in memory only without it.
        progress: Called with (stage, done, total).

    Raises:
        KernelMismatch: The kernel does not fit the model.
        KeyboardInterrupt: Before anything could be measured.
        RunError: The directory cannot be written to, or it began with another file of an energy.
    """
    system = plan.system if directory is None else plan.open(directory)
    pieces = Pieces(None if directory is None else directory / "pieces")
    chambers = [Chamber(plan, system, size, pieces) for size in plan.sizes]
    found: dict[Chamber, dict[float, Chains]] = {}
    log_z: list[SimulatedLogZ] = []
    critical, result = {"exact": system.critical, "crossings": [], "exponent": None, "extrapolated": None}, "successful"
    try:
        for chamber in chambers:
            chamber.run(progress)
        found = {chamber: chamber.chains() for chamber in chambers}
        critical = critical_point(found, system, progress)
        for chamber, chains in found.items():
            log_z.append(simulated_log_z(chamber, chains, progress))
    except KeyboardInterrupt:
        result = "interrupted"
        found = found or {chamber: chamber.chains() for chamber in chambers}
    if not any(found.values()):
        raise KeyboardInterrupt
    return _collect(plan, system, found, critical, log_z, result)


def _collect(
    plan: SimulationPlan,
    system: SimulatedModel,
    found: dict[Chamber, dict[float, Chains]],
    critical: dict[str, Any],
    log_z: list[SimulatedLogZ],
    result: str,
) -> Simulation:
    points, exact, traces, warnings = [], [], [], []
    for chamber, chains in found.items():
        for t in (t for t in plan.temperatures if t in chains):
            point, poor = _point(chamber, t, chains[t])
            points.append(point)
            warnings += poor
            known = chamber.size is not None and system.exact is not None
            exact.append(system.exact(chamber.size, t) if known else {})  # pyright: ignore[reportOptionalCall,reportArgumentType]
            traces.append(chains[t].draws["energy"])
    num_mixed = len(points) - len(warnings)
    done = [chamber for chamber, chains in found.items() if chains]
    if result == "interrupted":
        warnings.insert(0, f"Interrupted: what is here comes from {_share(plan, found)}.")
    elif system.crosses and len(critical["crossings"]) < len(plan.sizes) - 1:
        warnings.append(
            "The Binder cumulants of some sizes do not cross between these temperatures: put the transition between "
            "them, or run longer."
        )
    largest = [found[done[-1]][t] for t in plan.temperatures if t in found[done[-1]]]
    pictures = None if system.values is None else [system.shown(np.asarray(c.picture, np.float64)) for c in largest]
    ladders = [{"size": c.size, **t.to_json()} for c in done if (t := c.traffic()) is not None]
    curves = [curve for c in done if (curve := _exact_curve(system, c.size, list(found[c])))]
    settings = {**dataclasses.asdict(plan), "num_warmup": done[0].num_warmup, "generator": largest[0].generator}
    return Simulation(
        plan.name,
        settings,
        points,
        num_mixed,
        exact,
        curves,
        ladders,
        critical,
        log_z,
        pictures,
        system.values,
        traces,
        warnings,
        result,
    )


def _point(chamber: Chamber, t: float, chains: Chains) -> tuple[dict[str, Any], list[str]]:
    """The numbers at one size and temperature, and what is to be said about them."""
    space = observed_space(chamber.energy)
    num_sites = int(sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(space.struct)))
    found = {o.name: o.estimate(chains.draws, 1.0 / t, num_sites) for o in chamber.system.observables}
    point = {
        "size": chamber.size,
        "temperature": t,
        "beta": 1.0 / t,
        **{key: as_row(value) for key, value in found.items()},
        "accept_prob": chains.accept_prob,
        "r_hat": max((e.diagnostics.get("r_hat", 1.0) for e in found.values()), default=1.0),
    }
    where = f"T = {t:.4g}" if len(chamber.plan.sizes) == 1 else f"L = {chamber.size}, T = {t:.4g}"
    if chamber.system.renew is not None and _branches(chains.draws["energy"]):
        return point, [
            f"{where}: hysteresis. Chains that began in order and others that were cooled have different energies, as "
            "at a transition of first order: neither branch is known to be the stable one. More sweeps can help; "
            "energax free-energy --method multicanonical goes across it."
        ]
    poor = [key for key, value in found.items() if value.warnings]
    if not poor:
        return point, []
    names = ", ".join(name.replace("_", " ") for name in poor)
    return point, [f"{where}: do not lean on {names}: {found[poor[0]].warnings[0]}"]


def _branches(energies: np.ndarray) -> bool:
    """Whether every other chain, which began in order, has another energy than the rest (Welch's test)."""
    ordered, others = energies[::2].mean(axis=1), energies[1::2].mean(axis=1)
    if len(others) < 2 or np.ptp(np.concatenate([ordered, others])) == 0:
        return False
    found: Any = ttest_ind(ordered, others, equal_var=False)
    return bool(found.pvalue < _FALSE_ALARM)


def _share(plan: SimulationPlan, found: dict[Chamber, dict[float, Chains]]) -> str:
    """How much of what was asked is there."""
    done, asked = sum(map(len, found.values())), len(plan.temperatures) * len(plan.sizes)
    draws = [c.draws["energy"].shape[1] for chains in found.values() for c in chains.values()]
    short = f", {min(draws)} sweeps or more of {plan.num_sweeps} at each" if min(draws) < plan.num_sweeps else ""
    what = "temperatures" if len(plan.sizes) == 1 else "points"
    return f"{done} of {asked} {what}{short}"


def _exact_curve(system: SimulatedModel, size: int | None, ts: list[float]) -> dict[str, Any]:
    if system.exact is None or size is None or len(ts) < 2:
        return {}
    fine = np.linspace(min(ts), max(ts), _CURVE_POINTS).tolist()
    values = [system.exact(size, t) for t in fine]
    return (
        {"size": size, "temperature": fine, **{name: [v[name] for v in values] for name in values[0]}}
        if values[0]
        else {}
    )


def save_simulation(simulation: Simulation, path: Path) -> None:
    """Write the results as JSON."""
    path.write_text(json.dumps(simulation.to_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
