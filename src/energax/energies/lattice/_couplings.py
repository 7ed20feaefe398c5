"""Symmetric couplings between the sites of a model, and those of a hypercubic lattice."""

from __future__ import annotations

import abc
import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from energax._errors import ArgumentError, ShapeError
from energax._typing import Scalar
from energax.energies._base import as_parameter


class AbstractCouplings(eqx.Module):
    """A symmetric matrix J with an empty diagonal over an array of sites, stored so that its products are cheap.

    One object serves every model of pairs: for Ising spins it acts on s, for Potts variables on their indicators,
    for planar rotors on (cos θ, sin θ), for a scalar field on φ. Whatever the values of its leaves, it is a symmetric
    matrix with an empty diagonal.
    """

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of sites."""

    @property
    @abc.abstractmethod
    def dtype(self) -> np.dtype:
        """Floating-point type of the couplings."""

    @abc.abstractmethod
    def times(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Σ_j J_ij v_j for every site i; `values` have the shape of the sites, and perhaps further axes."""

    @abc.abstractmethod
    def times_at(self, values: Float[Array, "..."], site: Int[Array, ""]) -> Float[Array, "..."]:
        """Σ_j J_ij v_j at one site, numbered as in the flattened array of sites."""

    @abc.abstractmethod
    def pair_sum(self, values: Float[Array, "..."]) -> Scalar:
        """Σ_{i<j} J_ij v_i · v_j, with the inner product over the further axes."""

    @property
    @abc.abstractmethod
    def colour_masks(self) -> tuple[Bool[np.ndarray, "..."], ...]:
        """Sets of sites without couplings among them, empty where every site may see every other."""

    @abc.abstractmethod
    def bonds(self) -> tuple[Int[np.ndarray, "bonds 2"], Float[Array, " bonds"]] | None:
        """The pairs (i, j) of flat site numbers and J_ij, where several bonds of one pair add up; None for no list."""

    @property
    def num_sites(self) -> int:
        """Number of sites."""
        return math.prod(self.shape)


