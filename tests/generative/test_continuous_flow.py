"""Continuous flows: exact for linear fields, whatever the solver; flow matching finds the velocity of a closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing, training
from energax._errors import ArgumentError, KernelMismatch
from energax.densities import Gaussian
from energax.generative import (
    Adaptive,
    ContinuousFlow,
    FlowMatching,
    MaximumLikelihood,
    RungeKutta,
    TransportLikelihood,
)
from energax.generative._flow_matching import partners


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


def test_the_costs_of_a_way_are_those_of_the_field(key):
    """A constant field b costs ‖b‖², a linear one ‖A‖² in its Jacobian, to which random signs come on average."""
    with jax.enable_x64(True):
        x = jnp.array([0.3, -1.0, 2.0])
        constant = eqx.tree_at(lambda flow: flow.velocity.matrix, linear_flow(), jnp.zeros((3, 3)))
        assert float(constant.log_likelihood_at_cost(x, key=key)[1]) == pytest.approx(
            float(np.sum(SHIFT**2)), rel=1e-12
        )
        exact = linear_flow().log_likelihood_at_cost(x, key=key)
        assert float(exact[0]) == pytest.approx(float(exact_law().log_prob(x)), abs=1e-7)
        assert float(exact[2]) == pytest.approx(float(np.sum(MATRIX**2)), rel=1e-12)
        signs = linear_flow(trace="hutchinson")
        found = jax.vmap(lambda k: signs.log_likelihood_at_cost(x, key=k)[2])(jax.random.split(key, 4000))
        testing.assert_mean(np.asarray(found), float(np.sum(MATRIX**2)), name="squared Jacobian along random signs")
        # The loss is the likelihood and both costs, each with its own weight.
        loss, parts = TransportLikelihood(0.3, 0.07).measure(linear_flow(), x[None], key=key)
        want = -exact[0] + 0.3 * exact[1] + 0.07 * exact[2]
        assert float(loss) == pytest.approx(float(want), rel=1e-12)
        assert float(parts["log_likelihood"]) == pytest.approx(float(exact[0]), rel=1e-12)


def test_what_keeps_ways_smooth_is_for_continuous_flows():
    with pytest.raises(ArgumentError, match="weights of at least 0, got kinetic=-1"):
        TransportLikelihood(-1.0)
    with pytest.raises(KernelMismatch, match="trains a ContinuousFlow, got Gaussian"):
        TransportLikelihood().check(Gaussian(jnp.zeros(2)))


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
