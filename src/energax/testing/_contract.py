"""What the contracts of energies, kernels and objectives share: named clauses, and points at which to ask them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError, nearest
from energax._typing import PRNGKey
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, Box, Euclidean, Product, Torus

Function = TypeVar("Function", bound=Callable[..., Any])


def examined(fn: Function) -> Function:
    """`equinox.filter_jit` for what runs once: contracts spend their time compiling, and this halves it."""
    options: Any = {"compiler_options": {"xla_backend_optimization_level": 0}}
    return cast(Function, eqx.filter_jit(fn, **options))


class Clause(NamedTuple):
    """One promise of a contract.

    Attributes:
        name: What messages and the result of the check call it.
        check: Raises `AssertionError` if the promise is broken; returns False if it does not apply.
    """

    name: str
    check: Callable[[Any], bool | None]


def chosen(clauses: Sequence[Clause], names: Collection[str] | None) -> list[Clause]:
    """The clauses with the given names, all of them where `names` is None."""
    if names is None:
        return list(clauses)
    known = {clause.name for clause in clauses}
    for name in names:
        if name not in known:
            raise ArgumentError(f"There is no clause {name!r}. {nearest(name, known)}")
    return [clause for clause in clauses if clause.name in names]


def run_clauses(subject: object, clauses: Sequence[Clause], case: Any) -> tuple[str, ...]:
    """Check all clauses in order and return the names of those that applied.

    Raises:
        AssertionError: A clause is broken, or checking it raised; the message names the subject and the clause.
    """
    applied = []
    for clause in clauses:
        try:
            answer = clause.check(case)
        except AssertionError as error:
            raise AssertionError(f"{type(subject).__name__} breaks `{clause.name}`: {error}") from error
        except Exception as error:
            raise AssertionError(
                f"{type(subject).__name__} breaks `{clause.name}`: it raised {type(error).__name__}: {error}"
            ) from error
        if answer is not False:
            applied.append(clause.name)
    return tuple(applied)


def require(ok: bool | np.bool_, sentence: str) -> None:
    """Raise `AssertionError` with the sentence unless `ok`."""
    if not ok:
        raise AssertionError(sentence)


def require_close(have: Any, want: Any, tolerance: float, sentence: str) -> None:
    """Two pytrees of arrays agree to `tolerance`, relative to the largest number in `want` (or to 1)."""
    for path_have, path_want in zip(jax.tree.leaves(have), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(path_have, np.float64), np.asarray(path_want, np.float64)
        require(a.shape == b.shape, f"{sentence}: shapes {a.shape} and {b.shape}.")
        finite = np.isfinite(b)
        same_kind = np.array_equal(np.where(finite, 0.0, b), np.where(np.isfinite(a), 0.0, a), equal_nan=True)
        require(
            same_kind, f"{sentence}: {a.reshape(-1)[:4]} and {b.reshape(-1)[:4]} are not finite at the same places."
        )
        gap = float(np.max(np.abs(a[finite] - b[finite]), initial=0.0))
        scale = max(1.0, float(np.max(np.abs(b[finite]), initial=0.0)))
        require(gap <= tolerance * scale, f"{sentence}: they differ by {gap:.3g} (allowed {tolerance * scale:.1g}).")


def same_bits(a: Any, b: Any) -> bool:
    """Whether two pytrees of arrays are bitwise equal."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def is_float_array(leaf: Any) -> bool:
    """Whether a leaf is a JAX or NumPy array of floats."""
    return isinstance(leaf, np.ndarray | jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)


def cast_arrays(tree: PyTree[Any], dtype: DTypeLike) -> PyTree[Any]:
    """The tree with its floating-point arrays in `dtype`; Python numbers stay what they are.

    The arrays pass through NumPy, so that nothing is compiled and no type stays weak.
    """
    return jax.tree.map(
        lambda leaf: jnp.asarray(np.asarray(leaf).astype(dtype)) if is_float_array(leaf) else leaf, tree
    )


def perturbed(tree: PyTree[Any], *, seed: int) -> PyTree[Any]:
    """The tree with every floating-point array changed by some per cent, entry by entry, to full precision."""
    rng = np.random.default_rng(seed)

    def change(leaf: Any) -> Any:
        if not is_float_array(leaf):
            return leaf
        factors = 1 + 0.05 * rng.uniform(0.5, 1.5, leaf.shape)
        return jnp.asarray((np.asarray(leaf) * factors).astype(leaf.dtype))

    return jax.tree.map(change, tree)


def points_in(space: AbstractSpace, num: int, *, key: PRNGKey) -> PyTree[Array]:
    """Configurations inside a space, stacked; standard normal where an unbounded space declares no initial law."""
    seeds = np.asarray(jax.random.key_data(key)).reshape(-1)
    return _points(space, num, np.random.default_rng(seeds.astype(np.uint32)))


def _points(space: AbstractSpace, num: int, rng: np.random.Generator) -> PyTree[Array]:
    """NumPy draws for the spaces of this package, so that nothing is compiled; `initial` for those of others."""
    if isinstance(space, Product):
        return {name: _points(part, num, rng) for name, part in space.items}
    if isinstance(space, AbstractDiscreteSpace):
        values = np.asarray(space.values, space.struct.dtype)
        counts = len(values) if space.allowed is None else space.allowed.sum(-1)
        return jnp.asarray(values[rng.integers(counts, size=(num, *space.shape))])
    if isinstance(space, Euclidean):
        return jnp.asarray((space.initial_scale or 1.0) * rng.standard_normal((num, *space.shape)), float)
    if isinstance(space, Box | Torus):
        lower, upper = (space.lower, space.upper) if isinstance(space, Box) else (0.0, space.period)
        return jnp.asarray(rng.uniform(lower, upper, (num, *space.shape)), float)
    keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), num)
    return jax.vmap(lambda k: space.initial(key=k))(keys)


def rows(points: PyTree[Array]) -> Iterator[PyTree[Array]]:
    """The stacked configurations one by one."""
    for i in range(len(jax.tree.leaves(points)[0])):
        yield jax.tree.map(lambda leaf, i=i: leaf[i], points)


def array_parts(space: AbstractSpace) -> dict[str | None, AbstractSpace]:
    """The parts of a product space by name; a plain space under None."""
    return {**space.parts} if isinstance(space, Product) else {None: space}


def num_entries(space: AbstractSpace) -> int:
    """Number of entries of one configuration."""
    return sum(math.prod(struct.shape) for struct in jax.tree.leaves(space.struct))
