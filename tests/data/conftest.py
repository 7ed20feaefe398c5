"""Small files that several tests of the readers share."""

import numpy as np
import pytest


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(40, 3)) * [1.0, 5.0, 0.1] + [0.0, 10.0, -3.0]


@pytest.fixture
def pictures() -> np.ndarray:
    """Grey images 6 × 5 with values 0 to 255."""
    return np.random.default_rng(5).integers(0, 256, (30, 6, 5)).astype(np.uint8)
