"""The Curie–Weiss ferromagnet: a sum over the magnetisation, and its limit."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import gammaln, logsumexp

from energax._errors import ArgumentError


@dataclasses.dataclass(frozen=True)
class CurieWeiss:
    """Exact numbers of a Curie–Weiss ferromagnet of finite size.

    Attributes:
        log_z: Log Z.
        energy_per_site: Mean of E / N.
        heat_capacity_per_site: β² Var E / N.
        magnetisation: Mean of M / N.
        abs_magnetisation: Mean of |M| / N.
        susceptibility: β Var M / N, the derivative of the magnetisation in the field.
    """

    log_z: float
    energy_per_site: float
    heat_capacity_per_site: float
    magnetisation: float
    abs_magnetisation: float
    susceptibility: float


def curie_weiss(num_sites: int, beta: float, *, coupling: float = 1.0, field: float = 0.0) -> CurieWeiss:
    """Exact numbers of Tempered(energies.curie_weiss(N), β): Z = Σ_M binom(N, (N + M)/2) e^{−βE(M)}.

    E(M) = −J (M² − N)/2N − H M, the sum over M = −N, −N + 2 ... N.

    Exactness: to rounding.
    Cost: O(N).

    Args:
        num_sites: N >= 1.
        beta: Inverse temperature, any finite number.
        coupling: J, of either sign.
        field: H.

    Returns:
        The numbers as `CurieWeiss`.

    Raises:
        ArgumentError: No site, or a number that is not finite.

    Example:
        >>> round(curie_weiss(2, 1.0).log_z, 9) == round(math.log(2 * math.exp(0.5) + 2 * math.exp(-0.5)), 9)
        True
    """
    if num_sites < 1 or not all(map(math.isfinite, (beta, coupling, field))):
        raise ArgumentError(
            f"Curie–Weiss needs a site and finite numbers, got num_sites={num_sites}, beta={beta}, "
            f"coupling={coupling}, field={field}."
        )
    up = np.arange(num_sites + 1)
    m = 2.0 * up - num_sites
    energy = -0.5 * coupling * (m**2 - num_sites) / num_sites - field * m
    log_count = gammaln(num_sites + 1) - gammaln(up + 1) - gammaln(num_sites - up + 1)
    log_z = float(np.asarray(logsumexp(log_count - beta * energy)))
    law = np.exp(log_count - beta * energy - log_z)
    mean_e, mean_m = float(law @ energy), float(law @ m)
    return CurieWeiss(
        log_z=log_z,
        energy_per_site=mean_e / num_sites,
        heat_capacity_per_site=beta**2 * float(law @ (energy - mean_e) ** 2) / num_sites,
        magnetisation=mean_m / num_sites,
        abs_magnetisation=float(law @ np.abs(m)) / num_sites,
        susceptibility=beta * float(law @ (m - mean_m) ** 2) / num_sites,
    )


def curie_weiss_magnetisation(beta: float, *, coupling: float = 1.0, field: float = 0.0) -> float:
    """The magnetisation as N → ∞: the largest solution of m = tanh(β (J m + H)), for J >= 0 and H >= 0.

    Without a field it is 0 up to βJ = 1 and the spontaneous magnetisation above.

    Raises:
        ArgumentError: A negative or non-finite number.

    Example:
        >>> round(curie_weiss_magnetisation(1.5), 10)
        0.8585596366
    """
    if not all(0.0 <= number < math.inf for number in (beta, coupling, field)):
        raise ArgumentError(
            f"The limit needs numbers >= 0, got beta={beta}, coupling={coupling}, field={field}; turn all "
            "spins over for a negative field."
        )
    if field == 0.0 and beta * coupling <= 1.0:
        return 0.0
    # m − tanh is convex for m > 0 and negative just above 0, so that this bracket holds one root.
    lowest = 0.0 if field > 0.0 else math.sqrt(max(1.0 - 1.0 / (beta * coupling), 0.0)) * 1e-3
    found = root_scalar(
        lambda m: m - math.tanh(beta * (coupling * m + field)), bracket=(lowest, 1.0), xtol=1e-15, rtol=1e-14
    )
    return float(found.root)
