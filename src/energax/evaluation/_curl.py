"""Is a field of scores a gradient? How much of its Jacobian is not symmetric."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.estimators import Estimate


def score_asymmetry(
    score: Callable[[Array], Array], points: ArrayLike, *, key: PRNGKey, num_probes: int = 1
) -> Estimate:
    """Estimate E ‖(J − Jᵀ)/2‖² / E ‖J‖² of the Jacobian J of a field, the share of it that no energy can have.

    Zero if and only if the field is a gradient where the points lie: the curl test. A field s = −∇E has symmetric
    second derivatives; a network of scores has them only as far as training gave them to it. Norms are Frobenius's, and
    E is over points; both are found from products with random vectors v, E_v ‖(J − Jᵀ)v/2‖² and E_v (‖Jv‖² + ‖Jᵀv‖²)/2.

    Exactness: zero up to rounding for gradients; else consistent, a ratio of two unbiased means, with its error bar by
    the delta method.
    Cost: a derivative forward and one backward for each point and probe.

    Args:
        score: The field, of one configuration: ``lambda x: model.score(x, t)`` for a diffusion model at one time.
        points: Where, shape (n, *shape), n >= 2; draws of the law whose score it is.
        key: Typed random key of the vectors.
        num_probes: Vectors for each point.

    Returns:
        `Estimate` in [0, 1]; 1 for a pure rotation.

    Raises:
        ArgumentError: Fewer than two points, or no probes.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from energax import evaluation
        >>> points = jax.random.normal(jax.random.key(0), (100, 2))
        >>> turned = lambda x: jnp.array([-x[1], x[0]])
        >>> round(evaluation.score_asymmetry(turned, points, key=jax.random.key(1)).value, 4)
        1.0

    References:
        [salimans2021], [hutchinson1989]
    """
    places = jnp.asarray(points)
    if places.ndim < 1 or len(places) < 2 or num_probes < 1:
        raise ArgumentError(f"score_asymmetry needs points and probes; got {np.shape(points)} and {num_probes}.")
    places = places.astype(jnp.promote_types(places.dtype, jnp.float32))

    def of_probe(x: Array, k: PRNGKey) -> tuple[Array, Array]:
        v = jax.random.normal(k, x.shape, x.dtype)
        there, back = jax.jvp(score, (x,), (v,))[1], jax.vjp(score, x)[1](v)[0]
        return jnp.sum((there - back) ** 2) / 4, jnp.sum(there**2 + back**2) / 2

    keys = jax.random.split(key, (len(places), num_probes))
    odd, whole = jax.jit(jax.vmap(jax.vmap(of_probe, (None, 0))))(places, keys)
    a, b = (np.asarray(part, np.float64).mean(1) for part in (odd, whole))
    ratio = float(a.mean() / b.mean()) if b.mean() > 0 else 0.0
    spread = float(np.std(a - ratio * b, ddof=1)) / max(float(b.mean()), np.finfo(float).tiny)
    return Estimate(ratio, spread / math.sqrt(len(a)), len(a), "score-asymmetry", {"num_probes": num_probes})
