"""Oracles: enumeration, elimination, quadrature, solved models. What an estimate can be compared with."""

from energax.exact._backward import PairMarginals as PairMarginals
from energax.exact._backward import pair_marginals as pair_marginals
from energax.exact._curie_weiss import CurieWeiss as CurieWeiss
from energax.exact._curie_weiss import curie_weiss as curie_weiss
from energax.exact._curie_weiss import curie_weiss_magnetisation as curie_weiss_magnetisation
from energax.exact._density_of_states import DensityOfStates as DensityOfStates
from energax.exact._density_of_states import ising_density_of_states as ising_density_of_states
from energax.exact._differentiable import differentiable_log_z as differentiable_log_z
from energax.exact._elimination import Elimination as Elimination
from energax.exact._elimination import eliminate as eliminate
from energax.exact._enumeration import draw as draw
from energax.exact._enumeration import expectation as expectation
from energax.exact._enumeration import kl as kl
from energax.exact._enumeration import log_probs as log_probs
from energax.exact._enumeration import log_z as log_z
from energax.exact._grid import Grid as Grid
from energax.exact._grid import grid as grid
from energax.exact._mean_field import MeanField as MeanField
from energax.exact._mean_field import mean_field as mean_field
from energax.exact._plane import IsingPlane as IsingPlane
from energax.exact._plane import ising_plane as ising_plane
from energax.exact._potts_states import potts_density_of_states as potts_density_of_states
from energax.exact._quadrature import Quadrature as Quadrature
from energax.exact._quadrature import quadrature_log_z as quadrature_log_z
from energax.exact._states import num_states as num_states
from energax.exact._states import state_chunks as state_chunks
from energax.exact._states import states as states
from energax.exact._torus import IsingTorus as IsingTorus
from energax.exact._torus import ising_torus as ising_torus

__all__ = [
    "CurieWeiss",
    "DensityOfStates",
    "Elimination",
    "Grid",
    "IsingPlane",
    "IsingTorus",
    "MeanField",
    "PairMarginals",
    "Quadrature",
    "curie_weiss",
    "curie_weiss_magnetisation",
    "differentiable_log_z",
    "draw",
    "eliminate",
    "expectation",
    "grid",
    "ising_density_of_states",
    "ising_plane",
    "ising_torus",
    "kl",
    "log_probs",
    "log_z",
    "mean_field",
    "num_states",
    "pair_marginals",
    "potts_density_of_states",
    "quadrature_log_z",
    "state_chunks",
    "states",
]
