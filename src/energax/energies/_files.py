"""Energies from files: networks in the UAI format, weighted graphs, and arrays of couplings or weights."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from energax._errors import DataError
from energax.energies._base import AbstractEnergy
from energax.energies.graphs._uai import read_uai
from energax.energies.lattice._couplings import LatticeCouplings
from energax.energies.lattice._instances import read_rudy
from energax.energies.lattice._ising import Ising
from energax.energies.lattice._networks import DenseCouplings
from energax.energies.machines._rbm import RBM


def read_energy(path: str | PathLike[str]) -> AbstractEnergy:
    """The energy in a file.

    ``.uai``: `read_uai`. ``.npz``, by the names of its arrays: J (n, n) and h (n), an Ising model
    E = −Σ_{i<j} J_ij s_i s_j − Σ_i h_i s_i; J_h (rows, columns − 1), J_v (rows − 1, columns) and h (rows, columns), one
    on a lattice with open ends; W (v, h), b (v) and c (h), a binary restricted Boltzmann machine
    E = −b·v − c·h − v·W h. Other arrays in the file are left alone, and h may be missing. Anything else: `read_rudy`.

    Args:
        path: The file.

    Returns:
        The energy at β = 1.

    Raises:
        DataError: The file cannot be read, or holds none of these.
    """
    file = Path(path)
    if file.suffix == ".uai":
        return read_uai(file)
    if file.suffix != ".npz":
        return read_rudy(file)
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("J", "J_h", "J_v", "h", "W", "b", "c") if name in stored.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as arrays: {error}.") from error
    try:
        if {"W", "b", "c"} <= set(arrays):
            return RBM.from_parameters(arrays["W"], arrays["b"], arrays["c"])
        if "J" in arrays:
            return Ising(DenseCouplings(arrays["J"]), field=arrays.get("h", 0.0))
        if {"J_h", "J_v"} <= set(arrays):
            return _open_lattice(arrays["J_h"], arrays["J_v"], arrays.get("h", 0.0))
    except ValueError as error:
        raise DataError(f"{path} does not hold an energy: {error}") from error
    raise DataError(
        f"{path} holds none of: J and h; J_h, J_v and h; W, b and c. These are the couplings and fields of an Ising "
        "model, of one on an open lattice, and the weights and biases of a restricted Boltzmann machine."
    )


def _open_lattice(right: np.ndarray, down: np.ndarray, field: np.ndarray | float) -> Ising:
    """The Ising model of a planar lattice whose bonds go to the right and down."""
    shape = (right.shape[0], down.shape[1]) if right.ndim == down.ndim == 2 else (0, 0)
    if right.shape != (shape[0], shape[1] - 1) or down.shape != (shape[0] - 1, shape[1]):
        raise ValueError(
            f"J_h and J_v of a lattice of rows × columns have the shapes (rows, columns − 1) and (rows − 1, columns), "
            f"not {right.shape} and {down.shape}."
        )
    coupling = np.zeros((2, *shape))
    coupling[0, :-1], coupling[1, :, :-1] = down, right
    return Ising(LatticeCouplings(shape, coupling, boundary="open"), field=field)
