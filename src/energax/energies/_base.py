"""The central abstraction: a dimensionless energy over a declared space, and how a user's function becomes one."""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox import AbstractVar
from jaxtyping import Array, Float, PyTree

from energax._errors import ArgumentError
from energax._typing import Configuration, Scalar
from energax.spaces import AbstractSpace


class AbstractEnergy(eqx.Module):
    """A dimensionless energy E, standing for the law p(x) ∝ exp(−E(x)) with respect to the measure of `space`.

    A lower energy is a likelier configuration. An energy is a pytree: every array that may be trained, differentiated
    or mapped over is a leaf. `__call__` takes ONE configuration; drivers add the chain axis.
    """

    if TYPE_CHECKING:

        @property
        def space(self) -> AbstractSpace:
            """What one configuration is."""
            ...
    else:
        space: AbstractVar[AbstractSpace]

    @abc.abstractmethod
    def __call__(self, x: Configuration) -> Scalar:
        """E(x) of one configuration."""


class AbstractConditionalEnergy(eqx.Module):
    """A family of energies with a condition c: p(x | c) ∝ exp(−E(x; c)).

    Samplers and objectives never see c: they are handed `given(c)`. One condition per chain is
    `Batched(jax.vmap(model.given)(cs), axes)`.
    """

    @abc.abstractmethod
    def given(self, c: Any) -> AbstractEnergy:
        """The energy over x for one value of the condition."""


class FunctionEnergy(AbstractEnergy):
    """A user's function as an energy, E(x) = fn(params, x), or fn(x) where there are no parameters.

    `params` are leaves: they are trained, and a new value never recompiles. The function itself is static: it is
    compared by identity, so define it once. What it closes over is frozen.
    """

    fn: Callable[..., Any] = eqx.field(static=True)
    params: PyTree[Any]
    space: AbstractSpace

    def __call__(self, x: Configuration) -> Scalar:
        value = self.fn(x) if self.params is None else self.fn(self.params, x)
        return _as_scalar(value, self.fn)


class ModuleEnergy(AbstractEnergy):
    """A callable pytree, such as an Equinox module, as an energy: E(x) = module(x). Its arrays are the leaves."""

    module: Callable[..., Any]
    space: AbstractSpace

    def __call__(self, x: Configuration) -> Scalar:
        return _as_scalar(self.module(x), self.module)


def _as_scalar(value: Any, fn: Callable[..., Any]) -> Scalar:
    value = jnp.asarray(value)
    if value.size != 1:
        name = getattr(fn, "__name__", type(fn).__name__)
        raise ArgumentError(
            f"The energy {name} returned an array of shape {value.shape}; it must return one number for one "
            "configuration. Write it for a single x; energax adds the chain axis."
        )
    return value.reshape(())


def as_parameter(value: Any) -> Float[Array, "..."]:
    """A number or an array as a leaf with a definite floating-point dtype.

    Arrays made from Python numbers have a weak type; the first update would make it strong and compile everything
    again.
    """
    array = jnp.asarray(value)
    return jnp.asarray(array, array.dtype if jnp.issubdtype(array.dtype, jnp.inexact) else jnp.result_type(float))


def energy(fn: Callable[..., Any], params: PyTree[Any] = None, *, space: AbstractSpace) -> AbstractEnergy:
    """Make an energy from a user's function, an Equinox module, or the `apply` of any other framework.

    Args:
        fn: ``fn(params, x) -> scalar``; ``fn(x) -> scalar`` when `params` is None; or a callable pytree
            (`equinox.Module`), whose arrays become the parameters.
        params: Any pytree of arrays, for instance Flax variables.
        space: What one configuration is. There is no guessing: integers may be spins, categories or counts.

    Returns:
        An energy whose parameters are leaves.

    Raises:
        ArgumentError: `fn` is not callable or `space` is not a space.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies, spaces
        >>> well = energies.energy(lambda k, x: 0.5 * k * jnp.sum(x**2), jnp.array(4.0), space=spaces.Euclidean(2))
        >>> float(well(jnp.ones(2)))
        4.0
    """
    if not isinstance(space, AbstractSpace):
        raise ArgumentError(f"`space` must be one of energax.spaces, such as Euclidean(2), got {space!r}.")
    if isinstance(fn, AbstractEnergy):
        return fn
    if not callable(fn):
        raise ArgumentError(f"An energy must be callable, got {type(fn).__name__}.")
    if isinstance(fn, eqx.Module):
        if params is not None:
            raise ArgumentError("An equinox.Module carries its own parameters; leave `params` out.")
        return ModuleEnergy(cast(Callable[..., Any], fn), space)
    return FunctionEnergy(fn, jax.tree.map(_as_leaf, params), space)


def _as_leaf(leaf: Any) -> Any:
    """Python floats and weakly typed arrays as arrays with a dtype; everything else unchanged."""
    return as_parameter(leaf) if isinstance(leaf, float) or getattr(leaf, "weak_type", False) else leaf
