"""Warm-ups of whole kernels: what they find on a law with known scales, and that their price is counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import sampling, testing
from energax.densities import Gaussian
from energax.kernels import MALA, MCLMC, NUTS, AdjustedMCLMC
from energax.testing import references

SCALES = np.array([0.1, 1.0, 10.0, 3.0])


@pytest.fixture(scope="module")
def law():
    return Gaussian(jnp.zeros(4), jnp.asarray(SCALES**2))


LATER = (pytest.mark.slow, pytest.mark.ci)


@pytest.mark.parametrize(
    ("kernel", "num_steps"),
    [
        pytest.param(NUTS(0.5, max_doublings=6), 600, id="nuts"),
        pytest.param(MCLMC(0.5, 2.0), 3_000, id="mclmc"),
        pytest.param(AdjustedMCLMC(0.5, 1.0), 3_000, id="adjusted-mclmc", marks=LATER),
    ],
)
def test_finds_the_scales_of_the_directions(kernel, num_steps, law, key):
    """From starts drawn exactly, each scale within a factor of 2 where untuned ones would be 10 apart.

    The price of MCLMC is known: parts of 0.3, 0.4 and 0.3 of the steps, two gradients a step.
    """
    x0 = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(key, 4))
    found = sampling.warm_up(law, kernel, x0, num_steps=num_steps, key=key)
    ratio = np.asarray(found.kernel.preconditioner) / SCALES
    np.testing.assert_array_less(np.abs(np.log(ratio / np.median(ratio))), np.log(2.0))
    assert type(found.kernel) is type(kernel)
    assert found.kernel.exact == kernel.exact
    assert found.x.shape == (4, 4)
    assert found.num_gradients.shape == (4,)
    if isinstance(kernel, MCLMC):
        assert found.num_gradients.tolist() == [6_000] * 4
    else:
        assert found.num_gradients.min() >= num_steps


@pytest.mark.slow
@pytest.mark.ci
def test_a_matrix_stays_a_matrix(key):
    reference = references.correlated_gaussian()
    x0 = reference.draw(key=key, num=2)
    found = sampling.warm_up(reference.energy, NUTS(0.5, jnp.eye(3), max_doublings=5), x0, num_steps=400, key=key)
    factor = np.asarray(found.kernel.preconditioner)
    assert factor.shape == (3, 3)
    assert np.triu(factor, 1).max() == 0
    assert testing.assert_exact_start(found.kernel, reference, num_chains=4_000, num_steps=2, key=key) > 1e-6


def test_refuses_what_it_cannot_tune(law, key):
    with pytest.raises(TypeError, match=r"warm_up tunes NUTS, MCLMC and AdjustedMCLMC, got MALA"):
        sampling.warm_up(law, MALA(0.1), num_steps=100, key=key)
    with pytest.raises(ValueError, match="at least 20"):
        sampling.warm_up(law, NUTS(0.1), num_steps=5, key=key)
    with pytest.raises(ValueError, match="two dimensions"):
        sampling.warm_up(references.tilted_double_well().energy, MCLMC(0.1, 1.0), num_steps=100, key=key)
