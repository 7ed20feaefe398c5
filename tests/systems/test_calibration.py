"""Calibrated generators: the arithmetic of the moves, the constraint, and what is left at test time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import densities, energies, generative, spaces, systems, testing, training
from energax._errors import ArgumentError, KernelMismatch

PLANE = spaces.Euclidean(2)
ADAM, GAME = optax.adam(1e-2), optax.adam(1e-2, b1=0.0)


def slope(x):
    return x @ jnp.array([3.0, -1.0])


def flat(x):
    return jnp.sum(x) * 0.0


def test_noise_alone_moves_by_the_floor(key):
    """Where the energy is flat the squared move is 2hKD, or what the tether leaves of it: 1.5 % would be seen."""
    assert systems.Refinement(num_steps=6, step_size=0.05, tether=0.0).variance == pytest.approx(2 * 0.05 * 6)
    move = systems.Refinement(num_steps=6, step_size=0.05, tether=2.5)
    moved, refused = jax.jit(lambda k: move.move(flat, jnp.ones((100_000, 2)), PLANE, key=k))(key)
    testing.assert_mean(np.sum((moved - 1.0) ** 2, axis=1), 2 * move.variance, name="squared move")
    assert float(refused) == 0.0


def test_the_drift_is_that_of_the_step_and_the_temperature(key):
    """Under a linear energy noise does not change the drift, −(h/τ) ∇E Σ (1 − t/K)^k, which the tether shortens."""
    with jax.enable_x64(True):
        move = systems.Refinement(num_steps=4, step_size=1e-3, temperature=0.05, tether=1.5)
        starts = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2)))
        with_slope, without = (move.move(e, starts, PLANE, key=key)[0] for e in (slope, flat))
        total = sum((1 - 1.5 / 4) ** k for k in range(4))
        expected = -1e-3 / 0.05 * total * np.array([3.0, -1.0])
        np.testing.assert_allclose(with_slope - without, np.tile(expected, (3, 1)), atol=1e-13)


def test_the_tether_conditions_the_law():
    """Of order 1/h: with E = 0 the tethered law is normal with variance 1/κ, and a κ of order 1 would not hold."""
    move = systems.Refinement(num_steps=10, step_size=1e-6, tether=1.0)
    law = systems.TetheredEnergy(flat, move.temperature, move.stiffness, PLANE).given(jnp.array([1.0, 2.0]))
    assert move.stiffness == pytest.approx(1e5)
    assert float(law(jnp.array([1.0 + 1e-3, 2.0]))) == pytest.approx(0.5 * 1e5 * 1e-6, rel=1e-3)


def test_scaled_steps_mean_the_same_in_any_units():
    """In units ten times smaller h is 100 times smaller, and the temperature stays."""
    big, small = (systems.Refinement.scaled(s, num_steps=5, noise=0.1, tether=0.0) for s in (1.0, 0.1))
    assert big.variance == pytest.approx(0.01)
    assert small.variance == pytest.approx(1e-4)
    assert big.temperature == small.temperature


def test_a_calibration_for_given_data_moves_draws_by_the_same_share_and_weighs_the_whole_row():
    plane, picture = systems.Calibration.scaled(2.0, 2), systems.Calibration.scaled(0.5, 784)
    assert (plane.max_multiplier, picture.max_multiplier) == (1.0, 784 / 25)
    # The slope of E = a sum of entries has length √D, and moves a row by noise²/(2τ) spread² √D: the same for any D.
    for rule, spread, size in ((plane, 2.0, 2), (picture, 0.5, 784)):
        way = rule.refinement.num_steps * rule.refinement.step_size / rule.refinement.temperature
        assert way / spread**2 == pytest.approx(0.05**2 / 2 / 4e-3 * size**0.5)
    assert systems.Calibration.scaled(1.0, 784, max_multiplier=3.0, slack=2.0).max_multiplier == 3.0


def test_the_weight_rises_while_the_constraint_is_broken_and_falls_when_it_holds():
    rule = systems.Calibration(slack=1.5, dual_rate=0.1, max_multiplier=2.0)

    def path(ratio, start):
        out = [jnp.asarray(start)]
        for _ in range(60):
            out.append(rule.dual_step(out[-1], jnp.asarray(ratio), jnp.ones(())))
        return np.asarray(out)

    broken, kept = path(2.0, 0.5), path(1.0, 1.5)
    assert np.all(np.diff(broken[:30]) > 0)
    assert broken[-1] == 2.0
    assert np.all(np.diff(kept[:29]) < 0)
    assert kept[-1] == 0.0
    np.testing.assert_allclose(np.diff(broken[:5]), 0.05, rtol=1e-5)


@pytest.mark.parametrize("distance", [None, systems.FeatureDistance(lambda x: 3.0 * x)])
def test_the_constraint_is_in_units_of_noise(distance, key):
    """Copies that only noise has moved are at 1, for any distance: 50,000 of them, to 3 %, nearly 5 standard errors."""
    move = systems.Refinement(num_steps=3, step_size=0.01, tether=0.5)
    noise, other = np.random.default_rng(0).normal(size=(2, 50_000, 2)).astype(np.float32) * move.variance**0.5
    ratio = float(systems.Calibration(move, distance).ratio(jnp.zeros_like(noise), noise, key=key))
    assert ratio == pytest.approx(1.0, abs=0.03)
    assert float(systems.Calibration(move, distance).ratio(other * 0, 2 * other, key=key)) > 3.8


def test_structural_dissimilarity_is_that_of_windows():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(size=(2, 9, 8))
    distance = systems.StructuralDissimilarity((9, 8), 1.0, window=3)
    found = []
    for i in range(7):
        for j in range(6):
            a, b = x[i : i + 3, j : j + 3], y[i : i + 3, j : j + 3]
            together = np.mean(a * b) - a.mean() * b.mean()
            above = (2 * a.mean() * b.mean() + 1e-4) * (2 * together + 9e-4)
            found.append(above / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4)))
    assert float(distance(jnp.ravel(x), jnp.ravel(y))) == pytest.approx(1 - np.mean(found), abs=1e-5)
    assert float(distance(jnp.asarray(x), jnp.asarray(x))) == pytest.approx(0.0, abs=1e-6)


class Counted(eqx.Module):
    """A network that counts its calls."""

    network: generative.PushForward
    calls: list = eqx.field(static=True)

    def __call__(self, z):
        self.calls.append(z.shape)
        return self.network.decode(z)


def never(x):
    raise AssertionError("the energy was asked")


def test_a_draw_is_one_call_of_the_network_and_none_of_the_energy(key):
    inner = generative.PushForward(2, latent_dim=3, hidden=(4,), key=jax.random.key(0))
    network = Counted(inner, [])
    made = generative.PushForward(2, latent_dim=3, network=network, key=jax.random.key(0))
    model = systems.Calibrated(made, never)
    draw = model.draw(key=key)
    assert network.calls == [(3,)]
    assert model.draw_evaluations == 1
    np.testing.assert_array_equal(draw, inner.draw(key=key))


def test_draws_and_likelihood_of_a_flow_are_its_own(key):
    """The energy changes nothing at test time."""
    flow = densities.coupling_flow(2, num_layers=1, width=4, knots=0, key=jax.random.key(1))
    model = systems.Calibrated(flow, never)
    x = jnp.array([0.3, -1.0])
    assert model.likelihood == "exact"
    told, known, drawn, own = jax.jit(
        lambda x, k: (model.log_likelihood(x, key=k), flow.log_prob(x), model.draw(key=k), flow.draw(key=k))
    )(x, key)
    assert float(told) == float(known)
    np.testing.assert_allclose(drawn, own, rtol=1e-6)


def test_the_likelihood_says_what_it_is():
    vae = generative.VAE(2, latent_dim=1, hidden=(), key=jax.random.key(0))
    assert systems.Calibrated(vae, never).likelihood == "estimate"
    assert systems.Calibrated(vae, never, noise=True).likelihood == "bound"


def linear_learner(**options):
    """A linear VAE and a quadratic energy: compiles in a moment."""
    vae = generative.VAE(2, latent_dim=1, hidden=(), key=jax.random.key(0))
    critic = energies.MLP(PLANE, hidden=(4,), key=jax.random.key(1))
    move = systems.Refinement(num_steps=2, step_size=1e-3)
    rule = systems.Calibration(move, max_multiplier=2.0, pretrain=options.pop("pretrain", 0))
    return systems.CalibrationLearner(
        systems.Calibrated(vae, critic),
        generative.ELBO(),
        rule,
        optimizer=options.pop("optimizer", ADAM),
        energy_optimizer=GAME,
        ema_decay=0.9,
    )


DATA = np.random.default_rng(5).normal(size=(64, 2)).astype(np.float32)
OPTIONS = {"key": jax.random.key(3), "batch_size": 16, "log_every": 2, "checkpoint_every": 4}


def bits(state):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state) if eqx.is_array(leaf)]


@pytest.mark.slow
def test_a_run_goes_on_in_the_same_bits(tmp_path):
    """Stopped after the pretraining and continued: generator, energy, weight, both optimisers, the average."""
    learner = linear_learner(pretrain=3)
    whole = training.fit(learner, DATA, num_steps=12, **OPTIONS)
    training.fit(learner, DATA, num_steps=8, directory=tmp_path, **OPTIONS)
    parts = training.fit(learner, DATA, num_steps=12, directory=tmp_path, resume=True, **OPTIONS)
    assert bits(whole.state) == bits(parts.state)
    multipliers = {row["step"]: row["multiplier"] for row in whole.history}
    assert multipliers[2] == 1.0
    assert multipliers[12] != 1.0
    assert isinstance(whole.energy, systems.Calibrated)
    like = learner.model
    loaded = training.load_energy(tmp_path, like=like)
    assert bits(loaded) == bits(parts.energy)
    early = training.fit(learner, DATA, num_steps=2, **OPTIONS).state.energy
    assert bits(early.energy) == bits(like.energy)
    assert bits(early.generator) != bits(like.generator)


@pytest.mark.slow
def test_a_calibration_that_diverges_goes_back(tmp_path):
    learner = linear_learner(optimizer=optax.sgd(1e6))
    with pytest.raises(RuntimeError, match="Training failed"):
        training.fit(learner, DATA, num_steps=40, directory=tmp_path, **OPTIONS)
    _, events = training.read_metrics(tmp_path)
    assert [event["kind"] for event in events][:1] == ["nonfinite"]
    assert "Went back to step 0 with 0.5 times the learning rate" in events[0]["action"]


@pytest.mark.slow
def test_draws_of_a_function_are_taught_to_be_data():
    """From 3 away to the mean of the data, by an energy that is a line; the user's function has no likelihood."""
    made = generative.PushForward(1, latent_dim=1, network=Shift(jnp.array([3.0])), key=jax.random.key(0))
    data = np.random.default_rng(2).normal(size=(512, 1)).astype(np.float32)
    run = systems.calibrate(
        made,
        data,
        key=jax.random.key(1),
        num_steps=300,
        batch_size=64,
        energy=generative.critic((1,), hidden=(), key=jax.random.key(2)),
        optimizer=ADAM,
        energy_optimizer=GAME,
    )
    assert abs(float(run.state.energy.generator.network.by[0])) < 1.0


