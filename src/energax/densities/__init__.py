"""Densities: energies with log Z = 0 and exact draws. Base measures, ends of paths, baselines, flows."""

from energax.densities._base import AbstractDensity as AbstractDensity
from energax.densities._gaussian import Gaussian as Gaussian
from energax.densities._gaussian import GaussianMixture as GaussianMixture
from energax.densities._independent import IndependentSites as IndependentSites
from energax.densities._independent import Uniform as Uniform
from energax.densities._independent import bernoulli_fit as bernoulli_fit

__all__ = ["AbstractDensity", "Gaussian", "GaussianMixture", "IndependentSites", "Uniform", "bernoulli_fit"]
