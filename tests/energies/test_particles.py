"""A network for particles has the symmetries that it says, and no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import ArgumentError
from energax.energies import ParticleNet, is_confined


@pytest.fixture(scope="module")
def rotation():
    return np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]


def test_permutations_rotations_reflections_and_moves_change_nothing(rotation, key):
    """To rounding in float64, the scores turn with the particles; moving one of them, or shearing all, is seen."""
    with jax.enable_x64(True):
        model = ParticleNet((5, 3), width=8, num_layers=2, num_waves=6, confinement=None, key=key)
        net, score = jax.jit(lambda x: model(x)), jax.jit(jax.grad(lambda x: model(x)))
        x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
        here = float(net(x))
        mirror = rotation * np.array([1.0, 1.0, -1.0])
        order = np.array([3, 0, 4, 1, 2])
        for other in (x[order], x @ rotation, x @ mirror, x + jnp.array([3.0, -1.0, 2.0])):
            assert float(net(other)) == pytest.approx(here, rel=1e-12)
        for other in (x.at[0, 0].add(0.1), x @ jnp.diag(jnp.array([1.2, 1.0, 1.0]))):
            assert abs(float(net(other)) - here) > 1e-5
        np.testing.assert_allclose(score((x @ rotation)[order]), (score(x) @ rotation)[order], atol=1e-11)


def test_particles_beyond_the_reach_are_alone(key):
    """Pairs far apart add nothing: the energy of two distant pairs is that of each of them, summed."""
    model = ParticleNet((4, 2), width=8, num_layers=2, num_waves=6, reach=2.0, confinement=None, key=key)
    net = jax.jit(lambda x: model(x))
    near, wide = jnp.array([[0.0, 0.0], [0.7, 0.0]]), jnp.array([[0.0, 0.0], [0.0, 1.3]])
    far = jnp.array([[50.0, 0.0], [0.0, 90.0]])

    def pairs(one, two):
        return float(net(jnp.concatenate([one, two + jnp.array([40.0, 0.0])])))

    assert pairs(near, wide) == pytest.approx((pairs(near, near) + pairs(wide, wide)) / 2, rel=1e-5)
    assert abs(pairs(near, near) - pairs(wide, wide)) > 1e-3
    assert pairs(far, far) == pytest.approx(float(net(20.0 * jnp.arange(8.0).reshape(4, 2))), rel=1e-5)


def test_it_is_confined_and_refuses_what_are_no_particles(key):
    net = ParticleNet((3, 2), width=4, key=key)
    assert is_confined(net)
    assert not is_confined(ParticleNet((3, 2), width=4, confinement=None, key=key))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 2)), jnp.float32)
    far = float(net(1e3 * x) - 0.5 * jnp.sum((1e3 * x) ** 2))
    assert abs(far) < 100
    with pytest.raises(ArgumentError, match="a space of shape"):
        ParticleNet((1, 2), key=key)
    with pytest.raises(ArgumentError, match="positive reach"):
        ParticleNet((3, 2), reach=0.0, key=key)
    with pytest.raises(ArgumentError, match="Unknown activation"):
        ParticleNet((3, 2), activation="sine", key=key)
