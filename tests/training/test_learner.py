"""One update: identities in float64, and what a learner refuses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import energies, kernels, objectives, spaces, training
from energax._errors import ArgumentError, KernelMismatch, SpaceError


class Gradient(objectives.AbstractObjective):
    """Mean energy of the batch."""

    def check(self, energy):
        pass

    def init(self, energy, batch, *, key):
        return None

    def loss(self, energy, batch, state, *, key):
        return jnp.mean(jax.vmap(energy)(batch)), (None, {})


def updated(learner, state, batch, key):
    """One compiled update; operation by operation it would compile dozens of small functions."""
    return eqx.filter_jit(type(learner).update)(learner, state, batch, key=key)


def quadratic(params, x):
    return 0.5 * params["k"] * jnp.sum((x - params["mean"]) ** 2)


@pytest.fixture
def pieces():
    with jax.enable_x64(True):
        params = {"k": jnp.asarray(2.0), "mean": jnp.asarray([0.5, -1.0]), "count": jnp.asarray(3)}
        model = energies.energy(quadratic, params, space=spaces.Euclidean(2))
        batch = jnp.asarray(np.random.default_rng(3).normal(size=(6, 2)))
        yield model, batch


def test_an_update_is_a_gradient_step(pieces, key):
    model, batch = pieces
    learner = training.Learner(model, Gradient(), optimizer=optax.sgd(0.1))
    state = learner.init(batch, key=key)
    new, metrics = updated(learner, state, batch, key)
    offsets = np.asarray(batch) - [0.5, -1.0]
    slope_k, slope_mean = 0.5 * (offsets**2).sum(1).mean(), -2.0 * offsets.mean(0)
    np.testing.assert_allclose(new.energy.params["k"], 2.0 - 0.1 * slope_k, rtol=1e-14)
    np.testing.assert_allclose(new.energy.params["mean"], [0.5, -1.0] - 0.1 * slope_mean, rtol=1e-14)
    norm = np.sqrt(slope_k**2 + (slope_mean**2).sum())
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-14)
    np.testing.assert_allclose(metrics["loss"], (offsets**2).sum(1).mean(), rtol=1e-14)
    assert int(new.energy.params["count"]) == 3
    assert int(new.step) == 1


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_learning_rate_scale_multiplies_the_update(pieces, key, name):
    """Also for Adam, whose update does not depend on the size of the gradient: scaling the loss would do nothing."""
    model, batch = pieces
    learner = training.Learner(model, Gradient(), optimizer=getattr(optax, name)(0.1))
    state = learner.init(batch, key=key)
    slow = eqx.tree_at(lambda s: s.learning_rate_scale, state, jnp.asarray(0.25, jnp.float32))
    full, part = (updated(learner, s, batch, key)[0].energy.params for s in (state, slow))
    for leaf, name in ((2.0, "k"), (np.array([0.5, -1.0]), "mean")):
        np.testing.assert_allclose(np.asarray(part[name]) - leaf, 0.25 * (np.asarray(full[name]) - leaf), rtol=1e-12)


def test_the_average_is_the_stated_one(pieces, key):
    model, batch = pieces
    learner = training.Learner(model, Gradient(), optimizer=optax.sgd(0.1), ema_decay=0.3)
    state = learner.init(batch, key=key)
    mean = 2.0
    for t in range(12):
        state, _ = updated(learner, state, batch, key)
        decay = min(0.3, (1 + t) / (10 + t))
        mean = decay * mean + (1 - decay) * float(state.energy.params["k"])
    np.testing.assert_allclose(state.ema.params["k"], mean, rtol=1e-6)
    np.testing.assert_allclose(learner.result(state).params["k"], mean, rtol=1e-6)
    assert int(learner.result(state).params["count"]) == 3
    plain = training.Learner(model, Gradient(), optimizer=optax.sgd(0.1))
    assert plain.result(plain.init(batch, key=key)).params["k"] == 2.0


def test_dtypes_stay(pieces, key):
    model, batch = pieces
    learner = training.Learner(model, Gradient(), ema_decay=0.9)
    state = learner.init(batch, key=key)
    new, _ = updated(learner, state, batch, key)
    assert jax.tree.map(jnp.result_type, new) == jax.tree.map(jnp.result_type, state)


def test_the_default_schedule():
    with jax.enable_x64(True):
        optimizer = training.default_optimizer(0.5, num_warmup=10, num_constant=40)
        params = jnp.asarray(0.0)
        state = optimizer.init(params)
        sizes = []
        for _ in range(160):
            update, state = optimizer.update(jnp.asarray(1.0), state, params)
            sizes.append(-float(update))
    # With a constant gradient Adam's update is the learning rate, up to its epsilon.
    np.testing.assert_allclose([sizes[0], sizes[4], sizes[9], sizes[39]], [0.05, 0.25, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(sizes[159], 0.25, rtol=1e-6)


def test_gradients_are_clipped_only_on_request(pieces, key):
    model, batch = pieces
    sizes = {}
    for clip in (None, 1e-3):
        optimizer = training.default_optimizer(1.0, num_warmup=1, clip_norm=clip)
        learner = training.Learner(model, Gradient(), optimizer=optimizer)
        new, metrics = updated(learner, learner.init(batch, key=key), batch, key)
        moments = [leaf for leaf in jax.tree.leaves(new.opt_state) if jnp.ndim(leaf) == 1]
        sizes[clip] = float(jnp.max(jnp.abs(moments[0])))
        assert float(metrics["gradient_norm"]) > 0.1  # reported as it was
    assert sizes[1e-3] < 1e-2 * sizes[None]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda m, o: training.Learner(lambda x: 0.0, o), ArgumentError, "energax.energy"),
        (lambda m, o: training.Learner(m, "cd"), ArgumentError, "objectives"),
        (lambda m, o: training.Learner(m, o, ema_decay=1.0), ArgumentError, "ema_decay"),
        (lambda m, o: training.Recovery(max_recoveries=-1), ArgumentError, "max_recoveries"),
        (lambda m, o: training.Recovery(factor=0.0), ArgumentError, "factor"),
        (lambda m, o: training.default_optimizer(-1.0), ArgumentError, "learning_rate"),
        (
            lambda m, o: training.Learner(energies.energy(lambda x: jnp.sum(x), space=spaces.Euclidean(2)), o),
            ArgumentError,
            "nothing to train",
        ),
        (
            lambda m, o: training.Learner(
                energies.RBM(num_visible=2, num_hidden=2, key=jax.random.key(0)),
                objectives.PersistentCD(kernels.MALA(0.1)),
            ),
            KernelMismatch,
            "BlockGibbs",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, error, says):
    model = energies.energy(quadratic, {"k": jnp.ones(()), "mean": jnp.zeros(2)}, space=spaces.Euclidean(2))
    with pytest.raises(error, match=says):
        make(model, Gradient())


def test_any_energy_of_the_users_own(key):
    """A function with parameters, and an Equinox module: both train, with every real array moving."""
    net = eqx.nn.MLP(2, "scalar", 4, 1, key=key)
    models = [
        energies.energy(quadratic, {"k": jnp.ones(()), "mean": jnp.zeros(2)}, space=spaces.Euclidean(2)),
        energies.energy(net, space=spaces.Euclidean(2)),
    ]
    batch = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)), jnp.float32)
    for model in models:
        learner = training.Learner(model, Gradient(), optimizer=optax.sgd(0.1))
        run = training.fit(learner, np.asarray(batch), key=key, num_steps=2, batch_size=8)
        before, after = (jax.tree.leaves(eqx.filter(m, eqx.is_array)) for m in (model, run.energy))
        assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_batch_of_the_wrong_shape(key):
    model = energies.energy(quadratic, {"k": jnp.ones(()), "mean": jnp.zeros(2)}, space=spaces.Euclidean(2))
    with pytest.raises(SpaceError, match="batch"):
        training.Learner(model, Gradient()).init(jnp.zeros((4, 3)), key=key)
