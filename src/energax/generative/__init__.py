"""The relatives of energy-based models, behind the protocol of all generators, trained by the same `fit`."""

from energax.generative._maximum_likelihood import MaximumLikelihood as MaximumLikelihood
from energax.generative._sampled import SampledEnergy as SampledEnergy
from energax.generative._vae import ELBO as ELBO
from energax.generative._vae import VAE as VAE

__all__ = [
    "ELBO",
    "VAE",
    "MaximumLikelihood",
    "SampledEnergy",
]
