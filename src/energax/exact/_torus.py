"""The two-dimensional Ising model on a torus: Kaufman's partition function and its derivatives."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from energax._errors import ArgumentError
from energax.energies import AbstractEnergy, observed_space, uniform_lattice
from energax.spaces import Spins


@dataclasses.dataclass(frozen=True)
class IsingTorus:
    """Exact numbers of an Ising ferromagnet without field on a torus.

    Attributes:
        log_z: Log Z.
        energy_per_site: Mean of E(s) = −Σ_<ij> s_i s_j, divided by the number of sites.
        heat_capacity_per_site: β² Var E, divided by the number of sites.
    """

    log_z: float
    energy_per_site: float
    heat_capacity_per_site: float


class _Term(NamedTuple):
    """exp(scale) · value as a function of K, with the first two derivatives of the value at a fixed scale."""

    scale: float
    value: float
    first: float
    second: float


def ising_torus(shape: tuple[int, int], beta: float) -> IsingTorus:
    """Log Z, energy and heat capacity of Tempered(Ising(shape), beta), which has no field, in float64.

    Z = ½ (2 sinh 2K)^(LM/2) (Π 2 cosh Mγ_{2r+1}/2 + Π 2 sinh Mγ_{2r+1}/2 + Π 2 cosh Mγ_{2r}/2 + Π 2 sinh Mγ_{2r}/2),
    products over r = 0 ... L − 1, K = β, cosh γ_k = cosh² 2K / sinh 2K − cos(πk/L), and γ_0 = 2K + ln tanh K, which is
    negative in the disordered phase. On an axis of length 2 each pair counts twice, as in `energies.Ising`.

    Exactness: closed form; 12 digits or more.

    Cost: O(L).

    Args:
        shape: Lengths (L, M) of the axes, each at least 2.
        beta: Inverse temperature times coupling, positive.

    Returns:
        The numbers as `IsingTorus`.

    Raises:
        ArgumentError: Lengths below 2, or a β that is not positive.

    Example:
        >>> round(ising_torus((3, 3), 0.2).log_z, 6)
        6.669745

    References:
        [kaufman1949]
    """
    length, width = (int(n) for n in shape)
    if min(length, width) < 2 or not (beta > 0 and math.isfinite(beta)):
        raise ArgumentError(f"The torus needs axes of length 2 or more and beta > 0, got shape={shape}, beta={beta}.")
    odd, even = (_gammas(beta, np.arange(start, 2 * length, 2), length) for start in (1, 0))
    terms = [_product(gammas, width, sign) for gammas in (odd, even) for sign in (1, -1)]
    top = max(term.scale for term in terms)
    total, first, second = (
        sum(math.exp(term.scale - top) * part for term, part in zip(terms, parts, strict=True))
        for parts in ([t.value for t in terms], [t.first for t in terms], [t.second for t in terms])
    )
    sites, coth = length * width, 1.0 / math.tanh(2 * beta)
    log_sinh = 2 * beta + math.log(-math.expm1(-4 * beta))
    log_z = -math.log(2.0) + 0.5 * sites * log_sinh + top + math.log(total)
    slope = sites * coth + first / total
    curvature = 2 * sites * (1 - coth**2) + second / total - (first / total) ** 2
    return IsingTorus(log_z, -slope / sites, beta**2 * curvature / sites)


def _gammas(k: float, index: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """γ and its first two derivatives in K."""
    sinh, cosh = math.sinh(2 * k), math.cosh(2 * k)
    c1 = 2 * cosh * (1 - 1 / sinh**2)
    c2 = 4 * sinh * (1 - 1 / sinh**2) + 8 * cosh**2 / sinh**3
    # cosh γ − 1 in a form that keeps its digits where γ is small.
    excess = (sinh - 1) ** 2 / sinh + 2 * np.sin(0.5 * np.pi * index / length) ** 2
    root = np.sqrt(excess * (excess + 2))
    gamma = np.log1p(excess + root)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = c1 / root
        second = (c2 - first**2 * (1 + excess)) / root
    flat = index == 0
    gamma[flat], first[flat], second[flat] = 2 * k + math.log(math.tanh(k)), 2 + 2 / sinh, -4 * cosh / sinh**2
    return gamma, first, second


def _product(gammas: tuple[np.ndarray, np.ndarray, np.ndarray], width: int, sign: int) -> _Term:
    """Π (e^u + sign e^(−u)) with u = Mγ/2; a factor that may vanish is kept apart from the logarithms."""
    u, u1, u2 = (0.5 * width * part for part in gammas)
    size = np.abs(u)
    here = np.exp(u - size) + sign * np.exp(-u - size)
    there = np.exp(u - size) - sign * np.exp(-u - size)
    scale, value, first, second = float(size.sum()), 1.0, 0.0, 0.0
    for f, f1, f2 in zip(here, there * u1, here * u1**2 + there * u2, strict=True):
        value, first, second = value * f, first * f + value * f1, second * f + 2 * first * f1 + value * f2
        # Factors near two would overflow for thousands of rows.
        scale, value, first, second = scale + math.log(2.0), value / 2, first / 2, second / 2
    return _Term(scale, value, first, second)


def torus_log_z(energy: AbstractEnergy) -> float | None:
    """Log Z of any energy that is known to be Ising's without field on a square torus, up to a constant; else None.

    A negative coupling is a positive one with every other spin turned over, where both axes are even.
    """
    lattice, space = uniform_lattice(energy), observed_space(energy)
    if lattice is None or lattice.coupling is None or lattice.negative is not None or len(lattice.shape) != 2:
        return None
    coupling, (rows, columns) = float(lattice.coupling), lattice.shape
    if float(lattice.field) != 0.0 or coupling == 0.0 or (coupling < 0 and (rows % 2 or columns % 2)):
        return None
    assert isinstance(space, Spins)
    constant = float(energy(jnp.ones(space.shape, space.struct.dtype))) + 2 * rows * columns * coupling
    return ising_torus((rows, columns), abs(coupling)).log_z - constant
