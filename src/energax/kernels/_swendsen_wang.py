"""Swendsen–Wang: bonds are drawn between sites that agree, and clusters of sites are drawn anew."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, Bonds, bonds
from energax.kernels._base import AbstractKernel, AbstractState, StepInfo
from energax.kernels._metropolis import select
from energax.kernels._site_metropolis import indices
from energax.spaces import AbstractDiscreteSpace


class BondLaw(eqx.Module):
    """The law of the bonds given the sites: each is active independently of the others.

    A bond can be active where it is satisfied: the sites agree and K > 0, or differ and K < 0; then with the
    probability 1 − exp(−|K|).

    Attributes:
        strengths: K of each bond.
        satisfied: Whether the sites of each bond are as its sign wants them.
    """

    strengths: Float[Array, " bonds"]
    satisfied: Bool[Array, " bonds"]

    def draw(self, *, key: PRNGKey) -> Bool[Array, " bonds"]:
        """Which bonds are active."""
        prob = jnp.where(self.satisfied, -jnp.expm1(-jnp.abs(self.strengths)), 0.0)
        return jax.random.uniform(key, prob.shape, prob.dtype) < prob

    def log_prob(self, active: Bool[Array, " bonds"]) -> Scalar:
        """Log-probability of a set of active bonds."""
        size = jnp.abs(self.strengths)
        present = jnp.where(self.satisfied, jnp.log(-jnp.expm1(-size)), -jnp.inf)
        return jnp.sum(jnp.where(active, present, jnp.where(self.satisfied, -size, 0.0)))


class ClusterLaw(eqx.Module):
    """The law of the sites given clusters: all values of a cluster turn by one number, modulo the number of values.

    Turning keeps the sites that agree in agreement and those that differ different, so that the bonds inside stay
    satisfied; the number is drawn from its conditional law, which the fields of the cluster's sites decide.

    Attributes:
        old: Values of the sites, counted from 0.
        labels: The smallest site of the cluster of each site.
        logits: Unnormalised log-probabilities of the turns of each cluster, at its smallest site.
    """

    old: Int[Array, " sites"]
    labels: Int[Array, " sites"]
    logits: Float[Array, "sites values"]

    def draw(self, *, key: PRNGKey) -> Int[Array, " sites"]:
        """The new values of all sites, counted from 0."""
        count = self.logits.shape[1]
        if count == 2:
            odds = self.logits[:, 1] - self.logits[:, 0]
            turn = (jax.random.uniform(key, odds.shape, odds.dtype) < jax.nn.sigmoid(odds)).astype(jnp.int32)
        else:
            turn = jax.random.categorical(key, self.logits, axis=1).astype(jnp.int32)
        return (self.old + turn[self.labels]) % count

    def log_prob(self, new: Int[Array, " sites"]) -> Scalar:
        """Log-probability of new values."""
        turn = (new - self.old) % self.logits.shape[1]
        of_cluster = jnp.take_along_axis(jax.nn.log_softmax(self.logits, axis=1), turn[:, None], axis=1)[:, 0]
        is_root = self.labels == jnp.arange(len(self.labels))
        together = jnp.all(turn == turn[self.labels])
        return jnp.where(together, jnp.sum(jnp.where(is_root, of_cluster, 0.0)), -jnp.inf)


class ClusterState(AbstractState):
    """The configuration; cluster kernels cache nothing."""

    x: Configuration


class SwendsenWang(AbstractKernel):
    """Leaves exp(−E) invariant: bonds given the sites, then the sites given the clusters that the bonds make.

    For E(x) = −Σ_b K_b [x_i = x_j] − Σ_i F_i(x_i) (`energies.bonds`; Ising: K = 2 J, Potts: K = J) each satisfied
    bond is active with probability 1 − exp(−|K|), and each cluster of sites joined by active bonds takes one of its q
    turns x → x + s mod q with probability ∝ exp(Σ_i F_i(x_i + s)). Without fields that is the rule of Swendsen and
    Wang: a new value for every cluster. Couplings may have any sign and fields any value; where couplings are
    frustrated, or fields fight them, clusters percolate before they order and the kernel is slow, though still right.

    Exactness: invariant; both halves are draws from a conditional law. A step that meets a coupling or a field that
    is not finite (a field of −∞ forbids a value and is allowed) is rejected and counted.

    Cost: a random number for each bond and each site, and some six passes over the bonds that find the clusters
    (labels hook to smaller labels and are followed to their roots); one step updates every site.

    References:
        [swendsen1987], [edwards1988]
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

    def cluster_law(self, model: Bonds, old: Int[Array, " sites"], active: Bool[Array, " bonds"]) -> ClusterLaw:
        """The law of the sites given the active bonds."""
        labels = label_clusters(model, active)
        gains = gains_of_turns(model, old)[:, 1:]
        logits = jnp.zeros_like(gains).at[labels].add(gains)
        return ClusterLaw(old, labels, jnp.pad(logits, ((0, 0), (1, 0))))

    def step(self, energy: AbstractEnergy, state: ClusterState, *, key: PRNGKey) -> tuple[ClusterState, StepInfo]:
        bond_key, turn_key = jax.random.split(key)
        model, old = as_clusters(energy, state.x)
        active = self.bond_law(model, old).draw(key=bond_key)
        new = self.cluster_law(model, old, active).draw(key=turn_key)
        is_finite = is_law(model)
        moved = ClusterState(from_indices(energy, new, state.x))
        return select(is_finite, moved, state), StepInfo.unless_nan(is_finite)


