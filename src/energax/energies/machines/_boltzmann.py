"""The general Boltzmann machine: visible and hidden units with any pair couplings."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from energax._errors import ArgumentError
from energax._typing import Configuration, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import (
    Block,
    Latent,
    blocks,
    conditional_logits,
    conditional_logits_at,
    latent,
)
from energax.energies.lattice._couplings import AbstractCouplings, as_field
from energax.energies.lattice._graph import Graph
from energax.spaces import Binary, Product, Spins

_UNITS = {"binary": Binary, "spins": Spins}


class BoltzmannMachine(AbstractEnergy):
    """Visible and hidden units with pair couplings, E(s) = −Σ_{i<j} W_ij s_i s_j − Σ_i b_i s_i, s = (v, h).

    The joint energy; `visible` is the observed part. Units are numbered in the flat order of the couplings, the visible
    ones first. Couplings within a part are allowed, unlike in an `RBM`: `BlockGibbs` finds sets of units without
    couplings among them by itself, hidden ones first. The gradient of the log-likelihood is Ackley's rule
    ⟨s_i s_j⟩_data − ⟨s_i s_j⟩_model. The marginal is summed over hidden units: the largest set of independent ones in
    closed form and up to 12 others one configuration after the other; with more there is none, and kernels of
    single sites run on `joint`.

    Args:
        couplings: W over all N units: `GraphCouplings`, `DenseCouplings`, ... (see `Ising`). All pairs have no sets of
            independent units: with `DenseCouplings`, sample `joint`.
        num_visible: How many units are visible; by default all of them, and then configurations are plain arrays.
        bias: b, a number or one for each unit, in the shape of the couplings' sites.
        units: ``"binary"``: 0 and 1; ``"spins"``: −1 and +1, with which it is an Ising model with hidden spins.

    Raises:
        ArgumentError: `num_visible` is below 1 or above N, or `units` is unknown.
        ShapeError: `bias` has the wrong shape.

    Example:
        >>> from energax import energies, exact
        >>> chain = energies.GraphCouplings([(0, 2), (2, 3), (3, 1)], [1.0, -0.5, 2.0])
        >>> machine = energies.BoltzmannMachine(chain, num_visible=2, bias=0.1)
        >>> sorted(machine.space.parts), round(exact.log_z(machine), 4)
        (['hidden', 'visible'], 4.1314)

    References:
        [ackley1985]
    """

    couplings: AbstractCouplings
    bias: Float[Array, " units"]
    space: Product | Binary | Spins = eqx.field(static=True)
    within: Graph | None = eqx.field(static=True)

    def __init__(
        self,
        couplings: AbstractCouplings,
        num_visible: int | None = None,
        *,
        bias: ArrayLike = 0.0,
        units: str = "binary",
    ) -> None:
        total = couplings.num_sites
        count = total if num_visible is None else num_visible
        if not 1 <= count <= total or units not in _UNITS:
            raise ArgumentError(
                f'A machine of {total} units has 1 to {total} visible ones, units="binary" or "spins"; got '
                f"num_visible={count}, units={units!r}."
            )
        self.couplings = couplings
        self.bias = jnp.broadcast_to(as_field(bias, couplings.shape), couplings.shape).reshape(-1)
        kind = _UNITS[units]
        self.space = kind(total) if count == total else Product({"visible": kind(count), "hidden": kind(total - count)})
        self.within = _pairs_within(couplings, count)

    @property
    def num_visible(self) -> int:
        """Number of visible units."""
        return self._visible.num_sites

    @property
    def joint(self) -> BoltzmannMachine:
        """The same law over one array of all units, the visible ones first, none of them hidden."""
        units = "spins" if isinstance(self._visible, Spins) else "binary"
        return BoltzmannMachine(self.couplings, bias=self.bias.reshape(self.couplings.shape), units=units)

    @property
    def _visible(self) -> Binary | Spins:
        space = self.space.parts["visible"] if isinstance(self.space, Product) else self.space
        assert isinstance(space, Binary | Spins)
        return space

    def units(self, x: Configuration) -> Float[Array, "..."]:
        """All units of a configuration as numbers, in the shape of the couplings' sites."""
        flat = x if not isinstance(self.space, Product) else jnp.concatenate([x["visible"], x["hidden"]])
        return flat.reshape(self.couplings.shape).astype(self.couplings.dtype)

    def __call__(self, x: Configuration) -> Scalar:
        s = self.units(x)
        return -self.couplings.pair_sum(s) - jnp.sum(self.bias * s.reshape(-1))

    @property
    def gap(self) -> int:
        """Difference of the two values of a unit."""
        low, high = self._visible.values
        return high - low

    def colour_masks(self, part: slice) -> tuple[Bool[np.ndarray, " units"] | None, ...]:
        """Sets of independent units of a part, None for all of it; empty where every unit may see every other."""
        if not self.couplings.colour_masks:
            return ()
        if self.within is None:
            return (None,)
        colours = self.within.colours[part]
        found = np.unique(colours)
        return (None,) if len(found) == 1 else tuple(colours == colour for colour in found)


def _pairs_within(couplings: AbstractCouplings, num_visible: int) -> Graph | None:
    """The couplings that join units of one part; None where there are none, or where all pairs are coupled."""
    listed = couplings.bonds() if couplings.colour_masks else None
    if listed is None:
        return None
    pairs = np.sort(listed[0], axis=1)
    same = (pairs[:, 0] < num_visible) == (pairs[:, 1] < num_visible)
    pairs = np.unique(pairs[same], axis=0)
    return Graph(pairs, couplings.num_sites) if len(pairs) else None


@conditional_logits.register
def _(energy: BoltzmannMachine, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    logits = energy.gap * (energy.couplings.times(energy.units(x)).reshape(-1) + energy.bias)
    if part is None:
        return logits
    return logits[: energy.num_visible] if part == "visible" else logits[energy.num_visible :]


@conditional_logits_at.register
def _(energy: BoltzmannMachine, x: Array, site: Array) -> Float[Array, ""]:
    return energy.gap * (energy.couplings.times_at(energy.units(x), site) + energy.bias[site])


@blocks.register
def _(energy: BoltzmannMachine) -> tuple[Block, ...]:
    count = energy.num_visible
    if not isinstance(energy.space, Product):
        return tuple(Block(mask=mask) for mask in energy.colour_masks(slice(None)))
    hidden = tuple(Block(("hidden",), mask) for mask in energy.colour_masks(slice(count, None)))
    return (*hidden, *(Block(("visible",), mask) for mask in energy.colour_masks(slice(count))))


@latent.register
def _(energy: BoltzmannMachine) -> Latent | None:
    return Latent("visible", ("hidden",)) if isinstance(energy.space, Product) else None
