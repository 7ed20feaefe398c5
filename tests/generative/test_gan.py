"""Adversarial training: the numbers of two normal laws a unit apart, and the energy that the best critic makes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import generative, testing, training
from energax.densities import Gaussian
from energax.generative import Adversarial, CriticEnergy, PushForward
from energax.generative._gan import GAMES, slope_penalty

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


class Shifted(eqx.Module):
    """G(z) = z + shift: the law N(shift, 1)."""

    shift: jax.Array

    def __call__(self, z):
        return z + self.shift


class Slope(eqx.Module):
    """D(x) = a·x + b."""

    a: jax.Array
    b: jax.Array

    def __call__(self, x):
        return self.a @ x + self.b


def shifted(shift):
    return PushForward(1, latent_dim=1, network=Shifted(jnp.array([shift])), key=jax.random.key(0))


BEST = Slope(jnp.array([-1.0]), jnp.array(0.5))
"""log N(x; 0, 1) − log N(x; 1, 1)."""


def test_the_value_of_the_best_critic():
    """Data N(0, 1), generator N(1, 1): value −1.1634513968, that is 2 · 0.1114214822 − log 4, by quadrature."""
    on_data, on_draws, _ = GAMES["non-saturating"]
    with jax.enable_x64(True):
        x = jnp.asarray(NODES)
        logit = lambda x: 0.5 - x  # noqa: E731
        loss = float(jnp.sum(NODE_WEIGHTS * on_data(logit(x))) + jnp.sum(NODE_WEIGHTS * on_draws(logit(x + 1))))
    np.testing.assert_allclose(-loss, -1.1634513968, atol=1e-8)
    np.testing.assert_allclose((np.log(4) - loss) / 2, 0.1114214822, atol=1e-8)


def test_the_objective_measures_that_value(key):
    """100,000 rows and draws: an error of 0.01 is seen; and the critic is where its gradient vanishes."""
    rows, draws = jax.random.split(key)

    def measured(k):
        x = jax.random.normal(jax.random.fold_in(rows, k), (100, 1))
        objective = lambda critic: Adversarial(critic)  # noqa: E731
        model = shifted(1.0)
        _, metrics = objective(BEST).measure(model, x, key=jax.random.fold_in(draws, k))
        slope = jax.grad(lambda c: objective(c).measure(model, x, key=jax.random.fold_in(draws, k))[0])(BEST)
        return metrics["critic_loss"], slope.a[0], slope.b

    found = jax.jit(lambda ks: jax.lax.map(measured, ks))(jnp.arange(1000))
    testing.assert_mean(np.stack(found, axis=1), [1.1634513968, 0.0, 0.0], name="loss and slopes")


@pytest.mark.parametrize("game", list(GAMES))
def test_each_player_sees_its_own_part(game, key):
    """One gradient of the sum is that of both players' losses; a critic that is not hidden would move the generator."""
    x, model = jax.random.normal(key, (16, 1)), shifted(2.0)
    critic = Slope(jnp.array([-0.3]), jnp.array(0.1))
    penalty = 0.7 if game == "wasserstein" else 0.0

    def total(model, critic):
        return Adversarial(critic, game, gradient_penalty=penalty).measure(model, x, key=key)

    (_, metrics), (of_model, of_critic) = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(model, critic)
    push = jax.grad(lambda m: total(m, critic)[1]["generator_loss"])(model).network.shift
    np.testing.assert_allclose(of_model.network.shift, push, rtol=1e-5)
    pull = jax.grad(lambda c: total(model, c)[1]["critic_loss"] + penalty * slope_penalty(c, x))(critic)
    np.testing.assert_allclose(of_critic.a, pull.a, rtol=1e-4)
    np.testing.assert_allclose(of_critic.b, pull.b, atol=1e-5)
    assert set(metrics) >= {"critic_loss", "generator_loss"}


def test_the_wasserstein_value_is_the_shift(key):
    """With the best 1-Lipschitz critic, minus its loss is W₁(N(0, 1), N(2, 1)) = 2; its penalty is 0."""
    critic = Slope(jnp.array([-1.0]), jnp.array(0.0))
    x = jax.random.normal(key, (20_000, 1))
    _, metrics = jax.jit(lambda: Adversarial(critic, "wasserstein").measure(shifted(2.0), x, key=jax.random.key(1)))()
    # Each mean of 20,000 has the standard error 0.007.
    assert abs(-float(metrics["critic_loss"]) - 2) < 4.9 * 0.01
    assert float(metrics["gradient_penalty"]) < 1e-10


def test_the_penalty_of_a_linear_critic_is_known():
    critic = Slope(jnp.array([3.0, 4.0]), jnp.array(0.0))
    np.testing.assert_allclose(slope_penalty(critic, jnp.ones((5, 2))), 16.0, rtol=1e-5)
    flat = jax.grad(lambda a: slope_penalty(Slope(a, jnp.array(0.0)), jnp.ones((5, 2))))(jnp.zeros(2))
    assert np.isfinite(np.asarray(flat)).all()


def test_the_latent_energy_of_the_best_critic_gives_the_data():
    """Generator N(1, 1), data N(0, 1): U is that of N(−1, 1), which decodes to N(0, 1)."""
    energy = CriticEnergy(shifted(1.0), BEST)
    z = jnp.linspace(-3, 3, 7)[:, None]
    found = jax.vmap(energy)(z) - energy(jnp.zeros(1))
    np.testing.assert_allclose(found, 0.5 * (z[:, 0] + 1) ** 2 - 0.5, atol=1e-5)


@pytest.mark.parametrize(
    "game", [pytest.param(g, marks=[] if g == "non-saturating" else pytest.mark.slow) for g in GAMES]
)
def test_the_generator_finds_the_data(game):
    """A generator that can only shift ends within 0.2 of the mean of the data, 3 away from where it began."""
    rows = 3 + np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
    objective = Adversarial(generative.critic((1,), hidden=(8,), key=jax.random.key(1)), game)
    without_momentum = {"critic": optax.adam(0.02, b1=0.0)}
    learner = training.Learner(
        shifted(0.0),
        objective,
        optimizer=optax.adam(0.005, b1=0.0),
        ema_decay=0.99,
        companion_optimizers=without_momentum,
    )
    run = training.fit(learner, rows, key=jax.random.key(2), num_steps=1500, batch_size=128)
    assert abs(float(run.energy.network.shift[0]) - 3) < 0.2


def test_images():
    """Shapes only; nothing is compiled."""

    def made():
        model = PushForward((28, 28), latent_dim=4, channels=(4, 2), key=jax.random.key(0))
        judge = generative.critic((28, 28), channels=(2, 4), key=jax.random.key(1))
        loss = Adversarial(judge, "wasserstein").measure(model, jnp.ones((2, 28, 28)), key=jax.random.key(2))[0]
        return loss, model.draw(key=jax.random.key(3))

    assert [leaf.shape for leaf in jax.eval_shape(made)] == [(), (28, 28)]


def test_refuses(key):
    with pytest.raises(ValueError, match="knows the games non-saturating, hinge, wasserstein"):
        Adversarial(BEST, "chess")
    with pytest.raises(ValueError, match="> 0 for wasserstein"):
        Adversarial(BEST, "wasserstein", gradient_penalty=0.0)
    with pytest.raises(TypeError, match="a generator with a latent, got Gaussian"):
        training.Learner(Gaussian(jnp.zeros(1)), Adversarial(BEST))
    with pytest.raises(ValueError, match="latent_dim >= 1"):
        PushForward(1, latent_dim=0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="no density"):
        shifted(0.0).log_likelihood(jnp.zeros(1), key=key)
