"""Targets of the sampling literature against their known answers, in float64."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, exact
from energax.energies import DoubleWellCluster, LennardJonesCluster, ManyWell, MuellerBrown, Tempered

# x, y, height, and the eigenvalues of the Hessian, of three minima and two saddles.
STATIONARY = [
    (-0.5582236346, 1.4417258418, -146.6995172100, 410.5311344681, 4068.1989524030),
    (0.6234994049, 0.0280377585, -108.1667241169, 543.8361890376, 3005.3958614027),
    (-0.0500108230, 0.4666941049, -80.7678181297, 221.0374728188, 1479.1970203808),
    (-0.8220015587, 0.6243128028, -40.6648435087, -750.8626625381, 490.2407077094),
    (0.2124865820, 0.2929883251, -72.2489401123, -735.2472604574, 510.8865657346),
]
LOG_INTEGRALS = {10.0: 11.729590558342375, 20.0: 5.3661332423089085, 40.0: 2.9856701536471615}


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def test_mueller_brown_has_its_stationary_points(double):
    surface = MuellerBrown()
    points = jnp.asarray([row[:2] for row in STATIONARY])
    value, slope, curvature = jax.jit(jax.vmap(lambda x: (surface(x), jax.grad(surface)(x), jax.hessian(surface)(x))))(
        points
    )
    np.testing.assert_allclose(value, [row[2] for row in STATIONARY], atol=1e-8)
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.eigvalsh(curvature), [row[3:] for row in STATIONARY], rtol=1e-7)


@pytest.mark.parametrize("kt", LOG_INTEGRALS)
def test_mueller_brown_has_its_partition_function(kt, double):
    found = exact.quadrature_log_z(Tempered(MuellerBrown(), 1 / kt), num_points=2**18)
    assert abs(found.value - LOG_INTEGRALS[kt]) < 1e-9


def test_many_well_has_its_partition_function(double):
    assert abs(float(energies.log_normalizer(ManyWell(32))) - 164.69567531318188) < 1e-10
    pair = ManyWell(2)
    found = exact.quadrature_log_z(pair, num_points=2**16)
    assert abs(found.value - 10.293479707073868) < 1e-9
    right = exact.expectation(pair, lambda x: (jnp.tanh(20 * x[0]) + 1) / 2, dtype=np.float64)
    assert abs(float(right) - 0.8443070962) < 1e-4  # the step is smeared over a twentieth
    moved = ManyWell(2, quartic=0.7, quadratic=2.0, tilt=-0.3)
    want = exact.quadrature_log_z(moved, num_points=2**16).value
    assert abs(float(energies.log_normalizer(moved)) - want) < 1e-9


def _equilateral(num):
    """Two or three particles at mutual distance one."""
    return jnp.asarray([[0.0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]])[:num]


@pytest.mark.parametrize(("num", "pairs"), [(2, 1), (3, 3)])
def test_lennard_jones_minima_of_few_particles(num, pairs, double):
    cluster = LennardJonesCluster(num, strength=1.0, radius=2 ** (1 / 6), trap=0.0, centre=0.0)
    value, slope = jax.value_and_grad(cluster)(2 ** (1 / 6) * _equilateral(num))
    assert abs(float(value) + pairs) < 1e-12
    np.testing.assert_allclose(slope, 0.0, atol=1e-12)


@pytest.mark.parametrize("cluster", [DoubleWellCluster(), LennardJonesCluster(5)], ids=["DW", "LJ"])
def test_clusters_have_their_symmetries(cluster, key):
    """U is unchanged by permutation, rotation and translation; E adds ½ κ n |x̄|²."""
    dim = cluster.space.shape[1]
    x = 2.0 * jax.random.normal(key, cluster.space.shape)
    with jax.enable_x64(True):
        x = jnp.asarray(x, jnp.float64)
        turn = jnp.linalg.qr(jax.random.normal(key, (dim, dim)))[0]
        want = cluster.internal(x)
        for other in (x[::-1], x @ turn, x + 3.0):
            np.testing.assert_allclose(cluster.internal(other), want, rtol=1e-10)
        mean = jnp.mean(x, axis=0)
        np.testing.assert_allclose(cluster(x) - want, 0.5 * len(x) * jnp.sum(mean**2), rtol=1e-8)


def test_dw4_pair_wells(double):
    """Two particles: U(r) = 0.9 (r − 4)⁴ − 4 (r − 4)², minima at r = 4 ± √(4/1.8) of height −4²/3.6."""
    pair = DoubleWellCluster(2, centre=0.0)
    for r in (4 - np.sqrt(4 / 1.8), 4 + np.sqrt(4 / 1.8)):
        value, slope = jax.value_and_grad(pair)(jnp.asarray([[0.0, 0.0], [r, 0.0]]))
        assert abs(float(value) + 16 / 3.6) < 1e-12
        np.testing.assert_allclose(slope, 0.0, atol=1e-12)


@pytest.mark.needs_data
def test_definitions_of_the_data_folder(data_folder, double):
    known = json.loads((data_folder / "particles" / "potentials.json").read_text())
    clusters = known["lennard_jones_clusters"]
    bare = LennardJonesCluster(13, strength=1.0, radius=2 ** (1 / 6), trap=0.0, centre=0.0)
    value, slope = jax.value_and_grad(bare)(jnp.asarray(clusters["positions_13_global_minimum"]))
    assert abs(float(value) - clusters["global_minimum_energy"]["13"]) < 1e-7
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)
    for row, (name, point) in zip(STATIONARY, known["mueller_brown"]["stationary_points"].items(), strict=True):
        np.testing.assert_allclose(row[:3], [point["x"], point["y"], point["V"]], atol=1e-9, err_msg=name)
    logs = known["mueller_brown"]["log_integral_exp_minus_V_over_kT_whole_plane"]
    assert {kt: logs[str(kt)] for kt in LOG_INTEGRALS} == LOG_INTEGRALS
    assert abs(known["many_well"]["log_Z_dim32"] - 164.69567531318188) < 1e-12


def test_refuses_shapes_that_make_no_sense():
    with pytest.raises(ValueError, match="even number of coordinates"):
        ManyWell(3)
    with pytest.raises(ValueError, match="two particles or more"):
        LennardJonesCluster(1)
    with pytest.raises(ValueError, match="declares no initial law"):
        LennardJonesCluster(3).space.initial(key=jax.random.key(0))
