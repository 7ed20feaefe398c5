"""Transition matrices of kernels made of kernels, from the matrices of their parts."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from energax import exact
from energax._errors import NotTractable
from energax.energies import AbstractEnergy, given_others, latent
from energax.kernels import AbstractKernel, Cycle, Mixture, OnPart, Repeat
from energax.spaces import Product
from energax.testing._transitions import transition_matrix


@transition_matrix.register
def _(kernel: Cycle, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    return functools.reduce(np.matmul, _matrices(kernel.kernels, energy))


@transition_matrix.register
def _(kernel: Mixture, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    with jax.enable_x64(True):
        weights = np.asarray(jax.nn.softmax(jnp.asarray(kernel.log_weights, float)))
    return np.einsum("k,kij->ij", weights, np.stack(_matrices(kernel.kernels, energy)))


@transition_matrix.register
def _(kernel: Repeat, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    (matrix,) = _matrices(kernel.kernels, energy)
    return np.linalg.matrix_power(matrix, kernel.num_steps)


@transition_matrix.register
def _(kernel: OnPart, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    space = energy.space
    assert isinstance(space, Product)
    table = exact.states(space)
    rest = np.concatenate([table[n].reshape(len(table[n]), -1) for n in space.parts if n != kernel.part], axis=1)
    own, values = table[kernel.part], exact.states(space.parts[kernel.part])
    matrix = np.zeros((len(rest), len(rest)))
    for held in np.unique(rest, axis=0):
        rows = np.flatnonzero((rest == held).all(1))
        where = np.asarray([np.flatnonzero([np.array_equal(own[r], v) for r in rows])[0] for v in values])
        x = {name: jnp.asarray(part[rows[0]]) for name, part in table.items()}
        matrix[np.ix_(rows[where], rows[where])] = transition_matrix(
            kernel.kernel, given_others(energy, kernel.part, x)
        )
    return matrix


def _matrices(kernels: tuple[AbstractKernel, ...], energy: AbstractEnergy) -> list[np.ndarray]:
    """The matrices of the kernels on the states that all of them move in."""
    if latent(energy) is not None and not all(kernel.uses_hidden for kernel in kernels):
        raise NotTractable("Of a latent energy some of these kernels move in the joint space and others do not.")
    return [transition_matrix(kernel, energy) for kernel in kernels]
