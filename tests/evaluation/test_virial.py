"""The virial of draws is 1 under their own law, and sees a part that all ladders miss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from energax.densities import Funnel, Gaussian
from energax.evaluation._rounds import reach
from energax.evaluation._virial import VirialProbe, virial_of_ladders

FALSE_ALARM = 1e-6
LADDERS, DRAWS = 16, 500


def ladders(probe, x):
    """Means over the draws of each ladder; x has axes (ladder, draw, coordinate)."""
    return np.asarray(jax.vmap(jax.vmap(probe))(x), np.float64).mean(axis=1)


def test_exact_draws_have_a_virial_of_one(key):
    """Whatever the centre; 20 coordinates stand in 16 groups."""
    law = Gaussian(jnp.ones(20), 4.0)
    x = law.mean + 2.0 * jax.random.normal(key, (LADDERS, DRAWS, 20))
    for centre in (jnp.ones(20), jnp.zeros(20)):
        means = ladders(VirialProbe(law, centre), x)
        assert means.shape == (LADDERS, 16)
        assert virial_of_ladders(means).p_value > FALSE_ALARM


def test_the_neck_of_a_funnel_is_missed(key):
    """Draws without the lowest 7 % of the mass: every ladder has the same law, so that R-hat is 1."""
    law = Funnel(3, 2.0)
    keys = jax.random.split(key, (LADDERS, DRAWS))
    x = jax.vmap(jax.vmap(lambda k: law.draw(key=k)))(keys)
    probe = VirialProbe(law, jnp.zeros(3))
    assert virial_of_ladders(ladders(probe, x)).objection is None
    moments = np.asarray(jax.vmap(jax.vmap(probe))(x), np.float64)
    wide = np.asarray(x[:, :, 0] > -1.5 * 2.0)
    kept = np.stack([m[w].mean(axis=0) for m, w in zip(moments, wide, strict=True)])
    found = virial_of_ladders(kept)
    assert found.objection is not None
    assert found.group == 0
    assert abs(found.value - 0.7918) <= reach(1.0 - FALSE_ALARM) * found.stderr
    assert found.to_json()["virial"] == found.value
