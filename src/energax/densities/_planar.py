"""The named laws of the plane, in the scales that the literature uses."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from energax._errors import ArgumentError, nearest
from energax.densities._base import AbstractDensity
from energax.densities._gaussian import GaussianMixture
from energax.densities._planar_curves import Moons, SmearedCurve, Spiral
from energax.densities._planar_shapes import Checkerboard, Pinwheel, Rings


def _eight_gaussians() -> AbstractDensity:
    angles = 2 * np.pi * np.arange(8) / 8
    return GaussianMixture(jnp.asarray(4 / 1.414 * np.stack([np.cos(angles), np.sin(angles)], -1)), 0.5 / 1.414)


def _grid_of_gaussians() -> AbstractDensity:
    axis = 2 / 1.414 * np.arange(-2, 3)
    return GaussianMixture(jnp.asarray(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)), 0.2 / 1.414)


def _two_gaussians(distance: float, scale: float) -> AbstractDensity:
    half = distance * scale / 2
    return GaussianMixture(jnp.array([[-half, 0.0], [half, 0.0]]), scale, jnp.array([0.3, 0.7]))


# name: how to make it, and the half-width of the square around the origin outside of which less than 1e-12 of it lies
_PLANAR: dict[str, tuple[Callable[[], AbstractDensity], float]] = {
    "two-moons": (lambda: SmearedCurve(Moons(), 0.2), 4.6),
    "8gaussians": (_eight_gaussians, 5.5),
    "25gaussians": (_grid_of_gaussians, 4.0),
    "two-gaussians": (lambda: _two_gaussians(2.5, 1.0), 9.0),
    "two-islands": (lambda: _two_gaussians(12.0, 0.5), 7.0),
    "checkerboard": (Checkerboard, 4.0),
    "pinwheel": (Pinwheel, 6.5),
    "swiss-roll": (lambda: SmearedCurve(Spiral(0.2, 1.5 * math.pi, 4.5 * math.pi), 0.2), 4.6),
    "spirals": (lambda: SmearedCurve(Spiral(1 / 3, 0.0, 3 * math.pi, num_arms=2, turn=-1, power=2), 0.1), 4.0),
    "rings": (Rings, 3.6),
}

PLANAR_NAMES: tuple[str, ...] = tuple(sorted(_PLANAR))


def planar(name: str) -> AbstractDensity:
    """The named law of the plane, normalised and with exact draws.

    ``two-moons`` (noise 0.2 on half circles of radius 2), ``8gaussians`` (radius 4/1.414, scale 0.5/1.414),
    ``25gaussians`` (spacing 2/1.414, scale 0.2/1.414), ``checkerboard`` (eight squares of side 2), ``pinwheel`` (five
    arms), ``swiss-roll`` (noise 0.2), ``spirals`` (two arms, noise 0.1), ``rings`` (four circles, noise 0.08). Two show
    what can be weighed and what cannot, both with the masses 0.3 and 0.7: ``two-gaussians`` (2.5 standard deviations
    apart) and ``two-islands`` (12 apart).

    The scales are those of the usual generators, with two deviations so that the law is known: the spirals have
    Gaussian noise only, and the pinwheel is twisted by the distance of each point (see `Pinwheel`).

    Args:
        name: One of `PLANAR_NAMES`.

    Returns:
        A density on Euclidean(2).

    Raises:
        ArgumentError: There is no such name; the message has the nearest ones.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax.densities import planar
        >>> round(float(planar("checkerboard").log_prob(jnp.array([0.5, 0.5]))), 4)
        -3.4657

    References:
        [grathwohl2019] for the conventional scales.
    """
    return _entry(name)[0]()


def planar_half_width(name: str) -> float:
    """Half the edge of the square around the origin that holds the named law up to a mass of 1e-12.

    Midpoint rules on it with a multiple of four cells along each edge are exact for the checkerboard.

    Args:
        name: One of `PLANAR_NAMES`.

    Raises:
        ArgumentError: There is no such name.
    """
    return _entry(name)[1]


def _entry(name: str) -> tuple[Callable[[], AbstractDensity], float]:
    if name not in _PLANAR:
        raise ArgumentError(f"There is no planar density {name!r}. {nearest(name, _PLANAR)}")
    return _PLANAR[name]
