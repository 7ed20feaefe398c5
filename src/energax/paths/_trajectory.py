"""The checkpoints of a training run as a path: the model is annealed the way it was learned."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Interpolated, observed_space
from energax.paths._base import AbstractPath
from energax.spaces import same_configurations


class Trajectory(AbstractPath):
    """E_t = E(·; θ_t), with θ_t piecewise linear through the parameters of models of one kind, oldest first.

    Raising the inverse temperature of a trained model may cross a first-order transition, at which annealing loses
    modes. Training has gone around it: it lets modes part one after the other, in a model that knows them already.
    The way from the base to the first model is E_t = (1 − s) E_base + s E(·; θ_0).

    Between two models whose energy is linear in the parameters (restricted and other Boltzmann machines, Ising and
    Potts models) the energy is interpolated, hidden units shared, so that every E_t is a machine with all its kernels.
    Other energies are what their parameters between two checkpoints make them; log Z at t = 1 does not depend on it.

    Args:
        base: p_0, a density over the observed space: what the first model nearly is.
        energies: Models of one structure, oldest first; the last one is the target.
        ts: Where the path meets each of them, in (0, 1], increasing to 1; equally spaced by default. Drivers put levels
            where the path moves fast, whatever it is.

    Raises:
        ArgumentError: No models, models that differ in more than their parameters, or `ts` that make no sense.
        SpaceError: Base and models live on different spaces.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import densities, energies, paths
        >>> grown = [energies.Ising(3, coupling=j) for j in (0.1, 0.3)]
        >>> path = paths.Trajectory(densities.Uniform(grown[0].space), grown)
        >>> spins = jnp.ones((3, 3), jnp.int8)
        >>> round(float(path.at(jnp.asarray(0.75))(spins)), 3)
        -3.6

    References:
        [bereux2025]
    """

    base: AbstractDensity
    models: AbstractEnergy
    ts: Float[Array, " model"]

    def __init__(self, base: AbstractDensity, energies: Sequence[AbstractEnergy], ts: ArrayLike | None = None) -> None:
        if not energies:
            raise ArgumentError("A trajectory needs at least one model, the target.")
        places = np.arange(1, len(energies) + 1) / len(energies) if ts is None else np.asarray(ts, np.float64)
        if places.shape != (len(energies),) or places[0] <= 0 or places[-1] != 1 or np.any(np.diff(places) <= 0):
            raise ArgumentError(
                f"`ts` must increase from above 0 to 1, one for each of {len(energies)} models; got {ts}."
            )
        target = energies[-1]
        if not same_configurations(base.space, observed_space(target)):
            raise SpaceError(
                f"The base lives on {base.space}, the models on {observed_space(target)}; they must agree."
            )
        self.base, self.models, self.ts = base, _stacked(energies), jnp.asarray(places, jnp.result_type(float))

    @property
    def start(self) -> AbstractDensity:
        return self.base

    def at(self, t: Scalar) -> AbstractEnergy:
        last = self.ts.size - 1
        place = jnp.interp(jnp.asarray(t, self.ts.dtype), self.ts, jnp.arange(last + 1, dtype=self.ts.dtype))
        low = jnp.clip(jnp.floor(place).astype(int), 0, max(last - 1, 0))
        model = jax.tree.map(functools.partial(_between, low, min(last, 1), place - low), self.models)
        return Interpolated(self.base, model, jnp.minimum(t / self.ts[0], 1.0))


def _between(low: Array, step: int, share: Scalar, leaf: Any) -> Any:
    """A parameter between two models; one that is no number of the models is left alone."""
    if not eqx.is_inexact_array(leaf):
        return leaf
    weight = share.astype(leaf.dtype)
    return (1 - weight) * leaf[low] + weight * leaf[low + step]


def _stacked(energies: Sequence[AbstractEnergy]) -> AbstractEnergy:
    """One energy whose real parameters have a leading axis; everything else has to be the same in all."""
    parts = [eqx.partition(energy, eqx.is_inexact_array) for energy in energies]
    shapes = [[leaf.shape for leaf in jax.tree.leaves(numbers)] for numbers, _ in parts]
    for (_, rest), shape in zip(parts, shapes, strict=True):
        if shape != shapes[-1] or not bool(eqx.tree_equal(rest, parts[-1][1])):
            raise ArgumentError(
                "The models of a trajectory must differ in their parameters alone: checkpoints of one run, which "
                "training.load_energy reads."
            )
    return eqx.combine(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *(numbers for numbers, _ in parts)), parts[-1][1]
    )
