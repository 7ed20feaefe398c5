"""Weighted walkers that follow a model through its updates."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._errors import KernelMismatch
from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, starting_law
from energax.energies import AbstractEnergy, marginal, value_and_score
from energax.kernels import ULA, AbstractKernel, LangevinState, target
from energax.objectives._base import Metrics, frozen, real_arrays
from energax.objectives._contrastive import run_chains
from energax.sampling import RESAMPLERS, add_compensated, relative_ess


class Walkers(eqx.Module):
    """Positions with the weights that make them a sample of the model that they were last moved to.

    Attributes:
        x: Observed configurations, (walker, *event).
        high: Log weights A, (walker,), with E exp(A) = Z.
        low: Their rounding errors, (walker,).
        family: Which start a walker descends from, (walker,).
        used: Walkers whose positions the model has been shown, which move before it changes; all of them if None.
        before: Parameters of that model; or, for the split step of `ULA`, the walkers' energies and scores under it.
    """

    x: Configuration
    high: Float[Array, " walker"]
    low: Float[Array, " walker"]
    family: Int[Array, " walker"]
    used: Int[Array, " used"] | None
    before: Any

    @property
    def log_weights(self) -> Float[Array, " walker"]:
        """A."""
        return self.high + self.low

    @property
    def log_z(self) -> Scalar:
        """Log of the mean weight."""
        return jax.nn.logsumexp(self.log_weights) - jnp.log(self.high.size)


@dataclasses.dataclass(frozen=True)
class Following:
    """How walkers follow a model; see `Jarzynski`."""

    kernel: AbstractKernel
    num_steps: int = 1
    resample: str = "systematic"
    resample_below: float = 0.5
    num_moved: int | None = None

    @property
    def splits(self) -> bool:
        """Whether a step of `ULA` is split between the old model and the new one, which spares a score."""
        return isinstance(self.kernel, ULA) and self.num_steps == 1 and self.num_moved is None

    def check(self, name: str) -> None:
        """Raise `KernelMismatch`, in the name of an objective, unless the work of the kernel is known."""
        if not (self.kernel.exact or isinstance(self.kernel, ULA)):
            raise KernelMismatch(
                f"{name} knows the work of exact kernels and of ULA; that of {type(self.kernel).__name__} is unknown. "
                "Try MALA(0.01) or ULA(0.01)."
            )

    def start(self, energy: AbstractEnergy, law: AbstractDensity | None, num: int, *, key: PRNGKey) -> Walkers:
        """Draws of a law, by default `starting_law`, with the weights exp(−E)/law that make them one of the model."""
        law = starting_law(energy) if law is None else law
        draw_key, pick_key = jax.random.split(key)
        x = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(draw_key, num))
        high = -_values(energy, x) - jax.vmap(law.log_prob)(x)
        family = jnp.arange(num, dtype=jnp.int32)
        return Walkers(x, high, jnp.zeros_like(high), family, self._picked(num, key=pick_key), self._kept(energy, x))

    def follow(self, energy: AbstractEnergy, walkers: Walkers, *, key: PRNGKey) -> tuple[Walkers, Metrics]:
        """The walkers of the present model from those of the last one.

        Returns:
            The walkers, and metrics: acceptance, `resampled`, and `update_ess`, the relative effective number that this
            update alone would leave, (Σ w e^g)²/Σ w e^2g with the gains g.
        """
        pick_key, resample_key, move_key = jax.random.split(key, 3)
        if self.splits:
            x, gains, before, info = self._split_step(energy, walkers, key=move_key)
            walkers = _weighed(walkers, x, gains)
        else:
            old = eqx.combine(walkers.before, frozen(energy))
            walkers, info = self._moved(old, walkers, key=move_key)
            gains = _values(old, walkers.x) - _values(energy, walkers.x)
            walkers = _weighed(walkers, walkers.x, gains)
            before = self._kept(energy, walkers.x)
        log_w = jax.nn.log_softmax(walkers.log_weights - gains)
        update_ess = jnp.exp(2 * jax.nn.logsumexp(log_w + gains) - jax.nn.logsumexp(log_w + 2 * gains))
        ancestors, is_resampled = self._ancestors(walkers, key=resample_key)
        high = jnp.where(is_resampled, walkers.log_z, walkers.high)
        low = jnp.where(is_resampled, 0.0, walkers.low)
        x, family = jax.tree.map(lambda leaf: leaf[ancestors], (walkers.x, walkers.family))
        if self.splits:
            before = jax.tree.map(lambda leaf: leaf[ancestors], before)
        walkers = Walkers(x, high, low, family, self._picked(high.size, key=pick_key), before)
        return walkers, {**info, "resampled": is_resampled.astype(high.dtype), "update_ess": update_ess}

    def _picked(self, num: int, *, key: PRNGKey) -> Int[Array, " used"] | None:
        if self.num_moved is None or self.num_moved == num:
            return None
        return jax.random.choice(key, num, (self.num_moved,), replace=False)

    def _kept(self, energy: AbstractEnergy, x: Configuration) -> Any:
        """What is needed of a model when it has changed."""
        if not self.splits:
            return real_arrays(energy)
        observed = marginal(frozen(energy))
        return jax.vmap(lambda x: value_and_score(observed, x))(x)

    def _split_step(
        self, energy: AbstractEnergy, walkers: Walkers, *, key: PRNGKey
    ) -> tuple[Configuration, Float[Array, " walker"], Any, Metrics]:
        """A step of `ULA` under the old model, judged at its end by the new one, whose energies and scores are kept."""
        kernel, now = self.kernel, target(frozen(energy), self.kernel)
        assert isinstance(kernel, ULA)
        value, score = walkers.before

        def one(x: Configuration, value: Scalar, score: Configuration, key: PRNGKey) -> tuple[LangevinState, Scalar]:
            return kernel.driven_step(now, LangevinState(x, value, score), key=key)

        state, work = jax.vmap(one)(walkers.x, value, score, jax.random.split(key, walkers.high.size))
        return state.x, -work, (state.value, state.score), _ula_metrics(kernel)

    def _moved(self, energy: AbstractEnergy, walkers: Walkers, *, key: PRNGKey) -> tuple[Walkers, Metrics]:
        """Transitions of those walkers that the model has been shown; `ULA` pays for its discretisation."""
        used = jnp.arange(walkers.high.size) if walkers.used is None else walkers.used
        picked = jax.tree.map(lambda leaf: leaf[used], walkers.x)
        keys = jax.random.split(key, used.size)
        gains = jnp.zeros_like(walkers.high)
        if isinstance(self.kernel, ULA):
            ends, shadow = _shadowed(energy, self.kernel, picked, keys, self.num_steps)
            gains, info = gains.at[used].set(shadow.astype(gains.dtype)), _ula_metrics(self.kernel)
        else:
            ends, info = run_chains(energy, self.kernel, picked, keys, self.num_steps)
        x = jax.tree.map(lambda leaf, new: leaf.at[used].set(new), walkers.x, ends)
        return _weighed(walkers, x, gains), info

    def _ancestors(self, walkers: Walkers, *, key: PRNGKey) -> tuple[Int[Array, " walker"], BoolScalar]:
        """From whom each walker goes on: drawn in proportion to the weights if few carry any, else from itself."""
        wanted = relative_ess(walkers.log_weights) < self.resample_below
        ancestors = RESAMPLERS[self.resample](walkers.log_weights, key=key)
        return jnp.where(wanted, ancestors, jnp.arange(walkers.high.size)), wanted


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


def _values(energy: AbstractEnergy, x: Configuration) -> Float[Array, " walker"]:
    return jax.vmap(marginal(frozen(energy)))(x)


def _weighed(walkers: Walkers, x: Configuration, gain: Array) -> Walkers:
    # A weight of zero stays zero; its walker may be where both energies are infinite.
    gain = jnp.where(walkers.high == -jnp.inf, 0.0, gain).astype(walkers.high.dtype)
    high, low = add_compensated(walkers.high, walkers.low, gain)
    return Walkers(x, high, low, walkers.family, walkers.used, walkers.before)


def _ula_metrics(kernel: ULA) -> Metrics:
    """What `run_chains` tells of other kernels; a step that leads nowhere shows in the weights."""
    return {"accept_prob": jnp.ones(()), "step_size": kernel.step_size}


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
