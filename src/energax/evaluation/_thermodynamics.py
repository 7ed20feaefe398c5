"""log Z, free energy, energy, heat capacity and entropy of an energy as functions of β, from one ladder of replicas."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from energax._errors import ArgumentError, NotTractable, nearest
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, Tempered, latent, observed_space
from energax.estimators import Estimate, Interval, LadderHistogram
from energax.evaluation._default_kernel import exact_kernel
from energax.evaluation._flat_ladders import FlatLadders
from energax.evaluation._rounds import NUM_LADDERS, equilibrium_interval, integrated, run_rounds
from energax.evaluation._side import hidden_side, observed_part, observed_shares
from energax.evaluation._site_probabilities import SiteProbabilities, from_shares, site_probabilities
from energax.evaluation._tempered_ladders import AbstractLadders, PackedLadders, ReplicaLadders
from energax.kernels import AbstractKernel
from energax.paths import tempering
from energax.random import choose
from energax.sampling import packable
from energax.spaces import AbstractDiscreteSpace

BUDGET = 8_000_000
FLAT_METHODS = ("wang-landau", "multicanonical")


@dataclasses.dataclass(frozen=True, repr=False)
class Thermodynamics:
    """Functions of β, from 0 to that of the last level, or as far down as the draws reach if it is negative.

    Every value is an `Estimate` whose error bar comes from leaving out ladders.

    Attributes:
        histogram: The estimated number of states at each energy.
        log_volume: log Z at β = 0, known exactly.
        measure: Reference measure that log Z refers to.
        diagnostics: Numbers by name.
        warnings: Sentences; where there are some, no error bar should be believed.
        ladders: What ran, and can run on.
    """

    histogram: LadderHistogram
    log_volume: float
    measure: str
    diagnostics: dict[str, Any]
    warnings: tuple[str, ...]
    ladders: AbstractLadders

    @property
    def betas(self) -> Float[np.ndarray, " level"]:
        """Inverse temperatures of the levels."""
        return self.histogram.betas

    def log_z(self, beta: float | None = None) -> Estimate:
        """Log Z(β) in nats, by default at the last level."""
        return self._told(self.histogram.log_z(self._beta(beta))).shifted(self.log_volume)

    def free_energy(self, beta: float | None = None) -> Estimate:
        """F = −log Z(β) / β, in the unit of E.

        Raises:
            ArgumentError: β = 0, where F is infinite.
        """
        at = self._beta(beta)
        if at == 0:
            raise ArgumentError("F = −log Z / β is infinite at β = 0; ask for log_z there.")
        found = self.log_z(at)
        return dataclasses.replace(found, value=-found.value / at, stderr=abs(found.stderr / at))

    def energy(self, beta: float | None = None) -> Estimate:
        """Mean of E at β."""
        return self._told(self.histogram.energy(self._beta(beta)))

    def heat_capacity(self, beta: float | None = None) -> Estimate:
        """β² Var E."""
        return self._told(self.histogram.heat_capacity(self._beta(beta)))

    def entropy(self, beta: float | None = None) -> Estimate:
        """S = log Z + β ⟨E⟩ in nats, relative to the measure of the space."""
        return self._told(self.histogram.entropy(self._beta(beta))).shifted(self.log_volume)

    def interval(self, level: float = 0.95) -> Interval:
        """Interval for log Z at the last level, by Student's law of the ladders; it assumes equilibrium.

        Where something speaks against equilibrium it has no ends.
        """
        return equilibrium_interval(self.log_z(), self.warnings, level)

    def integrated(self) -> Estimate:
        """Log Z at the last level by thermodynamic integration, −∫ ⟨E⟩ dβ, with a spline through 65 means."""
        return self._told(integrated(self.histogram, float(self.betas[-1]))).shifted(self.log_volume)

    def curve(self, betas: ArrayLike) -> dict[str, tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]]:
        """Values and error bars at several β of ``log_z``, ``energy``, ``heat_capacity`` and ``entropy``."""
        functions = {
            "log_z": self.log_z,
            "energy": self.energy,
            "heat_capacity": self.heat_capacity,
            "entropy": self.entropy,
        }
        found = {name: [f(float(beta)) for beta in np.asarray(betas)] for name, f in functions.items()}
        return {
            name: (np.asarray([e.value for e in row]), np.asarray([e.stderr for e in row]))
            for name, row in found.items()
        }

    def site_probabilities(self, num_sweeps: int = 1024) -> SiteProbabilities:
        """How often each site of a discrete model has each value at the last level.

        The ladders run on, by as many sweeps, from which draws of the last level are kept.

        Raises:
            NotTractable: The energy is not discrete, or the ladders keep no configurations (packed lattices, flat
                histograms): name a kernel.
        """
        return self._counted(self.ladders.draws(num_sweeps))

    def both_sides(self, energy: AbstractEnergy, num_sweeps: int = 1024) -> tuple[SiteProbabilities, SiteProbabilities]:
        """How often observed and hidden units have each value, of a machine whose hidden side the ladders went through.

        Observed units have the mean of their probabilities given the draws of the hidden ones.

        Args:
            energy: The machine.
            num_sweeps: Sweeps by which the ladders run on.

        Raises:
            NotTractable: The ladders did not run on a hidden side, the observed units are not discrete, or as in
                `site_probabilities`.
        """
        side = hidden_side(energy)
        if side is None or side.space != self.ladders.space:
            raise NotTractable(f"These ladders did not run on the hidden side of {type(energy).__name__}.")
        seen = observed_part(side)
        if not isinstance(seen, AbstractDiscreteSpace):
            raise NotTractable(f"Sites have probabilities of values on discrete spaces, not on {seen}.")
        x = self.ladders.draws(num_sweeps)
        shares = np.asarray(observed_shares(side, jnp.asarray(x)), np.float64)
        return from_shares(shares, seen.values, x.shape[0] * x.shape[1], self.warnings), self._counted(x)

    def _counted(self, x: np.ndarray) -> SiteProbabilities:
        space = self.ladders.space
        if not isinstance(space, AbstractDiscreteSpace):
            raise NotTractable(f"Sites have probabilities of values on discrete spaces, not on {space}.")
        return site_probabilities(x, space.values, self.warnings)

    def _beta(self, beta: float | None) -> float:
        last = float(self.betas[-1])
        if beta is None:
            return last
        if not min(0.0, last) - 1e-12 <= beta <= max(0.0, last) + 1e-12:
            raise ArgumentError(f"The ladder reaches from β = 0 to {last:g}; β = {beta:g} lies beyond it.")
        return float(beta)

    def _told(self, estimate: Estimate) -> Estimate:
        return dataclasses.replace(estimate, warnings=(*self.warnings, *estimate.warnings))

    def __repr__(self) -> str:
        said = "".join(f"\n  warning: {text}" for text in self.warnings)
        return f"Thermodynamics(log Z({self.betas[-1]:g}) = {self.log_z()}, {len(self.betas)} levels){said}"


def thermodynamics(
    energy: AbstractEnergy,
    beta: float = 1.0,
    *,
    method: str = "pt-mbar",
    kernel: AbstractKernel | None = None,
    precision: float = 0.02,
    budget: int = BUDGET,
    num_ladders: int | None = None,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    key: PRNGKey,
) -> Thermodynamics:
    """Log Z and its derivatives between β = 0 and `beta`, by replica exchange and MBAR, or by flat histograms.

    At β = 0 the law is uniform and log Z is known. Levels up to `beta` are placed by `tune_ladder`; independent ladders
    of replicas then run in rounds. How many sweeps the wanted error bar of log Z needs is decided by the first quarter
    of them at the latest. The first quarter is left out of the answer. `ladder_histogram` makes functions of β of the
    energies at all levels. Periodic lattices of spins with bonds of one strength, ±J glasses among them, run with 32
    ladders in a word (`sampling.exchange_spins`) unless a kernel or a number of ladders is named.

    ``"multicanonical"`` and ``"wang-landau"``, for discrete energies, run 16 groups of 16 walkers between the energies
    of β = 0 and the deepest ones instead (`sampling.wang_landau`): the first holds the weights that it has learnt, so
    that its draws are those of an exact chain, the second learns all the time and has the spread of its repeats for
    an error bar: that of one repeat, not of their mean, because they share what ln f has left behind. Signs against
    them are fewer than four journeys for each group from energies as at β = 0 to energies as at `beta`, or back; R-hat
    of the energy above 1.1; a Wang–Landau histogram that does not become flat.

    What speaks against equilibrium takes the ends of the interval away and is said: fewer configurations that
    travelled from β = 0 to `beta` than there are ladders; R-hat above 1.1 of the energy at one of eight levels; a log Z
    that moved from the rounds before to the last one (Student's law of the ladders, false alarm 0.005).

    Exactness: consistent as the budget grows. Error bars assume equilibrium.
    Cost: at most about `budget` transitions, of which a packed one counts as a fifth, and a sweep under a flat
    histogram as four.

    Args:
        energy: Energy without hidden units over a space with a uniform law: discrete, a box, a torus.
        beta: The other end, not 0; negative ones turn the energy around.
        method: ``"pt-mbar"``, ``"multicanonical"`` or ``"wang-landau"``.
        kernel: An exact kernel; block Gibbs, heat bath or HMC by default, whichever fits. For ``"pt-mbar"`` only.
        precision: Wanted error bar of log Z at `beta`, nats.
        budget: The most transitions, tuning included.
        num_ladders: Independent ladders, at least 4; 16 by default, 32 where they are packed.
        generator: As in `sample`.
        progress: Called with (done, expected) transitions now and then.
        key: Typed random key.

    Returns:
        `Thermodynamics`.

    Raises:
        ArgumentError: Numbers that make no sense, hidden units, or a kernel that is not exact.
        NotTractable: The space has no uniform law.
        KernelMismatch: The kernel does not fit the energy.
        Diverged: The energy is not a number somewhere.
        Unreliable: The levels do not overlap.

    Example:
        >>> import jax
        >>> from energax import energies, evaluation
        >>> found = evaluation.thermodynamics(energies.Ising(3), 0.2, key=jax.random.key(0), budget=100_000)
        >>> bool(abs(found.log_z().value - 6.669745) < 5 * found.log_z().stderr + 1e-3)
        True

    References: [syed2022], [shirts2008], [wang2001], [berg1992].
    """
    _check(energy, beta, precision, budget, num_ladders)
    space, key = observed_space(energy), choose(key, generator)
    if method in FLAT_METHODS:
        if kernel is not None or num_ladders is not None:
            raise ArgumentError(f"method={method!r} has a heat bath and groups of its own: leave them out.")
        ladders: AbstractLadders = FlatLadders(energy, beta, method, budget, key=key)
    elif method != "pt-mbar":
        raise ArgumentError(f"Unknown method {method!r}. {nearest(method, ('pt-mbar', *FLAT_METHODS))}")
    elif kernel is None and num_ladders is None and packable(energy):
        ladders = PackedLadders(energy, beta, key=key)
    else:
        chosen = exact_kernel(energy, kernel)
        path = tempering(Tempered(energy, jnp.asarray(beta, jnp.result_type(float))))
        ladders = ReplicaLadders(path, energy, beta, chosen, num_ladders or NUM_LADDERS, key=key)
    objections = run_rounds(ladders, beta, precision, budget, progress)
    histogram = ladders.histogram()
    if progress is not None:
        progress(budget, budget)
    found = {"num_energies": histogram.levels.size, "weakest_cut": histogram.weakest_cut}
    diagnostics = {**ladders.diagnostics(), **found}
    return Thermodynamics(histogram, space.log_volume, space.measure, diagnostics, tuple(objections), ladders)


def _check(energy: AbstractEnergy, beta: float, precision: float, budget: int, num_ladders: int | None) -> None:
    if not (math.isfinite(beta) and beta != 0):
        raise ArgumentError(f"`beta` must be a number other than 0, where log Z is known; got {beta}.")
    if not (precision > 0 and budget >= 1 and (num_ladders is None or num_ladders >= 4)):
        raise ArgumentError(
            f"thermodynamics needs a positive precision and budget and at least 4 ladders; got precision={precision}, "
            f"budget={budget}, num_ladders={num_ladders}."
        )
    if latent(energy) is not None:
        raise ArgumentError(
            f"{type(energy).__name__} has hidden units, whose observed energy is not β E; use log_z, or "
            "energies.Marginal to sum one side out."
        )
    space = observed_space(energy)
    if space.log_volume == math.inf:
        raise NotTractable(
            f"At β = 0 the law would be uniform, which {space} does not allow: log Z diverges as β goes to 0. "
            "Use log_z, which starts from a normal law."
        )
