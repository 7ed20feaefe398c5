"""Densities: energies with log Z = 0 and exact draws. Base measures, ends of paths, baselines, flows."""

from energax.densities._base import AbstractDensity as AbstractDensity
from energax.densities._base import has_smooth_draws as has_smooth_draws
from energax.densities._default_base import ShapedGaussian as ShapedGaussian
from energax.densities._default_base import default_base as default_base
from energax.densities._default_base import starting_law as starting_law
from energax.densities._flow import Flow as Flow
from energax.densities._flow import autoregressive_flow as autoregressive_flow
from energax.densities._flow import coupling_flow as coupling_flow
from energax.densities._gaussian import Gaussian as Gaussian
from energax.densities._gaussian import GaussianMixture as GaussianMixture
from energax.densities._generator import AbstractAutoencoder as AbstractAutoencoder
from energax.densities._generator import AbstractGenerator as AbstractGenerator
from energax.densities._generator import AbstractLatentGenerator as AbstractLatentGenerator
from energax.densities._generator import LikelihoodKind as LikelihoodKind
from energax.densities._hard_targets import Cauchy as Cauchy
from energax.densities._hard_targets import Funnel as Funnel
from energax.densities._hard_targets import Rosenbrock as Rosenbrock
from energax.densities._hard_targets import gmm40 as gmm40
from energax.densities._hard_targets import ill_conditioned as ill_conditioned
from energax.densities._independent import IndependentSites as IndependentSites
from energax.densities._independent import Uniform as Uniform
from energax.densities._independent import bernoulli_fit as bernoulli_fit
from energax.densities._latent_gaussian import LatentGaussian as LatentGaussian
from energax.densities._planar import PLANAR_NAMES as PLANAR_NAMES
from energax.densities._planar import planar as planar
from energax.densities._planar import planar_half_width as planar_half_width
from energax.densities._planar_curves import AbstractCurve as AbstractCurve
from energax.densities._planar_curves import Moons as Moons
from energax.densities._planar_curves import SmearedCurve as SmearedCurve
from energax.densities._planar_curves import Spiral as Spiral
from energax.densities._planar_shapes import Checkerboard as Checkerboard
from energax.densities._planar_shapes import Pinwheel as Pinwheel
from energax.densities._planar_shapes import Rings as Rings
from energax.densities._site_mixture import SiteMixture as SiteMixture
from energax.densities._site_mixture import site_mixture as site_mixture

__all__ = [
    "PLANAR_NAMES",
    "AbstractAutoencoder",
    "AbstractCurve",
    "AbstractDensity",
    "AbstractGenerator",
    "AbstractLatentGenerator",
    "Cauchy",
    "Checkerboard",
    "Flow",
    "Funnel",
    "Gaussian",
    "GaussianMixture",
    "IndependentSites",
    "LatentGaussian",
    "LikelihoodKind",
    "Moons",
    "Pinwheel",
    "Rings",
    "Rosenbrock",
    "ShapedGaussian",
    "SiteMixture",
    "SmearedCurve",
    "Spiral",
    "Uniform",
    "autoregressive_flow",
    "bernoulli_fit",
    "coupling_flow",
    "default_base",
    "gmm40",
    "has_smooth_draws",
    "ill_conditioned",
    "planar",
    "planar_half_width",
    "site_mixture",
    "starting_law",
]
