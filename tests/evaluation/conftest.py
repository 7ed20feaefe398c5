"""The zoo beside this file, importable however pytest was told to import, and rates with declared false alarms."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parent))

FALSE_ALARM = 1e-6


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator that is seeded by the test's own name."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def rate_at_most() -> Callable[[int, int, float], None]:
    """`count` of `num` independent events is no more than the probability `rate` allows."""

    def check(count: int, num: int, rate: float) -> None:
        assert binom.sf(count - 1, num, rate) >= FALSE_ALARM, f"{count} of {num}, at most a share of {rate} expected"

    return check
