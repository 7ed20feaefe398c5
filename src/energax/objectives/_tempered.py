"""Persistent chains that travel: replica exchange inside the training loop."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, starting_law
from energax.energies import AbstractEnergy
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.objectives._base import AbstractObjective, Metrics, as_positions, frozen
from energax.objectives._contrastive import StepSizes, check_steps, contrast, watch
from energax.paths import AbstractPath, Geometric
from energax.sampling import replica_step

_MEMORY = 0.98
_PULL = 0.05


class TemperedState(eqx.Module):
    """Ladders of configurations, and their levels.

    Attributes:
        x: Observed configurations, (chain, level, *event).
        ts: Levels from 0 to 1, (level,).
        rejection: Moving mean of the share of swaps that each pair of neighbours refuses, (level - 1,).
        count: Updates so far.
        log_step_size: Logarithm of the kernel's step size, None for kernels without one.
    """

    x: Configuration
    ts: Float[Array, " level"]
    rejection: Float[Array, " pair"]
    count: Int[Array, ""]
    log_step_size: Float[Array, ""] | None


class TemperedPCD(AbstractObjective):
    """Persistent contrastive divergence with replica exchange: chains that go round by a law where all is easy.

    Each chain is a ladder of replicas along exp(−(1 − t) E_0 − t E), from a law E_0 that is drawn from afresh at every
    update, to the model; neighbours swap. The replica at the model enters the gradient as a chain of `PersistentCD`
    does: loss = mean F(data) − mean F(chains). Levels follow the swaps, until all pairs refuse equally often, which
    is where replicas travel fastest.

    Exactness: consistent if replicas travel faster than the parameters change, which is much faster than single chains
    do between separated modes. `round_trip`, the rate 1/(2 + 2Λ) with Λ the sum of refusals, tells how often one
    arrives.

    Cost: num_levels × num_steps transitions of `num_chains` chains, two energies for each replica, and the gradient of
    two batches.

    Args:
        kernel: An exact kernel.
        num_chains: Number of ladders.
        num_levels: Replicas in each.
        num_steps: Transitions of each replica at each update.
        start: E_0, any density; None takes `densities.starting_law` of the present model: its confinement, or its
            visible biases.
        adapt_step_size: Let the step size, one for all levels, follow the kernel's target acceptance at the model from
            update to update. Kernels that are exact at any step size stay so.

    References:
        [desjardins2010], [syed2022]
    """

    kernel: AbstractKernel
    num_chains: int = eqx.field(static=True, default=64)
    num_levels: int = eqx.field(static=True, default=10)
    num_steps: int = eqx.field(static=True, default=1)
    start: AbstractDensity | None = eqx.field(kw_only=True, default=None)
    adapt_step_size: bool = eqx.field(static=True, kw_only=True, default=False)

    def __check_init__(self) -> None:
        check_steps(self.num_steps)
        if self.num_chains < 1 or self.num_levels < 2:
            raise ArgumentError(
                "TemperedPCD needs at least one chain and two levels, got "
                f"num_chains={self.num_chains}, num_levels={self.num_levels}."
            )
        require_exact(self.kernel)
        self._steps.check()

    @property
    def _steps(self) -> StepSizes:
        return StepSizes(self.kernel, self.adapt_step_size)

    def check(self, energy: AbstractEnergy) -> None:
        target(self._path(energy).at(jnp.ones(())), self.kernel)

    def _path(self, energy: AbstractEnergy) -> Geometric:
        """From the start to the model, through which no gradient passes."""
        still = frozen(energy)
        return Geometric(starting_law(still) if self.start is None else self.start, still)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> TemperedState:
        draw_key, pick_key = jax.random.split(key)
        keys = jax.random.split(draw_key, (self.num_chains, self.num_levels - 1))
        start = self._path(energy).start
        draws = jax.vmap(jax.vmap(lambda k: start.draw(key=k)))(keys)
        rows = as_positions(energy, batch)
        which = jax.random.randint(pick_key, (self.num_chains, 1), 0, len(jax.tree.leaves(rows)[0]))
        x = jax.tree.map(lambda row, draw: jnp.concatenate([draw.astype(row.dtype), row[which]], axis=1), rows, draws)
        ts = jnp.linspace(0.0, 1.0, self.num_levels)
        rejection = jnp.full(self.num_levels - 1, 0.5, ts.dtype)
        return TemperedState(x, ts, rejection, jnp.zeros((), jnp.int32), self._steps.first())

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: TemperedState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[TemperedState, Metrics]]:
        path = self._path(energy)
        kernel = self._steps.at(state.log_step_size)
        x, swaps, told = move_ladders(path, kernel, state.ts, state.x, state.count, num_steps=self.num_steps, key=key)
        before, after = (jax.tree.map(lambda leaf: leaf[:, -1], tree) for tree in (state.x, x))
        loss, metrics = contrast(energy, batch, after)
        new = self._next(state, x, swaps, told["accept_prob"])
        health = watch(energy, as_positions(energy, batch), before, after)
        return loss, (new, {**metrics, **health, **told, **travel(new.rejection)})

    def _next(
        self, state: TemperedState, x: Configuration, swaps: Float[Array, " pair"], accept_prob: Array
    ) -> TemperedState:
        """Levels move towards equal refusals, and the step size towards its acceptance."""
        rejection = refusals(state.rejection, swaps, state.count, memory=_MEMORY)
        # What never refuses still takes some room, so that levels do not fall onto each other.
        barrier = jnp.concatenate([jnp.zeros(1), jnp.cumsum(rejection + 0.01)])
        wanted = jnp.interp(jnp.linspace(0.0, 1.0, self.num_levels) * barrier[-1], barrier, state.ts)
        ts = (state.ts + _PULL * (wanted - state.ts)).at[0].set(0.0).at[-1].set(1.0)
        log_step = self._steps.after(state.log_step_size, accept_prob)
        return TemperedState(x, ts.astype(state.ts.dtype), rejection, state.count + 1, log_step)


def require_exact(kernel: AbstractKernel) -> None:
    """Raise `KernelMismatch` for kernels whose levels would not have the laws that swaps take them for."""
    if not kernel.exact:
        raise KernelMismatch(
            f"Swaps between levels need a kernel that leaves their laws invariant, which "
            f"{type(kernel).__name__} does not. Try MALA(0.01) or HMC(0.1)."
        )


def move_ladders(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Float[Array, " level"],
    x: Configuration,
    count: Int[Array, ""],
    *,
    num_steps: int,
    key: PRNGKey,
) -> tuple[Configuration, Float[Array, " pair"], Metrics]:
    """One sweep of replica exchange in each of the ladders x, (chain, level, *event).

    Returns:
        Where they are; the share of swaps that each pair of neighbours accepts, 0 for those that were not tried; and
        metrics: acceptance at the model, proposals that were not finite, the step size.
    """

    def ladder(x: Configuration, key: PRNGKey) -> tuple[Configuration, tuple[Array, Array, Array]]:
        x, told = replica_step(path, kernel, ts, x, count, num_steps=num_steps, redraw=True, key=key)
        return x, (told.swap_prob, told.accept_prob, told.num_nonfinite)

    keys = jax.random.split(key, len(jax.tree.leaves(x)[0]))
    x, (swaps, accepts, bad) = jax.vmap(ladder)(x, keys)
    metrics = {"accept_prob": jnp.mean(accepts[:, -1]), "num_nonfinite": jnp.sum(bad)}
    if isinstance(kernel, AbstractStepSizeKernel):
        metrics["step_size"] = kernel.step_size
    return x, jnp.mean(swaps, axis=0), metrics


def refusals(
    rejection: Float[Array, " pair"], swaps: Float[Array, " pair"], count: Int[Array, ""], *, memory: float
) -> Float[Array, " pair"]:
    """The moving mean of refusals after a sweep; even and odd pairs are tried in turn."""
    tried = (jnp.arange(rejection.size) - count) % 2 == 0
    mean = memory * rejection + (1 - memory) * (1 - swaps)
    return jnp.where(tried, mean, rejection).astype(rejection.dtype)


def travel(rejection: Float[Array, " pair"]) -> Metrics:
    """How fast replicas travel: the swaps of the worst pair, and the rate of round trips."""
    return {"swap_prob": 1 - jnp.max(rejection), "round_trip": 1 / (2 + 2 * jnp.sum(rejection))}
