"""The base law fitted to rows is its closed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from energax._errors import ArgumentError
from energax.densities import IndependentSites, Uniform, default_base
from energax.evaluation import fit_base
from energax.spaces import Binary, Box, Categorical, Euclidean, Spins


def probabilities(law, values):
    """Log-probability of each value at each site of a one-dimensional space."""
    at = [law.space.site_log_probs(law.logits, jnp.full(law.space.shape, v, law.space.struct.dtype)) for v in values]
    return np.exp(np.stack([np.asarray(a) for a in at], axis=-1))


@pytest.mark.parametrize(("num", "extra"), [(40, 1.0), (400, 4.0)])
@pytest.mark.parametrize("space", [Binary(5), Spins(5), Categorical(5, num_categories=3)], ids=str)
def test_sites_have_the_frequencies_of_the_rows(rng, space, num, extra):
    """Every value one per cent of the rows more, at least one row; a value that never occurs included."""
    rows = rng.choice(np.asarray(space.values), size=(num, 5)).astype(space.struct.dtype)
    rows[:, 0] = space.values[0]
    counts = np.stack([(rows == v).sum(0) for v in space.values], axis=-1) + extra
    law = fit_base(space, rows)
    assert isinstance(law, IndependentSites)
    assert probabilities(law, space.values) == pytest.approx(counts / counts.sum(-1, keepdims=True), rel=1e-5)


def test_a_local_law_adds_half_a_count():
    law = fit_base(Binary(2), np.asarray([[0, 1]] * 9, np.int8), local=True)
    assert probabilities(law, (0, 1))[:, 1] == pytest.approx([0.05, 0.95], rel=1e-5)


def test_normal_law_with_full_covariance(rng):
    rows = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + 1.0
    law = fit_base(Euclidean(3), rows)
    covariance = 1.25**2 * (np.cov(rows.T) + 0.01 * np.diag(rows.var(0)))
    expected = multivariate_normal(rows.mean(0), covariance).logpdf(rows[:5])
    assert np.asarray(jax.vmap(law.log_prob)(jnp.asarray(rows[:5]))) == pytest.approx(expected, rel=1e-4)


def test_normal_law_of_few_rows_is_diagonal_and_takes_any_shape(rng):
    """Too few rows for a covariance; a constant column gets the width of the widest."""
    rows = rng.normal(size=(12, 2, 2)) * 3.0
    rows[:, 0, 0] = 5.0
    law = fit_base(Euclidean((2, 2)), rows)
    scale = rows.std(0)
    scale[0, 0] = scale.max()
    expected = norm(rows.mean(0), 1.25 * scale).logpdf(rows[3]).sum()
    assert float(law.log_prob(jnp.asarray(rows[3]))) == pytest.approx(expected, rel=1e-4)
    assert law.draw(key=jax.random.key(0)).shape == (2, 2)


def test_what_has_a_volume_starts_uniform():
    box = Box(2, 0.0, 1.0)
    assert isinstance(fit_base(box, np.zeros((5, 2))), Uniform)
    assert isinstance(default_base(Spins(3)), IndependentSites)
    law = default_base(Euclidean(2, initial_scale=2.0))
    assert float(law.log_prob(jnp.asarray([2.0, 0.0]))) == pytest.approx(norm(0, 2).logpdf([2.0, 0.0]).sum(), rel=1e-5)


def test_an_unbounded_space_without_scale_needs_a_base():
    with pytest.raises(ArgumentError, match="pass `data`, a `base` density"):
        default_base(Euclidean(2))
