"""Swendsen–Wang and Wolff: clusters, transition matrices over all sets of bonds, exact starts, a critical lattice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from energax import exact, testing
from energax._errors import KernelMismatch
from energax.densities import IndependentSites
from energax.energies import (
    Bonds,
    GraphCouplings,
    Interpolated,
    Ising,
    LatticeCouplings,
    Potts,
    Sum,
    Tempered,
    curie_weiss,
)
from energax.kernels import SwendsenWang, Wolff, target
from energax.kernels._swendsen_wang import label_clusters
from energax.spaces import Categorical, Spins
from energax.testing import references
from energax.testing._exact_start import last_of_chains
from energax.testing.references import Moment, Reference

KERNELS = {"swendsen-wang": SwendsenWang(), "wolff": Wolff()}
KITE = ([(0, 1), (1, 2), (0, 2), (2, 3)], [0.5, -0.7, 0.9, 1.2])
WAVE = np.sin(1.0 + np.arange(18)).reshape(2, 3, 3)


def kite(**options):
    return Potts(GraphCouplings(*KITE), 3, **options)


MODELS = {
    "unequal couplings of both signs in fields": lambda: Ising(
        LatticeCouplings((2, 4), WAVE.reshape(-1)[:16].reshape(2, 2, 4), boundary="open"), field=0.3 * WAVE[0, :2, :1]
        + np.zeros((2, 4)),
    ),
    "pairs with two bonds": lambda: Ising((2, 3), coupling=0.3, field=0.2),
    "potts kite": lambda: kite(field=[0.3, 0.0, -0.4]),
    "potts ring": lambda: Potts((5,), 3, coupling=0.9),
    "tempered": lambda: Tempered(Potts((2, 2), 3), 0.6),
    "sum": lambda: Sum((kite(), Tempered(kite(field=[0.1, 0.2, -0.1]), -0.4))),
    "sum of graphs": lambda: Sum((kite(), Potts(GraphCouplings([(0, 3), (1, 3)], 0.8), 3))),
    "from a product law": lambda: Interpolated(
        IndependentSites(Categorical(4, num_categories=3), jnp.asarray(WAVE[0].T.repeat(2, 0)[:4])), kite(), 0.7
    ),
    "spins from a product law": lambda: Interpolated(
        IndependentSites(Spins((2, 3)), jnp.asarray(WAVE[0, :2])), Ising((2, 3), coupling=0.3), 0.6
    ),
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("name", MODELS)
def test_the_law_is_invariant(name, kernel):
    assert testing.assert_invariant(kernel, MODELS[name]()) <= 1e-14


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_the_law_of_three_by_three_spins_is_invariant(kernel):
    """All 2^12 sets of bonds of 512 configurations."""
    ising = Ising(
        LatticeCouplings((3, 3), np.abs(WAVE), boundary="open"), field=[[0.1, 0, 0], [0, 0, 0.4], [-0.3, 0, 0]]
    )
    assert testing.assert_invariant(kernel, Tempered(ising, 0.8)) <= 1e-14


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_the_law_of_the_torus_is_invariant(kernel):
    """All 2^18 sets of bonds of the periodic 3 × 3 lattice."""
    assert testing.assert_invariant(kernel, Ising(3, coupling=0.4)) <= 1e-14


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_step_does_what_the_matrix_says(kernel, key):
    testing.assert_transitions(kernel, MODELS["potts kite"](), start=5, key=key)


def _one_hot(x):
    return (x[:, None] == jnp.arange(2)).astype(float)


def _agreements(x):
    rows, columns = np.triu_indices(x.size, 1)
    return (x[rows] == x[columns]).astype(float)


REFERENCES = {
    "ising": references.asymmetric_ising,
    "potts": lambda: Reference(
        "Potts kite", kite(field=[0.3, 0.0, -0.4]), (Moment("[x_i = v]", _one_hot), Moment("[x_i = x_j]", _agreements))
    ),
}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("name", REFERENCES)
def test_exact_draws_stay_exact(name, kernel, key):
    assert kernel.exact
    testing.assert_exact_start(kernel, REFERENCES[name](), key=key)


def test_clusters_are_connected_components(key):
    for size, count, chance in ((30, 40, 0.5), (400, 500, 0.7), (400, 2000, 0.2)):
        rng = np.random.default_rng(size)
        pairs = rng.integers(0, size, (count, 2)).astype(np.int32)
        active = rng.random(count) < chance
        graph = scipy.sparse.coo_matrix((np.ones(active.sum()), pairs[active].T), shape=(size, size))
        _, wanted = scipy.sparse.csgraph.connected_components(graph, directed=False)
        first = np.array([np.flatnonzero(wanted == label)[0] for label in wanted])
        found = label_clusters(Bonds(pairs, jnp.zeros(count), jnp.zeros((size, 2))), jnp.asarray(active))
        np.testing.assert_array_equal(np.asarray(found), first)


def test_a_long_chain_of_bonds_is_one_cluster():
    """In the worst order of sites too."""
    order = np.random.default_rng(0).permutation(3000).astype(np.int32)
    for sites in (np.arange(3000, dtype=np.int32), np.arange(3000, dtype=np.int32)[::-1], order):
        model = Bonds(np.stack([sites[:-1], sites[1:]], axis=1), jnp.zeros(2999), jnp.zeros((3000, 2)))
        assert not np.asarray(label_clusters(model, jnp.ones(2999, bool))).any()


@pytest.mark.parametrize(
    "kernel", [SwendsenWang(), pytest.param(Wolff(), marks=[pytest.mark.slow, pytest.mark.ci])], ids=KERNELS
)
def test_a_critical_lattice_has_the_energy_of_kaufman(kernel, key):
    """1,000 chains of 30 steps from all up; at criticality they forget their start in a few. 2 % is visible."""
    beta = 0.5 * np.log(1 + np.sqrt(2))
    keys = jax.random.split(key, 1000)
    ends = last_of_chains(kernel, Tempered(Ising(12), beta), jnp.ones((1000, 12, 12), jnp.int8), keys, 30)
    energies = np.asarray(jax.vmap(Ising(12))(ends)) / 144
    testing.assert_mean(energies, exact.ising_torus((12, 12), beta).energy_per_site, name="energy per site")


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_energies_without_a_list_of_bonds_are_refused(kernel):
    for energy in (references.skewed_categorical().energy, references.tilted_box().energy, curie_weiss(5)):
        with pytest.raises(KernelMismatch, match=r"needs pair couplings of discrete sites \(`energies.bonds`\), but"):
            target(energy, kernel)
