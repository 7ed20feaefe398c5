"""Ladders of replicas from β = 0 that run in rounds: of any kernel, and of lattices with 32 ladders in a word."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import t as student

from energax._errors import Diverged, NotTractable, Unreliable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.estimators import Estimate, LadderHistogram, histogram_of_counts, ladder_histogram, r_hat
from energax.evaluation._equilibrium import FALSE_ALARM, ladder_levels
from energax.evaluation._journal import kept
from energax.evaluation._pilot import Pilot
from energax.evaluation._virial import Virial, VirialProbe, virial_of_ladders
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.paths import AbstractPath
from energax.sampling import SpinExchange, SpinLadders, exchange_spins, replica_exchange, tune_ladder
from energax.spaces import AbstractSpace, Euclidean

WORST_R_HAT = 1.1
_TUNING_SWEEPS = 128
_SWAP_RATE = 0.6
_PILOT_LEVELS = 24
_SPACING = 0.74
"""Thermodynamic length between levels of which about `_SWAP_RATE` of the swaps are accepted: erfc(0.74 / 2)."""
_PACKED_COST = 0.2
"""A transition of a spin in a word, in transitions of others."""
_FEW_ENERGIES = 0.1
"""Share of different energies among the draws from which on they are counted in bins."""
_BIN = 0.02
"""Width of a bin in β E, which stands at the mean of its draws: that moves log Z by less than 0.02²/8, 5e-5."""
_MOST_TESTED, _MOST_TESTED_DRAWS = 8, 1000


class AbstractLadders(abc.ABC):
    """Ladders that have run for some rounds.

    Attributes:
        betas: β of the levels.
        num_ladders: Independent ladders.
        kernel: What moves them, in a word.
        spent: Transitions so far, in those of a plain kernel.
        space: Where configurations live that `draws` returns, None where it returns none.
    """

    betas: Float[np.ndarray, " level"]
    num_ladders: int
    kernel: str
    spent: int
    space: AbstractSpace | None = None

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.lengths: list[int] = []
        self.arrivals, self.trips = 0, 0

    @property
    def num_sweeps(self) -> int:
        """Sweeps so far."""
        return sum(self.lengths)

    @abc.abstractmethod
    def cost(self, num_sweeps: int) -> int:
        """Transitions of some sweeps."""

    @abc.abstractmethod
    def run(self, num_sweeps: int) -> None:
        """One round more."""

    @abc.abstractmethod
    def histogram_of(self, pieces: Sequence[Any]) -> LadderHistogram:
        """What some of the rounds say."""

    def histogram(self) -> LadderHistogram:
        """What the rounds say, without the first quarter."""
        return self.histogram_of(self.late())

    def drift(self) -> Estimate | None:
        """Change of log Z from the rounds before to the last one, which has about half of the draws.

        None where there are no two rounds, or their levels do not hang together without the other.
        """
        late = self.late()
        if len(late) < 2:
            return None
        try:
            return self.histogram_of(late[:-1]).drift(self.histogram_of(late[-1:]), float(self.betas[-1]))
        except Unreliable:
            return None

    @abc.abstractmethod
    def tested(self) -> Float[np.ndarray, "ladder draw level"]:
        """Some energies of every ladder, without the first quarter."""

    def draws(self, num_sweeps: int) -> np.ndarray:
        """Configurations of the last level while the ladders run on, (ladder, draw, *shape), at most 1000 of each."""
        raise NotTractable(f"Ladders of {self.kernel} keep no configurations: name a kernel.")

    def virial(self) -> Virial | None:
        """The virial at the last level without the first quarter; None where it was not looked at."""
        return None

    def late(self) -> list[Any]:
        """The pieces without those that lie within the first quarter."""
        ends = np.cumsum(self.lengths)
        return [piece for piece, end in zip(self.pieces, ends, strict=True) if 4 * end > self.num_sweeps]

    def r_hat(self) -> float:
        """The largest R-hat of the energy at some levels above β = 0."""
        energies = self.tested()
        chosen = np.unique(np.linspace(1, energies.shape[2] - 1, _MOST_TESTED).astype(int))
        return max((r_hat(energies[:, :, k]) for k in chosen if np.ptp(energies[:, :, k]) > 0), default=1.0)

    def objections(self) -> list[str]:
        """What speaks against equilibrium."""
        found, worst = [], self.r_hat()
        if self.arrivals < self.num_ladders:
            found.append(
                f"Only {self.arrivals} configurations travelled from β = 0 to the other end on {self.num_ladders} "
                "ladders, fewer than one each: no error bar can be believed. A larger budget can help."
            )
        if worst > WORST_R_HAT:
            found.append(
                f"R-hat of the energy over the ladders is {worst:.2f}, above {WORST_R_HAT:g}: no error bar can be "
                "believed. A larger budget can help."
            )
        drift = self.drift()
        if drift is not None and drift.stderr > 0:
            p_value = 2.0 * student.sf(abs(drift.value) / drift.stderr, drift.diagnostics["num_groups"] - 1)
            if p_value < FALSE_ALARM:
                found.append(
                    f"log Z still moves: the last round gives {drift} nats more than those before it (p = "
                    f"{p_value:.1g} < {FALSE_ALARM:g}): no error bar can be believed. A larger budget can help."
                )
        looked = self.virial()
        if looked is not None and looked.objection is not None:
            found.append(looked.objection)
        return found

    def diagnostics(self) -> dict[str, Any]:
        """Numbers for the reader."""
        looked = self.virial()
        return {
            "kernel": self.kernel,
            "num_levels": len(self.betas),
            "num_ladders": self.num_ladders,
            "num_sweeps": self.num_sweeps,
            "num_transitions": self.num_sweeps * self.num_ladders * len(self.betas),
            "num_arrivals": self.arrivals,
            "num_round_trips": self.trips,
            "r_hat": self.r_hat(),
            **({} if looked is None else looked.to_json()),
        }


class _Saved(eqx.Module):
    """What is kept of each configuration: D, and its virial."""

    difference: Any
    probe: VirialProbe | None

    def __call__(self, x: Configuration) -> tuple[Scalar, Array | None]:
        return self.difference(x), None if self.probe is None else self.probe(x)


class ReplicaLadders(AbstractLadders):
    """Ladders of any kernel along a path, tuned by `tune_ladder`; on a Euclidean space their virial is looked at.

    Args:
        path: A path whose energies are E_0(x) + β D(x) with β = `last` t.
        difference: D.
        last: β at t = 1.
        kernel: The kernel.
        num_ladders: Independent ladders.
        pilot: What is known of levels and step sizes.
        key: Typed random key.
    """

    probe: VirialProbe | None = None

    def __init__(
        self,
        path: AbstractPath,
        difference: Callable[[Configuration], Scalar],
        last: float,
        kernel: AbstractKernel,
        num_ladders: int,
        *,
        pilot: Pilot | None = None,
        key: PRNGKey,
    ) -> None:
        super().__init__()
        self.path, self.difference, self.num_ladders, self.kernel = path, difference, num_ladders, type(kernel).__name__
        self.space = path.start.space
        target(self.path.at(jnp.ones(())), kernel)
        tune_key, self.key = jax.random.split(key)
        ts = None if pilot is None else ladder_levels(pilot, _SPACING)
        if pilot is not None and ts is not None and isinstance(kernel, AbstractStepSizeKernel):
            kernel = kernel.with_step_size(jnp.asarray(pilot.step_sizes_at(ts), kernel.step_size.dtype))
        self.ladder = tune_ladder(
            self.path, kernel, key=tune_key, ts=ts, num_sweeps=_TUNING_SWEEPS, num_chains=num_ladders,
            swap_rate=_SWAP_RATE,
        )  # fmt: skip
        self.betas = last * self.ladder.ts
        self.spent = sum(5 * sweeps * levels * num_ladders // 4 for sweeps, levels, _ in self.ladder.rounds)
        self.last, self.origin = self.ladder.last, None
        self.probed: list[np.ndarray] = []
        if isinstance(self.space, Euclidean):
            self.probe = VirialProbe(self.path.at(jnp.ones(())), jnp.asarray(self.last[:, -1].mean(axis=0)))

    def cost(self, num_sweeps: int) -> int:
        return num_sweeps * self.num_ladders * len(self.betas)

    def run(self, num_sweeps: int) -> None:
        run = kept(
            lambda: replica_exchange(
                self.path, self.ladder.kernel, self.ladder.ts, self.last,
                key=jax.random.fold_in(self.key, self.num_sweeps), num_sweeps=num_sweeps, keep="all",
                save=_Saved(self.difference, self.probe), origin=self.origin, throw=False,
            )
        )  # fmt: skip
        assert run.every_level is not None
        saved, moments = run.every_level[0]
        energies = np.asarray(saved)
        if np.isnan(energies).any():
            raise Diverged("The energy is not a number at some draws. Look at it at draws of the law at t = 0.")
        self.pieces.append(energies)
        self.lengths.append(num_sweeps)
        if moments is not None:
            self.probed.append(np.asarray(moments)[:, :, -1].mean(axis=1, dtype=np.float64))
        self.last, self.origin = run.last, run.origin
        self.arrivals += int(run.num_arrivals.sum())
        self.trips += int(run.num_round_trips.sum())
        self.spent += self.cost(num_sweeps)

    def virial(self) -> Virial | None:
        late = len(self.late())
        if self.probe is None:
            return None
        return virial_of_ladders(np.average(self.probed[-late:], axis=0, weights=self.lengths[-late:]))

    def draws(self, num_sweeps: int) -> np.ndarray:
        thin = math.ceil(num_sweeps / _MOST_TESTED_DRAWS)
        run = replica_exchange(
            self.path, self.ladder.kernel, self.ladder.ts, self.last,
            key=jax.random.fold_in(self.key, 2**31 + self.num_sweeps), num_sweeps=thin * max(1, num_sweeps // thin),
            thin=thin, throw=False,
        )  # fmt: skip
        return np.asarray(run.x)

    def _kept(self) -> Float[np.ndarray, "ladder draw level"]:
        return np.concatenate(self.late(), axis=1)

    def histogram_of(self, pieces: Sequence[Any]) -> LadderHistogram:
        energies = np.concatenate(pieces, axis=1).astype(np.float64)
        some = energies.reshape(-1)[:: max(1, energies.size // 20_000)]
        if len(np.unique(some)) >= _FEW_ENERGIES * some.size:
            energies = binned(energies, _BIN / abs(self.betas[-1]))
        return ladder_histogram(energies, self.betas)

    def tested(self) -> Float[np.ndarray, "ladder draw level"]:
        kept = self._kept()
        return kept[:, :: max(1, kept.shape[1] // _MOST_TESTED_DRAWS)]


def binned(energies: Float[np.ndarray, "..."], width: float) -> Float[np.ndarray, "..."]:
    """Energies at the mean of those in their bin.

    Its middle would not do: a frozen system has all its draws at the side of one bin, and log Z would be off by half of
    its width.
    """
    _, which = np.unique(np.rint(energies / width), return_inverse=True)
    which = which.reshape(-1)
    means = np.bincount(which, energies.reshape(-1)) / np.bincount(which)
    return means[which].reshape(energies.shape)


class PackedLadders(AbstractLadders):
    """Ladders of a uniform lattice of spins, 32 in a word; levels at equal thermodynamic length ∫ σ_E dβ."""

    def __init__(self, energy: AbstractEnergy, beta: float, *, key: PRNGKey) -> None:
        super().__init__()
        self.energy, self.num_ladders, self.kernel = energy, 32, "heat bath of 32 ladders in a word"
        pilot_key, self.key = jax.random.split(key)
        betas = np.linspace(0.0, beta, _PILOT_LEVELS)
        pilot = exchange_spins(energy, betas, key=pilot_key, num_sweeps=_TUNING_SWEEPS)
        half = pilot.energies.shape[1] // 2
        speed = pilot.energies[:, half:].std(axis=(0, 1))
        lengths = 0.5 * np.abs(np.diff(betas)) * (speed[1:] + speed[:-1])
        travelled = np.concatenate([[0.0], np.cumsum(lengths)])
        num_levels = max(4, math.ceil(travelled[-1] / _SPACING) + 1)
        self.betas = np.interp(np.linspace(0.0, travelled[-1], num_levels), travelled, betas)
        # Spins of the nearest level of the pilot, and as many sweeps again before the first one that counts.
        nearest = np.abs(self.betas[:, None] - betas[None]).argmin(1)
        start = SpinLadders(pilot.last.words[:, :, nearest], pilot.last.origin[nearest])
        begun = exchange_spins(
            energy, self.betas, start, key=jax.random.fold_in(pilot_key, 1), num_sweeps=_TUNING_SWEEPS
        )
        self.last = begun.last
        self.spent = math.ceil(_PACKED_COST * _TUNING_SWEEPS * (_PILOT_LEVELS + num_levels) * 32)

    def cost(self, num_sweeps: int) -> int:
        return math.ceil(_PACKED_COST * num_sweeps * self.num_ladders * len(self.betas))

    def run(self, num_sweeps: int) -> None:
        key = jax.random.fold_in(self.key, self.num_sweeps)
        run = kept(lambda: exchange_spins(self.energy, self.betas, self.last, key=key, num_sweeps=num_sweeps))
        self.pieces.append(run)
        self.lengths.append(num_sweeps)
        self.last = run.last
        self.arrivals += run.num_arrivals
        self.trips += run.num_round_trips
        self.spent += self.cost(num_sweeps)

    def histogram_of(self, pieces: Sequence[SpinExchange]) -> LadderHistogram:
        seen = sum(piece.seen.astype(np.float64) for piece in pieces)
        return histogram_of_counts(pieces[0].levels, seen, self.betas, pieces[-1].energies.mean(axis=(0, 1)))

    def tested(self) -> Float[np.ndarray, "ladder draw level"]:
        return np.concatenate([piece.energies for piece in self.late()], axis=1)
