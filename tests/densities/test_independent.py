import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact
from energax._errors import ArgumentError, SpaceError
from energax.densities import IndependentSites, Uniform, bernoulli_fit
from energax.spaces import Binary, Box, Categorical, Euclidean, Spins
from energax.testing import assert_counts, assert_mean

LOGITS = np.array([[0.5, -0.5, 1.0], [0.0, 2.0, -1.0]])


def test_a_product_law_is_normalised_and_factorises():
    with jax.enable_x64(True):
        law = IndependentSites(Categorical(2, num_categories=3), jnp.asarray(LOGITS))
        table, log_p = exact.log_probs(law)
        rows = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
        np.testing.assert_allclose(log_p, rows[0][table[:, 0]] + rows[1][table[:, 1]], atol=1e-13)
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-14)


def test_draws_of_a_product_law(key):
    """20,000 draws see a cell that is off by a tenth of itself."""
    law = IndependentSites(Categorical(2, num_categories=3), jnp.asarray(LOGITS))
    draws = np.asarray(exact.draw(law, key=key, num=20_000), int)
    assert_counts(np.bincount(draws @ [3, 1], minlength=9), np.exp(exact.log_probs(law)[1]), name="categories")


def test_zero_logits_are_uniform():
    assert float(IndependentSites(Spins(10)).log_prob(jnp.ones(10, jnp.int8))) == pytest.approx(-10 * np.log(2))


def test_the_bernoulli_baseline_has_the_means_of_the_data():
    data = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0]])
    law = bernoulli_fit(data, pseudo_count=0.5)
    want = (data.sum(0) + 0.5) / 4
    np.testing.assert_allclose(jax.nn.sigmoid(law.logits), want, rtol=1e-6)
    assert law.space == Binary(3)
    assert np.all(np.isfinite(bernoulli_fit(np.ones((5, 2))).logits))


def test_the_uniform_law_keeps_the_precision_of_its_argument(key):
    law = Uniform(Box(2, -1.0, 3.0))
    assert float(law.log_prob(jnp.zeros(2))) == pytest.approx(-2 * np.log(4))
    assert float(law.log_prob(jnp.array([0.0, 4.0]))) == -np.inf
    with jax.enable_x64(True):
        assert law.log_prob(jnp.zeros(2, jnp.float32)).dtype == jnp.float32
        assert law.log_prob(jnp.zeros(2, jnp.float64)).dtype == jnp.float64
    assert_mean(exact.draw(law, key=key, num=20_000), np.ones(2), name="centre of the box")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: IndependentSites(Euclidean(2)), SpaceError, "discrete space"),
        (lambda: IndependentSites(Spins(3), jnp.zeros(2)), ArgumentError, r"shape \(3,\), got \(2,\)"),
        (lambda: Uniform(Euclidean(2)), SpaceError, "volume is infinite"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
