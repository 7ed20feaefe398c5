"""One compiled update with little overhead: the state travels as a flat list of donated arrays."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.training._learner import AbstractLearner
from energax.training._state import TrainState
from energax.training._window import Window


class Progress(eqx.Module):
    """The state of training and the open window of metrics: what one update maps to the next."""

    state: TrainState
    window: Window


class Skeleton:
    """A pytree without its arrays, hashable, so that it can key the cache of compiled functions."""

    def __init__(self, tree: PyTree[Any]) -> None:
        leaves, self._treedef = jax.tree.flatten(tree)
        self._static: tuple[Hashable, ...] = tuple(_ARRAY if _is_array(leaf) else leaf for leaf in leaves)
        try:
            self._hash = hash((self._treedef, self._static))
        except TypeError as error:
            raise ArgumentError(
                f"A static field of the model, objective or kernel cannot be compared ({error}). Static fields must be "
                "hashable: tuples instead of lists, and no arrays."
            ) from None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Skeleton) or self._hash != other._hash:
            return False
        return self._treedef == other._treedef and self._static == other._static

    def split(self, tree: PyTree[Any]) -> list[Array]:
        """The arrays of a tree with this skeleton."""
        return [leaf for leaf in jax.tree.leaves(tree) if _is_array(leaf)]

    def join(self, arrays: list[Array]) -> PyTree[Any]:
        """The tree with this skeleton and these arrays."""
        remaining = iter(arrays)
        return jax.tree.unflatten(self._treedef, [next(remaining) if s is _ARRAY else s for s in self._static])


class _Array:
    """Stands for an array in a skeleton."""


_ARRAY = _Array()


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _advance(
    skeleton: Skeleton, rule: Skeleton, arrays: list[Array], constants: list[Array], key: PRNGKey, batch: Configuration
) -> tuple[list[Array], Array]:
    progress: Progress = skeleton.join(arrays)
    learner: AbstractLearner = rule.join(constants)
    state = progress.state
    step_key = jax.random.fold_in(jax.random.fold_in(key, state.num_recoveries), state.step)
    new, metrics = learner.update(state, batch, key=step_key)
    after = Progress(new, progress.window.add(metrics, new.step))
    if Skeleton(after) != skeleton:
        raise ArgumentError("An update changed the structure of the training state; it may only change its arrays.")
    out = [_as_before(a, b) for a, b in zip(skeleton.split(after), arrays, strict=True)]
    # A second copy of the counter is not donated to the next update, so the host can wait for it.
    return out, new.step + 0


def _as_before(after: Array, before: Array) -> Array:
    if after.shape != before.shape or after.dtype != before.dtype:
        raise ArgumentError(
            f"An update changed an array of the training state from {before.dtype}{list(before.shape)} to "
            f"{after.dtype}{list(after.shape)}; shapes and dtypes must stay."
        )
    return jax.lax.convert_element_type(after, before.dtype)


class Updater:
    """Runs compiled updates of a `Progress`; two with the same structure share one compilation.

    Args:
        learner: The rule.
        key: Root of the random numbers of all updates.
    """

    _MAX_IN_FLIGHT = 2

    def __init__(self, learner: AbstractLearner, key: PRNGKey) -> None:
        self._rule = Skeleton(learner)
        self._constants = self._rule.split(learner)
        self._key = key
        self._waiting: list[Array] = []

    def begin(self, state: TrainState, batch: Configuration) -> Progress:
        """The progress before the first update of `state`, with an empty window for the metrics of the learner."""
        learner: AbstractLearner = self._rule.join(self._constants)
        _, metrics = eqx.filter_eval_shape(learner.update, state, batch, key=self._key)
        self.load(Progress(state, Window.empty(metrics)))
        return self.progress

    def load(self, progress: Progress) -> None:
        """Continue from `progress`; its arrays are copied, because updates overwrite them."""
        self._skeleton = Skeleton(progress)
        # An explicit dtype makes the arrays strongly typed, so that the second update does not compile again.
        self._arrays = [jnp.array(leaf, leaf.dtype, copy=True) for leaf in self._skeleton.split(progress)]
        self._waiting = []

    def advance(self, batch: Configuration) -> None:
        """Dispatch one update; returns before it is done, but never runs ahead by more than a few."""
        self._arrays, token = _advance(self._skeleton, self._rule, self._arrays, self._constants, self._key, batch)
        self._waiting.append(token)
        if len(self._waiting) > self._MAX_IN_FLIGHT:
            self._waiting.pop(0).block_until_ready()

    @property
    def progress(self) -> Progress:
        """The progress after the updates so far. Its arrays are overwritten by the next update."""
        return self._skeleton.join(self._arrays)

    def close_window(self) -> tuple[dict[str, float], dict[str, int]]:
        """Read the window and begin an empty one."""
        progress = self.progress
        out = progress.window.read()
        self._arrays = self._skeleton.split(Progress(progress.state, Window.empty(progress.window.names)))
        return out
