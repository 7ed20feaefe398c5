"""Paths: families of energies from a density at t = 0 to a target at t = 1."""

from energax.paths._base import AbstractPath as AbstractPath
from energax.paths._base import Geometric as Geometric
from energax.paths._base import tempering as tempering
from energax.paths._moving import Moving as Moving
from energax.paths._trajectory import Trajectory as Trajectory

__all__ = ["AbstractPath", "Geometric", "Moving", "Trajectory", "tempering"]
