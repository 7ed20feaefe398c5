"""Contrastive divergence and its persistent form."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.objectives._base import AbstractObjective, AbstractStatelessObjective, Metrics, as_positions, frozen
from energax.sampling import run_steps

_NUM_WATCHED = 128


class ContrastiveDivergence(AbstractStatelessObjective):
    """CD-k: E_data[∂E] − E[∂E] at the ends of k-step chains that start at the data.

    With F the observed energy, loss = mean F(data) − mean F(chains), chains held constant.

    Exactness: biased for finite k; the bias vanishes with k → ∞. The mass of modes that k steps cannot connect is
    never learned.

    Cost: k transitions for each row of the batch, and the gradient of two batches of energies.

    Args:
        kernel: The transition; block Gibbs for machines with hidden units.
        num_steps: k.

    References:
        [hinton2002]
    """

    kernel: AbstractKernel
    num_steps: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        check_steps(self.num_steps)

    def check(self, energy: AbstractEnergy) -> None:
        target(energy, self.kernel)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        keys = jax.random.split(key, jax.tree.leaves(batch)[0].shape[0])
        start = as_positions(energy, batch)
        ends, info = run_chains(energy, self.kernel, start, keys, self.num_steps)
        loss, metrics = contrast(energy, batch, ends)
        return loss, {**metrics, **info, **watch(energy, batch, start, ends)}


class PersistentState(eqx.Module):
    """Positions that survive the update, and the logarithm of an adapted step size.

    Attributes:
        x: Observed configurations of the reservoir, (chain, *event).
        log_step_size: Logarithm of the kernel's step size, None for kernels without one.
    """

    x: Configuration
    log_step_size: Float[Array, ""] | None


class PersistentCD(AbstractObjective):
    """Persistent contrastive divergence: chains go on from update to update, with a replay reservoir and restarts.

    loss = mean F(data) − mean F(chains) with chains that were moved `num_steps` transitions under the present
    energy. Only positions persist: every cache is recomputed for the new energy.

    Exactness: consistent if chains mix faster than the parameters change. The relative mass of separated modes is
    only as right as the chains' ability to cross between them; started at the data they keep its masses whatever
    the model says.

    Cost: `num_steps` transitions of `num_chains` chains, and the gradient of two batches of energies.

    Args:
        kernel: The transition.
        num_chains: Chains moved at each update.
        num_steps: Transitions at each update.
        reservoir: Number of stored positions, at least `num_chains` (the default). If larger, each update moves a
            random part of them.
        restart: Probability with which a moved chain is restarted before it moves.
        start: Where chains begin and restart: ``"data"`` (rows of the batch) or ``"noise"`` (the initial law of the
            space).
        adapt_step_size: Let the step size follow the kernel's target acceptance from update to update. Kernels that
            are exact at any step size stay so.

    References:
        [tieleman2008], [du2019] for the reservoir with restarts.
    """

    kernel: AbstractKernel
    num_chains: int = eqx.field(static=True, default=512)
    num_steps: int = eqx.field(static=True, default=1)
    reservoir: int | None = eqx.field(static=True, default=None, kw_only=True)
    restart: float = eqx.field(static=True, default=0.0, kw_only=True)
    start: str = eqx.field(static=True, default="data", kw_only=True)
    adapt_step_size: bool = eqx.field(static=True, default=False, kw_only=True)

    def __check_init__(self) -> None:
        check_steps(self.num_steps)
        if self.num_chains < 1 or (self.reservoir is not None and self.reservoir < self.num_chains):
            raise ArgumentError(
                f"PersistentCD needs at least one chain and a reservoir at least as large as num_chains, got "
                f"num_chains={self.num_chains}, reservoir={self.reservoir}."
            )
        if not 0 <= self.restart <= 1 or self.start not in ("data", "noise"):
            raise ArgumentError(
                f'`restart` is a probability and `start` is "data" or "noise", got {self.restart} and {self.start!r}.'
            )
        self._steps.check()

    @property
    def _steps(self) -> StepSizes:
        return StepSizes(self.kernel, self.adapt_step_size)

    def check(self, energy: AbstractEnergy) -> None:
        target(energy, self.kernel)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> PersistentState:
        size = self.num_chains if self.reservoir is None else self.reservoir
        x = self._fresh(energy, batch, size, key=key)
        return PersistentState(x, self._steps.first())

    def _fresh(self, energy: AbstractEnergy, batch: Configuration, size: int, *, key: PRNGKey) -> Configuration:
        if self.start == "noise":
            space = observed_space(energy)
            return jax.vmap(lambda k: space.initial(key=k))(jax.random.split(key, size))
        rows = as_positions(energy, batch)
        which = jax.random.randint(key, (size,), 0, jax.tree.leaves(rows)[0].shape[0])
        return jax.tree.map(lambda leaf: leaf[which], rows)

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: PersistentState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[PersistentState, Metrics]]:
        pick_key, restart_key, move_key = jax.random.split(key, 3)
        size = jax.tree.leaves(state.x)[0].shape[0]
        everyone = size == self.num_chains
        chosen = jax.random.choice(pick_key, size, (self.num_chains,), replace=False)
        before = state.x if everyone else jax.tree.map(lambda leaf: leaf[chosen], state.x)
        if self.restart:
            before = self._restarted(energy, batch, before, key=restart_key)
        kernel = self._steps.at(state.log_step_size)
        ends, info = run_chains(energy, kernel, before, jax.random.split(move_key, self.num_chains), self.num_steps)
        x = ends if everyone else jax.tree.map(lambda leaf, new: leaf.at[chosen].set(new), state.x, ends)
        loss, metrics = contrast(energy, batch, ends)
        metrics = {**metrics, **info, **watch(energy, batch, before, ends)}
        return loss, (PersistentState(x, self._steps.after(state.log_step_size, info["accept_prob"])), metrics)

    def _restarted(
        self, energy: AbstractEnergy, batch: Configuration, x: Configuration, *, key: PRNGKey
    ) -> Configuration:
        which_key, fresh_key = jax.random.split(key)
        again = jax.random.bernoulli(which_key, self.restart, (self.num_chains,))
        fresh = self._fresh(energy, batch, self.num_chains, key=fresh_key)
        return jax.tree.map(
            lambda new, old: jnp.where(again.reshape(-1, *[1] * (old.ndim - 1)), new.astype(old.dtype), old), fresh, x
        )


@dataclasses.dataclass(frozen=True)
class StepSizes:
    """The step sizes of chains that persist, which follow the acceptance if they are to.

    Args:
        kernel: The transition.
        adapts: Whether its step size follows its target acceptance.
    """

    kernel: AbstractKernel
    adapts: bool

    def check(self) -> None:
        """Raise `KernelMismatch` if it is to, but there is none."""
        if self.adapts and not isinstance(self.kernel, AbstractStepSizeKernel):
            raise KernelMismatch(f"{type(self.kernel).__name__} has no step size to adapt.")

    def first(self) -> Float[Array, ""] | None:
        """Logarithm of the step size before the first update, None for kernels without one."""
        return jnp.log(self.kernel.step_size) if isinstance(self.kernel, AbstractStepSizeKernel) else None

    def at(self, log_step: Float[Array, ""] | None) -> AbstractKernel:
        """The kernel of an update."""
        if not (self.adapts and isinstance(self.kernel, AbstractStepSizeKernel)):
            return self.kernel
        assert log_step is not None
        return self.kernel.with_step_size(jnp.exp(log_step))

    def after(self, log_step: Float[Array, ""] | None, accept_prob: Array) -> Float[Array, ""] | None:
        """The logarithm of the step size after an update."""
        if not (self.adapts and isinstance(self.kernel, AbstractStepSizeKernel)):
            return log_step
        assert log_step is not None
        # Robbins-Monro with a constant gain: the target keeps changing, so the gain must not vanish.
        return log_step + (0.05 * (accept_prob - self.kernel.target_accept_prob)).astype(log_step.dtype)


def run_chains(
    energy: AbstractEnergy, kernel: AbstractKernel, x: Configuration, keys: Array, num_steps: int
) -> tuple[Configuration, Metrics]:
    """Move every chain `num_steps` transitions; nothing is differentiated.

    Returns:
        The ends, and metrics: mean `accept_prob`, `num_nonfinite` proposals, and `step_size` where there is one.
    """
    moved = frozen(target(energy, kernel))
    ends, accepts, bad = jax.vmap(lambda x, key: run_steps(moved, kernel, x, num_steps, key=key))(x, keys)
    metrics = {"accept_prob": jnp.mean(accepts), "num_nonfinite": jnp.sum(bad)}
    if isinstance(kernel, AbstractStepSizeKernel):
        metrics["step_size"] = kernel.step_size
    return jax.lax.stop_gradient(ends), metrics


def contrast(
    energy: AbstractEnergy,
    data: Configuration,
    model: Configuration,
    *,
    log_weights: Float[Array, " model"] | None = None,
) -> tuple[Scalar, Metrics]:
    """Mean observed energy of the data minus that of the model's (weighted) configurations, and both as metrics."""
    observed = marginal(energy)
    at_data = jnp.mean(jax.vmap(observed)(data))
    values = jax.vmap(observed)(model)
    at_model = jnp.mean(values) if log_weights is None else weighted_mean(values, log_weights)
    metrics = {"energy_data": at_data, "energy_model": at_model, "energy_gap": at_model - at_data}
    return at_data - at_model, metrics


