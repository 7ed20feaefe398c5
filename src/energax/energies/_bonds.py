"""What cluster kernels ask of an energy: which pairs gain by agreeing, and how much."""

from __future__ import annotations

import functools

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from energax.energies._base import AbstractEnergy


class Bonds(eqx.Module):
    """An energy of discrete sites as E(x) = −Σ_b K_b [x_i = x_j] − Σ_i F_i(x_i) + constant.

    The values of a site are counted from 0 in the order of its space, and sites as in the flattened configuration.

    Attributes:
        pairs: The sites (i, j) of each bond; several bonds of one pair add up.
        strengths: K of each bond: the gain from agreeing, of either sign (Ising spins: 2 J; Potts variables: J).
        fields: F_i(v), up to a constant for each site.
    """

    pairs: Int[np.ndarray, "bonds 2"]
    strengths: Float[Array, " bonds"]
    fields: Float[Array, "sites values"]


@functools.singledispatch
def bonds(energy: AbstractEnergy) -> Bonds | None:
    """The bonds and fields of an energy of pairs; None where it is not known to be one.

    Wrappers: a tempered energy has tempered strengths and fields, sums and interpolations the bonds of all terms.
    """
    del energy
    return None
