"""Networks that see a condition beside x: labels or vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import PRNGKey, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import is_confined
from energax.energies._parts import Conditional
from energax.energies.neural._confinement import Confinement
from energax.energies.neural._mlp import MLP, default_confinement
from energax.spaces import AbstractArraySpace, Categorical, Euclidean, Product


class ConditionalMLP(AbstractEnergy):
    """A fully connected network f of x and a condition c plus a confining measure, E(x, c) = f(x, c) + ½ ‖(x − m)/s‖².

    Labels enter as indicators of their values, vectors as they are. `given(c)` is the energy of x for one condition,
    p(x | c) ∝ exp(−E(x, c)), and energies of several conditions are combined like any others:
    ``Sum((model.given(a), model.given(b)))`` is the product of experts, what is likely under both.

    Rows of data are {"x": ..., "c": ...}. `objectives.Conditioned` trains it by any objective without chains that last;
    with `kernels.OnPart(kernel, "x")` every objective with chains does, which then move x and keep their conditions.

    Args:
        space: Space of x, or a shape for Euclidean space of that shape.
        condition: Number of labels, or the space of c: `Categorical` or `Euclidean`.
        hidden: Widths of the hidden layers.
        activation: A name of `ACTIVATIONS`.
        confinement: As for `MLP`; it does not depend on c.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> model = energies.ConditionalMLP(2, 10, hidden=(8,), key=jax.random.key(0))
        >>> both = energies.Sum((model.given(3), model.given(7)))
        >>> both(jax.numpy.zeros(2)).shape
        ()

    References:
        [hinton2002] for products of experts, [du2020] for those of conditions.
    """

    network: MLP
    confinement: Confinement | None
    space: Product = eqx.field(static=True)

    def __init__(
        self,
        space: AbstractArraySpace | int | tuple[int, ...],
        condition: Categorical | Euclidean | int,
        *,
        hidden: Sequence[int] = (128, 128),
        activation: str = "silu",
        confinement: Confinement | str | None = "default",
        key: PRNGKey,
    ) -> None:
        observed = space if isinstance(space, AbstractArraySpace) else Euclidean(space, initial_scale=1.0)
        if isinstance(condition, int):
            if condition < 2:
                raise ArgumentError(f"ConditionalMLP needs at least two labels, got {condition}.")
            condition = Categorical((), num_categories=condition)
        if not isinstance(condition, Categorical | Euclidean):
            raise SpaceError(f"ConditionalMLP knows labels (Categorical) and vectors (Euclidean), got {condition}.")
        self.space = Product({"x": observed, "c": condition})
        self.confinement = default_confinement(observed) if isinstance(confinement, str) else confinement
        shape = condition.logits_shape if isinstance(condition, Categorical) else condition.shape
        inputs = observed.num_sites + math.prod(shape)
        self.network = MLP(inputs, hidden=hidden, activation=activation, confinement=None, key=key)

    def given(self, c: Any) -> AbstractEnergy:
        """The energy of x for one condition."""
        return Conditional(self, "c").given(jnp.asarray(c, self.space.parts["c"].struct.dtype))

    def __call__(self, x: dict[str, Array]) -> Scalar:
        y = x["x"].astype(jnp.promote_types(x["x"].dtype, self.network.layers[0].weight.dtype)).reshape(-1)
        value = self.network(jnp.concatenate([y, self._seen(x["c"], y)]))
        return value if self.confinement is None else value + self.confinement(x["x"])

    def _seen(self, c: Array, like: Array) -> Float[Array, " n"]:
        """The condition as the network sees it."""
        labels = self.space.parts["c"]
        seen = jax.nn.one_hot(c, labels.num_categories) if isinstance(labels, Categorical) else c
        return seen.reshape(-1).astype(like.dtype)


@is_confined.register
def _(energy: ConditionalMLP) -> bool:
    """Of the joint law: conditions that are vectors have no law of their own."""
    finite = [math.isfinite(energy.space.parts[name].log_volume) for name in ("x", "c")]
    return finite[1] and (finite[0] or energy.confinement is not None)
