"""Flows beside energies: as noise and base measure, as the start of a path, as proposal beside local moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from energax import kernels, objectives, paths, sampling, testing
from energax.densities import Flow, GaussianMixture
from energax.generative import Tilted

pytest.importorskip("flowjax")


def normal(mean, scale):
    """A flow whose law is N(mean, scale²)."""
    import flowjax.bijections as bijections
    import flowjax.distributions as distributions

    moved = bijections.Affine(jnp.array([mean]), jnp.array([scale]))
    return Flow(distributions.Transformed(distributions.StandardNormal((1,)), moved))


def slope(x):
    return 0.8 * x[0] - 0.1


def test_noise_contrastive_estimation_of_a_tilted_flow_is_the_game_of_a_critic(key):
    """With the flow as base and as noise the classifier is the critic, less log Z: the loss of a GAN's critic."""
    flow, rows = normal(0.5, 1.5), jnp.array([[0.3], [-1.2], [2.0], [0.9]])
    objective = objectives.NoiseContrastive(noise=flow, log_z=0.4)
    model = Tilted(flow, slope)
    objective.check(model)

    @jax.jit
    def both(key):
        draws = jax.vmap(lambda k: flow.draw(key=k))(jax.random.split(key, len(rows)))
        on_data, on_draws = (jax.vmap(slope)(x) - 0.4 for x in (rows, draws))
        wanted = jnp.mean(jax.nn.softplus(-on_data)) + jnp.mean(jax.nn.softplus(on_draws))
        return objective.measure(model, rows, key=key)[0], wanted

    np.testing.assert_allclose(*both(key), rtol=1e-5)


@pytest.mark.slow
def test_a_path_from_a_flow_has_the_known_normaliser(key):
    """log E exp(0.8 x − 0.1) under N(0.5, 1.5²) = 0.4 − 0.1 + 0.72: 4000 walkers; an error of 0.1 is seen."""
    flow = normal(0.5, 1.5)
    path = paths.Geometric(flow, Tilted(flow, slope))
    work = sampling.anneal(path, kernels.MALA(0.8), jnp.linspace(0.0, 1.0, 11), key=key, num_particles=4000)
    weights = np.asarray(work.log_weights, np.float64).reshape(-1)
    testing.assert_mean(np.exp(weights - 1.02), 1.0, name="weight")


@pytest.mark.slow
def test_jumps_of_a_flow_beside_local_moves_find_the_masses(key):
    """Modes 12 apart with masses 0.3 and 0.7: 4000 chains from the wrong one; an error of 0.05 is seen."""
    target = GaussianMixture(jnp.array([[-6.0], [6.0]]), 1.0, jnp.array([0.3, 0.7]))
    kernel = kernels.Cycle((kernels.IndependenceMetropolis(normal(0.0, 8.0)), kernels.MALA(0.5)))
    start = jnp.full((4000, 1), -6.0)
    samples = sampling.sample(target, kernel, start, key=key, num_steps=80, thin=80)
    last = np.asarray(samples.x)[:, -1, 0]
    testing.assert_counts([np.sum(last < 0), np.sum(last > 0)], [0.3, 0.7])
    testing.assert_distribution(np.abs(last) - 6.0, scipy.stats.norm.cdf)
