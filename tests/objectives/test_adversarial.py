"""Games with a law that can be drawn from, against quadrature and closed forms for normal laws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing, training
from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax.densities import Gaussian, GaussianMixture, autoregressive_flow
from energax.energies import MLP, RBM, energy
from energax.objectives import AdversarialLikelihood, FlowContrastive, companions, with_companions
from energax.objectives._noise_contrastive import classify
from energax.spaces import Euclidean

DATA = Gaussian(jnp.zeros(1))
OTHER = Gaussian(jnp.array([0.7]), jnp.array([1.69]))


def _stiff(k, x):
    return 0.5 * k * jnp.sum(x**2)


STIFF = energy(_stiff, jnp.asarray(2.0), space=Euclidean(2))


class DrawsHeldConstant(FlowContrastive):
    """The flow learns by its density alone."""

    def loss(self, energy, batch, state, *, key):
        noise = jax.vmap(lambda k: self.flow.draw(key=k))(jax.random.split(key, len(batch)))
        loss, metrics = classify(energy, self.flow, self.log_z, batch, jax.lax.stop_gradient(noise), 0.0)
        return loss, (state, metrics)


def test_flow_contrastive_is_twice_log_two_less_the_jensen_shannon_divergence(key):
    """Loss and slope of the flow for the exact energy of N(0, 1) data, by quadrature; 40,000 pairs of a row and a draw.

    That the draws move with the flow is seen: the slope of the density alone is another one.
    """
    x = jnp.linspace(-12.0, 12.0, 4001)[:, None]

    def want(mean):
        p, q = (jax.vmap(law.log_prob)(x) for law in (DATA, Gaussian(mean, jnp.array([1.69]))))
        both = jnp.logaddexp(p, q)
        return -jnp.sum(jnp.exp(p) * (p - both) + jnp.exp(q) * (q - both)) * (x[1, 0] - x[0, 0])

    def one(objective, key):
        data_key, draw_key = jax.random.split(key)
        batch = DATA.draw(key=data_key)[None]

        def loss(values):
            return with_companions(objective, values).loss(DATA, batch, None, key=draw_key)[0]

        value, slopes = jax.value_and_grad(loss)({"flow": objective.flow, "log_z": objective.log_z})
        return value, slopes["flow"].mean

    run = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    keys, slope = jax.random.split(key, 40_000), np.asarray(jax.grad(want)(jnp.array([0.7])), np.float64)
    losses, slopes = run(FlowContrastive(OTHER), keys)
    testing.assert_mean(np.asarray(losses, np.float64), float(want(jnp.array([0.7]))), name="loss")
    testing.assert_mean(np.asarray(slopes, np.float64), slope, name="slope of the flow")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(np.asarray(run(DrawsHeldConstant(OTHER), keys)[1], np.float64), slope)


def test_the_law_of_the_energy_as_generator_gives_the_likelihood_itself(key):
    """For every key: E + log q is −log Z wherever it draws. E = k‖x‖²/2 in the plane has log Z = log 2π/k."""
    batch = jax.random.normal(key, (6, 2))
    objective = AdversarialLikelihood(Gaussian(jnp.zeros(2), 0.5), num_draws=5)
    loss, (_, metrics) = objective.loss(STIFF, batch, None, key=key)
    log_z = math.log(2 * math.pi / 2.0)
    assert float(metrics["log_z"]) == pytest.approx(log_z, rel=1e-5)
    assert float(loss) == pytest.approx(float(jnp.mean(jnp.sum(batch**2, axis=1))) + log_z, rel=1e-5)


def test_any_other_generator_is_below_it_by_its_divergence(key):
    """E[log_z] = log Z − KL(q ‖ model), and the slope of the loss in q is that of −KL: q climbs to the model."""
    batch = jnp.zeros((1, 2))

    def bound(generator):
        variance, mean = generator.cholesky**2, generator.mean
        divergence = 0.5 * jnp.sum(2.0 * (variance + mean**2) - 1 - jnp.log(2.0 * variance))
        return math.log(2 * math.pi / 2.0) - divergence

    generator = Gaussian(jnp.array([0.4, 0.0]), jnp.array([0.3, 0.9]))

    def one(key):
        return jax.value_and_grad(lambda g: AdversarialLikelihood(g, num_draws=1).loss(STIFF, batch, None, key=key)[0])(
            generator
        )

    found, slopes = jax.jit(jax.vmap(one))(jax.random.split(key, 20_000))
    want, slope = jax.value_and_grad(bound)(generator)
    testing.assert_mean(np.asarray(found, np.float64), float(want), name="lower end of log Z")
    for part in ("mean", "cholesky"):
        testing.assert_mean(
            np.asarray(getattr(slopes, part), np.float64), getattr(slope, part), name=f"slope in {part}"
        )


@pytest.mark.parametrize("make", [FlowContrastive, AdversarialLikelihood])
def test_a_flow_is_trained_beside_the_energy(make, key):
    flow = autoregressive_flow(2, num_layers=1, width=4, key=key)
    objective = make(flow)
    name = "flow" if make is FlowContrastive else "generator"
    assert companions(objective)[name].ascends
    learner = training.Learner(MLP(2, hidden=(4,), key=key), objective)
    run = training.fit(learner, np.eye(8, 2, dtype=np.float32), key=key, num_steps=3, batch_size=4)
    before, after = (jax.tree.leaves(f.arrays) for f in (flow, run.state.companions[name]))
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(np.isfinite(value) for row in run.history for value in row.values())


def test_what_is_refused():
    mixture = GaussianMixture(jnp.zeros((2, 2)))
    for make in (FlowContrastive, AdversarialLikelihood):
        with pytest.raises(ArgumentError, match=r"smooth functions of its parameters.*got GaussianMixture"):
            make(mixture)
        with pytest.raises(SpaceError, match="needs a law on the space of the model"):
            make(DATA).check(STIFF)
        with pytest.raises(KernelMismatch, match=r"needs a score, but space=Binary"):
            make(DATA).check(RBM(4, 3, key=jax.random.key(0)))
    with pytest.raises(ArgumentError, match="num_draws >= 1, got 0"):
        AdversarialLikelihood(DATA, num_draws=0)
