import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import ArgumentError, KernelMismatch, NotTractable, ShapeError
from energax.energies import (
    RBM,
    DoubleWell,
    Ising,
    Marginal,
    MuellerBrown,
    capabilities,
    conditional_logits,
    energy,
    exact_draw,
    flip_deltas,
    is_confined,
    log_normalizer,
    observed_space,
    score,
)
from energax.spaces import Categorical, Euclidean, Spins
from energax.testing import check_energy


def quadratic(params, x):
    return 0.5 * params["k"] * jnp.sum((x - params["centre"]) ** 2)


def test_a_plain_function_with_parameters(key):
    well = energy(quadratic, {"k": 2.0, "centre": jnp.array([1.0, 0.0])}, space=Euclidean(2))
    check_energy(well, key=key, wrappers=False)
    np.testing.assert_allclose(score(well, jnp.zeros(2)), [2.0, 0.0])
    gradient = eqx.filter_grad(lambda e: e(jnp.zeros(2)))(well)
    assert float(gradient.params["k"]) == pytest.approx(0.5)


def test_an_equinox_module(key):
    network = eqx.nn.MLP(2, "scalar", width_size=8, depth=1, key=key)
    model = energy(network, space=Euclidean(2))
    assert float(model(jnp.ones(2))) == float(network(jnp.ones(2)))
    assert jax.tree.leaves(eqx.filter(model, eqx.is_array))[0].shape == (8, 2)
    assert is_confined(model) is None


def test_a_flax_module(key):
    linen = pytest.importorskip("flax.linen")

    class Network(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(1)(jnp.tanh(linen.Dense(8)(x)))[0]

    network = Network()
    model = energy(network.apply, network.init(key, jnp.zeros(3)), space=Euclidean(3))
    check_energy(model, key=key, clauses=("scalar", "one_trace", "gradients", "closed_over"))


def test_a_bare_function_has_no_parameters():
    bare = energy(lambda x: jnp.sum(x**2), space=Euclidean(2))
    assert jax.tree.leaves(bare) == []
    assert float(bare(jnp.ones(2))) == 2.0


def test_an_energy_is_already_one():
    well = DoubleWell(2)
    assert energy(well, space=Euclidean(2)) is well


def test_parameters_get_a_definite_dtype():
    model = energy(quadratic, {"k": 2.0, "centre": jnp.full(2, 0.5), "order": 3}, space=Euclidean(2))
    assert not model.params["k"].weak_type
    assert not model.params["centre"].weak_type
    assert model.params["order"] == 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: energy(quadratic, {}, space=(2,)), ArgumentError, "energax.spaces"),
        (lambda: energy(3.0, space=Euclidean(2)), ArgumentError, "must be callable, got float"),
        (
            lambda: energy(eqx.nn.Linear(2, "scalar", key=jax.random.key(0)), {"w": 1.0}, space=Euclidean(2)),
            ArgumentError,
            "leave `params` out",
        ),
        (lambda: energy(lambda x: x, space=Euclidean(2))(jnp.zeros(2)), ArgumentError, r"shape \(2,\).*one number"),
        (lambda: conditional_logits(DoubleWell(2), jnp.zeros(2)), KernelMismatch, "discrete sites"),
        (
            lambda: flip_deltas(energy(lambda x: 0.0, space=Categorical(2, num_categories=3)), jnp.zeros(2, jnp.int8)),
            KernelMismatch,
            "two-valued",
        ),
        (lambda: log_normalizer(MuellerBrown()), NotTractable, "No closed form of log Z is known for MuellerBrown"),
        (
            lambda: exact_draw(DoubleWell(2), key=jax.random.key(0)),
            NotTractable,
            "No exact sampler is known for DoubleWell",
        ),
        (lambda: Marginal(Ising(3)), NotTractable, "no hidden part"),
        (lambda: Marginal(RBM(2, 2, key=jax.random.key(0)), keep="both"), NotTractable, "no closed form"),
        (lambda: Ising((1, 4)), ArgumentError, "length 2 or more"),
        (lambda: Ising(3, field=jnp.zeros(3)), ShapeError, "number or an array of shape"),
        (lambda: RBM(0, 3, key=jax.random.key(0)), ArgumentError, "needs units"),
        (
            lambda: RBM.from_parameters(jnp.zeros((2, 3)), jnp.zeros(3), jnp.zeros(2)),
            ArgumentError,
            r"need biases of shapes \(2,\) and \(3,\)",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_an_energy_offers():
    assert capabilities(DoubleWell(2)) == {"energy", "continuous", "score"}
    assert capabilities(Ising(4)) == {"energy", "conditional_logits", "flip_deltas", "blocks", "bonds"}
    assert "conditional_logits" in capabilities(RBM(3, 2, key=jax.random.key(0)))
    assert observed_space(RBM(3, 2, key=jax.random.key(0))).shape == (3,)
    assert capabilities(energy(lambda x: 0.0, space=Spins(2))) == {"energy", "conditional_logits", "flip_deltas"}


def test_visible_means_become_biases():
    mean = jnp.array([0.0, 0.25, 0.9])
    machine = RBM(3, 2, visible_mean=mean, key=jax.random.key(0))
    np.testing.assert_allclose(jax.nn.sigmoid(machine.visible_bias), [0.005, 0.25, 0.9], atol=1e-6)