def as_clusters(energy: AbstractEnergy, x: Array) -> tuple[Bonds, Int[Array, " sites"]]:
    """The bonds of an energy, and the values of all sites counted from 0."""
    model = bonds(energy)
    assert model is not None
    assert isinstance(energy.space, AbstractDiscreteSpace)
    return model, indices(energy.space, x).reshape(-1)


def from_indices(energy: AbstractEnergy, new: Int[Array, " sites"], like: Array) -> Array:
    """A configuration from values that are counted from 0."""
    assert isinstance(energy.space, AbstractDiscreteSpace)
    return jnp.asarray(energy.space.values, like.dtype)[new].reshape(like.shape)


def bond_law(model: Bonds, old: Int[Array, " sites"]) -> BondLaw:
    """The law of the bonds given the values of the sites, counted from 0."""
    agree = old[model.pairs[:, 0]] == old[model.pairs[:, 1]]
    return BondLaw(model.strengths, agree == (model.strengths > 0))


def is_law(model: Bonds) -> BoolScalar:
    """Whether all couplings are finite, and all fields numbers or −∞."""
    return jnp.all(jnp.isfinite(model.strengths)) & jnp.all(model.fields < jnp.inf)


def gains_of_turns(model: Bonds, old: Int[Array, " sites"]) -> Float[Array, "sites values"]:
    """F_i(x_i + s) − F_i(x_i) for every site i and every turn s."""
    count = model.fields.shape[1]
    after = jnp.take_along_axis(model.fields, (old[:, None] + jnp.arange(count)) % count, axis=1)
    return after - after[:, :1]


def label_clusters(model: Bonds, active: Bool[Array, " bonds"]) -> Int[Array, " sites"]:
    """For every site the smallest site of its cluster.

    In each round the label of the larger root of every active bond is lowered to the smaller one, and labels are
    followed two steps (measured: fastest). When nothing changes labels are roots and equal along bonds. The number of
    rounds grows like the logarithm of the size of the clusters.
    """
    num_sites = model.fields.shape[0]
    i, j = jnp.asarray(model.pairs).T

    def improve(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        labels, _ = carry
        a, b = labels[i], labels[j]
        larger = jnp.where(active, jnp.maximum(a, b), num_sites)
        hooked = labels.at[larger].min(jnp.minimum(a, b), mode="drop")
        followed = hooked[hooked]
        new = followed[followed]
        return new, jnp.any(new != labels)

    start = jnp.arange(num_sites, dtype=jnp.int32), jnp.ones((), bool)
    return jax.lax.while_loop(lambda carry: carry[1], improve, start)[0]
