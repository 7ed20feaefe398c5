"""Paths: the right laws at both ends and in between, and no say of the target at t = 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, exact, paths, spaces
from energax._errors import NotTractable, SpaceError
from energax.testing import references


def _line(x):
    return jnp.sum(x**4)


def _wall(x):
    return jnp.where(x[0] > 0, jnp.sum(x**2), jnp.inf)


def test_geometric_path_between_plain_energies(key):
    base, well = densities.Gaussian(jnp.zeros(2), 2.0), energies.DoubleWell(2)
    path = paths.Geometric(base, well)
    x = jax.random.normal(key, (2,))
    for t in (0.0, 0.3, 1.0):
        want = (1 - t) * float(base(x)) + t * float(well(x))
        assert float(path.at(jnp.asarray(t))(x)) == pytest.approx(want, rel=1e-6)
        assert float(path.value(jnp.asarray(t), x)) == pytest.approx(want, rel=1e-6)
    assert path.start is base


def test_geometric_path_to_a_machine_has_a_normalised_start():
    """Hidden units are uniform and normalised at t = 0, so log Z(0) = 0 and log Z(1) is that of the machine."""
    rbm = references.asymmetric_rbm().energy
    path = paths.Geometric(densities.IndependentSites(spaces.Binary(6), jnp.linspace(-1, 1, 6)), rbm)
    v = exact.states(spaces.Binary(6))
    at_start, at_end = (np.asarray(jax.vmap(lambda x, t=t: path.value(jnp.asarray(t), x))(v)) for t in (0.0, 1.0))
    np.testing.assert_allclose(at_start, jax.vmap(path.start)(v), rtol=1e-6)
    np.testing.assert_allclose(at_end, jax.vmap(energies.marginal(rbm))(v), rtol=1e-5)
    assert exact.log_z(path.at(jnp.asarray(0.0)), dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert exact.log_z(path.at(jnp.asarray(1.0)), dtype=np.float64) == pytest.approx(7.1580789869, abs=1e-6)


def test_a_target_without_support_everywhere_has_no_say_at_the_start():
    base = densities.Gaussian(jnp.zeros(1))
    path = paths.Geometric(base, energies.energy(_wall, space=spaces.Euclidean(1)))
    outside = jnp.array([-1.0])
    assert float(path.value(jnp.asarray(0.0), outside)) == pytest.approx(float(base(outside)))
    assert float(path.value(jnp.asarray(0.5), outside)) == np.inf


@pytest.mark.parametrize("space", [spaces.Spins(3), spaces.Box(2, -1.0, 2.0), spaces.Torus(2)])
def test_tempering_starts_from_the_uniform_law(space, key):
    target = energies.energy(_square, space=space)
    path = paths.tempering(target)
    x = space.initial(key=key)
    assert float(path.value(jnp.asarray(0.0), x)) == pytest.approx(space.log_volume, rel=1e-6)
    want = 0.3 * _square(x) + 0.7 * space.log_volume
    assert float(path.value(jnp.asarray(0.3), x)) == pytest.approx(float(want), rel=1e-5)
    assert bool(space.contains(path.start.draw(key=key)))


def _square(x):
    return jnp.sum(x.astype(float) ** 2)


def test_what_is_refused():
    with pytest.raises(NotTractable, match="Use Geometric"):
        paths.tempering(energies.energy(_line, space=spaces.Euclidean(2)))
    with pytest.raises(SpaceError, match="they must agree"):
        paths.Geometric(densities.Gaussian(jnp.zeros(3)), energies.DoubleWell(2))
