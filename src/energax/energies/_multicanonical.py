"""Multicanonical weights: an energy that makes every bin of another energy about as likely as every other."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._errors import ArgumentError, ShapeError
from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import (
    conditional_logits,
    conditional_logits_at,
    discrete_part,
    logits_from_energies,
)
from energax.energies._marginal import marginal
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, AbstractTwoValuedSpace


class EnergyBins(eqx.Module):
    """Bins of equal width along an energy; what lies beyond either end belongs to the first or the last of them.

    Args:
        low: Lower edge of the first bin.
        width: Width of a bin.
        num_bins: How many there are, at least 2.
    """

    low: Scalar = eqx.field(converter=as_parameter)
    width: Scalar = eqx.field(converter=as_parameter)
    num_bins: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.num_bins < 2:
            raise ArgumentError(f"There must be at least 2 bins of the energy, got {self.num_bins}.")

    def __call__(self, energy: Float[Array, "..."]) -> Int[Array, "..."]:
        """The bin of an energy."""
        place = jnp.floor((energy - self.low) / self.width)
        return jnp.clip(place, 0, self.num_bins - 1).astype(jnp.int32)

    @property
    def centres(self) -> Float[Array, " bin"]:
        """The middle of each bin."""
        return self.low + self.width * (jnp.arange(self.num_bins) + 0.5)


class Multicanonical(AbstractEnergy):
    """A(x) = a(bin of E(x)): if a is the logarithm of the number of states of each bin, exp(−A) has a flat histogram.

    Any a gives a law, that of which a chain can be drawn exactly; draws count exp(a) states each, up to a constant,
    and with that weight they tell log Z of β E at any β (`estimators.weighted_histogram`). `sampling.wang_landau`
    finds an a that is good. States that E forbids (+inf) stay forbidden.

    Args:
        energy: E over discrete sites; of a latent energy the marginal of its observed part.
        bins: The bins of E.
        log_states: a, shape (num_bins,).

    Raises:
        KernelMismatch: The space is not discrete.
        ShapeError: There is not one weight for each bin.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> bins = energies.EnergyBins(-10.0, 4.0, 5)
        >>> flat = energies.Multicanonical(energies.Ising(2), bins, jnp.log(jnp.array([2.0, 1.0, 12.0, 1.0, 2.0])))
        >>> round(float(flat(jnp.array([[1, 1], [1, -1]], jnp.int8))), 4)
        2.4849

    References: [berg1992].
    """

    energy: AbstractEnergy
    bins: EnergyBins
    log_states: Float[Array, " bin"]

    def __init__(self, energy: AbstractEnergy, bins: EnergyBins, log_states: Float[Array, " bin"]) -> None:
        self.energy, self.bins = marginal(energy), bins
        self.log_states = as_parameter(log_states)
        discrete_part(self.energy, None)
        if self.log_states.shape != (bins.num_bins,):
            raise ShapeError(
                f"`log_states` has one number for each of {bins.num_bins} bins; given shape {self.log_states.shape}."
            )

    @property
    def space(self) -> AbstractSpace:
        return self.energy.space

    def __call__(self, x: Array) -> Scalar:
        return flat_energy(self.bins, self.look, self.energy(x))

    def look(self, index: Int[Array, "..."]) -> Float[Array, "..."]:
        """The weight of a bin."""
        return self.log_states[index]


def flat_energy(
    bins: EnergyBins, look: Callable[[Int[Array, "..."]], Float[Array, "..."]], energy: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The weight of an energy: that of its bin; an infinite energy, or none at all (NaN), stays what it is."""
    return jnp.where(jnp.isfinite(energy), look(bins(energy)), energy)


def energies_of_values(
    space: AbstractDiscreteSpace, energy: Scalar, logits: Float[Array, "..."], old: Array
) -> Float[Array, "... k"]:
    """E with each of the values of one site, or of every site: from E as it is and the logits of the sites.

    Args:
        space: What the values of a site are.
        energy: E of the configuration.
        logits: Logits of the sites, all others given.
        old: Their values.
    """
    if isinstance(space, AbstractTwoValuedSpace):
        logits = jnp.stack([jnp.zeros_like(logits), logits], axis=-1)
    same = old[..., None] == jnp.asarray(space.values)
    here = jnp.sum(jnp.where(same, logits, 0), axis=-1, keepdims=True)
    # What the configuration has now costs nothing, even if other values are forbidden.
    return energy + jnp.where(same, 0, here - logits)


def _flat_logits(energy: Multicanonical, logits: Float[Array, "..."], x: Array, old: Array) -> Float[Array, "..."]:
    space = discrete_part(energy, None)
    at_values = energies_of_values(space, energy.energy(x), logits, old)
    return logits_from_energies(space, flat_energy(energy.bins, energy.look, at_values))


@conditional_logits.register
def _(energy: Multicanonical, x: Array, part: str | None = None) -> Float[Array, "..."]:
    del part
    return _flat_logits(energy, conditional_logits(energy.energy, x), x, x)


@conditional_logits_at.register
def _(energy: Multicanonical, x: Array, site: Array) -> Float[Array, "..."]:
    return _flat_logits(energy, conditional_logits_at(energy.energy, x, site), x, x.reshape(-1)[site])
