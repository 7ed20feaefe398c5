"""Mixtures of product laws of two-valued sites, and their fit to data."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from energax._errors import ArgumentError, DataError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities._base import AbstractDensity
from energax.spaces import AbstractTwoValuedSpace

_BLOCK = 4096
"""Rows whose components are weighed together: all of them at once would fill the memory."""


class SiteMixture(AbstractDensity):
    """Mixture of independent two-valued sites, p(x) = Σ_k π_k Π_i p_ki(x_i).

    A law of binary vectors whose density and draws are both cheap: noise of `objectives.NoiseContrastive`, base of
    `generative.Tilted` and of paths, baseline. `site_mixture` fits one to data.

    Cost: k · (number of sites) multiplications for a log-density; a draw looks at one component.

    Args:
        logits: Log-odds of the second value, shape (k, *space.shape).
        log_weights: log π_k up to a constant, shape (k,).
        space: A two-valued space.
    """

    logits: Float[Array, "k ..."]
    log_weights: Float[Array, " k"]
    space: AbstractTwoValuedSpace = eqx.field(static=True)

    def component_log_probs(self, x: Configuration) -> Float[Array, " k"]:
        """Log π_k p_k(x) of every component."""
        # log p_k = Σ_i (l_i [x_i is the second value] − softplus(l_i)): one product for all components.
        flat = self.logits.reshape(self.logits.shape[0], -1)
        second = (x == self.space.values[1]).reshape(-1).astype(flat.dtype)
        # Normalised here, because training moves the leaves.
        log_weights = jax.nn.log_softmax(self.log_weights)
        return log_weights + flat @ second - jnp.sum(jax.nn.softplus(flat), axis=1)

    def log_prob(self, x: Configuration) -> Scalar:
        return jax.nn.logsumexp(self.component_log_probs(x))

    def draw(self, *, key: PRNGKey) -> Configuration:
        which, sites = jax.random.split(key)
        # One uniform number: an exponential one for each component would cost more than the sites.
        shares = jnp.cumsum(jax.nn.softmax(self.log_weights))
        index = jnp.searchsorted(shares, shares[-1] * jax.random.uniform(which, dtype=shares.dtype), side="right")
        return self.space.draw_sites(self.logits[index], key=sites)


def site_mixture(
    space: AbstractTwoValuedSpace,
    data: ArrayLike,
    num_components: int,
    *,
    key: PRNGKey,
    num_rounds: int = 100,
    tolerance: float = 1e-4,
    pseudo_count: float = 1.0,
) -> SiteMixture:
    """Fit a `SiteMixture` to rows by expectation maximisation.

    With responsibilities r_nk = π_k p_k(x_n) / p(x_n) and n_k = Σ_n r_nk, a round sets π_k to (n_k + c)/(N + c K), and
    the mean of site i in component k to (Σ_n r_nk x_ni + c m_i)/(n_k + c), where x counts as 0 or 1: each component
    sees c more rows, from the product law with the means m of all rows, smoothed by half a row of each value. So no
    site is certain, no component dies, and the law is positive everywhere, as a noise law must be. A component begins
    between m and a row that is drawn at random, each site at its own share of the way, 1/4 to 3/4.

    Exactness: each round raises Σ_n log p(x_n) + c Σ_k [log π_k + Σ_i (m_i log p_ki + (1 − m_i) log(1 − p_ki))] until
    it stands still: at a local maximum, which depends on the key.

    Cost: 4 N K (number of sites) multiplications and N K exponentials a round, 4096 K numbers of memory.

    Args:
        space: A two-valued space.
        data: Rows on it, shape (N, *space.shape).
        num_components: K. The more, the closer; but the rows of the fit are about K (number of sites)/N nats likelier
            than others, so that N should be a hundred times as many.
        key: Random key of the rows that components begin at.
        num_rounds: Rounds at most.
        tolerance: It ends when a round gains less than this, in nats for a row.
        pseudo_count: c > 0, in rows.

    Raises:
        SpaceError: The space is not two-valued.
        DataError: Rows are not of that space.
        ArgumentError: A number is out of range.

    Example:
        >>> import jax
        >>> from energax import densities, spaces
        >>> rows = jax.numpy.asarray([[0, 0, 0, 0], [1, 1, 1, 1]] * 50)
        >>> law = densities.site_mixture(spaces.Binary(4), rows, 2, key=jax.random.key(0))
        >>> round(float(jax.numpy.exp(law.log_prob(rows[0]))), 1)
        0.5

    References:
        [dempster1977], with a prior that stands for c rows a component.
    """
    second = _second_values(space, data)
    if num_components < 1 or num_rounds < 1 or not tolerance >= 0 or not pseudo_count > 0:
        raise ArgumentError(
            "site_mixture needs num_components and num_rounds of at least 1, tolerance >= 0 and pseudo_count > 0, got "
            f"{num_components}, {num_rounds}, {tolerance} and {pseudo_count}."
        )
    dtype = jnp.result_type(float)
    mean = jnp.asarray((second.sum(0, dtype=np.int64) + 0.5) / (len(second) + 1), dtype)
    which, way = jax.random.split(key)
    begin = jax.random.choice(which, len(second), (num_components,), replace=num_components > len(second))
    # Components that began at equal rows would stay equal.
    share = jax.random.uniform(way, (num_components, second.shape[1]), dtype, 0.25, 0.75)
    probs = mean + share * (jnp.asarray(second[np.asarray(begin)], dtype) - mean)
    law = SiteMixture(_logit(probs), jnp.zeros(num_components, dtype), space)
    rest = -len(second) % min(_BLOCK, len(second))
    padded = np.pad(second, ((0, rest), (0, 0))).reshape(-1, min(_BLOCK, len(second)), second.shape[1])
    counted = np.pad(np.ones(len(second), bool), (0, rest)).reshape(padded.shape[:2])
    return _maximised(law, padded, counted, mean, num_rounds, tolerance, pseudo_count)


def _second_values(space: AbstractTwoValuedSpace, data: ArrayLike) -> np.ndarray:
    """Rows as flat truth values: whether each site has the second of its two values."""
    if not isinstance(space, AbstractTwoValuedSpace):
        raise SpaceError(f"site_mixture needs a space of two-valued sites, got {space}.")
    rows = np.asarray(data)
    if rows.shape[1:] != space.shape or not len(rows):
        raise DataError(f"site_mixture needs rows of shape {space.shape}, got an array of shape {rows.shape}.")
    second = rows == space.values[1]
    if not (second | (rows == space.values[0])).all():
        raise DataError(f"Rows on {space} have the values {space.values} alone; there are others in `data`.")
    return second.reshape(len(rows), -1)


def _logit(probs: Array) -> Array:
    return jnp.log(probs) - jnp.log1p(-probs)


@eqx.filter_jit
def _maximised(
    law: SiteMixture,
    blocks: ArrayLike,
    counted: ArrayLike,
    mean: Array,
    num_rounds: int,
    tolerance: float,
    pseudo_count: float,
) -> SiteMixture:
    """Rounds from `law`, with flat logits, until one gains too little."""
    blocks, counted = jnp.asarray(blocks), jnp.asarray(counted)

    def go_on(carry: tuple[SiteMixture, Scalar, Scalar, Scalar]) -> Scalar:
        _, last, before, index = carry
        # The likelihood is that of the law before a round: at first there is none.
        return (index < num_rounds) & ((index == 0) | (last - before >= tolerance))

    def step(carry: tuple[SiteMixture, Scalar, Scalar, Scalar]) -> tuple[SiteMixture, Scalar, Scalar, Scalar]:
        law, last, _, index = carry
        law, found = _round(law, blocks, counted, mean, pseudo_count)
        return law, found, last, index + 1

    low = jnp.asarray(-jnp.inf, mean.dtype)
    law, _, _, _ = jax.lax.while_loop(go_on, step, (law, low, low, jnp.zeros((), jnp.int32)))
    return SiteMixture(law.logits.reshape(-1, *law.space.shape), law.log_weights, law.space)


def _round(
    law: SiteMixture, blocks: Array, counted: Array, mean: Array, pseudo_count: float
) -> tuple[SiteMixture, Scalar]:
    """The law after a round, and the mean log-likelihood of the rows before it."""

    def add(total: tuple[Array, Array, Array], block: tuple[Array, Array]) -> tuple[tuple[Array, Array, Array], None]:
        counts, sums, likelihood = total
        rows, real = block[0].astype(mean.dtype), block[1].astype(mean.dtype)
        joint = rows @ law.logits.T - jnp.sum(jax.nn.softplus(law.logits), axis=1)
        joint = joint + jax.nn.log_softmax(law.log_weights)
        log_p = jax.nn.logsumexp(joint, axis=1)
        shares = jnp.exp(joint - log_p[:, None]) * real[:, None]
        return (counts + shares.sum(0), sums + shares.T @ rows, likelihood + jnp.sum(log_p * real)), None

    zero = jnp.zeros((), mean.dtype)
    total = (jnp.zeros_like(law.log_weights), jnp.zeros_like(law.logits), zero)
    (counts, sums, likelihood), _ = jax.lax.scan(add, total, (blocks, counted))
    probs = (sums + pseudo_count * mean) / (counts + pseudo_count)[:, None]
    return SiteMixture(_logit(probs), jnp.log(counts + pseudo_count), law.space), likelihood / counted.sum()
