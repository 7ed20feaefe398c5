"""Evaluation: log Z and likelihoods as intervals with honest ends, baselines, sample quality, modes."""

from energax.evaluation._attempts import LEAST_BUDGET as LEAST_BUDGET
from energax.evaluation._baselines import Baseline as Baseline
from energax.evaluation._baselines import baselines as baselines
from energax.evaluation._bounds import mean_lower_bound as mean_lower_bound
from energax.evaluation._checkpoints import log_z_from_checkpoints as log_z_from_checkpoints
from energax.evaluation._curl import score_asymmetry as score_asymmetry
from energax.evaluation._feature_network import FeatureNetwork as FeatureNetwork
from energax.evaluation._feature_network import class_logits as class_logits
from energax.evaluation._feature_network import features as features
from energax.evaluation._feature_quality import FeatureQuality as FeatureQuality
from energax.evaluation._feature_quality import feature_quality as feature_quality
from energax.evaluation._feature_recipe import FeatureRecipe as FeatureRecipe
from energax.evaluation._feature_recipe import TrainedFeatures as TrainedFeatures
from energax.evaluation._feature_recipe import feature_network as feature_network
from energax.evaluation._feature_recipe import train_features as train_features
from energax.evaluation._fit_base import fit_base as fit_base
from energax.evaluation._gibbs import gibbs_gap as gibbs_gap
from energax.evaluation._journal import journal as journal
from energax.evaluation._length import ThermodynamicLength as ThermodynamicLength
from energax.evaluation._length import thermodynamic_length as thermodynamic_length
from energax.evaluation._likelihood import LogLikelihood as LogLikelihood
from energax.evaluation._likelihood import log_likelihood as log_likelihood
from energax.evaluation._log_z import METHODS as METHODS
from energax.evaluation._log_z import first_method as first_method
from energax.evaluation._log_z import log_z as log_z
from energax.evaluation._plane import GridKL as GridKL
from energax.evaluation._plane import ModeMasses as ModeMasses
from energax.evaluation._plane import kl_on_grid as kl_on_grid
from energax.evaluation._plane import mode_masses as mode_masses
from energax.evaluation._quality import SampleQuality as SampleQuality
from energax.evaluation._quality import sample_quality as sample_quality
from energax.evaluation._response import FisherInformation as FisherInformation
from energax.evaluation._response import LinearResponse as LinearResponse
from energax.evaluation._response import fisher_information as fisher_information
from energax.evaluation._response import linear_response as linear_response
from energax.evaluation._result import LogZ as LogZ
from energax.evaluation._result import Works as Works
from energax.evaluation._site_probabilities import SiteProbabilities as SiteProbabilities
from energax.evaluation._thermodynamics import Thermodynamics as Thermodynamics
from energax.evaluation._thermodynamics import thermodynamics as thermodynamics

__all__ = [
    "LEAST_BUDGET",
    "METHODS",
    "Baseline",
    "FeatureNetwork",
    "FeatureQuality",
    "FeatureRecipe",
    "FisherInformation",
    "GridKL",
    "LinearResponse",
    "LogLikelihood",
    "LogZ",
    "ModeMasses",
    "SampleQuality",
    "SiteProbabilities",
    "ThermodynamicLength",
    "Thermodynamics",
    "TrainedFeatures",
    "Works",
    "baselines",
    "class_logits",
    "feature_network",
    "feature_quality",
    "features",
    "first_method",
    "fisher_information",
    "fit_base",
    "gibbs_gap",
    "journal",
    "kl_on_grid",
    "linear_response",
    "log_likelihood",
    "log_z",
    "log_z_from_checkpoints",
    "mean_lower_bound",
    "mode_masses",
    "sample_quality",
    "score_asymmetry",
    "thermodynamic_length",
    "thermodynamics",
    "train_features",
]
