"""How often the sites of a discrete model have each value, from ladders of replicas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, repr=False)
class SiteProbabilities:
    """p(x_i = v) for every site i and value v.

    Attributes:
        values: The values, in the order of the last axis.
        probability: Shares of the draws, shape (*shape, k).
        stderr: Error bars from the spread of independent ladders, and never less than one draw among all; NaN where
            something speaks against equilibrium.
        num_draws: Draws of all ladders together.
        warnings: What speaks against equilibrium.
    """

    values: tuple[int, ...]
    probability: Float[np.ndarray, "*shape k"]
    stderr: Float[np.ndarray, "*shape k"]
    num_draws: int
    warnings: tuple[str, ...] = ()

    @property
    def mean(self) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
        """Means of two-valued sites, of spins their magnetisations, and error bars."""
        first, second = self.values
        return first + (second - first) * self.probability[..., 1], abs(second - first) * self.stderr[..., 1]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary with flat sites; NaN becomes None."""
        flat = len(self.values)
        error = self.stderr.reshape(-1, flat).tolist()
        return {
            "values": list(self.values),
            "probability": self.probability.reshape(-1, flat).tolist(),
            "stderr": [[None if math.isnan(e) else e for e in row] for row in error],
            "num_draws": self.num_draws,
        }

    def __repr__(self) -> str:
        shape = self.probability.shape[:-1]
        return f"SiteProbabilities(sites {shape}, values {self.values}, {self.num_draws} draws)"


def site_probabilities(x: np.ndarray, values: tuple[int, ...], warnings: tuple[str, ...]) -> SiteProbabilities:
    """Count values in draws of independent ladders.

    Args:
        x: Configurations, shape (ladder, draw, *shape).
        values: Values of a site.
        warnings: What speaks against equilibrium.
    """
    shares = np.stack([(x == value).mean(axis=1) for value in values], axis=-1)
    return from_shares(shares, values, x.shape[0] * x.shape[1], warnings)


def from_shares(
    shares: Float[np.ndarray, "ladder *shape k"], values: tuple[int, ...], num_draws: int, warnings: tuple[str, ...]
) -> SiteProbabilities:
    """Probabilities and error bars from those of every ladder."""
    stderr = np.hypot(shares.std(axis=0, ddof=1) / math.sqrt(len(shares)), 1.0 / num_draws)
    if warnings:
        stderr = np.full(stderr.shape, math.nan)
    return SiteProbabilities(values, shares.mean(axis=0), stderr, num_draws, warnings)
