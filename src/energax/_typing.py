"""Names for the types that appear in nearly every signature."""

from __future__ import annotations

from typing import Any, TypeAlias

from jaxtyping import Array, Bool, Float, Key, PyTree

Scalar: TypeAlias = Float[Array, ""]
BoolScalar: TypeAlias = Bool[Array, ""]
PRNGKey: TypeAlias = Key[Array, ""]
Configuration: TypeAlias = PyTree[Any]
