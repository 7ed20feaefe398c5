"""Clauses that hold for every energy: values, traces, precision, derivatives, leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, score_and_curvature, value_and_score
from energax.spaces import AbstractSpace, Box, Torus
from energax.testing._contract import Clause, cast_arrays, examined, perturbed, require, require_close, rows, same_bits
from energax.testing._energy_case import EnergyCase


@examined
def values_at(energy: AbstractEnergy, points: PyTree[Array]) -> Array:
    """Energies of stacked configurations."""
    return jax.vmap(energy)(points)


def _scalar(case: EnergyCase) -> None:
    out = eqx.filter_eval_shape(case.energy, next(rows(case.points)))
    require(
        isinstance(out, jax.ShapeDtypeStruct) and out.shape == (),
        f"for one configuration it returns {_describe(out)} instead of one number of shape ().",
    )
    require(jnp.issubdtype(out.dtype, jnp.floating), f"it returns {out.dtype} instead of a floating-point number.")


def _describe(out: Any) -> str:
    return f"an array of shape {out.shape}" if isinstance(out, jax.ShapeDtypeStruct) else type(out).__name__


def _leaf_types(case: EnergyCase) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(case.energy):
        require(
            not (isinstance(leaf, jax.Array) and leaf.weak_type),
            f"the leaf {jax.tree_util.keystr(path)} has a weak type, as arrays made from Python numbers have, so that "
            "its first update compiles everything again; give it a dtype: `jnp.asarray(value, float)`.",
        )
        require(
            not isinstance(leaf, bool | int | float | complex),
            f"the leaf {jax.tree_util.keystr(path)} is the Python number {leaf!r}, so that another value compiles "
            "again and no gradient reaches it; make it an array with `jnp.asarray`, or a static field.",
        )


def _one_trace(case: EnergyCase) -> None:
    """Jit = eager, the same bits twice, and one trace for any parameters."""
    traces = []

    @examined
    def value(energy: AbstractEnergy, x: Configuration) -> Scalar:
        traces.append(1)
        return energy(x)

    for x in list(rows(case.points))[:2]:
        eager, again = case.energy(x), case.energy(x)
        require(same_bits(eager, again), f"two calls at one configuration return {eager} and {again}; it is not pure.")
        require_close(value(case.energy, x), eager, case.tolerance, "under jit it differs from the eager call")
        require(same_bits(value(case.energy, x), value(case.energy, x)), "two compiled calls return different numbers.")
    x = next(rows(case.points))
    for seed in (1, 2):
        value(perturbed(case.energy, seed=seed), x)
    require(len(traces) == 1, f"it was traced {len(traces)} times while only values of its parameters changed.")


def _vmap(case: EnergyCase) -> None:
    singly = np.stack([np.asarray(case.energy(x)) for x in list(rows(case.points))[:3]])
    together = np.asarray(values_at(case.energy, case.points))[: len(singly)]
    require(not np.isnan(together).any(), f"it is NaN at some of the points: {together}.")
    require_close(together, singly, case.tolerance, "under vmap it differs from a loop")


def _dtypes(case: EnergyCase) -> None:
    """Float32 in, float32 out, also in a 64-bit scope; float64 in, float64 out."""
    has_float = any(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves((case.energy, case.points)))
    for dtype in (jnp.float32, jnp.float64) if has_float else ():
        with jax.enable_x64(True):
            energy, points = cast_arrays(case.energy, dtype), cast_arrays(case.points, dtype)
            out = eqx.filter_eval_shape(energy, next(rows(points))).dtype
        require(
            out == dtype,
            f"with parameters and configurations in {np.dtype(dtype)} it returns {out}; a constant of its own has "
            "another precision.",
        )


def _full_precision(case: EnergyCase) -> bool:
    """In a 64-bit scope the numbers have more than float32's digits."""
    if not any(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves((case.energy, case.points))):
        return False
    with jax.enable_x64(True):
        values = np.asarray(values_at(case.energy64, case.points64))
    finite = values[np.isfinite(values) & (values != 0)]
    rounded = finite.astype(np.float32).astype(np.float64) == finite
    require(
        not finite.size or not rounded.all(),
        "in float64 it returns numbers that are rounded to float32: somewhere it computes in single precision.",
    )
    return True


