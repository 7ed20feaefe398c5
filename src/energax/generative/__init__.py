"""The relatives of energy-based models, behind the protocol of all generators, trained by the same `fit`."""

from energax.generative._continuous_flow import ContinuousFlow as ContinuousFlow
from energax.generative._ddim import DDIM as DDIM
from energax.generative._density_ratio import LogRatio as LogRatio
from energax.generative._density_ratio import Tilted as Tilted
from energax.generative._diffusion import DiffusedEnergy as DiffusedEnergy
from energax.generative._diffusion import Diffusion as Diffusion
from energax.generative._diffusion import NoisePrediction as NoisePrediction
from energax.generative._diffusion_path import NoisePath as NoisePath
from energax.generative._diffusion_path import interpolant_score as interpolant_score
from energax.generative._flow_matching import Coupling as Coupling
from energax.generative._flow_matching import FlowMatching as FlowMatching
from energax.generative._gan import Adversarial as Adversarial
from energax.generative._gan import CriticEnergy as CriticEnergy
from energax.generative._gan import Game as Game
from energax.generative._gan import PushForward as PushForward
from energax.generative._gan import critic as critic
from energax.generative._guidance import guided as guided
from energax.generative._maximum_likelihood import MaximumLikelihood as MaximumLikelihood
from energax.generative._noising import AbstractNoising as AbstractNoising
from energax.generative._noising import VarianceExploding as VarianceExploding
from energax.generative._noising import VariancePreserving as VariancePreserving
from energax.generative._ode import AbstractSolver as AbstractSolver
from energax.generative._ode import Adaptive as Adaptive
from energax.generative._ode import RungeKutta as RungeKutta
from energax.generative._ode import Trace as Trace
from energax.generative._prior import LatentPosterior as LatentPosterior
from energax.generative._prior import WithPrior as WithPrior
from energax.generative._sampled import SampledEnergy as SampledEnergy
from energax.generative._vae import ELBO as ELBO
from energax.generative._vae import VAE as VAE

__all__ = [
    "DDIM",
    "ELBO",
    "VAE",
    "AbstractNoising",
    "AbstractSolver",
    "Adaptive",
    "Adversarial",
    "ContinuousFlow",
    "Coupling",
    "CriticEnergy",
    "DiffusedEnergy",
    "Diffusion",
    "FlowMatching",
    "Game",
    "LatentPosterior",
    "LogRatio",
    "MaximumLikelihood",
    "NoisePath",
    "NoisePrediction",
    "PushForward",
    "RungeKutta",
    "SampledEnergy",
    "Tilted",
    "Trace",
    "VarianceExploding",
    "VariancePreserving",
    "WithPrior",
    "critic",
    "guided",
    "interpolant_score",
]
