"""Energies made of energies: tempered, summed, interpolated. Each carries one rule per capability."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._bonds import Bonds, bonds
from energax.energies._capabilities import (
    Block,
    Latent,
    Normals,
    UniformLattice,
    blocks,
    conditional_logits,
    conditional_logits_at,
    conditional_normals,
    discrete_part,
    exact_draw,
    is_confined,
    is_factorised,
    latent,
    log_normalizer,
    observed_space,
    score_and_curvature,
    uniform_lattice,
    value_and_score,
)
from energax.spaces import AbstractSpace, Product, same_configurations


class Tempered(AbstractEnergy):
    """β E(x): the law exp(−βE)/Z(β).

    The whole energy is scaled, hidden parts included: ``Tempered(RBM, beta)`` tempers the joint law and keeps block
    Gibbs, ``Tempered(marginal(RBM), beta)`` is another law.

    Args:
        energy: E.
        beta: Inverse temperature β, a traced number.
    """

    energy: AbstractEnergy
    beta: Scalar = eqx.field(converter=as_parameter)

    @property
    def space(self) -> AbstractSpace:
        return self.energy.space

    def __call__(self, x: Configuration) -> Scalar:
        return _times(self.beta, self.energy(x))


class Shifted(AbstractEnergy):
    """E(x) + c: the same law, with log Z lower by c.

    Args:
        energy: E.
        offset: c, a traced number.
    """

    energy: AbstractEnergy
    offset: Scalar = eqx.field(converter=as_parameter)

    @property
    def space(self) -> AbstractSpace:
        return self.energy.space

    def __call__(self, x: Configuration) -> Scalar:
        value = self.energy(x)
        return value + self.offset.astype(value.dtype)


class Sum(AbstractEnergy):
    """E_1(x) + ... + E_m(x): the product of experts exp(−ΣE_i)/Z.

    Args:
        energies: The terms, all over one space.
    """

    energies: tuple[AbstractEnergy, ...] = eqx.field(converter=tuple)

    def __check_init__(self) -> None:
        if not self.energies:
            raise ArgumentError("Sum needs at least one energy.")
        for other in self.energies[1:]:
            _require_same_space(self.energies[0], other)

    @property
    def space(self) -> AbstractSpace:
        return self.energies[0].space

    def __call__(self, x: Configuration) -> Scalar:
        return sum((energy(x) for energy in self.energies[1:]), start=self.energies[0](x))


class Interpolated(AbstractEnergy):
    """(1 − t) A(x) + t B(x): the geometric path from exp(−A) to exp(−B).

    If one or both ends are latent they need the same observed space, and each keeps its own hidden parts: the other
    end sees them with a uniform law, so that the observed law at t = 0 is that of A, at t = 1 that of B, with
    unchanged normalisers. (Two machines that shall share their hidden units are a `Sum` of two `Tempered`.)

    Args:
        start: A, the end t = 0.
        end: B, the end t = 1.
        t: Path parameter in [0, 1], a traced number.
    """

    start: AbstractEnergy
    end: AbstractEnergy
    t: Scalar

    def __init__(self, start: AbstractEnergy, end: AbstractEnergy, t: Scalar | float) -> None:
        self.start, self.end = aligned(start, end)
        self.t = as_parameter(t)

    @property
    def space(self) -> AbstractSpace:
        return self.end.space

    def __call__(self, x: Configuration) -> Scalar:
        return _times(1 - self.t, self.start(x)) + _times(self.t, self.end(x))


class Lifted(AbstractEnergy):
    """An energy on a larger product space, uniform on the added parts: E(x) + log of their volume.

    Its observed law and its log Z are those of the energy that it wraps.

    Args:
        energy: E, plain or latent.
        space: The larger product space.
        observed: The observed part of `space`, on which a plain energy lives.
        names: For a latent energy, (its name, name in `space`) of each of its parts.
    """

    energy: AbstractEnergy
    space: Product = eqx.field(static=True)
    observed: str = eqx.field(static=True)
    names: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())

    def __call__(self, x: Configuration) -> Scalar:
        return self.energy(self.inner(x)) + self.log_volume

    @property
    def added(self) -> tuple[str, ...]:
        """Names of the parts that `energy` does not have."""
        known = {outer for _, outer in self.names} or {self.observed}
        return tuple(name for name in self.space.parts if name not in known)

    @property
    def log_volume(self) -> float:
        """Logarithm of the volume of the added parts."""
        return sum(self.space.parts[name].log_volume for name in self.added)

    def inner(self, x: Configuration) -> Configuration:
        """The part of a configuration that `energy` sees, under its own names."""
        return {own: x[outer] for own, outer in self.names} if self.names else x[self.observed]


def aligned(start: AbstractEnergy, end: AbstractEnergy) -> tuple[AbstractEnergy, AbstractEnergy]:
    """Both energies on one space, each keeping its own hidden parts (see `Interpolated`).

    Raises:
        SpaceError: The observed spaces differ, or added parts have no finite volume.
    """
    a, b = latent(start), latent(end)
    if a is None and b is None:
        _require_same_space(start, end)
        return start, end
    ours, theirs = observed_space(start), observed_space(end)
    if not same_configurations(ours, theirs):
        raise SpaceError(f"Energies that are combined need one observed space, got {ours} and {theirs}.")
    name = b.observed if b is not None else a.observed  # pyright: ignore[reportOptionalMemberAccess]
    taken = set() if b is None else {b.observed, *b.hidden}
    end_names = tuple((part, part) for part in sorted(taken))
    start_names: tuple[tuple[str, str], ...] = ()
    if a is not None:
        start_names = ((a.observed, name), *_fresh_names(a.hidden, taken | {name}))
    spaces: dict[str, AbstractSpace] = {name: observed_space(end)}
    for energy, names in ((start, start_names), (end, end_names)):
        for own, outer in names:
            spaces[outer] = energy.space.parts[own]  # pyright: ignore[reportAttributeAccessIssue]
    space = Product(spaces)
    return _lift(start, space, name, start_names), _lift(end, space, name, end_names)


def _fresh_names(names: tuple[str, ...], taken: set[str]) -> tuple[tuple[str, str], ...]:
    """(name, a name of its own) for each name."""
    found: list[tuple[str, str]] = []
    for name in names:
        fresh = name
        while fresh in taken:
            fresh = f"{fresh}_start"
        taken = taken | {fresh}
        found.append((name, fresh))
    return tuple(found)


def _lift(energy: AbstractEnergy, space: Product, observed: str, names: tuple[tuple[str, str], ...]) -> AbstractEnergy:
    if same_configurations(energy.space, space) and all(own == outer for own, outer in names):
        return energy
    lifted = Lifted(energy, space, observed, names)
    if not math.isfinite(lifted.log_volume):
        raise SpaceError(f"Hidden parts {lifted.added} are unbounded, so no uniform law can be put on them.")
    return lifted


def _require_same_space(a: AbstractEnergy, b: AbstractEnergy) -> None:
    if not same_configurations(a.space, b.space):
        raise SpaceError(f"Energies that are combined need one space, got {a.space} and {b.space}.")


# -- rules: what a combination inherits from its terms ---------------------------------------------------------------


def _terms(energy: AbstractEnergy) -> tuple[AbstractEnergy, ...]:
    """The energies of a linear combination."""
    if isinstance(energy, Tempered | Shifted):
        return (energy.energy,)
    if isinstance(energy, Interpolated):
        return (energy.start, energy.end)
    assert isinstance(energy, Sum)
    return energy.energies


def _coefficients(energy: AbstractEnergy) -> tuple[Scalar | None, ...]:
    """The coefficients of a linear combination, None for one."""
    if isinstance(energy, Tempered):
        return (energy.beta,)
    if isinstance(energy, Interpolated):
        return (1 - energy.t, energy.t)
    return (None,) * len(_terms(energy))


def _times(coefficient: Scalar | None, value: Array) -> Array:
    """The product in the dtype of `value`: a ladder in float64 does not change the precision of a model."""
    return value if coefficient is None else coefficient.astype(value.dtype) * value


def _combine(energy: AbstractEnergy, values: list[Any]) -> Any:
    """The same linear combination of pytrees, one for each term."""
    coefficients = _coefficients(energy)
    return jax.tree.map(lambda *leaves: functools.reduce(operator.add, map(_times, coefficients, leaves)), *values)


def _combined_value_and_score(energy: AbstractEnergy, x: Configuration) -> tuple[Scalar, Configuration]:
    return _combine(energy, [value_and_score(term, x) for term in _terms(energy)])


def _combined_curvature(energy: AbstractEnergy, x: Array, directions: Array) -> tuple[Array, Scalar]:
    return _combine(energy, [score_and_curvature(term, x, directions) for term in _terms(energy)])


def _combined_logits(energy: AbstractEnergy, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    return _combine(energy, [conditional_logits(term, x, part) for term in _terms(energy)])


def _combined_logits_at(energy: AbstractEnergy, x: Array, site: Array) -> Float[Array, "..."]:
    return _combine(energy, [conditional_logits_at(term, x, site) for term in _terms(energy)])


def _combined_normals(energy: AbstractEnergy, x: Configuration, part: str | None = None) -> Normals:
    return _combine(energy, [conditional_normals(term, x, part) for term in _terms(energy)])


def _combined_is_factorised(energy: AbstractEnergy, parts: tuple[str, ...] | None) -> bool:
    return all(is_factorised(term, parts) for term in _terms(energy))


def _combined_blocks(energy: AbstractEnergy) -> tuple[Block, ...]:
    known = [b for b in (blocks(term) for term in _terms(energy)) if b != FREE]
    if not known:
        return FREE
    first = known[0]
    return first if all(_same_blocks(first, other) for other in known[1:]) else ()


def _combined_latent(energy: AbstractEnergy) -> Latent | None:
    names = [latent(term) for term in _terms(energy)]
    return next((n for n in names if n is not None), None)


def _combined_uniform_lattice(energy: AbstractEnergy) -> UniformLattice | None:
    lattices = [lattice for term in _terms(energy) if (lattice := uniform_lattice(term)) is not None]
    bonded = [lattice for lattice in lattices if lattice.coupling is not None]
    if len(lattices) < len(_terms(energy)) or (len(bonded) > 1 and any(b.negative is not None for b in bonded)):
        # Two patterns of signs, whose numbers may be traced, are not known to be one.
        return None
    field = _combine(energy, [lattice.field for lattice in lattices])
    if not bonded:
        return UniformLattice(None, field, lattices[0].shape)
    none = jnp.zeros((), bonded[0].field.dtype)
    coupling = _combine(energy, [none if n.coupling is None else n.coupling for n in lattices])
    return UniformLattice(coupling, field, bonded[0].shape, bonded[0].negative)


def _combined_bonds(energy: AbstractEnergy) -> Bonds | None:
    """The bonds of all terms one after the other, or added up where all terms have the same pairs."""
    known = [bonds(term) for term in _terms(energy)]
    found = [b for b in known if b is not None]
    if len(found) < len(known):
        return None
    fields = _combine(energy, [b.fields for b in found])
    if all(np.array_equal(b.pairs, found[0].pairs) for b in found[1:]):
        return Bonds(found[0].pairs, _combine(energy, [b.strengths for b in found]), fields)
    strengths = [_times(c, b.strengths) for c, b in zip(_coefficients(energy), found, strict=True)]
    return Bonds(np.concatenate([b.pairs for b in found]), jnp.concatenate(strengths), fields)


def _combined_is_confined(energy: AbstractEnergy) -> bool | None:
    answers = [is_confined(term) for term in _terms(energy)]
    if all(a is True for a in answers):
        return True
    return False if all(a is False for a in answers) else None


FREE: tuple[Block, ...] = (Block(),)
"""The blocks of an energy whose sites are all independent: one block, compatible with any finer partition."""


def _same_blocks(a: tuple[Block, ...], b: tuple[Block, ...]) -> bool:
    def same(x: Block, y: Block) -> bool:
        if x.parts != y.parts or (x.mask is None) != (y.mask is None):
            return False
        return x.mask is None or bool((x.mask == y.mask).all())

    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


for _combination in (Tempered, Shifted, Sum, Interpolated):
    value_and_score.register(_combination, _combined_value_and_score)
    score_and_curvature.register(_combination, _combined_curvature)
    conditional_logits.register(_combination, _combined_logits)
    conditional_logits_at.register(_combination, _combined_logits_at)
    conditional_normals.register(_combination, _combined_normals)
    is_factorised.register(_combination, _combined_is_factorised)
    blocks.register(_combination, _combined_blocks)
    latent.register(_combination, _combined_latent)
    bonds.register(_combination, _combined_bonds)
    uniform_lattice.register(_combination, _combined_uniform_lattice)
    is_confined.register(_combination, _combined_is_confined)


@is_confined.register
def _(energy: Tempered) -> bool | None:
    inner = is_confined(energy.energy)
    unbounded = observed_space(energy).log_volume == math.inf
    if inner is not True or not unbounded or isinstance(energy.beta, Tracer):
        return inner
    # Where exp(−E) can be integrated over infinite room E is large in most of it, and there exp(−βE) is 1 or more.
    return bool((np.asarray(energy.beta) > 0).all())


@value_and_score.register
def _(energy: Shifted, x: Configuration) -> tuple[Scalar, Configuration]:
    value, force = value_and_score(energy.energy, x)
    return value + energy.offset.astype(value.dtype), force


@log_normalizer.register
def _(energy: Shifted) -> Scalar:
    return log_normalizer(energy.energy) - energy.offset


@exact_draw.register
def _(energy: Shifted, *, key: PRNGKey) -> Configuration:
    return exact_draw(energy.energy, key=key)


@conditional_logits.register
def _(energy: Lifted, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    assert part is not None
    if part in energy.added:
        space = discrete_part(energy, part)
        return jnp.zeros(space.logits_shape)
    own = {outer: inner for inner, outer in energy.names}
    return conditional_logits(energy.energy, energy.inner(x), own.get(part))


@conditional_normals.register
def _(energy: Lifted, x: Configuration, part: str | None = None) -> Normals:
    # An added part has a finite volume, so that none is normal.
    own = {outer: inner for inner, outer in energy.names}
    return conditional_normals(energy.energy, energy.inner(x), None if part is None else own.get(part))


@is_factorised.register
def _(energy: Lifted, parts: tuple[str, ...] | None) -> bool:
    assert parts is not None
    rest = tuple(part for part in parts if part not in energy.added)
    own = {outer: inner for inner, outer in energy.names}
    return not rest or is_factorised(energy.energy, tuple(own[part] for part in rest) if energy.names else None)


@blocks.register
def _(energy: Lifted) -> tuple[Block, ...]:
    inner = blocks(energy.energy)
    if inner in ((), FREE):
        return inner
    outer = dict(energy.names) if energy.names else {}
    renamed = [sorted(outer[p] for p in b.parts) if b.parts else [energy.observed] for b in inner]
    if any(b.mask is not None for b in inner):
        return ()
    # Added parts are independent of everything, so they can be drawn with the first block.
    first = tuple(sorted([*energy.added, *renamed[0]]))
    return (Block(first), *(Block(tuple(names)) for names in renamed[1:]))


@latent.register
def _(energy: Lifted) -> Latent | None:
    return Latent(energy.observed, tuple(name for name in energy.space.parts if name != energy.observed))


@is_confined.register
def _(energy: Lifted) -> bool | None:
    return is_confined(energy.energy)


@log_normalizer.register
def _(energy: Lifted) -> Scalar:
    return log_normalizer(energy.energy)


@exact_draw.register
def _(energy: Lifted, *, key: PRNGKey) -> Configuration:
    inner_key, added_key = jax.random.split(key)
    x = exact_draw(energy.energy, key=inner_key)
    whole = {outer: x[own] for own, outer in energy.names} if energy.names else {energy.observed: x}
    keys = jax.random.split(added_key, len(energy.added))
    added = {n: energy.space.parts[n].initial(key=k) for n, k in zip(energy.added, keys, strict=True)}
    return {**whole, **added}
