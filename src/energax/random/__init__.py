"""Randomness: a fast generator of typed keys, the choice of a generator, and normal numbers."""

from __future__ import annotations

from energax.random._fast import FAST_IMPL as FAST_IMPL
from energax.random._fast import FAST_SPEC as FAST_SPEC
from energax.random._keys import choose as choose
from energax.random._keys import fast_key as fast_key
from energax.random._keys import generator_name as generator_name
from energax.random._keys import to_fast as to_fast
from energax.random._keys import unwrap_keys as unwrap_keys
from energax.random._keys import wrap_keys as wrap_keys
from energax.random._normal import normal as normal

__all__ = [
    "FAST_IMPL",
    "FAST_SPEC",
    "choose",
    "fast_key",
    "generator_name",
    "normal",
    "to_fast",
    "unwrap_keys",
    "wrap_keys",
]
