"""Randomness and calibrated assertions for the tests of estimators, which know nothing of jax."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom, norm

from energax.estimators import Estimate

FALSE_ALARM = 1e-6


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator that is seeded by the test's own name: stable, and different for every test."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


class Check:
    """Assertions whose false-alarm probability is at most `FALSE_ALARM` each."""

    def mean(self, values: Sequence[float] | np.ndarray, exact: float) -> None:
        """Independent values have the mean `exact`."""
        array = np.asarray(values, dtype=np.float64)
        z = (array.mean() - exact) / (array.std(ddof=1) / math.sqrt(array.size))
        assert abs(z) <= norm.isf(FALSE_ALARM / 2), f"mean {array.mean():.5g}, expected {exact:.5g}, z = {z:.1f}"

    def rate_at_most(self, count: int, num: int, rate: float) -> None:
        """`count` of `num` independent events is no more than the probability `rate` allows."""
        assert binom.sf(count - 1, num, rate) >= FALSE_ALARM, f"{count} of {num}, at most a share of {rate} expected"

    def rate(self, count: int, num: int, rate: float, alarm: float = FALSE_ALARM) -> None:
        """`count` of `num` independent events is what the probability `rate` gives."""
        tail = min(binom.sf(count - 1, num, rate), binom.cdf(count, num, rate))
        assert 2 * tail >= alarm, f"{count} of {num}, a share of {rate} expected"

    def calibrated(self, estimates: Sequence[Estimate], exact: float, bias: float = 0.5) -> None:
        """Over replicates, value ± stderr covers `exact` at 50, 90 and 99 %, with a bias below half a stderr."""
        z = np.asarray([(e.value - exact) / e.stderr for e in estimates])
        for level in (0.5, 0.9, 0.99):
            inside = int(np.count_nonzero(np.abs(z) < norm.ppf(0.5 + level / 2)))
            self.rate(inside, z.size, level, FALSE_ALARM / 3)
        assert abs(z.mean()) < bias, f"bias of {z.mean():.2f} standard errors"


@pytest.fixture
def check() -> Check:
    return Check()
