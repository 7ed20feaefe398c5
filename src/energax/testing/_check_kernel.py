"""The contract of a kernel."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, observed_space
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.random import choose
from energax.spaces import check_structure
from energax.testing._calibrated import assert_same_law
from energax.testing._contract import (
    Clause,
    cast_arrays,
    perturbed,
    points_in,
    require,
    require_close,
    run_clauses,
    same_bits,
)
from energax.testing._exact_start import last_of_chains
from energax.testing._kernel_case import NUM_CHAINS, KernelCase, first_keys


def check_kernel(
    kernel: AbstractKernel,
    energy: AbstractEnergy,
    *,
    points: PyTree[Array] | None = None,
    exact_draws: PyTree[Array] | None = None,
    tolerance: float = 2e-5,
    key: PRNGKey,
) -> tuple[str, ...]:
    """Check that a kernel keeps every promise that drivers, objectives and estimators rely on.

    Declarations are of the right type; the state holds the observed configuration and nothing but arrays; jit, vmap
    and a loop agree; one trace while parameters and step size change; shapes and dtypes are a fixed point of `step`,
    in float32 and float64; `refresh` forgets the old energy; randomness comes from the key alone; a rejected step
    changes no bit; chains stay in the space; NaN energies are rejected and counted, infinite ones rejected; a stored
    state goes on as if nothing had happened; and, with exact draws, a kernel that says it is exact keeps the law.

    Args:
        kernel: The kernel, with a step size that suits the energy.
        energy: An energy that it fits.
        points: Stacked observed configurations (8 or more) at which to ask; by default exact draws, or draws of the
            initial law.
        exact_draws: Stacked exact draws of the observed law, some thousands and an even number: the chains of the
            exact-start clause begin at the first half and are compared with the second.
        tolerance: Relative rounding that is allowed between two float32 evaluations.
        key: Random key.

    Returns:
        Names of the clauses that were checked.

    Raises:
        AssertionError: A clause is broken; the message names it and says how.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, testing
        >>> "refresh" in testing.check_kernel(kernels.MALA(0.1), energies.DoubleWell(2), key=jax.random.key(0))
        True
    """
    if not isinstance(kernel, AbstractKernel):
        raise ArgumentError(f"check_kernel needs a kernel, got {type(kernel).__name__}.")
    target(energy, kernel)
    point_key, case_key = jax.random.split(choose(key))
    space = observed_space(energy)
    if points is None:
        points = points_in(space, NUM_CHAINS, key=point_key) if exact_draws is None else exact_draws
    check_structure(space, points, name="points", batch_dims=1)
    points = jax.tree.map(lambda leaf: jnp.asarray(leaf[:NUM_CHAINS]), points)
    return run_clauses(kernel, KERNEL, KernelCase(kernel, energy, points, exact_draws, case_key, tolerance))


def _declarations(case: KernelCase) -> None:
    kernel = case.kernel
    require(isinstance(kernel.exact, bool), f"`exact` is {kernel.exact!r}, not True or False.")
    named = isinstance(kernel.needs, frozenset) and all(isinstance(name, str) for name in kernel.needs)
    require(named, f"`needs` is {kernel.needs!r}, not a frozenset of names.")


def _state(case: KernelCase) -> None:
    require(same_bits(case.init.x, case.x), "the state after `init` holds another configuration than the one given.")
    strangers = [leaf for leaf in jax.tree.leaves(case.init) if not isinstance(leaf, jax.Array)]
    require(not strangers, f"the state has leaves that are not arrays, so it cannot be stored: {strangers[:3]}.")


def _jit(case: KernelCase) -> None:
    compiled = case.step(case.kernel, case.moved, case.init, first_keys(case.keys[0])[1])
    require_close(compiled, case.eager, case.tolerance, "a compiled step and an eager one")


def _vmap(case: KernelCase) -> None:
    _, xs, infos = case.walked
    state, info = case.eager
    together = jax.tree.map(lambda leaf: leaf[0, 0], (xs, infos))
    require_close(together, (state.x, info), case.tolerance, "the first step of a chain beside others and alone")


def _one_trace(case: KernelCase) -> None:
    kernel = case.kernel
    if isinstance(kernel, AbstractStepSizeKernel):
        kernel = kernel.with_step_size(1.1 * kernel.step_size)
    case.step(perturbed(kernel, seed=1), perturbed(case.moved, seed=0), case.eager[0], case.keys[1])
    require(len(case.traces) == 1, f"`step` was traced {len(case.traces)} times while only numbers changed.")


def _dtypes(case: KernelCase) -> None:
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(True):
            kernel, energy, x = cast_arrays((case.kernel, case.moved, case.x), dtype)
            state = eqx.filter_eval_shape(lambda k, e, x: k.init(e, x, key=case.key), kernel, energy, x)
            after, info = eqx.filter_eval_shape(lambda k, e, s: k.step(e, s, key=case.key), kernel, energy, state)
            again = eqx.filter_eval_shape(lambda k, e, s: k.refresh(e, s), kernel, energy, after)
            inside = eqx.filter_eval_shape(lambda s: s.x, state)
        have, want = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), s) for s in (after, state))
        require(eqx.tree_equal(have, want) is True, f"with {dtype.__name__} a step turns {want} into {have}.")
        have = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), again)
        require(eqx.tree_equal(have, want) is True, f"with {dtype.__name__} `refresh` turns {want} into {have}.")
        kept = jax.tree.map(lambda a, b: a.dtype == b.dtype, inside, x)
        require(all(jax.tree.leaves(kept)), f"{dtype.__name__} configurations become {inside}.")
        shapes = [leaf.shape for leaf in jax.tree.leaves(info)]
        kinds = (info.accept_prob.dtype.kind, info.accepted.dtype.kind, info.is_finite.dtype.kind)
        require(shapes == [(), (), ()] and kinds == ("f", "b", "b"), f"the info has shapes {shapes}, kinds {kinds}.")


def _refresh(case: KernelCase) -> None:
    other = perturbed(case.moved, seed=3)
    fresh = case.kernel.init(other, case.x, key=first_keys(case.keys[0])[0])
    refreshed = case.kernel.refresh(other, case.init)
    same = jax.tree.structure(refreshed) == jax.tree.structure(fresh)
    require(same, "`refresh` changes the structure of the state.")
    require_close(refreshed, fresh, case.tolerance, "a refreshed state and a new one at the same configuration")
    moved = case.eager[0]
    require(same_bits(case.kernel.refresh(other, moved).x, moved.x), "`refresh` moves the configuration.")


def _keys(case: KernelCase) -> None:
    again = case.eager_step()
    require(same_bits(again, case.eager), "one key gives two different steps: randomness comes from somewhere else.")
    _, others, _ = case.walk(jax.random.split(jax.random.fold_in(case.key, 1), NUM_CHAINS))
    require(not same_bits(case.walked[1], others), "other keys give the same chains: the key is not used.")


def _info(case: KernelCase) -> None:
    _, xs, info = case.walked
    probs = np.asarray(info.accept_prob)
    require(((probs >= 0) & (probs <= 1)).all(), f"acceptance probabilities lie in [{probs.min()}, {probs.max()}].")
    require(bool(info.is_finite.all()), "finite proposals are reported as not finite.")
    accepted = np.asarray(info.accepted)
    before = jax.tree.map(
        lambda start, path: np.concatenate([np.asarray(start)[:, None], np.asarray(path)[:, :-1]], axis=1),
        case.points,
        xs,
    )
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(xs), strict=True):
        require(same_bits(old[~accepted], np.asarray(new)[~accepted]), "a step that was not accepted moved the chain.")


def _inside(case: KernelCase) -> None:
    inside = np.asarray(jax.jit(jax.vmap(jax.vmap(case.space.contains)))(case.walked[1]))
    require(inside.all(), f"{int((~inside).sum())} of {inside.size} configurations lie outside {case.space}.")


def _nonfinite(case: KernelCase) -> None:
    for outside, word in ((np.nan, "NaN"), (np.inf, "infinite")):
        _, xs, info = case.walk(case.keys, outside=outside)
        stays = jax.tree.map(lambda leaf, x: jnp.all(jnp.abs(leaf - x) <= 1e-5 * (1 + jnp.abs(x))), xs, case.x)
        require(all(map(bool, jax.tree.leaves(stays))), f"a chain moved to a configuration with {word} energy.")
        counted = ~np.asarray(info.is_finite)
        if word == "NaN":
            # Of discrete sites a proposal may be to stay, which has a finite energy.
            missed = int((~counted).sum()) if not case.space.is_discrete or not counted.any() else 0
            require(missed == 0, f"{missed} of {counted.size} proposals with NaN were not counted.")
            above = np.asarray(info.accept_prob)[counted].max()
            require(above == 0, "a proposal with NaN energy has an acceptance above 0.")
        elif case.kernel.exact and not case.space.is_discrete:
            require(not counted.any(), "leaving the support (infinite energy) is counted as a numerical failure.")


def _stored(case: KernelCase) -> None:
    final = jax.tree.map(lambda leaf: leaf[0], case.walked[0])
    kernel, state = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), (case.kernel, final))
    before = len(case.traces)
    one, two = (case.step(k, case.moved, s, case.keys[0]) for k, s in ((case.kernel, final), (kernel, state)))
    require(same_bits(one, two), "a state that was stored and restored goes on differently.")
    require(len(case.traces) == before, "a state that was stored and restored compiles anew: leaves of weak type?")


def _exact_start(case: KernelCase) -> bool | None:
    if case.exact_draws is None or not case.kernel.exact:
        return False
    half = len(jax.tree.leaves(case.exact_draws)[0]) // 2
    x, fresh = (jax.tree.map(lambda leaf, i=i: leaf[i * half : (i + 1) * half], case.exact_draws) for i in (0, 1))
    keys = jax.random.split(jax.random.fold_in(case.key, 2), half)
    ends = last_of_chains(case.kernel, case.energy, x, keys, 10)
    flat, wanted = (
        np.concatenate([np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(tree)], axis=1)
        for tree in (ends, fresh)
    )
    assert_same_law(flat, wanted, name=f"{type(case.kernel).__name__} from exact draws")
    return None


KERNEL = [
    Clause("declarations", _declarations),
    Clause("state", _state),
    Clause("jit", _jit),
    Clause("vmap", _vmap),
    Clause("one_trace", _one_trace),
    Clause("dtypes", _dtypes),
    Clause("refresh", _refresh),
    Clause("keys", _keys),
    Clause("info", _info),
    Clause("inside", _inside),
    Clause("nonfinite", _nonfinite),
    Clause("stored", _stored),
    Clause("exact_start", _exact_start),
]
