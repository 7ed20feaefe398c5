"""Kernels of BlackJAX under our interface: identities with kernels of our own, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.kernels import MALA, MCLMC, NUTS, AdjustedMCLMC
from energax.testing import references

FACTOR = [[0.9, 0.0], [-0.4, 0.6]]


def test_nuts_with_one_doubling_is_mala(key):
    """One leapfrog step of ε is a Langevin step of h = ε²/2: the acceptance is that of MALA between the same points."""
    with jax.enable_x64(True):
        mixture = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), references.skewed_mixture().energy)
        nuts, mala = NUTS(0.9, FACTOR, max_doublings=1), MALA(0.405, FACTOR)
        x = jax.random.normal(key, (400, 2))

        @jax.jit
        @jax.vmap
        def move(x, key):
            old = nuts.init(mixture, x, key=key)
            new, info = nuts.step(mixture, old, key=key)
            return new, info, mala.log_ratio(old, new)

        new, info, log_ratio = move(x, jax.random.split(key, 400))
    moved = np.asarray(info.accepted)
    assert 200 < moved.sum() < 400
    np.testing.assert_allclose(np.asarray(info.accept_prob)[moved], np.exp(np.minimum(log_ratio, 0))[moved], rtol=1e-11)
    assert np.all(np.asarray(new.x)[~moved] == np.asarray(x)[~moved])


def test_mclmc_turns_back_on_its_way(key):
    """Without noise and with the direction reversed the same number of steps leads back; the speed stays one."""
    with jax.enable_x64(True):
        mixture = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), references.skewed_mixture().energy)
        kernel = MCLMC(0.3, 1e30, [0.7, 1.2])

        @jax.jit
        def walk(state):
            return jax.lax.fori_loop(0, 6, lambda i, s: kernel.step(mixture, s, key=key)[0], state)

        start = kernel.init(mixture, jnp.array([0.4, -0.9]), key=key)
        end = walk(start)
        back = walk(type(end)(end.x, end.value, end.score, -end.momentum))
    assert float(jnp.max(jnp.abs(end.x - start.x))) > 0.3
    np.testing.assert_allclose(back.x, start.x, atol=1e-12)
    np.testing.assert_allclose(-back.momentum, start.momentum, atol=1e-12)
    np.testing.assert_allclose(jnp.linalg.norm(end.momentum), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MCLMC(0.1, -1.0), "positive decoherence"),
        (lambda: AdjustedMCLMC(0.1, 0.0), "positive trajectory_length"),
        (lambda: NUTS(0.1, max_doublings=0), "max_doublings"),
    ],
)
def test_refuses_options_that_make_no_sense(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("kernel", [MCLMC(0.1, 1.0), AdjustedMCLMC(0.1, 1.0)])
def test_microcanonical_kernels_refuse_one_dimension_and_a_matrix(kernel, key):
    well, gaussian = references.tilted_double_well().energy, references.correlated_gaussian().energy
    with pytest.raises(ValueError, match="two dimensions or more"):
        kernel.init(well, jnp.zeros(1), key=key)
    dense = type(kernel)(0.1, 1.0, jnp.eye(3))
    with pytest.raises(ValueError, match="diagonal preconditioner"):
        dense.init(gaussian, jnp.zeros(3), key=key)
