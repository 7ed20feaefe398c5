"""What a configuration is: its structure, its boundary, and the reference measure that log Z refers to."""

import abc
import math
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Bool, Float, PyTree

from energax._errors import SpaceError
from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar


class AbstractSpace(eqx.Module):
    """A set of configurations with a reference measure.

    A space answers five questions and knows no energy: what one configuration looks like (`struct`), whether it is
    inside (`contains`), how a point of the covering space is brought back (`fold`), where a chain may start when the
    user says nothing (`initial`), and with respect to which measure densities and log Z are meant (`measure`).

    Boundaries belong to the space. Continuous kernels move in the covering space and evaluate `energy(fold(y))`;
    folding is periodic on a torus, a reflection on a box and the identity elsewhere, so that a kernel that is exact
    on R^d is exact here as well.
    """

    @property
    @abc.abstractmethod
    def is_discrete(self) -> bool:
        """Whether every site takes finitely many values."""

    @property
    @abc.abstractmethod
    def measure(self) -> str:
        """Name of the reference measure: ``"counting"``, ``"Lebesgue"`` or ``"Haar"``."""

    @property
    @abc.abstractmethod
    def struct(self) -> PyTree[jax.ShapeDtypeStruct]:
        """Shape and default dtype of one configuration."""

    @property
    @abc.abstractmethod
    def log_volume(self) -> float:
        """Logarithm of the reference measure of the whole space, `inf` where it is unbounded."""

    @abc.abstractmethod
    def contains(self, x: Configuration) -> BoolScalar:
        """Whether the values of `x` lie in the space (its structure is not checked)."""

    @abc.abstractmethod
    def fold(self, x: Configuration) -> Configuration:
        """The configuration that a point of the covering space stands for."""

    @abc.abstractmethod
    def initial(self, *, key: PRNGKey) -> Configuration:
        """One draw from the declared initial law, raising `SpaceError` where none is declared."""


class AbstractArraySpace(AbstractSpace):
    """A space whose configurations are single arrays of a fixed shape."""

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]:
            """Shape of one configuration."""
            ...
    else:
        shape: AbstractVar[tuple[int, ...]]

    @property
    def num_sites(self) -> int:
        """Number of entries of one configuration."""
        return math.prod(self.shape)

    @abc.abstractmethod
    def with_shape(self, shape: tuple[int, ...]) -> "AbstractArraySpace":
        """The same kind of space for arrays of another shape."""


class AbstractDiscreteSpace(AbstractArraySpace):
    """An array of sites with a finite list of values, and counting measure.

    All sites have the values of one list, or some of them only a part of it (`allowed`).

    Conditional laws of single sites are passed around as *logits*: for two-valued sites the log-odds of the second
    value against the first, shape ``shape``; for more values unnormalised log-probabilities, shape ``(*shape, k)``.
    Logits of a sum of energies are the sum of the logits, and those of a tempered energy are tempered.
    """

    @property
    @abc.abstractmethod
    def values(self) -> tuple[int, ...]:
        """The values of one site, in the order in which logits refer to them."""

    @property
    @abc.abstractmethod
    def allowed(self) -> Bool[np.ndarray, "*shape k"] | None:
        """Which of the values each site may have, None for all of them. The first value is always allowed."""

    def masked(self, logits: Float[Array, "..."], site: Array | None = None) -> Float[Array, "..."]:
        """Logits of all sites, or of one site, with −∞ for values that are not allowed."""
        if self.allowed is None:
            return logits
        mask = self.allowed if site is None else jnp.asarray(self.allowed.reshape(-1, len(self.values)))[site]
        return jnp.where(mask, logits, -jnp.inf)

    @abc.abstractmethod
    def draw_sites(self, logits: Float[Array, "..."], *, key: PRNGKey) -> Array:
        """Draw every site independently from its logits."""

    @abc.abstractmethod
    def site_log_probs(self, logits: Float[Array, "..."], x: Array) -> Float[Array, "..."]:
        """Log p(x_i) of every site under its logits, shape of `x`."""

    @abc.abstractmethod
    def log_partition(self, logits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Log of the sum over the values of every site, relative to its first value."""

    def total_log_partition(self, logits: Float[Array, "..."]) -> Scalar:
        """The sum of `log_partition` over all sites: log of the sum over all their values together."""
        return jnp.sum(self.log_partition(logits))

    @property
    @abc.abstractmethod
    def logits_shape(self) -> tuple[int, ...]:
        """Shape of the logits of all sites."""

    @property
    def is_discrete(self) -> bool:
        return True

    @property
    def measure(self) -> str:
        return "counting"

    @property
    def struct(self) -> jax.ShapeDtypeStruct:
        small = max(abs(v) for v in self.values) < 128
        return jax.ShapeDtypeStruct(self.shape, jnp.int8 if small else jnp.int32)

    @property
    def num_configurations(self) -> int:
        """Number of configurations of the whole space."""
        if self.allowed is None:
            return len(self.values) ** self.num_sites
        return math.prod(self.allowed.sum(-1).reshape(-1).tolist())

    @property
    def log_volume(self) -> float:
        if self.allowed is None:
            return self.num_sites * math.log(len(self.values))
        return float(np.log(self.allowed.sum(-1)).sum())

    def contains(self, x: Array) -> BoolScalar:
        x = jnp.asarray(x)
        inside = jnp.zeros(x.shape, bool)
        for index, value in enumerate(self.values):
            here = x == value
            inside = inside | (here if self.allowed is None else here & self.allowed[..., index])
        return jnp.all(inside)

    def fold(self, x: Array) -> Array:
        return x

    def initial(self, *, key: PRNGKey) -> Array:
        if self.allowed is not None:
            return self.draw_sites(jnp.zeros(self.logits_shape), key=key)
        index = jax.random.randint(key, self.shape, 0, len(self.values))
        return jnp.asarray(self.values, self.struct.dtype)[index]


def check_structure(space: AbstractSpace, x: Any, *, name: str = "x", batch_dims: int = 0) -> None:
    """Raise `SpaceError` unless `x` has the tree structure and the shapes of a configuration of `space`.

    Args:
        space: The space.
        x: A configuration, or an array of them with `batch_dims` leading axes.
        name: What the message calls `x`.
        batch_dims: Number of leading axes that are not part of a configuration.
    """
    want, treedef = jax.tree.flatten(space.struct)
    have, have_treedef = jax.tree.flatten(x)
    if treedef != have_treedef:
        raise SpaceError(f"`{name}` has the structure {have_treedef}, but {space} has {treedef}.")
    for leaf, struct in zip(have, want, strict=True):
        shape = jnp.shape(leaf)
        if shape[batch_dims:] != struct.shape or len(shape) < batch_dims:
            axes = "" if not batch_dims else f" after {batch_dims} leading ax{'is' if batch_dims == 1 else 'es'}"
            raise SpaceError(f"`{name}` has an array of shape {shape}; {space} wants {struct.shape}{axes}.")
