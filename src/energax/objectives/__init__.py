"""Objectives: how a model learns, one family a file. The gradient of `loss` is the estimator of the update."""

from energax.objectives._adversarial import AdversarialLikelihood as AdversarialLikelihood
from energax.objectives._adversarial import FlowContrastive as FlowContrastive
from energax.objectives._base import AbstractObjective as AbstractObjective
from energax.objectives._base import AbstractStatelessObjective as AbstractStatelessObjective
from energax.objectives._base import Metrics as Metrics
from energax.objectives._base import apart as apart
from energax.objectives._base import frozen as frozen
from energax.objectives._base import needs_law as needs_law
from energax.objectives._base import normal_apart as normal_apart
from energax.objectives._companions import Companion as Companion
from energax.objectives._companions import companion as companion
from energax.objectives._companions import companion_values as companion_values
from energax.objectives._companions import companions as companions
from energax.objectives._companions import with_companions as with_companions
from energax.objectives._conditioned import Conditioned as Conditioned
from energax.objectives._contrastive import ContrastiveDivergence as ContrastiveDivergence
from energax.objectives._contrastive import PersistentCD as PersistentCD
from energax.objectives._contrastive import PersistentState as PersistentState
from energax.objectives._contrastive import run_chains as run_chains
from energax.objectives._denoising import DenoisingScoreMatching as DenoisingScoreMatching
from energax.objectives._denoising import MultiScaleDenoising as MultiScaleDenoising
from energax.objectives._discrepancy import AbstractPerturbation as AbstractPerturbation
from energax.objectives._discrepancy import EnergyDiscrepancy as EnergyDiscrepancy
from energax.objectives._discrepancy import GaussianPerturbation as GaussianPerturbation
from energax.objectives._discrepancy import NeighbourPerturbation as NeighbourPerturbation
from energax.objectives._discrepancy import SitePerturbation as SitePerturbation
from energax.objectives._energy_matching import EnergyMatching as EnergyMatching
from energax.objectives._energy_matching import EnergyMatchingState as EnergyMatchingState
from energax.objectives._exact import ExactLikelihood as ExactLikelihood
from energax.objectives._flow_assisted import FlowAssisted as FlowAssisted
from energax.objectives._jarzynski import Jarzynski as Jarzynski
from energax.objectives._jarzynski import JarzynskiState as JarzynskiState
from energax.objectives._noise_contrastive import ConditionalNoiseContrastive as ConditionalNoiseContrastive
from energax.objectives._noise_contrastive import NoiseContrastive as NoiseContrastive
from energax.objectives._noise_contrastive import RankingNCE as RankingNCE
from energax.objectives._pairing import partners as partners
from energax.objectives._pairing import spread_times as spread_times
from energax.objectives._particles import ParticleGradientDescent as ParticleGradientDescent
from energax.objectives._particles import ParticleState as ParticleState
from energax.objectives._pseudo_likelihood import PseudoLikelihood as PseudoLikelihood
from energax.objectives._pseudo_likelihood import RatioMatching as RatioMatching
from energax.objectives._recovery import RecoveryLikelihood as RecoveryLikelihood
from energax.objectives._regularised import AtTemperature as AtTemperature
from energax.objectives._regularised import DataNoise as DataNoise
from energax.objectives._regularised import Regularised as Regularised
from energax.objectives._regularised import model_sample as model_sample
from energax.objectives._rows import NumberedRows as NumberedRows
from energax.objectives._rows import needs_rows as needs_rows
from energax.objectives._rows import rows_of as rows_of
from energax.objectives._score_matching import FiniteDifferenceScoreMatching as FiniteDifferenceScoreMatching
from energax.objectives._score_matching import ScoreMatching as ScoreMatching
from energax.objectives._score_matching import SlicedScoreMatching as SlicedScoreMatching
from energax.objectives._screening import ConcreteScoreMatching as ConcreteScoreMatching
from energax.objectives._screening import InteractionScreening as InteractionScreening
from energax.objectives._screening import MinimumProbabilityFlow as MinimumProbabilityFlow
from energax.objectives._short_run import ShortRun as ShortRun
from energax.objectives._stein import KernelStein as KernelStein
from energax.objectives._tempered import TemperedPCD as TemperedPCD
from energax.objectives._tempered import TemperedState as TemperedState
from energax.objectives._trajectory import TrajectoryPCD as TrajectoryPCD
from energax.objectives._trajectory import TrajectoryState as TrajectoryState
from energax.objectives._walkers import Walkers as Walkers
from energax.objectives._watched import Watched as Watched
from energax.objectives._watched import WatchedState as WatchedState

__all__ = [
    "AbstractObjective",
    "AbstractPerturbation",
    "AbstractStatelessObjective",
    "AdversarialLikelihood",
    "AtTemperature",
    "Companion",
    "ConcreteScoreMatching",
    "ConditionalNoiseContrastive",
    "Conditioned",
    "ContrastiveDivergence",
    "DataNoise",
    "DenoisingScoreMatching",
    "EnergyDiscrepancy",
    "EnergyMatching",
    "EnergyMatchingState",
    "ExactLikelihood",
    "FiniteDifferenceScoreMatching",
    "FlowAssisted",
    "FlowContrastive",
    "GaussianPerturbation",
    "InteractionScreening",
    "Jarzynski",
    "JarzynskiState",
    "KernelStein",
    "Metrics",
    "MinimumProbabilityFlow",
    "MultiScaleDenoising",
    "NeighbourPerturbation",
    "NoiseContrastive",
    "NumberedRows",
    "ParticleGradientDescent",
    "ParticleState",
    "PersistentCD",
    "PersistentState",
    "PseudoLikelihood",
    "RankingNCE",
    "RatioMatching",
    "RecoveryLikelihood",
    "Regularised",
    "ScoreMatching",
    "ShortRun",
    "SitePerturbation",
    "SlicedScoreMatching",
    "TemperedPCD",
    "TemperedState",
    "TrajectoryPCD",
    "TrajectoryState",
    "Walkers",
    "Watched",
    "WatchedState",
    "apart",
    "companion",
    "companion_values",
    "companions",
    "frozen",
    "model_sample",
    "needs_law",
    "needs_rows",
    "normal_apart",
    "partners",
    "rows_of",
    "run_chains",
    "spread_times",
    "with_companions",
]
