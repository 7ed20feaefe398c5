"""Warm-ups of whole kernels: what they find on a law with known scales, and that their price is counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import sampling, testing
from energax.densities import Gaussian
from energax.estimators import chain_mean
from energax.kernels import HMC, MALA, MCLMC, NUTS, AdjustedMCLMC, RandomWalk, _hmc
from energax.sampling import _pooled
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
        pytest.param(MCLMC(0.5, 8.0), 300, id="mclmc"),
        pytest.param(AdjustedMCLMC(0.5, 1.0), 3_000, id="adjusted-mclmc", marks=LATER),
    ],
)
def test_finds_the_scales_of_the_directions(kernel, num_steps, law, key):
    """From starts drawn exactly, each scale within a factor of 2 where untuned ones would be 10 apart.

    The price of MCLMC is known: two gradients a step.
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
        assert found.num_gradients.tolist() == [600] * 4
    else:
        assert found.num_gradients.min() >= num_steps


def _tuned_from(step_size, key):
    """A normal law of 32 directions with scales from 0.01 to 10, from starts in the midst of the narrowest."""
    law = Gaussian(jnp.zeros(32), jnp.geomspace(1e-4, 1e2, 32))
    x0 = 0.01 * jax.random.normal(key, (16, 32))
    return law, sampling.warm_up(law, MCLMC(step_size, 16.0), x0, num_steps=300, key=key)


def _error_share(law, kernel, key):
    """Mean squared energy error of a step for each dimension, from starts drawn exactly."""

    def one(key):
        start_key, init_key, step_key = jax.random.split(key, 3)
        state = kernel.init(law, law.draw(key=start_key), key=init_key)
        return kernel.step_with_error(law, state, key=step_key)[2] ** 2 / 32

    return float(jnp.mean(jax.vmap(one)(jax.random.split(key, 4_000))))


@pytest.mark.slow
def test_microcanonical_steps_are_as_long_as_their_error_allows(key, monkeypatch):
    """Wherever the tuning begins. The error grows as h⁶: 64 times as much of it allows steps twice as long."""
    law, found = _tuned_from(1.0, key)
    assert _pooled.ERROR_VARIANCE / 2 < _error_share(law, found.kernel, key) < 2 * _pooled.ERROR_VARIANCE
    for far in (0.02, 50.0):
        assert float(_tuned_from(far, key)[1].kernel.step_size) == pytest.approx(float(found.kernel.step_size), rel=0.2)
    monkeypatch.setattr(_pooled, "ERROR_VARIANCE", 64 * _pooled.ERROR_VARIANCE)
    jax.clear_caches()
    longer = _tuned_from(1.0, key)[1].kernel.step_size
    assert 1.7 < float(longer / found.kernel.step_size) < 2.3


@pytest.mark.slow
def test_microcanonical_tuning_spares_most_of_the_run(key):
    """From starts that know nothing, all scales within a factor of 2, and ⟨x²⟩ of all directions within a tenth."""
    law, found = _tuned_from(1.0, key)
    variance = np.geomspace(1e-4, 1e2, 32)
    ratio = np.asarray(found.kernel.preconditioner) / np.sqrt(variance)
    np.testing.assert_array_less(np.abs(np.log(ratio / np.median(ratio))), np.log(2.0))
    run = sampling.sample(law, found.kernel, found.x, num_steps=500, key=key)
    np.testing.assert_allclose(np.mean(np.asarray(run.x) ** 2, axis=(0, 1)) / variance, 1.0, atol=0.25)


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
    with pytest.raises(TypeError, match=r"warm_up tunes NUTS, MCLMC, AdjustedMCLMC, MALA and HMC, got RandomWalk"):
        sampling.warm_up(law, RandomWalk(0.1), num_steps=100, key=key)
    with pytest.raises(ValueError, match="at least 20"):
        sampling.warm_up(law, NUTS(0.1), num_steps=5, key=key)
    with pytest.raises(ValueError, match="two dimensions"):
        sampling.warm_up(references.tilted_double_well().energy, MCLMC(0.1, 1.0), num_steps=100, key=key)


WIDE = np.geomspace(0.01, 10.0, 8)
"""Standard deviations of eight directions, a condition number of a million."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel", [pytest.param(MALA(1e-4), id="mala"), pytest.param(HMC(0.01, num_leapfrog=4), id="hmc", marks=LATER)]
)
def test_a_tuned_preconditioner_helps_on_an_ill_conditioned_law(kernel, key):
    """From one point, without the scales: found within a factor of 2, and draws that are worth far more.

    Without a preconditioner the widest direction, a thousand times the narrowest, hardly moves.
    """
    law = Gaussian(jnp.zeros(8), jnp.asarray(WIDE**2))
    found = sampling.warm_up(law, kernel, jnp.full((16, 8), 0.01), num_steps=3_000, key=key)
    ratio = np.asarray(found.kernel.preconditioner) / WIDE
    np.testing.assert_array_less(np.abs(np.log(ratio)), np.log(2.0))
    leapfrog = kernel.num_leapfrog if isinstance(kernel, HMC) else 1
    assert found.num_gradients.tolist() == [3_000 * leapfrog] * 16
    run = sampling.sample(law, found.kernel, found.x, num_steps=400, key=key)
    wide = chain_mean(run.x[..., -1])
    assert wide.num_effective > 400
    assert abs(wide.value) <= 4.9 * wide.stderr
    plain = sampling.sample(
        law, kernel, found.x, num_steps=400, num_warmup=400, adapt=sampling.StepSizeAdaptation(), key=key
    )
    assert chain_mean(plain.x[..., -1]).num_effective < 0.2 * wide.num_effective


def test_hmc_with_a_matrix_keeps_the_law(key):
    """20,000 chains see a shift of any moment by 0.06 standard deviations."""
    reference = references.correlated_gaussian()
    found = sampling.warm_up(
        reference.energy,
        HMC(0.3, num_leapfrog=4, preconditioner=jnp.eye(3)),
        jnp.zeros((16, 3)),
        num_steps=600,
        key=key,
    )
    assert np.triu(np.asarray(found.kernel.preconditioner), 1).max() == 0
    testing.assert_exact_start(found.kernel, reference, num_steps=3, key=key)


def _trajectories_differ_by():
    """Between a law with covariance L Lᵀ under the preconditioner L, and the standard law mapped by L."""
    factor = jnp.array([[0.7, 0.0, 0.0], [0.9, 0.9, 0.0], [-0.8, 0.6, 1.2]])
    law, standard = Gaussian(jnp.zeros(3), factor @ factor.T), Gaussian(jnp.zeros(3))
    z, p = jnp.array([0.3, -1.0, 0.5]), jnp.array([1.0, 0.2, -0.7])
    plain, mapped = HMC(0.3, num_leapfrog=5), HMC(0.3, num_leapfrog=5, preconditioner=factor)
    end, p_end = plain.trajectory(standard, plain.init(standard, z, key=jax.random.key(0)), p)
    there, p_there = mapped.trajectory(law, mapped.init(law, factor @ z, key=jax.random.key(0)), p)
    return max(float(jnp.abs(there.x - factor @ end.x).max()), float(jnp.abs(p_there - p_end).max()))


def test_preconditioned_leapfrog_is_leapfrog_in_the_scaled_space(monkeypatch):
    assert _trajectories_differ_by() < 1e-5
    monkeypatch.setattr(_hmc, "transposed", _hmc.scaled)
    assert _trajectories_differ_by() > 0.1
