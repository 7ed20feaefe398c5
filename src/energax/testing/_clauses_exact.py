"""Clauses that compare with enumeration, quadrature and exact draws, where the energy is small enough."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax import exact
from energax._errors import NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import (
    AbstractEnergy,
    Marginal,
    complete,
    energy,
    exact_draw,
    latent,
    log_normalizer,
    observed,
    observed_space,
)
from energax.spaces import check_structure
from energax.testing._calibrated import assert_mean
from energax.testing._contract import Clause, examined, num_entries, require, require_close, rows, same_bits
from energax.testing._energy_case import EnergyCase

_MOST_STATES = 2**12
_DRAWS = 20_000


def _opaque(inner: AbstractEnergy) -> AbstractEnergy:
    """The same energy without any of its fast paths."""
    return energy(_call, inner, space=inner.space)


def _call(inner: AbstractEnergy, x: Configuration) -> Scalar:
    return inner(x)


def _is_small(case: EnergyCase) -> bool:
    space = case.energy.space
    if space.is_discrete:
        return exact.num_states(space) <= _MOST_STATES
    return num_entries(space) <= 2 and not any(
        np.issubdtype(leaf.dtype, np.integer) for leaf in jax.tree.leaves(space.struct)
    )


def _latent_parts(case: EnergyCase) -> bool:
    """Observed and hidden parts make up the space, and `complete` keeps the observed part."""
    names = latent(case.energy)
    if names is None:
        return False
    parts = set(case.energy.space.parts)  # pyright: ignore[reportAttributeAccessIssue]
    require(
        parts == {names.observed, *names.hidden},
        f"`latent` names the parts {sorted({names.observed, *names.hidden})}, its space has {sorted(parts)}.",
    )
    x = observed(case.energy, next(rows(case.points)))
    whole = _complete(case.energy, x, case.key)
    check_structure(case.energy.space, whole, name="complete(energy, x)")
    require(same_bits(observed(case.energy, whole), x), "`complete` does not keep the observed part.")
    return True


@examined
def _complete(inner: AbstractEnergy, x: Configuration, key: PRNGKey) -> Configuration:
    return complete(inner, x, key=key)


def _marginal(case: EnergyCase) -> bool:
    """F(v) = −log Σ_h exp(−E(v, h))."""
    names = latent(case.energy)
    if names is None:
        return False
    parts = case.energy.space.parts  # pyright: ignore[reportAttributeAccessIssue]
    hidden = {name: parts[name] for name in names.hidden}
    try:
        tables = {name: exact.states(space) for name, space in hidden.items()}
        if np.prod([len(t) for t in tables.values()]) > _MOST_STATES:
            return False
        with jax.enable_x64(True):
            free_energy = Marginal(case.energy64)
            have = _marginals(free_energy, case.points64, names.observed)
            want = _sums(case.energy64, case.points64, _product(tables), names.observed)
            require_close(have, want, 1e-10, "`Marginal` is not −log Σ_h exp(−E(v, h))")
    except NotTractable:
        return False
    return True


def _product(tables: dict[str, np.ndarray]) -> dict[str, Array]:
    """All combinations of the rows of several tables."""
    grids = np.meshgrid(*[np.arange(len(t)) for t in tables.values()], indexing="ij")
    return {name: jnp.asarray(t[g.reshape(-1)]) for (name, t), g in zip(tables.items(), grids, strict=True)}


@examined
def _marginals(free_energy: AbstractEnergy, points: PyTree[Array], name: str) -> Array:
    return jax.vmap(free_energy)(points[name])


@examined
def _sums(inner: AbstractEnergy, points: PyTree[Array], hidden: dict[str, Array], name: str) -> Array:
    def one(v: Array) -> Scalar:
        return -jax.nn.logsumexp(-jax.vmap(lambda h: inner({name: v, **h}))(hidden))

    return jax.vmap(one)(points[name])


def _log_normalizer(case: EnergyCase) -> bool:
    """A closed form of log Z equals enumeration or quadrature."""
    with jax.enable_x64(True):
        try:
            closed = log_normalizer(case.energy64)
        except NotTractable:
            return False
        require(jnp.shape(closed) == (), f"`log_normalizer` returns shape {jnp.shape(closed)} instead of ().")
        if not _is_small(case):
            return False
        opaque = _opaque(case.energy64)
        if case.energy.space.is_discrete:
            value, error = exact.log_z(opaque), 1e-9
        else:
            found = exact.quadrature_log_z(opaque, num_points=2**20)
            value, error = found.value, (1e-6 if case.tables else 1e-8) + 3 * found.error
    closed = float(closed)
    require(
        abs(closed - value) <= error,
        f"`log_normalizer` gives {closed:.8g}, but summing exp(−E) gives {value:.8g} ± {error:.1g}.",
    )
    return True


def _exact_draws(case: EnergyCase) -> bool:
    """Exact draws lie in the space and have the means of the law."""
    try:
        draws, inside, values, features = _draw(case.energy, case.key)
    except NotTractable:
        return False
    check_structure(case.energy.space, draws, name="exact_draw(energy)", batch_dims=1)
    outside = int((~np.asarray(inside)).sum())
    require(outside == 0, f"{outside} of {_DRAWS} exact draws are outside of the space.")
    require(bool(np.isfinite(values).all()), "exact draws have infinite energy.")
    if _is_small(case):
        want = exact.expectation(_opaque(case.energy), _features)
        assert_mean(features, want, name="features of exact draws")
    return True


@examined
def _draw(inner: AbstractEnergy, key: PRNGKey) -> tuple[PyTree[Array], Array, Array, Array]:
    def one(k: PRNGKey) -> tuple[PyTree[Array], Array, Array, Array]:
        x = exact_draw(inner, key=k)
        return x, inner.space.contains(x), inner(x), _features(x)

    return jax.vmap(one)(jax.random.split(key, _DRAWS))


def _features(x: Configuration) -> Array:
    """Bounded features: tanh of every entry and of products of neighbours, and x²/(1 + x²)."""
    flat = jnp.concatenate([jnp.ravel(leaf).astype(jnp.result_type(float)) for leaf in jax.tree.leaves(x)])
    return jnp.concatenate([jnp.tanh(flat), jnp.tanh(flat * jnp.roll(flat, 1) - 0.3), flat**2 / (1 + flat**2)])


def _observed_space(case: EnergyCase) -> None:
    check_structure(observed_space(case.energy), observed(case.energy, next(rows(case.points))), name="observed part")


EXACT = (
    Clause("observed_space", _observed_space),
    Clause("latent", _latent_parts),
    Clause("marginal", _marginal),
    Clause("log_normalizer", _log_normalizer),
    Clause("exact_draw", _exact_draws),
)
