"""Walkers with a flat histogram, in rounds, in the place of ladders of replicas: Wang–Landau and multicanonical."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from energax._typing import PRNGKey
from energax.energies import AbstractEnergy
from energax.estimators import LadderHistogram, r_hat, weighted_histogram
from energax.evaluation._journal import kept
from energax.evaluation._tempered_ladders import WORST_R_HAT, AbstractLadders
from energax.sampling import energy_bins, multicanonical, wang_landau

_REPEATS, _WALKERS = 16, 16
_COST = 4
"""A sweep that draws one site after the other, in transitions of others."""
_FIRST_LEARNING = 128
_LEARNT = 1e-3
"""ln f at which weights are good enough to be held."""
_LEARNING_SHARE = 0.3
_TRIPS_EACH = 4
_MOST_TESTED_DRAWS = 1000


class FlatLadders(AbstractLadders):
    """Groups of walkers between the mean energy of the uniform law and the deepest energy on the side of `beta`.

    ``"wang-landau"`` goes on learning; ``"multicanonical"`` learns for at most a third of the budget and then holds the
    weights that all repeats have learnt together.
    """

    def __init__(self, energy: AbstractEnergy, beta: float, method: str, budget: int, *, key: PRNGKey) -> None:
        super().__init__()
        self.energy, self.beta, self.method, self.num_ladders = energy, beta, method, _REPEATS
        self.kernel, self.betas = "heat bath under weights of energy bins", np.asarray([0.0, beta])
        bin_key, learn_key, self.key = jax.random.split(key, 3)
        bins = energy_bins(energy, side="low" if beta > 0 else "high", key=bin_key)
        self.learnt = wang_landau(
            energy, bins, key=learn_key, num_sweeps=_FIRST_LEARNING, num_repeats=_REPEATS, num_walkers=_WALKERS
        )
        done = length = _FIRST_LEARNING
        while method == "multicanonical" and self.learnt.factor.max() > _LEARNT:
            length = max(64, done // 4 * 2)
            if self.cost(done + length) > _LEARNING_SHARE * budget:
                break
            self._learn(jax.random.fold_in(learn_key, done), length)
            done += length
        self.learning, self.spent = done, self.cost(done)
        self.weights, self.x = self.learnt.multicanonical, self.learnt.x

    def cost(self, num_sweeps: int) -> int:
        return _COST * num_sweeps * _REPEATS * _WALKERS

    def run(self, num_sweeps: int) -> None:
        key = jax.random.fold_in(self.key, self.num_sweeps)
        if self.method == "multicanonical":
            self.x, *piece = kept(lambda: self._hold(key, num_sweeps))
            self.pieces.append(tuple(piece))
        else:
            self._learn(key, num_sweeps)
            self.pieces.append((self.learnt.energies, None))
        self.lengths.append(num_sweeps)
        self.spent += self.cost(num_sweeps)

    def _learn(self, key: PRNGKey, num_sweeps: int) -> None:
        """Wang–Landau from where it is; the energy and its bins stay as they are."""

        def step() -> dict[str, Any]:
            run = wang_landau(self.energy, self.learnt, key=key, num_sweeps=num_sweeps)
            return {f.name: getattr(run, f.name) for f in dataclasses.fields(run) if f.name not in ("energy", "bins")}

        self.learnt = dataclasses.replace(self.learnt, **kept(step))

    def _hold(self, key: PRNGKey, num_sweeps: int) -> tuple[Any, np.ndarray, np.ndarray]:
        run = multicanonical(self.weights, self.x, key=key, num_sweeps=num_sweeps)
        return run.x, run.energies, run.log_states

    def _kept(self) -> Float[np.ndarray, "repeat walker draw"]:
        return np.concatenate([energies for energies, _ in self.late()], axis=2)

    def histogram_of(self, pieces: Sequence[Any]) -> LadderHistogram:
        energies = np.concatenate([energies for energies, _ in pieces], axis=2)
        if self.method == "multicanonical":
            logs = np.concatenate([logs for _, logs in pieces], axis=2)
        else:
            logs = self._shares(energies)
        flat = energies.reshape(_REPEATS, -1), logs.reshape(_REPEATS, -1)
        found = weighted_histogram(*flat, beta=self.beta, method=self.method)
        # What ln f has left behind is in all repeats alike, and does not go away in their mean.
        return dataclasses.replace(found, inflation=math.sqrt(_REPEATS)) if self.method == "wang-landau" else found

    def _shares(self, energies: Float[np.ndarray, "repeat walker draw"]) -> Float[np.ndarray, "repeat walker draw"]:
        """The states of a bin, as each repeat has counted them, shared out among its draws from the bin."""
        index = np.asarray(self.learnt.bins(jnp.asarray(energies, float)))
        logs = np.empty(energies.shape)
        for own, place, states in zip(logs, index, self.learnt.log_states, strict=True):
            draws = np.bincount(place.reshape(-1), minlength=states.size)
            own[...] = (states - np.log(np.maximum(draws, 1)))[place]
        return logs

    def tested(self) -> Float[np.ndarray, "ladder draw level"]:
        kept = self._kept().reshape(_REPEATS * _WALKERS, -1)
        return kept[:, :: max(1, kept.shape[1] // _MOST_TESTED_DRAWS), None]

    def r_hat(self) -> float:
        return r_hat(self.tested()[:, :, 0])

    def _travelled(self) -> tuple[int, int]:
        """How often walkers came from energies as at β = 0 to energies as at `beta`, and how often from there back."""
        histogram, sign = self.histogram(), np.sign(self.beta)
        start = sign * (histogram.energy(0.0).value - np.asarray(self._kept()))
        far = sign * (histogram.energy(0.0).value - histogram.energy(self.beta).value)
        marks = np.where(start <= 0, 1, np.where(start >= far, -1, 0)).reshape(_REPEATS * _WALKERS, -1)
        arrivals = trips = 0
        for row in marks:
            ends = np.diff(row[row != 0])
            arrivals, trips = arrivals + int((ends < 0).sum()), trips + int((ends > 0).sum())
        return arrivals, trips

    def objections(self) -> list[str]:
        """What speaks against a number that can be believed."""
        self.arrivals, self.trips = self._travelled()
        found, worst, least = [], self.r_hat(), _TRIPS_EACH * _REPEATS
        if min(self.arrivals, self.trips) < least:
            found.append(
                f"The walkers made {self.arrivals} journeys from energies as at β = 0 to those of the other end and "
                f"{self.trips} back, fewer than {least}: no error bar can be believed. A larger budget can help."
            )
        if worst > WORST_R_HAT:
            found.append(
                f"R-hat of the energy over the walkers is {worst:.2f}, above {WORST_R_HAT:g}: no error bar can be "
                "believed. A larger budget can help."
            )
        if self.method == "wang-landau" and not self.learnt.converging.all():
            found.append(
                f"The histogram of {int((~self.learnt.converging).sum())} of {_REPEATS} repeats has not been flat "
                "often enough for their number of states to converge. A larger budget can help, or "
                'method="multicanonical".'
            )
        return found

    def diagnostics(self) -> dict[str, Any]:
        walkers = _REPEATS * _WALKERS
        return {
            "kernel": self.kernel,
            "num_bins": self.learnt.bins.num_bins,
            "num_repeats": _REPEATS,
            "num_walkers": walkers,
            "num_sweeps_learning": self.learning,
            "num_sweeps": self.num_sweeps,
            "num_transitions": self.spent,
            "ln_f": float(self.learnt.factor.max()),
            "num_arrivals": self.arrivals,
            "num_round_trips": self.trips,
            "r_hat": self.r_hat(),
        }
