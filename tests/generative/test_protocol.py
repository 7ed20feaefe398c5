"""Every generator answers the same questions, and `fit` trains them like energies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, exact, kernels, testing, training
from energax.densities import AbstractGenerator, Gaussian
from energax.generative import MaximumLikelihood, SampledEnergy


def test_a_density_is_a_generator_with_an_exact_likelihood(key):
    law = Gaussian(jnp.array([1.0, -2.0]), jnp.array([0.5, 2.0]))
    x = jnp.array([0.3, 0.1])
    assert isinstance(law, AbstractGenerator)
    assert (law.likelihood, law.draw_evaluations) == ("exact", 1)
    assert float(law.log_likelihood(x, key=key)) == float(law.log_prob(x))


def test_maximum_likelihood_finds_the_moments_of_the_data():
    """The optimum of a normal law is the mean and the variance of the rows, whatever they are."""
    data = np.random.default_rng(0).exponential(size=(64, 2)).astype(np.float32)
    learner = training.Learner(
        Gaussian(jnp.zeros(2), jnp.ones(2)),
        MaximumLikelihood(),
        optimizer=training.default_optimizer(0.05, num_constant=50),
    )
    run = training.fit(learner, data, key=jax.random.key(0), num_steps=400, batch_size=64)
    np.testing.assert_allclose(run.energy.mean, data.mean(0), atol=2e-3)
    np.testing.assert_allclose(run.energy.cholesky**2, data.var(0), atol=4e-3)


def test_maximum_likelihood_refuses_what_has_no_likelihood():
    with pytest.raises(TypeError, match="knows its log-likelihood, got MLP"):
        training.Learner(energies.MLP(2, hidden=(4,), key=jax.random.key(0)), MaximumLikelihood())
    with pytest.raises(ValueError, match="an energy or a generator, got int"):
        training.Learner(3, MaximumLikelihood())


@pytest.fixture(scope="module")
def rbm():
    return energies.RBM(num_visible=3, num_hidden=2, key=jax.random.key(4))


def test_an_energy_draws_by_chains_from_its_own_law(rbm, key):
    """4000 chains of 40 sweeps: a probability of a configuration that is off by 0.04 is seen."""
    louder = jax.tree.map(lambda leaf: 20 * leaf, rbm)
    model = SampledEnergy(louder, kernels.BlockGibbs(), num_steps=40)
    draws = jax.jit(jax.vmap(lambda k: model.draw(key=k)))(jax.random.split(key, 4000))
    codes = np.asarray(draws).astype(int) @ [4, 2, 1]
    states = jnp.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])
    log_z = exact.log_z(louder)
    known = SampledEnergy(louder, kernels.BlockGibbs(), num_steps=40, log_z=log_z)
    probabilities = np.exp(jax.vmap(lambda x: known.log_likelihood(x, key=key))(states))
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-5)
    testing.assert_counts(np.bincount(codes, minlength=8), probabilities / probabilities.sum())


def test_an_energy_without_log_z_has_no_likelihood(rbm, key):
    model = SampledEnergy(rbm, kernels.BlockGibbs(), num_steps=2)
    assert model.likelihood == "none"
    with pytest.raises(ValueError, match="no likelihood without `log_z`"):
        model.log_likelihood(jnp.zeros(3), key=key)
    with pytest.raises(ValueError, match="num_steps >= 1"):
        SampledEnergy(rbm, kernels.BlockGibbs(), num_steps=0)
