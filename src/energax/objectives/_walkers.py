"""Weighted walkers that follow a model through its updates."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, marginal, value_and_score
from energax.kernels import ULA, AbstractKernel, LangevinState, target
from energax.objectives._base import Metrics, frozen
from energax.objectives._contrastive import run_chains
from energax.sampling import RESAMPLERS, add_compensated, relative_ess

Gains = Float[Array, " walker"]


class Walkers(eqx.Module):
    """Positions with the weights that make them a sample of the present model.

    Attributes:
        x: Observed configurations, (walker, *event).
        high: Log weights A, (walker,), with E exp(A) = Z.
        low: Their rounding errors, (walker,).
        value: Energies at `x` under the model of the last update, (walker,).
        score: Scores −∇E there, which the split step of `ULA` goes on from; None elsewhere.
        family: Which start a walker descends from, (walker,).
    """

    x: Configuration
    high: Float[Array, " walker"]
    low: Float[Array, " walker"]
    value: Float[Array, " walker"]
    score: Configuration
    family: Int[Array, " walker"]

    @property
    def log_weights(self) -> Float[Array, " walker"]:
        """A."""
        return self.high + self.low

    @property
    def log_z(self) -> Scalar:
        """Log of the mean weight."""
        return jax.nn.logsumexp(self.log_weights) - jnp.log(self.high.size)


def start_walkers(energy: AbstractEnergy, law: AbstractDensity, num: int, *, scored: bool, key: PRNGKey) -> Walkers:
    """Draws of a known law, with the weights exp(−E)/law that make them a sample of the model."""
    x = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(key, num))
    value, score = _evaluated(energy, x, scored=scored)
    high = (-value - jax.vmap(law.log_prob)(x)).astype(value.dtype)
    return Walkers(x, high, jnp.zeros_like(high), value, score, jnp.arange(num, dtype=jnp.int32))


def splits(kernel: AbstractKernel, num_steps: int, num_moved: int | None = None) -> bool:
    """Whether a step is split between the old model and the new one, which spares `ULA` a score."""
    return isinstance(kernel, ULA) and num_steps == 1 and num_moved is None


def follow(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    walkers: Walkers,
    num_steps: int,
    *,
    resample: str = "systematic",
    below: float = 0.5,
    num_moved: int | None = None,
    key: PRNGKey,
) -> tuple[Walkers, Int[Array, " moved"], Metrics]:
    """The walkers of the present model from those of the last one.

    Returns:
        The walkers, the indices of those that moved, and metrics: acceptance, `resampled`, and `update_ess`, the
        relative effective number that this update alone would leave, (Σ w e^g)²/Σ w e^2g with the gains g.
    """
    pick_key, resample_key, move_key = jax.random.split(key, 3)
    everyone, old_weights = jnp.arange(walkers.high.size), walkers.log_weights
    if splits(kernel, num_steps, num_moved):
        assert isinstance(kernel, ULA)
        walkers, gains = _split_step(energy, kernel, walkers, key=move_key)
        walkers, is_resampled = _resampled(walkers, resample, below, key=resample_key)
        chosen, info = everyone, _ula_metrics(kernel)
    else:
        walkers, gains = _jump(energy, walkers)
        walkers, is_resampled = _resampled(walkers, resample, below, key=resample_key)
        if num_moved is None or num_moved == everyone.size:
            chosen = everyone
        else:
            chosen = jax.random.choice(pick_key, everyone, (num_moved,), replace=False)
        walkers, info = _moved(energy, kernel, walkers, chosen, num_steps, key=move_key)
    log_w = jax.nn.log_softmax(old_weights)
    update_ess = jnp.exp(2 * jax.nn.logsumexp(log_w + gains) - jax.nn.logsumexp(log_w + 2 * gains))
    return walkers, chosen, {**info, "resampled": is_resampled.astype(gains.dtype), "update_ess": update_ess}


def _jump(energy: AbstractEnergy, walkers: Walkers) -> tuple[Walkers, Gains]:
    """The model changes where the walkers stand: A gains E_old(x) − E_new(x)."""
    value, _ = _evaluated(energy, walkers.x, scored=False)
    return _weighed(walkers, walkers.x, value, None, walkers.value - value)


def _split_step(energy: AbstractEnergy, kernel: ULA, walkers: Walkers, *, key: PRNGKey) -> tuple[Walkers, Gains]:
    """A step of `ULA` under the old model, judged at its end by the new one."""
    now = target(frozen(energy), kernel)

    def one(x: Configuration, value: Scalar, score: Configuration, key: PRNGKey) -> tuple[LangevinState, Scalar]:
        return kernel.driven_step(now, LangevinState(x, value, score), key=key)

    keys = jax.random.split(key, walkers.high.size)
    state, work = jax.vmap(one)(walkers.x, walkers.value, walkers.score, keys)
    return _weighed(walkers, state.x, state.value, state.score, -work)


def _resampled(walkers: Walkers, method: str, below: float, *, key: PRNGKey) -> tuple[Walkers, BoolScalar]:
    """Walkers in proportion to their weights, if their relative effective number is below `below`."""
    wanted = relative_ess(walkers.log_weights) < below
    ancestors = RESAMPLERS[method](walkers.log_weights, key=key)
    ancestors = jnp.where(wanted, ancestors, jnp.arange(walkers.high.size))
    high = jnp.where(wanted, walkers.log_z, walkers.high)
    low = jnp.where(wanted, 0.0, walkers.low)
    rest = (walkers.x, walkers.value, walkers.score, walkers.family)
    x, value, score, family = jax.tree.map(lambda leaf: leaf[ancestors], rest)
    return Walkers(x, high, low, value, score, family), wanted


def _moved(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    walkers: Walkers,
    chosen: Int[Array, " moved"],
    num_steps: int,
    *,
    key: PRNGKey,
) -> tuple[Walkers, Metrics]:
    """The chosen walkers make transitions under the present model; `ULA` pays for its discretisation."""
    picked = jax.tree.map(lambda leaf: leaf[chosen], walkers.x)
    keys = jax.random.split(key, chosen.size)
    if isinstance(kernel, ULA):
        ends, gain = _shadowed(energy, kernel, picked, keys, num_steps)
        gains, info = jnp.zeros_like(walkers.high).at[chosen].set(gain.astype(walkers.high.dtype)), _ula_metrics(kernel)
    else:
        ends, info = run_chains(energy, kernel, picked, keys, num_steps)
        gains = jnp.zeros_like(walkers.high)
    at_ends, _ = _evaluated(energy, ends, scored=False)
    x = jax.tree.map(lambda leaf, new: leaf.at[chosen].set(new), walkers.x, ends)
    return _weighed(walkers, x, walkers.value.at[chosen].set(at_ends), None, gains)[0], info


def _ula_metrics(kernel: ULA) -> Metrics:
    """What `run_chains` tells of other kernels; a step that leads nowhere shows in the weights."""
    return {"accept_prob": jnp.ones(()), "step_size": kernel.step_size}


def walker_metrics(walkers: Walkers) -> Metrics:
    """`log_z` and its error bar, and how many walkers, and starts, all the others count for.

    The error bar is the estimate of Lee and Whiteley from families, the walkers that descend from one start: the sum of
    the squared weights of whole families, less 1/N. It needs no second run, and tends to 1 as families die out.
    """
    share = jax.nn.softmax(walkers.log_weights)
    families = jax.ops.segment_sum(share, walkers.family, share.size)
    spread = jnp.sum(families**2) - 1 / share.size
    return {
        "log_z": walkers.log_z,
        "log_z_stderr": jnp.sqrt(jnp.maximum(spread, 0.0)),
        "walker_ess": share.size * relative_ess(walkers.log_weights),
        "families": jnp.sum(families > 0).astype(share.dtype),
    }


def _evaluated(energy: AbstractEnergy, x: Configuration, *, scored: bool) -> tuple[Array, Any]:
    observed = marginal(frozen(energy))
    return jax.vmap(lambda x: value_and_score(observed, x) if scored else (observed(x), None))(x)


def _weighed(
    walkers: Walkers, x: Configuration, value: Array, score: Configuration, gain: Array
) -> tuple[Walkers, Gains]:
    # A weight of zero stays zero; its walker may be where both energies are infinite.
    gain = jnp.where(walkers.high == -jnp.inf, 0.0, gain).astype(walkers.high.dtype)
    high, low = add_compensated(walkers.high, walkers.low, gain)
    return Walkers(x, high, low, value.astype(walkers.value.dtype), score, walkers.family), gain


def _shadowed(
    energy: AbstractEnergy, kernel: ULA, x: Configuration, keys: Array, num_steps: int
) -> tuple[Configuration, Array]:
    """Ends of `ULA` under one energy, and minus the work that its discretisation did."""
    now = target(frozen(energy), kernel)

    def chain(x: Configuration, key: PRNGKey) -> tuple[Configuration, Scalar]:
        def step(i: Array, inner: tuple[Any, Scalar]) -> tuple[Any, Scalar]:
            state, work = kernel.driven_step(now, inner[0], key=jax.random.fold_in(key, i))
            return state, (inner[1] + work).astype(inner[1].dtype)

        first = kernel.init(now, x, key=key)
        state, work = jax.lax.fori_loop(0, num_steps, step, (first, jnp.zeros(())))
        return state.x, -work

    return jax.vmap(chain)(x, keys)
