"""The centred gradient is the gradient in other coordinates, carried back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import energies, exact, training
from energax._errors import ArgumentError, KernelMismatch


def random_machine(key):
    keys = jax.random.split(key, 3)
    return energies.RBM.from_parameters(
        jax.random.normal(keys[0], (4, 3)), jax.random.normal(keys[1], (4,)), jax.random.normal(keys[2], (3,))
    )


def test_a_step_is_one_of_steepest_descent_in_centred_coordinates(key):
    """A step η in W, b' = b + Wλ, c' = c + Wᵀμ, and back to b and c; both sides to the order of η."""
    with jax.enable_x64(True):
        rbm, rate = random_machine(key), 1e-7
        mean = jnp.array([0.2, 0.7, 0.4, 0.9])
        rows = jnp.array([[0, 1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 1]])

        def loss(model):
            return jnp.mean(jax.vmap(energies.marginal(model))(rows)) + exact.differentiable_log_z(model)

        hidden = jax.nn.sigmoid(rbm.hidden_bias + mean @ rbm.weights)

        def back(weights, visible, hid):
            return energies.RBM.from_parameters(weights, visible - weights @ hidden, hid - mean @ weights)

        there = (rbm.weights, rbm.visible_bias + rbm.weights @ hidden, rbm.hidden_bias + mean @ rbm.weights)
        slopes = jax.grad(lambda parts: loss(back(*parts)))(there)
        want = back(*(part - rate * slope for part, slope in zip(there, slopes, strict=True)))
        optimizer = optax.chain(training.centred_gradient(mean), optax.sgd(rate))
        updates, _ = optimizer.update(jax.grad(loss)(rbm), optimizer.init(rbm), rbm)
        for name in ("weights", "visible_bias", "hidden_bias"):
            expected = (getattr(want, name) - getattr(rbm, name)) / rate
            np.testing.assert_allclose(getattr(updates, name) / rate, expected, atol=1e-6)
            # The plain gradient is another direction: the check would see it.
            assert np.abs(np.asarray(-getattr(jax.grad(loss)(rbm), name) - expected)).max() > 1e-3


def test_another_model_is_refused():
    model = energies.MLP(2, hidden=(4,), key=jax.random.key(0))
    optimizer = training.centred_gradient([0.5, 0.5])
    rbm = random_machine(jax.random.key(0))
    with pytest.raises(ArgumentError, match="has 4 visible units, but the mean has 2 numbers"):
        optimizer.update(rbm, optimizer.init(rbm), rbm)
    with pytest.raises(KernelMismatch, match="for an RBM, got the parameters of MLP"):
        optimizer.update(model, optimizer.init(model), model)
