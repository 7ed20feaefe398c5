"""SGLD on a normal posterior, where the law of its batches is known: identities, and the stated bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax.densities import Gaussian
from energax.energies import Posterior, Sum, Tempered, subsampled
from energax.kernels import SGLD, ULA
from energax.testing._exact_start import last_of_chains

ROWS = np.array([0.3, -1.0, 2.0, 0.7, 1.1, -0.4, 1.6, 0.2])
NOISE, PRIOR = 0.8, 4.0  # variances of a row about x, and of the prior
PRECISION = 1 / PRIOR + len(ROWS) / NOISE
MEAN = ROWS.sum() / NOISE / PRECISION


def squared_error(x, row):
    return 0.5 * jnp.sum((x - row) ** 2) / NOISE


def posterior():
    return Posterior(Gaussian(jnp.zeros(1), PRIOR), squared_error, jnp.asarray(ROWS)[:, None])


def stated_variance(h, batch_size):
    spread = len(ROWS) ** 2 / batch_size * ROWS.var() / NOISE**2
    return (2 * h + h**2 * spread) / (1 - (1 - h * PRECISION) ** 2)


def test_batches_of_one_row_are_unbiased_and_spread_as_stated():
    """Over all rows the drift has the mean of ULA's, the slope 1 − hk in x, and the variance h² N² Var(y)/s⁴."""
    h = 0.03
    with jax.enable_x64(True):
        law, kernel = posterior(), SGLD(h, batch_size=1)
        words = jnp.arange(len(ROWS), dtype=jnp.int32)[:, None]
        means = np.asarray([kernel.proposal(kernel.at(law, jnp.array([0.4]), w)).mean[0] for w in words])
        at_one = np.asarray([kernel.proposal(kernel.at(law, jnp.array([1.4]), w)).mean[0] for w in words])
        plain = ULA(h)
        whole = plain.proposal(plain.init(law, jnp.array([0.4]), key=jax.random.key(0)))
        scale = kernel.proposal(kernel.at(law, jnp.array([0.4]), words[0])).scale
    np.testing.assert_allclose(means.mean(), whole.mean[0], rtol=1e-12)
    np.testing.assert_allclose(scale, whole.scale, rtol=1e-12)
    np.testing.assert_allclose(at_one - means, 1 - h * PRECISION, rtol=1e-12)
    np.testing.assert_allclose(means.var(), h**2 * len(ROWS) ** 2 * ROWS.var() / NOISE**2, rtol=1e-12)


def test_wrappers_pass_the_choice_of_rows_on():
    law, words, x = posterior(), jnp.array([3, 9, 4], jnp.int32), jnp.array([0.7])
    part = subsampled(law, words)
    want = float(law.prior(x)) + 8 / 3 * sum(float(squared_error(x, ROWS[i])) for i in (3, 1, 4))
    np.testing.assert_allclose(part(x), want, rtol=1e-5)
    np.testing.assert_allclose(subsampled(Tempered(law, 0.3), words)(x), 0.3 * part(x), rtol=1e-6)
    np.testing.assert_allclose(subsampled(Sum((law, law.prior)), words)(x), part(x) + law.prior(x), rtol=1e-6)
    assert subsampled(law.prior, words) is law.prior


def stays(kernel, batch_size, key):
    """From the stated mean and variance the second moment does not move; 20,000 chains see a change by 0.08 of it."""
    draw_key, step_key = jax.random.split(key)
    want = stated_variance(float(kernel.step_size), batch_size)
    x = MEAN + np.sqrt(want) * jax.random.normal(draw_key, (20_000, 1))
    ends = last_of_chains(kernel, posterior(), x, jax.random.split(step_key, 20_000), 10)
    return (np.asarray(ends, np.float64) - MEAN) ** 2, want


def test_has_its_stated_bias(key):
    """At h = 0.05 with batches of 2 of 8 rows the variance is 0.275, that of the posterior 0.098 and of ULA 0.13."""
    squares, want = stays(SGLD(0.05, batch_size=2), 2, key)
    testing.assert_mean(squares, [want], name="variance of SGLD")
    for other in (1 / PRECISION, stated_variance(0.05, 10**9)):
        with pytest.raises(AssertionError, match="smallest visible shift"):
            testing.assert_mean(squares, [other], name="variance of SGLD")


class UnscaledBatch(SGLD):
    """The loss of the batch is not scaled up to that of all rows."""

    def at(self, energy, x, words):
        part = subsampled(energy, words)
        return SGLD(self.step_size, self.batch_size).at(Posterior(part.prior, part.loss, part.data), x, words)


def test_a_batch_that_is_not_scaled_up_is_seen(key):
    squares, want = stays(UnscaledBatch(0.05, batch_size=2), 2, key)
    with pytest.raises(AssertionError, match="smallest visible shift"):
        testing.assert_mean(squares, [want], name="variance of SGLD")


def test_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="batch_size of at least 1"):
        SGLD(0.1, batch_size=0)
    with pytest.raises(ValueError, match="one leading axis of rows"):
        Posterior(Gaussian(jnp.zeros(1)), squared_error, {"x": jnp.zeros((3, 1)), "y": jnp.zeros(2)})
