"""Any family of energies as a path: a trap that is dragged, a field that is turned on."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Shifted, marginal, observed_space
from energax.paths._base import AbstractPath
from energax.spaces import same_configurations

_CHECKED = 8
"""Draws of the base at which it is compared with the family."""


class Moving(AbstractPath):
    """E_t = family(params, t), t in [0, 1]: whatever moves, E_0 being the energy of a known density up to a constant.

    That constant, log Z_0, is added to all E_t alike, because a path starts with Z = 1. So log Z along the path is
    log(Z_t/Z_0) of the family, and work is that of the family.

    Args:
        base: p_0 = exp(−E_0)/Z_0, which can be drawn from.
        family: ``family(params, t) -> energy``, or ``family(t)`` when `params` is None. It is static: define it once.
        params: Any pytree of arrays, leaves of the path.

    Raises:
        SpaceError: Base and family live on different spaces.
        ArgumentError: The base is not the law of ``family(0)``: their difference is no constant at draws of the base.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import densities, energies, paths, spaces
        >>> well = lambda centre, x: jnp.sum((x - centre) ** 2)
        >>> def trap(speed, t):
        ...     return energies.energy(well, 2.0 * speed * t, space=spaces.Euclidean(1))
        >>> path = paths.Moving(densities.Gaussian(jnp.zeros(1), 0.5), trap, jnp.asarray(0.75))
        >>> round(float(path.at(jnp.ones(())).energy(jnp.zeros(1))), 2)
        2.25

    References:
        [jarzynski1997]
    """

    base: AbstractDensity
    family: Callable[..., AbstractEnergy] = eqx.field(static=True)
    params: PyTree[Array]
    point: Configuration

    def __init__(
        self, base: AbstractDensity, family: Callable[..., AbstractEnergy], params: PyTree[Array] = None
    ) -> None:
        self.base, self.family = base, family
        self.params = jax.tree.map(jnp.asarray, params)
        first = self._member(jnp.zeros(()))
        if not same_configurations(base.space, observed_space(first)):
            raise SpaceError(f"The base lives on {base.space}, the family on {observed_space(first)}; they must agree.")
        draws = jax.vmap(lambda key: base.draw(key=key))(jax.random.split(jax.random.key(0), _CHECKED))
        constants = jax.vmap(self._constant)(draws)
        if not isinstance(constants, Tracer):
            _require_constant(np.asarray(constants), np.asarray(jax.vmap(base)(draws)), type(base).__name__)
        # Where the constant is taken from, each time anew: parameters may move.
        self.point = jax.tree.map(lambda leaf: leaf[0], draws)

    @property
    def start(self) -> AbstractDensity:
        return self.base

    def at(self, t: Scalar) -> AbstractEnergy:
        return Shifted(self._member(t), self._constant(self.point))

    def _member(self, t: Scalar) -> AbstractEnergy:
        return self.family(t) if self.params is None else self.family(self.params, t)

    def _constant(self, x: Configuration) -> Scalar:
        """−log p_0(x) − E_0(x), the same at every x."""
        return self.base(x) - marginal(self._member(jnp.zeros(())))(x)


def _require_constant(constants: np.ndarray, sizes: np.ndarray, name: str) -> None:
    rounding = 1e-4 * (1.0 + np.abs(sizes).max() + np.abs(constants).max())
    if not np.ptp(constants) <= rounding:
        raise ArgumentError(
            f"The law of family(0) is not the base {name}: −log p_0 − E_0 varies by {np.ptp(constants):.3g} over draws "
            "of the base, and must be a constant. Give the density that is proportional to exp(−family(0))."
        )
