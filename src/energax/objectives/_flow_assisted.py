"""Persistent chains that jump: a law that is fitted to them proposes global moves."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy
from energax.kernels import AbstractKernel, IndependenceMetropolis, target
from energax.objectives._base import AbstractObjective, Metrics, as_positions, frozen, require_score
from energax.objectives._companions import companion
from energax.objectives._contrastive import PersistentState, check_steps, contrast, run_chains, watch
from energax.objectives._noise_contrastive import require_same_space


class FlowAssisted(AbstractObjective):
    """Flow-assisted maximum likelihood: persistent chains between whose local steps a trained law q proposes jumps.

    At every update each chain makes `num_jumps` steps of independence Metropolis, x' ~ q accepted with
    min(1, e^{F(x) − F(x')} q(x)/q(x')), and `num_steps` of the kernel. Then

        loss = mean F(data) − mean F(chains) − mean log q(chains),

    chains held constant: energy and q do not see each other in it. The energy has the gradient of `PersistentCD`; q
    goes up the likelihood of the chains, by which it comes to cover what they cover, and carries them between modes
    that the kernel does not connect, in the proportion that the energy says.

    Exactness: jumps leave exp(−F) invariant whatever q is; consistent as `PersistentCD` is, if chains mix faster than
    the parameters change, which with accepted jumps they do between far modes too. A mode that no chain has found is
    proposed by nobody: chains start at the data, where all modes that matter are. `jump_prob` tells how much of it
    works; it falls quickly in many dimensions, unless q is a flow that follows the model closely.

    Cost: num_steps transitions, `num_jumps` energies, draws and log-densities of q for each chain, the gradient of two
    batches of energies and of a batch of log-densities of q.

    Args:
        kernel: The local transition.
        flow: q before the first update, any density on the space of the data whose `log_prob` is smooth in its
            parameters: a `Flow`, a `GaussianMixture`, a `Gaussian`. Trained; a companion.
        num_chains: Chains.
        num_steps: Local transitions at each update.
        num_jumps: Proposals of q to each chain at each update.

    References:
        [grenioux2023], [gabrie2022]
    """

    kernel: AbstractKernel
    flow: AbstractDensity = eqx.field(metadata=companion())
    num_chains: int = eqx.field(static=True, default=512, kw_only=True)
    num_steps: int = eqx.field(static=True, default=1, kw_only=True)
    num_jumps: int = eqx.field(static=True, default=1, kw_only=True)

    def __check_init__(self) -> None:
        check_steps(self.num_steps, self.num_chains)
        if not isinstance(self.flow, AbstractDensity):
            raise ArgumentError(f"FlowAssisted needs a density that proposes jumps, got {type(self.flow).__name__}.")
        if self.num_jumps < 1:
            raise ArgumentError(f"FlowAssisted needs num_jumps >= 1, got {self.num_jumps}.")

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)
        require_same_space(type(self).__name__, energy, self.flow)
        target(energy, self.kernel)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> PersistentState:
        rows = as_positions(energy, batch)
        return PersistentState(rows[jax.random.randint(key, (self.num_chains,), 0, rows.shape[0])], None)

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: PersistentState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[PersistentState, Metrics]]:
        jump_key, move_key = (jax.random.split(k, self.num_chains) for k in jax.random.split(key))
        jump = IndependenceMetropolis(frozen(self.flow))
        landed, jumps = run_chains(energy, jump, state.x, jump_key, self.num_jumps)
        ends, info = run_chains(energy, self.kernel, landed, move_key, self.num_steps)
        loss, metrics = contrast(energy, batch, ends)
        likelihood = jnp.mean(jax.vmap(self.flow.log_prob)(ends))
        told = {"jump_prob": jumps["accept_prob"], "flow_log_likelihood": likelihood}
        metrics = {**metrics, **info, **watch(energy, batch, state.x, ends), **told}
        return loss - likelihood, (PersistentState(ends, None), metrics)
