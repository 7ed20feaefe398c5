"""Objectives: how a model learns, one family a file. The gradient of `loss` is the estimator of the update."""

from energax.objectives._base import AbstractObjective as AbstractObjective
from energax.objectives._base import Metrics as Metrics
from energax.objectives._base import frozen as frozen
from energax.objectives._contrastive import ContrastiveDivergence as ContrastiveDivergence
from energax.objectives._contrastive import PersistentCD as PersistentCD
from energax.objectives._contrastive import PersistentState as PersistentState
from energax.objectives._contrastive import run_chains as run_chains
from energax.objectives._denoising import DenoisingScoreMatching as DenoisingScoreMatching
from energax.objectives._pseudo_likelihood import PseudoLikelihood as PseudoLikelihood
from energax.objectives._pseudo_likelihood import RatioMatching as RatioMatching
from energax.objectives._screening import ConcreteScoreMatching as ConcreteScoreMatching
from energax.objectives._screening import InteractionScreening as InteractionScreening
from energax.objectives._screening import MinimumProbabilityFlow as MinimumProbabilityFlow

__all__ = [
    "AbstractObjective",
    "ConcreteScoreMatching",
    "ContrastiveDivergence",
    "DenoisingScoreMatching",
    "InteractionScreening",
    "Metrics",
    "MinimumProbabilityFlow",
    "PersistentCD",
    "PersistentState",
    "PseudoLikelihood",
    "RatioMatching",
    "frozen",
    "run_chains",
]