def weighted_mean(values: Float[Array, " n"], log_weights: Float[Array, " n"]) -> Scalar:
    """Σ w values with normalised weights, through which no gradient passes."""
    weights = jax.nn.softmax(jax.lax.stop_gradient(log_weights)).astype(values.dtype)
    # A configuration without weight may have an infinite energy.
    return jnp.sum(jnp.where(weights > 0, weights * values, 0.0))


def watch(energy: AbstractEnergy, data: Configuration, before: Configuration, after: Configuration) -> Metrics:
    """Health of the chains: what the thermometer of training reads.

    Measured on the first chains only, so that it costs a small part of an update.

    Returns:
        `moved`: share of discrete sites that changed, or the root mean square displacement over that of the data;
        `ess`: num_chains (1 − ρ)/(1 + ρ) with ρ the correlation over chains of the energy before and after;
        `saturation`: share of the entries that vary in the data but hardly among the chains;
        `chain_distance`: energy distance 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ between data and chains.
    """
    space = observed_space(energy)
    total = jax.tree.leaves(after)[0].shape[0]
    first = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf[:_NUM_WATCHED]), (data, before, after))
    rows, old, new = (flat(tree) for tree in first)
    spread = jnp.var(rows, axis=0)
    if space.is_discrete:
        moved = jnp.mean(old != new)
    else:
        moved = jnp.sqrt(jnp.mean((new - old) ** 2) / jnp.maximum(jnp.mean(spread), 1e-30))
    varies = spread > 0
    stuck = varies & (jnp.var(new, axis=0) < 0.01 * spread)
    observed = marginal(frozen(energy))
    rho = _correlation(jax.vmap(observed)(first[1]), jax.vmap(observed)(first[2]))
    return {
        "moved": moved,
        "ess": total * (1 - rho) / (1 + rho),
        "saturation": jnp.sum(stuck) / jnp.maximum(jnp.sum(varies), 1),
        "chain_distance": 2 * _gap(rows, new) - _gap(rows) - _gap(new),
    }


