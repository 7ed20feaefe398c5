"""Residual networks of images and networks on graphs: what they share, what they do not see, and what kernels see."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact
from energax._errors import ArgumentError
from energax.energies import GraphNet, ResNet, is_confined
from energax.kernels import GibbsWithGradients
from energax.sampling import run_steps
from energax.spaces import Binary, Categorical, Euclidean, Spins
from energax.testing import assert_counts, check_energy

RING = [(i, (i + 1) % 9) for i in range(9)]


def awake(energy: ResNet) -> ResNet:
    """With second filters that are not zero."""
    waves = jax.tree.map(lambda leaf: 0.3 * np.sin(np.arange(leaf.size)).reshape(leaf.shape), energy.blocks)
    filled = jax.tree.map(lambda wave, leaf: jnp.asarray(wave, leaf.dtype), waves, energy.blocks)
    return eqx.tree_at(lambda e: e.blocks, energy, filled)


def test_blocks_begin_as_nothing(key):
    """A deep network is the shallow one until its second filters are trained, and not after."""
    space, x = Binary((4, 4)), jax.random.bernoulli(key, 0.5, (4, 4)).astype("int8")
    deep = ResNet(space, channels=(3,), num_blocks=1, key=key)
    shallow = eqx.tree_at(lambda e: e.blocks, deep, ((),))
    one, other, third = eqx.filter_jit(lambda *nets: [net(x) for net in nets])(deep, shallow, awake(deep))
    np.testing.assert_allclose(one, other, rtol=1e-6)
    assert abs(third - other) > 1e-3


@pytest.mark.slow
def test_two_codings_of_two_values_and_names_of_categories_are_alike(key):
    """Spins see what 0/1 pixels see; categories that change names with their filters change nothing."""
    x = jax.random.bernoulli(key, 0.5, (4, 4)).astype("int8")
    binary, spins = (ResNet(space((4, 4)), channels=(3,), num_blocks=1, key=key) for space in (Binary, Spins))
    both = eqx.filter_jit(lambda: (binary(x), spins(2 * x - 1)))()
    np.testing.assert_allclose(*both, rtol=1e-6)
    space, y = Categorical((4, 4), num_categories=3), jax.random.randint(key, (4, 4), 0, 3)
    energy, names = ResNet(space, channels=(3,), num_blocks=1, key=key), np.array([2, 0, 1])
    filters = energy.stages[0].reshape(9, 3, 3)
    renamed = eqx.tree_at(lambda e: e.stages, energy, (filters[:, np.argsort(names)].reshape(27, 3),))
    z = jnp.asarray(names)[y]
    same, plain, other = eqx.filter_jit(lambda: (renamed(z), energy(y), energy(z)))()
    np.testing.assert_allclose(same, plain, rtol=1e-5)
    assert other != plain


class EverybodyIsANeighbour(GraphNet):
    """Messages run between all nodes."""

    def __call__(self, x):
        count = self.space.shape[0]
        pairs = jnp.asarray([(i, j) for i in range(count) for j in range(i)])
        whole = eqx.tree_at(lambda e: e.edges, GraphNet(self.space, RING, width=6, key=jax.random.key(0)), pairs)
        return whole(x)


@eqx.filter_jit
def in_common(energy, x):
    """E(flipped at 0 and j) − E(at 0) − E(at j) + E for every j: what two nodes have in common."""
    flip = jax.vmap(lambda j: x.at[j].mul(-1))(jnp.arange(9))
    both = flip.at[:, 0].mul(-1)
    values = jax.vmap(energy)(jnp.concatenate([flip, both, x[None]]))
    return values[9:18] - values[:9] - values[0] + values[18]


def nodes(cls=GraphNet):
    key = jax.random.key(4)
    x = jnp.where(jax.random.bernoulli(key, 0.5, (9,)), 1, -1).astype("int8")
    return np.abs(in_common(cls(Spins(9), RING, width=6, num_layers=1, key=key), x))


def test_nodes_share_terms_with_their_neighbourhoods_alone():
    """With one layer, node 0 has nothing in common with nodes that are three edges away and more."""
    shared = nodes()
    assert (shared[[1, 2, 7, 8]] > 1e-4).all()
    assert (shared[[3, 4, 5, 6]] < 1e-5).all()


@pytest.mark.slow
def test_messages_between_all_nodes_are_seen():
    assert (nodes(EverybodyIsANeighbour)[[3, 4, 5, 6]] > 1e-4).all()


@pytest.mark.slow
def test_symmetries_of_the_graph_change_nothing(key):
    x = jax.random.normal(key, (9, 2))
    energy = GraphNet((9, 2), RING, width=6, num_layers=1, key=key)
    moved = jnp.stack([x, jnp.roll(x, 4, axis=0), x[::-1], x[jnp.array([1, 0, 2, 3, 4, 5, 6, 7, 8])]])
    values = eqx.filter_jit(jax.vmap(energy))(moved)
    np.testing.assert_allclose(values[1:3], [values[0]] * 2, rtol=1e-5)
    assert abs(values[3] - values[0]) > 1e-3


def test_confinement_and_refusals(key):
    assert is_confined(ResNet(Binary((2, 2)), channels=(3,), num_blocks=1, key=key))
    assert not is_confined(ResNet(Euclidean((2, 2)), channels=(3,), num_blocks=1, confinement=None, key=key))
    assert not is_confined(GraphNet(3, [(0, 1)], width=6, num_layers=1, confinement=None, key=key))
    with pytest.raises(ArgumentError, match="images of shape"):
        ResNet(Binary(4), key=key)
    with pytest.raises(ArgumentError, match="two different nodes from 0 to 2"):
        GraphNet(3, [(0, 3)], key=key)
    with pytest.raises(ArgumentError, match="edges, and width"):
        GraphNet(3, [], key=key)


@pytest.mark.slow
@pytest.mark.parametrize("differences", ["exact", "gradient"])
def test_informed_kernels_leave_the_law_of_a_residual_network(differences, key):
    """4000 chains from exact draws, 10 changes each, over all 64 images: seen are shifts of 1 % of the probability."""
    energy = awake(ResNet(Binary((2, 3)), channels=(3, 4), num_blocks=1, key=key))
    states = jnp.stack(jnp.meshgrid(*[jnp.arange(2)] * 6, indexing="ij"), -1).reshape(-1, 2, 3).astype("int8")
    energies = jax.jit(jax.vmap(energy))(states)
    assert abs(float(jax.nn.logsumexp(-energies)) - exact.log_z(energy)) < 1e-4
    kernel = GibbsWithGradients(differences=differences)
    draw_key, move_key = jax.random.split(key)
    start = states[jax.random.categorical(draw_key, -energies, shape=(4000,))]
    move = jax.jit(jax.vmap(lambda x, k: run_steps(energy, kernel, x, 10, key=k)[0]))
    ends = np.asarray(move(start, jax.random.split(move_key, 4000))).reshape(4000, -1)
    counts = np.bincount(ends @ 2 ** np.arange(6)[::-1], minlength=64)
    assert_counts(counts, np.exp(-np.asarray(energies, float) - float(jax.nn.logsumexp(-energies))))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda key: awake(ResNet(Categorical((2, 2), num_categories=3), channels=(2, 3), num_blocks=1, key=key)),
        lambda key: awake(ResNet((4, 4, 2), channels=(2, 3), num_blocks=1, key=key)),
        lambda key: GraphNet(Categorical(4, num_categories=3), [(0, 1), (1, 2), (1, 3)], width=4, key=key),
        lambda key: GraphNet((4, 2), [(0, 1), (1, 2), (1, 3)], width=4, key=key),
    ],
)
def test_contract(make, key):
    check_energy(make(key), key=key)
