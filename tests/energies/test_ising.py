"""Ising systems against numbers that are known exactly."""

import gzip
import json
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from energax import exact, testing
from energax.energies import (
    DenseCouplings,
    GraphCouplings,
    Ising,
    LatticeCouplings,
    PatternCouplings,
    Tempered,
    conditional_logits_at,
    curie_weiss,
    edwards_anderson,
    hopfield,
    read_rudy,
    sherrington_kirkpatrick,
)


def log_sum(terms):
    return float(scipy.special.logsumexp(terms))


def test_an_open_chain_has_no_loops():
    """log Z = log 2 + Σ_bonds log(2 cosh βJ)."""
    coupling = np.array([[0.3, -1.2, 0.8, 0.5, 9.0]])
    with jax.enable_x64(True):
        chain = Ising(LatticeCouplings((5,), coupling, boundary="open"))
        want = np.log(2) + np.log(2 * np.cosh(0.7 * coupling[0, :4])).sum()
        assert exact.log_z(Tempered(chain, 0.7)) == pytest.approx(want, abs=1e-13)


def test_a_tree_has_no_loops():
    edges, coupling = [(0, 3), (3, 1), (3, 2), (2, 4), (4, 5)], [0.4, -0.9, 1.3, 0.2, -0.6]
    with jax.enable_x64(True):
        tree = Ising(GraphCouplings(edges, coupling))
        assert exact.log_z(tree) == pytest.approx(np.log(2) + np.log(2 * np.cosh(coupling)).sum(), abs=1e-13)


def test_curie_weiss_is_its_sum_over_magnetisations():
    """Z = Σ_k C(N, k) exp(J (M² − N)/2N + H M) with M = 2k − N."""
    size, coupling, field = 12, 1.3, 0.2
    up = np.arange(size + 1)
    m = 2 * up - size
    want = log_sum(np.log(scipy.special.comb(size, up)) + coupling * (m**2 - size) / (2 * size) + field * m)
    with jax.enable_x64(True):
        model = curie_weiss(size, coupling=coupling, field=field)
        assert exact.log_z(model) == pytest.approx(want, abs=1e-12)
        assert float(model(jnp.ones(size))) == pytest.approx(-coupling * (size - 1) / 2 - field * size, abs=1e-12)
    large = curie_weiss(10**6)
    assert float(large(jnp.ones(10**6, jnp.int8))) == pytest.approx(-(10**6 - 1) / 2, rel=1e-5)


@eqx.filter_jit
def _partition_functions(keys, table, beta):
    def one(key):
        return jnp.mean(jnp.exp(-beta * jax.vmap(sherrington_kirkpatrick(table.shape[1], key=key))(table)))

    return jax.lax.map(one, keys, batch_size=200)


def test_the_mean_partition_function_of_a_glass_is_the_annealed_one(key):
    """E[Z] = 2^N exp(β² (N − 1)/4): it tells the law of the couplings. A change of their variance by 2 % is seen."""
    size, beta = 8, 0.6
    table = jnp.asarray(exact.states(Ising(DenseCouplings(np.zeros((size, size)))).space))
    draws = np.asarray(_partition_functions(jax.random.split(key, 20_000), table, beta))
    testing.assert_mean(draws, np.exp(beta**2 * (size - 1) / 4), name="Z / 2^N")


def test_couplings_of_an_edwards_anderson_glass(key):
    bimodal = edwards_anderson((4, 3, 2), key=key)
    assert bimodal.couplings.strengths.shape == (3, 4, 3, 2)
    assert set(np.unique(bimodal.couplings.strengths)) == {-1.0, 1.0}
    normal = edwards_anderson((12, 10, 10), disorder="gaussian", boundary="open", key=key)
    assert not any(normal.couplings.periodic)
    draws = np.asarray(normal.couplings.coupling).reshape(-1)
    testing.assert_mean(np.stack([draws, draws**2], axis=1), [0.0, 1.0], name="couplings")


@eqx.filter_jit
def _quench(energy, x, num_sweeps):
    """Spins aligned with their fields one after the other, and the energy after each."""

    def align(x, site):
        x = x.at[site].set(jnp.where(conditional_logits_at(energy, x, site) >= 0, 1, -1).astype(x.dtype))
        return x, energy(x)

    return jax.lax.scan(align, x, jnp.tile(jnp.arange(x.size), num_sweeps))


def test_hopfield_memory_goes_downhill_and_retrieves(key):
    """Six patterns in 200 spins, 15 % of them flipped: the energy never rises and the pattern comes back."""
    pattern_key, noise_key = jax.random.split(key)
    patterns = jax.random.rademacher(pattern_key, (6, 200), jnp.int8)
    flipped = jnp.where(jax.random.permutation(noise_key, 200) < 30, -1, 1).astype(jnp.int8)
    with jax.enable_x64(True):
        memory = hopfield(np.asarray(patterns, np.float64))
        end, energies = _quench(memory, patterns[2] * flipped, 3)
    assert np.diff(np.asarray(energies)).max() <= 1e-12
    assert np.mean(np.asarray(end) * np.asarray(patterns[2])) > 0.97


