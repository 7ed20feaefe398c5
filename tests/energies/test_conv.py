"""Convolutional energies: both formulations agree, shapes work out, bad shapes are refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, spaces
from energax._errors import ArgumentError
from energax.energies.neural._convolution import strided_convolution


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(7, 4), (8, 8)])
def test_both_formulations_agree(stride: int, size: tuple[int, int], key: jax.Array) -> None:
    with jax.enable_x64(True):
        keys = jax.random.split(key, 2)
        x = jax.random.normal(keys[0], (*size, 2))
        weight = jax.random.normal(keys[1], (18, 3))
        convolve = jax.jit(strided_convolution, static_argnums=2, static_argnames="formulation")
        paths = [convolve(x, weight, stride, formulation=f) for f in ("patches", "xla")]
        assert paths[0].shape == (-(-size[0] // stride), -(-size[1] // stride), 3)
        np.testing.assert_allclose(paths[0], paths[1], atol=1e-13)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_both_formulations_agree(stride: int, key: jax.Array) -> None:
    with jax.enable_x64(True):
        keys = jax.random.split(key, 2)
        x, weight = jax.random.normal(keys[0], (6, 5, 2)), jax.random.normal(keys[1], (18, 3))

        @jax.jit
        def gradients(x: jax.Array, weight: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
            def loss(x: jax.Array, weight: jax.Array, formulation: str) -> jax.Array:
                return jnp.sum(jnp.sin(strided_convolution(x, weight, stride, formulation=formulation)))

            return [jax.grad(loss, (0, 1))(x, weight, f) for f in ("patches", "xla")]

        patches, xla = gradients(x, weight)
        for a, b in zip(patches, xla, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)


def test_one_filter_by_hand() -> None:
    x = jnp.arange(9.0).reshape(3, 3, 1)
    centre = jnp.zeros((9, 1)).at[4].set(1.0)
    np.testing.assert_array_equal(strided_convolution(x, centre, 1), x)
    right = jnp.zeros((9, 1)).at[5].set(1.0)
    np.testing.assert_array_equal(strided_convolution(x, right, 1)[:, :2], x[:, 1:])


@pytest.mark.parametrize("shape", [(8, 8), (5, 6, 3)])
def test_scalar_and_gradient(shape: tuple[int, ...], key: jax.Array) -> None:
    energy = energies.ConvNet(shape, channels=(4, 6), key=key)
    x = jax.random.normal(key, shape)
    value, score = jax.jit(energies.value_and_score)(energy, x)
    assert value.shape == ()
    assert score.shape == shape
    assert bool(jnp.all(jnp.isfinite(score)))
    assert energies.is_confined(energy)
    assert not energies.is_confined(energies.ConvNet(shape, channels=(4,), confinement=None, key=key))


def test_binary_images_are_fed_as_numbers(key: jax.Array) -> None:
    energy = energies.ConvNet(spaces.Binary((8, 8)), channels=(4,), key=key)
    ones = jnp.ones((8, 8), jnp.int8)
    assert float(energy(ones)) == pytest.approx(float(energy(ones.astype(float))))
    assert energy.confinement is None


@pytest.mark.parametrize(("shape", "channels"), [((8,), (4,)), ((8, 8), ()), ((8, 8), (0,))])
def test_bad_shapes(shape: tuple[int, ...], channels: tuple[int, ...], key: jax.Array) -> None:
    with pytest.raises(ArgumentError, match="ConvNet needs images"):
        energies.ConvNet(shape, channels=channels, key=key)
