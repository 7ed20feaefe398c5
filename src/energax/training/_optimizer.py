"""The optimiser that is used when none is given."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float

from energax._errors import ArgumentError


def default_optimizer(
    learning_rate: float = 1e-3,
    *,
    num_warmup: int = 100,
    num_constant: int = 2_000,
    clip_norm: float | None = None,
) -> optax.GradientTransformation:
    """Adam with the learning rate η_t = η min(1, t/num_warmup) min(1, √(num_constant/t)) at update t = 1, 2, ...

    The schedule knows no last step, so that a run can be continued beyond the end that it was begun with. The warm-up
    lets Adam's second moments settle; the decay averages out the noise of the negative phase, which otherwise keeps
    the parameters jittering at a distance from the optimum that is proportional to η.

    Args:
        learning_rate: η > 0. For Adam it is the size of one update of one parameter: 10⁻³ suits networks and machines
            with weights of order 0.1.
        num_warmup: Updates until η is reached.
        num_constant: Updates until the decay begins.
        clip_norm: Largest global norm of the gradient; larger ones are shortened to it. None leaves them alone.

    Returns:
        An Optax transformation; any other one may be given to `Learner`.

    Raises:
        ArgumentError: A number is not positive.

    References:
        [kingma2015]
    """
    if not learning_rate > 0 or num_warmup < 1 or num_constant < 1 or (clip_norm is not None and not clip_norm > 0):
        raise ArgumentError(
            f"The optimiser needs positive numbers, got learning_rate={learning_rate}, num_warmup={num_warmup}, "
            f"num_constant={num_constant}, clip_norm={clip_norm}."
        )

    def schedule(count: ArrayLike) -> Float[Array, ""]:
        t = jnp.asarray(count) + 1.0
        return learning_rate * jnp.minimum(t / num_warmup, 1.0) * jnp.minimum(jnp.sqrt(num_constant / t), 1.0)

    adam = optax.adam(schedule)
    return adam if clip_norm is None else optax.chain(optax.clip_by_global_norm(clip_norm), adam)
