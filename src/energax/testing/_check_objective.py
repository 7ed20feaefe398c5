"""The contract of an objective."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, observed_space
from energax.objectives import AbstractObjective, companions
from energax.random import choose
from energax.spaces import check_structure
from energax.testing._calibrated import FALSE_ALARM, assert_mean
from energax.testing._contract import (
    Clause,
    cast_arrays,
    chosen,
    examined,
    perturbed,
    require,
    require_close,
    run_clauses,
    same_bits,
)
from energax.testing._objective_case import BATCH, ObjectiveCase, companion_gradient, energy_gradient, numbered

_SHIFT = 3.0
_MIN_REPLICATES = 1000


def check_objective(
    objective: AbstractObjective,
    energy: AbstractEnergy,
    data: PyTree[Array],
    *,
    exact_draws: PyTree[Array] | None = None,
    shift_invariant: bool = True,
    tolerance: float = 2e-5,
    clauses: Collection[str] | None = None,
    key: PRNGKey,
) -> tuple[str, ...]:
    """Check that an objective keeps every promise that training relies on.

    The state holds nothing but arrays, and `loss` leaves its shapes and dtypes alone, in float32 and float64; jit
    equals eager; one trace while parameters, data, step sizes and the state change; the loss and every metric are
    scalars; the gradient is finite and reaches the parameters, and the companions where there are any; the key alone
    decides; a stored state goes on as if nothing had happened; a constant that is added to the energy after the state
    was made changes nothing (a state that holds a cache of an energy fails here); and, with exact draws, the gradient
    vanishes in expectation at the truth and points away from it elsewhere.

    Args:
        objective: The objective, small: a few dozen chains.
        energy: An energy that it can train.
        data: Stacked observed configurations, at least 16.
        exact_draws: Stacked data (2,000 or more) under whose law `energy` minimises the objective in expectation; the
            companions of the objective must be at their optimum too.
        shift_invariant: Whether the gradient must not see a constant in the energy; False for objectives that learn
            the normaliser.
        tolerance: Relative rounding that is allowed between two float32 evaluations.
        clauses: Names of the clauses to check; by default all.
        key: Random key.

    Returns:
        Names of the clauses that were checked.

    Raises:
        AssertionError: A clause is broken; the message names it and says how.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, objectives, testing
        >>> rbm = energies.RBM(4, 3, key=jax.random.key(0))
        >>> data = jax.random.bernoulli(jax.random.key(1), shape=(16, 4)).astype("int8")
        >>> objective = objectives.ContrastiveDivergence(kernels.BlockGibbs())
        >>> "no_cache" in testing.check_objective(objective, rbm, data, key=jax.random.key(2))
        True
    """
    if not isinstance(objective, AbstractObjective):
        raise ArgumentError(f"check_objective needs an objective, got {type(objective).__name__}.")
    objective.check(energy)
    for name, rows, least in (("data", data, BATCH), ("exact_draws", exact_draws, 2 * _MIN_REPLICATES)):
        if rows is None:
            continue
        check_structure(observed_space(energy), rows, name=name, batch_dims=1)
        count = len(jax.tree.leaves(rows)[0])
        if count < least:
            raise ArgumentError(f"`{name}` needs {least} rows or more, got {count}.")
    data, exact_draws = jax.tree.map(jnp.asarray, (data, exact_draws))
    case = ObjectiveCase(objective, energy, data, exact_draws, shift_invariant, choose(key), tolerance)
    return run_clauses(objective, chosen(OBJECTIVE, clauses), case)


def _state(case: ObjectiveCase) -> None:
    strangers = [leaf for leaf in jax.tree.leaves(case.state) if not isinstance(leaf, jax.Array)]
    require(not strangers, f"the state has leaves that are not arrays, so it cannot be stored: {strangers[:3]}.")


def _scalars(case: ObjectiveCase) -> None:
    (loss, _, metrics), _ = case.first
    require(loss.shape == () and jnp.issubdtype(loss.dtype, jnp.floating), f"the loss is {loss!r}, not a number.")
    require(isinstance(metrics, dict), f"the metrics are a {type(metrics).__name__}, not a dictionary.")
    for name, value in metrics.items():
        require(isinstance(name, str) and jnp.shape(value) == (), f"metric {name!r} has shape {jnp.shape(value)}.")


def _jit(case: ObjectiveCase) -> None:
    (loss, state, metrics), _ = case.first
    require_close((loss, (state, metrics)), case.eager, case.tolerance, "a compiled loss and an eager one")


def _fixed_point(case: ObjectiveCase) -> None:
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(True):
            objective, energy, batch = cast_arrays((case.objective, case.energy, case.batch), dtype)
            state = eqx.filter_eval_shape(lambda o, e, b: o.init(e, b, key=case.key), objective, energy, batch)
            _, (after, _) = eqx.filter_eval_shape(
                lambda o, e, b, s: o.loss(e, b, s, key=case.key), objective, energy, batch, state
            )
        have, want = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), s) for s in (after, state))
        require(eqx.tree_equal(have, want) is True, f"with {dtype.__name__} an update turns {want} into {have}.")


def _gradient(case: ObjectiveCase) -> None:
    leaves = jax.tree.leaves(case.first[1].energy)
    have = jax.tree.structure(case.first[1].energy)
    require(have == jax.tree.structure(eqx.filter(case.energy, eqx.is_inexact_array)), "the gradient has other leaves.")
    require(all(bool(jnp.isfinite(leaf).all()) for leaf in leaves), "the gradient is not finite.")
    require(any(bool(jnp.any(leaf != 0)) for leaf in leaves), "the gradient does not reach the parameters.")


def _companions(case: ObjectiveCase) -> bool | None:
    """Companions get a gradient, and with exact draws it vanishes where they are at their optimum."""
    names = companions(case.objective)
    if not names:
        return False
    if case.exact_draws is not None:
        found = _replicates(case, case.energy, companion_gradient)
        assert_mean(found, np.zeros(found.shape[1]), name=f"gradient of the companions {', '.join(names)}")
        require(bool(np.any(found != 0)), "the gradient does not reach the companions.")
        return None
    slopes = examined(companion_gradient)(case.objective, case.model, case.batch, case.state, key=case.keys[1])
    leaves = jax.tree.leaves(slopes)
    require(all(bool(jnp.isfinite(leaf).all()) for leaf in leaves), "the gradient of the companions is not finite.")
    require(any(bool(jnp.any(leaf != 0)) for leaf in leaves), "the gradient does not reach the companions.")
    return None


def _one_trace(case: ObjectiveCase) -> None:
    other = jax.tree.map(lambda leaf: leaf[::-1], case.batch)
    objective, energy = perturbed(case.objective, seed=1), perturbed(case.energy, seed=0)
    objective = jax.tree.map(lambda leaf: 1.1 * leaf if isinstance(leaf, float) else leaf, objective)
    case.update(objective, energy, jnp.asarray(0.0), other, case.first[0][1], case.keys[2])
    require(len(case.traces) == 1, f"the update was traced {len(case.traces)} times while only numbers changed.")


def _key(case: ObjectiveCase) -> None:
    again = case.objective.loss(case.model, case.batch, case.state, key=case.keys[1])
    require(same_bits(again, case.eager), "one key gives two different losses: randomness comes from somewhere else.")


def _stored(case: ObjectiveCase) -> None:
    before = len(case.traces)
    state = case.first[0][1]
    restored = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), state)
    one, two = (case.updated(s, case.keys[2]) for s in (state, restored))
    require(same_bits(one, two), "a state that was stored and restored goes on differently.")
    require(len(case.traces) == before, "a state that was stored and restored compiles anew: leaves of weak type?")


def _no_cache(case: ObjectiveCase) -> bool | None:
    if not case.shift_invariant:
        return False
    state = case.first[0][1]
    (_, plain), (_, shifted) = (case.updated(state, case.keys[2], shift=shift) for shift in (0.0, _SHIFT))
    # Rounding of the larger energies may turn an acceptance once in a while, a stale cache turns many.
    require_close(
        shifted.energy,
        plain.energy,
        50 * case.tolerance,
        f"the gradients before and after {_SHIFT} was added to the energy; does the state hold a cache of it?",
    )
    return None


def _replicates(
    case: ObjectiveCase, energy: AbstractEnergy, of: Callable[..., Any] = energy_gradient
) -> Float[np.ndarray, "replicate parameters"]:
    """Gradients of first updates with independent batches of exact draws."""
    count = len(jax.tree.leaves(case.exact_draws)[0])
    size = max(2, count // (2 * _MIN_REPLICATES))
    num = count // size
    batches = jax.tree.map(lambda leaf: leaf[: num * size].reshape(num, size, *leaf.shape[1:]), case.exact_draws)
    keys = jax.random.split(case.keys[3], num)
    return np.asarray(_gradients(case.objective, energy, batches, keys, of), np.float64)


@examined
def _gradients(
    objective: AbstractObjective, energy: AbstractEnergy, batches: PyTree[Array], keys: Array, of: Callable[..., Any]
) -> Array:
    def one(batch: PyTree[Array], key: PRNGKey) -> Array:
        init_key, loss_key = jax.random.split(key)
        batch = numbered(objective, batch)
        state = objective.init(energy, batch, key=init_key)
        grads = of(objective, energy, batch, state, key=loss_key)
        return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(grads)])

    return jax.vmap(one)(batches, keys)


def _optimum(case: ObjectiveCase) -> bool | None:
    if case.exact_draws is None:
        return False
    found = _replicates(case, case.energy)
    assert_mean(found, np.zeros(found.shape[1]), name=f"gradient of {type(case.objective).__name__} at the truth")
    return None


def _descent(case: ObjectiveCase) -> bool | None:
    """With all parameters 30 % too large, a step against the gradient must not lead further away."""
    if case.exact_draws is None:
        return False
    wrong = jax.tree.map(lambda leaf: 1.3 * leaf if eqx.is_inexact_array(leaf) else leaf, case.energy)
    excess = [0.3 * leaf.reshape(-1) for leaf in jax.tree.leaves(eqx.filter(case.energy, eqx.is_inexact_array))]
    slopes = _replicates(case, wrong) @ np.concatenate(excess).astype(np.float64)
    z = slopes.mean() / (slopes.std() / np.sqrt(len(slopes)) + 1e-300)
    require(z > -4.9, f"the gradient points towards wrong parameters (z = {z:.1f}, false alarm {FALSE_ALARM:.0e}).")
    return None


OBJECTIVE = [
    Clause("state", _state),
    Clause("scalars", _scalars),
    Clause("jit", _jit),
    Clause("fixed_point", _fixed_point),
    Clause("gradient", _gradient),
    Clause("companions", _companions),
    Clause("one_trace", _one_trace),
    Clause("key", _key),
    Clause("stored", _stored),
    Clause("no_cache", _no_cache),
    Clause("optimum", _optimum),
    Clause("descent", _descent),
]