class Shift(eqx.Module):
    by: jax.Array

    def __call__(self, z):
        return z + self.by


def test_what_cannot_be_calibrated_is_refused():
    with pytest.raises(ArgumentError, match="A generator with a latent is calibrated, got Gaussian"):
        systems.Calibrated(densities.Gaussian(jnp.zeros(2)), flat)
    bits_vae = generative.VAE(spaces.Binary(3), latent_dim=1, hidden=(), key=jax.random.key(0))
    with pytest.raises(ArgumentError, match="Only draws of real numbers"):
        systems.Calibrated(bits_vae, flat)
    made = generative.PushForward(2, latent_dim=1, hidden=(), key=jax.random.key(0))
    with pytest.raises(KernelMismatch, match="ELBO trains a VAE, got PushForward"):
        systems.CalibrationLearner(systems.Calibrated(made, flat), generative.ELBO())
    for wrong in ({"num_steps": 0}, {"step_size": 0.0}, {"temperature": -1.0}, {"tether": 10.0}, {"tether": -1.0}):
        with pytest.raises(ArgumentError, match="Refinement needs"):
            systems.Refinement(**wrong)
    for wrong in ({"slack": 0.0}, {"energy_l2": 0.0}, {"dual_rate": -1.0}, {"pretrain": -1}, {"multiplier": 101.0}):
        with pytest.raises(ArgumentError, match="Calibration needs"):
            systems.Calibration(**wrong)
    with pytest.raises(ArgumentError, match="StructuralDissimilarity needs"):
        systems.StructuralDissimilarity((5, 5), 1.0)
