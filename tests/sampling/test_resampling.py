"""Resampling schemes: offspring counts with mean N w, in as few places as each scheme promises."""

import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax.sampling import RESAMPLERS, _resampling

NUM_KEYS = 20_000
LOG_WEIGHTS = {
    "uneven": jnp.log(jnp.array([0.31, 0.02, 0.17, 0.06, 0.29, 0.01, 0.14])) + 700.0,
    "with zeros": jnp.array([-jnp.inf, 0.0, -1.0, -jnp.inf, 0.5, -3.0, -jnp.inf]),
    "even": jnp.zeros(7),
}


def offspring(resampler, log_w, key) -> np.ndarray:
    """How many copies of each particle, (key, particle)."""
    draw = jax.jit(jax.vmap(lambda k: jnp.bincount(resampler(log_w, key=k), length=log_w.size)))
    return np.asarray(draw(jax.random.split(key, NUM_KEYS)))


@pytest.mark.parametrize("weights", LOG_WEIGHTS)
@pytest.mark.parametrize("name", sorted(RESAMPLERS))
def test_offspring(name, weights, key):
    """20,000 draws see a wrong mean of a particle's offspring by 0.05, of N w = 2."""
    log_w = LOG_WEIGHTS[weights]
    expected = log_w.size * np.asarray(jax.nn.softmax(log_w), np.float64)
    counts = offspring(RESAMPLERS[name], log_w, key)
    assert np.all(counts.sum(1) == log_w.size)
    # float32 weights: a point may fall on the wrong side of an integer by rounding
    low, high = np.floor(expected - 1e-5), np.ceil(expected + 1e-5)
    if name == "systematic":
        assert np.all((counts >= low) & (counts <= high))
    if name == "residual":
        assert np.all(counts >= low)
    if name == "stratified":
        assert np.all(np.abs(counts - expected) < 2)
    testing.assert_mean(counts, expected, name=f"offspring by {name} resampling")


MUTANTS = {
    "no offset": ("systematic", "jax.random.uniform(key, ())) / n)", "0.5) / n)"),
    "off by one": ("multinomial", "return jnp.clip(found, 0", "return jnp.clip(found - 1, 0"),
    "whole copies only": ("residual", "jnp.where(jnp.arange(n) < num_whole, sure, drawn)", "sure"),
    "weights of the wrong power": (
        "stratified",
        "jnp.cumsum(jax.nn.softmax(log_w))",
        "jnp.cumsum(jax.nn.softmax(0.9 * log_w))",
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_seen(mutant, key):
    name, right, wrong = MUTANTS[mutant]
    source = Path(_resampling.__file__).read_text()
    assert source.count(right) == 1
    module = types.ModuleType("mutant")
    exec(compile(source.replace(right, wrong), "mutant", "exec"), module.__dict__)
    log_w = LOG_WEIGHTS["uneven"]
    expected = log_w.size * np.asarray(jax.nn.softmax(log_w), np.float64)
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(offspring(module.RESAMPLERS[name], log_w, key), expected)


def test_relative_ess_and_mean_weight():
    for log_w in LOG_WEIGHTS.values():
        w = np.exp(np.asarray(log_w - log_w.max(), np.float64))
        want = w.sum() ** 2 / (w**2).sum() / w.size
        assert float(_resampling.relative_ess(log_w)) == pytest.approx(want, rel=1e-4)
        mean = float(log_w.max()) + np.log(w.mean())
        assert float(_resampling.log_mean_exp(log_w)) == pytest.approx(mean, rel=1e-6)
