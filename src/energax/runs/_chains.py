"""The chains of a simulation, piece by piece: independent at each temperature, or swapping along the temperatures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from energax._errors import NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Tempered, marginal, observed_space
from energax.kernels import AbstractKernel, AbstractStepSizeKernel
from energax.paths import AbstractPath
from energax.runs._observables import Draws
from energax.runs._pieces import Arrays, Pieces
from energax.runs._registry import entry
from energax.runs._simulated import SimulatedModel
from energax.runs._simulation_plan import LEAST_SWEEPS, SimulationPlan
from energax.sampling import StepSizeAdaptation, replica_exchange, sample

_TUNED_STEPS = 100
"""Sweeps of warm-up, at least, where a step size has to be found."""

_PIECE, _MOST_PIECES = 256, 32
"""Sweeps of a piece, at least, and how many pieces there are, at most: what an interrupt can lose."""

_PROBES, _BRIDGES = 1000, 2000
"""Numbers of the first pieces of chains at temperatures that nobody asked for: at crossings, on the way to log Z."""

Progress = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True)
class Chains:
    """What is there of the chains at one temperature.

    Attributes:
        draws: ``"energy"``, at T = 1, and what the model saves; axes (chain, draw, ...).
        accept_prob: Mean acceptance probability.
        picture: The last configuration of the first chain.
        generator: The generator of random numbers.
    """

    draws: Draws
    accept_prob: float
    picture: np.ndarray
    generator: str


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What a ladder of temperatures did, hottest first.

    Attributes:
        temperatures: The levels.
        swap_rate: Mean acceptance probability of swaps between neighbours.
        num_round_trips: Round trips of all replicas of all ladders.
        rate: Round trips a sweep and ladder.
        barrier: The sum of the rejection rates.
    """

    temperatures: list[float]
    swap_rate: list[float]
    num_round_trips: int
    rate: float
    barrier: float

    def to_json(self) -> dict[str, Any]:
        """Everything, and the rate as a share of the largest that is possible."""
        share = self.rate * (2.0 + 2.0 * self.barrier)
        return {**dataclasses.asdict(self), "round_trip_efficiency": share}


