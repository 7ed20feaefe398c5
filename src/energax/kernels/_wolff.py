"""Wolff: one cluster is grown from a site chosen at random, and turned."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, Bonds
from energax.kernels._base import AbstractKernel, StepInfo
from energax.kernels._metropolis import select
from energax.kernels._swendsen_wang import (
    BondLaw,
    ClusterState,
    as_clusters,
    bond_law,
    from_indices,
    gains_of_turns,
    is_law,
    label_clusters,
)


class Wolff(AbstractKernel):
    """Leaves exp(−E) invariant: the cluster of one random site turns to another value.

    Bonds are those of `SwendsenWang`; the cluster that holds a site chosen uniformly takes one of its q − 1 other
    turns, also chosen uniformly. Without fields it always does; with them it is accepted with probability
    min(1, exp(Σ_i F_i(x_i + s) − F_i(x_i))). Large clusters are chosen more often than small ones, so that a step
    near a critical point decorrelates as well as one of Swendsen–Wang, or better.

    Exactness: invariant, for couplings of any sign and any fields; at most one cluster moves in a step. A step that
    meets a coupling or a field that is not finite is rejected and counted.

    Cost: as a step of Swendsen–Wang, because arrays of fixed shape label all clusters to find one; away from
    critical points, where clusters are small, that one is the better choice.

    References:
        [wolff1989]
    """

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"bonds"})

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> ClusterState:
        del energy, key
        return ClusterState(x)

    def refresh(self, energy: AbstractEnergy, state: ClusterState) -> ClusterState:
        del energy
        return state

    def bond_law(self, model: Bonds, old: Int[Array, " sites"]) -> BondLaw:
        """The law of the bonds given the values of the sites, counted from 0."""
        return bond_law(model, old)

    def turned(
        self, model: Bonds, old: Int[Array, " sites"], active: Bool[Array, " bonds"], seed: Array, turn: Array
    ) -> tuple[Int[Array, " sites"], Scalar]:
        """The values after the cluster of `seed` has turned by `turn`, and the logarithm of the acceptance ratio."""
        labels = label_clusters(model, active)
        inside = labels == labels[seed]
        gains = gains_of_turns(model, old)[:, turn]
        new = jnp.where(inside, (old + turn) % model.fields.shape[1], old)
        return new, jnp.sum(jnp.where(inside, gains, 0.0))

    def step(self, energy: AbstractEnergy, state: ClusterState, *, key: PRNGKey) -> tuple[ClusterState, StepInfo]:
        bond_key, seed_key, turn_key, accept_key = jax.random.split(key, 4)
        model, old = as_clusters(energy, state.x)
        num_sites, count = model.fields.shape
        active = self.bond_law(model, old).draw(key=bond_key)
        seed = jax.random.randint(seed_key, (), 0, num_sites)
        turn = jnp.ones((), jnp.int32) if count == 2 else jax.random.randint(turn_key, (), 1, count)
        new, log_ratio = self.turned(model, old, active, seed, turn)
        is_finite = is_law(model) & ~jnp.isnan(log_ratio)
        accept_prob = jnp.where(is_finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        accepted = jax.random.uniform(accept_key, (), accept_prob.dtype) < accept_prob
        moved = ClusterState(from_indices(energy, new, state.x))
        return select(accepted, moved, state), StepInfo(accept_prob, accepted, is_finite)
