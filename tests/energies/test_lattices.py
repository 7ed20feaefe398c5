"""Potts variables, planar rotors and a scalar field on lattices, against numbers that are known exactly."""

import gzip
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from energax import exact, testing
from energax._errors import ArgumentError, ShapeError
from energax.energies import XY, GraphCouplings, Ising, LatticeCouplings, Phi4, Potts, Tempered, blocks, score
from energax.kernels import BlockGibbs

TRIANGLE = ([(0, 1), (1, 2), (0, 2)], [0.8, -0.5, 1.1])


def test_a_ring_of_potts_variables_is_its_transfer_matrix():
    """Z = (e^J + q − 1)^N + (q − 1) (e^J − 1)^N."""
    with jax.enable_x64(True):
        value = exact.log_z(Potts((6,), 4, coupling=0.7))
    assert value == pytest.approx(np.log((np.exp(0.7) + 3) ** 6 + 3 * (np.exp(0.7) - 1) ** 6), abs=1e-12)


def test_two_states_are_an_ising_model_with_half_the_coupling():
    edges, coupling = TRIANGLE
    field = np.array([0.3, -0.2, 0.5])
    with jax.enable_x64(True):
        tilted = np.stack([-field, field], axis=1)
        potts = Potts(GraphCouplings(edges, coupling), 2, field=tilted)
        ising = Ising(GraphCouplings(edges, np.asarray(coupling) / 2), field=field)
        for s in exact.states(ising.space):
            assert float(potts(jnp.asarray((s + 1) // 2))) == pytest.approx(
                float(ising(s)) - sum(coupling) / 2, abs=1e-12
            )


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["q3_L3", "q3_L4", "q5_L3"])
def test_counted_energies_of_potts_lattices(name, data_folder):
    text = gzip.decompress((data_folder / "statphys/potts2d_torus_dos.json.gz").read_bytes())
    found = json.loads(text)["sizes"][name]
    terms = np.array([math.log(int(g)) for g in found["g"]]) + 0.9 * -np.asarray(found["E"])
    with jax.enable_x64(True):
        value = exact.log_z(Tempered(Potts(found["L"], found["q"]), 0.9))
    assert value == pytest.approx(float(scipy.special.logsumexp(terms)), abs=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Potts(GraphCouplings(*TRIANGLE), 3, field=[0.2, -0.1, 0.4]),
        lambda: Potts(LatticeCouplings((2, 3), 0.6, boundary="open"), 2, field=[0.0, 0.3]),
        lambda: Ising(GraphCouplings([*TRIANGLE[0], (2, 3)], [*TRIANGLE[1], 0.9]), field=[0.1, 0.4, -0.3, 0.2]),
    ],
    ids=["potts triangle", "open potts", "kite"],
)
def test_chromatic_gibbs_leaves_the_law_invariant(make):
    """Colours that are found, on graphs that need three and on a bipartite one."""
    assert testing.assert_invariant(BlockGibbs(), make()) <= 1e-14
    assert len(blocks(make())) in (2, 3)


def test_a_ring_of_rotors_is_a_sum_of_bessel_functions():
    """Z = (2π)^3 Σ_k I_k(J)^3; the sum over a grid of 32³ angles is exact to rounding."""
    angles = 2 * np.pi * np.arange(32) / 32
    grid = np.stack(np.meshgrid(angles, angles, angles, indexing="ij"), axis=-1).reshape(-1, 3)
    orders = np.arange(-40, 41)
    with jax.enable_x64(True):
        energies = np.asarray(jax.jit(jax.vmap(XY((3,), coupling=1.3)))(grid))
    value = scipy.special.logsumexp(-energies) - 3 * np.log(32)
    assert value == pytest.approx(np.log(np.sum(scipy.special.iv(orders, 1.3) ** 3)), abs=1e-12)


def test_two_rotors_in_a_field():
    """Z = (2π)² Σ_k I_k(J) I_k(H)²."""
    orders = np.arange(-40, 41)
    want = 2 * np.log(2 * np.pi) + np.log(np.sum(scipy.special.iv(orders, 0.9) * scipy.special.iv(orders, 0.6) ** 2))
    with jax.enable_x64(True):
        value = exact.log_z(XY(GraphCouplings([(0, 1)], 0.9), field=0.6))
    assert value == pytest.approx(want, abs=1e-10)


def test_two_sites_of_the_scalar_field_are_a_transfer_operator():
    """A ring of two sites has two bonds: Z = tr T² with T(a, b) = exp(−½ V(a) − (a − b)² − ½ V(b))."""
    nodes, step = np.linspace(-4, 4, 400, retstep=True)
    potential = -1.5 * nodes**2 + 0.8 * nodes**4
    operator = step * np.exp(-0.5 * (potential[:, None] + potential) - (nodes[:, None] - nodes) ** 2)
    with jax.enable_x64(True):
        value = exact.quadrature_log_z(Phi4((2,), quartic=0.8, mass_squared=-1.5)).value
    assert value == pytest.approx(np.log(np.trace(operator @ operator)), abs=1e-8)


def test_the_free_field_has_the_spectrum_of_the_lattice():
    """Without λ the Hessian has the eigenvalues 2 (m² + 4 Σ_a sin²(k_a/2))."""
    with jax.enable_x64(True):
        field = Phi4((3, 4), quartic=0.0, mass_squared=0.7)
        hessian = jax.jacfwd(lambda x: -score(field, x.reshape(3, 4)).reshape(-1))(jnp.zeros(12))
    waves = [4 * np.sin(np.pi * np.arange(n) / n) ** 2 for n in (3, 4)]
    want = 2 * (0.7 + waves[0][:, None] + waves[1][None]).reshape(-1)
    np.testing.assert_allclose(np.linalg.eigvalsh(np.asarray(hessian)), np.sort(want), atol=1e-12)


def test_the_scalar_field_of_the_benchmarks():
    """m² = −4 in two dimensions: λ φ⁴ − φ × (its four neighbours), site by site."""
    phi = np.sin(np.arange(30.0) ** 2).reshape(5, 6)
    neighbours = sum(np.roll(phi, step, axis) for step in (1, -1) for axis in (0, 1))
    with jax.enable_x64(True):
        value = float(Phi4((5, 6), quartic=4.515625)(jnp.asarray(phi)))
    assert value == pytest.approx(np.sum(4.515625 * phi**4 - phi * neighbours), abs=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: Potts(4, 1), ArgumentError, "at least two categories, got 1"),
        (lambda: Potts(4, 3, field=np.zeros(2)), ShapeError, r"\(3,\) or \(4, 4, 3\), got \(2,\)"),
        (lambda: Potts(GraphCouplings([(0, 1)]), 3, coupling=2.0), ArgumentError, "leave `coupling` out"),
        (lambda: XY(4, field=np.zeros(4)), ShapeError, r"shape \(4, 4\), got \(4,\)"),
        (lambda: XY((1,)), ArgumentError, "length 2 or more"),
        (lambda: Phi4(4, quartic=-1.0), ArgumentError, "integrable for quartic > 0.*got quartic=-1"),
        (lambda: Phi4(4, quartic=0.0), ArgumentError, "mass_squared=-4"),
        (lambda: Phi4((4, 1)), ArgumentError, "length 2 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
