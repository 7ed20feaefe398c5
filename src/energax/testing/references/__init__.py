"""Laws with exact draws and exact moments, none of them symmetric, so that no error of sign can cancel."""

from energax.testing.references._continuous import correlated_gaussian as correlated_gaussian
from energax.testing.references._continuous import skewed_mixture as skewed_mixture
from energax.testing.references._continuous import tilted_angle as tilted_angle
from energax.testing.references._continuous import tilted_box as tilted_box
from energax.testing.references._continuous import tilted_double_well as tilted_double_well
from energax.testing.references._discrete import asymmetric_ising as asymmetric_ising
from energax.testing.references._discrete import asymmetric_rbm as asymmetric_rbm
from energax.testing.references._discrete import skewed_categorical as skewed_categorical
from energax.testing.references._mixed import asymmetric_gaussian_rbm as asymmetric_gaussian_rbm
from energax.testing.references._mixed import spins_and_normals as spins_and_normals
from energax.testing.references._reference import Moment as Moment
from energax.testing.references._reference import Reference as Reference

__all__ = [
    "Moment",
    "Reference",
    "asymmetric_gaussian_rbm",
    "asymmetric_ising",
    "asymmetric_rbm",
    "correlated_gaussian",
    "skewed_categorical",
    "skewed_mixture",
    "spins_and_normals",
    "tilted_angle",
    "tilted_box",
    "tilted_double_well",
]
