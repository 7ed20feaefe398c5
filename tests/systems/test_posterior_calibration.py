"""Calibration of an encoder, where the exact posterior is normal and unadjusted Langevin steps have a closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, generative, spaces, systems, testing, training
from energax._errors import ArgumentError, KernelMismatch

X, NOISE = np.array([0.8, -0.4, 1.1]), 0.7
LOADINGS = np.array([[0.9, 0.5], [-0.2, 0.7], [0.6, 0.8]])
PRECISION = np.eye(2) + LOADINGS.T @ LOADINGS / NOISE**2
MEAN = np.linalg.solve(PRECISION, LOADINGS.T @ X) / NOISE**2
DEVIATIONS = np.sqrt(np.diag(np.linalg.inv(PRECISION)))
"""The exact posterior of two latents that depend on each other: correlation −0.44."""


def model_at(mean, std, kind=generative.VAE, loadings=LOADINGS):
    """A linear VAE whose encoder says the same of every row."""
    model = kind(3, latent_dim=2, hidden=(), scale=NOISE, key=jax.random.key(0))
    (into,), (out,) = model.encoder.layers, model.decoder.layers
    values = [0.0 * into.weight, jnp.concatenate([mean, jnp.log(std)]), loadings, 0.0 * out.bias]
    return eqx.tree_at(
        lambda m: (
            [getattr(m.encoder.layers[0], n) for n in ("weight", "bias")]
            + [getattr(m.decoder.layers[0], n) for n in ("weight", "bias")]
        ),
        model,
        [jnp.asarray(value, jnp.float32) for value in values],
    )


def refined_law(mean, std, move):
    """Mean and covariance of (z_K − m)/s from z₀ ~ N(m, s²): a linear recursion."""
    kept = np.eye(2) - move.step_size * std[:, None] * PRECISION * std
    centre, covariance = (MEAN - mean) / std, np.eye(2)
    for _ in range(move.num_steps):
        covariance = kept @ covariance @ kept + 2 * move.step_size * np.eye(2)
    return centre - np.linalg.matrix_power(kept, move.num_steps) @ centre, covariance


def steps(num_steps, step_size):
    return systems.Refinement(num_steps, step_size, temperature=1.0, tether=0.0)


def test_refined_latents_have_the_law_of_the_steps(key):
    """Mean and second moments of 20,000 rows, from an encoder that is wrong: a shift of 0.05 deviations is seen."""
    mean, std, move = np.array([0.5, -0.3]), np.array([0.8, 0.4]), steps(6, 0.1)
    centre, covariance = refined_law(mean, std, move)
    rows = jnp.tile(jnp.asarray(X, jnp.float32), (20_000, 1))
    rule, model = systems.PosteriorCalibration(move), model_at(mean, std)
    starts, ends, refused = jax.jit(lambda k: rule.refine(model, rows, key=k))(key)
    for latents, at, spread in ((starts, np.zeros(2), np.eye(2)), (ends, centre, covariance)):
        white = (np.asarray(latents, np.float64) - mean) / std
        second = (white[:, :, None] * white[:, None, :]).reshape(-1, 4)
        testing.assert_mean(np.concatenate([white, second], axis=1), [*at, *(spread + np.outer(at, at)).flat])
    assert float(refused) == 0.0


@eqx.filter_jit
def slopes(model, rule, keys):
    """Gradients of the weight's term alone by the encoder's mean and log deviation, and of the bound alone."""

    def one(k):
        def loss(encoder, multiplier):
            made = eqx.tree_at(lambda m: m.encoder, model, encoder)
            return rule.loss(made, jnp.asarray(X, jnp.float32)[None], multiplier, key=k)[0]

        slope = jax.grad(loss)
        without, with_weight = (slope(model.encoder, jnp.float32(w)).layers[0].bias for w in (0.0, 1.0))
        return with_weight - without, without

    return jax.vmap(one)(keys)


def test_the_pull_vanishes_at_the_exact_marginals(key):
    """After long chains q is drawn to the posterior's mean and variances, up to 2 h; the bound wants it narrower."""
    move = steps(200, 0.02)
    centre, covariance = refined_law(MEAN, DEVIATIONS, move)
    expected = np.concatenate([-centre / DEVIATIONS, 1 - np.diag(covariance)])
    assert np.max(np.abs(expected)) < 0.04
    pull, bound = slopes(model_at(MEAN, DEVIATIONS), systems.PosteriorCalibration(move), jax.random.split(key, 4000))
    testing.assert_mean(pull, expected, name="pull")
    testing.assert_mean(bound, [0, 0, *(DEVIATIONS**2 * np.diag(PRECISION) - 1)], name="slope of the bound")
    assert np.all(DEVIATIONS**2 * np.diag(PRECISION) - 1 > 0.2)


def test_the_pull_of_short_chains(key):
    """From a wrong encoder: towards the mean and the width of what four steps made."""
    mean, std, move = MEAN + np.array([0.6, -0.2]), 0.5 * DEVIATIONS, steps(4, 0.1)
    centre, covariance = refined_law(mean, std, move)
    pull, _ = slopes(model_at(mean, std), systems.PosteriorCalibration(move), jax.random.split(key, 40_000))
    testing.assert_mean(pull, [*(-centre / std), *(1 - np.diag(covariance) - centre**2)], name="pull")


