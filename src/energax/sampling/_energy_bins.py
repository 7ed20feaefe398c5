"""The range of an energy and the bins to cut it into, found by heating and cooling."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError, Diverged
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, EnergyBins, Tempered, marginal, observed_space
from energax.kernels import HeatBath
from energax.random import choose
from energax.sampling._simulated_annealing import default_betas
from energax.sampling._starts import starts
from energax.sampling._steps import run_steps
from energax.spaces import AbstractDiscreteSpace

_NUM_CHAINS, _NUM_LEVELS = 64, 128
_NUM_BINS = 100
_MOST_LEVELS = 2000
"""The most levels that have a bin each."""
_MOST_PARTS = 12
_SIDES = ("all", "low", "high")


def energy_bins(
    energy: AbstractEnergy,
    *,
    low: float | None = None,
    high: float | None = None,
    width: float | None = None,
    side: str = "all",
    generator: str = "auto",
    key: PRNGKey,
) -> EnergyBins:
    """Bins that cover the energies of a discrete energy, one for each level where the levels are equally spaced.

    64 chains that start from the uniform law are cooled to β → ∞, and 64 to β → −∞, by heat bath; the energies that
    they met are the range. If all of them are multiples of one spacing apart, that is the width of the bins, and the
    levels lie in the middle of their bins. Energies that the chains did not meet belong to the first or the last bin.

    Cost: 128 sweeps of 128 chains.

    Args:
        energy: Energy over discrete sites; of a latent energy the marginal of its observed part.
        low: All energies up to here belong to the first bin; by default the lowest that was met.
        high: All energies from here on belong to the last bin; by default the highest that was met.
        width: Width of the bins; by default the spacing of the levels, or a hundredth of the range.
        side: ``"low"`` takes for `high` the mean of the uniform law, because a law with β > 0 has no use for what lies
            above; ``"high"`` takes it for `low`.
        generator: As in `sample`.
        key: Typed random key.

    Returns:
        `EnergyBins`.

    Raises:
        ArgumentError: The space is not discrete, the energy has one value only, or the numbers make no sense.
        Diverged: The energy is not finite somewhere.

    Example:
        >>> import jax
        >>> from energax import energies, sampling
        >>> bins = sampling.energy_bins(energies.Ising(4), key=jax.random.key(0))
        >>> float(bins.low), float(bins.width), bins.num_bins
        (-34.0, 4.0, 17)

    References: [wang2001].
    """
    if side not in _SIDES:
        raise ArgumentError(f'`side` must be "all", "low" or "high", got {side!r}.')
    if width is not None and not (math.isfinite(width) and width > 0):
        raise ArgumentError(f"`width` must be a positive number, got {width}.")
    met = _met(discrete(energy), key=choose(key, generator))
    mean = float(met[:, 0].mean())
    least = float(met.min()) if low is None else float(low)
    most = float(met.max()) if high is None else float(high)
    least, most = (mean if side == "high" else least), (mean if side == "low" else most)
    noise = 1e-5 * max(1.0, float(np.abs(met).max()))
    if float(np.ptp(met)) <= noise:
        raise ArgumentError(f"The energy is {met.min():g} everywhere: one level has no histogram.")
    if not most - least > noise:
        raise ArgumentError(f"The energies from low={least:g} to high={most:g} are no range; low must be below high.")
    spacing = _spacing(np.unique(met), noise) if width is None else None
    if width is None and spacing is not None and (most - least) / spacing <= _MOST_LEVELS:
        # A level lies in the middle of its bin.
        first = met.min() + spacing * round((least - met.min()) / spacing)
        return EnergyBins(first - 0.5 * spacing, spacing, max(2, round((most - first) / spacing) + 1))
    width = (most - least) / _NUM_BINS if width is None else width
    return EnergyBins(least, width, max(2, math.ceil((most - least) / width)))


def discrete(energy: AbstractEnergy) -> AbstractEnergy:
    """The energy of the observed part, whose sites are discrete.

    Raises:
        ArgumentError: They are not.
    """
    space = observed_space(energy)
    if not isinstance(space, AbstractDiscreteSpace):
        raise ArgumentError(
            f"A histogram of energies is flattened by moves of single discrete sites, which {space} has not; take "
            "replica exchange or annealing."
        )
    return marginal(energy)


def _met(energy: AbstractEnergy, *, key: PRNGKey) -> Float[np.ndarray, "chain level"]:
    """Energies of chains that are cooled, the first half of them towards low energies; first those at β = 0."""
    start_key, chain_key = jax.random.split(key)
    x = starts(energy.space, None, 2 * _NUM_CHAINS, key=start_key)
    first = np.asarray(_values(energy, x), np.float64)
    if not np.isfinite(first).all():
        raise Diverged(
            "The energy is not finite at some draws of the uniform law, and a histogram of it needs finite energies. "
            "Annealing can do without."
        )
    betas = np.ones(_NUM_LEVELS) if float(np.ptp(first)) == 0 else default_betas(energy, x, _NUM_LEVELS)
    sign = np.repeat([1.0, -1.0], _NUM_CHAINS)
    keys = jax.random.split(chain_key, 2 * _NUM_CHAINS)
    later = np.asarray(_cooled(energy, x, jnp.asarray(sign), jnp.asarray(betas, float), keys), np.float64)
    if not np.isfinite(later).all():
        raise Diverged("The energy is not finite at some configurations, and a histogram of it needs finite energies.")
    return np.concatenate([first[:, None], later], axis=1)


@eqx.filter_jit
def _values(energy: AbstractEnergy, x: Any) -> Array:
    return jax.vmap(energy)(x)


@eqx.filter_jit
def _cooled(energy: AbstractEnergy, x: Any, sign: Array, betas: Array, keys: Array) -> Array:
    def chain(x: Any, sign: Array, key: PRNGKey) -> Array:
        def level(x: Any, i: Array) -> tuple[Any, Array]:
            x, _, _ = run_steps(Tempered(energy, sign * betas[i]), HeatBath(), x, 1, key=jax.random.fold_in(key, i))
            return x, energy(x)

        return jax.lax.scan(level, x, jnp.arange(betas.size))[1]

    return jax.vmap(chain)(x, sign, keys)


def _spacing(levels: Float[np.ndarray, " level"], noise: float) -> float | None:
    """The spacing of which all differences of the levels are multiples, None where there is none."""
    gaps = np.diff(levels)
    gaps = gaps[gaps > noise]
    for parts in range(1, _MOST_PARTS + 1):
        spacing = float(gaps.min()) / parts
        if spacing < 20 * noise:
            return None
        steps = np.round((levels - levels[0]) / spacing)
        # The longest distance tells the spacing best.
        spacing = float(levels[-1] - levels[0]) / float(steps[-1])
        if np.abs(levels - levels[0] - spacing * np.round((levels - levels[0]) / spacing)).max() <= 2 * noise:
            return spacing
    return None
