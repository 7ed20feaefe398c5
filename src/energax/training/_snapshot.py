"""Between the pytree on the device and named arrays on the host."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from energax._errors import CheckpointError
from energax.random import unwrap_keys, wrap_keys


def to_host(tree: PyTree[Any]) -> dict[str, np.ndarray]:
    """Copies of all arrays of a pytree by their path, such as ``state/energy/weights``; keys as their data."""
    named = _named(unwrap_keys(tree))
    # A copy, because the next update overwrites the buffers.
    return {name: np.array(leaf) for name, leaf in named}


def from_host(arrays: dict[str, np.ndarray], like: PyTree[Any], *, prefix: str = "", what: str) -> PyTree[Any]:
    """The pytree `like` with its arrays replaced by those of the same path under `prefix`.

    Raises:
        CheckpointError: A path, shape or dtype differs; `what` is how the message calls the source.
    """
    plain = unwrap_keys(like)
    wanted = dict(_named(plain))
    found = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    for name in [*wanted, *found]:
        have, want = _describe(found.get(name)), _describe(wanted.get(name))
        if have != want:
            raise CheckpointError(
                f"{what} does not fit the model: {prefix + name} is {have} there and {want} here. Build the model, "
                "objective and optimiser as they were when the run began."
            )
    leaves, treedef = jax.tree.flatten(plain)
    values = iter([found[name] for name in wanted])
    filled = [jnp.array(next(values), leaf.dtype) if _is_array(leaf) else leaf for leaf in leaves]
    return wrap_keys(jax.tree.unflatten(treedef, filled), like)


def _named(tree: PyTree[Any]) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves if _is_array(leaf)]


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _describe(leaf: Any) -> str:
    return "absent" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"