class Chamber:
    """One system of a simulation at all of its temperatures.

    Args:
        plan: What is asked.
        system: The model.
        size: Its size.
        pieces: Where finished pieces are kept.
    """

    def __init__(self, plan: SimulationPlan, system: SimulatedModel, size: int | None, pieces: Pieces) -> None:
        self.plan, self.system, self.size, self.pieces = plan, system, size, pieces
        self.energy: AbstractEnergy = system.build(size)
        self.kernel = _kernel(plan.kernel)
        tuned = isinstance(self.kernel, AbstractStepSizeKernel) and self.kernel.exact
        self.adapt = StepSizeAdaptation() if tuned else None
        self.num_warmup = max(plan.num_sweeps // 5, _TUNED_STEPS if tuned else 1)
        self.levels = sorted(plan.temperatures, reverse=True)
        self.key = jax.random.fold_in(jax.random.key(plan.seed), size or 0)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, progress: Progress | None) -> None:
        """Make the pieces that are not there yet.

        Chains go from the hottest temperature to the coldest, each beginning where the last one ended. With exchange
        that is the start of the ladders, whose levels are the temperatures.

        Raises:
            KeyboardInterrupt: From the keyboard; finished pieces are kept.
        """
        x = None
        if self.system.start is not None:
            x = self.system.start(self.energy, self.plan.num_chains, jax.random.fold_in(self.key, len(self.levels)))
        run = self._ladders if self.plan.exchange else self._independent
        run(x, progress)

    def _independent(self, x: Configuration | None, progress: Progress | None) -> None:
        kernel = self.kernel
        for i, t in enumerate(self.levels):
            self._tell(progress, f"T = {t:.4g}", i, len(self.levels))
            x = self._renewed(x)
            kernel, x = self._at(i, t, kernel, x)

    def _renewed(self, x: Configuration | None) -> Configuration | None:
        return x if x is None or self.system.renew is None else self.system.renew(x)

    def probe(self, k: int, t: float) -> Chains:
        """Chains at one more temperature, beginning where those of the nearest level ended.

        Args:
            k: Number of the probe; each has keys of its own.
            t: The temperature.
        """
        index, (x, _) = _PROBES + k, self._near(t)
        self._at(index, t, self.kernel, x)
        return self._joined(self._found(lambda j: self._name(index, j)), t, None)

    def bridge(self, k: int, t: float, num_sweeps: int) -> Float[np.ndarray, "chain draw"]:
        """Energies at T = 1 of short chains at one more temperature, which begin as those of a probe do.

        They move by the kernel for transitions, where the model has one, whatever was asked for: only their law counts.

        Args:
            k: Number of the bridge; each has keys of its own.
            t: The temperature.
            num_sweeps: Sweeps after warm-up.
        """
        x, near = self._near(t)
        name = self.system.critical_kernel
        kernel = self._tuned(self.kernel, near) if name is None else _kernel(name)
        make = functools.partial(
            self._sampled, _BRIDGES + k, 0, t, num_sweeps, kernel, x, num_warmup=self.bridge_warmup(num_sweeps)
        )
        piece = self.pieces.get(self._name(_BRIDGES + k, 0), make)
        return piece["energy"].astype(np.float64) * t

    def bridge_warmup(self, num_sweeps: int) -> int:
        """Sweeps of warm-up of a bridge."""
        return max(num_sweeps // 5, _TUNED_STEPS if self.adapt is not None else 1)

    def _near(self, t: float) -> tuple[Configuration, Arrays]:
        """Where the chains at the nearest level ended, and their first piece, which tells a step size."""
        near = int(np.argmin(np.abs(np.asarray(self.levels) - t)))
        if not self.plan.exchange:
            pieces = self._found(lambda j: self._name(near, j))
            return self._last(pieces[-1]), pieces[0]
        begun = self.pieces.find(self._name(near, "start"))
        assert begun is not None
        last = self._last(self._found(self._ladder_name)[-1])
        return jax.tree.map(lambda leaf: leaf[:, near], last), begun

    def _at(
        self, index: int, t: float, kernel: AbstractKernel, x: Configuration | None
    ) -> tuple[AbstractKernel, Configuration]:
        """Chains at one temperature, to their end: the kernel with its step size, and the last configurations."""
        for j, length in enumerate(self._lengths()):
            make = functools.partial(self._sampled, index, j, t, length, kernel, x)
            piece = self.pieces.get(self._name(index, j), make)
            kernel, x = self._tuned(kernel, piece), self._last(piece)
        return kernel, x

    def _ladders(self, x: Configuration | None, progress: Progress | None) -> None:
        kernel, starts, total = self.kernel, [], len(self.levels) + len(list(self._lengths()))
        for i, t in enumerate(self.levels):
            self._tell(progress, f"T = {t:.4g}", i, total)
            x = self._renewed(x)
            piece = self.pieces.get(self._name(i, "start"), functools.partial(self._sampled, i, 0, t, 1, kernel, x))
            kernel, x = self._tuned(kernel, piece), self._last(piece)
            starts.append(piece)
        if isinstance(kernel, AbstractStepSizeKernel):
            kernel = kernel.with_step_size(jnp.stack([jnp.asarray(piece["step_size"]) for piece in starts]))
        ladder = jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *map(self._last, starts))
        origin = None
        for j, length in enumerate(self._lengths()):
            self._tell(progress, "exchange", len(self.levels) + j, total)
            make = functools.partial(self._exchanged, j, length, kernel, ladder, origin)
            piece = self.pieces.get(self._ladder_name(j), make)
            ladder, origin = self._last(piece), piece["origin"]

    def _sampled(
        self,
        i: int,
        j: int,
        t: float,
        length: int,
        kernel: AbstractKernel,
        x: Configuration | None,
        *,
        num_warmup: int | None = None,
    ) -> Arrays:
        cold = Tempered(self.energy, jnp.asarray(1.0 / t, float))
        first, usual = j == 0, self.num_warmup if num_warmup is None else num_warmup
        run = sample(
            cold, kernel, x, key=self._key(i, j), num_steps=length,
            num_chains=self.plan.num_chains if x is None else None, num_warmup=usual if first else 0,
            adapt=self.adapt if first and isinstance(kernel, AbstractStepSizeKernel) else None, save=self.system.save,
        )  # fmt: skip
        if run.result == "interrupted":
            raise KeyboardInterrupt
        sizes = (
            {"step_size": np.asarray(run.kernel.step_size)} if isinstance(run.kernel, AbstractStepSizeKernel) else {}
        )
        return {**self._piece(run.x, run.energy, run.accept_prob.mean(), run.last, run.settings), **sizes}

    def _exchanged(
        self, j: int, length: int, kernel: AbstractKernel, x: Configuration, origin: np.ndarray | None
    ) -> Arrays:
        betas = 1.0 / np.asarray(self.levels)
        run = replica_exchange(
            _Temperatures(self.energy, jnp.asarray(betas[-1], float)), kernel, jnp.asarray(betas / betas[-1]), x,
            key=self._key(len(self.levels) + 1, j), num_sweeps=length, num_warmup=self.num_warmup if j == 0 else 0,
            save=self.system.save, keep="all", origin=origin,
        )  # fmt: skip
        assert run.every_level is not None
        traffic = {"swaps": run.swap_rate, "trips": run.num_round_trips.sum(), "origin": run.origin}
        return {**self._piece(*run.every_level, run.accept_prob, run.last, run.settings), **traffic}

    # -- reading -----------------------------------------------------------------------------------------------------

    def chains(self) -> dict[float, Chains]:
        """What the finished pieces hold, by temperature; those of fewer than eight draws are not among them."""
        if self.plan.exchange:
            pieces = self._found(self._ladder_name)
            return {t: self._joined(pieces, t, i) for i, t in enumerate(self.levels)} if pieces else {}
        found = [self._found(lambda j, i=i: self._name(i, j)) for i in range(len(self.levels))]
        return {t: self._joined(found[i], t, None) for i, t in enumerate(self.levels) if found[i]}

    def traffic(self) -> Traffic | None:
        """What the swaps did, None without exchange or before the first piece."""
        pieces = self._found(self._ladder_name) if self.plan.exchange else []
        if not pieces:
            return None
        lengths = np.asarray([piece["energy"].shape[1] for piece in pieces])
        rate = lengths @ np.stack([piece["swaps"] for piece in pieces]) / lengths.sum()
        trips = int(sum(piece["trips"] for piece in pieces))
        per_sweep = trips / (self.plan.num_chains * lengths.sum())
        return Traffic(self.levels, rate.tolist(), trips, float(per_sweep), float(np.sum(1.0 - rate)))

    def _found(self, name: Callable[[int], str]) -> list[Arrays]:
        found: list[Arrays] = []
        for j in range(_MOST_PIECES):
            piece = self.pieces.find(name(j))
            if piece is None:
                break
            found.append(piece)
        return found if sum(piece["energy"].shape[1] for piece in found) >= LEAST_SWEEPS else []

    def _joined(self, pieces: list[Arrays], t: float, level: int | None) -> Chains:
        def at(array: np.ndarray, axis: int) -> np.ndarray:
            return array if level is None else np.take(array, level, axis)

        names = [name for name in pieces[0] if name.startswith("draws.")]
        draws = {n.removeprefix("draws."): np.concatenate([at(p[n], 2) for p in pieces], axis=1) for n in names}
        # The chain saw βE.
        energy = np.concatenate([at(p["energy"], 2) for p in pieces], axis=1).astype(np.float64) * t
        accept = float(np.mean([at(p["accept_prob"], 0) for p in pieces]))
        picture = at(pieces[-1]["last.0"], 1)[0]
        return Chains({"energy": energy, **draws}, accept, picture, str(pieces[0]["generator"]))

    # -- pieces ------------------------------------------------------------------------------------------------------

    def _lengths(self) -> Iterator[int]:
        """Sweeps of the pieces, even but for the last, so that swaps of even and odd pairs go on alternating."""
        most = max(_PIECE, 2 * -(-self.plan.num_sweeps // (2 * _MOST_PIECES)))
        for begin in range(0, self.plan.num_sweeps, most):
            yield min(most, self.plan.num_sweeps - begin)

    def _name(self, first: int | str, second: int | str) -> str:
        parts = [p if isinstance(p, str) else f"{p:03d}" for p in (first, second)]
        return "-".join(["piece" if self.size is None else f"size{self.size}", *parts])

    def _ladder_name(self, j: int) -> str:
        return self._name("ladder", j)

    def _key(self, i: int, j: int) -> PRNGKey:
        return jax.random.fold_in(jax.random.fold_in(self.key, i), j)

    def _piece(self, series: Any, energy: Any, accept_prob: Any, last: Configuration, how: dict[str, Any]) -> Arrays:
        return {
            "energy": energy,
            "accept_prob": np.asarray(accept_prob),
            "generator": np.asarray(how["generator"]),
            **{f"draws.{name}": value for name, value in (series or {}).items()},
            **{f"last.{k}": leaf for k, leaf in enumerate(jax.tree.leaves(last))},
        }

    def _last(self, piece: Arrays) -> PyTree[Any]:
        structure = jax.tree.structure(observed_space(self.energy).struct)
        return jax.tree.unflatten(structure, [jnp.asarray(piece[f"last.{k}"]) for k in range(structure.num_leaves)])

    def _tuned(self, kernel: AbstractKernel, piece: Arrays) -> AbstractKernel:
        if not isinstance(kernel, AbstractStepSizeKernel):
            return kernel
        return kernel.with_step_size(jnp.asarray(piece["step_size"]))

    def _tell(self, progress: Progress | None, stage: str, done: int, total: int) -> None:
        if progress is not None:
            many = f"L = {self.size}, " if len(self.plan.sizes) > 1 else ""
            progress(many + stage, done, total)


def _kernel(name: str) -> AbstractKernel:
    named = entry("kernel", name)
    return named.build(named.config())


class _Temperatures(AbstractPath):
    """E_t = t β E: temperatures down to 1/β, without an end at t = 0, which not every energy has."""

    energy: AbstractEnergy
    beta: Scalar

    @property
    def start(self) -> AbstractDensity:
        raise NotTractable("A ladder of temperatures has no density at infinite temperature; give it starts.")

    def at(self, t: Scalar) -> AbstractEnergy:
        return Tempered(self.energy, t * self.beta)

    def value(self, t: Scalar, x: Configuration) -> Scalar:
        return marginal(self.at(t))(x)
