"""The Gibbs variational principle: how far a density is from the law of an energy, in free energy."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from energax import exact
from energax._errors import ArgumentError, SpaceError
from energax._typing import PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.estimators import Estimate
from energax.evaluation._result import LogZ
from energax.random import choose
from energax.spaces import same_configurations

_SUSPECT = 4.9


def gibbs_gap(
    energy: AbstractEnergy,
    density: AbstractDensity,
    *,
    log_z: Estimate | LogZ | float | None = None,
    num_draws: int = 10_000,
    generator: str = "auto",
    key: PRNGKey,
) -> Estimate:
    """Estimate by how much the free energy of a density q exceeds that of the law ρ = exp(−E)/Z.

    gap = E_q E − S(q) − F = KL(q‖ρ) >= 0, with F = −log Z; it is zero for q = ρ alone. E_q E − S(q), the variational
    free energy, is an upper bound of F that needs no log Z, and is among the diagnostics.

    Exactness: unbiased, with the log Z that is given.
    Cost: one draw and one energy of each density, `num_draws` times; and `exact.log_z` where no log Z is given.

    Args:
        energy: E; hidden units are summed out.
        density: q, over the observed space.
        log_z: log Z: a number, or an estimate, whose error bar is added; by `exact.log_z` if None.
        num_draws: Draws of q.
        generator: As in `sample`.
        key: Typed random key.

    Returns:
        `Estimate` in nats; diagnostics ``mean_energy``, ``entropy`` and ``variational_free_energy``. Infinite, without
        an error bar, where q reaches configurations that E forbids. It warns of a gap that is negative.

    Raises:
        SpaceError: The two live on different spaces.
        NotTractable: log Z is not given, and cannot be computed.
        ArgumentError: Fewer than two draws, or an energy that is not a number.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax import densities, evaluation
        >>> narrow, wide = densities.Gaussian(jnp.zeros(1)), densities.Gaussian(jnp.zeros(1), 4.0)
        >>> found = evaluation.gibbs_gap(wide, narrow, key=jax.random.key(0))
        >>> bool(abs(found.value - 0.3181) < 4.9 * found.stderr)
        True

    References: [kullback1951].
    """
    if not same_configurations(density.space, observed_space(energy)):
        raise SpaceError(f"The density lives on {density.space}, the energy on {observed_space(energy)}.")
    if num_draws < 2:
        raise ArgumentError(f"An error bar needs two draws or more; num_draws is {num_draws}.")
    value, stderr = _number(exact.log_z(energy) if log_z is None else log_z)
    keys = jax.random.split(choose(key, generator), num_draws)
    energies, minus_log_q = (np.asarray(a, np.float64) for a in _at_draws(marginal(energy), density, keys))
    if np.isnan(energies).any() or np.isnan(minus_log_q).any() or np.isneginf(energies).any():
        raise ArgumentError("The energy or the density is not a number, or minus infinity, at a draw of the density.")
    if np.isposinf(energies).any():
        share = np.isposinf(energies).mean()
        why = f"forbidden: {100 * share:.3g} % of the draws of q have infinite energy, so that KL(q‖ρ) is infinite."
        return Estimate(math.inf, math.nan, num_draws, "gibbs", {}, (why,))
    bound = energies - minus_log_q
    gap = float(bound.mean()) + value
    error = math.hypot(float(np.std(bound, ddof=1)) / math.sqrt(num_draws), stderr)
    told = {
        "mean_energy": float(energies.mean()),
        "entropy": float(minus_log_q.mean()),
        "variational_free_energy": float(bound.mean()),
    }
    warnings = ()
    if gap < -_SUSPECT * error - 1e-4:
        warnings = (f"negative: KL(q‖ρ) cannot be {gap:.3g} ± {error:.2g}: the log Z that was given is too small.",)
    return Estimate(gap, error, num_draws, "gibbs", told, warnings)


@eqx.filter_jit
def _at_draws(energy: AbstractEnergy, density: AbstractDensity, keys: Array) -> tuple[Array, Array]:
    def one(key: PRNGKey) -> tuple[Array, Array]:
        x = density.draw(key=key)
        return energy(x), density(x)

    return jax.vmap(one)(keys)


def _number(log_z: Estimate | LogZ | float) -> tuple[float, float]:
    return (float(log_z), 0.0) if isinstance(log_z, int | float) else (log_z.value, log_z.stderr)
