"""Maximum likelihood with weighted walkers: training corrected by Jarzynski's identity."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, starting_law
from energax.energies import AbstractEnergy
from energax.kernels import AbstractKernel, target
from energax.objectives._base import AbstractObjective, Metrics, as_positions
from energax.objectives._contrastive import check_steps, contrast, watch
from energax.objectives._walkers import Following, Walkers, walker_metrics
from energax.sampling import RESAMPLERS


class JarzynskiState(eqx.Module):
    """The weighted walkers, and the factor on the update.

    Attributes:
        walkers: Positions, weights, and energies under the model of the update before.
        pace: Factor on the update, at most 1.
    """

    walkers: Walkers
    pace: Scalar


class Jarzynski(AbstractObjective):
    """Maximum likelihood with walkers that carry the work which every update does on them.

    When the parameters go from θ_k to θ_{k+1}, walkers move under E_k once more, and where they are then, at X, each
    gains the log weight E_k(X) − E_{k+1}(X); with weights w ∝ e^A they have the law of the present model after every
    update, however slowly they mix, and Z_k = E e^A. The loss is mean F(data) − Σ w F(walkers): its gradient is that of
    the likelihood. Walkers begin in a law that is known, with the weights that this costs, so that log Z is absolute.
    When the effective number of walkers falls too low, they are resampled in proportion to their weights.

    Three exact schemes, chosen by the kernel. An exact kernel moves them without any further weight (any kernel, hidden
    units too: sequential Monte Carlo in the loop). `ULA` with several steps, or with a part of the walkers, adds the
    work of its discretisation step by step. `ULA` with one step splits it between the old law and the new one, as in
    the paper, at one score a walker.

    Exactness: E e^A = Z and E e^A φ / E e^A = ⟨φ⟩ for any step size and any sequence of models that does not look at
    these walkers. Training does look at them: an update raises the energy where they stand, and if they still stand
    there when it is weighed, log Z falls behind by γ tr Cov(∂E)/N at every update of size γ, and the masses with it.
    That is why they move in between; what is left is the share of Cov(∂E) that survives `num_steps` transitions, over
    N. `Watched` has walkers that the model never sees. What else can fail is the variance: watch `walker_ess`, and
    `families`, the number of starts from which all walkers descend.

    Cost: `num_steps` transitions of `num_moved` walkers, two energies for each walker, the gradient of two batches, and
    the memory of a second model.

    Args:
        kernel: An exact kernel, or `ULA`.
        num_walkers: N.
        num_steps: Transitions at each update.
        start: Law that walkers start from, whose draws and density are known; None takes `densities.starting_law`.
        resample: ``"systematic"``, ``"stratified"``, ``"residual"`` or ``"multinomial"``.
        resample_below: Walkers are resampled when their relative effective number falls below this; 0 never does.
        num_moved: Walkers used in the gradient of an update, drawn at random, and moved before the next; the others
            only gain their weights. All of them by default.
        least_ess: If given, updates are made smaller so that one of them alone leaves about this relative
            effective number: ESS/N ≈ exp(−γ²‖g‖²) for an update of size γ, which tells how far it may go.

    References:
        [carbone2023], [delmoral2006]
    """

    kernel: AbstractKernel
    num_walkers: int = eqx.field(static=True, default=1024)
    num_steps: int = eqx.field(static=True, default=1)
    start: AbstractDensity | None = eqx.field(kw_only=True, default=None)
    resample: str = eqx.field(static=True, kw_only=True, default="systematic")
    resample_below: float = eqx.field(static=True, kw_only=True, default=0.5)
    num_moved: int | None = eqx.field(static=True, kw_only=True, default=None)
    least_ess: float | None = eqx.field(static=True, kw_only=True, default=None)

    def __check_init__(self) -> None:
        check_steps(self.num_steps)
        moved = self.num_walkers if self.num_moved is None else self.num_moved
        if not 2 <= moved <= self.num_walkers:
            raise ArgumentError(
                f"Jarzynski needs at least two walkers, and moves at most all of them, got "
                f"num_walkers={self.num_walkers}, num_moved={self.num_moved}."
            )
        if self.resample not in RESAMPLERS:
            raise ArgumentError(f"Unknown resampling {self.resample!r}. Known: {', '.join(sorted(RESAMPLERS))}.")
        if not 0 <= self.resample_below <= 1 or (self.least_ess is not None and not 0 < self.least_ess < 1):
            raise ArgumentError(
                "`resample_below` and `least_ess` are shares of the walkers, got "
                f"{self.resample_below} and {self.least_ess}."
            )
        self._following.check(type(self).__name__)

    def check(self, energy: AbstractEnergy) -> None:
        target(energy, self.kernel)
        if self.start is None:
            starting_law(energy)

    @property
    def _following(self) -> Following:
        return Following(self.kernel, self.num_steps, self.resample, self.resample_below, self.num_moved)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> JarzynskiState:
        del batch
        return JarzynskiState(self._following.start(energy, self.start, self.num_walkers, key=key), jnp.ones(()))

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: JarzynskiState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[JarzynskiState, Metrics]]:
        walkers, info = self._following.follow(energy, state.walkers, key=key)
        shown, log_weights = walkers.x, walkers.log_weights
        if walkers.used is not None:
            shown, log_weights = jax.tree.map(lambda leaf: leaf[walkers.used], (shown, log_weights))
        loss, metrics = contrast(energy, batch, shown, log_weights=log_weights)
        health = watch(energy, as_positions(energy, batch), state.walkers.x, walkers.x)
        metrics = {**metrics, **info, **health, **walker_metrics(walkers)}
        pace = self._pace(state.pace, info["update_ess"])
        if self.least_ess is not None:
            metrics["pace"] = pace
        return loss, (JarzynskiState(walkers, pace), metrics)

    def _pace(self, pace: Scalar, update_ess: Scalar) -> Scalar:
        """Towards the pace at which an update leaves the wanted number, of which −log ESS/N ∝ pace² knows."""
        if self.least_ess is None:
            return pace
        ratio = jnp.log(self.least_ess) / jnp.minimum(jnp.log(update_ess), -1e-6)
        return jnp.minimum(pace * jnp.clip(ratio, 0.1, 2.0) ** (1 / 6), 1.0).astype(pace.dtype)
