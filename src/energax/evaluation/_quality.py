"""How good samples are: distance from held-out rows, a check against memorising, and whether the chains mixed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from energax.estimators import Estimate, NeighbourCheck, mmd, nearest_neighbour_check
from energax.sampling import Samples
from energax.spaces import AbstractDiscreteSpace, AbstractSpace

_NUM_ROWS = 1_000
_NUM_PERMUTATIONS = 200


@dataclasses.dataclass(frozen=True)
class SampleQuality:
    """What `sample_quality` found.

    Attributes:
        mmd: Squared maximum mean discrepancy between samples and test rows, with its p-value by permutation.
        mmd_test: The same between training rows and test rows: what perfect samples would get.
        neighbours: The check against memorising.
        diagnostics: R-hat, ESS, acceptance of the chains.
        warnings: Sentences for the reader.
    """

    mmd: Estimate
    mmd_test: Estimate
    neighbours: NeighbourCheck
    diagnostics: dict[str, Any]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`; NaN becomes None."""
        kernel = self.mmd.diagnostics.get("kernel")
        return {
            "mmd_squared": {**_plain(self.mmd), "kernel": kernel, "bandwidth": self.mmd.diagnostics.get("bandwidth")},
            "mmd_squared_of_training_rows": _plain(self.mmd_test),
            "nearest_neighbours": {
                "share_closer": self.neighbours.share_closer.value,
                "num_copies": self.neighbours.num_copies,
                "num_test_copies": self.neighbours.num_test_copies,
                "median_sample": self.neighbours.median_sample,
                "median_test": self.neighbours.median_test,
            },
            "diagnostics": {
                k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in self.diagnostics.items()
            },
        }


def sample_quality(
    samples: Samples | np.ndarray, train: ArrayLike, test: ArrayLike, space: AbstractSpace
) -> SampleQuality:
    """Judge draws of a model beside held-out rows.

    The MMD kernel is Gaussian with the median bandwidth for real data and exponential in the Hamming distance for
    discrete data. At most a thousand rows of each are compared, evenly spaced.

    Args:
        samples: From `sample`; or independent draws (n, *event), which no chain has to answer for.
        train: Training rows as the model sees them.
        test: Held-out rows.
        space: The observed space.
    """
    drawn = _some(_pooled(samples))
    rows, held_out = _some(np.asarray(train)), _some(np.asarray(test))
    kernel = "exponential-hamming" if isinstance(space, AbstractDiscreteSpace) else "gaussian"
    between = mmd(drawn, held_out, kernel, num_permutations=_NUM_PERMUTATIONS)
    bandwidth = between.diagnostics["bandwidth"]
    yardstick = mmd(rows, held_out, kernel, bandwidth)
    neighbours = nearest_neighbour_check(drawn, np.asarray(train), held_out)
    if not isinstance(samples, Samples):
        return SampleQuality(between, yardstick, neighbours, {}, neighbours.warnings)
    diagnostics = samples.summary()
    return SampleQuality(
        between, yardstick, neighbours, diagnostics, (*neighbours.warnings, *_chain_warnings(samples, diagnostics))
    )


def _pooled(samples: Samples | np.ndarray) -> np.ndarray:
    if not isinstance(samples, Samples):
        return samples
    draws = np.asarray(samples.x)
    return draws.reshape(-1, *draws.shape[2:])


def _chain_warnings(samples: Samples, found: dict[str, Any]) -> list[str]:
    said = []
    r_hat = found.get("r_hat")
    if r_hat is not None and not r_hat < 1.05:
        said.append(
            f"The chains behind the samples did not mix (R-hat {r_hat:.3g} of the energy): their proportions between "
            "regions are those of their starts. More steps between draws would help, or a kernel that crosses."
        )
    if samples.result != "successful":
        said.append(f"Sampling ended with {samples.result!r}.")
    return said


def _some(rows: np.ndarray) -> np.ndarray:
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _NUM_ROWS)).astype(np.int64))
    return rows[chosen]


def _plain(estimate: Estimate) -> dict[str, Any]:
    out = estimate.to_json()
    p_value = estimate.diagnostics.get("p_value")
    return {
        "value": out["value"],
        "stderr": out["stderr"],
        **({} if p_value is None else {"p_value": float(p_value)}),
    }
