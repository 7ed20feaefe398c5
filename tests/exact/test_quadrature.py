import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, exact
from energax._errors import ArgumentError, NotTractable, Unreliable
from energax.densities import Gaussian, GaussianMixture
from energax.energies import DoubleWell, Tempered, energy
from energax.spaces import Box, Euclidean, Product, Torus


@pytest.mark.parametrize(
    ("barrier", "tilt", "log_z", "second"),
    [(1.0, 0.0, 0.6799262429, 0.8327454871), (8.0, 0.0, -0.4395855455, 0.9644563639), (8.0, 0.5, -0.3234271872, None)],
)
def test_golden_numbers_of_the_double_well(barrier, tilt, log_z, second):
    with jax.enable_x64(True):
        well = DoubleWell(barrier=barrier, tilt=tilt)
        result = exact.quadrature_log_z(well)
        x2 = exact.expectation(well, square)
    assert result.converged
    assert result.value == pytest.approx(log_z, abs=6e-11)
    assert second is None or x2 == pytest.approx(second, abs=6e-11)


def square(x):
    return x[0] ** 2


def test_golden_left_mass_of_the_tilted_well():
    with jax.enable_x64(True):
        well = DoubleWell(barrier=8.0, tilt=0.5)
        left = exact.quadrature_log_z(well, ((-3, 0),)).value - exact.quadrature_log_z(well).value
    assert np.exp(left) == pytest.approx(0.7256214534, abs=6e-11)


@pytest.mark.parametrize(
    "density",
    [
        Gaussian(jnp.array([300.0]), jnp.array([1e-4])),
        Gaussian(jnp.array([-2.0, 50.0]), jnp.array([[4.0, 1.9], [1.9, 1.0]])),
        GaussianMixture(jnp.array([[10.0, 3.0], [-8.0, 1.0]]), jnp.array([0.3, 2.0]), jnp.array([0.3, 0.7])),
    ],
    ids=["far and narrow", "correlated", "unequal modes"],
)
def test_the_box_is_found_from_the_energy(density):
    result = exact.quadrature_log_z(density, dtype=np.float64)
    assert abs(result.value) <= 1e-7  # the weights of the mixture are rounded to float32
    assert result.converged


def test_walls_and_angles_need_no_search():
    slope = energy(lambda x: 2.0 * x[0] - x[1], space=Box(2, -1.0, 0.5))
    want = np.log((np.exp(2) - np.exp(-1)) / 2) + np.log(np.exp(0.5) - np.exp(-1))
    assert exact.log_z(slope, dtype=np.float64) == pytest.approx(want, abs=1e-12)
    ring = energy(lambda x: -3.0 * jnp.cos(x[0] - 1.0), space=Torus(1))
    assert exact.log_z(ring, dtype=np.float64) == pytest.approx(np.log(2 * np.pi * np.i0(3.0)), abs=1e-12)


def test_products_of_continuous_spaces():
    space = Product({"angle": Torus(()), "length": Euclidean((), initial_scale=1.0)})
    model = energy(lambda x: jnp.cos(x["angle"]) + 2.0 * x["length"] ** 2, space=space)
    want = np.log(2 * np.pi * np.i0(1.0)) + 0.5 * np.log(np.pi / 2)
    assert exact.log_z(model, dtype=np.float64) == pytest.approx(want, abs=1e-12)


def test_the_error_estimate_covers_a_jump():
    disc = energy(lambda x: jnp.where(jnp.sum(x**2) < 1, 0.0, jnp.inf), space=Box(2, -1.5, 1.5))
    result = exact.quadrature_log_z(disc, num_points=2**16)
    assert not result.converged
    assert abs(result.value - np.log(np.pi)) < 5 * result.error
    assert 1e-5 < result.error < 1e-2


def test_log_z_refuses_what_did_not_converge():
    comb = energy(lambda x: jnp.where(jnp.sin(3e5 * x[0] ** 2) > 0, 0.0, jnp.inf), space=Box(2))
    with pytest.raises(Unreliable, match="error of") as caught:
        exact.log_z(comb)
    assert isinstance(caught.value.estimate, exact.Quadrature)


def test_what_has_no_finite_mass_is_refused():
    with pytest.raises(NotTractable, match="confinement"):
        exact.log_z(energies.MLP(2, hidden=(4,), confinement=None, key=jax.random.key(0)))
    with pytest.raises(NotTractable, match="No box holds the mass"):
        exact.quadrature_log_z(energy(lambda x: jnp.log1p(jnp.abs(x[0])), space=Euclidean(1)))
    with pytest.raises(NotTractable, match="one or two continuous"):
        exact.quadrature_log_z(DoubleWell(3))
    with pytest.raises(ArgumentError, match="1 pairs"):
        exact.quadrature_log_z(DoubleWell(), ((0, 1), (0, 1)))
    with pytest.raises(ArgumentError, match="nan at"):
        exact.quadrature_log_z(energy(lambda x: jnp.sqrt(x[0]), space=Box(1, -1.0, 1.0)))


def test_a_grid_holds_the_normalised_density():
    mixture = GaussianMixture(jnp.array([[1.0, 0.0], [-1.0, 0.5]]), 0.3, jnp.array([0.25, 0.75]))
    well = exact.grid(Tempered(mixture, 1.0), num_points=(128, 96))
    assert well.log_density.shape == (128, 96)
    assert well.mass == pytest.approx(1, abs=1e-5)
    inside = jax.vmap(mixture.log_prob)(jnp.asarray(well.points()))
    np.testing.assert_allclose(np.exp(inside).reshape(128, 96), well.density, atol=1e-5)
    right_half = exact.grid(mixture, ((0.0, 4.0), (-4.0, 4.0)))
    assert right_half.mass == pytest.approx(0.25, abs=1e-3)


def test_kl_on_a_grid_and_by_quadrature_is_the_closed_form():
    p, q = Gaussian(jnp.array([0.5, 0.0]), 1.0), Gaussian(jnp.array([0.0, 0.0]), 2.0)
    want = 0.5 * (2 * 0.5 + 0.25 / 2 - 2 + 2 * np.log(2))
    assert exact.kl(p, q, dtype=np.float64) == pytest.approx(want, abs=1e-7)
    bounds = ((-7.0, 8.0), (-7.0, 7.0))
    assert exact.grid(p, bounds, num_points=128).kl(exact.grid(q, bounds, num_points=128)) == pytest.approx(
        want, abs=1e-4
    )
    with pytest.raises(ArgumentError, match="same grid"):
        exact.grid(p, bounds).kl(exact.grid(q))


def test_refinement_never_compiles_again():
    calls = []

    def traced(k, x):
        calls.append(1)
        return k * jnp.sum(x**2)

    for stiffness in (0.5, 2.0):
        exact.quadrature_log_z(energy(traced, jnp.asarray(stiffness), space=Euclidean(2)))
    assert len(calls) <= 2
