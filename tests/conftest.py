"""Fixtures of all tests."""

import zlib

import jax
import pytest


@pytest.fixture
def key(request: pytest.FixtureRequest) -> jax.Array:
    """A key that is folded from the test's own name: stable, and different for every test."""
    return jax.random.fold_in(jax.random.key(20240611), zlib.crc32(request.node.nodeid.encode()) & 0x7FFFFFFF)
