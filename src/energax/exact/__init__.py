"""Oracles: enumeration and quadrature. What an estimate can be compared with."""

from energax.exact._enumeration import draw as draw
from energax.exact._enumeration import expectation as expectation
from energax.exact._enumeration import kl as kl
from energax.exact._enumeration import log_probs as log_probs
from energax.exact._enumeration import log_z as log_z
from energax.exact._grid import Grid as Grid
from energax.exact._grid import grid as grid
from energax.exact._quadrature import Quadrature as Quadrature
from energax.exact._quadrature import quadrature_log_z as quadrature_log_z
from energax.exact._states import num_states as num_states
from energax.exact._states import state_chunks as state_chunks
from energax.exact._states import states as states
from energax.exact._torus import IsingTorus as IsingTorus
from energax.exact._torus import ising_torus as ising_torus

__all__ = [
    "Grid",
    "IsingTorus",
    "Quadrature",
    "draw",
    "expectation",
    "grid",
    "ising_torus",
    "kl",
    "log_probs",
    "log_z",
    "num_states",
    "quadrature_log_z",
    "state_chunks",
    "states",
]