def test_hebb_and_a_matrix_are_one_memory(key):
    patterns = np.asarray(jax.random.rademacher(key, (3, 10)))
    with jax.enable_x64(True):
        matrix = patterns.T @ patterns / 10 - np.diag(np.full(10, 0.3))
        models = (hopfield(patterns), Ising(DenseCouplings(matrix)), Ising(PatternCouplings(patterns)))
        values = [exact.log_z(Tempered(model, 0.8)) for model in models]
    assert np.ptp(values) < 1e-12


def test_the_largest_cut_is_the_ground_state(tmp_path):
    """A pentagon with unit weights has cuts of at most four edges."""
    path = tmp_path / "pentagon.txt"
    path.write_text("5 5 \n1 2 1\n2 3 1\n3 4 1\n4 5 1\n5 1 1\n")
    model = read_rudy(path)
    energies = jax.vmap(model)(jnp.asarray(exact.states(model.space)))
    assert float((5 - energies.min()) / 2) == 4.0


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["biqmac/pm1s_80.0", "biqmac/w09_100.0", "biqmac/torusg3-8", "gset/G48"])
def test_max_cut_files(name, data_folder):
    facts = json.loads((data_folder / "statphys/maxcut_reference.json").read_text())["instances"]
    found = next(f for f in facts.values() if f["file"].startswith(name))
    model = read_rudy(data_folder / "statphys" / found["file"])
    assert model.space.num_sites == found["nodes"]
    assert len(model.couplings.bonds()[0]) == found["edges"]
    assert float(model(jnp.ones(found["nodes"], jnp.int8))) == pytest.approx(found["weights_sum"], rel=1e-6)


SMALL = {
    "ferro_torus4x4_h0.1": 2,
    "triangular_af_torus4x4": 5,
    "ea_gauss_torus4x5_s0": 3,
    "rfim_torus4x5_s1": 3,
    "dense_n18_s0": None,
    "sk_gauss_n16_s1": None,
}


@pytest.mark.needs_data
@pytest.mark.parametrize("name", SMALL)
def test_small_systems_of_the_data_folder(name, data_folder):
    """log Z and the ground state, from the matrix as it is or as a graph, which is enumerated without one colour."""
    facts = np.load(data_folder / f"statphys/exact_small/{name}.npz")
    colours = SMALL[name]
    with jax.enable_x64(True):
        couplings = DenseCouplings(facts["J"]) if colours is None else GraphCouplings.from_matrix(facts["J"])
        model = Ising(couplings, field=facts["h"])
        assert colours is None or len(couplings.colour_masks) == colours
        assert float(model(jnp.asarray(facts["ground_state"]))) == pytest.approx(
            float(facts["ground_energy"]), abs=1e-10
        )
        which = len(facts["beta"]) // 2
        log_z = exact.log_z(Tempered(model, facts["beta"][which]))
    assert log_z == pytest.approx(facts["logZ"][which], abs=1e-9)


@pytest.mark.needs_data
@pytest.mark.parametrize("side", [2, 5])
def test_counted_energies_of_the_torus(side, data_folder):
    """On the torus with two bonds for each pair, and on an odd one."""
    text = gzip.decompress((data_folder / "statphys/ising2d_torus_dos.json.gz").read_bytes())
    found = json.loads(text)["sizes"][str(side)]
    log_g = np.array([math.log(int(g)) if int(g) else -math.inf for g in found["g"]])
    with jax.enable_x64(True):
        value = exact.log_z(Tempered(Ising(side), 0.4406868))
    assert value == pytest.approx(log_sum(log_g - 0.4406868 * np.asarray(found["E"])), abs=1e-9)


@pytest.mark.needs_data
def test_counted_magnetisations_of_the_torus(data_folder):
    """g(E, M) of the 4 × 4 torus is listed for M ≥ 0."""
    table = np.load(data_folder / "statphys/ising2d_torus_joint_dos.npz")
    energy, m, g = table["L4_E"][:, None], table["L4_M"][None], table["L4_g"].astype(float)
    beta, field = 0.3, 0.25
    assert g.sum() == 2**16
    terms = np.log(np.maximum(g, 1e-300)) - beta * (energy - field * m)
    with jax.enable_x64(True):
        value = exact.log_z(Tempered(Ising(4, field=field), beta))
    assert value == pytest.approx(log_sum(terms[g > 0]), abs=1e-10)
