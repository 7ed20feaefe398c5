"""Observables of a simulation: functions of the means of what each draw tells, with calibrated error bars."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import Unreliable
from energax.estimators import Estimate, chain_mean, tau

Draws = Mapping[str, Float[np.ndarray, "chain draw ..."]]


@dataclasses.dataclass(frozen=True)
class Observable:
    """A function of means of the draws at one temperature.

    Attributes:
        name: Its key in the results.
        terms: (draws, β, number of sites) → series (chain, draw) whose means enter.
        value: (means, β, number of sites) → the observable; differentiable with respect to the means.
    """

    name: str
    terms: Callable[[Draws, float, int], list[np.ndarray]]
    value: Callable[[Any, float, int], Any]

    def estimate(self, draws: Draws, beta: float, num_sites: int) -> Estimate:
        """The observable with the error bar of its linearisation f(ō) + Σ ∂f/∂ō_k (o_k − ō_k) along the chains.

        Correlations along the chain and between the terms are thereby accounted for; `diagnostics["tau"]` is None,
        with a warning, where the chain is too short to know it.
        """
        terms = np.stack([np.asarray(t, np.float64) for t in self.terms(draws, beta, num_sites)])
        means = terms.mean(axis=(1, 2))
        with jax.enable_x64(True):
            value, slope = jax.value_and_grad(lambda m: self.value(m, beta, num_sites))(jnp.asarray(means))
        series = float(value) + np.einsum("k,kcd->cd", np.asarray(slope), terms - means[:, None, None])
        found = chain_mean(series)
        notes, time = list(found.warnings), None
        try:
            time = tau(series).value
        except Unreliable as error:
            notes.append(f"{self.name}: {error}")
        return dataclasses.replace(found, diagnostics={**found.diagnostics, "tau": time}, warnings=tuple(notes))


def _energy(draws: Draws, beta: float, num_sites: int) -> list[np.ndarray]:
    return [draws["energy"] / num_sites]


def _energy_powers(draws: Draws, beta: float, num_sites: int) -> list[np.ndarray]:
    # About its mean, so that the difference of two large numbers keeps its digits.
    centred = draws["energy"] - draws["energy"].mean()
    return [centred, centred**2]


def _twist(draws: Draws, beta: float, num_sites: int) -> list[np.ndarray]:
    return [draws["stiffness"], draws["current_squared"]]


def _of(name: str) -> Observable:
    """The mean of a series."""
    return Observable(name, lambda draws, beta, num_sites: [draws[name]], _first)


def _magnetization_powers(draws: Draws, beta: float, num_sites: int) -> list[np.ndarray]:
    m = draws["magnetization"]
    return [np.abs(m), m**2, m**4]


def _overlap_powers(draws: Draws, beta: float, num_sites: int) -> list[np.ndarray]:
    """Powers of q = Σ_i s_i s'_i / N of the chains 0 and 1, 2 and 3 ...: independent pairs of one law."""
    words = draws["spins"].astype(np.uint32)
    last = 2 * (len(words) // 2)
    unequal = np.bitwise_count(words[0:last:2] ^ words[1:last:2]).sum(-1, dtype=np.int64)
    q = 1.0 - 2.0 * unequal / num_sites
    return [q**2, q**4]


def _first(means: Array, beta: float, num_sites: int) -> Array:
    return means[0]


def _heat_capacity(means: Array, beta: float, num_sites: int) -> Array:
    return beta**2 * (means[1] - means[0] ** 2) / num_sites


def _susceptibility(means: Array, beta: float, num_sites: int) -> Array:
    return beta * num_sites * (means[1] - means[0] ** 2)


def binder_cumulant(second: Any, fourth: Any) -> Any:
    """U = 1 − ⟨m⁴⟩ / 3⟨m²⟩²."""
    return 1.0 - fourth / (3.0 * second**2)


def _binder(means: Array, beta: float, num_sites: int) -> Array:
    return binder_cumulant(means[1], means[2])


def _overlap_susceptibility(means: Array, beta: float, num_sites: int) -> Array:
    return num_sites * means[0]


def _overlap_binder(means: Array, beta: float, num_sites: int) -> Array:
    return 0.5 * (3.0 - means[1] / means[0] ** 2)


def _helicity(means: Array, beta: float, num_sites: int) -> Array:
    return means[0] - beta * means[1]


ENERGY = (
    Observable("energy_per_site", _energy, _first),
    Observable("heat_capacity", _energy_powers, _heat_capacity),
)
MAGNET = (
    *ENERGY,
    Observable("magnetization_abs", _magnetization_powers, _first),
    Observable("susceptibility", _magnetization_powers, _susceptibility),
    Observable("binder_cumulant", _magnetization_powers, _binder),
)
ROTORS = (*MAGNET, Observable("helicity_modulus", _twist, _helicity), _of("vortex_density"))
GLASS = (
    *ENERGY,
    Observable("overlap_squared", _overlap_powers, _first),
    Observable("glass_susceptibility", _overlap_powers, _overlap_susceptibility),
    Observable("overlap_binder", _overlap_powers, _overlap_binder),
)
CLUSTER = (_of("energy"), _of("radius_of_gyration"))


def as_row(found: Estimate) -> dict[str, float | None]:
    """The numbers of an observable as JSON has them."""
    numbers = {
        "value": found.value,
        "stderr": found.stderr,
        "tau": found.diagnostics.get("tau"),
        "ess": found.num_effective,
    }
    return {name: None if v is None or not math.isfinite(v) else float(v) for name, v in numbers.items()}
