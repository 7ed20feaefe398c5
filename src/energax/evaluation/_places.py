"""Places that a search, the data or a pilot lead to: laws around them, their masses, and whether annealing comes by."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from energax._typing import Configuration, PRNGKey
from energax.densities import AbstractDensity, IndependentSites, ShapedGaussian, Uniform
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.evaluation._fit_base import LEAST_ROWS, fit_base
from energax.kernels import AbstractKernel, target
from energax.sampling import run_steps
from energax.spaces import AbstractSpace

NEGLIGIBLE = 7.0
"""A place with less than e^−7 of the weight of those that annealing reaches cannot move log Z by a thousandth."""
_NUM_CHAINS = 16
_KEPT = 6
_SPACING = 2
_NUM_DRAWS = 64
_MOST_MODES = 15
_APART = 2.0


@dataclasses.dataclass(frozen=True)
class Places:
    """What short chains at t = 1 say of the surroundings of some configurations.

    Attributes:
        ends: A configuration near each place after the short chains, (place, *event).
        laws: A density fitted to the chains of each place; None on spaces without such a family.
        log_masses: E_law[−E − log law], a lower bound of log Z that is close to the log mass of the region where the
            law fits it; +inf where there is no law.
    """

    ends: PyTree[np.ndarray]
    laws: list[AbstractDensity] | None
    log_masses: Float[np.ndarray, " place"]

    def scale(self, excess: Float[np.ndarray, " place"]) -> float:
        """Log mass of the heavier ones of the places that annealing reaches, on the scale of `log_masses`."""
        finite = np.isfinite(self.log_masses)
        reached = self.log_masses[(excess < 1.0) & finite]
        if not reached.size:
            reached = self.log_masses[finite]
        return float(np.quantile(reached, 0.9)) if reached.size else -np.inf

    def matters(self, excess: Float[np.ndarray, " place"]) -> np.ndarray:
        """Which places weigh enough to be missed."""
        return self.log_masses > self.scale(excess) - NEGLIGIBLE


def examine(energy: AbstractEnergy, kernel: AbstractKernel, starts: PyTree[np.ndarray], *, key: PRNGKey) -> Places:
    """Run short chains from configurations and fit a simple law to those of each.

    Args:
        energy: The model.
        kernel: The kernel, with its step size for t = 1.
        starts: Configurations, (place, *event).
        key: Random key.
    """
    run_key, law_key = jax.random.split(key)
    draws = jax.tree.map(np.asarray, _short_chains(energy, kernel, jax.tree.map(jnp.asarray, starts), run_key))
    pooled = jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0], -1, *leaf.shape[3:]), draws)
    count, num = jax.tree.leaves(pooled)[0].shape[:2]
    # The last draws of the chains come last, and first among the ends of a place.
    order = np.arange(num).reshape(_NUM_CHAINS, _KEPT).T.reshape(-1)
    pooled = jax.tree.map(lambda leaf: leaf[:, order], pooled)
    space = observed_space(energy)
    inside = np.ones((count, num), bool)
    laws = _fitted(space, pooled, inside)
    if isinstance(laws[0], Uniform):
        return Places(jax.tree.map(lambda leaf: leaf[:, -1], pooled), None, np.full(count, np.inf))
    # Some chains leave a place for another. The denser half of the draws decides which one it is, and the draws that
    # could have come from the law of that half are the place's own.
    log_p = np.asarray(_log_probs(_stacked(laws), pooled))
    laws = _fitted(space, pooled, log_p >= np.median(log_p, axis=1, keepdims=True))
    log_p = np.asarray(_log_probs(_stacked(laws), pooled))
    inside = log_p >= np.median(log_p, axis=1, keepdims=True) - 6.0 - 2.0 * np.abs(
        np.quantile(log_p, 0.9, axis=1, keepdims=True) - np.median(log_p, axis=1, keepdims=True)
    )
    laws = _fitted(space, pooled, inside)
    last = num - 1 - np.argmax(inside[:, ::-1], axis=1)
    ends = jax.tree.map(lambda leaf: leaf[np.arange(count), last], pooled)
    return Places(ends, laws, np.asarray(_log_masses(energy, _stacked(laws), law_key), np.float64))


def _fitted(space: AbstractSpace, pooled: PyTree[np.ndarray], inside: np.ndarray) -> list[AbstractDensity]:
    """A law for each place from those of its draws that are its own, all of one kind."""
    sites = sum(math.prod(leaf.shape[2:]) for leaf in jax.tree.leaves(pooled))
    few = bool((inside.sum(1) <= LEAST_ROWS * sites).any())
    return [
        fit_base(space, jax.tree.map(lambda leaf, i=i: leaf[i][inside[i]], pooled), local=True, independent=few)
        for i in range(len(inside))
    ]


def _stacked(laws: list[AbstractDensity]) -> AbstractDensity:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *laws)


def missed_modes(
    places: Places, base: AbstractDensity, excess: Float[np.ndarray, " place"], *, key: PRNGKey
) -> list[tuple[AbstractDensity, float]]:
    """Laws of the places that matter and that annealing under-represents, and their masses relative to the bulk.

    Args:
        places: The places.
        base: The base that annealing starts from; places that look like it are no modes.
        excess: For each the log of the factor by which annealing under-represents it.
        key: Random key.
    """
    if places.laws is None:
        return []
    apart = np.asarray(_divergences(_stacked(places.laws), base, key)) > _APART
    missed = places.matters(excess) & (excess > 1.0) & apart
    kept: list[int] = []
    for i in (int(i) for i in np.argsort(-places.log_masses) if missed[i]):
        if len(kept) < _MOST_MODES and not any(_same_place(places.laws[i], places.laws[j]) for j in kept):
            kept.append(i)
    scale = places.scale(excess)
    return [(places.laws[i], float(np.clip(np.exp(min(places.log_masses[i] - scale, 1.0)), 0.02, 2.0))) for i in kept]


@eqx.filter_jit
def _short_chains(energy: AbstractEnergy, kernel: AbstractKernel, starts: Configuration, key: PRNGKey) -> PyTree[Array]:
    """Draws of short chains, (place, chain, draw, *event)."""
    moved = target(energy, kernel)

    def chain(x: Configuration, key: PRNGKey) -> PyTree[Array]:
        def kept(x: Configuration, index: Array) -> tuple[Configuration, Configuration]:
            x, _, _ = run_steps(moved, kernel, x, _SPACING, key=jax.random.fold_in(key, index))
            return x, x

        return jax.lax.scan(kept, x, jnp.arange(_KEPT))[1]

    keys = jax.random.split(key, (jax.tree.leaves(starts)[0].shape[0], _NUM_CHAINS))
    return jax.vmap(jax.vmap(chain, in_axes=(None, 0)))(starts, keys)


@eqx.filter_jit
def _log_probs(laws: AbstractDensity, pooled: PyTree[Any]) -> Float[Array, "place draw"]:
    """Log-densities of the draws of each place under its law."""
    arrays, static = eqx.partition(laws, eqx.is_array)
    pooled = jax.tree.map(jnp.asarray, pooled)

    def one(arrays: Any, x: Configuration) -> Array:
        law: Any = eqx.combine(arrays, static)
        return jax.vmap(law.log_prob)(x)

    return jax.vmap(one)(arrays, pooled)


@eqx.filter_jit
def _log_masses(energy: AbstractEnergy, laws: AbstractDensity, key: PRNGKey) -> Float[Array, " place"]:
    """E_g[−E − log g] of each of some stacked laws g."""
    free = marginal(energy)
    return _means(laws, lambda law, x: -free(x) - law.log_prob(x), key)


@eqx.filter_jit
def _divergences(laws: AbstractDensity, base: AbstractDensity, key: PRNGKey) -> Float[Array, " place"]:
    """KL(g‖base) of each of some stacked laws g."""
    return _means(laws, lambda law, x: law.log_prob(x) - base.log_prob(x), key)


def _means(laws: AbstractDensity, fn: Callable[[Any, Any], Array], key: PRNGKey) -> Float[Array, " place"]:
    """E_g fn(g, x) over a few draws of each of some stacked laws g."""
    arrays, static = eqx.partition(laws, eqx.is_array)
    # With the fast generator these few draws take the compiler of JAX 0.12 minutes where a law has few sites.
    key = jax.random.key(jax.random.bits(key, (), jnp.uint32))

    def one(arrays: Any, key: PRNGKey) -> Array:
        law: Any = eqx.combine(arrays, static)
        x = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(key, _NUM_DRAWS))
        return jnp.mean(jax.vmap(lambda y: fn(law, y))(x))

    return jax.vmap(one)(arrays, jax.random.split(key, jax.tree.leaves(arrays)[0].shape[0]))


def _same_place(a: AbstractDensity, b: AbstractDensity) -> bool:
    """Whether the centre of each law is a typical point of the other."""
    at_a, at_b = _centre(a), _centre(b)
    return float(b.log_prob(at_a)) > float(b.log_prob(at_b)) - 3.0 and (
        float(a.log_prob(at_b)) > float(a.log_prob(at_a)) - 3.0
    )


def _centre(law: AbstractDensity) -> Any:
    if isinstance(law, IndependentSites):
        space, logits = law.space, np.asarray(law.logits)
        values = np.asarray(space.values, space.struct.dtype)
        return jnp.asarray(values[(logits > 0).astype(int) if len(values) == 2 else logits.argmax(-1)])
    assert isinstance(law, ShapedGaussian)
    return law.inner.mean.reshape(law.space.shape)
