"""Mean-field theories of any Ising model: the naive one, which bounds log Z, and that of Thouless and others (TAP)."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import entr

from energax._errors import ArgumentError, NotTractable, Unreliable
from energax.energies import AbstractEnergy, conditional_logits
from energax.exact._evaluate import in_precision
from energax.spaces import AbstractTwoValuedSpace

_MAX_SITES = 4096
_MAX_STEPS = 20_000
_SETTLED = 1e-12


@dataclasses.dataclass(frozen=True)
class MeanField:
    """A solution of mean-field equations.

    Attributes:
        log_z: Its log Z: for the naive theory a lower bound on the true one, for TAP an approximation.
        magnetisations: m_i = 2 P(second value at i) − 1, the mean spin; shape of the space.
        num_steps: Steps until it settled.
    """

    log_z: float
    magnetisations: np.ndarray
    num_steps: int


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """E(s) = constant − ½ s·J s − h·s on spins ±1."""

    constant: float
    couplings: np.ndarray
    fields: np.ndarray


def mean_field(energy: AbstractEnergy, *, theory: Literal["naive", "tap"] = "naive") -> MeanField:
    """Mean magnetisations and log Z of any energy of pairs of two-valued sites, by mean-field theory.

    The naive theory takes the best product law, by Gibbs' inequality a lower bound:

        log Z >= ½ m·J m + h·m + Σ_i S(m_i),   m_i = tanh(h_i + Σ_j J_ij m_j).

    TAP adds the reaction of each spin on itself, ½ Σ_{i<j} J_ij² (1 − m_i²)(1 − m_j²), the next term of an expansion in
    J; its equations have −m_i Σ_j J_ij² (1 − m_j²) beside the field.

    The equations are iterated with damping from the fields alone, from all spins up, all down, and from the sign
    pattern that the couplings favour most; the solution with the largest log Z is kept.

    Exactness: naive: a bound for any energy; exact as N → ∞ where every spin feels many weak couplings of one sign.
    TAP: exact as N → ∞ for Sherrington–Kirkpatrick glasses above the glass temperature.
    Cost: N + 1 conditional laws of all sites, then O(N²) a step.

    Args:
        energy: An energy of two-valued sites with couplings between pairs only, at most 4096 sites.
        theory: ``"naive"`` or ``"tap"``.

    Returns:
        `MeanField`.

    Raises:
        NotTractable: The sites have more than two values, are too many, or the energy has other terms than pairs.
        Unreliable: No start settled (TAP, deep in a glass).

    Example:
        >>> from energax import energies
        >>> found = mean_field(energies.Tempered(energies.curie_weiss(200), 1.5))
        >>> bool(abs(found.magnetisations[0] - 0.8586) < 0.005)
        True

    References:
        [thouless1977]
    """
    if theory not in ("naive", "tap"):
        raise ArgumentError(f'`theory` is "naive" or "tap", got {theory!r}.')
    with in_precision(energy, np.float64) as precise:
        pairs = _read(precise, type(energy).__name__)
    squares = pairs.couplings**2 if theory == "tap" else np.zeros_like(pairs.couplings)
    found = [s for s in (_settle(pairs, squares, start) for start in _starts(pairs)) if s is not None]
    if not found:
        raise Unreliable(f"The {theory} equations did not settle in {_MAX_STEPS} steps. Raise the temperature.")
    log_z, m, steps = max(found, key=lambda solution: solution[0])
    return MeanField(log_z, m.reshape(energy.space.struct.shape), steps)


def _read(energy: AbstractEnergy, name: str) -> _Pairs:
    """Couplings and fields from the conditional laws at N + 1 configurations, verified at one more."""
    space = energy.space
    if not isinstance(space, AbstractTwoValuedSpace) or space.num_sites > _MAX_SITES:
        raise NotTractable(f"Mean-field theory needs at most {_MAX_SITES} two-valued sites, got {space}.")
    count = space.num_sites
    second = np.ones((count + 2, count), bool)
    second[np.arange(count), np.arange(count)] = False
    second[count + 1] = np.arange(count) % 3 == 0
    values = np.where(second, space.values[1], space.values[0]).astype(space.struct.dtype)
    x = jnp.asarray(values.reshape(count + 2, *space.shape))
    logits = jax.lax.map(lambda one: conditional_logits(energy, one), x)
    local = 0.5 * np.asarray(logits, np.float64).reshape(count + 2, count)
    couplings = 0.5 * (local[count] - local[:count]).T
    couplings = 0.5 * (couplings + couplings.T)
    fields = local[count] - couplings.sum(axis=1)
    predicted = fields + couplings @ np.where(second[count + 1], 1.0, -1.0)
    if not np.allclose(predicted, local[count + 1], rtol=1e-8, atol=1e-8 * (1.0 + np.abs(local).max())):
        raise NotTractable(f"{name} has terms of more than two sites; mean-field theory is there for pairs.")
    constant = float(energy(x[count])) + 0.5 * couplings.sum() + fields.sum()
    return _Pairs(constant, couplings, fields)


def _starts(pairs: _Pairs) -> list[np.ndarray]:
    up = np.ones(len(pairs.fields))
    favoured = np.linalg.eigh(pairs.couplings)[1][:, -1]
    return [np.tanh(pairs.fields), 0.9 * up, -0.9 * up, 0.9 * np.sign(favoured + 1e-300)]


def _settle(pairs: _Pairs, squares: np.ndarray, m: np.ndarray) -> tuple[float, np.ndarray, int] | None:
    for step in range(1, _MAX_STEPS + 1):
        reaction = m * (squares @ (1.0 - m**2))
        new = 0.5 * m + 0.5 * np.tanh(pairs.fields + pairs.couplings @ m - reaction)
        change = float(np.max(np.abs(new - m)))
        m = new
        if change < _SETTLED:
            return _log_z(pairs, squares, m), m, step
    return None


def _log_z(pairs: _Pairs, squares: np.ndarray, m: np.ndarray) -> float:
    entropy = float(np.sum(entr(0.5 * (1.0 + m)) + entr(0.5 * (1.0 - m))))
    width = 1.0 - m**2
    reaction = 0.25 * float(width @ squares @ width)
    return 0.5 * float(m @ pairs.couplings @ m) + float(pairs.fields @ m) + entropy + reaction - pairs.constant