def test_the_width_that_the_constraint_asks_for(key):
    """Of independent latents s² = σ² (1 − √(1 − 2h))/h, 6 % wider than exact, where the pull vanishes for any K."""
    h, loadings = 0.1, np.array([[0.9, 0.0], [0.0, 0.7], [0.0, 0.0]])
    variance = 1 / (1 + np.diag(loadings.T @ loadings) / NOISE**2)
    mean = variance * (loadings.T @ X) / NOISE**2
    model = model_at(mean, np.sqrt(variance * (1 - np.sqrt(1 - 2 * h)) / h), loadings=loadings)
    pull, _ = slopes(model, systems.PosteriorCalibration(steps(4, h)), jax.random.split(key, 40_000))
    testing.assert_mean(pull, np.zeros(4), name="pull")


def test_the_weight_follows_the_spread_of_refined_latents(key):
    """r is that of the closed form, the weight moves by η (r − slack), and the loss has λ ½ D (r − 1)."""
    std, move = 0.6 * DEVIATIONS, steps(5, 0.1)
    rule = systems.PosteriorCalibration(move, slack=1.2, dual_rate=0.1, multiplier=0.5)
    model, x = model_at(MEAN, std), jnp.asarray(X, jnp.float32)[None]
    assert float(rule.init(model, x, key=key)) == 0.5

    def one(k):
        loss, (weight, metrics) = rule.loss(model, x, jnp.float32(0.5), key=k)
        unweighted = rule.loss(model, x, jnp.float32(0.0), key=k)[0]
        return loss - unweighted, weight, metrics["latents_over_noise"]

    added, weights, ratios = jax.jit(jax.vmap(one))(jax.random.split(key, 20_000))
    expected = np.trace(refined_law(MEAN, std, move)[1]) / 2
    assert expected > 1.2
    testing.assert_mean(ratios, expected, name="r")
    np.testing.assert_allclose(weights, np.clip(0.5 + 0.1 * (ratios - 1.2), 0, 1), atol=1e-6)
    np.testing.assert_allclose(added, 0.5 * (ratios - 1), atol=1e-4)


@pytest.mark.parametrize("refined", [True, False])
def test_who_teaches_the_decoder(refined, key):
    """The slope of the decoder's offset is −E(x − W z − b)/σ² over refined latents, or over those of the encoder."""
    mean, std, move = np.array([0.5, -0.3]), np.array([0.8, 0.4]), steps(6, 0.1)
    centre, _ = refined_law(mean, std, move)
    rule, model = systems.PosteriorCalibration(move, refined_decoder=refined), model_at(mean, std)

    def slope(k):
        def loss(offset):
            made = eqx.tree_at(lambda m: m.decoder.layers[0].bias, model, offset)
            return rule.loss(made, jnp.asarray(X, jnp.float32)[None], jnp.float32(1.0), key=k)[0]

        return jax.grad(loss)(jnp.zeros(3))

    latent = mean + std * centre if refined else mean
    found = jax.jit(jax.vmap(slope))(jax.random.split(key, 10_000))
    testing.assert_mean(found, -(X - LOADINGS @ latent) / NOISE**2, name="slope")


def test_draws_and_posterior_are_calibrated_at_once():
    """As the own loss of a calibrated generator: both weights are in the state; nothing is compiled."""
    vae = generative.VAE(2, latent_dim=1, hidden=(), key=jax.random.key(0))
    model = systems.Calibrated(vae, generative.critic((2,), hidden=(4,), key=jax.random.key(1)))
    learner = systems.CalibrationLearner(model, systems.PosteriorCalibration(multiplier=0.25))
    rows = jnp.ones((4, 2))
    state = learner.init(rows, key=jax.random.key(2))
    assert float(state.objective_state) == 0.25
    assert float(state.companions["multiplier"]) == 1.0
    metrics = eqx.filter_eval_shape(lambda s: learner.update(s, rows, key=jax.random.key(3)), state)[1]
    assert {"latents_over_noise", "latent_multiplier", "move_over_noise", "multiplier"} <= set(metrics)


@pytest.mark.slow
def test_training_goes_on_in_the_same_bits(tmp_path):
    """Bits and one latent, far from normal: trained in two parts, the weight included, which moves."""
    rows = np.random.default_rng(0).integers(0, 2, (256, 1)).repeat(6, axis=1).astype(np.int8)
    vae = generative.VAE(spaces.Binary(6), latent_dim=1, hidden=(8,), key=jax.random.key(0))
    learner = training.Learner(vae, systems.PosteriorCalibration(multiplier=0.1, slack=1.05), ema_decay=0.9)
    options = {"key": jax.random.key(3), "batch_size": 32, "log_every": 2, "checkpoint_every": 4}
    whole = training.fit(learner, rows, num_steps=12, **options)
    training.fit(learner, rows, num_steps=8, directory=tmp_path, **options)
    parts = training.fit(learner, rows, num_steps=12, directory=tmp_path, resume=True, **options)
    left, right = (jax.tree.leaves(eqx.filter(run.state, eqx.is_array)) for run in (whole, parts))
    assert [np.asarray(a).tobytes() for a in left] == [np.asarray(a).tobytes() for a in right]
    weights = [row["latent_multiplier"] for row in whole.history]
    assert weights[0] != weights[-1]


def test_what_is_no_posterior_is_refused():
    flow = densities.coupling_flow(2, num_layers=1, width=4, key=jax.random.key(1))
    with pytest.raises(KernelMismatch, match="PosteriorCalibration trains a VAE, got"):
        training.Learner(flow, systems.PosteriorCalibration())
    with pytest.raises(ArgumentError, match="PosteriorCalibration needs slack > 0"):
        systems.PosteriorCalibration(slack=0.0)
    with pytest.raises(ArgumentError, match="PosteriorCalibration needs 0 <= multiplier <= max_multiplier"):
        systems.PosteriorCalibration(multiplier=2.0)