class LatticeCouplings(AbstractCouplings):
    """Nearest neighbours on a hypercubic lattice of any dimension, periodic or open along each axis.

    Every site x has one bond to x + e_a along each axis a. On a periodic axis of length 2 a pair has two bonds.

    Args:
        shape: Lengths of the axes, each at least 2.
        coupling: J: a number; shape (d,), one for each axis; or shape (d, *shape), one for each bond, where
            ``coupling[a][x]`` belongs to the bond from x to x + e_a (those that leave an open end are not used).
        signs: −1 or +1 of each bond, shape (d, *shape), beside a coupling that is a number: bonds of one strength. They
            are no parameters, and let kernels pack a ±J glass into words, which numbers for each bond do not.
        boundary: ``"periodic"``, ``"open"``, or a tuple with one of them for each axis.

    Raises:
        ArgumentError: An axis is too short, a boundary is unknown, or a sign is neither −1 nor +1.
        ShapeError: The shape of `coupling` is none of the three, or that of `signs` is not the third.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> strip = energies.LatticeCouplings((3, 4), boundary=("open", "periodic"))
        >>> float(strip.pair_sum(jnp.ones((3, 4))))
        20.0
    """

    coupling: Float[Array, "..."]
    negative: Bool[Array, "..."] | None
    lengths: tuple[int, ...] = eqx.field(static=True)
    periodic: tuple[bool, ...] = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        coupling: ArrayLike = 1.0,
        *,
        signs: ArrayLike | None = None,
        boundary: str | tuple[str, ...] = "periodic",
    ) -> None:
        self.lengths = tuple(shape)
        if not self.lengths or min(self.lengths) < 2:
            raise ArgumentError(f"A lattice needs axes of length 2 or more, got shape={self.lengths}.")
        dimension = len(self.lengths)
        ends = (boundary,) * dimension if isinstance(boundary, str) else tuple(boundary)
        if len(ends) != dimension or not set(ends) <= {"periodic", "open"}:
            raise ArgumentError(
                f'`boundary` must be "periodic" or "open", or {dimension} of them for {dimension} axes, got {boundary}.'
            )
        self.periodic = tuple(end == "periodic" for end in ends)
        self.coupling = as_parameter(coupling)
        allowed = ((), (dimension,), (dimension, *self.lengths))
        if self.coupling.shape not in allowed:
            raise ShapeError(
                f"`coupling` of a lattice must be a number or have the shape {allowed[1]} or {allowed[2]}, got "
                f"{self.coupling.shape}."
            )
        self.negative = None if signs is None else _as_negative(signs, self.coupling, allowed[2])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lengths

    @property
    def dtype(self) -> np.dtype:
        return self.coupling.dtype

    def _shift(self, values: Array, axis: int, step: int) -> Array:
        """The values at x − step e_a; zero beyond an open end."""
        if self.periodic[axis]:
            return jnp.roll(values, step, axis)
        padding = [(0, 0, 0)] * values.ndim
        padding[axis] = (step, -step, 0)
        return jax.lax.pad(values, jnp.zeros((), values.dtype), padding)

    @property
    def strengths(self) -> Float[Array, "..."]:
        """The coupling with the signs of the bonds, where there are signs."""
        return self.coupling if self.negative is None else jnp.where(self.negative, -self.coupling, self.coupling)

    def _along(self, axis: int, values: Array) -> Array:
        """The couplings of the bonds along an axis, with as many axes as `values` if they differ by site."""
        strengths = self.strengths
        if strengths.ndim == 0:
            return strengths
        own = strengths[axis]
        return own.reshape(*own.shape, *[1] * (values.ndim - own.ndim)) if own.ndim else own

    def times(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        dimension = len(self.lengths)
        if self.strengths.ndim == 0:
            shifted = [self._shift(values, a, 1) + self._shift(values, a, -1) for a in range(dimension)]
            return self.coupling * functools.reduce(jnp.add, shifted)
        total = jnp.zeros_like(values)
        for a in range(dimension):
            own = self._along(a, values)
            total = total + own * self._shift(values, a, -1) + self._shift(own * values, a, 1)
        return total

    def times_at(self, values: Float[Array, "..."], site: Int[Array, ""]) -> Float[Array, "..."]:
        index = jnp.unravel_index(site, self.lengths)
        total = jnp.zeros(values.shape[len(self.lengths) :], values.dtype)
        for axis, step in itertools.product(range(len(self.lengths)), (1, -1)):
            length = self.lengths[axis]
            there = (*index[:axis], (index[axis] + step) % length, *index[axis + 1 :])
            own = self.strengths if self.strengths.ndim == 0 else self.strengths[axis]
            weight = own if own.ndim == 0 else own[index if step == 1 else there]
            if not self.periodic[axis]:
                weight = jnp.where((index[axis] + step >= 0) & (index[axis] + step < length), weight, 0.0)
            total = total + weight * values[there]
        return total

    def pair_sum(self, values: Float[Array, "..."]) -> Scalar:
        total = jnp.zeros((), values.dtype)
        for a in range(len(self.lengths)):
            products = values * self._shift(values, a, -1)
            total = total + jnp.sum(products * self._along(a, values) if self.strengths.ndim else products)
        return total if self.strengths.ndim else self.strengths * total

    @property
    def colour_masks(self) -> tuple[Bool[np.ndarray, "..."], ...]:
        return _colouring(self.lengths, self.periodic)

    def bonds(self) -> tuple[Int[np.ndarray, "bonds 2"], Float[Array, " bonds"]]:
        pairs, inside = _lattice_bonds(self.lengths, self.periodic)
        dimension = len(self.lengths)
        strengths = self.strengths
        coupling = strengths.reshape(-1, *[1] * dimension) if strengths.ndim <= 1 else strengths
        per_bond = jnp.broadcast_to(coupling, (dimension, *self.lengths)).reshape(-1)
        return pairs, per_bond if inside.all() else per_bond[np.flatnonzero(inside)]


def _as_negative(signs: ArrayLike, coupling: Array, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Which bonds have the sign −1."""
    given = jnp.asarray(signs)
    if coupling.ndim or given.shape != shape:
        raise ShapeError(
            f"`signs` of a lattice have the shape {shape} and go with a coupling that is a number, got signs of the "
            f"shape {given.shape} and a coupling of the shape {coupling.shape}."
        )
    if not isinstance(given, Tracer) and not np.isin(np.asarray(given), (-1, 1)).all():
        raise ArgumentError("`signs` of a lattice are −1 and +1.")
    return given < 0


def as_couplings(sites: int | tuple[int, ...] | AbstractCouplings, coupling: ArrayLike | None) -> AbstractCouplings:
    """Couplings as they are, or those of a periodic lattice."""
    if isinstance(sites, AbstractCouplings):
        if coupling is not None:
            raise ArgumentError(f"{type(sites).__name__} hold the couplings already; leave `coupling` out.")
        return sites
    shape = (sites, sites) if isinstance(sites, int) else tuple(sites)
    return LatticeCouplings(shape, 1.0 if coupling is None else coupling)


def as_field(field: ArrayLike, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """A field on sites of that shape: a number, or one for each site."""
    array = as_parameter(field)
    if array.shape not in ((), shape):
        raise ShapeError(f"`field` must be a number or an array of shape {shape}, got {array.shape}.")
    return array


@functools.cache
def _colouring(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> tuple[np.ndarray, "..."]:
    """Masks of sites without a common bond: two colours if no periodic axis is odd, three otherwise.

    Along each axis a site has the class i mod 2, and 2 at the last site of an odd periodic axis, so that neighbours
    always differ; the colour is the sum of the classes, modulo 2 or 3.
    """
    odd = [closed and length % 2 == 1 for length, closed in zip(shape, periodic, strict=True)]
    classes = [
        np.where((grid == length - 1) & is_odd, 2, grid % 2)
        for grid, length, is_odd in zip(np.indices(shape), shape, odd, strict=True)
    ]
    count = 3 if any(odd) else 2
    colour = np.sum(classes, axis=0) % count
    return tuple(colour == c for c in range(count))


@functools.cache
def _lattice_bonds(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of all bonds, axis by axis, and which of the (axis, site) are bonds."""
    sites = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    ahead = np.stack([np.roll(sites, -1, axis) for axis in range(len(shape))])
    inside = np.stack([np.indices(shape)[a] < shape[a] - (not periodic[a]) for a in range(len(shape))])
    pairs = np.stack([np.broadcast_to(sites, ahead.shape), ahead], axis=-1)
    return pairs[inside], inside.reshape(-1)
