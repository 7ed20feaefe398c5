"""The relatives of energy-based models, behind the protocol of all generators, trained by the same `fit`."""

from energax.generative._maximum_likelihood import MaximumLikelihood as MaximumLikelihood
from energax.generative._sampled import SampledEnergy as SampledEnergy

__all__ = [
    "MaximumLikelihood",
    "SampledEnergy",
]
