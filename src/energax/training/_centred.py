"""Steepest descent of a Boltzmann machine in centred coordinates."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import ArrayLike

from energax._errors import ArgumentError, KernelMismatch
from energax.energies import RBM


def centred_gradient(visible_mean: ArrayLike) -> optax.GradientTransformation:
    """The gradient of a `RBM` in centred coordinates, to be put before an optimiser with one rate for all.

    With offsets μ and λ of the units, E = −b'ᵀ(v − μ) − c'ᵀ(h − λ) − (v − μ)ᵀ W (h − λ) is the machine with the biases
    b = b' − Wλ and c = c' − Wᵀμ. Steepest descent of W, b', c' moves W, b, c along

        δW = g_W − g_b λᵀ − μ g_cᵀ,   δb = g_b − δW λ,   δc = g_c − δWᵀ μ,

    where g are the gradients in W, b, c. Any offsets have the same fixed points; with the means of the units the
    weights are freed from the biases, so that plain steps go faster and 0/1 data learn as well as their negatives. Here
    μ is the mean of the data and λ = σ(c + Wᵀμ). Adam, which gives each number a rate of its own, undoes most of it.

    Args:
        visible_mean: μ, shape (visible,).

    Returns:
        An Optax transformation that keeps no memory, for `optax.chain(centred_gradient(mean), optax.sgd(rate))`. Its
        update needs the parameters, and raises `KernelMismatch` if they are those of another model, `ArgumentError` if
        the mean has another length.

    Example:
        >>> import jax, optax
        >>> from energax import energies, kernels, objectives, training
        >>> rbm = energies.RBM(num_visible=4, num_hidden=3, key=jax.random.key(0))
        >>> optimizer = optax.chain(training.centred_gradient([0.1, 0.5, 0.5, 0.9]), optax.sgd(0.1))
        >>> objective = objectives.PersistentCD(kernels.BlockGibbs(), num_chains=16)
        >>> learner = training.Learner(rbm, objective, optimizer=optimizer)

    References:
        [melchior2016]
    """
    mean = tuple(float(value) for value in jnp.ravel(jnp.asarray(visible_mean)))

    def update(updates: Any, state: optax.OptState, params: Any = None) -> tuple[Any, optax.OptState]:
        if not isinstance(params, RBM):
            raise KernelMismatch(f"centred_gradient is for an RBM, got the parameters of {type(params).__name__}.")
        units = params.weights.shape[0]
        if len(mean) != units:
            raise ArgumentError(f"The machine has {units} visible units, but the mean has {len(mean)} numbers.")
        visible = jnp.asarray(mean, params.weights.dtype)
        hidden = jax.nn.sigmoid(params.hidden_bias + visible @ params.weights)
        weights = updates.weights - jnp.outer(updates.visible_bias, hidden)
        weights = weights - jnp.outer(visible, updates.hidden_bias)
        new = (weights, updates.visible_bias - weights @ hidden, updates.hidden_bias - visible @ weights)
        return eqx.tree_at(lambda m: (m.weights, m.visible_bias, m.hidden_bias), updates, new), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
