"""Continuous flows: exact for linear fields, whatever the solver; flow matching finds the velocity of a closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import testing, training
from energax._errors import ArgumentError
from energax.densities import Gaussian, planar
from energax.generative import (
    Adaptive,
    ContinuousFlow,
    Diffusion,
    FlowMatching,
    MaximumLikelihood,
    RungeKutta,
)
from energax.generative._flow_matching import partners
from energax.generative._time_networks import time_features


class Linear(eqx.Module):
    """v(x, t) = A x + b, whose flow is linear too."""

    matrix: jax.Array
    shift: jax.Array

    def __call__(self, x, t):
        return self.matrix @ x + self.shift


MATRIX = np.array([[0.4, -1.1, 0.0], [0.9, -0.3, 0.2], [0.1, 0.0, 0.7]])
SHIFT = np.array([1.0, -0.5, 0.2])


def exact_law(matrix=MATRIX, shift=SHIFT):
    """The law of x(1): its mean solves the same equation, its covariance is e^A e^Aᵀ."""
    import scipy.linalg

    whole = np.zeros((4, 4))
    whole[:3, :3], whole[:3, 3] = matrix, shift
    made = scipy.linalg.expm(whole)
    return Gaussian(jnp.asarray(made[:3, 3]), jnp.asarray(made[:3, :3] @ made[:3, :3].T))


def linear_flow(**options):
    return ContinuousFlow(3, velocity=Linear(jnp.asarray(MATRIX), jnp.asarray(SHIFT)), key=jax.random.key(0), **options)


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_linear_field_is_exact(adaptive, key):
    """Likelihood, draws and the way back, to 1e-7 in float64 and with the errors that the solvers promise."""
    if adaptive:
        pytest.importorskip("diffrax")
    with jax.enable_x64(True):
        flow = linear_flow(solver=Adaptive(1e-9, 1e-9) if adaptive else RungeKutta(64))
        law = exact_law()
        x = jnp.array([0.3, -1.0, 2.0])
        found, z = jax.jit(lambda x: (flow.log_likelihood(x, key=key), flow.encode(x, key=key)))(x)
        np.testing.assert_allclose(found, law.log_prob(x), atol=1e-7)
        np.testing.assert_allclose(flow.decode(z), x, atol=1e-7)
        np.testing.assert_allclose(flow.decode(jnp.zeros(3)), law.mean, atol=1e-7)


def test_the_error_of_the_steps_is_that_of_the_stages_and_enters_the_loss(key):
    """For dx/dt = Ax a step has h (k₃ − k₂) = (hA)³x/4, and no error in the trace, which is the same everywhere."""
    with jax.enable_x64(True):
        flow = linear_flow(solver=RungeKutta(1))
        flow = eqx.tree_at(lambda flow: flow.velocity.shift, flow, jnp.zeros(3))
        x = jnp.array([0.3, -1.0, 2.0])
        log_likelihood, error = flow.log_likelihood_with_error(x, key=key)
        assert float(error) == pytest.approx(float(np.sum((MATRIX @ MATRIX @ MATRIX @ x / 4) ** 2)), rel=1e-12)
        assert float(log_likelihood) == pytest.approx(float(flow.log_likelihood(x, key=key)), rel=1e-12)
        loss, parts = MaximumLikelihood(solver_penalty=0.3).measure(flow, x[None], key=key)
        assert float(loss) == pytest.approx(float(0.3 * error - log_likelihood), rel=1e-12)
        assert float(parts["solver_error"]) == pytest.approx(float(error), rel=1e-12)
        steps = [
            eqx.tree_at(lambda f: f.solver, flow, RungeKutta(n), is_leaf=lambda s: isinstance(s, RungeKutta))
            for n in (32, 64)
        ]
        long, short = (float(one.log_likelihood_with_error(x, key=key)[1]) for one in steps)
        assert long / short == pytest.approx(32, rel=0.02)
    with pytest.raises(ArgumentError, match="`solver_penalty` must be at least 0, got -1"):
        MaximumLikelihood(-1.0)


@pytest.mark.slow
def test_a_flow_does_not_learn_from_the_errors_of_its_solver(key):
    """Eight modes, six steps: without the penalty 700 updates end far below the entropy, 1.40 nats; with it above."""
    rows = planar("8gaussians")
    data = np.asarray(jax.vmap(lambda k: rows.draw(key=k))(jax.random.split(key, 20_000)))
    data = (data - data.mean(0)) / data.std(0)
    flow = ContinuousFlow(2, hidden=(64, 64, 64), solver=RungeKutta(6), key=jax.random.key(0))
    found = {}

    def mean_log_likelihood(model):
        return float(jnp.mean(jax.vmap(lambda x: model.log_likelihood(x, key=key))(jnp.asarray(data[:2000]))))

    for penalty in (0.0, 10.0):
        learner = training.Learner(flow, MaximumLikelihood(penalty), optimizer=optax.adam(2e-3))
        trained = training.fit(learner, data, key=key, num_steps=700, batch_size=128, recovery=None).energy
        fine = eqx.tree_at(lambda m: m.solver, trained, RungeKutta(48), is_leaf=lambda s: isinstance(s, RungeKutta))
        found[penalty] = mean_log_likelihood(trained), mean_log_likelihood(fine)
    assert found[0.0][0] > -1.3
    assert abs(found[10.0][0] - found[10.0][1]) < 0.05
    assert -2.2 < found[10.0][1] < -1.4


def test_the_error_falls_with_the_fourth_power_of_the_steps():
    """Twice the steps, a sixteenth of the error: a rule of third order would show 8."""
    with jax.enable_x64(True):
        wanted = exact_law().mean
        errors = [np.linalg.norm(linear_flow(solver=RungeKutta(n)).decode(jnp.zeros(3)) - wanted) for n in (8, 16)]
    assert 12 < errors[0] / errors[1] < 20


def test_random_traces_have_the_right_mean(key):
    """4000 directions: εᵀAε has mean tr A and a variance that directions along one axis would not have."""
    flow = linear_flow(trace="hutchinson", solver=RungeKutta(8))
    assert (flow.likelihood, linear_flow().likelihood) == ("estimate", "exact")
    x = jnp.array([0.3, -1.0, 2.0])
    found = jax.jit(jax.vmap(lambda k: flow.log_likelihood(x, key=k)))(jax.random.split(key, 4000))
    assert np.std(found) > 0.1
    testing.assert_mean(found, float(exact_law().log_prob(x)), name="log-likelihood")


M, S, NOISE = 1.5, 0.6, 0.7


class Perturbed(eqx.Module):
    """The velocity of the interpolant between N(0, 1) and N(M, S²), and a linear error that training has to remove."""

    error: jax.Array
    noise: float = eqx.field(static=True)

    def __call__(self, x, t):
        gamma, growth = self.noise * jnp.sin(jnp.pi * t) ** 2, self.noise * jnp.pi * jnp.sin(2 * jnp.pi * t)
        variance = (1 - t) ** 2 + (t * S) ** 2 + gamma**2
        slope = (t * S**2 - (1 - t) + gamma * growth) / variance
        return M + slope * (x - t * M) + self.error[0] + self.error[1] * x + self.error[2] * t * x


def known_flow(noise):
    return ContinuousFlow(1, velocity=Perturbed(jnp.zeros(3), noise), key=jax.random.key(0), solver=RungeKutta(64))


@pytest.mark.parametrize("noise", [0.0, NOISE])
def test_the_closed_form_is_the_minimum(noise, key):
    """At the exact velocity the gradient has mean 0 along every error: 4000 batches of 8 rows, seen to 0.02."""
    flow, objective = known_flow(noise), FlowMatching(noise=noise)

    def slope(k):
        rows, draw = jax.random.split(k)
        x = M + S * jax.random.normal(rows, (8, 1))
        loss = lambda e: objective.measure(eqx.tree_at(lambda f: f.velocity.error, flow, e), x, key=draw)[0]  # noqa: E731
        return jax.grad(loss)(jnp.zeros(3))

    slopes = jax.jit(lambda keys: jax.lax.map(slope, keys))(jax.random.split(key, 4000))
    testing.assert_mean(slopes, np.zeros(3), name="gradient")
    x = jnp.array([0.4])
    exact_value = Gaussian(jnp.array([M]), S**2).log_prob(x)
    np.testing.assert_allclose(flow.log_likelihood(x, key=key), exact_value, atol=1e-4)


def test_partners_are_near_and_keep_their_law(key):
    """In one dimension the best pairing is by order; drawn partners are close and each is taken once in the mean."""
    at_x, at_z, draw = jax.random.split(key, 3)
    x, z = 3 + jax.random.normal(at_x, (64, 1)), jax.random.normal(at_z, (64, 1))
    which = jax.jit(jax.vmap(lambda k: partners(x, z, 0.02, key=k)))(jax.random.split(draw, 2000))
    taken = np.stack([np.bincount(row, minlength=64) for row in np.asarray(which)])
    assert np.abs(taken.mean(0) - 1).max() < 0.2
    order = np.argsort(np.argsort(x[:, 0]))
    paired = np.sort(z[:, 0])[order]
    # Partners at random are √2 standard deviations from the best ones.
    assert np.mean((np.asarray(z)[np.asarray(which), 0] - paired) ** 2) < 0.15 * 2 * np.var(z)


def test_images_and_both_ways_of_training():
    """Shapes only; nothing is compiled."""

    def slopes():
        image = ContinuousFlow((4, 4), channels=(2, 4), key=jax.random.key(0))
        vector = ContinuousFlow(2, hidden=(4,), solver=RungeKutta(2), trace="hutchinson", key=jax.random.key(0))
        assert vector.draw_evaluations == 8
        for model, objective in ((image, FlowMatching("minibatch")), (vector, MaximumLikelihood())):
            objective.check(model)
            batch = jnp.ones((3, *model.space.shape))
            yield eqx.filter_grad(lambda m, o=objective, b=batch: o.measure(m, b, key=jax.random.key(1))[0])(model)

    of_image, of_vector = jax.eval_shape(lambda: [s.velocity for s in slopes()])
    assert of_image.out.shape == (18, 1)
    assert of_vector.network.layers[0].weight.shape == (4, 11)


def test_refuses():
    with pytest.raises(ValueError, match='"exact" and "hutchinson"'):
        linear_flow(trace="none")
    with pytest.raises(ValueError, match="num_steps >= 1"):
        RungeKutta(0)
    with pytest.raises(ValueError, match="multiples of 2"):
        ContinuousFlow((7, 8), channels=(2, 4), key=jax.random.key(0))
    with pytest.raises(ValueError, match='"independent" and "minibatch"'):
        FlowMatching("best")
    with pytest.raises(ValueError, match="noise >= 0"):
        FlowMatching(noise=-1.0)
    with pytest.raises(TypeError, match="trains a ContinuousFlow, got Gaussian"):
        training.Learner(Gaussian(jnp.zeros(1)), FlowMatching())


def test_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(ImportError, match=r"energax\[ode\]"):
        Adaptive()


@pytest.mark.slow
@pytest.mark.parametrize("objective", [FlowMatching(), FlowMatching("minibatch"), FlowMatching(noise=0.3)])
def test_training_learns_a_ring_of_modes(objective):
    """KL(truth ‖ model) of eight modes is at most 0.1 nat after 10,000 updates."""
    from energax.densities import planar

    law = planar("8gaussians")
    rows = np.asarray(jax.vmap(lambda k: law.draw(key=k))(jax.random.split(jax.random.key(0), 20_000)))
    scale = rows.std()
    flow = ContinuousFlow(2, solver=RungeKutta(32), key=jax.random.key(1))
    learner = training.Learner(flow, objective, optimizer=training.default_optimizer(2e-3), ema_decay=0.999)
    run = training.fit(learner, rows / scale, key=jax.random.key(2), num_steps=10_000, batch_size=256)
    fresh = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(jax.random.key(3), 4000))
    told = jax.vmap(lambda x: run.energy.log_likelihood(x / scale, key=jax.random.key(0)) - 2 * jnp.log(scale))(fresh)
    assert float(jnp.mean(jax.vmap(law.log_prob)(fresh) - told)) < 0.1


def test_a_velocity_sees_random_waves_where_they_are_asked_for(key):
    flow = ContinuousFlow(2, hidden=(8,), features=5, key=key)
    x, t = jnp.array([0.3, -1.2]), jnp.asarray(0.4)
    waves = flow.velocity.waves.frequencies @ x
    seen = jnp.concatenate([x, jnp.sin(waves), jnp.cos(waves), time_features(t)])
    np.testing.assert_allclose(flow.velocity(x, t), flow.velocity.network(seen), rtol=1e-6)
    assert ContinuousFlow(2, hidden=(8,), key=key).velocity.waves is None
    diffusion = Diffusion(2, hidden=(8,), features=5, energy=True, key=key)
    assert jax.grad(diffusion.given(0.1))(x).shape == (2,)
    assert diffusion.network.network.network.waves.frequencies.shape == (5, 2)
    with pytest.raises(ArgumentError, match="Waves of x are for fully connected networks, got features=5"):
        ContinuousFlow((8, 8), channels=(4, 8), features=5, key=key)