def _score(case: EnergyCase) -> bool:
    if case.energy.space.is_discrete or not all(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(case.points)):
        return False
    with jax.enable_x64(True):
        covering = _off_the_cell(case.energy.space, case.points64)
        out = _score_facts(case.energy64, covering, case.key)
        out = jax.tree.map(np.asarray, out)
    # Where the energy is infinite there is nothing to differentiate.
    inside = np.isfinite(out[1])
    require(inside.any(), "it is infinite at all points; pass `points` inside its support.")
    value, folded, score, generic, slope, expected = jax.tree.map(lambda leaf: leaf[inside], out)
    require_close(value, folded, 1e-10, "`value_and_score` does not return the energy at the folded point")
    require_close(score, generic, 1e-8, "`value_and_score` does not return minus the gradient that autodiff finds")
    scale = 1e-5 * (1 + np.abs(expected) + 1e-4 * np.abs(folded)[:, None])
    agree = np.abs(slope - expected) <= scale
    require(
        agree.mean() >= 0.5,
        "the score is not minus the derivative: along random directions finite differences give "
        f"{slope.reshape(-1)[:3]}, the score {expected.reshape(-1)[:3]}.",
    )
    return True


def _curvature(case: EnergyCase) -> bool:
    rule, generic = (score_and_curvature.dispatch(kind) for kind in (type(case.energy), object))
    if rule is generic or case.energy.space.is_discrete or not isinstance(case.points, jax.Array | np.ndarray):
        return False
    with jax.enable_x64(True):
        covering = _off_the_cell(case.energy.space, case.points64)
        found = jax.tree.map(np.asarray, _curvature_facts(case.energy64, covering, case.key))
    (score, curvature), (score_there, curvature_there) = found
    require_close(score, score_there, 1e-8, "`score_and_curvature` has another score than autodiff")
    require_close(curvature, curvature_there, 1e-8, "`score_and_curvature` has another curvature than autodiff")
    return True


@examined
def _curvature_facts(energy: AbstractEnergy, points: Array, key: PRNGKey) -> tuple[PyTree[Array], ...]:
    directions = jax.random.normal(key, (2, *points.shape[1:]), points.dtype)
    rules = (score_and_curvature, score_and_curvature.dispatch(object))
    return tuple(jax.vmap(lambda x, rule=rule: rule(energy, x, directions))(points) for rule in rules)


def _off_the_cell(space: AbstractSpace, points: PyTree[Array]) -> PyTree[Array]:
    """Half of the points moved to where the space folds them back from."""
    if isinstance(space, Box | Torus):
        width = space.upper - space.lower if isinstance(space, Box) else space.period
        shift = 2 * width * jnp.sign(jnp.sin(jnp.arange(points.size).reshape(points.shape) * 2.0))
        return jnp.where(jnp.arange(len(points)).reshape(-1, *[1] * (points.ndim - 1)) % 2 == 0, points, points + shift)
    return points


@examined
def _score_facts(energy: AbstractEnergy, points: PyTree[Array], key: PRNGKey) -> tuple[PyTree[Array], ...]:
    generic_rule = value_and_score.dispatch(object)

    def at(y: Configuration, k: PRNGKey) -> tuple[PyTree[Array], ...]:
        value, score = value_and_score(energy, y)
        folded, generic = generic_rule(energy, y)
        finite, expected = jax.vmap(lambda d: _slope(energy, y, score, d))(jax.random.split(k, 3))
        return value, folded, score, generic, finite, expected

    count = len(jax.tree.leaves(points)[0])
    return jax.vmap(at)(points, jax.random.split(key, count))