def flat(tree: Configuration) -> Float[Array, "n entries"]:
    """Configurations with a leading axis as rows of real numbers."""
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1).astype(float) for leaf in jax.tree.leaves(tree)], axis=1)


def _gap(a: Float[Array, "m entries"], b: Float[Array, "n entries"] | None = None) -> Scalar:
    """Mean distance of rows of a to rows of b, or between different rows of a."""
    other = a if b is None else b
    squares = jnp.sum(a**2, -1)[:, None] + jnp.sum(other**2, -1) - 2 * a @ other.T
    distances = jnp.sqrt(jnp.maximum(squares, 0.0))
    if b is not None:
        return jnp.mean(distances)
    # Of a row to itself only the rounding is left, whose root is not small.
    return jnp.sum(jnp.where(jnp.eye(len(a), dtype=bool), 0.0, distances)) / max(len(a) * (len(a) - 1), 1)


def _correlation(a: Array, b: Array) -> Array:
    a, b = a - jnp.mean(a), b - jnp.mean(b)
    norm = jnp.sqrt(jnp.sum(a**2) * jnp.sum(b**2))
    rho = jnp.where(norm > 0, jnp.sum(a * b) / jnp.where(norm > 0, norm, 1.0), 1.0)
    return jnp.clip(rho, 0.0, 1.0)


def check_steps(num_steps: int, num_chains: int = 1) -> None:
    if num_steps < 1:
        raise ArgumentError(f"Chains must make at least one step, got num_steps={num_steps}.")
    if num_chains < 1:
        raise ArgumentError(f"At least one chain is needed, got num_chains={num_chains}.")
