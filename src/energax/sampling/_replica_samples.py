"""What replica exchange returns: the chains at the last level, and the traffic on the ladder."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import PyTree

from energax.estimators import Estimate
from energax.sampling._samples import Samples


@dataclasses.dataclass(frozen=True, repr=False)
class ReplicaSamples:
    """What `replica_exchange` returns: the chains at the last level, and how replicas travelled.

    Attributes:
        samples: The chains at the last level of the ladder (t = 1), as `sample` would return them.
        ts: The levels, (level,).
        last: Last configurations at all levels, (chain, level, *event): a start for the next call.
        swap_rate: Mean acceptance probability of swaps between neighbouring levels, (level − 1,).
        accept_prob: Mean acceptance probability of the kernel at each level, (level,).
        num_arrivals: For each chain how often a replica that came from the first level arrived at the last one.
        num_round_trips: For each chain how often one went on from there back to the first level.
        chain_swap_rate: `swap_rate` of each chain, (chain, level − 1).
        settings: How it was run.
        origin: Where each replica has been, (chain, level): with `last` a start for a call that goes on counting trips.
        every_level: What `save` made of the draws, and their energies, (chain, draw, level, ...), with ``keep="all"``.
    """

    samples: Samples
    ts: np.ndarray
    last: PyTree[Any]
    swap_rate: np.ndarray
    accept_prob: np.ndarray
    num_arrivals: np.ndarray
    num_round_trips: np.ndarray
    chain_swap_rate: np.ndarray
    settings: dict[str, Any]
    origin: np.ndarray
    every_level: tuple[PyTree[Any], np.ndarray] | None = None

    @property
    def barrier(self) -> Estimate:
        """The communication barrier Λ: the sum of the rejection rates of swaps, with the error bar of the chains."""
        sums = np.sum(1.0 - self.chain_swap_rate, axis=1)
        if len(sums) > 1:
            return Estimate(sums.mean(), sums.std(ddof=1) / np.sqrt(len(sums)), len(sums), "rejections")
        why = "One ladder alone tells nothing about the error of its barrier: give num_chains=4 or more."
        return Estimate(sums[0], np.nan, 1, "rejections", warnings=(why,))

    @property
    def round_trip_rate(self) -> float:
        """Round trips of all replicas of one ladder in a sweep; at most 1/(2 + 2Λ)."""
        return float(np.mean(self.num_round_trips)) / self.settings["num_steps"]

    @property
    def round_trip_efficiency(self) -> float:
        """The round-trip rate as a fraction of 1/(2 + 2Λ).

        Below one because the ladder has a finite number of levels, because the kernel does not renew a replica's
        energy between swaps, and because trips that began before the warm-up are not counted.
        """
        return self.round_trip_rate * (2.0 + 2.0 * self.barrier.value)

    @property
    def x(self) -> PyTree[Any]:
        """Draws at the last level, (chain, draw, *event)."""
        return self.samples.x

    @property
    def energy(self) -> np.ndarray:
        """Energies at the last level, (chain, draw)."""
        return self.samples.energy

    def summary(self) -> dict[str, float | str | int]:
        """Diagnostics of the chains at the last level, and the traffic on the ladder."""
        return {
            **self.samples.summary(),
            "num_levels": len(self.ts),
            "swap_rate_min": float(np.min(self.swap_rate)),
            "swap_rate_mean": float(np.mean(self.swap_rate)),
            "num_arrivals": int(np.sum(self.num_arrivals)),
            "num_round_trips": int(np.sum(self.num_round_trips)),
            "barrier": self.barrier.value,
            "round_trip_rate": self.round_trip_rate,
            "round_trip_efficiency": self.round_trip_efficiency,
        }

    def __repr__(self) -> str:
        return (
            f"ReplicaSamples({len(self.ts)} levels, swap rate {np.mean(self.swap_rate):.2f} "
            f"(worst {np.min(self.swap_rate):.2f}), {int(np.sum(self.num_arrivals))} arrivals, "
            f"{int(np.sum(self.num_round_trips))} round trips ({self.round_trip_efficiency:.0%} of what is possible at "
            f"a barrier of {self.barrier.value:.2g}); {self.samples!r})"
        )