def _slope(energy: AbstractEnergy, y: Configuration, score: Configuration, key: PRNGKey) -> tuple[Scalar, Scalar]:
    """A central difference of the energy along a random direction, and what the score says it is."""
    leaves, treedef = jax.tree.flatten(y)
    keys = jax.random.split(key, len(leaves))
    direction = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    step = 1e-5

    def shifted(sign: Array) -> Scalar:
        moved = [leaf + sign * step * d for leaf, d in zip(leaves, direction, strict=True)]
        return energy(energy.space.fold(jax.tree.unflatten(treedef, moved)))

    right, left = jax.vmap(shifted)(jnp.array([1.0, -1.0]))
    product = sum(jnp.sum(s * d) for s, d in zip(jax.tree.leaves(score), direction, strict=True))
    return (right - left) / (2 * step), -jnp.asarray(product)


def _gradients(case: EnergyCase) -> bool:
    """Every floating-point leaf matters."""
    if case.tables or not any(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(case.energy)):
        return False
    gradient = _parameter_gradient(case.energy, case.points)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        name = jax.tree_util.keystr(path)
        require(not np.isnan(leaf).any(), f"the gradient with respect to the leaf {name} is NaN.")
        require(
            name in case.unused or bool(np.any(np.asarray(leaf) != 0)),
            f"the gradient with respect to the leaf {name} is zero at all {len(jax.tree.leaves(case.points)[0])} "
            "points: the energy does not depend on it. (If that is meant, name it in `unused`.)",
        )
    return True


@examined
def _parameter_gradient(energy: AbstractEnergy, points: PyTree[Array]) -> PyTree[Array]:
    weights = jnp.linspace(0.5, 1.5, len(jax.tree.leaves(points)[0]))

    def total(energy: AbstractEnergy) -> Scalar:
        values = jax.vmap(energy)(points)
        return jnp.sum(weights * jnp.where(jnp.isfinite(values), values, 0.0))

    return eqx.filter_grad(total)(energy)


def _closed_over(case: EnergyCase) -> None:
    dynamic, static = eqx.partition(case.energy, eqx.is_array)
    jaxpr = jax.make_jaxpr(lambda leaves, x: eqx.combine(leaves, static)(x))(dynamic, next(rows(case.points)))
    for const in _constants(jaxpr):
        require(
            not (isinstance(const, jax.Array) and jnp.issubdtype(const.dtype, jnp.inexact)),
            f"it closes over a JAX array of shape {jnp.shape(const)} that is not among its leaves, so that no "
            "gradient, vmap or checkpoint reaches it; hand it over as `params`, or hold it in a field.",
        )


def _constants(jaxpr: Any) -> Iterator[Any]:
    """Constants of a closed jaxpr and of those inside it."""
    yield from jaxpr.consts
    for equation in jaxpr.jaxpr.eqns:
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_closed_jaxpr):
            if _is_closed_jaxpr(value):
                yield from _constants(value)


def _is_closed_jaxpr(value: Any) -> bool:
    return isinstance(value, jax.extend.core.ClosedJaxpr)


def _round_trip(case: EnergyCase) -> None:
    """Flattening, and storing the leaves as NumPy arrays, changes no bit."""
    leaves, treedef = jax.tree.flatten(case.energy)
    rebuilt = jax.tree.unflatten(treedef, leaves)
    stored = [np.array(leaf) if eqx.is_array(leaf) else leaf for leaf in leaves]
    loaded = jax.tree.unflatten(treedef, [jnp.asarray(s) if isinstance(s, np.ndarray) else s for s in stored])
    want = values_at(case.energy, case.points)
    for other, how in ((rebuilt, "flattened and unflattened"), (loaded, "stored as NumPy arrays and loaded")):
        require(jax.tree.structure(other) == treedef, f"its structure is another one when it is {how}.")
        require(same_bits(values_at(other, case.points), want), f"its values change when it is {how}.")


GENERAL = (
    Clause("scalar", _scalar),
    Clause("leaf_types", _leaf_types),
    Clause("one_trace", _one_trace),
    Clause("vmap", _vmap),
    Clause("closed_over", _closed_over),
    Clause("dtypes", _dtypes),
    Clause("full_precision", _full_precision),
    Clause("score", _score),
    Clause("curvature", _curvature),
    Clause("gradients", _gradients),
    Clause("round_trip", _round_trip),
)
