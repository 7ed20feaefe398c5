"""The box that holds the mass of a continuous energy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from energax._errors import ArgumentError, NotTractable
from energax.energies import AbstractEnergy, is_confined
from energax.exact._points import energies_at, mesh, midpoints, num_coordinates
from energax.exact._states import leaf_spaces
from energax.spaces import AbstractArraySpace, AbstractSpace, Box, Euclidean, Torus

Bounds = tuple[tuple[float, float], ...]

_CUTOFF = 45.0
"""Points whose log-density is this far below the highest are empty: e^−45 = 3e-20."""
_SEARCH = {1: 8192, 2: 128}
_FARTHEST = 1e9


def _coordinates(space: AbstractSpace) -> list[AbstractArraySpace]:
    """The array space of each coordinate, raising `NotTractable` where there are not one or two real ones."""
    leaves = leaf_spaces(space)
    if any(leaf.is_discrete for leaf in leaves) or not 1 <= num_coordinates(space) <= 2:
        raise NotTractable(f"Quadrature works for one or two continuous coordinates, got {space}.")
    arrays = [leaf for leaf in leaves if isinstance(leaf, AbstractArraySpace)]
    return [leaf for leaf in arrays for _ in range(leaf.num_sites)]


def as_bounds(bounds: Sequence[tuple[float, float]]) -> Bounds:
    """Bounds as tuples of floats."""
    return tuple((float(lo), float(hi)) for lo, hi in bounds)


def checked_bounds(bounds: Sequence[tuple[float, float]], space: AbstractSpace) -> Bounds:
    """Bounds that fit the space, or an `ArgumentError`."""
    box = as_bounds(bounds)
    wanted = num_coordinates(space)
    if len(box) != wanted or not all(math.isfinite(lo) and math.isfinite(hi) and lo < hi for lo, hi in box):
        raise ArgumentError(f"`bounds` must be {wanted} pairs (lower, upper) of finite numbers, got {bounds}.")
    return box


def box_of(energy: AbstractEnergy, bounds: Sequence[tuple[float, float]] | None) -> tuple[Bounds, tuple[bool, ...]]:
    """The box to integrate over, and which of its axes are periodic."""
    coordinates = _coordinates(energy.space)
    if bounds is not None:
        return checked_bounds(bounds, energy.space), (False,) * len(coordinates)
    if is_confined(energy) is False:
        raise NotTractable(
            f"exp(−E) of {type(energy).__name__} is not integrable over {energy.space}, so log Z is infinite: "
            "give the energy a confinement, or pass `bounds`."
        )
    box, free = [], []
    for space in coordinates:
        box.append(_natural_bounds(space))
        free.append(isinstance(space, Euclidean))
    periodic = tuple(isinstance(space, Torus) for space in coordinates)
    return (_search(energy, box, free) if any(free) else tuple(box)), periodic


def _natural_bounds(space: AbstractArraySpace) -> tuple[float, float]:
    if isinstance(space, Box):
        return space.lower, space.upper
    if isinstance(space, Torus):
        return 0.0, space.period
    if isinstance(space, Euclidean):
        scale = 8.0 * (space.initial_scale or 1.0)
        return -scale, scale
    raise NotTractable(f"Quadrature does not know where {space} ends; pass `bounds`.")


def _search(energy: AbstractEnergy, box: list[tuple[float, float]], free: list[bool]) -> Bounds:
    """Grow the free axes until their ends are empty, then shrink them to where there is any mass."""
    count, may_shrink, has_shrunk = _SEARCH[len(box)], True, False
    for _ in range(200):
        axes = tuple(midpoints(lo, hi, count) for lo, hi in box)
        log_density = -energies_at(energy, mesh(axes)).reshape((count,) * len(box))
        alive = log_density > log_density.max() - _CUTOFF
        new, grew = [], False
        for axis, (lo, hi) in enumerate(box):
            others = tuple(a for a in range(len(box)) if a != axis)
            hit = np.flatnonzero(alive.any(axis=others))
            width, cell = hi - lo, (hi - lo) / count
            if not free[axis]:
                new.append((lo, hi))
                continue
            below, above = hit[0] == 0, hit[-1] == count - 1
            grew |= bool(below or above)
            # Four cells to spare, because thin filaments slip through a coarse grid.
            inner = (lo + (hit[0] - 4) * cell, lo + (hit[-1] + 5) * cell) if may_shrink else (lo, hi)
            new.append((lo - width if below else inner[0], hi + width if above else inner[1]))
        if max(abs(end) for pair in new for end in pair) > _FARTHEST:
            raise NotTractable(
                f"No box holds the mass of {type(energy).__name__}: its density is still there at |x| = {_FARTHEST:g}. "
                "Either exp(−E) is not integrable or its tail is too heavy; pass `bounds` to integrate over a box."
            )
        settled = all(b[1] - b[0] > 0.8 * (a[1] - a[0]) for a, b in zip(box, new, strict=True))
        # One that is seen again only after the box has shrunk must not make it grow and shrink for ever.
        may_shrink &= not (grew and has_shrunk)
        has_shrunk |= any(b[1] - b[0] < a[1] - a[0] for a, b in zip(box, new, strict=True))
        box = new
        if settled and not grew:
            return as_bounds(box)
    raise NotTractable(f"The mass of {type(energy).__name__} could not be located; pass `bounds`.")
