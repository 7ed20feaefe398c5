import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from energax import exact
from energax._errors import ArgumentError, DataError, SpaceError
from energax.densities import SiteMixture, _site_mixture, site_mixture
from energax.spaces import Binary, Categorical, Spins
from energax.testing import FALSE_ALARM, assert_counts

LOGITS = np.array([[2.0, -1.0, 2.5, -2.0, 0.5], [-2.0, 1.5, -1.0, 2.0, 1.0]])
WEIGHTS = np.array([0.7, 0.3])


def known(space=None):
    return SiteMixture(jnp.asarray(LOGITS, float), jnp.log(jnp.asarray(WEIGHTS)), space or Binary(5))


def excess(rows):
    """How much more likely rows are under their fit than under the law that they were drawn from, in nats."""
    fit = site_mixture(Binary(5), rows, 2, key=jax.random.key(3), num_rounds=1000, tolerance=1e-7, pseudo_count=1e-3)
    return float(np.sum(jax.vmap(fit.log_prob)(rows)) - np.sum(jax.vmap(known().log_prob)(rows)))


def test_it_is_normalised_and_draws_from_its_law(key):
    """20,000 draws see a cell that is off by a tenth of itself."""
    law = known()
    table, log_p = exact.log_probs(law)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1.0, atol=1e-6)
    draws = np.asarray(exact.draw(law, key=key, num=20_000), int)
    order = table.astype(int) @ (1 << np.arange(5))
    counts = np.bincount(draws @ (1 << np.arange(5)), minlength=32)[order]
    assert_counts(counts, np.exp(log_p), name="cells")


def test_weights_need_not_be_normalised():
    law, x = known(), jnp.asarray([1, 0, 1, 0, 1], jnp.int8)
    moved = SiteMixture(law.logits, law.log_weights + 2.0, law.space)
    assert float(moved.log_prob(x)) == pytest.approx(float(law.log_prob(x)), abs=1e-5)


def test_a_round_is_the_formula():
    """With rows that do not fill their blocks; and no round lowers the penalised likelihood."""
    with jax.enable_x64(True):
        rows = np.random.default_rng(1).integers(0, 2, (37, 5))
        mean, c = (rows.sum(0) + 0.5) / 38, 0.7
        blocks = np.pad(rows.astype(bool), ((0, 3), (0, 0))).reshape(4, 10, 5)
        counted = (np.arange(40) < 37).reshape(4, 10)
        law, last = known(), -np.inf
        for _ in range(5):
            p, w = np.asarray(jax.nn.sigmoid(law.logits)), np.asarray(jax.nn.softmax(law.log_weights))
            each = w * np.prod(np.where(rows[:, None] == 1, p, 1 - p), axis=-1)
            shares = each / each.sum(1, keepdims=True)
            prior = np.log(w).sum() + np.sum(mean * np.log(p) + (1 - mean) * np.log1p(-p))
            now = np.log(each.sum(1)).sum() + c * prior
            assert now > last
            law, found = _site_mixture._round(law, jnp.asarray(blocks), jnp.asarray(counted), jnp.asarray(mean), c)
            assert float(found) == pytest.approx(np.log(each.sum(1)).mean(), abs=1e-12)
            want = (shares.T @ rows + c * mean) / (shares.sum(0) + c)[:, None]
            np.testing.assert_allclose(jax.nn.sigmoid(law.logits), want, atol=1e-12)
            np.testing.assert_allclose(jax.nn.softmax(law.log_weights), (shares.sum(0) + c) / (37 + 2 * c), atol=1e-12)
            last = now


def test_the_fit_is_the_maximum_of_the_likelihood(key):
    """Twice the excess has a χ² law with the 11 parameters as its degrees, whatever the truth."""
    found = 2 * excess(exact.draw(known(), key=key, num=20_000))
    assert stats.chi2.ppf(FALSE_ALARM / 2, 11) < found < stats.chi2.isf(FALSE_ALARM / 2, 11)


def test_spins_are_fitted_as_bits():
    rows = np.random.default_rng(2).integers(0, 2, (50, 4))
    laws = [
        site_mixture(space, values, 3, key=jax.random.key(0), num_rounds=4)
        for space, values in ((Binary((2, 2)), rows.reshape(-1, 2, 2)), (Spins(4), 2 * rows - 1))
    ]
    np.testing.assert_allclose(laws[0].logits.reshape(3, 4), laws[1].logits, atol=1e-6)
    assert laws[0].logits.shape == (3, 2, 2)


def test_no_site_is_certain_and_no_component_dies():
    law = site_mixture(Binary(3), np.ones((5, 3)), 8, key=jax.random.key(0))
    assert np.isfinite(law.logits).all()
    assert np.isfinite(law.log_weights).all()


@pytest.mark.parametrize(
    ("space", "rows", "options", "error", "message"),
    [
        (Categorical(3, num_categories=3), np.zeros((4, 3)), {}, SpaceError, "two-valued"),
        (Binary(3), np.zeros((4, 2)), {}, DataError, r"\(3,\), got an array of shape \(4, 2\)"),
        (Binary(3), np.full((4, 3), 2), {}, DataError, r"values \(0, 1\) alone"),
        (Binary(3), np.zeros((4, 3)), {"pseudo_count": 0.0}, ArgumentError, "pseudo_count > 0"),
    ],
)
def test_messages(space, rows, options, error, message):
    with pytest.raises(error, match=message):
        site_mixture(space, rows, 2, key=jax.random.key(0), **options)
