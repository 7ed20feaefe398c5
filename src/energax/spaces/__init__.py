"""Spaces: what a configuration is, where it ends, and the reference measure of densities and log Z."""

from energax.spaces._base import AbstractArraySpace as AbstractArraySpace
from energax.spaces._base import AbstractDiscreteSpace as AbstractDiscreteSpace
from energax.spaces._base import AbstractSpace as AbstractSpace
from energax.spaces._base import check_structure as check_structure
from energax.spaces._continuous import Box as Box
from energax.spaces._continuous import Euclidean as Euclidean
from energax.spaces._continuous import Torus as Torus
from energax.spaces._discrete import AbstractTwoValuedSpace as AbstractTwoValuedSpace
from energax.spaces._discrete import Binary as Binary
from energax.spaces._discrete import Categorical as Categorical
from energax.spaces._discrete import Spins as Spins
from energax.spaces._product import Product as Product
from energax.spaces._product import same_configurations as same_configurations

__all__ = [
    "AbstractArraySpace",
    "AbstractDiscreteSpace",
    "AbstractSpace",
    "AbstractTwoValuedSpace",
    "Binary",
    "Box",
    "Categorical",
    "Euclidean",
    "Product",
    "Spins",
    "Torus",
    "check_structure",
    "same_configurations",
]
